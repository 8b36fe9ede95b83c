#!/usr/bin/env python3
"""Wire code alone: microseconds per message of the chunk reader, the demuxer and the muxers.

    python bench/wire.py

One publisher's clip (1 Mbit/s, 77 messages a second) is run through each step many times in one
process; the best pass is what the code costs, the median what the machine made of it.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from rig import clip, report
from rig.clip import Clip
from rig.rtmp import DATA, VIDEO, Message, encode_message

from livetrio.packet import US_PER_MS, Packet
from livetrio.wire import flv
from livetrio.wire.rtmp.chunks import ChunkReader
from livetrio.wire.rtmp.media import encode_media

READ_SIZE = 16_384
CHUNK_SIZES = (128, 4096, 60_000)
LEAST_PASSES = 3


def messages_of(source: Clip) -> list[Message]:
    """Return all that a publisher sends in one pass over the clip."""
    # Without "@setDataFrame", as the session hands metadata on.
    headers = [
        header._replace(body=header.body[16:]) if header.type_id == DATA else header
        for header in source.headers
    ]
    return headers + [Message(frame.type_id, frame.ms, 1, frame.body) for frame in source.frames]


def timed(work: Callable[[], object], seconds: float) -> list[float]:
    """Return the duration of each pass, in seconds, for about that long in all."""
    passes: list[float] = []
    end = time.perf_counter() + seconds
    while len(passes) < LEAST_PASSES or time.perf_counter() < end:
        start = time.perf_counter()
        work()
        passes.append(time.perf_counter() - start)
    return passes


def read_chunks(stream: bytes) -> int:
    """Run the chunk reader over a publisher's bytes, cut as a socket would; count messages."""
    reader = ChunkReader()
    count = 0
    for start in range(0, len(stream), READ_SIZE):
        count += sum(1 for _ in reader.feed(stream[start : start + READ_SIZE]))
    return count


def demux(messages: Sequence[Message]) -> list[Packet]:
    """Run the demuxer over one pass of the clip."""
    demuxer = flv.Demuxer()
    packets: list[Packet] = []
    for message in messages:
        packets += demuxer.feed(message.type_id, message.timestamp, message.body)
    return packets


def mux_flv(packets: Iterable[Packet]) -> int:
    """Encode packets as FLV tags; return the bytes made."""
    return sum(len(flv.tag(packet)) for packet in packets)


def mux_rtmp(packets: Iterable[Packet]) -> int:
    """Encode packets as RTMP messages for the fan-out; return the bytes made."""
    size = 0
    for packet in packets:
        tag = flv.tag_body(packet)
        if tag is not None:
            type_id, body = tag
            size += len(encode_media(type_id, packet.dts // US_PER_MS, body))
    return size


def main() -> int:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(description="microseconds per message in livetrio.wire")
    parser.add_argument("--seconds", type=float, default=2.0, help="time given to each step")
    arguments = parser.parse_args()
    with TemporaryDirectory(prefix="livetrio-bench-") as directory:
        file = Path(directory) / "clip.flv"
        clip.encode(file)
        source = clip.load(file)
    messages = messages_of(source)
    packets = demux(messages)
    size = sum(len(message.body) for message in messages)

    steps: list[tuple[str, Callable[[], object]]] = []
    for chunk_size in CHUNK_SIZES:
        announce = encode_message(2, Message(1, 0, 0, chunk_size.to_bytes(4, "big")))
        stream = announce + b"".join(
            encode_message(6 if message.type_id == VIDEO else 4, message, chunk_size=chunk_size)
            for message in messages
        )
        assert read_chunks(stream) >= len(messages)
        steps.append((f"chunk reader, chunks of {chunk_size}", lambda s=stream: read_chunks(s)))
    steps.append(("FLV demuxer", lambda: demux(messages)))
    steps.append(("FLV muxer", lambda: mux_flv(packets)))
    steps.append(("RTMP muxer", lambda: mux_rtmp(packets)))

    rows = []
    for name, work in steps:
        passes = timed(work, arguments.seconds)
        best, usual = min(passes), statistics.median(passes)
        rows.append(
            [
                name,
                f"{best / len(messages) * 1e6:.2f}",
                f"{usual / len(messages) * 1e6:.2f}",
                f"{size / best / 1e6:,.0f}",
                f"{best / clip.SECONDS * 100:.3f} %",
            ]
        )
    how = f"{len(messages)} messages of {size / len(messages):.0f} bytes on average."
    columns = ["step", "us per message, best", "median", "MB/s", "core at 1 Mbit/s"]
    print(report.heading("Wire code alone", how))
    print(report.table(columns, rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
