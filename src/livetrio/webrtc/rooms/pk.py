"""PK: two rooms against each other for some time: scores, timer, result."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any, Final

from livetrio.errors import RefusalCode, Refused
from livetrio.packet import StreamKey

__all__ = ["Ask", "Battle"]

_MOST_KEYS: Final = 65_536
"""Gifts remembered by their keys; with more, the oldest are forgotten before the end."""
_MOST_POINTS: Final = 10**9
_HIGHEST: Final = 10**15
"""Below what JavaScript counts exactly."""


@dataclass(frozen=True, slots=True)
class Ask:
    """One room has asked another for a PK."""

    asker: StreamKey
    other: StreamKey
    seconds: int
    until: float
    """When it lapses, on the rooms' clock."""


@dataclass(slots=True, eq=False)
class Battle:
    """One PK that runs."""

    sides: tuple[StreamKey, StreamKey]
    seconds: int
    ends: float
    """On the rooms' clock."""
    scores: dict[StreamKey, int] = field(init=False)
    _keys: OrderedDict[str, tuple[StreamKey, int]] = field(default_factory=OrderedDict)

    def __post_init__(self) -> None:
        self.scores = dict.fromkeys(self.sides, 0)

    def other(self, side: StreamKey) -> StreamKey:
        """Whom this side is up against."""
        first, second = self.sides
        return second if side == first else first

    def score(self, side: StreamKey, points: int, key: str) -> bool:
        """Points for a side; False: this key was counted already.

        Args:
            points: fewer than none takes some back; a score does not fall below 0.
            key: of the gift, for one PK.

        Raises:
            Refused: BAD_REQUEST, no key or too many points; CONFLICT, the key was that of others.
        """
        if not key or abs(points) > _MOST_POINTS:
            raise Refused(
                RefusalCode.BAD_REQUEST, f"a key is needed, and at most {_MOST_POINTS} points"
            )
        known = self._keys.get(key)
        if known is not None:
            if known != (side, points):
                raise Refused(RefusalCode.CONFLICT, "the key was used for other points")
            return False
        self._keys[key] = side, points
        if len(self._keys) > _MOST_KEYS:
            self._keys.popitem(last=False)
        self.scores[side] = min(_HIGHEST, max(0, self.scores[side] + points))
        return True

    def winner(self, lost: StreamKey | None = None) -> StreamKey | None:
        """Who has won; None: nobody.

        lost: the side that has left, whatever its score.
        """
        first, second = self.sides
        if lost is not None:
            return self.other(lost)
        if self.scores[first] == self.scores[second]:
            return None
        return first if self.scores[first] > self.scores[second] else second

    def tally(self) -> dict[str, int]:
        """The scores as JSON."""
        return {str(side): score for side, score in self.scores.items()}

    def result(self, reason: str, lost: StreamKey | None = None) -> dict[str, Any]:
        """What is told of its end."""
        winner = self.winner(lost)
        won = {"winner": str(winner)} if winner is not None else {}
        return {"reason": reason, "scores": self.tally(), **won}
