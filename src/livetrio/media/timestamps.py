"""The one timestamp repair policy: what a publisher's clock does, viewers see as a steady one.

Policy, applied in this order to each packet of one publication; every repair is counted.

1. *Wrap.* RTMP's and FLV's 32-bit milliseconds wrap after 49.7 days. A step of more than half the
   range is taken for a wrap (forward or back), for each track on its own.
2. *Jump.* A decoding time more than `JUMP` away from both the last of its own track and the
   newest of all (so a sparse or paused track is no jump) is a broken or restarted clock. The
   track is shifted, so that this packet follows the newest packet of the stream by `GAP`. Other
   tracks that jump with it land on the same shift: sound and picture stay together. A track
   that keeps a clock of its own keeps a shift of its own, and script data without a clock
   (stamped 0) take the time at which they come.
3. *Backward step* within a track (less than a jump): the packet is given the track's last time
   (never less), its composition offset is kept. Decoders need times that do not fall.
4. *Resume.* When a publisher comes back to a stream its viewers stayed with, its first packet
   follows the last packet of the old publication by `GAP`.

Left alone, on purpose: a track that is missing or starts late (players handle a gap; made-up
silence would be a transcode), slow drift between audio and video (it is the encoder's
statement of when things happened), and equal times (several tracks, B-frames' cut tails).
"""

from __future__ import annotations

from dataclasses import dataclass

from livetrio.packet import US_PER_MS, US_PER_SECOND, Kind, Packet, Track

__all__ = ["GAP", "JUMP", "RepairCounts", "TimestampRepair"]

JUMP = 10 * US_PER_SECOND
"""Microseconds. Longer than a stalled encoder's pause that should be seen as a pause."""
GAP = 40 * US_PER_MS
"""Microseconds between the last before a discontinuity and the first after: a frame at 25 fps."""
_WRAP = (1 << 32) * US_PER_MS
_MAX_RECENT = 16


@dataclass(slots=True)
class RepairCounts:
    """How often each rule was applied."""

    wraps: int = 0
    jumps: int = 0
    backward: int = 0


class _Clock:
    """What is known of one track's times."""

    __slots__ = ("last", "raw", "shift", "wrapped")

    def __init__(self) -> None:
        self.raw = 0
        """Last input, unwrapped."""
        self.last: int | None = None
        """Last output; None before the first."""
        self.shift = 0
        self.wrapped = 0
        """Wraps so far, times the range."""


class TimestampRepair:
    """Repairs one publication's packets in place, before anybody else sees them."""

    def __init__(self, resume_after: int | None = None, counts: RepairCounts | None = None) -> None:
        """resume_after: the newest decoding time (us) of the stream so far, if there is one."""
        self.counts = counts if counts is not None else RepairCounts()
        self._shift: int | None = None if resume_after is not None else 0
        self._newest = resume_after if resume_after is not None else 0
        self._begun = False
        self._clocks: dict[tuple[Kind, int], _Clock] = {}
        # The same by the track of the last packets, which is found four times faster.
        self._recent: dict[Track, _Clock] = {}

    def apply(self, packet: Packet) -> Packet:
        """Give the packet its repaired times."""
        if packet.config:
            # Encoders stamp these with 0 or anything: they take the stream's time.
            # Metadata stand at 0: FFmpeg takes script data at any other time for subtitles.
            packet.dts = packet.pts = 0 if packet.track.kind is Kind.DATA else self._newest
            return packet
        clock = self._recent.get(packet.track)
        if clock is None:
            clock = self._clock(packet.track)
        offset = packet.pts - packet.dts
        raw = packet.dts + clock.wrapped
        last = clock.last
        if last is None or not 0 <= raw - clock.raw <= JUMP:
            raw = self._place(clock, raw, packet.track.kind)
        clock.raw = raw
        dts = raw + clock.shift
        if last is not None and dts < last:
            self.counts.backward += 1
            dts = last
        if dts < 0:
            dts = 0
        clock.last = packet.dts = dts
        pts = dts + offset
        packet.pts = pts if pts > 0 else 0
        if dts > self._newest:
            self._newest = dts
        return packet

    @property
    def newest(self) -> int:
        """The newest decoding time given out, microseconds."""
        return self._newest

    def _clock(self, track: Track) -> _Clock:
        place = track.kind, track.id
        clock = self._clocks.get(place)
        if clock is None:
            clock = self._clocks[place] = _Clock()
        if len(self._recent) >= _MAX_RECENT:  # a new Track with every configuration
            self._recent.clear()
        self._recent[track] = clock
        return clock

    def _place(self, clock: _Clock, raw: int, kind: Kind) -> int:
        """Where a track begins, steps back or jumps: unwrap, and find its shift."""
        raw = self._unwrap(clock, raw)
        if self._shift is None:
            self._shift = self._newest + GAP - raw
        if clock.last is None:
            clock.shift = self._shift
        if self._begun and self._is_jump(raw + clock.shift, clock.last):
            clock.shift = self._landing(raw, kind)
        self._begun = True
        return raw

    def _is_jump(self, dts: int, last: int | None) -> bool:
        distance = abs(dts - self._newest)
        return (distance if last is None else min(distance, abs(dts - last))) > JUMP

    def _landing(self, raw: int, kind: Kind) -> int:
        """The shift for a track that jumped: that of another track which jumped the same way
        before it, or else a new one."""
        known = {self._shift or 0, *(clock.shift for clock in self._clocks.values())}
        nearest = min(known, key=lambda shift: abs(raw + shift - self._newest))
        if abs(raw + nearest - self._newest) <= JUMP:
            return nearest
        shift = self._newest + GAP - raw
        if kind is Kind.DATA:
            return shift - GAP  # a cue without a clock of its own: now
        self.counts.jumps += 1
        self._shift = shift
        return shift

    def _unwrap(self, clock: _Clock, raw: int) -> int:
        if clock.last is None:
            return raw
        if raw - clock.raw < -_WRAP // 2:
            self.counts.wraps += 1
            clock.wrapped += _WRAP
            raw += _WRAP
        elif raw - clock.raw > _WRAP // 2 and clock.wrapped:
            clock.wrapped -= _WRAP  # a straggler from before the wrap
            raw -= _WRAP
        return raw
