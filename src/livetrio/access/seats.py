"""SeatBook: the names that rooms have taken, and who may publish or play them.

While a room `{app}/{room}` lives, `{room}/{n}` is published by the user who sits on seat n and by
nobody else, `{room}` and `{room}~{n}` by the room itself, and `{room}~{n}` is heard on seat n
only. What a seat sends is played by its user and by whoever keeps order, since it is not muted
there, and by others only with `open_seats`. A user shows his token, or the key of the seat, which
a program without tokens (OBS) has.
"""

from __future__ import annotations

import hmac
import re
import secrets
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from livetrio.access.im_token import Claims
from livetrio.errors import RefusalCode, Refused
from livetrio.packet import StreamKey

__all__ = [
    "Place", "SeatBook", "SeatEntry", "Sits", "Verify", "minus_stream", "room_of", "seat_stream",
]  # fmt: skip

Verify = Callable[[str], Awaitable[Claims]]
"""What a token says (`ImTokens.verify`)."""
Sits = Callable[[int], str]
"""The user who sits on a seat; "" if nobody does, or there is no such seat."""
Guessing = Callable[[], AbstractContextManager[None]]
"""Entered while a proof is checked that may be a guess; it may refuse to be."""

_NAME: Final = re.compile(r"([^/~]+)(?:([/~])([1-9][0-9]{0,3}))?")
_KEY_BYTES: Final = 18
_ORDERLY: Final = frozenset({"admin", "moderator"})
"""Roles of tokens that hold in every room."""


def seat_stream(room: StreamKey, seat: int) -> StreamKey:
    """What is published from a seat."""
    return StreamKey(room.app, f"{room.name}/{seat}")


def minus_stream(room: StreamKey, seat: int) -> StreamKey:
    """What is heard on a seat: the composed stream without it."""
    return StreamKey(room.app, f"{room.name}~{seat}")


def room_of(stream: StreamKey) -> StreamKey | None:
    """The room that a stream of this name would be of; None: of none that there could be."""
    match = _NAME.fullmatch(stream.name)
    return StreamKey(stream.app, match[1]) if match is not None else None


class Place(NamedTuple):
    """What a stream's name means in a room that lives."""

    room: StreamKey
    seat: int = 0
    """0: none: the room's composed stream."""
    minus: bool = False
    """The composed stream without this seat."""


@dataclass(slots=True, eq=False)
class SeatEntry:
    """A room in the book. Made by `SeatBook.entered`."""

    sits: Sits
    keeps_order: Callable[[str], bool]
    _keys: dict[int, str] = field(default_factory=dict)

    def key(self, seat: int) -> str:
        """The seat's stream key, until `forget`; made when first asked for."""
        return self._keys.setdefault(seat, secrets.token_urlsafe(_KEY_BYTES))

    def forget(self, seat: int) -> None:
        """Somebody else sits there, or nobody: the key is worth nothing any more."""
        self._keys.pop(seat, None)

    def matches(self, seat: int, proof: str) -> bool:
        """Is this the seat's key?"""
        key = self._keys.get(seat)
        return key is not None and hmac.compare_digest(key.encode(), proof.encode())


class SeatBook:
    """Made once per node; the gate asks it."""

    def __init__(self, verify: Verify, *, open_seats: bool = False) -> None:
        """
        Args:
            verify: what tokens say.
            open_seats: may everybody play what seats send, muted or not?
        """
        self.open_seats = open_seats
        self._verify = verify
        self._rooms: dict[StreamKey, SeatEntry] = {}

    @contextmanager
    def entered(
        self,
        room: StreamKey,
        sits: Sits,
        keeps_order: Callable[[str], bool] = lambda user: False,  # noqa: ARG005
    ) -> Iterator[SeatEntry]:
        """The room's names are its own while in the block.

        Args:
            room: its name.
            sits: who is where.
            keeps_order: is a user its owner, or a manager of it?

        Raises:
            ValueError: a room of that name is in the book.
        """
        if room in self._rooms:
            raise ValueError(f"room {room} is in the book")
        entry = self._rooms[room] = SeatEntry(sits, keeps_order)
        try:
            yield entry
        finally:
            del self._rooms[room]

    def find(self, app: str, name: str) -> Place | None:
        """What a stream's name means, if it is one of a room that lives.

        A name that a room could have had but has not, as of a seat that there is none of, is the
        room's too.
        """
        match = _NAME.fullmatch(name)
        if match is None:
            return None
        room = StreamKey(app, match[1])
        if room not in self._rooms:
            return None
        return Place(room, int(match[3] or 0), match[2] == "~")

    def sits(self, place: Place, user: str) -> bool:
        """Does this user sit there now?"""
        entry = self._rooms.get(place.room)
        return entry is not None and bool(user) and entry.sits(place.seat) == user

    async def holder(
        self,
        place: Place,
        query: Mapping[str, str],
        *,
        overseen: bool = False,
        guessing: Guessing = nullcontext,
    ) -> str:
        """The user who sits on a seat, if he it is who asks.

        Args:
            place: a seat of a room.
            query: `key` is the key of the seat, `token` that or the user's token.
            overseen: whoever keeps order in the room will do as well.
            guessing: a limit on wrong proofs. The seat's key is none, so that whoever has it is
                not locked out by what others of his address try: it is too long to be guessed.

        Raises:
            Refused: UNAUTHORIZED, nothing is shown, or nothing that is valid; FORBIDDEN, somebody
                else, or the room's own stream; UNAVAILABLE, tokens cannot be checked.
        """
        if not place.seat:
            raise Refused(RefusalCode.FORBIDDEN, "that is the composed stream of a room")
        proof = query.get("key") or query.get("token") or ""
        if not proof:
            raise Refused(
                RefusalCode.UNAUTHORIZED,
                "that is a seat of a room: a token or the seat's key is needed",
                hint="?token= or a bearer token; POST /v1/rooms/APP/ROOM/seats/own/key gives keys",
            )
        if (entry := self._rooms.get(place.room)) is not None and entry.matches(place.seat, proof):
            return entry.sits(place.seat)
        with guessing():
            if proof.count(".") != 2:
                raise Refused(RefusalCode.UNAUTHORIZED, "the key is not (any more) of this seat")
            claims = await self._verify(proof)
        # The room may have ended meanwhile.
        if not self.sits(place, claims.sub) and not (overseen and self._oversees(place, claims)):
            raise Refused(RefusalCode.FORBIDDEN, f"you do not sit on seat {place.seat}")
        return claims.sub

    def _oversees(self, place: Place, claims: Claims) -> bool:
        entry = self._rooms.get(place.room)
        if entry is None:
            return False
        return bool(claims.roles & _ORDERLY or (claims.sub and entry.keeps_order(claims.sub)))
