"""Clients of Centrifugo's protocol that do what they must not: each ends alone, with its code."""

from __future__ import annotations

import json
from contextlib import suppress

import centrifuge.protocol.client_pb2 as pb
import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from kit.centrifuge import centrifuge, soon, token
from kit.logs import lines
from kit.node import patiently
from trio_websocket import ConnectionClosed

from livetrio.im.centrifuge_carriers import StreamCarrier
from livetrio.im.centrifuge_commands import _page
from livetrio.im.centrifuge_views import sse_view
from livetrio.im.options import ChannelOptions, HubLimits, Namespaces
from livetrio.im.words import Publication

PROTOBUF = {"subprotocols": ["centrifuge-protobuf"]}
EVERY = pytest.mark.parametrize("kind", ["ws", "http_stream", "sse"])


@EVERY
@pytest.mark.parametrize(
    "frame",
    [
        "nonsense", "[]", "{}", '{"id":1}', '{"id":1,"subscribe":{"channel":"a"}}',
        '{"connect":{}}', '{"id":1,"connect":5}', '{"id":"1","connect":{}}', "\u0000",
        '{"id":1,"connect":{"data":' + "[" * 3000 + "}}",
    ],
)  # fmt: skip
async def test_anything_but_connect_is_a_bad_request(kind: str, frame: str):
    async with centrifuge() as here, here.client(kind) as client:
        await client.send_raw(frame)
        assert await client.closed() == (3501, "bad request")
        assert not here.hub.members.all()


@pytest.mark.parametrize("frame", ["", "\n\n", b"\xff\xfe"])
async def test_an_empty_or_unreadable_frame_is_a_bad_request(frame: str | bytes):
    async with centrifuge() as here, here.ws() as client:
        await client.send_raw(frame)
        assert await client.closed() == (3501, "bad request")


@EVERY
@pytest.mark.parametrize(
    "command",
    [
        {"id": 5, "connect": {}}, {"id": 5}, {"subscribe": {"channel": "a"}}, {},
        {"id": 5, "subscribe": {}}, {"id": 5, "subscribe": {"channel": "a", "delta": "x"}},
        {"id": 5, "publish": {"data": 1}}, {"id": 5, "unsubscribe": {}},
        {"id": 5, "history": {}}, {"id": 5, "refresh": {}}, {"id": 5, "sub_refresh": {}},
        {"id": 5, "presence": []}, {"id": 5, "rpc": {"method": 5}},
    ],
)  # fmt: skip
async def test_a_senseless_command_ends_the_one_who_sent_it(kind: str, command: dict):
    async with centrifuge() as here, here.client(kind) as client, here.connected("2") as other:
        await client.connect(token("1"))
        await client.send(command)
        assert await client.closed() == (3501, "bad request")
        assert (await other.ask(ping={}))["ping"] == {}


@settings(max_examples=30, deadline=None)
@given(st.lists(st.binary(max_size=64), max_size=8))
def test_random_protobuf_ends_in_a_close_code_and_no_bug(frames: list[bytes]):
    async def main() -> None:
        async with centrifuge() as here, here.ws(**PROTOBUF) as client:
            await client.send_raw(delimited(pb.Command(id=1, connect=pb.ConnectRequest())))
            with suppress(ConnectionClosed):  # maybe already: then the rest is not taken
                for frame in [*frames, b"\xff"]:
                    await client.send_raw(frame)
            assert (await client.closed_raw())[0] in {3501, 3500}

    trio.run(main)


def delimited(*messages) -> bytes:
    """As the SDK does it, for messages of less than 128 bytes."""
    data = [message.SerializeToString() for message in messages]
    return b"".join(bytes([len(one)]) + one for one in data)


@pytest.mark.parametrize(
    "bomb",
    [
        b"\x05\x22\xff\xff\xff\x7f",  # a length of 256 MB
        b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
        b"\x82\x08\x22\xff\x07" + b"\x1a\x00" * 511 + b"\x1a",
        b"\x0c\x4b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b",  # groups in groups
    ],
)
async def test_a_protobuf_bomb_is_a_bad_request(bomb: bytes):
    async with centrifuge() as here, here.ws(**PROTOBUF) as client:
        await client.send_raw(bomb)
        assert await client.closed_raw() == (3501, "bad request")


async def test_a_flood_of_commands_is_slowed_down_and_then_ended():
    async with centrifuge() as here, here.connected() as client:
        for _ in range(4):
            await client.send(*({"id": n, "ping": {}} for n in range(1, 400)))
        answers: list[dict] = []
        assert (await client.closed(answers))[0] == 3013
        errors = [answer["error"] for answer in answers if "error" in answer]
        assert {error["code"] for error in errors} == {111}
        assert all(error["temporary"] for error in errors)
        assert 200 < len(answers) - len(errors) < 400


async def test_a_flood_of_subscriptions_stays_within_the_bounds_of_one_connection():
    limits = {"limits": HubLimits(channels_per_member=5, channels=50)}
    async with centrifuge(hub_options=limits) as here, here.connected() as client:
        results = [await client.subscribe(f"c{n}") for n in range(200)]
        assert [result for result in results if "code" not in result] == [{}] * 5
        assert {result["code"] for result in results if "code" in result} == {106}
        assert len(here.hub.channels) <= 50
        assert here.hub.online("c4").clients == 1


