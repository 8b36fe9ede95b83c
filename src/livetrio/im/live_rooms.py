"""Live rooms: a stream and its room share the name; what happens to the stream is told there."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Final

import trio

from livetrio.errors import Refused
from livetrio.im.hub import Hub
from livetrio.im.options import check_channel, room_of_stream
from livetrio.im.words import Lane
from livetrio.logs import get_logger
from livetrio.media.events import Event
from livetrio.media.registry import Registry
from livetrio.packet import StreamKey

__all__ = ["LiveRooms"]

log = get_logger(__name__)

_EVERY: Final = 5.0
"""Seconds between two announcements of how many watch, where that has changed."""
_SLICE: Final = 200
_TOLD: Final = frozenset({"stream.online", "stream.resumed", "stream.offline"})


def _never(app: str, name: str) -> bool:  # noqa: ARG001
    return False


class LiveRooms:
    """System messages in `room:{app}/{name}`: JSON objects with a "type".

    `stream.online`, `stream.offline` (with the reason), and `stream.viewers` with "viewers"
    (who watch) and "online" (who are in the room). The first two are numbered and remembered;
    counts are state: only the newest matters, so they are neither.
    """

    def __init__(
        self, hub: Hub, registry: Registry, is_told: Callable[[str, str], bool] = _never
    ) -> None:
        """is_told: does somebody else tell what happens to the stream (app, name)? The streams
        of a co-host room: its own events say it all."""
        self._hub = hub
        self._is_told = is_told
        self._online: set[str] = set()
        """Streams of which it was told here that they came."""
        self._registry = registry
        self._told: dict[str, tuple[int, int]] = {}

    async def run(self) -> None:
        """Tell, until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._tell_events, name="im stream events")
            nursery.start_soon(self._tell_counts, name="im viewer counts")

    async def _tell_events(self) -> None:
        with self._registry.events.listen(self._is_ours) as events:
            async for event in events:
                app, _, name = str(event.data.get("stream", "")).partition("/")
                if not name:  # of those that were lost
                    continue
                words = {"type": event.type, "stream": f"{app}/{name}"}
                if "reason" in event.data:
                    words["reason"] = str(event.data["reason"])
                await self._say(room_of_stream(app, name), words, Lane.P0)

    def _is_ours(self, event: Event) -> bool:
        """Is it to be told? Asked as it happens: a moment later the room that tells it itself may
        have ended. Who was not told that a stream came is not told that it went."""
        if event.type not in _TOLD:
            return False
        stream = str(event.data["stream"])
        if event.type == "stream.offline":
            ours = stream in self._online
            self._online.discard(stream)
            return ours
        app, _, name = stream.partition("/")
        if self._is_told(app, name):
            return False
        self._online.add(stream)
        return True

    async def _tell_counts(self) -> None:
        while True:
            await trio.sleep(_EVERY)
            for index, key in enumerate(list(self._registry.streams)):
                if index % _SLICE == _SLICE - 1:
                    await trio.lowlevel.checkpoint()
                await self._tell_count(key)
            alive = {room_of_stream(*key) for key in self._registry.streams}
            self._told = {room: told for room, told in self._told.items() if room in alive}

    async def _tell_count(self, key: StreamKey) -> None:
        stream = self._registry.streams.get(key)
        if stream is None:
            return
        room = room_of_stream(*key)
        online = self._hub.online(room).clients
        if not online:  # nobody would hear it
            self._told.pop(room, None)
            return
        viewers = sum(client.role == "player" for client in stream.clients.values())
        if self._told.get(room) != (viewers, online):
            self._told[room] = viewers, online
            words = {"type": "stream.viewers", "viewers": viewers, "online": online}
            await self._say(room, words, Lane.P2)

    async def _say(self, room: str, words: dict[str, object] | dict[str, str], lane: Lane) -> None:
        data = json.dumps(words, ensure_ascii=False, separators=(",", ":")).encode()
        try:
            check_channel(room)
            await self._hub.publish(room, data, lane=lane, skip_history=lane is Lane.P2)
        except Refused as refused:
            log.warning("a stream's room was not told", room=room, reason=refused.reason)
