#!/usr/bin/env python3
"""A WebRTC publisher below SRTP: microseconds per received RTP packet, from bytes to the ring.

    python bench/webrtc_ingest.py

One browser's media (H.264 at 1 and at 2.5 Mbit/s, 30 frames a second, in packets of 1,100 bytes,
Opus at 50 packets a second, with mid and transport-wide sequence numbers as Chromium sends them) go
through `Publisher` many times in one process; the best pass is what the code costs, the median
what the machine made of it. Feedback, reports and key frame requests are part of it; SRTP is not.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Iterator

import trio
import trio.testing

from livetrio.media.client import Client
from livetrio.media.registry import open_registry
from livetrio.net.beat import Beat
from livetrio.net.scope import Scope, open_scope
from livetrio.packet import Codec, Kind, StreamKey
from livetrio.webrtc.negotiation_words import Agreed, Media, Remote, RtpCodec
from livetrio.webrtc.publisher import Publisher
from livetrio.wire.rtp import extensions as ext
from livetrio.wire.rtp.header import build_rtp_header

SECONDS = 10
FPS = 30
KEY_EVERY = 60
PACKET = 1_100
BITRATES = (1_000_000, 2_500_000)
EXTENSIONS = {ext.MID: 4, ext.TRANSPORT_CC: 3, ext.AUDIO_LEVEL: 1}
FEEDBACK = frozenset({"nack", "nack pli", "transport-cc"})
SPS = bytes.fromhex("6742c01fd9005005bb016a02020280000003008000001e078c1924")
PPS = bytes.fromhex("68cb83cb20")


class Sink:
    """A peer that is there and sends nowhere."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.connected = trio.Event()
        self.connected.set()
        self.on_rtp = self.on_rtcp = lambda *_: None
        self.sent = 0

    def send_rtcp(self, compound: bytes) -> None:
        self.sent += len(compound)


def payloads(number: int, bitrate: int) -> Iterator[bytes]:
    """One frame: a STAP-A of parameter sets before each IDR, then a slice in FU-As."""
    key = number % KEY_EVERY == 0
    size = bitrate // 8 // FPS * (6 if key else 1)
    if key:
        sets = b"".join(len(unit).to_bytes(2) + unit for unit in (SPS, PPS))
        yield b"\x78" + sets
    body = b"\x88" + bytes(size)
    cuts = [body[at : at + PACKET] for at in range(0, len(body), PACKET)]
    kind = 5 if key else 1
    for i, cut in enumerate(cuts):
        yield bytes((0x7C, kind | 0x80 * (i == 0) | 0x40 * (i == len(cuts) - 1))) + cut


def packets(bitrate: int) -> list[tuple[bytes, float]]:
    """A browser's packets with their arrival, seconds from its beginning."""
    made: list[tuple[float, int, int, int, bytes, bool]] = []
    for number in range(SECONDS * FPS):
        frame = list(payloads(number, bitrate))
        for i, payload in enumerate(frame):
            last = i == len(frame) - 1
            made.append(((number + i / len(frame)) / FPS, 7, 102, number * 3_000, payload, last))
    made += [(n / 50, 8, 111, n * 960, b"\xfc" + bytes(80), False) for n in range(SECONDS * 50)]
    made.sort()
    sequences = {7: 0, 8: 0}
    out = []
    for transport, (at, ssrc, kind, timestamp, payload, marker) in enumerate(made):
        elements = [(3, ext.build_transport_sequence(transport)), (4, b"1" if ssrc == 7 else b"0")]
        if ssrc == 8:
            elements.append((1, b"\x9e"))
        header = build_rtp_header(
            kind,
            sequences[ssrc],
            timestamp,
            ssrc,
            marker=marker,
            extension=ext.build_extensions(elements),
        )
        sequences[ssrc] += 1
        out.append((header + payload, at))
    return out


def agreed() -> Agreed:
    """What Chromium and we would agree on."""
    video = RtpCodec(Codec.H264, 102, 90_000, 0, feedback=FEEDBACK)
    audio = RtpCodec(Codec.OPUS, 111, 48_000, 2, feedback=frozenset({"transport-cc"}))
    return Agreed(
        (
            Media("0", Kind.AUDIO, False, (audio,), extensions=EXTENSIONS),
            Media("1", Kind.VIDEO, False, (video,), extensions=EXTENSIONS),
        ),
        Remote("u", "p", (("sha-256", "00"),)),
    )


async def one_pass(media: list[tuple[bytes, float]]) -> float:
    """CPU seconds per packet of a publisher's ten seconds, played as fast as they go."""
    async with open_registry() as registry, open_scope("peer", "bench") as scope:
        client = Client("publisher", "whip", scope)
        async with registry.publish(StreamKey("b", "b"), client, takeover=False) as publication:
            peer = Sink(scope)
            publisher = Publisher(peer, agreed(), publication, beat=Beat())
            scope.nursery.start_soon(publisher.run)
            await trio.testing.wait_all_tasks_blocked()
            receive, next_tick, ticks = peer.on_rtp, 0.05, 0
            begun = time.process_time()
            for data, at in media:
                receive(data, at)
                if at >= next_tick:
                    ticks += 1
                    next_tick += 0.05
                    publisher.tick(at, report=ticks % 20 == 0)
            spent = time.process_time() - begun
            frames = sum(track.frames for track in publisher.statistics().tracks)
            if frames < SECONDS * (FPS + 50) - 1:
                raise SystemExit(f"only {frames} frames came through")
            publication.finish()
            scope.cancel("done")
    return spent / len(media)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--passes", type=int, default=15)
    count = parser.parse_args().passes
    print(f"{count} passes of {SECONDS} s; us of CPU per packet")
    print(f"{'Mbit/s':>7} {'packets/s':>10} {'best':>6} {'median':>7} {'% of a core':>12}")
    for bitrate in BITRATES:
        media = packets(bitrate)
        rate = len(media) / SECONDS
        results = [trio.run(one_pass, media) * 1e6 for _ in range(count)]
        best, median = min(results), statistics.median(results)
        share = best * rate / 1e4
        print(f"{bitrate / 1e6:7.1f} {rate:10.0f} {best:6.2f} {median:7.2f} {share:12.3f}")


if __name__ == "__main__":
    main()
