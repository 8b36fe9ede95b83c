#!/usr/bin/env python3
"""The composed stream: what its worker process takes of a core.

    python bench/mix.py --seconds 20

Seats are published in real time inside this process: pink noise in Opus, 20 ms a packet, each
seat's its own; and for video rooms a moving pattern under noise, 640x360 at 30 a second and
300 kbit/s. Counted is the worker process alone, all its threads, as the kernel counts them; the
server's own share (this process, publishers included) stands beside it.
"""

from __future__ import annotations

import argparse
import sys
import time
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import av
import trio
from av.audio.resampler import AudioResampler
from rig import proc, report

from livetrio.media.client import Client
from livetrio.media.mix.composer import MixOptions, compose
from livetrio.media.mix.scene import Part, Scene, Stage
from livetrio.media.registry import Registry, open_registry
from livetrio.net.scope import open_scope
from livetrio.packet import US_PER_SECOND, Codec, Kind, Packet, StreamKey
from livetrio.wire.avc import AvcConfig
from livetrio.wire.nal import annexb_units, join_units
from livetrio.wire.opus import OpusHead
from livetrio.wire.tracks import track_from_record

CLIP = 10
"""Seconds of what each seat sends again and again."""
FPS = 30
BITRATE = 300_000
SETTLE = 4.0
"""Seconds before the window: the worker's start, the jitter buffers."""
KEY = StreamKey("live", "room")
CASES: dict[str, tuple[int, bool]] = {
    "1 voice": (1, False),
    "8 voices": (8, False),
    "16 voices": (16, False),
    "4 seats into 720p30": (4, True),
    "9 seats into 720p30": (9, True),
}
"""Seats, and whether they are seen."""


def voice(seed: int) -> list[Packet]:
    """One seat's sound."""
    encoder: Any = av.CodecContext.create("libopus", "w")
    encoder.sample_rate, encoder.layout, encoder.format = 48_000, "stereo", "flt"
    encoder.bit_rate = 32_000
    encoder.open()
    track = track_from_record(Codec.OPUS, OpusHead(2).build())
    resampler = AudioResampler(format="flt", layout="stereo", rate=48_000, frame_size=960)
    noise = f"anoisesrc=color=pink:amplitude=0.2:sample_rate=48000:duration={CLIP}:seed={seed}"
    coded = []
    with av.open(noise, format="lavfi") as sounds:
        for sound in sounds.decode(audio=0):
            coded += [p for piece in resampler.resample(sound) for p in encoder.encode(piece)]
    return [
        Packet(track, number * 20_000, number * 20_000, bytes(packet), key=True)
        for number, packet in enumerate(coded)
    ]


def camera(seed: int) -> list[Packet]:
    """One seat's picture, as a browser's encoder would make it: few key frames, no B-frames."""
    encoder: Any = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height, encoder.pix_fmt = 640, 360, "yuv420p"
    encoder.time_base, encoder.framerate = Fraction(1, FPS), Fraction(FPS)
    encoder.bit_rate = BITRATE
    encoder.flags |= av.codec.context.Flags.global_header
    rate = {"maxrate": str(BITRATE), "bufsize": str(BITRATE), "g": str(2 * FPS)}
    encoder.options = {"preset": "veryfast", "tune": "zerolatency", "profile": "baseline", **rate}
    encoder.open()
    units = list(annexb_units(bytes(encoder.extradata)))
    sps, pps = ([unit for unit in units if unit[0] & 0x1F == kind] for kind in (7, 8))
    track = track_from_record(Codec.H264, AvcConfig.build(sps, pps))
    source = (
        f"testsrc2=size=640x360:rate={FPS}:duration={CLIP},noise=alls=8:allf=t:all_seed={seed},"
        "format=yuv420p"
    )
    packets = []
    with av.open(source, format="lavfi") as pictures:
        for picture in pictures.decode(video=0):
            for packet in encoder.encode(picture):
                time_us = packet.pts * US_PER_SECOND // FPS
                data = join_units(annexb_units(bytes(packet)))
                packets.append(Packet(track, time_us, time_us, data, key=packet.is_keyframe))
    return packets


async def publish(registry: Registry, key: StreamKey, clip: list[Packet]) -> None:
    """One seat, for ever."""
    async with open_scope("bench", str(key)) as scope:
        client = Client("publisher", "whip", scope)
        async with registry.publish(key, client, takeover=False) as publication:
            begun, shift = trio.current_time(), 0
            while True:
                for packet in clip:
                    at = packet.dts + shift
                    await trio.sleep_until(begun + at / US_PER_SECOND)
                    publication.publish([Packet(packet.track, at, at, packet.data, packet.key)])
                shift += CLIP * US_PER_SECOND


async def measure(clips: list[list[Packet]], *, seen: bool, seconds: float) -> list[str]:
    """CPU of the worker and of this process, and how regular what comes out is."""
    keys = [StreamKey("live", f"room/{number}") for number in range(len(clips))]
    parts = tuple(
        Part(str(number), key, f"seat {number}", sound=True, picture=seen)
        for number, key in enumerate(keys, 1)
    )
    async with open_registry() as registry, trio.open_nursery() as nursery:
        for key, clip in zip(keys, clips, strict=True):
            nursery.start_soon(publish, registry, key, clip)
        composed = partial(compose, registry, KEY, Stage(Scene(parts)), MixOptions(video=seen))
        nursery.start_soon(composed)
        async with open_scope("bench", "viewer") as scope:
            viewer = Client("player", "flv", scope)
            async with registry.subscribe(KEY, viewer, wait=10) as stream:
                cursor = stream.ring.cursor(live=True)
                await cursor.read()
                await trio.sleep(SETTLE)
                await cursor.read()
                before, own, begun = workers(), time.process_time(), trio.current_time()
                counts, gap, last = {Kind.AUDIO: 0, Kind.VIDEO: 0}, 0.0, begun
                while trio.current_time() - begun < seconds:
                    packets = await cursor.read()
                    now = trio.current_time()
                    gap, last = max(gap, now - last), now
                    for packet in packets:
                        counts[packet.track.kind] += 1
                lasted = trio.current_time() - begun
                cpu, own = workers() - before, time.process_time() - own
        nursery.cancel_scope.cancel()
    return [
        report.percent(cpu / lasted),
        report.percent(own / lasted),
        f"{counts[Kind.VIDEO] / lasted:.1f}",
        report.milliseconds(gap),
    ]


def workers() -> float:
    """CPU seconds of this process's children."""
    files = Path("/proc/self/task").glob("*/children")
    children = [int(pid) for file in files for pid in file.read_text().split()]
    return sum(proc.usage(pid).cpu for pid in children)


def main() -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=20.0, help="length of one window")
    arguments = parser.parse_args()
    voices = [voice(seed) for seed in range(16)]
    cameras = [camera(seed) for seed in range(4)]
    rows = []
    for name, (seats, seen) in CASES.items():
        clips = voices[:seats]
        if seen:
            clips = [
                sorted(clip + cameras[number % len(cameras)], key=lambda packet: packet.dts)
                for number, clip in enumerate(clips)
            ]
        job = partial(measure, clips, seen=seen, seconds=arguments.seconds)
        rows.append([name, *trio.run(job)])
    columns = ["mixed", "the worker", "server and publishers", "pictures/s", "longest pause, ms"]
    print(report.heading("The composed stream", f"Windows of {arguments.seconds:g} s."))
    print(report.table(columns, rows))


if __name__ == "__main__":
    sys.exit(main())