async def test_a_client_that_reads_no_answers_is_not_read_either(autojump_clock):
    patiently(autojump_clock)
    options = {"namespaces": Namespaces([], ChannelOptions(history_bytes=1 << 22))}
    async with centrifuge(hub_options=options) as here, here.connected("1") as client:
        await client.subscribe("a")
        for _ in range(60):
            await here.hub.publish("a", json.dumps("x" * 50_000).encode())
        (member,) = here.hub.members.all()
        outbox = member.outbox
        for n in range(1, 60):
            await client.send({"id": n, "history": {"channel": "a", "limit": 300}})
        most = 0
        with trio.fail_after(60):
            while here.hub.members.all():
                most = max(most, outbox.queued)
                await trio.sleep(0.1)
        assert 1 << 20 < most < 8 << 20


async def test_a_message_over_the_limit_is_too_big():
    async with centrifuge() as here, here.connected() as client:
        await client.send_raw(" " * (64 << 10) + "{}")
        assert (await client.closed())[0] == 1009


@pytest.mark.parametrize("path", ["/connection/http_stream", "/connection/sse", "/emulation"])
async def test_a_body_over_the_limit_is_refused_and_a_wrong_method_too(path: str):
    async with centrifuge() as here:
        assert await here.post(path, b"x" * ((64 << 10) + 1)) == 413
        async with await trio.open_tcp_stream("127.0.0.1", here.port) as stream:
            await stream.send_all(f"PUT {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            assert (await stream.receive_some()).startswith(b"HTTP/1.1 405")


async def test_sse_without_a_command_is_a_bad_request():
    async with centrifuge() as here:
        async with await trio.open_tcp_stream("127.0.0.1", here.port) as stream:
            await stream.send_all(b"GET /connection/sse HTTP/1.1\r\nHost: x\r\n\r\n")
            assert (await stream.receive_some()).startswith(b"HTTP/1.1 400")


async def test_another_ones_session_cannot_be_guessed_and_nonsense_is_no_session():
    async with centrifuge() as here, here.stream("sse") as client:
        await client.connect()
        known = dict(client.session)
        for body in (
            {**known, "session": "guessed"},
            {**known, "node": "elsewhere"},
            {},
        ):
            assert await here.post("/emulation", json.dumps(body).encode()) == 404
        for raw in (b"", b"[]", b"\xff", b'{"data":{}}'):
            assert await here.post("/emulation", raw) == 400
        binary = pb.EmulationRequest(session="guessed", node=known["node"]).SerializeToString()
        assert await here.post("/emulation", binary, "application/octet-stream") == 404
        assert await here.post("/emulation", b"\xff", "application/octet-stream") == 400


async def test_more_emulated_requests_than_can_wait_are_refused():
    stop = trio.Event()

    async def slow(sender, data):
        await stop.wait()

    async with centrifuge(send=slow) as here, here.stream("http_stream") as client:
        await client.connect()
        body = json.dumps({**client.session, "data": '{"send":{"data":1}}'}).encode()
        answers = [await here.post("/emulation", body) for _ in range(70)]
        assert answers[:60] == [204] * 60
        assert answers[-1] == 429
        stop.set()


async def test_another_users_token_is_nobodys(caplog):
    async with centrifuge() as here:
        for bad in (
            token("2", channel="$a"),
            token("1", channel="$b"),
            token("1", channel="$a", client="another"),
            token("1", channel="$a", secret="not ours, but long enough to be one"),
        ):
            async with here.connected("1") as client:
                await client.send({"id": 5, "subscribe": {"channel": "$a", "token": bad}})
                assert await client.closed() == (3500, "invalid token")
            assert "eyJ" not in str([line.fields for line in lines(caplog)])
        async with here.connected("1") as client:
            await client.send({"id": 5, "refresh": {"token": token("2", exp=soon(60))}})
            assert await client.closed() == (3500, "invalid token")
        async with here.connected("1") as client:
            await client.send({"id": 5, "refresh": {"token": token("1", exp=soon(-60))}})
            assert await client.closed() == (3005, "connection expired")


async def test_the_node_that_is_full_says_so():
    async with centrifuge(hub_options={"limits": HubLimits(members=1)}) as here:
        async with here.connected("1"), here.ws() as client:
            await client.send({"id": 1, "connect": {}})
            assert await client.closed() == (3504, "connection limit")


async def test_commands_that_wait_for_a_stream_are_bounded_in_bytes():
    carrier = StreamCarrier(None, sse_view(chunked=False), "", chunked=False)
    frame = b"{}" + b" " * (60 << 10)
    assert [carrier.put(frame) for _ in range(3)] == [True, True, False]
    await carrier.commands()
    assert carrier.put(frame)


def test_a_page_of_history_is_bounded_in_bytes_and_never_empty():
    big = Publication(1, 0, bytes(300 << 10))
    small = [Publication(n, 0, bytes(100 << 10)) for n in range(1, 5)]
    assert _page([big]) == [big]
    assert _page(small) == small[:2]
    assert _page([]) == []
