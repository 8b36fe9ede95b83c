"""Rooms and messaging together: a room's events are what members of its channel receive."""

from __future__ import annotations

import json
from typing import Any

import trio
from kit.rooms import KEY, Ears, command, user
from kit.rooms import rooms as opened_rooms
from trio.testing import wait_all_tasks_blocked

from livetrio.im.hub import open_hub
from livetrio.im.options import room_of_stream
from livetrio.im.words import Lane
from livetrio.packet import StreamKey
from livetrio.webrtc.rooms.events import merged


async def test_the_channel_s_history_leads_to_the_state(autojump_clock) -> None:
    async with open_hub() as hub:

        class Told(Ears):
            async def publish(self, room: StreamKey, data: bytes, numbered: bool) -> None:
                lane = Lane.P0 if numbered else Lane.P2
                await hub.publish(room_of_stream(*room), data, lane=lane, skip_history=not numbered)

        async with opened_rooms(Told()) as rooms:
            live = await rooms.create(KEY, user("anna"), rooms.options("voice"))
            with live.attended("anna"):
                rooms.command(KEY, command("take", "bob", seat=2))
                for _ in range(20):
                    live.heard(1, -20.0)
                    await trio.sleep(0.05)
                assert live.speaking.told == (1,)
                await trio.sleep(31)
                await wait_all_tasks_blocked()
                page = await hub.history("room:live/talk", limit=-1)
                state: dict[str, Any] = {}
                for publication in page.publications:
                    state = merged(state, json.loads(publication.data)["changes"])
                assert state == live.room.state.view()
