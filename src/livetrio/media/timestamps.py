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

from livetrio.packet import US_PER_MS, US_PER_SECOND, Kind, Packet

__all__ = ["GAP", "JUMP", "RepairCounts", "TimestampRepair"]

JUMP = 10 * US_PER_SECOND
"""Microseconds. Longer than a stalled encoder's pause that should be seen as a pause."""
GAP = 40 * US_PER_MS
"""Microseconds between the last before a discontinuity and the first after: a frame at 25 fps."""
_WRAP = (1 << 32) * US_PER_MS


@dataclass(slots=True)
class RepairCounts:
    """How often each rule was applied."""

    wraps: int = 0
    jumps: int = 0
    backward: int = 0


class TimestampRepair:
    """Repairs one publication's packets in place, before anybody else sees them."""

    def __init__(self, resume_after: int | None = None, counts: RepairCounts | None = None) -> None:
        """resume_after: the newest decoding time (us) of the stream so far, if there is one."""
        self.counts = counts if counts is not None else RepairCounts()
        self._shift: int | None = None if resume_after is not None else 0
        self._newest = resume_after if resume_after is not None else 0
        self._shifts: dict[tuple[Kind, int], int] = {}  # per track, where it is not _shift
        self._raw: dict[tuple[Kind, int], int] = {}  # per track: last unwrapped input
        self._last: dict[tuple[Kind, int], int] = {}  # per track: last output
        self._wrapped: dict[tuple[Kind, int], int] = {}  # per track: wraps x range

    def apply(self, packet: Packet) -> Packet:
        """Give the packet its repaired times."""
        key = packet.track.kind, packet.track.id
        offset = packet.pts - packet.dts
        last = self._last.get(key)
        if packet.config:
            # Encoders stamp these with 0 or anything: they take the stream's time.
            # Metadata stand at 0: FFmpeg takes script data at any other time for subtitles.
            packet.dts = packet.pts = 0 if packet.track.kind is Kind.DATA else self._newest
            return packet
        raw = self._unwrap(key, packet.dts)
        if self._shift is None:
            self._shift = self._newest + GAP - raw
        shift = self._shifts.get(key, self._shift)
        if self._last and self._is_jump(raw + shift, last):
            shift = self._landing(raw, packet.track.kind)
        self._shifts[key] = shift
        dts = raw + shift
        if last is not None and dts < last:
            self.counts.backward += 1
            dts = last
        self._last[key] = packet.dts = dts = max(dts, 0)
        packet.pts = max(dts + offset, 0)
        self._newest = max(self._newest, dts)
        return packet

    def _is_jump(self, dts: int, last: int | None) -> bool:
        distance = abs(dts - self._newest)
        return (distance if last is None else min(distance, abs(dts - last))) > JUMP

    def _landing(self, raw: int, kind: Kind) -> int:
        """The shift for a track that jumped: that of another track which jumped the same way
        before it, or else a new one."""
        known = {self._shift or 0, *self._shifts.values()}
        nearest = min(known, key=lambda shift: abs(raw + shift - self._newest))
        if abs(raw + nearest - self._newest) <= JUMP:
            return nearest
        shift = self._newest + GAP - raw
        if kind is Kind.DATA:
            return shift - GAP  # a cue without a clock of its own: now
        self.counts.jumps += 1
        self._shift = shift
        return shift

    @property
    def newest(self) -> int:
        """The newest decoding time given out, microseconds."""
        return self._newest

    def _unwrap(self, key: tuple[Kind, int], dts: int) -> int:
        raw = dts + self._wrapped.get(key, 0)
        last = self._raw.get(key)
        if last is not None:
            if raw - last < -_WRAP // 2:
                self.counts.wraps += 1
                self._wrapped[key] = self._wrapped.get(key, 0) + _WRAP
                raw += _WRAP
            elif raw - last > _WRAP // 2 and self._wrapped.get(key, 0):
                self._wrapped[key] -= _WRAP  # a straggler from before the wrap
                raw -= _WRAP
        self._raw[key] = raw
        return raw
