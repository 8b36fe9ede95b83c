"""goim clients, over TCP and WebSocket, against the contract."""

from __future__ import annotations

import json
from contextlib import AsyncExitStack

import pytest
import trio
from kit.goim import Goim, goim, pack
from kit.logs import lines
from kit.node import patiently
from trio_websocket import ConnectionClosed

from livetrio.errors import RefusalCode, Refused
from livetrio.im.goim_service import member_id
from livetrio.im.moderation import Subject

BOTH = pytest.mark.parametrize("kind", ["tcp", "ws"])


@BOTH
async def test_auth_is_answered_with_its_version_and_sequence_and_no_body(kind: str):
    async with goim() as here, here.client(kind) as client:
        assert await client.auth(mid=123, room_id="live://1000", accepts=[1000]) == (1, 8, 11, b"")
        assert here.hub.online("live://1000").clients == 1
        (member,) = here.hub.members.of_user("123")
        assert member.sender.ip == "127.0.0.1"


@BOTH
async def test_a_heartbeat_is_answered_with_the_rooms_count(kind: str):
    async with goim() as here, here.client(kind) as client, here.tcp() as other:
        await client.auth(mid=1)
        assert await client.beat() == 0
        await client.ask(12, b"live://1")
        assert await client.beat() == 1
        await other.auth(mid=2, room_id="live://1")
        assert await client.beat() == 2


@BOTH
async def test_a_room_is_changed_and_left_and_the_body_comes_back(kind: str):
    async with goim() as here, here.client(kind) as client:
        await client.auth(mid=1, room_id="live://1")
        assert await client.ask(12, b"live://2") == (1, 13, 9, b"live://2")
        assert await client.ask(12, b"live://2") == (1, 13, 9, b"live://2")
        await here.hub.publish("live://1", b"old room", op=1000)
        await here.hub.publish("live://2", b"new room", op=1000)
        assert await client.frame() == (1, 1000, 0, b"new room")
        assert await client.ask(12) == (1, 13, 9, b"")
        assert here.hub.online("live://2").clients == 0


@BOTH
async def test_operations_are_subscribed_and_unsubscribed_and_nonsense_is_ignored(kind: str):
    async with goim() as here, here.client(kind) as client:
        await client.auth(mid=1, accepts=[1000])
        assert await client.ask(14, b"1001,1002") == (1, 15, 9, b"1001,1002")
        assert await client.ask(16, b"1000") == (1, 17, 9, b"1000")
        assert await client.ask(14, b"1000,x") == (1, 15, 9, b"1000,x")
        sent = [here.hub.send_user("1", b"hi", op=op) for op in (1000, 1001, 1002)]
        assert sent == [0, 1, 1]
        assert [(await client.frame()).op for _ in range(2)] == [1001, 1002]


@BOTH
@pytest.mark.parametrize("op", [0, 1, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 999, -1])
async def test_any_other_operation_comes_back_without_its_body(kind: str, op: int):
    async with goim() as here, here.client(kind) as client:
        await client.auth(mid=1)
        assert await client.ask(op, b'{"mid":2}') == (1, op, 9, b"")
        assert [member.sender.user for member in here.hub.members.all()] == ["1"]


@BOTH
async def test_nothing_that_a_client_sends_is_published_where_it_is(kind: str):
    async with goim() as here, here.client(kind) as client:
        await client.auth(mid=1, room_id="room://live/talk")
        for op in (4, 5, 1000):
            await client.ask(op, b'{"type":"seat.unmuted","changes":{"phase":"ended"}}')
        history = await here.hub.history("room:live/talk", limit=-1)
        assert list(history.publications) == []
        assert here.hub.online("room:live/talk").clients == 1


@BOTH
async def test_what_comes_before_auth_is_skipped_but_not_for_ever(kind: str, caplog):
    async with goim() as here, here.client(kind) as client:
        for _ in range(5):
            await client.send(2)
        assert (await client.auth(mid=1)).op == 8
        async with here.client(kind) as flooder:
            for _ in range(17):
                await flooder.send(2)
            assert await flooder.closed()
    assert "17 frames before AUTH" in lines(caplog)[-1].fields["reason"]


async def test_room_pushes_reach_each_transport_in_its_own_shape():
    async with goim() as here, here.tcp() as tcp, here.ws() as ws:
        for client in (tcp, ws):
            await client.auth(mid=1, room_id="live://1")  # accepts nothing: rooms do not ask
        await here.hub.publish("live://1", b"one", op=1000)
        assert await tcp.stream.receive_some() == pack(1000, b"one", seq=0)
        assert await ws.message() == pack(9, pack(1000, b"one", seq=0), seq=0)


