"""TsDemuxer: the bytes of a transport stream to Packets, from any key frame on.

Of the program's streams the first picture and the first sound are taken. What is held is at
most one PES packet of each (`MAX_PES`) and a section.

Source: ISO/IEC 13818-1.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from livetrio.packet import US_PER_SECOND, Kind, Packet, Track
from livetrio.wire.mpegts.elementary import Sounds, Stream, make_stream
from livetrio.wire.mpegts.frames import HEADS
from livetrio.wire.mpegts.packets import SIZE, Framing, TransportPacket, read_packet
from livetrio.wire.mpegts.pes import MAX_PES, Pes, PesReader
from livetrio.wire.mpegts.sections import Elementary, SectionReader, read_association, read_map

__all__ = ["CLOCK", "Clock", "TsDemuxer", "choose"]

CLOCK: Final = 90_000
"""Hertz of time stamps."""
_WRAP: Final = 1 << 33
_HALF: Final = _WRAP >> 1
_MAX_SOUND: Final = 1 << 20
"""Bytes of a PES packet of sound, which says its size in 16 bits: in one of `MAX_PES` there would
be room for millions of frames."""
_ASSOCIATION: Final = 0
"""PID of the table that says where the others are."""


class Clock:
    """Time stamps of 33 bits (26.5 hours), counted on beyond that.

    Args:
        near: a full time that the first one is near to; None: the first one is itself.
    """

    def __init__(self, near: int | None = None) -> None:
        self._last = near

    def unwrap(self, stamp: int) -> int:
        """The full time nearest to the last one."""
        if self._last is None:
            self._last = stamp
        self._last += (stamp - self._last + _HALF) % _WRAP - _HALF
        return self._last


class _Lane:
    """One stream: from transport packets to Packets. Frames before time 0 are left out: sound is
    often written half a second behind the pictures that it belongs to, so that a file which was
    cut out of a broadcast begins with sound of pictures that it does not have."""

    def __init__(self, stream: Stream, base: tuple[int, int] | None) -> None:
        self.reader = PesReader(_MAX_SOUND if isinstance(stream, Sounds) else MAX_PES)
        self.stream = stream
        self._zero, self._at = base or (0, 0)
        self._clock = Clock(None if base is None else self._zero)
        self._last = self._gap = 0

    def take(self, pes: Pes | None) -> list[Packet]:
        if pes is None:
            return []
        if pes.pts is None or pes.dts is None:  # a further picture without times of its own
            dts = pts = self._last + self._gap
        else:
            stamp = self._clock.unwrap(pes.dts)
            dts = (stamp - self._zero) * US_PER_SECOND // CLOCK + self._at
            shift = (pes.pts - pes.dts + _HALF) % _WRAP - _HALF
            pts = (stamp + shift - self._zero) * US_PER_SECOND // CLOCK + self._at
            self._gap = max(dts - self._last, 0)
        self._last = dts
        packets = self.stream.take(pes.data, dts, pts, key=pes.key)
        if any(packet.dts < 0 or packet.pts < 0 for packet in packets):
            packets = [self._announced(p) for p in packets if p.config or min(p.dts, p.pts) >= 0]
        return packets

    @staticmethod
    def _announced(packet: Packet) -> Packet:
        """A configuration counts, whatever its time."""
        if packet.config:
            packet.dts, packet.pts = max(packet.dts, 0), max(packet.pts, 0)
        return packet


class TsDemuxer:
    """Reads one stretch of a transport stream.

    Args:
        place: where its bytes begin in the file.
        streams: the streams, where they are known already; otherwise, and when they change, the
            tables say.
        tracks: their configurations, where these are known.
        base: a time stamp (90 kHz, unwrapped) and the microseconds that it becomes.
    """

    def __init__(
        self,
        place: int = 0,
        *,
        streams: Sequence[Elementary] = (),
        tracks: Sequence[Track] = (),
        base: tuple[int, int] | None = None,
    ) -> None:
        self.streams: Sequence[Elementary] = ()
        """What is read: at most one picture, one sound."""
        self.scrambled = False
        """Was there anything that is encrypted?"""
        self._base = base
        self._framing = Framing(place)
        self._sections: dict[int, SectionReader] = {_ASSOCIATION: SectionReader()}
        self._seen: dict[int, bytes] = {}
        self._lanes: dict[int, _Lane] = {}
        self._known = {track.kind: track for track in tracks}
        self._until = 1 << 63
        self._choose(streams)

    @property
    def tracks(self) -> list[Track]:
        """The configurations known by now, video first."""
        lanes = (self._lanes[stream.pid] for stream in self.streams)
        return [lane.stream.track for lane in lanes if lane.stream.track is not None]

    @property
    def pending(self) -> bool:
        """Has a frame begun whose end has not come?"""
        return any(lane.reader.pending for lane in self._lanes.values())

    def until(self, place: int) -> None:
        """What begins there or behind is not wanted; what begins before and ends behind is."""
        self._until = place

    def feed(self, data: bytes, *, final: bool = False) -> list[Packet]:
        """The next bytes; returns the frames they complete, each stream's in decoding order.

        final: there are no more; what has begun is over.
        """
        packets: list[Packet] = []
        for run in self._framing.feed(data, final=final):
            for pos in range(run.begin, run.end, SIZE):
                packet = read_packet(run.data, pos)
                if packet is not None:
                    packets += self._take(packet, run.place + pos - run.begin)
        if final:
            for lane in self._lanes.values():
                packets += lane.take(lane.reader.end())
        return packets

    def _take(self, packet: TransportPacket, place: int) -> list[Packet]:
        lane = self._lanes.get(packet.pid)
        if lane is not None:
            self.scrambled = self.scrambled or packet.scrambled
            if place < self._until:
                return lane.take(lane.reader.feed(packet, place))
            if not packet.starts:
                return lane.take(lane.reader.feed(packet, place)) if lane.reader.pending else []
            return lane.take(lane.reader.end())
        reader = self._sections.get(packet.pid)
        if reader is None or place >= self._until:
            return []
        packets: list[Packet] = []
        for section in reader.feed(packet.payload, starts=packet.starts):
            if self._seen.get(packet.pid) != section:  # the same ten times a second
                self._seen[packet.pid] = section
                packets += self._read(packet.pid, section)
        return packets

    def _read(self, pid: int, section: bytes) -> list[Packet]:
        """A table has changed."""
        if pid != _ASSOCIATION:
            streams = read_map(section)
            return [] if streams is None else self._choose(streams)
        where = read_association(section)
        if where is not None and where not in self._sections:
            self._sections = {_ASSOCIATION: self._sections[_ASSOCIATION], where: SectionReader()}
        return []

    def _choose(self, streams: Sequence[Elementary]) -> list[Packet]:
        """These are the streams now; returns what those that are no more had left."""
        chosen = choose(streams)
        packets: list[Packet] = []
        for stream in self.streams:
            if stream not in chosen:
                lane = self._lanes.pop(stream.pid)
                packets += lane.take(lane.reader.end())
        for stream in chosen:
            if stream not in self.streams:
                kind = Kind.AUDIO if stream.codec in HEADS else Kind.VIDEO
                known = self._known.get(kind)
                if known is not None and known.codec is not stream.codec:
                    known = None
                self._lanes[stream.pid] = _Lane(make_stream(stream.codec, known), self._base)
        self.streams = chosen
        return packets


def choose(streams: Sequence[Elementary]) -> list[Elementary]:
    """The first picture and the first sound of a program, in this order."""
    pictures = [stream for stream in streams if stream.codec not in HEADS]
    sounds = [stream for stream in streams if stream.codec in HEADS]
    return pictures[:1] + sounds[:1]
