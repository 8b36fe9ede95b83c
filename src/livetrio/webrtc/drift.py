"""Drift: a sender's clock that runs a little fast or slow is led back to our own.

Crystals differ by up to 100 ppm, which is nine seconds a day. Delay on the way varies, but the
least of it does not: what the quickest packet of ten seconds shows against the first ten seconds
is the clock's doing. It is undone by at most a thousandth of the time that passes, which is
neither heard nor seen. Refused: a line fitted through all arrivals; it follows a network that
gets slower for minutes just as well, and takes hours to forget it.
"""

from __future__ import annotations

from typing import Final

from livetrio.packet import US_PER_MS, US_PER_SECOND

__all__ = ["Drift"]

_WINDOW: Final = 10 * US_PER_SECOND
_TOLERANCE: Final = 20 * US_PER_MS
"""Microseconds that are let be: less is as likely the network's."""
_SLEW: Final = 1_000


class Drift:
    """One track's. Times are microseconds."""

    __slots__ = ("_ahead", "_end", "_level", "_owed")

    def __init__(self) -> None:
        self._level: int | None = None  # of the first window
        self._ahead: int | None = None  # most of this one: its quickest packet
        self._end = 0
        self._owed = 0

    def correction(self, ahead: int, now: int, passed: int) -> int:
        """What to add to the track's offset now.

        Args:
            ahead: how far its newest time is before that packet's arrival; negative: behind.
            now: that arrival.
            passed: since the last frame.
        """
        if self._ahead is None:
            self._ahead, self._end = ahead, now + _WINDOW
        self._ahead = max(self._ahead, ahead)
        if now >= self._end:
            self._judge(self._ahead)
            self._ahead = None
        most = passed // _SLEW
        step = max(-most, min(most, self._owed))
        self._owed -= step
        return step

    def _judge(self, ahead: int) -> None:
        if self._level is None:
            self._level = ahead
        gone = ahead - self._level
        self._owed = -gone if abs(gone) > _TOLERANCE else 0