async def test_what_others_say_has_the_operation_of_a_message():
    async with goim() as here, here.tcp() as client:
        await client.auth(mid=1, room_id="room://live/movie")
        await here.hub.publish("room:live/movie", b"said by a Centrifugo client")
        assert (await client.frame())[1:] == (5, 0, b"said by a Centrifugo client")


@BOTH
async def test_the_same_key_kicks_the_older_connection(kind: str):
    async with goim() as here, here.client(kind) as first, here.client(kind) as second:
        await first.auth(mid=1, key="k", room_id="live://1")
        await second.auth(mid=1, key="k", room_id="live://1")
        assert await first.closed()
        assert await second.beat() == 1


async def test_with_tokens_a_key_belongs_to_its_user(caplog):
    async with goim(shared_keys=False) as here, here.tcp() as first, here.tcp() as second:
        await first.auth(key="k", token="token of a")
        await second.send(7, b'{"key":"k","token":"token of b"}')
        assert await second.closed()
        assert await first.beat() == 0
        async with here.tcp() as third:
            assert (await third.auth(key="k", token="token of a")).op == 8
            assert await first.closed()
    assert "in use by another user" in " ".join(line.fields["reason"] for line in lines(caplog))


async def test_a_guest_gets_nothing_by_a_key_and_keeps_nobody_out_of_it():
    async with goim(shared_keys=False) as here, here.tcp() as guest, here.tcp() as owner:
        await guest.auth(key="alice-phone", accepts=[1000])
        assert here.hub.members.get(member_id("alice-phone")) is None
        await owner.auth(key="alice-phone", token="token of alice", accepts=[1000])
        assert here.hub.members.get(member_id("alice-phone")).sender.user == "alice"
        async with here.tcp() as late:  # nor does one who comes later end the owner's
            await late.auth(key="alice-phone")
            assert await owner.beat() == 0
        assert await guest.beat() == 0


async def test_a_wrong_token_closes_with_the_reason_in_the_log(caplog):
    async with goim() as here, here.tcp() as client:
        await client.send(7, b'{"mid":1,"token":"forged"}')
        assert await client.closed()
    (line,) = lines(caplog)
    assert (line.event, line.fields["reason"]) == ("refused", "invalid token")


@BOTH
async def test_no_auth_in_time_ends_the_connection(kind: str, autojump_clock, caplog):
    patiently(autojump_clock)
    async with goim(handshake=8.0) as here, here.client(kind) as client:
        assert await client.closed()
    assert lines(caplog)[-1].fields["reason"] == "goim: no AUTH within 8 s"


@BOTH
async def test_only_heartbeats_keep_a_connection(kind: str, autojump_clock):
    patiently(autojump_clock)
    async with goim(heartbeat=60.0, heartbeat_max=2) as here, here.client(kind) as client:
        await client.auth(mid=1)
        begun = trio.current_time()
        for _ in range(4):
            await trio.sleep(50)
            await client.beat()
        assert trio.current_time() >= begun + 200
        while trio.current_time() < begun + 310:
            await trio.sleep(10)
            await client.ask(4, b"other traffic")
        assert await client.closed()
        assert trio.current_time() < begun + 200 + 120 + 20


async def test_banned_ones_stay_outside_and_those_inside_go_on_without_a_room(caplog):
    async with goim() as here, here.tcp() as client:
        await client.auth(mid=1, room_id="live://1")
        here.hub.ban("live://1", Subject("user", "1"), float("inf"))
        assert await client.beat() == 0
        await client.send(12, b"live://1")
        assert await client.closed()
    assert lines(caplog)[-1].event == "refused"


BAD_ROOMS = {
    "no type": "1000",
    "no room": "live://",
    "64 KB": "live://" + "x" * 4000,
    "a newline": "live://a\nb",
    "a bidirectional override": "live://\u202eb",
    "a private channel": "$secret://1",
}


@BOTH
@pytest.mark.parametrize("name", BAD_ROOMS)
async def test_an_impossible_room_ends_the_connection(kind: str, name: str, caplog):
    async with goim() as here, here.client(kind) as client:
        await client.auth(mid=1)
        await client.send(12, BAD_ROOMS[name].encode())
        assert await client.closed()
        async with here.client(kind) as second:
            await second.send(7, json.dumps({"room_id": BAD_ROOMS[name]}).encode())
            assert await second.closed()
    assert {line.event for line in lines(caplog)} == {"refused"}


