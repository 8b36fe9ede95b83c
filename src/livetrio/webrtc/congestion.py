"""Congestion feedback of a receiver: transport-wide arrival times, or REMB where there is none.

The sender's bandwidth estimate lives on the first: a browser that is told every 50 ms what came
when reaches its bitrate at once, one that only gets receiver reports grows 8 % a second.
"""

from __future__ import annotations

from typing import Final

from livetrio.wire.rtp.header import unwrap
from livetrio.wire.rtp.twcc import build_feedback

__all__ = ["ArrivalLog", "RembEstimate"]

_MAX_PENDING: Final = 4_096
"""Arrivals between two feedbacks; 800 Mbit/s."""
_US: Final = 1_000_000


class ArrivalLog:
    """When which packet of the transport arrived, since the last feedback."""

    __slots__ = ("_arrivals", "_base", "_count", "_last")

    def __init__(self) -> None:
        self._arrivals: dict[int, int] = {}
        self._last = -1
        self._base: int | None = None
        self._count = 0

    def __len__(self) -> int:
        """Arrivals since the last feedback."""
        return len(self._arrivals)

    def add(self, sequence: int, now: float) -> None:
        """A packet with this 16-bit transport sequence number came."""
        number = self._last + 1
        if (sequence - number) & 0xFFFF:
            number = unwrap(sequence, self._last) if self._last >= 0 else sequence
        if number > self._last:
            self._last = number
        if len(self._arrivals) < _MAX_PENDING:
            self._arrivals.setdefault(number, int(now * _US))

    def feedback(self, sender_ssrc: int, media_ssrc: int) -> list[bytes]:
        """Feedback packets on what came since the last call; none if nothing did."""
        if not self._arrivals:
            return []
        packets = build_feedback(sender_ssrc, media_ssrc, self._count, self._arrivals, self._base)
        self._count = (self._count + len(packets)) & 0xFF
        self._base = max(max(self._arrivals) + 1, self._base or 0)
        self._arrivals = {}
        return packets


class RembEstimate:
    """How much a sender without transport-wide feedback is allowed to send.

    Half as much again as what comes, so that it can grow, and less than what comes when much of
    it is lost. Its own loss-based estimate does the fine work below this ceiling.
    """

    __slots__ = ("_most", "bitrate")

    def __init__(self, start: int, most: int) -> None:
        """start, most: bit/s."""
        self.bitrate = start
        self._most = most

    def update(self, received: int, loss: float) -> int:
        """The ceiling after another second, bit/s.

        Args:
            received: bit/s in that second.
            loss: share of packets lost in it, 0 to 1.
        """
        if loss > 0.1:
            self.bitrate = int(received * (1 - loss / 2))
        elif loss < 0.02:
            self.bitrate = max(self.bitrate, received * 3 // 2)
        self.bitrate = min(max(self.bitrate, 100_000), self._most)
        return self.bitrate
