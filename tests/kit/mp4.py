"""MP4 files built box by box, so that each box can be made wrong; and files in memory to read."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence

from livetrio.packet import Kind, Packet, Track
from livetrio.wire.fmp4 import fragment, initialization
from livetrio.wire.fmp4.boxes import box, full_box
from livetrio.wire.fmp4.sample_entry import sample_entry
from livetrio.wire.segment import Sample

__all__ = ["Memory", "Tables", "fragmented", "lasting", "movie", "table"]

MOVIE_SCALE = 1_000
SCALE = 90_000


class Memory:
    """A Source; counts what is read."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.size = len(data)
        self.bytes_read = 0

    def read(self, offset: int, size: int) -> bytes:
        assert offset >= 0, "asked for what is before the file"
        self.bytes_read += size
        return self.data[offset : offset + size]


def table(kind: bytes, rows: Sequence[Sequence[int]], code: str = "I", count: int = -1) -> bytes:
    """A table box of unsigned numbers; count: what it says, if not the truth."""
    words = [number & (1 << 8 * struct.calcsize(code)) - 1 for row in rows for number in row]
    said = len(rows) if count < 0 else count
    return full_box(
        kind, 0, 0, said.to_bytes(4, "big"), struct.pack(f">{len(words)}{code}", *words)
    )


class Tables:
    """The boxes of one track's sample table, ready to be replaced before they are joined."""

    def __init__(self, track: Track, packets: Sequence[Packet], offsets: Sequence[int]) -> None:
        times = [_ticks(packet.dts) for packet in packets]
        last = times[-1] - times[-2] if len(times) > 1 else SCALE // 25
        durations = [b - a for a, b in zip(times, [*times[1:], times[-1] + last], strict=True)]
        shifts = [_ticks(packet.pts) - _ticks(packet.dts) for packet in packets]
        keys = [(number,) for number, packet in enumerate(packets, 1) if packet.key]
        sizes = struct.pack(f">{len(packets)}I", *[len(packet.data) for packet in packets])
        self.boxes = {
            b"stsd": full_box(b"stsd", 0, 0, b"\x00\x00\x00\x01", sample_entry(track)),
            b"stts": table(b"stts", [(1, duration) for duration in durations]),
            b"stsz": full_box(b"stsz", 0, 0, bytes(4), len(packets).to_bytes(4, "big"), sizes),
            b"stsc": table(b"stsc", [(1, 1, 1)]),
            b"stco": table(b"stco", [(offset,) for offset in offsets]),
        }
        if any(shifts):
            self.boxes[b"ctts"] = table(b"ctts", [(1, shift) for shift in shifts])
        if len(keys) < len(packets):
            self.boxes[b"stss"] = table(b"stss", keys)

    def build(self) -> bytes:
        return box(b"stbl", *self.boxes.values())


def movie(
    packets: Sequence[Packet],
    *,
    change: Callable[[Tables, Track], None] = lambda tables, track: None,
    edits: Sequence[tuple[int, int]] = (),
    at_end: bool = False,
    version: int = 0,
) -> bytes:
    """A progressive file of these packets.

    Args:
        change: of the tables, before they are written.
        edits: of every track: (duration in milliseconds, media time in 1/90,000 s).
        at_end: moov behind mdat.
        version: of the headers with times: 1 is 64 bits wide.
    """
    frames = [
        packet for packet in packets if not packet.config and packet.track.kind is not Kind.DATA
    ]
    tracks = list(dict.fromkeys(packet.track for packet in frames))
    ftyp = box(b"ftyp", b"isom", bytes(4), b"isom")
    data = b"".join(packet.data for packet in frames)

    def moov(begin: int) -> bytes:
        places: dict[int, int] = {}
        place = begin
        for packet in frames:
            places[id(packet)] = place
            place += len(packet.data)
        boxes = [full_box(b"mvhd", version, 0, _head(version, MOVIE_SCALE), bytes(80))]
        for number, track in enumerate(tracks, 1):
            own = [packet for packet in frames if packet.track is track]
            tables = Tables(track, own, [places[id(packet)] for packet in own])
            change(tables, track)
            boxes.append(_trak(number, track, tables.build(), edits, version))
        return box(b"moov", *boxes)

    mdat = box(b"mdat", data)
    if at_end:
        return ftyp + mdat + moov(len(ftyp) + 8)
    size = len(moov(0))
    return ftyp + moov(len(ftyp) + size + 8) + mdat


def fragmented(packets: Sequence[Packet], *, origin: int = 0) -> list[bytes]:
    """A fragmented file as our recorder writes it, in pieces: header, then a fragment a second."""
    frames = [
        packet for packet in packets if not packet.config and packet.track.kind is not Kind.DATA
    ]
    tracks = sorted({packet.track for packet in frames}, key=lambda track: track.kind.value)[::-1]
    end = max(packet.dts for packet in frames)
    pieces = [initialization(tracks)]
    samples = {track: lasting([p for p in frames if p.track is track]) for track in tracks}
    for number, start in enumerate(range(0, end + 1, 1_000_000), 1):
        part = [
            [sample for sample in samples[track] if start <= sample.dts < start + 1_000_000]
            for track in tracks
        ]
        pieces.append(fragment(number, tracks, part, origin=origin))
    return pieces


def lasting(packets: Sequence[Packet]) -> list[Sample]:
    """Packets as samples, each until the next one."""
    ends = [packet.dts for packet in packets[1:]] + [packets[-1].dts + 40_000]
    return [
        Sample(packet.dts, packet.pts, end - packet.dts, packet.key, packet.data)
        for packet, end in zip(packets, ends, strict=True)
    ]


def _trak(
    number: int, track: Track, tables: bytes, edits: Sequence[tuple[int, int]], version: int
) -> bytes:
    wide = ">Qq" if version else ">Ii"
    rows = [struct.pack(wide, *edit) + b"\x00\x01\x00\x00" for edit in edits]
    edit_list = full_box(b"elst", version, 0, len(rows).to_bytes(4, "big"), *rows)
    header = full_box(b"tkhd", version, 3, _head(version, number), bytes(60))
    media = box(
        b"mdia",
        full_box(b"mdhd", version, 0, _head(version, SCALE), bytes(8)),
        full_box(b"hdlr", 0, 0, bytes(4), b"vide" if track.kind is Kind.VIDEO else b"soun"),
        box(b"minf", tables),
    )
    return box(b"trak", header, *([box(b"edts", edit_list)] if edits else []), media)


def _head(version: int, number: int) -> bytes:
    """Made, changed, and the number that follows them."""
    return bytes(16 if version else 8) + number.to_bytes(4, "big")


def _ticks(time: int) -> int:
    return (time * SCALE + 500_000) // 1_000_000