async def test_a_websocket_is_told_in_its_close_frame_why_it_ends(caplog):
    async with goim() as here, here.ws() as client:
        await client.auth(mid=1)
        await client.send(12, b"nowhere")
        with pytest.raises(ConnectionClosed):
            await client.message()
        assert client.socket.closed.code == 1008
        assert client.socket.closed.reason == "a room id is type://room"


HOSTILE = {
    "a lying length": b"\x7f" + pack(2)[1:],
    "another header length": b"\x00\x00\x00\x10\x00\x0c" + bytes(10),
    "a body of 4097 bytes": pack(4, bytes(4097)),
    "a room that is not UTF-8": pack(12, b"live://\xff"),
    "2,000 operations": pack(14, b",".join(b"%d" % n for n in range(2000))[:4000] + b"1"),
    "a flood of rooms": b"".join(pack(12, b"live://%d" % n) for n in range(30)),
}


@BOTH
@pytest.mark.parametrize("name", HOSTILE)
async def test_hostile_frames_end_that_one_connection_with_a_reason(kind: str, name: str, caplog):
    async with goim() as here, here.client(kind) as client, here.tcp() as other:
        await other.auth(mid=2)
        await client.auth(mid=1)
        if kind == "ws" and name == "a flood of rooms":
            for number in range(30):
                await client.send(12, b"live://%d" % number)
        elif name == "2,000 operations":
            await client.send_raw(pack(14, b",".join(b"%d" % n for n in range(1000))))
            await client.frame()
            await client.send_raw(pack(14, b",".join(b"%d" % n for n in range(2000, 2800))))
        else:
            await client.send_raw(HOSTILE[name])
        while not await client.closed():
            pass
        assert await other.beat() == 0
    assert [line.event for line in lines(caplog)] == ["peer broke the protocol"]


async def test_one_that_does_not_read_its_replies_is_not_read_either():
    async with goim() as here, here.tcp() as client:
        await client.auth(mid=1)
        sent = 0
        with trio.move_on_after(1):
            while True:  # echoes of op 4 without a body: 16 bytes for 16
                await client.send_raw(pack(4) * 1000)
                sent += 16_000
        (member,) = here.hub.members.all()
        assert member.outbox.queued < 1 << 20


async def test_cancelling_leaves_no_member_and_no_room():
    async with AsyncExitStack() as streams:
        async with goim() as here:
            await _crowd(here, streams)
            hub = here.hub
            assert len(hub.members) == 20
    assert len(hub.members) == 0
    assert all(not channel.members for channel in hub.channels)


async def _crowd(here: Goim, streams: AsyncExitStack) -> None:
    for number in range(20):
        client = await streams.enter_async_context(here.tcp())
        await client.auth(mid=number, room_id="live://1")


async def test_anonymous_may_be_refused(caplog):
    async def strict(login, client, ip):
        raise Refused(RefusalCode.UNAUTHORIZED, "a token is needed")

    async with goim(identify=strict) as here, here.ws() as client:
        await client.send(7, b'{"mid":1}')
        assert await client.closed()
    assert lines(caplog)[-1].fields["reason"] == "a token is needed"


async def test_a_server_that_stops_says_so_in_the_close_frame():
    async with goim() as here, here.ws() as client, here.tcp() as other:
        await client.auth(mid=1)
        await other.auth(mid=2)
        await here.hub.shut()
        with pytest.raises(ConnectionClosed) as closed:
            await client.frame()
        assert (closed.value.reason.code, closed.value.reason.reason) == (3001, "shutdown")
        assert await other.closed()


async def test_a_room_that_names_its_users_admits_nobody_else():
    async with goim() as here, here.tcp() as one, here.tcp() as other:
        await one.auth(mid=42)
        assert (await one.ask(12, b"dialog://x#42,43")).op == 13
        await other.auth(mid=4)
        await other.send(12, b"dialog://x#42,43")
        assert await other.closed()


async def test_a_heartbeat_does_not_look_at_every_member(monkeypatch):
    async with goim() as here, here.tcp() as client:
        await client.auth(mid=1, room_id="live://1")
        monkeypatch.setattr(here.hub, "online", None)
        assert await client.beat() == 1
