"""Rooms under test: a room with a clock and a follower, and rooms as a service with ears."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio

from livetrio.config import RoomsConfig
from livetrio.errors import RefusalCode, Refused
from livetrio.packet import StreamKey
from livetrio.webrtc.rooms.actions import Action, Caller, Command
from livetrio.webrtc.rooms.events import Event, merged
from livetrio.webrtc.rooms.pace import Pace
from livetrio.webrtc.rooms.room import Room
from livetrio.webrtc.rooms.room_service import Rooms, open_rooms
from livetrio.webrtc.rooms.seat import SeatState
from livetrio.webrtc.rooms.state import RoomOptions, RoomTimes

__all__ = ["KEY", "OTHER", "Ears", "Followed", "command", "consistent", "rooms", "user"]

KEY = StreamKey("live", "talk")
OTHER = StreamKey("live", "other")


def user(name: str, *roles: str) -> Caller:
    """Somebody with a token."""
    return Caller(name, name.title(), frozenset(roles))


def command(action: Action | str, by: Caller | str, **fields: Any) -> Command:
    """An action by somebody."""
    caller = user(by) if isinstance(by, str) else by
    return Command(action=Action(action), by=caller, **fields)


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
    """Rooms that everybody may create, unless something else is said."""
    settings = RoomsConfig(**{"create": "anyone", **config})
    async with open_rooms(settings, (ears or Ears()).publish) as opened:
        yield opened
