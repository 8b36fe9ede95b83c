"""Sender clock: the RTP timestamps of all tracks of a peer on one timeline of microseconds.

Each SSRC counts ticks from a random start. Until sender reports say which wall-clock time those
stand for, a track is placed by the arrival of its first frame. Then one track, sound where there
is any, keeps its place, and the others slide to theirs by at most a twentieth of the time that
passes: sound that jumps is heard, a picture that is shown for 35 instead of 33 ms is not seen.
Whoever follows nobody is kept from drifting away from our own clock.

Time counts from the first packet of the peer.
"""

from __future__ import annotations

from typing import Final

from livetrio.packet import US_PER_SECOND
from livetrio.webrtc.drift import Drift
from livetrio.wire.rtp.header import unwrap_timestamp

__all__ = ["SenderClock", "TrackClock"]

_SLEW: Final = 20
_MAX_CORRECTION: Final = 2 * US_PER_SECOND
"""Microseconds. Sound and picture that left together do not arrive so far apart; a report that
says so is wrong."""
_MAX_DEVIATION: Final = 5 * US_PER_SECOND
"""Microseconds between a timestamp and its arrival from which on the sender's clock has jumped,
or stood still while it was paused."""


class SenderClock:
    """One peer's timeline."""

    __slots__ = ("_start", "reference")

    def __init__(self) -> None:
        self._start: float | None = None
        self.reference: TrackClock | None = None
        """The track that the others follow."""

    def track(self, clock_rate: int, *, audio: bool) -> TrackClock:
        """A clock for one SSRC. The newest track of sound is the reference, else the first."""
        clock = TrackClock(self, clock_rate)
        if audio or self.reference is None:
            self.reference = clock
        return clock

    def since_start(self, now: float) -> int:
        """Microseconds since this was first asked."""
        if self._start is None:
            self._start = now
        return round((now - self._start) * US_PER_SECOND)


class TrackClock:
    """One SSRC's timestamps to microseconds. Made by `SenderClock.track`."""

    __slots__ = (
        "_clock",
        "_drift",
        "_last",
        "_last_ticks",
        "_offset",
        "_rate",
        "_report",
        "jumps",
        "ntp_offset",
        "refused",
    )

    def __init__(self, clock: SenderClock, rate: int) -> None:
        self._clock = clock
        self._rate = rate
        self._last_ticks: int | None = None
        self._last = 0
        self._offset = 0
        self._report: tuple[int, int] | None = None
        self._drift = Drift()
        self.ntp_offset: int | None = None
        """NTP time minus this track's ticks, both in microseconds; None before a report."""
        self.jumps = 0
        """Times the sender's clock jumped, and was placed by arrival anew."""
        self.refused = 0
        """Frames for which a sender report asked for an impossible correction."""

    def report(self, ntp: int, timestamp: int) -> None:
        """A sender report said so: 64-bit NTP time (RFC 3550 section 4), 32-bit timestamp.

        An NTP time of 0 means that the sender has no clock.
        """
        if not ntp:
            return
        if self._last_ticks is None:
            self._report = (ntp, timestamp)  # it overtook the first packet
            return
        ticks = unwrap_timestamp(timestamp, self._last_ticks)
        self.ntp_offset = (ntp * US_PER_SECOND >> 32) - self._microseconds(ticks)

    def time(self, timestamp: int, now: float) -> int:
        """Where a frame stands, in microseconds.

        Args:
            timestamp: the frame's, 32 bits.
            now: when it came, seconds.
        """
        by_arrival = self._clock.since_start(now)
        if self._last_ticks is None:
            self._last_ticks = ticks = timestamp
            self._offset = by_arrival - self._microseconds(ticks)
            if self._report is not None:
                self.report(*self._report)
        else:
            self._last_ticks = ticks = unwrap_timestamp(timestamp, self._last_ticks)
        time = self._microseconds(ticks)
        ahead = time + self._offset - by_arrival
        passed = max(time - self._last, 0)
        if not -_MAX_DEVIATION < ahead < _MAX_DEVIATION:
            self._offset = by_arrival - time
            self.ntp_offset = None  # of the old clock
            self._drift = Drift()
            self.jumps += 1
        elif (missing := self._missing()) is not None:
            self._slide(missing, passed)
        else:
            self._offset += self._drift.correction(ahead, by_arrival, passed)
        self._last = time
        return time + self._offset

    def _missing(self) -> int | None:
        """Microseconds to its place beside the reference; None: it follows nobody (yet)."""
        reference = self._clock.reference
        if reference is self or reference is None or reference.ntp_offset is None:
            return None
        if self.ntp_offset is None:
            return None
        return reference._offset + self.ntp_offset - reference.ntp_offset - self._offset

    def _slide(self, missing: int, passed: int) -> None:
        """Come nearer to the reference; `passed`: microseconds since the last frame."""
        if abs(missing) > _MAX_CORRECTION:
            self.refused += 1
            return
        most = passed // _SLEW
        self._offset += max(-most, min(most, missing))

    def _microseconds(self, ticks: int) -> int:
        return ticks * US_PER_SECOND // self._rate
