"""Cast: the parts of a stage, each with its follower and its number, as the stage changes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial
from typing import Final, NoReturn

import trio

from livetrio.media.events import Event
from livetrio.media.mix.follower import Follower
from livetrio.media.mix.lanes import MOST_PARTS, scene_message
from livetrio.media.mix.outgoing import Outgoing
from livetrio.media.mix.scene import Part, Stage
from livetrio.media.registry import Registry
from livetrio.media.stream import Stream
from livetrio.packet import StreamKey

__all__ = ["Cast"]

_MOST: Final = MOST_PARTS // 2
"""Parts of a scene that take part; more there are in no room."""


class _Member:
    """A follower and what ends it."""

    __slots__ = ("follower", "life")

    def __init__(self, follower: Follower) -> None:
        self.follower = follower
        self.life = trio.CancelScope()


class Cast:
    """For one worker's life: with the next one everybody begins anew."""

    def __init__(self, registry: Registry, outgoing: Outgoing) -> None:
        self._registry = registry
        self._outgoing = outgoing
        self._members: dict[tuple[str, StreamKey], _Member] = {}
        self._newest = 0  # the number to be given next, if it is free
        self._lot = trio.lowlevel.ParkingLot()

    async def run(self, stage: Stage) -> NoReturn:
        """Follow what the stage shows until cancelled."""
        # Listening begins before anybody waits: what came in between would never be heard of.
        with self._registry.events.listen() as events:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._look_out, events)
                while True:
                    self._show(stage, nursery)
                    await stage.changed()
        raise AssertionError("unreachable: stages do not end")

    def ask_key_frame(self, number: int) -> None:
        """The worker cannot decode a part's picture any more."""
        for member in self._members.values():
            if member.follower.number == number:
                member.follower.ask_key_frame()

    def _show(self, stage: Stage, nursery: trio.Nursery) -> None:
        scene = replace(stage.scene, parts=stage.scene.parts[:_MOST])
        parts = {(part.id, part.stream): part for part in scene.parts}
        for place in self._members.keys() - parts.keys():
            self._members.pop(place).life.cancel()
        added = [place for place in parts if place not in self._members]
        for place in added:
            self._members[place] = self._member(parts[place])
        numbers = {id_: member.follower.number for (id_, _), member in self._members.items()}
        # First the scene: what comes for a part that the worker does not know would be lost.
        self._outgoing.put(scene_message(scene, numbers))
        for place, part in parts.items():
            member = self._members[place]
            member.follower.want(part)
            if place in added:
                nursery.start_soon(self._follow, member, name=f"follow {part.stream}")

    def _member(self, part: Part) -> _Member:
        taken = {member.follower.number for member in self._members.values()}
        # The numbers go round: under one just left the worker still has another's last picture.
        while self._newest in taken:
            self._newest = (self._newest + 1) % MOST_PARTS
        number = self._newest
        self._newest = (number + 1) % MOST_PARTS
        return _Member(Follower(part, number, self._outgoing, partial(self._present, part.stream)))

    @staticmethod
    async def _follow(member: _Member) -> None:
        with member.life:
            await member.follower.run()

    async def _present(self, key: StreamKey) -> Stream:
        """Wait for a stream with a publisher, who can be asked for a key frame."""
        while True:
            stream = self._registry.streams.get(key)
            if stream is not None and stream.publication is not None and not stream.ending:
                return stream
            await self._lot.park()

    async def _look_out(self, events: AsyncIterator[Event]) -> None:
        """Events only say when to look; see ingest/static_push.py."""
        async for event in events:
            if event.type in {"stream.online", "stream.resumed", "events.lost"}:
                self._lot.unpark_all()
