"""Battles: the PKs of a node: rooms ask each other, agree, are scored, and come to an end.

Plain calls with the time as an argument. A PK begins when either room has asked for the other, so
that nobody is pulled into one; what each room shows of it is an event of that room.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

from livetrio.access.seats import seat_stream
from livetrio.errors import RefusalCode, Refused
from livetrio.packet import StreamKey
from livetrio.webrtc.rooms.events import Event
from livetrio.webrtc.rooms.pace import Pace
from livetrio.webrtc.rooms.pk import Ask, Battle
from livetrio.webrtc.rooms.room import Room
from livetrio.webrtc.rooms.seat import Seat

__all__ = ["MAX_SECONDS", "Battles", "Side"]

MAX_SECONDS: Final = 3600
_MOST_ASKS: Final = 20
"""That one room is shown at a time, and at once."""
_ASKED_RATE: Final = 1.0
"""Asks per second that one room is told of after that, whoever asks."""
_AGAIN_RATE: Final = 0.1
_AGAIN_BURST: Final = 5
"""Of those that one room may make to another."""


class Side(Protocol):
    """What a PK needs of a room."""

    @property
    def room(self) -> Room: ...

    def tell(self, events: Sequence[Event]) -> None:
        """Events for whoever follows the room."""


class Battles:
    """Of all rooms of a node."""

    def __init__(self, rooms: Mapping[StreamKey, Side], patience: float = 30.0) -> None:
        """patience: seconds until a room that was asked has not agreed."""
        self._rooms = rooms
        self._patience = patience
        self._asks: dict[StreamKey, Ask] = {}
        """By who asks."""
        self._running: dict[StreamKey, Battle] = {}
        """By either side."""
        # Each ask, and its end, is an event for all who follow the room that is asked, and whoever
        # owns many rooms asks from all of them: the owners' own paces do not protect it.
        self._asked = Pace(_ASKED_RATE, _MOST_ASKS, "too many ask this room: later")
        self._again = Pace(_AGAIN_RATE, _AGAIN_BURST, "that room was asked too often: later")

    def find(self, key: StreamKey) -> Battle | None:
        """The PK that a room is in."""
        return self._running.get(key)

    def deadline(self, key: StreamKey) -> float:
        """When `tick` has something to do for this room."""
        ask, battle = self._asks.get(key), self._running.get(key)
        return min(
            ask.until if ask is not None else math.inf,
            battle.ends if battle is not None else math.inf,
        )

    def ask(
        self, key: StreamKey, other: StreamKey, seconds: int, now: float, *, at_once: bool = False
    ) -> None:
        """A room wants a PK. If the other had asked for it, that begins, at its length.

        at_once: nobody has to agree (the site's back end has decided).

        Raises:
            Refused: BAD_REQUEST, NOT_FOUND, CONFLICT (either is in another, or without its
                host), TOO_MANY (the other is asked too often).
        """
        if key == other or not 1 <= seconds <= MAX_SECONDS:
            raise Refused(
                RefusalCode.BAD_REQUEST, f"a PK is with another room, for 1 to {MAX_SECONDS} s"
            )
        running = self._running.get(key)
        if running is not None and running.other(key) == other:
            return
        self._fit(key)
        theirs = self._fit(other)
        asked = self._asks.get(other)
        if asked is not None and asked.other == key:
            self._begin(Battle((other, key), asked.seconds, now + asked.seconds), now)
        elif at_once:
            self._begin(Battle((key, other), seconds, now + seconds), now)
        elif self._asks.get(key) is None or self._asks[key].other != other:
            if len(theirs.room.state.asks) >= _MOST_ASKS:
                raise Refused(RefusalCode.TOO_MANY, "too many have asked this room")
            self._again.spend(f"{key} {other}", now)
            self._asked.spend(str(other), now)
            self._withdraw(key, "another was asked", now)
            self._asks[key] = Ask(key, other, seconds, now + self._patience)
            self._show_ask(self._asks[key], now)

    def stop(self, key: StreamKey, now: float, *, lost: bool, reason: str) -> None:
        """A room does not want its PK any more, or to ask for one.

        lost: the other side has won then, whatever the scores.

        Raises:
            Refused: CONFLICT, there is none.
        """
        battle = self._running.get(key)
        if battle is not None:
            self._finish(battle, reason, now, key if lost else None)
        elif key in self._asks:
            self._withdraw(key, reason, now)
        else:
            raise Refused(RefusalCode.CONFLICT, "there is no PK")

    def decline(self, key: StreamKey, asker: StreamKey, now: float) -> None:
        """A room does not want a PK that another asks for.

        Raises:
            Refused: CONFLICT, it does not (any more).
        """
        ask = self._asks.get(asker)
        if ask is None or ask.other != key:
            raise Refused(RefusalCode.CONFLICT, "that room does not ask (any more)")
        self._withdraw(asker, "declined", now)

    def score(self, key: StreamKey, points: int, gift: str, now: float) -> Battle:
        """Points for a side; counted once for each gift.

        Raises:
            Refused: CONFLICT, there is no PK; `Battle.score`.
        """
        battle = self._running.get(key)
        if battle is None or now >= battle.ends:
            raise Refused(RefusalCode.CONFLICT, "there is no PK")
        if battle.score(key, points, gift):
            for side in battle.sides:
                self._show(side, battle, "pk.scored", now)
        return battle

    def tick(self, key: StreamKey, now: float) -> None:
        """What is due for this room: nobody agreed, time is over."""
        battle = self._running.get(key)
        if battle is not None and now >= battle.ends:
            self._finish(battle, "time", now)
        ask = self._asks.get(key)
        if ask is not None and now >= ask.until:
            self._withdraw(key, "timeout", now)

    def watch(self, key: StreamKey, now: float) -> None:
        """Something has changed in a room: is its host still there, and where?"""
        if self._rooms[key].room.ended:
            self.left(key, now)
        battle = self._running.get(key)
        if battle is None:
            return
        if self._host(key) is None:
            self._finish(battle, "the host has left", now, key)
            return
        other = self._rooms[battle.other(key)]
        if other.room.state.pk != self._view(battle.other(key), battle):
            self._show(battle.other(key), battle, "pk.changed", now)

    def left(self, key: StreamKey, now: float) -> None:
        """A room has ended: so has its PK, and it neither asks nor is asked any more."""
        battle = self._running.get(key)
        if battle is not None:
            self._finish(battle, "the room has ended", now, key)
        self._withdraw(key, "the room has ended", now)
        for ask in [ask for ask in self._asks.values() if ask.other == key]:
            self._withdraw(ask.asker, "the room has ended", now)

    def _fit(self, key: StreamKey) -> Side:
        """The room, if a PK could begin in it."""
        side = self._rooms.get(key)
        if side is None or side.room.ended:
            raise Refused(RefusalCode.NOT_FOUND, f"there is no room {key}")
        if key in self._running:
            raise Refused(RefusalCode.CONFLICT, f"room {key} is in a PK already")
        if self._host(key) is None:
            raise Refused(RefusalCode.CONFLICT, f"the owner of {key} has no seat")
        return side

    def _begin(self, battle: Battle, now: float) -> None:
        for side in battle.sides:
            self._drop_ask(side, now)
            self._running[side] = battle
        for side in battle.sides:
            self._show(side, battle, "pk.began", now)

    def _finish(
        self, battle: Battle, reason: str, now: float, lost: StreamKey | None = None
    ) -> None:
        result = battle.result(reason, lost)
        for side in battle.sides:
            del self._running[side]
        for side in battle.sides:
            self._tell(side, None, "pk.ended", now, {"result": result})

    def _withdraw(self, key: StreamKey, reason: str, now: float) -> None:
        """What a room has asked for, if anything: both hear of it."""
        if self._drop_ask(key, now, reason):
            self._tell(key, None, "pk.refused", now, {"reason": reason})

    def _drop_ask(self, key: StreamKey, now: float, reason: str = "") -> bool:
        ask = self._asks.pop(key, None)
        if ask is None:
            return False
        other = self._rooms.get(ask.other)
        if other is not None and not other.room.ended:
            other.tell(other.room.show_ask(str(key), None, "pk.ask-gone", now, reason))
        return True

    def _show_ask(self, ask: Ask, now: float) -> None:
        asker, other = self._rooms[ask.asker].room, self._rooms[ask.other]
        about = {"seconds": ask.seconds, "until": asker.state.unix(ask.until)}
        pk = {"phase": "asked", "with": str(ask.other), **about}
        self._tell(ask.asker, pk, "pk.asked", now, {"with": str(ask.other)})
        shown = {**about, "host": self._host_view(ask.asker)}
        other.tell(other.room.show_ask(str(ask.asker), shown, "pk.ask", now))

    def _show(self, side: StreamKey, battle: Battle, kind: str, now: float) -> None:
        about = {"with": str(battle.other(side))}
        self._tell(side, self._view(side, battle), kind, now, about)

    def _tell(
        self,
        key: StreamKey,
        pk: dict[str, Any] | None,
        kind: str,
        now: float,
        about: dict[str, Any],
    ) -> None:
        """A room that has ended has said so, and says nothing after it."""
        side = self._rooms.get(key)
        if side is not None and not side.room.ended:
            side.tell(side.room.show_pk(pk, kind, now, about))

    def _view(self, key: StreamKey, battle: Battle) -> dict[str, Any]:
        """What a side shows of its PK: the other's host as a stream to receive, too."""
        other = battle.other(key)
        return {
            "phase": "running",
            "with": str(other),
            "seconds": battle.seconds,
            "ends": self._rooms[key].room.state.unix(battle.ends),
            "scores": battle.tally(),
            "host": self._host_view(other),
        }

    def _host_view(self, key: StreamKey) -> dict[str, Any]:
        seat = self._host(key)
        if seat is None:
            return {}
        words = {"user": seat.user, "name": seat.name, "seat": seat.number}
        return {**words, "stream": str(seat_stream(key, seat.number))}

    def _host(self, key: StreamKey) -> Seat | None:
        side = self._rooms.get(key)
        return None if side is None else side.room.state.taken_by(side.room.state.owner)
