"""Rooms under test: a room with a clock and a follower, and rooms as a service with ears."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from livetrio.access.im_token import Claims
from livetrio.access.seats import SeatBook
from livetrio.config import RoomsConfig
from livetrio.errors import RefusalCode, Refused
from livetrio.media.client import Client
from livetrio.media.mix.options import MixOptions
from livetrio.media.mix.scene import Stage
from livetrio.media.registry import Registry, open_registry
from livetrio.media.renditions import Renditions
from livetrio.net.scope import Scope, open_scope
from livetrio.packet import StreamKey
from livetrio.webrtc.editions import Editions
from livetrio.webrtc.player import Players
from livetrio.webrtc.rooms.actions import Action, Caller, Command
from livetrio.webrtc.rooms.events import Event, merged
from livetrio.webrtc.rooms.live_room import LiveRoom
from livetrio.webrtc.rooms.media import RoomMedia
from livetrio.webrtc.rooms.pace import Pace
from livetrio.webrtc.rooms.room import Room
from livetrio.webrtc.rooms.room_service import MayEnter, Rooms, open_rooms
from livetrio.webrtc.rooms.seat import SeatState
from livetrio.webrtc.rooms.state import RoomOptions, RoomTimes
from livetrio.webrtc.rooms.studio import Studio

__all__ = [
    "KEY",
    "OTHER",
    "Ears",
    "Followed",
    "Site",
    "battle",
    "command",
    "consistent",
    "end_battle",
    "freely",
    "rooms",
    "settled",
    "site",
    "user",
    "whose",
]

KEY = StreamKey("live", "talk")
OTHER = StreamKey("live", "other")


def user(name: str, *roles: str) -> Caller:
    """Somebody with a token."""
    return Caller(name, name.title(), frozenset(roles))


def command(action: Action | str, by: Caller | str, **fields: Any) -> Command:
    """An action by somebody."""
    caller = user(by) if isinstance(by, str) else by
    return Command(action=Action(action), by=caller, **fields)


def battle(
    rooms: Rooms, room: StreamKey, by: Caller, other: StreamKey, seconds: int, **fields: Any
) -> Sequence[Event]:
    """A room asks another for a PK, or agrees to one."""
    asked = command(Action.BATTLE, by, other=other, seconds=seconds, **fields)
    return rooms.command(room, asked)


def end_battle(
    rooms: Rooms, room: StreamKey, by: Caller, asker: StreamKey | None = None, **fields: Any
) -> Sequence[Event]:
    """A room ends its PK, takes its ask back, or declines that of another."""
    return rooms.command(room, command(Action.END_BATTLE, by, other=asker, **fields))


class Followed:
    """A room of "anna" with a clock of its own, and a follower who knows it from events only."""

    def __init__(
        self,
        kind: str = "video",
        *,
        seats: int = 4,
        free: bool = False,
        pace: Pace | None = None,
        **times: float,
    ) -> None:
        self.now = 1000.0
        options = RoomOptions(kind=kind, seats=seats, free=free)
        self.room = Room(
            KEY, user("anna"), options, RoomTimes(**times), self.now,
            epoch=1e9, life="first", pace=pace or Pace(1e9, 10**9),
        )  # fmt: skip
        self.known: dict[str, Any] = {}
        self.events: list[Event] = []
        self.hear(self.room.opened)

    def hear(self, events: Sequence[Event]) -> Sequence[Event]:
        """Follow events, each but once."""
        for event in events:
            if event.version <= self.known.get("version", 0):
                continue
            assert event.version == self.known.get("version", 0) + 1
            # As they arrive: through JSON.
            self.known = merged(self.known, json.loads(json.dumps(event.changes)))
            self.events.append(event)
        return events

    def do(self, action: str, by: Caller | str, **fields: Any) -> Sequence[Event]:
        """Give a command."""
        return self.hear(self.room.apply(command(action, by, **fields), self.now))

    def refused(self, code: RefusalCode, action: str, by: Caller | str, **fields: Any) -> str:
        """Give one that changes nothing; the reason."""
        before = self.room.state.view()
        with pytest.raises(Refused) as refusal:
            self.do(action, by, **fields)
        assert refusal.value.code is code, refusal.value.reason
        assert self.room.state.view() == before
        return refusal.value.reason

    def arrive(self, *names: str) -> None:
        """These are connected."""
        for name in names:
            self.hear(self.room.arrive(name, self.now))

    def lose(self, *names: str) -> None:
        """These are not any more."""
        for name in names:
            self.hear(self.room.lose(name, self.now))

    def wait(self, seconds: float) -> Sequence[Event]:
        """Time passes; what was due is done."""
        self.now += seconds
        return self.hear(self.room.tick(self.now))

    def seat(self, number: int) -> dict[str, Any]:
        """As the follower knows it."""
        return self.known["seats"][str(number)]

    def users(self) -> dict[int, str]:
        """Who sits where."""
        seats = self.room.state.seats.values()
        return {seat.number: seat.user for seat in seats if seat.state is SeatState.TAKEN}


def consistent(room: Room, known: dict[str, Any]) -> None:
    """What holds in every room at every time."""
    state = room.state
    assert known == json.loads(json.dumps(state.view()))
    seats = list(state.seats.values())
    users = [seat.user for seat in seats if seat.user]
    assert len(users) == len(set(users))  # one user, one seat
    for seat in seats:
        held = seat.state in {SeatState.TAKEN, SeatState.RESERVED}
        assert bool(seat.user) == held
        assert seat.version <= state.version
        if not held:
            assert (seat.name, seat.hand, seat.present) == ("", False, False)
            assert seat.until == float("inf")
        if seat.state is SeatState.TAKEN:
            # Nobody has a seat whom no timer would take it from if he is not there.
            assert seat.present == (seat.user in state.present)
            assert seat.present or seat.until < float("inf")
            assert state.applications.get(seat.user) is None
    assert set(state.absent) <= set(state.applications)


class Ears:
    """All that was published, by room."""

    def __init__(self) -> None:
        self.heard: list[tuple[StreamKey, dict[str, Any], bool]] = []
        self.refuses = False

    async def publish(self, room: StreamKey, data: bytes, numbered: bool) -> None:
        await trio.lowlevel.checkpoint()  # as whoever tells it may do: cancelled is not told
        if self.refuses:
            raise Refused(RefusalCode.UNAVAILABLE, "no messages today")
        self.heard.append((room, json.loads(data), numbered))

    def types(self, room: StreamKey = KEY) -> list[str]:
        """Of a room's events."""
        return [words["type"] for key, words, _ in self.heard if key == room]

    def state(self, room: StreamKey = KEY) -> dict[str, Any]:
        """A room as its events tell it."""
        state: dict[str, Any] = {}
        for key, words, numbered in self.heard:
            if key == room and numbered:
                first = words["type"] == "room.opened"
                assert words["version"] == (1 if first else state["version"] + 1)
                state = merged({} if first else state, words["changes"])
        return state


