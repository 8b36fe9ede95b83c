"""Transport streams built packet by packet, so that each can be made wrong."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from livetrio.packet import Codec, Kind, Packet
from livetrio.wire.mpegts import TsMuxer
from livetrio.wire.mpegts.tables import crc32
from livetrio.wire.segment import Part, Segmenter, SegmentLimits, SegmentStart

__all__ = ["SIZE", "each", "pes", "read_all", "section", "shifted_ts", "transport", "ts_file"]

SIZE = 188


def ts_file(packets: Iterable[Packet], *, each_second: int = 1_000_000) -> bytes:
    """Packets as our muxer writes them, tables at each key frame; without an index."""
    segmenter = Segmenter(SegmentLimits(target=each_second, part=0), frozenset(Codec))
    muxer: TsMuxer | None = None
    out: list[bytes] = []
    for event in [e for p in packets for e in segmenter.feed(p)] + segmenter.end():
        if isinstance(event, SegmentStart):
            if muxer is None or event.discontinuity:
                muxer = TsMuxer(event.tracks)
            out.append(muxer.tables())
        elif isinstance(event, Part) and muxer is not None:
            out.append(muxer.write(event.samples))
    return b"".join(out)


def transport(
    pid: int,
    payload: bytes = b"",
    *,
    starts: bool = False,
    count: int = 0,
    key: bool = False,
    scrambled: bool = False,
    damaged: bool = False,
    broken: bool = False,
) -> bytes:
    """One packet; what is not payload is stuffing."""
    flags = (0x80 if broken else 0) | (0x40 if key else 0)
    room = SIZE - 4 - len(payload)
    second = pid >> 8 | (0x40 if starts else 0) | (0x80 if damaged else 0)
    control = count & 15 | 0x10 | (0xC0 if scrambled else 0)
    field = b""
    if room or flags:
        control |= 0x20
        field = bytes((room - 1,)) + (bytes((flags,)) + b"\xff" * (room - 2))[: room - 1]
    return bytes((0x47, second, pid & 0xFF, control)) + field + payload


def section(table: int, body: bytes, *, current: bool = True, extension: int = 1) -> bytes:
    """A section with its checksum, behind a pointer_field."""
    head = bytes((table,)) + (0xB000 | len(body) + 9).to_bytes(2, "big")
    head += extension.to_bytes(2, "big") + bytes((0xC1 if current else 0xC0, 0, 0))
    return b"\x00" + head + body + crc32(head + body).to_bytes(4, "big")


def pes(data: bytes, pts: int | None = None, dts: int | None = None, *, length: int = -1) -> bytes:
    """A PES packet; length: what it says, if not the truth (0: until the next one)."""
    times = b""
    if pts is not None:
        times = _time(3 if dts is not None else 2, pts)
        times += b"" if dts is None else _time(1, dts)
    flags = (0x80 if times else 0) | (0x40 if dts is not None else 0)
    said = 3 + len(times) + len(data) if length < 0 else length
    head = b"\x00\x00\x01\xe0" + said.to_bytes(2, "big") + bytes((0x80, flags, len(times)))
    return head + times + data


def each(data: bytes) -> list[bytes]:
    """The packets of a file."""
    return [data[pos : pos + SIZE] for pos in range(0, len(data), SIZE)]


def _time(prefix: int, stamp: int) -> bytes:
    value = stamp & (1 << 33) - 1
    bits = prefix << 36 | value >> 30 << 33 | (value >> 15 & 0x7FFF) << 17 | (value & 0x7FFF) << 1
    return (bits | 1 << 32 | 1 << 16 | 1).to_bytes(5, "big")


def read_all(demuxer: object, data: bytes, size: int = 0) -> list[Packet]:
    """All frames of a file, fed in pieces of a size (0: in one)."""
    step = size or len(data) or 1
    found: list[Packet] = []
    for pos in range(0, len(data), step):
        found += demuxer.feed(data[pos : pos + step])  # type: ignore[attr-defined]
    return found + demuxer.feed(b"", final=True)  # type: ignore[attr-defined]


def shifted_ts(packets: Sequence[Packet], us: int) -> list[Packet]:
    """Packets at another time, frames only moved."""
    return [
        Packet(p.track, p.dts + us, p.pts + us, p.data, p.key, p.config)
        for p in packets
        if p.track.kind is not Kind.DATA
    ]
