"""LiveRoom: a room as it runs: its timers, and events on their way to those who follow it."""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

import trio

from livetrio.errors import Refused
from livetrio.logs import get_logger
from livetrio.net.scope import Scope
from livetrio.packet import StreamKey
from livetrio.webrtc.rooms.battles import Battles
from livetrio.webrtc.rooms.events import Event, encode
from livetrio.webrtc.rooms.room import Room
from livetrio.webrtc.rooms.slots import audible
from livetrio.webrtc.rooms.speaking import Speaking

__all__ = ["LiveRoom", "Publish"]

log = get_logger(__name__)

Publish = Callable[[StreamKey, bytes, bool], Awaitable[None]]
"""Tell everybody who follows a room: (room, JSON, is it numbered). What is not numbered is state
of which the latest word counts: it may be lost or merged, and is not remembered. May raise
Refused."""

_MOST_PENDING: Final = 10_000
"""Events that wait to be told; with more the oldest are lost, which their numbers show."""
_PATIENCE: Final = 5.0
"""Seconds that telling one may take."""
_VOICES_EVERY: Final = 0.2
"""Seconds between two words on who is in the slots of a voice room."""
_LOGGED: Final = frozenset({"by", "user", "seat", "to", "reason", "with"})


class LiveRoom:
    """Made by `Rooms`. All calls are plain; one task, `run`, waits and tells."""

    def __init__(self, room: Room, scope: Scope, battles: Battles, publish: Publish) -> None:
        self.room = room
        self.scope = scope
        self.speaking = Speaking()
        self._battles = battles
        self._publish = publish
        self._here: Counter[str] = Counter()
        """Connections, by user."""
        self._pending: deque[tuple[bytes, bool]] = deque(maxlen=_MOST_PENDING)
        self._followers: list[Callable[[Event], None]] = []
        self._version = 0
        """Of the last event put there."""
        self._wake = trio.Event()
        self._snapshot: tuple[object, bytes] = (None, b"")
        self._voices: list[int | None] | None = None
        self._voices_told = True
        self._voices_due = -math.inf
        self._refresh: Callable[[], None] | None = None
        self.tell(room.opened)

    @property
    def key(self) -> StreamKey:
        """Its name."""
        return self.room.state.key

    def tell(self, events: Sequence[Event]) -> None:
        """Events for whoever follows the room; those that were told before are not again."""
        news = [event for event in events if event.version > self._version]
        for event in news:
            self._version = event.version
            self._pending.append((encode(event.view()), True))
            for notice in list(self._followers):
                notice(event)
            log.debug(event.type, room=str(self.key), version=event.version, **_about(event))
        if news:
            self._wake.set()
        # Thousands may apply, and change nothing for media.
        visible = any(not event.type.startswith("application.") for event in news)
        if visible and self._refresh is not None:
            self._refresh()

    def changed(self, events: Sequence[Event]) -> None:
        """The same, with what follows from a change of the room's seats."""
        if not events:
            return
        self.tell(events)
        self._battles.watch(self.key, trio.current_time())
        heard = set(audible(self.room.state.seats.values()))
        for seat in self.room.state.seats.keys() - heard:
            self.speaking.silence(seat)

    def heard(self, seat: int, level: float) -> None:
        """How loud a seat's microphone is right now, dBov (RFC 6464: -127 to 0)."""
        known = self.room.state.seats.get(seat)
        if known is None or not audible([known]):
            return
        if self.speaking.hear(seat, level, trio.current_time()):
            self._wake.set()

    def show_voices(self, slots: Sequence[int | None]) -> None:
        """Which seat each slot of a voice room holds from now on: state, and not numbered."""
        if self._voices != list(slots):
            self._voices, self._voices_told = list(slots), False
            self._wake.set()

    @property
    def opponent(self) -> StreamKey | None:
        """The room that this one is in a PK with."""
        battle = self._battles.find(self.key)
        return battle.other(self.key) if battle is not None else None

    @contextmanager
    def attended(self, user: str) -> Iterator[None]:
        """A user is connected while in the block, be it by media or for messages."""
        self._here[user] += 1
        if self._here[user] == 1:
            self.changed(self.room.arrive(user, trio.current_time()))
        try:
            yield
        finally:
            self._here[user] -= 1
            if not self._here[user]:
                del self._here[user]
                self.changed(self.room.lose(user, trio.current_time()))
                self._wake.set()  # there may be a new deadline, though nothing to tell

    @contextmanager
    def followed(self, notice: Callable[[Event], None]) -> Iterator[None]:
        """Code of this process hears of each event at once while in the block: a plain call,
        which may not give the room a command."""
        self._followers.append(notice)
        try:
            yield
        finally:
            self._followers.remove(notice)

    @contextmanager
    def carried(self, refresh: Callable[[], None]) -> Iterator[None]:
        """Somebody carries the room's media while in the block.

        refresh: called after every change of the room's state and of its PK; it may change the
            state itself.
        """
        self._refresh = refresh
        try:
            yield
        finally:
            self._refresh = None

    @property
    def present(self) -> int:
        """Users that are connected."""
        return len(self._here)

    def snapshot(self) -> bytes:
        """The whole state as JSON, for those who come late; encoded once for all of them."""
        voices = tuple(self._voices) if self._voices is not None else None
        now = (self.room.state.version, self.speaking.told, voices)
        if self._snapshot[0] != now:
            view = self.room.state.view() | {"speaking": list(self.speaking.told)}
            if voices is not None and not self.room.ended:
                view["slots"] = {"audio": list(voices)}
            self._snapshot = now, encode(view)
        return self._snapshot[1]

    async def run(self) -> None:
        """Tell what happens and do what is due, until the room has ended."""
        while True:
            self._wake = trio.Event()
            now = trio.current_time()
            self.changed(self.room.tick(now))
            self._battles.tick(self.key, now)
            self._tell_speaking(now)
            self._tell_voices(now)
            await self.flush()
            if self.room.ended:
                return
            with trio.move_on_at(self._deadline()):
                await self._wake.wait()

    async def flush(self) -> None:
        """Tell everything that waits.

        An event whose telling is cancelled waits on, for the farewell: it may be told twice, which
        its number shows, but it is not lost.
        """
        while self._pending:
            data, numbered = item = self._pending[0]
            with trio.move_on_after(_PATIENCE) as patience:
                try:
                    await self._publish(self.key, data, numbered)
                except Refused as refused:
                    log.warning("a room was not told", room=str(self.key), reason=refused.reason)
            if patience.cancelled_caught:
                log.warning("a room was not told in time", room=str(self.key), waited=_PATIENCE)
            if self._pending[0] is item:  # else it was pushed out meanwhile
                self._pending.popleft()

    def _deadline(self) -> float:
        battles = self._battles.deadline(self.key)
        voices = math.inf if self._voices_told else self._voices_due
        return min(self.room.deadline, battles, self.speaking.deadline, voices)

    def _tell_speaking(self, now: float) -> None:
        seats = self.speaking.news(now)
        if seats is None or self.room.ended:
            return
        self._say("room.speaking", seats=list(seats))

    def _tell_voices(self, now: float) -> None:
        if self._voices_told or now < self._voices_due or self.room.ended:
            return
        self._voices_told, self._voices_due = True, now + _VOICES_EVERY
        self._say("room.slots", slots={"audio": self._voices})

    def _say(self, kind: str, **about: object) -> None:
        """Something that has no number."""
        state = self.room.state
        head = {"type": kind, "room": str(state.key), "life": state.life, "version": state.version}
        self._pending.append((encode(head | about), False))


def _about(event: Event) -> Mapping[str, Any]:
    return {name: word for name, word in event.about.items() if name in _LOGGED}
