"""Co-host and voice rooms: their state told in IM, their media, and their commands on web_addr."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import trio

from livetrio.compose.node import Node
from livetrio.config import Config
from livetrio.control.rooms import RoomsRest
from livetrio.control.table import Operation
from livetrio.im.hub import Hub
from livetrio.im.options import room_of_stream
from livetrio.im.words import Lane, Sender
from livetrio.media.mix.composer import compose
from livetrio.net.listen import Listener
from livetrio.packet import StreamKey
from livetrio.webrtc.editions import Editions
from livetrio.webrtc.player import Players
from livetrio.webrtc.rooms.room_service import Rooms, open_rooms
from livetrio.webrtc.rooms.studio import Studio

__all__ = ["RoomsPart", "opened_rooms"]

_LAST_WORD: Final = 0.5
"""Seconds until those who follow a room that has ended have been told so."""
_LOOK: Final = 0.02
_UNSUBSCRIBED: Final = 2000
"""Centrifugo's code: taken out by the server, and not to come again by itself."""


@dataclass(frozen=True)
class RoomsPart:
    """What of rooms others need."""

    rooms: Rooms
    studio: Studio
    """The meetings that sessions receive."""
    players: Players
    """Of the node: rooms' feeds are counted among them."""
    operations: Sequence[Operation]
    """Of the public face."""


@asynccontextmanager
async def opened_rooms(
    config: Config, node: Node, hub: Hub, listeners: Mapping[str, Listener]
) -> AsyncIterator[RoomsPart]:
    """Rooms until the block ends; each that lives then is ended, with a word to its members."""

    async def tell(room: StreamKey, data: bytes, numbered: bool) -> None:
        lane = Lane.P0 if numbered else Lane.P2
        await hub.publish(room_of_stream(*room), data, lane=lane, skip_history=not numbered)

    async def close(room: StreamKey) -> None:
        await _close_channel(hub, room_of_stream(*room))

    def may_enter(room: StreamKey, user: str) -> None:
        now = trio.current_time()
        hub.moderation.check_ban(room_of_stream(*room), Sender(user), now)

    recorded = {name for name, app in config.apps.items() if app.record or app.static_push}
    players = Players()
    studio = Studio(
        node.registry,
        Editions(node.renditions, on_request=True),
        players,
        node.seats,
        config.rooms,
        compose=compose,
        lasting=recorded.__contains__,
    )
    async with (
        open_rooms(config.rooms, tell, studio, close=close, may_enter=may_enter) as rooms,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(studio.run, name="studio")
        rest = RoomsRest(
            rooms,
            node.tokens,
            config.apps,
            node.gate,
            rtmp=listeners["rtmp"].address if "rtmp" in listeners else None,
        )
        yield RoomsPart(rooms, studio, players, rest.operations())
        nursery.cancel_scope.cancel()


async def _close_channel(hub: Hub, name: str) -> None:
    """A room that has ended has no channel: its members are taken out when they have its last
    word, and what was said is forgotten."""
    channel = hub.channels.find(name)
    if channel is None:
        return
    with trio.move_on_after(_LAST_WORD):
        # An event in each channel for the sake of this moment would cost all of them more.
        while channel.members and (channel.busy or channel.delivering):  # noqa: ASYNC110
            await trio.sleep(_LOOK)
    for member in list(channel.members):
        hub.leave(member, name)
        member.on_removed(name, _UNSUBSCRIBED, "the room has ended")
    await hub.forget_history(name)
    hub.channels.discard(name)
