"""Round trip: how long a sender report and the answer to it take, and how much of that is queue.

It is the one delay that the viewer does not guess at from media timestamps: the report waits
behind the media in the same queues, whatever the publisher's own clock and jitter are.

Source: RFC 3550 section 6.4.1 (LSR and DLSR).
"""

from __future__ import annotations

from collections import deque
from typing import Final

from livetrio.webrtc.sender_report import ntp_time
from livetrio.wire.rtp.rtcp_reports import ReportBlock

__all__ = ["RoundTrip"]

_UNIT: Final = 65_536
"""Of the middle 32 bits of an NTP time: so many are a second."""
_LONGEST: Final = 10.0
"""Seconds: what claims to have taken longer is the answer to something else."""
_BASE_WINDOW: Final = 64
"""Round trips of which the shortest is the empty path: a minute, and it may change."""
_SPACING: Final = 0.5
"""Seconds between two reports whose answers count: those of a room's slots go out together."""


class RoundTrip:
    """One viewer's."""

    __slots__ = ("_times", "sent")

    def __init__(self) -> None:
        self.sent = float("-inf")
        """When the newest report was sent that an answer is known to (seconds)."""
        self._times: deque[float] = deque(maxlen=_BASE_WINDOW)

    @property
    def known(self) -> bool:
        """Has this viewer ever answered? Some leave LSR empty."""
        return bool(self._times)

    def answer(self, report: ReportBlock, wall: float, now: float) -> None:
        """A reception report came.

        Args:
            report: it.
            wall: seconds since 1970, of the clock that sender reports are made with ...
            now: ... and seconds of Trio's.
        """
        if not report.last_sr:
            return
        passed = ((ntp_time(wall) >> 16) - report.last_sr & 0xFFFF_FFFF) / _UNIT
        time = passed - report.delay / _UNIT
        sent = now - passed
        # Of several answers to one report the first is about the path, and of this moment.
        if sent - self.sent < _SPACING or not -1 / _UNIT <= time <= _LONGEST:
            return
        self.sent = sent
        self._times.append(time)

    @property
    def queue(self) -> float:
        """Seconds that the newest report waited beyond the shortest way known; 0 while unknown."""
        return self._times[-1] - min(self._times) if self._times else 0.0

    @property
    def standing_queue(self) -> float:
        """The same of the last two, the shorter one: a machine that stood still for a moment
        makes one answer late, a full path all."""
        return min(list(self._times)[-2:]) - min(self._times) if len(self._times) > 1 else 0.0
