"""goim v1's JSON pages and Bilibili's clients on the same port."""

from __future__ import annotations

import json
import zlib
from itertools import pairwise

import brotli
import pytest
import trio
from kit.goim import goim, pack, unpack
from kit.logs import lines
from kit.node import patiently

from livetrio.wire.goim.frame import Frame, Version


def v1(op: int, body: object = None, seq: int = 1) -> str:
    return json.dumps({"ver": 1, "op": op, "seq": seq, "body": body})


async def test_a_v1_page_speaks_json_and_is_told_by_its_first_frame():
    async with goim() as here, here.ws() as client:
        await client.socket.send_message(v1(7, "42"))
        assert json.loads(await client.message()) == {"ver": 1, "op": 8, "seq": 1, "body": {}}
        await client.socket.send_message(v1(2, {}, 2))
        assert json.loads(await client.message()) == {"ver": 1, "op": 3, "seq": 2, "body": {}}
        await client.socket.send_message(v1(4, {"x": 1}, 3))
        assert json.loads(await client.message()) == {"ver": 1, "op": 5, "seq": 3, "body": {"x": 1}}
        assert here.hub.online("live://1").clients == 1
        await here.hub.publish("live://1", b'{"hi":1}', op=5)
        await here.hub.publish("live://1", b"no json", op=5)
        assert json.loads(await client.message())["body"] == {"hi": 1}
        assert json.loads(await client.message())["body"] == "no json"


async def test_a_v1_page_that_sends_arrays_gets_arrays():
    async with goim() as here, here.ws() as client:
        await client.socket.send_message(f"[{v1(7, 42)}]")
        assert json.loads(await client.message()) == [{"ver": 1, "op": 8, "seq": 1, "body": {}}]
        here.hub.send_user("42", b"1", op=5)
        assert json.loads(await client.message()) == [{"ver": 1, "op": 5, "seq": 0, "body": 1}]


async def test_a_v1_key_has_several_subscribers_up_to_a_cap(caplog):
    async with goim(subscribers=2) as here, here.ws() as a, here.ws() as b, here.ws() as c:
        for client in (a, b):
            await client.socket.send_message(v1(7, "42"))
            await client.message()
        assert here.hub.send_user("42", b"{}", op=5) == 2
        await c.socket.send_message(v1(7, "42"))
        assert await c.closed()
    assert lines(caplog)[-1].fields["reason"] == "too many connections of this user"


async def test_a_binary_package_may_come_in_a_text_message():
    async with goim() as here, here.ws() as client:
        await client.socket.send_message(pack(7, b'{"mid":1}').decode())
        assert (await client.frame()).op == 8


@pytest.mark.parametrize("message", ["{", "[]", '{"op":"x"}', "", "hello", "[" * 4000])
async def test_broken_json_ends_that_connection(message: str, caplog):
    async with goim() as here, here.ws() as client:
        await client.socket.send_message(message)
        assert await client.closed()
    assert [line.event for line in lines(caplog)] == ["peer broke the protocol"]


LOGIN = b'{"uid":0,"roomid":1000,"protover":%d,"platform":"web","type":2,"key":"opaque"}'


async def bilibili(client, version: int) -> None:
    # its key is a token; the kit's "token of" words stand for valid ones
    body = LOGIN.replace(b"opaque", b"token of u") % version
    await client.send_raw(pack(7, body))
    assert await client.frame() == (1, 8, 1, b'{"code":0}')


@pytest.mark.parametrize("kind", ["tcp", "ws"])
@pytest.mark.parametrize(("version", "inflate"), [(2, zlib.decompress), (3, brotli.decompress)])
async def test_a_bilibili_client_gets_batches_deflated_as_it_asked(kind, version, inflate):
    async with goim() as here, here.client(kind) as client:
        await bilibili(client, version)
        assert await client.beat() == 1
        for number in range(3):
            await here.hub.publish("live://1000", b'{"cmd":"DANMU_MSG","n":%d}' % number)
        got = []
        while len(got) < 3:
            outer = await client.frame()
            assert (outer.ver, outer.op) == (version, 5)
            got += unpack(inflate(outer.body))
        assert [json.loads(frame.body)["n"] for frame in got] == [0, 1, 2]
        assert {(frame.ver, frame.op) for frame in got} == {(0, 5)}


async def test_a_bilibili_client_that_asks_for_plain_json_gets_it():
    async with goim() as here, here.ws() as client:
        await bilibili(client, 0)
        await here.hub.publish("live://1000", b"{}", op=1234)
        assert await client.frame() == (0, 5, 0, b"{}")


@pytest.mark.parametrize(("version", "squeeze"), [(2, zlib.compress), (3, brotli.compress)])
async def test_compressed_packages_of_clients_are_taken(version: int, squeeze):
    async with goim() as here, here.tcp() as client:
        login = pack(7, LOGIN.replace(b"opaque", b"token of u") % 0)
        await client.send(7, squeeze(login), ver=version)
        assert (await client.frame()).op == 8
        await client.send(0, squeeze(pack(2, seq=3) + pack(2, seq=4)), ver=version)
        assert [(await client.frame())[1:3] for _ in range(2)] == [(3, 3), (3, 4)]


async def test_a_compressed_package_of_thousands_of_frames_ends_that_connection(caplog):
    async with goim() as here, here.tcp() as client:
        await bilibili(client, 2)
        await client.send(0, zlib.compress(pack(2) * 4000), ver=2)
        for _ in range(100):
            if await client.closed():
                break
    (line,) = lines(caplog)
    assert "over 64 frames" in str(line.fields)


async def test_others_run_while_compressed_packages_are_answered(monkeypatch):
    async with goim() as here, here.tcp() as client:
        await bilibili(client, 2)
        answers = []
        answer = here.service._answer

        async def noted(session, frame):
            answers.append(frame)
            await answer(session, frame)

        monkeypatch.setattr(here.service, "_answer", noted)
        (session,) = here.hub.members.all()
        packed = Frame(Version.ZLIB, 0, 0, zlib.compress(pack(2) * 50))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(here.service._go_on, session, [packed] * 50)
            seen = [0]
            while len(answers) < 2500:
                await trio.lowlevel.checkpoint()
                seen.append(len(answers))
            assert max(after - before for before, after in pairwise(seen)) <= 2 * 64


@pytest.mark.parametrize("squeeze", [zlib.compress, lambda data: data])
async def test_a_bomb_or_garbage_ends_that_connection(squeeze, caplog):
    async with goim() as here, here.tcp() as client:
        await bilibili(client, 2)
        await client.send(0, squeeze(bytes(3_000_000))[:4000], ver=2)
        assert await client.closed()
    assert [line.event for line in lines(caplog)] == ["peer broke the protocol"]


async def test_goims_own_clients_may_use_any_version_without_meaning():
    async with goim() as here, here.tcp() as client:
        await client.send(7, b'{"mid":1}', ver=2)
        assert await client.frame() == (2, 8, 1, b"")
        await client.send(12, b"live://1", ver=3)
        assert await client.frame() == (3, 13, 1, b"live://1")


async def test_a_silent_bilibili_client_goes_after_70_seconds(autojump_clock):
    patiently(autojump_clock)
    async with goim(bilibili_patience=25.0) as here, here.ws() as client:
        await bilibili(client, 0)
        assert await client.closed()
