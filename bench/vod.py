#!/usr/bin/env python3
"""Stored files: how long it takes to begin playing a big file somewhere, and how much is read.

    python bench/vod.py --gigabytes 4
    python bench/vod.py --gigabytes 4 --ts          # a recording of ours as MPEG-TS
    python bench/vod.py --gigabytes 4 --ts --plain  # the same without its index

The MP4 is sparse: two hours of 25 pictures and 47 frames of sound a second, a key frame every
two seconds, tables as FFmpeg writes them (a shift for every picture), frames of nothing.
"""

from __future__ import annotations

import argparse
import struct
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import trio
from rig import report

from livetrio.delivery import vod_hls
from livetrio.delivery.record_formats import Tape, TapeFile, make_tape
from livetrio.media.vod.library import Library
from livetrio.packet import US_PER_SECOND, Codec, Kind, Packet, StreamKey, Track
from livetrio.wire.aac import AacConfig
from livetrio.wire.fmp4.boxes import box, full_box
from livetrio.wire.fmp4.sample_entry import sample_entry
from livetrio.wire.tracks import track_from_record

_SECONDS = 7_200
_RATE = 25
_GOP = 50
_SOUND = 300
_AVC = bytes.fromhex(
    "0142c01fffe1000f6742c01fa6810050 05bb01100000030010 01000468ce3880".replace(" ", "")
)
_KEY = StreamKey("vod", "big")


def table(kind: bytes, words: list[int], width: int) -> bytes:
    """A table of 32-bit numbers."""
    head = (len(words) // width).to_bytes(4, "big")
    return full_box(kind, 0, 0, head, struct.pack(f">{len(words)}I", *words))


def trak(number: int, track: Track, scale: int, tables: bytes) -> bytes:
    """One track."""
    header = full_box(b"tkhd", 0, 3, struct.pack(">III", 0, 0, number), bytes(68))
    clock = full_box(b"mdhd", 0, 0, struct.pack(">IIII", 0, 0, scale, 0), bytes(4))
    description = full_box(b"stsd", 0, 0, b"\x00\x00\x00\x01", sample_entry(track))
    stbl = box(b"stbl", description, tables)
    return box(b"trak", header, box(b"mdia", clock, box(b"minf", stbl)))


def write(path: Path, size: int) -> None:
    """A sparse file of that many bytes, its tables at its end as cameras leave them."""
    pictures, sounds = _SECONDS * _RATE, _SECONDS * 47
    each = (size - sounds * _SOUND) // pictures
    begin = 24
    video, audio, place = [], [], begin
    for second in range(_SECONDS):  # a chunk of each a second
        video.append(place)
        place += _RATE * each
        audio.append(place)
        place += 47 * _SOUND
        del second
    offsets = [
        full_box(b"co64", 0, 0, struct.pack(f">I{len(p)}Q", len(p), *p)) for p in (video, audio)
    ]
    shifts = [word for n in range(pictures) for word in (1, 512 * (n % 3))]
    keys = list(range(1, pictures + 1, _GOP))
    sizes = [
        full_box(b"stsz", 0, 0, struct.pack(f">II{n}I", 0, n, *[s] * n))
        for n, s in ((pictures, each), (sounds, _SOUND))
    ]
    picture = box(b"free") + table(b"stts", [pictures, 512], 2) + table(b"ctts", shifts, 2)
    picture += table(b"stss", keys, 1) + table(b"stsc", [1, _RATE, 1], 3) + sizes[0] + offsets[0]
    sound = table(b"stts", [sounds, 1_021], 2) + table(b"stsc", [1, 47, 1], 3)
    sound += sizes[1] + offsets[1]
    avc = Track(Kind.VIDEO, Codec.H264, config=_AVC, width=1280, height=720)
    aac = track_from_record(Codec.AAC, AacConfig.build(48_000, 2))
    movie = full_box(b"mvhd", 0, 0, struct.pack(">III", 0, 0, 1_000), bytes(84))
    moov = box(b"moov", movie, trak(1, avc, 12_800, picture), trak(2, aac, 48_000, sound))
    with path.open("wb") as file:
        file.write(box(b"ftyp") + struct.pack(">I4sQ", 1, b"mdat", place - 8))
        file.seek(place)
        file.write(moov)


def write_ts(path: Path, size: int, *, plain: bool) -> None:
    """A recording as long as it takes: a key frame every two seconds, a megabyte each."""
    video = Track(Kind.VIDEO, Codec.H264, config=_AVC, width=1280, height=720)
    unit = (20_000).to_bytes(4, "big") + b"\x41" + b"\x55" * 19_999
    tape: Tape = make_tape("ts")
    tape.feed([Packet(video, 0, 0, _AVC, config=True)])
    file: TapeFile | None = None
    with path.open("wb") as out:
        number = 0
        while out.tell() < size:
            time_ = number * US_PER_SECOND // _RATE
            pieces = tape.feed([Packet(video, time_, time_, unit, key=number % _GOP == 0)])
            number += 1
            for piece in pieces:
                file = file or tape.open(piece)
                data = file.add(piece)
                out.write(data.replace(b"livetrix", b"--------") if plain else data)


async def measure(folder: Path) -> list[list[str]]:
    """One row for each place and way."""
    rows = []
    for share in (0.0, 0.25, 0.5, 0.99):
        library = Library({"vod": folder})
        rows.append(await seek(library, share, f"first play, at {share:.0%}"))
        rows.append(await seek(library, share + 0.005, "again, a little later in the file"))
    library = Library({"vod": folder})
    begun = time.perf_counter()
    async with library.open(_KEY) as opened:
        every = vod_hls.cuts(opened)
        middle = len(every) // 2
        data = await vod_hls.segment(opened, middle, every[middle])
        took = time.perf_counter() - begun
        name = f"HLS segment of {len(data) >> 20} MB, index included"
        rows.append([name, report.milliseconds(took), f"{opened.file.bytes_read / 1e6:.1f} MB"])
    return rows


async def seek(library: Library, share: float, name: str) -> list[str]:
    """Open, seek, read the first frames."""
    begun = time.perf_counter()
    async with library.open(_KEY) as opened:
        first = opened.point_at(int(share * opened.title.duration))
        assert await opened.reader(first).read()
        took = time.perf_counter() - begun
        return [name, report.milliseconds(took), f"{opened.file.bytes_read / 1e6:.1f} MB"]


def main() -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--gigabytes", type=float, default=4.0)
    parser.add_argument("--ts", action="store_true")
    parser.add_argument("--plain", action="store_true")
    arguments = parser.parse_args()
    with TemporaryDirectory() as folder:
        size = int(arguments.gigabytes * (1 << 30))
        if arguments.ts:
            write_ts(Path(folder) / "big.ts", size, plain=arguments.plain)
        else:
            write(Path(folder) / "big.mp4", size)
        rows = trio.run(measure, Path(folder))
    print(
        report.heading(f"A file of {arguments.gigabytes:g} GB", "From the name to the first frames")
    )
    print(report.table(["", "starts after, ms", "read"], rows))


if __name__ == "__main__":
    sys.exit(main())
