#!/usr/bin/env python3
"""Renditions: what it costs to make Opus, AAC or H.264 without B-frames of a stream.

    python bench/renditions.py --seconds 20

One publisher's clip (720p30, 1 Mbit/s, AAC) is published in real time inside this process, first
alone, then with each rendition; the difference is the rendition. Counted are all threads of the
process and, for video, the worker process, as the kernel counts them.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import trio
from rig import clip, proc, report

from livetrio.media.client import Client
from livetrio.media.registry import open_registry
from livetrio.media.renditions import Renditions
from livetrio.media.stream import Publication
from livetrio.net.scope import open_scope
from livetrio.packet import US_PER_MS, US_PER_SECOND, Codec, Kind, Packet, StreamKey
from livetrio.wire.flv import Demuxer

WISHES: dict[str, dict] = {
    "nothing": {},
    "AAC -> Opus": {"audio": Codec.OPUS},
    "H.264 -> without B": {"video": "no-b"},
}
_REORDERED = 66 * US_PER_MS
_SETTLE = 3.0
"""Seconds before the window: the import of FFmpeg and the cached group of pictures."""


def packets_of(path: Path) -> tuple[list[Packet], list[Packet]]:
    """The clip's configuration and its frames."""
    source = clip.load(path)
    demuxer = Demuxer()
    heads = [p for h in source.headers for p in demuxer.feed(h.type_id, 0, h.body)]
    frames = [p for f in source.frames for p in demuxer.feed(f.type_id, f.ms, f.body)]
    return heads, frames


async def publish(publication: Publication, heads: Sequence[Packet], frames: Sequence[Packet]):
    """Send the clip again and again, each frame when its time has come."""
    publication.publish(heads)
    begun = trio.current_time()
    shift = 0
    while True:
        for frame in frames:
            dts = frame.dts + shift
            # As OBS stamps pictures, so that B-frames are expected.
            pts = dts + (_REORDERED if frame.track.kind is Kind.VIDEO else 0)
            await trio.sleep_until(begun + dts / US_PER_SECOND)
            publication.publish([Packet(frame.track, dts, pts, frame.data, key=frame.key)])
        shift += frames[-1].dts + 20 * US_PER_MS


@asynccontextmanager
async def stage(heads: Sequence[Packet], frames: Sequence[Packet]) -> AsyncIterator[Publication]:
    """A stream with its publisher."""
    async with open_registry() as registry, open_scope("bench", "publisher") as scope:
        client = Client("publisher", "rtmp", scope)
        key = StreamKey("live", "bench")
        async with registry.publish(key, client, takeover=False) as publication:
            scope.nursery.start_soon(publish, publication, heads, frames)
            await trio.sleep(0.1)
            yield publication


async def measure(wish: dict, heads: list[Packet], frames: list[Packet], seconds: float) -> float:
    """CPU seconds per second with this wish fulfilled."""
    async with (
        stage(heads, frames) as publication,
        Renditions().open(publication.stream, **wish),
    ):
        await trio.sleep(_SETTLE)
        before, begun = cpu_seconds(), trio.current_time()
        await trio.sleep(seconds)
        return (cpu_seconds() - before) / (trio.current_time() - begun)


def cpu_seconds() -> float:
    """All threads of this process, those that ended too, and its children."""
    files = Path("/proc/self/task").glob("*/children")
    children = [int(pid) for file in files for pid in file.read_text().split()]
    return time.process_time() + sum(proc.usage(pid).cpu for pid in children)


def main() -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=20.0, help="length of one window")
    arguments = parser.parse_args()
    with TemporaryDirectory() as folder:
        path = Path(folder) / "clip.flv"
        clip.encode(path)
        heads, frames = packets_of(path)
    alone = 0.0
    rows = []
    for name, wish in WISHES.items():
        cpu = trio.run(measure, wish, heads, frames, arguments.seconds)
        alone = alone or cpu
        rows.append([name, report.percent(cpu), report.percent(cpu - alone)])
    print(report.heading("Renditions of one stream, 720p30", f"Windows of {arguments.seconds:g} s"))
    print(report.table(["made", "CPU of the process", "of that the rendition"], rows))


if __name__ == "__main__":
    sys.exit(main())
