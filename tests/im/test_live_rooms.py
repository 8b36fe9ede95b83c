"""What happens to a stream is told in its room."""

from __future__ import annotations

import json

import pytest
import trio
from kit.im import Listener

from livetrio.im.hub import open_hub
from livetrio.im.live_rooms import LiveRooms
from livetrio.im.options import ChannelOptions, Namespaces
from livetrio.media.client import Client
from livetrio.media.registry import open_registry
from livetrio.net.scope import open_scope
from livetrio.packet import StreamKey

KEY = StreamKey("live", "show/1")
ROOM = "room:live/show/1"


@pytest.fixture
async def world():
    namespaces = Namespaces([("room:*", ChannelOptions(live=True))])
    async with (
        open_scope("test", "root"),
        open_registry(resume_window=1) as registry,
        open_hub(namespaces=namespaces) as hub,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(LiveRooms(hub, registry).run)
        await trio.testing.wait_all_tasks_blocked()
        yield hub, registry
        nursery.cancel_scope.cancel()


def types(listener):
    return [json.loads(text)["type"] for text in listener.said]


async def test_online_and_offline_are_told_and_remembered(autojump_clock, world):
    hub, registry = world
    m, late = Listener("m"), Listener("late")
    with hub.present(m), hub.present(late):
        await hub.join(m, ROOM)
        async with open_scope("test", "publisher") as scope:
            client = Client("publisher", "test", scope)
            async with registry.publish(KEY, client, takeover=False) as publication:
                await trio.sleep(0.5)
                assert types(m) == ["stream.online"]
                publication.finish()
        await trio.sleep(2)
        joined = await hub.join(late, ROOM, backlog=10)
    assert types(m) == ["stream.online", "stream.offline"]
    assert json.loads(m.said[1])["stream"] == "live/show/1"
    assert json.loads(m.said[1])["reason"]
    assert [json.loads(p.data)["type"] for p in joined.publications] == types(m)
    assert {line["lane"] for line in m.heard} == {0}


async def test_how_many_watch_is_told_when_it_changes_and_not_numbered(autojump_clock, world):
    hub, registry = world
    m = Listener("m")
    with hub.present(m):
        await hub.join(m, ROOM)
        async with open_scope("test", "publisher") as scope:
            client = Client("publisher", "test", scope)
            async with registry.publish(KEY, client, takeover=False):
                player = Client("player", "test", scope)
                async with registry.subscribe(KEY, player):
                    await trio.sleep(30)
                await trio.sleep(10)
    counts = [json.loads(text) for text in m.said if "viewers" in text]
    assert counts == [
        {"type": "stream.viewers", "viewers": 1, "online": 1},
        {"type": "stream.viewers", "viewers": 0, "online": 1},
    ]
    assert m.offsets == [1]


async def test_what_a_room_tells_itself_is_not_told_even_if_it_ends_in_that_moment(
    autojump_clock, world
):
    hub, registry = world
    told_by_room = {"live/talk/1"}
    rooms = LiveRooms(hub, registry, lambda app, name: f"{app}/{name}" in told_by_room)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(rooms.run)
        await trio.testing.wait_all_tasks_blocked()
        registry.events.publish("stream.online", stream="live/talk/1")
        told_by_room.clear()  # before anybody could read that
        registry.events.publish("stream.offline", stream="live/talk/1", reason="the room has ended")
        registry.events.publish("stream.online", stream="live/other")
        await trio.sleep(1)
        nursery.cancel_scope.cancel()
    said = {room.name: len((await hub.history(room.name, limit=-1)).publications)
            for room in hub.channels}  # fmt: skip
    # by the one of `world`, too, who knows of no rooms
    assert said == {"room:live/talk/1": 2, "room:live/other": 2}


async def test_a_stream_that_was_never_there_is_not_told_to_have_gone(autojump_clock, world):
    hub, registry = world
    registry.events.publish("stream.offline", stream="live/never", reason="nobody came")
    await trio.sleep(1)
    assert list(hub.channels) == []


async def test_a_room_that_cannot_be_named_harms_nobody(autojump_clock, world):
    hub, registry = world
    registry.events.publish("stream.online", stream="live/" + "x" * 300)
    registry.events.publish("stream.online", stream="live/fine")
    await trio.sleep(1)
    assert [room.name for room in hub.channels] == ["room:live/fine"]
