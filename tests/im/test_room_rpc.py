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


@pytest.mark.parametrize("device", ["d", ""])
async def test_a_guest_of_the_room_is_found_and_pardoned_and_his_address_is_not_told(hub, device):
    call = caller(hub)
    guest = Listener("c1", "", device=device, ip="192.0.2.1")
    with hub.present(guest):
        with pytest.raises(Refused, match="not in the room"):
            await call(BOSS, "room.mute", client="c1")
        await hub.join(guest, ROOM)
        muted = await call(BOSS, "room.mute", client="c1")
        assert list(muted) == ["guest"]
        assert "192.0.2.1" not in muted["guest"]
        assert await call(BOSS, "room.mute", client="c1") == muted
        with pytest.raises(Refused, match="muted"):
            await hub.publish(ROOM, b"hi", sender=guest.sender)
        await call(BOSS, "room.unmute", **muted)
        await hub.publish(ROOM, b"hi", sender=guest.sender)


async def test_a_rooms_ban_of_an_address_is_not_about_its_owner_behind_it(hub):
    call = caller(hub)
    hub.rules.change(ROOM, hub.namespaces.of(ROOM), owners=frozenset({"owner"}))
    guest = Listener("c1", "", ip="192.0.2.1")
    owner = Listener("c2", "owner", ip="192.0.2.1")
    with hub.present(guest), hub.present(owner):
        await hub.join(guest, ROOM)
        await hub.join(owner, ROOM)
        await call(BOSS, "room.ban", client="c1")
        assert len(guest.removed) == 1
        assert not owner.removed
        await hub.publish(ROOM, b"hi", sender=owner.sender)
        hub.leave(owner, ROOM)
        await hub.join(owner, ROOM)
        with pytest.raises(Refused, match="banned"):
            await hub.join(guest, ROOM)


async def test_moderators_do_not_mute_each_other(hub):
    call = caller(hub)
    hub.rules.change(ROOM, hub.namespaces.of(ROOM), owners=frozenset({"owner"}))
    other = Listener("c2", "other", roles=["moderator"])
    with hub.present(other):
        await hub.join(other, ROOM)
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
        ("room.unmute", {"user": "a", "guest": "b"}, RefusalCode.BAD_REQUEST),
        ("room.unmute", {"guest": "unknown"}, RefusalCode.BAD_REQUEST),
        ("room.unmute", {"ip": "b"}, RefusalCode.BAD_REQUEST),
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
