"""Pace: how often somebody may do what becomes an event for thousands."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from livetrio.errors import RefusalCode, Refused

__all__ = ["Pace"]

_MOST: Final = 10_000
"""Users remembered; the one who has been silent for the longest is forgotten first."""


class Pace:
    """A bucket for each user (token bucket, refilled with time)."""

    __slots__ = ("_burst", "_complaint", "_left", "_rate")

    def __init__(
        self,
        rate: float = 5.0,
        burst: int = 20,
        complaint: str = "too many commands: slower",
    ) -> None:
        """
        Args:
            rate: how many per second.
            burst: how many at once before that.
            complaint: what those are told who are too hasty.
        """
        self._complaint = complaint
        self._rate = rate
        self._burst = float(burst)
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def spend(self, user: str, now: float) -> None:
        """One more.

        user: or whatever else it is that may not do it too often.

        Raises:
            Refused: TOO_MANY.
        """
        left, since = self._left.pop(user, (self._burst, now))
        left = min(self._burst, left + (now - since) * self._rate)
        allowed = left >= 1.0
        self._left[user] = (left - 1.0 if allowed else left, now)
        if len(self._left) > _MOST:
            self._left.popitem(last=False)
        if not allowed:
            raise Refused(RefusalCode.TOO_MANY, self._complaint)