@asynccontextmanager
async def rooms(ears: Ears | None = None, **config: Any) -> AsyncIterator[Rooms]:
    """Those of a site, which everybody may create, unless something else is said."""
    async with site(ears, **config) as on:
        yield on.rooms


@dataclass
class Site:
    """Rooms with media: real ones, but for what composes."""

    rooms: Rooms
    registry: Registry
    seats: SeatBook
    studio: Studio
    nursery: trio.Nursery
    composed: dict[StreamKey, Stage] = field(default_factory=dict)
    """The stages of the streams that are being composed now."""
    needed: dict[StreamKey, trio.Event] = field(default_factory=dict)
    """Set one, and nobody needs that stream any more."""

    async def opened(self, *seated: str, kind: str = "video", key: StreamKey = KEY) -> LiveRoom:
        """A room of "anna" (the other one: of "zoe"); these have its seats from 2 on."""
        owner = user("anna" if key == KEY else "zoe")
        live = await self.rooms.create(key, owner, self.rooms.options(kind, seats=4, free=True))
        for number, name in enumerate(seated, start=2):
            self.rooms.command(key, command("take", name, seat=number))
        return live

    async def publish(self, stream: str, name: str) -> Scope:
        """Somebody publishes until his scope is ended."""
        key = StreamKey("live", stream)
        scope: Scope = await self.nursery.start(self._publish, key, name)
        await settled()
        return scope

    def media(self, key: StreamKey = KEY) -> RoomMedia:
        """Of a room."""
        return self.studio.meeting(key)

    def shown(self, key: StreamKey = KEY) -> tuple[list[int | None], list[int | None]]:
        """The seats in the slots of a room's feed, pictures and sound."""
        video, audio = self.media(key).feed._shown
        return [s and s.seat for s in video], [s and s.seat for s in audio]

    async def compose(
        self, registry: Registry, key: StreamKey, stage: Stage, options: MixOptions
    ) -> None:
        """In place of the real one: publishes, until nobody needs it."""
        assert options.video == (self.media().feed.video_slots > 0)
        self.composed[key], self.needed[key] = stage, trio.Event()
        try:
            async with open_scope("mix", str(key)) as scope:
                client = Client("publisher", "mix", scope)
                async with registry.publish(key, client, takeover=False) as publication:
                    publication.finish()
                    await self.needed[key].wait()
        finally:
            del self.composed[key]

    async def _publish(
        self, key: StreamKey, name: str, task_status: trio.TaskStatus[Scope]
    ) -> None:
        async with open_scope("client", name) as scope:
            client = Client("publisher", "rtmp", scope, user=name)
            async with self.registry.publish(key, client, takeover=True):
                task_status.started(scope)
                await trio.sleep_forever()


async def settled() -> None:
    """All that follows from what has happened has been done."""
    await wait_all_tasks_blocked(0.01)


async def quietly(room: StreamKey) -> None:
    """Who followed it may still read what it said."""


def freely(room: StreamKey, user: str) -> None:
    """Nobody is banned."""


async def whose(token: str) -> Claims:
    """Tokens are "x.user.y" here."""
    _, name, _ = token.split(".")
    return Claims(sub=name)


@asynccontextmanager
async def site(
    ears: Ears | None = None,
    *,
    lasting: bool = False,
    may_enter: MayEnter = freely,
    **config: Any,
) -> AsyncIterator[Site]:
    """Rooms with media, which everybody may create."""
    settings = RoomsConfig(**{"create": "anyone", **config})
    told = (ears or Ears()).publish
    async with open_registry(resume_window=5.0) as registry, trio.open_nursery() as nursery:
        seats = SeatBook(whose)
        made: list[Site] = []

        async def compose(*asked: Any) -> None:
            await made[0].compose(*asked)

        studio = Studio(
            registry, Editions(Renditions()), Players(), seats, settings,
            compose=compose, lasting=lambda app: lasting and app == "live",
        )  # fmt: skip
        nursery.start_soon(studio.run)
        async with open_rooms(settings, told, studio, close=quietly, may_enter=may_enter) as rooms:
            made.append(Site(rooms, registry, seats, studio, nursery))
            yield made[0]
        nursery.cancel_scope.cancel()
