"""Survey: looks a transport stream through for the places where a decoder can start.

Only the beginnings of frames are looked at, and they are found by strides over a whole block,
so that a file costs little more than reading it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from livetrio.packet import Codec
from livetrio.wire.avc import AvcNal
from livetrio.wire.hevc import HevcNal, nal_type
from livetrio.wire.mpegts.demux import CLOCK, Clock, choose
from livetrio.wire.mpegts.frames import HEADS, MIN_HEAD
from livetrio.wire.mpegts.packets import SIZE, Run, TransportPacket, read_packet
from livetrio.wire.mpegts.pes import HEADER, read_times
from livetrio.wire.mpegts.sections import Elementary, SectionReader, read_association, read_map
from livetrio.wire.nal import annexb_units

__all__ = ["Point", "Survey"]

_STARTS: Final = re.compile(rb"[\x40-\x7f]")
"""The second byte of packets that begin something, and are whole."""
_APART: Final = CLOCK
"""Points of sound alone are no closer together."""
_JUMP: Final = 10 * CLOCK
"""A longer gap, or any step back, is another timeline: it is joined to the one before."""
_USUAL: Final = CLOCK // 25
_PIECES: Final = 8
"""Packets of a key frame that are looked at for its parameter sets."""
_MAX_POINTS: Final = 500_000
_AVC_SETS: Final = frozenset({AvcNal.SPS, AvcNal.PPS})
_HEVC_SETS: Final = frozenset({HevcNal.VPS, HevcNal.SPS, HevcNal.PPS})


class Point(NamedTuple):
    """A place where a decoder can start."""

    place: int
    stamp: int
    """Its decoding time as written, unwrapped."""
    time: int
    """The same on the file's one timeline, 1/90,000 s."""
    changed: bool
    """May something be configured otherwise from here on?"""
    streams: Sequence[Elementary]


class Survey:
    """Told of packets in order.

    Args:
        streams: of the program, as far as they are of use: the first one leads.
        after: a point that is known already; what is found is behind it.
    """

    def __init__(self, streams: Sequence[Elementary], after: Point | None = None) -> None:
        self.points: list[Point] = []
        self._streams = streams
        self._clock = Clock(None if after is None else after.stamp)
        self._shift = 0 if after is None else after.time - after.stamp
        self._newest: int | None = None if after is None else after.time
        self._gap = _USUAL
        self._sections: dict[int, SectionReader] = {0: SectionReader()}
        self._sets: object = None
        self._sound: object = None
        self._changed = False

    @property
    def end(self) -> int:
        """When the newest picture is over, 1/90,000 s of the timeline."""
        return 0 if self._newest is None else self._newest + self._gap

    def look(self, run: Run) -> None:
        """The next packets."""
        data = run.data
        for match in _STARTS.finditer(data[run.begin + 1 : run.end : SIZE]):
            pos = run.begin + match.start() * SIZE
            pid = (data[pos + 1] & 0x1F) << 8 | data[pos + 2]
            number = next((n for n, s in enumerate(self._streams) if s.pid == pid), None)
            if number is None and pid not in self._sections:
                continue
            packet = read_packet(data, pos)
            if packet is None or packet.scrambled:
                continue
            if number is None:
                self._table(packet)
            elif number:
                self._hear(packet)
            elif len(self.points) < _MAX_POINTS:
                self._see(packet, run, pos)

    def _see(self, packet: TransportPacket, run: Run, pos: int) -> None:
        """A frame of the lead begins."""
        if len(packet.payload) < HEADER:
            return
        _, dts = read_times(packet.payload)
        if dts is None:
            return
        stamp = self._clock.unwrap(dts)
        time = stamp + self._shift
        if self._newest is not None:
            gap = time - self._newest
            if 0 <= gap < _JUMP:
                self._gap = gap or self._gap
            else:
                time = self._newest + self._gap
                self._shift, self._changed = time - stamp, True
        codec = self._streams[0].codec
        if codec in HEADS:
            is_key = not self.points or time - self.points[-1].time >= _APART
        else:
            sets = self._parameter_sets(codec, run, pos)
            is_key = packet.key or bool(sets)
            if is_key and sets and sets != self._sets:
                self._sets, self._changed = sets, True
        self._newest = time
        if is_key:
            place = run.place + pos - run.begin
            self.points.append(Point(place, stamp, time, self._changed, self._streams))
            self._changed = False

    def _hear(self, packet: TransportPacket) -> None:
        """Sound begins: is it what it was? The next picture that can be a start will tell."""
        payload = packet.payload
        if len(payload) < HEADER:
            return
        begin = HEADER + payload[8]
        frame = payload[begin : begin + MIN_HEAD]
        head = HEADS[self._streams[1].codec](frame) if len(frame) == MIN_HEAD else None
        about = None if head is None else (head.rate, head.channels, head.object_type)
        if about is not None and about != self._sound:
            self._sound, self._changed = about, True

    def _parameter_sets(self, codec: Codec, run: Run, pos: int) -> list[bytes]:
        """Those that a frame begins with, if any."""
        wanted = _AVC_SETS if codec is Codec.H264 else _HEVC_SETS
        pieces: list[bytes] = []
        pid = self._streams[0].pid
        while pos < run.end and len(pieces) < _PIECES:
            packet = read_packet(run.data, pos)
            pos += SIZE
            if packet is None or packet.pid != pid:
                continue
            if pieces and packet.starts:
                break
            pieces.append(packet.payload)
            if len(pieces) == 1 and not self._begins_with_sets(codec, packet.payload):
                return []
        found = []
        for unit in annexb_units(b"".join(pieces)[HEADER:]):
            kind = unit[0] & 0x1F if codec is Codec.H264 else nal_type(unit)
            if kind in wanted:
                found.append(unit)
            elif kind < min(wanted) - 1 and found:
                break
        return found

    @staticmethod
    def _begins_with_sets(codec: Codec, payload: bytes) -> bool:
        """Is there a parameter set in a frame's first packet? Asked of every frame."""
        return _SPS[codec].search(payload, HEADER) is not None

    def _table(self, packet: TransportPacket) -> None:
        """The tables: a program may change its streams."""
        for section in self._sections[packet.pid].feed(packet.payload, starts=True):
            if packet.pid:
                streams = read_map(section)
                if streams and choose(streams) != self._streams:
                    self._streams, self._changed = choose(streams), True
                continue
            where = read_association(section)
            if where is not None and where not in self._sections:
                self._sections = {0: self._sections[0], where: SectionReader()}


_SPS: Final = {
    Codec.H264: re.compile(rb"\x00\x00\x01[\x07\x27\x47\x67]"),
    Codec.HEVC: re.compile(rb"\x00\x00\x01[\x42\x43]"),
}
"""A start code and the header of an SPS."""
