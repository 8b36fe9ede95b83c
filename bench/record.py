#!/usr/bin/env python3
"""Recording: what it costs to write streams into files, beside the same streams without.

    python bench/record.py --streams 20 --seconds 20

So many publishers' clip (720p30, 1 Mbit/s, AAC) is published in real time inside this process,
first alone, then recorded in each format; the difference is the recording. All threads of the
process count, as the kernel counts them.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import trio
from renditions import packets_of
from rig import clip, report

from livetrio.delivery.record import RecordOptions
from livetrio.delivery.record_formats import FORMATS
from livetrio.delivery.recordings import open_recordings
from livetrio.media.client import Client
from livetrio.media.registry import Registry, open_registry
from livetrio.media.renditions import Renditions
from livetrio.net.beat import Beat
from livetrio.net.fanout import Pacer
from livetrio.net.scope import open_scope
from livetrio.packet import US_PER_SECOND, Packet, StreamKey

_SETTLE = 3.0
_TICK = 0.04
"""Seconds between two publishings: reading many publishers comes to that."""


async def publish(registry: Registry, name: str, heads: Sequence[Packet], frames: Sequence[Packet]):
    """Send the clip again and again in real time."""
    async with open_scope("publisher", name) as scope:
        client = Client("publisher", "rtmp", scope)
        key = StreamKey("live", name)
        async with registry.publish(key, client, takeover=False) as publication:
            publication.publish(heads)
            begun = trio.current_time()
            length = frames[-1].dts + 20_000
            shift = sent = 0
            while True:
                await trio.sleep(_TICK)
                now = (trio.current_time() - begun) * US_PER_SECOND
                batch = []
                while (frame := frames[sent]).dts + shift <= now:
                    dts, pts = frame.dts + shift, frame.pts + shift
                    batch.append(Packet(frame.track, dts, pts, frame.data, key=frame.key))
                    sent += 1
                    if sent == len(frames):
                        sent, shift = 0, shift + length
                publication.publish(batch)


async def measure(format_: str, count: int, clip_: tuple, seconds: float, folder: Path) -> float:
    """CPU seconds per second; format_: "" records nothing."""
    beat = Beat()
    apps = {"live": format_} if format_ else {}
    options = RecordOptions(folder=folder)
    async with (
        open_scope("bench", "record"),
        open_registry(pacer=Pacer(beat=beat)) as registry,
        open_recordings(registry, Renditions(), options, apps) as recordings,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(beat.run)
        nursery.start_soon(recordings.run)
        for number in range(count):
            nursery.start_soon(publish, registry, f"bench{number}", *clip_)
        await trio.sleep(_SETTLE)
        before, begun = time.process_time(), trio.current_time()
        await trio.sleep(seconds)
        used = (time.process_time() - before) / (trio.current_time() - begun)
        written = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())  # noqa: ASYNC240
        assert bool(written) == bool(format_), "nothing was recorded"
        nursery.cancel_scope.cancel()
    return used


def main() -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--streams", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=20.0, help="length of one window")
    parser.add_argument("--rounds", type=int, default=2)
    arguments = parser.parse_args()
    results: dict[str, list[float]] = {}
    with TemporaryDirectory() as folder:
        path = Path(folder) / "clip.flv"
        clip.encode(path)
        clip_ = packets_of(path)
        for number in range(arguments.rounds):
            for format_ in ("", *FORMATS):
                place = Path(folder) / f"{format_ or 'none'}{number}"
                place.mkdir()
                how = format_, arguments.streams, clip_, arguments.seconds, place
                results.setdefault(format_, []).append(trio.run(measure, *how))
    alone = min(results[""])
    rows = [
        [name or "nothing", report.percent(min(cpu)), report.percent(min(cpu) - alone)]
        for name, cpu in results.items()
    ]
    how = f"Windows of {arguments.seconds:g} s, the better of {arguments.rounds}"
    print(report.heading(f"Recording {arguments.streams} streams of 1 Mbit/s", how))
    print(report.table(["format", "CPU of the process", "of that the recording"], rows))


if __name__ == "__main__":
    sys.exit(main())
