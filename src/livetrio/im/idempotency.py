"""Recent: what was published lately under which of its senders' ids: a retry is no repeat."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from livetrio.errors import RefusalCode, Refused
from livetrio.im.words import Position

__all__ = ["Recent", "check_id"]

_TTL: Final = 300.0
"""Seconds: Centrifugo's."""
_MOST: Final = 1024
"""Per channel; with more, the oldest is forgotten before its time."""
_MAX_ID: Final = 256
"""Characters of an id."""

Key = tuple[str, str]
"""Author and his id: nobody answers for another's."""


def check_id(id_: str) -> None:
    """
    Raises:
        Refused: BAD_REQUEST, too long to be remembered: a retry would be sent twice.
    """
    if len(id_) > _MAX_ID:
        raise Refused(RefusalCode.BAD_REQUEST, f"an id has at most {_MAX_ID} characters")


class Recent:
    """Positions by key, oldest first; most channels never need one, so it starts as nothing."""

    __slots__ = ("_seen",)

    def __init__(self) -> None:
        self._seen: OrderedDict[Key, tuple[Position, float]] | None = None

    def get(self, key: Key, now: float) -> Position | None:
        """The position that was returned for this key, within its time."""
        if self._seen is None:
            return None
        found = self._seen.get(key)
        return found[0] if found is not None and found[1] > now else None

    def put(self, key: Key, position: Position, now: float) -> None:
        """Remember."""
        if self._seen is None:
            self._seen = OrderedDict()
        self._seen[key] = position, now + _TTL
        self._seen.move_to_end(key)
        if len(self._seen) > _MOST or next(iter(self._seen.values()))[1] <= now:
            self._seen.popitem(last=False)

    def alive(self, now: float) -> bool:
        """Is there anything that may still be asked for?"""
        return self._seen is not None and next(reversed(self._seen.values()))[1] > now
