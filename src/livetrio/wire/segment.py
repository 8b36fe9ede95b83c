"""Segmenter: packets to samples with durations, to parts, to segments. Knows no container.

Segments begin at a key frame of the first video track once the target is reached (of sound
alone anywhere), and are cut without one when they grow too long or too big. Parts, the small
pieces of LL-HLS, are cut on the same track: as many whole frames as fit. Time is the packets'.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final

from livetrio.errors import RemoteProtocolError
from livetrio.packet import US_PER_MS, US_PER_SECOND, Codec, Kind, Packet, Track
from livetrio.wire.vp import vp8_key_frame, vp9_key_frame

__all__ = ["Event", "Part", "Sample", "SegmentEnd", "SegmentLimits", "SegmentStart", "Segmenter"]

_JUMP: Final = 10 * US_PER_SECOND
"""A gap longer than this, or any step back, is another timeline: a discontinuity."""
_SLACK: Final = 1.04
"""Clocks that tick in milliseconds make six frames of 30 a second last 199 to 201 ms."""
_LEAST: Final = 0.85
"""A part must last that share of its target (RFC 8216bis section 4.4.4.9)."""
_MAX_WAITING: Final = 2_000
"""Packets held back at the beginning, whatever their times say."""
_USUAL: Final = 20 * US_PER_MS
"""Duration of a frame that has no follower and had no forerunner."""


@dataclass(frozen=True, slots=True)
class SegmentLimits:
    """When to cut. Times in microseconds."""

    target: int = 2 * US_PER_SECOND
    """Cut at the first key frame after that; 0: at each."""
    sound: int = 0
    """The same where there is sound alone, every frame of which is one, if it is more."""
    longest: int = 10 * US_PER_SECOND
    """Cut without a key frame after that; also how long a beginning waits for one."""
    size: int = 50 << 20
    """Bytes of payload; cut without a key frame beyond."""
    part: int = 200 * US_PER_MS
    """0: no parts, one `Part` is the whole segment."""
    settle: int = US_PER_SECOND
    """The beginning waits that long for the track that is missing: sound or picture."""


@dataclass(slots=True, eq=False)
class Sample:
    """One frame that knows how long it lasts."""

    dts: int
    """Microseconds, like the rest."""
    pts: int
    duration: int
    key: bool
    data: bytes


@dataclass(slots=True, eq=False)
class SegmentStart:
    """A segment begins."""

    tracks: tuple[Track, ...]
    """Video first. The same tuple as long as no configuration changed."""
    discontinuity: bool
    """Other tracks or another timeline than the segment before."""


@dataclass(slots=True, eq=False)
class Part:
    """The samples of a part, for each track of its segment in that order."""

    samples: tuple[list[Sample], ...]
    start: int
    """Decoding time of its first sample on the track that sets the beat."""
    duration: int
    """On that track: the parts of a segment add up without a gap."""
    independent: bool
    """A decoder can start here."""

    @property
    def size(self) -> int:
        """Bytes of payload."""
        return sum(len(sample.data) for samples in self.samples for sample in samples)


@dataclass(slots=True, eq=False)
class SegmentEnd:
    """The segment that was begun is whole."""

    start: int
    duration: int
    independent: bool


Event = SegmentStart | Part | SegmentEnd
_Place = tuple[Kind, int]


@dataclass(slots=True, eq=False)
class _Lane:
    """What waits on one track: whole samples, and the frame whose end is not known yet."""

    track: Track
    pending: Packet | None = None
    ready: list[Sample] = field(default_factory=list)
    last: int = _USUAL
    """Duration of the newest whole sample."""

    def complete(self, duration: int) -> int:
        """The pending frame lasts that long; returns its bytes."""
        packet = self.pending
        assert packet is not None
        self.pending = None
        self.last = duration
        self.ready.append(Sample(packet.dts, packet.pts, duration, packet.key, packet.data))
        return len(packet.data)

    def take(self, before: int | None) -> list[Sample]:
        """Hand over the whole samples that begin before a time (None: all)."""
        count = len(self.ready)
        while before is not None and count and self.ready[count - 1].dts >= before:
            count -= 1
        taken, self.ready = self.ready[:count], self.ready[count:]
        return taken


class Segmenter:
    """Feed it the packets of the tracks wanted; it answers with what is whole.

    Args:
        limits: when to cut.
        codecs: which codecs are carried; packets of others are passed over.
    """

    def __init__(self, limits: SegmentLimits, codecs: frozenset[Codec]) -> None:
        self.limits = limits
        self.longest = limits.longest
        """Microseconds, as in `limits`; may be lowered once more is known of the stream."""
        self.part_target = limits.part
        """Longest duration of a part, fixed by the frame rate of the first one: a multiple of
        its frames. Grows only if a single frame lasts longer."""
        self._codecs = codecs
        self._announced: dict[_Place, Track] = {}
        self._stale = False  # the lanes are not what was announced
        self._lanes: dict[_Place, _Lane] = {}
        self._lead: _Lane | None = None  # the one that sets the beat
        self._tracks: tuple[Track, ...] = ()
        self._waiting: list[Packet] | None = []  # until it is known which tracks there are
        self._wants_key_since: int | None = None
        self._discontinuity = False
        self._measured = False
        self._open = False
        self._start = self._part_start = 0  # where segment and part begin, on the lead
        self._key_at = 0  # the newest key frame of the lead
        self._gop = 0  # the longest distance of two
        self._size = 0
        self._independent = False

    def feed(self, packet: Packet) -> list[Event]:
        """Take a packet, in decoding order of its track; what it completes comes back."""
        events: list[Event] = []
        track = packet.track
        if track.kind is Kind.DATA or track.codec not in self._codecs:
            return events
        if self._waiting is None:
            self._take(packet, events)
            return events
        self._waiting.append(packet)
        if self._settled(self._waiting):
            self._replay(events)
        return events

    def end(self) -> list[Event]:
        """Everything that is left. What is fed afterwards begins with a discontinuity."""
        events: list[Event] = []
        self._replay(events)
        self._flush(events)
        self._lanes, self._lead, self._waiting = {}, None, []
        return events

    def _settled(self, waiting: list[Packet]) -> bool:
        """Do we know which tracks there are, or have we waited for them long enough?"""
        if len({packet.track.kind for packet in waiting}) == 2 or len(waiting) > _MAX_WAITING:
            return True
        times = [packet.dts for packet in waiting if not packet.config]
        return bool(times) and abs(times[-1] - times[0]) >= self.limits.settle

    def _replay(self, events: list[Event]) -> None:
        waiting, self._waiting = self._waiting or (), None
        for packet in waiting:
            if packet.config:  # all of them first: the picture may be announced after the sound
                self._take(packet, events)
        for packet in waiting:
            self._take(packet, events)

    def _take(self, packet: Packet, events: list[Event]) -> None:
        place = packet.track.kind, packet.track.id
        known = self._announced.get(place)
        if known is not packet.track:
            self._announce(place, known, packet)
        if packet.config:
            return
        if (self._stale or self._lead is None) and self._may_begin(place, packet):
            self._flush(events)
            self._lay_lanes()
        lane = self._lanes.get(place)
        if lane is None or (self._stale and not _same(lane.track, self._announced[place])):
            return  # not begun, or of a configuration that the segment does not have
        if (before := lane.pending) is not None:
            gap = packet.dts - before.dts
            if 0 <= gap < _JUMP:
                self._size += lane.complete(gap)
            else:
                self._flush(events)
        if lane is self._lead:
            self._beat(packet, events)
        lane.pending = packet

    def _announce(self, place: _Place, known: Track | None, packet: Packet) -> None:
        track = packet.track
        if known is None or not _same(known, track):
            self._stale = True
        elif known.width and not track.width:
            return  # VP8 and VP9 have their size in key frames only
        self._announced[place] = track

    def _may_begin(self, place: _Place, packet: Packet) -> bool:
        """At a key frame of the first video track, or without one after a long wait."""
        if place != min(self._announced, key=_order):
            return False
        if self._wants_key_since is None:
            self._wants_key_since = packet.dts
        waited = packet.dts - self._wants_key_since
        if not packet.key and 0 <= waited < self.limits.longest:
            return False
        if not packet.track.width:
            self._announced[place] = _with_size(packet)
        return True

    def _lay_lanes(self) -> None:
        places = sorted(self._announced, key=_order)
        self._lanes = {place: _Lane(self._announced[place]) for place in places}
        self._lead = self._lanes[places[0]]
        self._tracks = tuple(lane.track for lane in self._lanes.values())
        self._stale = False
        self._wants_key_since = None

    def _beat(self, packet: Packet, events: list[Event]) -> None:
        """A frame of the lead has come: does it begin a segment, or a part?"""
        now = packet.dts
        if not self._open:
            self._begin(packet, events)
            return
        limits, lead = self.limits, self._lead
        assert lead is not None
        self._measure(lead.last)
        lasted = now - self._start
        if packet.key:
            self._gop = max(self._gop, now - self._key_at)
            self._key_at = now
        # Without a key frame only where the next frame would make it too long.
        too_long = lasted + lead.last > self.longest
        if self._wanted(packet, lasted) or (too_long and lasted) or self._size >= limits.size:
            self._cut_part(now, events)
            self._finish(now, events)
            self._begin(packet, events)
        elif limits.part and now - self._part_start + lead.last > self.part_target:
            self._cut_part(now, events)

    def _wanted(self, packet: Packet, lasted: int) -> bool:
        """Is this a good place for a cut? Of key frames that come unevenly (at changes of scene)
        an early one is taken where the next might come too late."""
        if not packet.key or not lasted:
            return False
        target = self.limits.target
        if packet.track.kind is Kind.AUDIO:
            target = max(target, self.limits.sound)
        is_last_chance = lasted + self._gop > self.longest and 2 * lasted >= target
        return lasted >= target or is_last_chance

    def _begin(self, packet: Packet, events: list[Event]) -> None:
        self._open = True
        self._key_at = packet.dts
        self._start = self._part_start = packet.dts
        self._independent = packet.key
        self._size = 0
        events.append(SegmentStart(self._tracks, self._discontinuity))
        self._discontinuity = False

    def _cut_part(self, now: int, events: list[Event], *, all_left: bool = False) -> None:
        before = None if all_left else now
        samples = tuple(lane.take(before) for lane in self._lanes.values())
        independent = any(sample.key for sample in samples[0])
        events.append(Part(samples, self._part_start, now - self._part_start, independent))
        self._part_start = now

    def _finish(self, now: int, events: list[Event]) -> None:
        self._open = False
        events.append(SegmentEnd(self._start, now - self._start, self._independent))

    def _flush(self, events: list[Event]) -> None:
        """End the segment with what there is; the next is on another timeline."""
        lead = self._lead
        if lead is None:
            return
        if self._open:
            assert lead.pending is not None
            now = lead.pending.dts + lead.last
            for lane in self._lanes.values():
                if lane.pending is not None:
                    lane.complete(lane.last)
            self._cut_part(now, events, all_left=True)
            self._finish(now, events)
        for lane in self._lanes.values():
            lane.pending = None
            lane.ready.clear()
        self._discontinuity = True

    def _measure(self, frame: int) -> None:
        """Make the part target a whole number of frames, and no shorter than one."""
        if not self.limits.part or not frame:
            return
        if not self._measured:
            self._measured = True
            count = max(int(self.limits.part * _SLACK) // frame, 1)
            if count * frame < _LEAST * self.limits.part:
                count += 1
            self.part_target = _rounded(count * frame)
        elif frame > self.part_target:
            self.part_target = _rounded(frame)


def _rounded(duration: int) -> int:
    """With slack for clocks that tick in milliseconds, up to whole ones."""
    return -int(-duration * _SLACK // US_PER_MS) * US_PER_MS


def _order(place: _Place) -> tuple[bool, int]:
    """Video first, then by id."""
    return place[0] is not Kind.VIDEO, place[1]


def _same(one: Track, other: Track) -> bool:
    """May samples of both stand in one segment?"""
    return one is other or (one.codec is other.codec and one.config == other.config)


def _with_size(packet: Packet) -> Track:
    """The track, with the size of the picture where only key frames tell it (VP8, VP9)."""
    read = {Codec.VP8: vp8_key_frame, Codec.VP9: vp9_key_frame}.get(packet.track.codec)
    if read is None:
        return packet.track
    try:
        frame = read(packet.data)
    except RemoteProtocolError:
        return packet.track  # players find out by themselves
    if frame is None:
        return packet.track
    return replace(packet.track, width=frame.width, height=frame.height)
