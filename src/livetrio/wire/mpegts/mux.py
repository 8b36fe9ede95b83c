"""TsMuxer: samples to transport stream packets, with tables, clock and continuity counters.

Source: ISO/IEC 13818-1 sections 2.4.3.2 (packet), 2.4.3.4 (adaptation field), 2.4.3.6 (PES).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from livetrio.packet import US_PER_SECOND, Codec, Kind, Track
from livetrio.wire.mpegts.payload import converter
from livetrio.wire.mpegts.tables import PMT_PID, program_association, program_map
from livetrio.wire.segment import Sample

__all__ = ["TsMuxer", "in_ts", "ticks"]

_SIZE: Final = 188
_BODY: Final = _SIZE - 4
_CLOCK: Final = 90_000
_WRAP: Final = (1 << 33) - 1
_LEAD: Final = _CLOCK // 10
"""The program's clock runs 100 ms behind the decoding times: a decoder's buffer."""
_ORIGIN: Final = _CLOCK
"""Times are written one second later than they are, so that no clock is below 0."""
_FIRST_PID: Final = 0x100
_AUDIO_RUN: Final = 100_000
"""Microseconds of sound in one PES packet: a header for each frame would cost a tenth."""
_STREAM_TYPES: Final = {
    Codec.H264: 0x1B,
    Codec.HEVC: 0x24,
    Codec.AAC: 0x0F,
    Codec.MP3: 0x03,
    Codec.AC3: 0x81,
    Codec.EAC3: 0x87,
}
_MPEG2_MP3: Final = 0x04
"""MPEG audio at the lower sampling frequencies."""


def in_ts(codec: Codec) -> bool:
    """Whether HLS players expect this codec in a transport stream."""
    return codec in _STREAM_TYPES


class _Stream:
    """One track on its way: its PID, its counter, its conversion."""

    __slots__ = ("_headers", "_starts", "convert", "count", "is_video", "pid", "stream_id", "type")

    def __init__(self, number: int, track: Track) -> None:
        self.is_video = track.kind is Kind.VIDEO
        self.pid = _FIRST_PID + number
        self.stream_id = 0xE0 if self.is_video else 0xC0
        self.type = _STREAM_TYPES[track.codec]
        if track.codec is Codec.MP3 and 0 < track.sample_rate < 32_000:
            self.type = _MPEG2_MP3
        if track.codec in (Codec.AC3, Codec.EAC3):
            self.stream_id = 0xBD  # private_stream_1
        self.convert = converter(track)
        self.count = 0
        self._headers, self._starts = _headers(self.pid)

    def packets(self, payload: bytes, adaptation: bytes, out: list[bytes]) -> None:
        """Cut one PES packet into transport packets.

        adaptation: flags and fields for the first one's adaptation field, "" for none.
        """
        count, end = self.count, len(payload)
        room = _BODY - (len(adaptation) + 1 if adaptation else 0)
        field = b"" if not adaptation else bytes((len(adaptation),)) + adaptation
        if end < room:  # it ends in its first packet: fill that up
            out += (self._starts[count & 15 | 16], _stuffing(adaptation, room - end), payload)
            self.count = count + 1 & 15
            return
        out += (self._starts[count & 15 | (16 if adaptation else 0)], field, payload[:room])
        pos, count = room, count + 1
        headers = self._headers
        whole = pos + (end - pos) // _BODY * _BODY
        while pos < whole:
            out += (headers[count & 15], payload[pos : pos + _BODY])
            pos += _BODY
            count += 1
        if pos < end:
            out += (headers[count & 15 | 16], _stuffing(b"", _BODY - (end - pos)), payload[pos:])
            count += 1
        self.count = count & 15


class TsMuxer:
    """The continuity of one run of segments: make a new one at a discontinuity.

    Args:
        tracks: what is carried, in this order; `in_ts` is true of each.

    Raises:
        RemoteProtocolError: a configuration record cannot be read.
    """

    def __init__(self, tracks: Sequence[Track]) -> None:
        self._streams = [_Stream(number, track) for number, track in enumerate(tracks)]
        self._clock = self._streams[0]
        listed = [(stream.type, stream.pid, b"") for stream in self._streams]
        self._association = b"\x00" + program_association()  # pointer_field: begins at once
        self._map = b"\x00" + program_map(listed, self._clock.pid)
        self._table_count = 0

    def tables(self) -> bytes:
        """PAT and PMT, which every segment begins with."""
        packets = []
        for pid, section in ((0, self._association), (PMT_PID, self._map)):
            head = bytes((0x47, 0x40 | pid >> 8, pid & 0xFF, 0x10 | self._table_count))
            packets.append((head + section).ljust(_SIZE, b"\xff"))
        self._table_count = self._table_count + 1 & 15
        return b"".join(packets)

    def write(self, samples: Sequence[Sequence[Sample]]) -> bytes:
        """The samples of each track as transport packets, interleaved by decoding time."""
        units: list[tuple[int, _Stream, Sequence[Sample]]] = []
        for stream, run in zip(self._streams, samples, strict=True):
            if stream.is_video:
                units += [(sample.dts, stream, (sample,)) for sample in run]
            else:
                units += [(group[0].dts, stream, group) for group in _grouped(run)]
        units.sort(key=lambda unit: unit[0])
        out: list[bytes] = []
        for _, stream, group in units:
            self._write_unit(stream, group, out)
        return b"".join(out)

    def _write_unit(self, stream: _Stream, group: Sequence[Sample], out: list[bytes]) -> None:
        first = group[0]
        dts, pts = _stamp(first.dts), _stamp(first.pts)
        adaptation = b""
        if stream is self._clock:
            # random_access_indicator, PCR_flag; the clock in 90 kHz, its extension 0.
            base = dts - _LEAD & _WRAP
            flags = 0x50 if first.key else 0x10
            adaptation = bytes((flags,)) + (base << 15 | 0x7E00).to_bytes(6, "big")
        body = b"".join([stream.convert(sample) for sample in group])
        times = _time(2, pts) if pts == dts else _time(3, pts) + _time(1, dts)
        flags = 0x80 if pts == dts else 0xC0
        length = 3 + len(times) + len(body)
        if length > 0xFFFF or stream.is_video:
            length = 0  # unbounded, which only video may be; sound is grouped short enough
        head = b"\x00\x00\x01" + bytes((stream.stream_id,)) + length.to_bytes(2, "big")
        stream.packets(head + bytes((0x84, flags, len(times))) + times + body, adaptation, out)


def _grouped(run: Sequence[Sample]) -> list[list[Sample]]:
    """Sound in runs of about a tenth of a second that fit one bounded PES packet."""
    groups: list[list[Sample]] = []
    size = 0
    for sample in run:
        size += len(sample.data) + 7
        fits = groups and sample.dts - groups[-1][0].dts < _AUDIO_RUN and size < 60_000
        if fits:
            groups[-1].append(sample)
        else:
            groups.append([sample])
            size = len(sample.data) + 7
    return groups


def ticks(time: int) -> int:
    """Microseconds as what they are written as, before it is cut to 33 bits."""
    return (time * _CLOCK + US_PER_SECOND // 2) // US_PER_SECOND + _ORIGIN


def _stamp(time: int) -> int:
    return ticks(time) & _WRAP


def _time(prefix: int, stamp: int) -> bytes:
    """A time stamp in five bytes with its marker bits (section 2.4.3.6)."""
    return bytes(
        (
            prefix << 4 | stamp >> 29 & 0x0E | 1,
            stamp >> 22 & 0xFF,
            stamp >> 14 & 0xFE | 1,
            stamp >> 7 & 0xFF,
            stamp << 1 & 0xFE | 1,
        )
    )


def _headers(pid: int) -> tuple[list[bytes], list[bytes]]:
    """Packet headers by counter, from 16 on with an adaptation field: going on, and starting."""
    going, starting = [], []
    for control in (0x10, 0x30):
        for count in range(16):
            going.append(bytes((0x47, pid >> 8, pid & 0xFF, control | count)))
            starting.append(bytes((0x47, 0x40 | pid >> 8, pid & 0xFF, control | count)))
    return going, starting


def _stuffing(adaptation: bytes, room: int) -> bytes:
    """An adaptation field of these fields and `room` bytes more, the length byte among them."""
    if adaptation:
        return bytes((len(adaptation) + room,)) + adaptation + b"\xff" * room
    if room == 1:
        return b"\x00"
    return bytes((room - 1, 0)) + b"\xff" * (room - 2)
