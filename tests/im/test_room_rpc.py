"""Moderators mute, ban and pardon from their own connection, and nobody else does."""

from __future__ import annotations

import json

import pytest
from kit.im import Listener

from livetrio.errors import RefusalCode, Refused
from livetrio.im.hub import open_hub
from livetrio.im.options import ChannelOptions, Namespaces
from livetrio.im.room_rpc import RoomRpc
from livetrio.im.words import Sender

pytestmark = pytest.mark.usefixtures("autojump_clock")

ROOM = "room:live/x"
BOSS = Sender("boss", "c0", roles=frozenset({"moderator"}))


@pytest.fixture
async def hub():
    async with open_hub(namespaces=Namespaces([("room:*", ChannelOptions(live=True))])) as hub:
        yield hub


def caller(hub):
    rpc = RoomRpc(hub)

    async def call(sender: Sender, method: str, **asked: object):
        return json.loads(await rpc(sender, method, json.dumps({"room": ROOM, **asked}).encode()))

    return call


async def test_who_may_moderate_is_told_so(hub):
    call = caller(hub)
    assert await call(BOSS, "room.me") == {"user": "boss", "moderator": True}
    assert await call(Sender("alice"), "room.me") == {"user": "alice", "moderator": False}
    hub.rules.change(ROOM, hub.namespaces.of(ROOM), owners=frozenset({"alice"}))
    assert await call(Sender("alice"), "room.me") == {"user": "alice", "moderator": True}


async def test_a_muted_user_is_refused_until_pardoned(hub):
    call = caller(hub)
    alice = Listener("c1", "alice")
    with hub.present(alice):
        await hub.join(alice, ROOM)
        muted = await call(BOSS, "room.mute", client="c1", seconds=60, reason="enough")
        assert muted == {"user": "alice"}
        with pytest.raises(Refused, match="muted for 60 s: enough"):
            await hub.publish(ROOM, b"hi", sender=alice.sender)
        assert await call(BOSS, "room.unmute", **muted) == {}
        await hub.publish(ROOM, b"hi", sender=alice.sender)


async def test_a_banned_user_is_out_of_the_room(hub):
    call = caller(hub)
    alice = Listener("c1", "alice")
    with hub.present(alice):
        await hub.join(alice, ROOM)
        assert await call(BOSS, "room.ban", user="alice", reason="spam") == {"user": "alice"}
        assert alice.removed == [(ROOM, 2000, "spam")]
        with pytest.raises(Refused, match="banned"):
            await hub.join(alice, ROOM)
        await call(BOSS, "room.unban", user="alice")
        await hub.join(alice, ROOM)


@pytest.mark.parametrize(
    ("who", "found"),
    [
        (Listener("c1", "", device="d", ip="192.0.2.1"), {"device": "d"}),
        (Listener("c1", "", ip="192.0.2.1"), {"ip": "192.0.2.1"}),
    ],
)
async def test_an_anonymous_connection_is_found_by_device_or_address(hub, who, found):
    with hub.present(who):
        assert await caller(hub)(BOSS, "room.mute", client="c1") == found


async def test_moderators_do_not_mute_each_other(hub):
    call = caller(hub)
    hub.rules.change(ROOM, hub.namespaces.of(ROOM), owners=frozenset({"owner"}))
    other = Listener("c2", "other", roles=["moderator"])
    with hub.present(other):
        for whom in ({"client": "c2"}, {"user": "other"}, {"user": "owner"}):
            with pytest.raises(Refused, match="that is a moderator"):
                await call(BOSS, "room.mute", **whom)


@pytest.mark.parametrize("method", ["room.mute", "room.ban", "room.unmute", "room.unban"])
async def test_others_may_not(hub, method):
    with pytest.raises(Refused) as refused:
        await caller(hub)(Sender("alice"), method, user="bob")
    assert refused.value.code is RefusalCode.FORBIDDEN
    assert len(hub.moderation) == 0


@pytest.mark.parametrize(
    ("method", "asked", "code"),
    [
        ("room.dance", {}, RefusalCode.NOT_FOUND),
        ("room.mute", {}, RefusalCode.BAD_REQUEST),
        ("room.mute", {"user": 7}, RefusalCode.BAD_REQUEST),
        ("room.mute", {"user": "a" * 256}, RefusalCode.BAD_REQUEST),
        ("room.mute", {"client": "gone"}, RefusalCode.BAD_REQUEST),
        ("room.mute", {"user": "a", "seconds": -1}, RefusalCode.BAD_REQUEST),
        ("room.mute", {"user": "a", "seconds": "1"}, RefusalCode.BAD_REQUEST),
        ("room.mute", {"user": "a", "room": ""}, RefusalCode.BAD_REQUEST),
        ("room.mute", {"user": "a", "room": "b\n"}, RefusalCode.BAD_REQUEST),
        ("room.unmute", {"user": "a", "ip": "b"}, RefusalCode.BAD_REQUEST),
    ],
)
async def test_what_makes_no_sense_is_refused(hub, method, asked, code):
    with pytest.raises(Refused) as refused:
        await caller(hub)(BOSS, method, **asked)
    assert refused.value.code is code
    assert len(hub.moderation) == 0


@pytest.mark.parametrize("data", [b"", b"[]", b"\xff", b'{"room"', b"[" * 50_000])
async def test_what_is_no_object_is_refused(hub, data):
    with pytest.raises(Refused, match="not a JSON object"):
        await RoomRpc(hub)(BOSS, "room.me", data)
