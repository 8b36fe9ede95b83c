#!/usr/bin/env python3
"""A WebRTC publisher: microseconds per received packet, from the kernel's socket to the ring.

    python bench/webrtc_ingest.py

One browser's media (H.264 at 1 and at 2.5 Mbit/s, 30 frames a second, in packets of 1,100 bytes,
Opus at 50 packets a second, with mid and transport-wide sequence numbers as Chromium sends them) go
through `UdpSocket`, `Peer` and `Publisher` many times in one process; the best pass is what the
code costs, the median what the machine made of it. The datagrams are real ones, sealed with
AES-GCM, and come as a browser's would: a frame at a time. Feedback, reports and key frame requests
are part of it; Trio's wake-up, which all publishers of a socket share, is not. "above SRTP" is the
publisher's part alone, from decrypted packet to ring.
"""

from __future__ import annotations

import argparse
import socket
import statistics
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress

import trio
import trio.testing

from livetrio.media.client import Client
from livetrio.media.registry import open_registry
from livetrio.net.beat import Beat
from livetrio.net.scope import Scope, open_scope
from livetrio.packet import Codec, Kind, StreamKey
from livetrio.webrtc.certificate import make_certificate
from livetrio.webrtc.datagrams import UdpPath, UdpSocket
from livetrio.webrtc.dtls import DtlsContext, DtlsSession
from livetrio.webrtc.ice import IceAgent
from livetrio.webrtc.negotiation_words import Agreed, Media, Remote, RtpCodec
from livetrio.webrtc.peer import Peer
from livetrio.webrtc.publisher import Publisher
from livetrio.webrtc.run import Run
from livetrio.webrtc.srtp import SrtpKeys, open_srtp
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
PROFILE = "SRTP_AEAD_AES_128_GCM"
KEYS = SrtpKeys(b"l" * 16, b"s" * 12, b"r" * 16, b"t" * 12)
AT_ONCE = 0.005
"""Seconds within which packets are one batch."""


class Desk:
    """Nobody's checks come here."""

    def enter(self, peer: Peer) -> None: ...
    def forget(self, peer: Peer) -> None: ...


class Wire:
    """A connected peer at one end, a browser's socket at the other; ICE and DTLS are left out."""

    def __init__(self, stack: ExitStack, scope: Scope, dtls: DtlsContext) -> None:
        self._ours, self._theirs = (
            stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) for _ in "ab"
        )
        for sock in (self._ours, self._theirs):
            sock.bind(("127.0.0.1", 0))
            sock.setblocking(False)
        self.peer = Peer(scope, IceAgent(), DtlsSession(dtls), Desk())
        self._udp = UdpSocket(self._ours, lambda *_: False)
        browser = self._theirs.getsockname()
        path = self._udp.paths[browser] = UdpPath(self._udp, browser)
        path.proven = True
        self.peer.use_path(path, trio.current_time(), nominated=True)
        self.peer._sealer, self.peer._opener = open_srtp(PROFILE, KEYS)
        self.peer.connected.set()

    def send(self, datagrams: list[bytes]) -> None:
        """From the browser."""
        there = self._ours.getsockname()
        for datagram in datagrams:
            self._theirs.sendto(datagram, there)

    def receive(self) -> None:
        """What `UdpSocket.run` does between two waits."""
        while self._udp._receive_some():
            pass

    def drain(self) -> None:
        """Read away what came back to the browser."""
        with suppress(BlockingIOError):
            while self._theirs.recv(2048):
                pass


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


def sealed(media: list[tuple[bytes, float]]) -> list[bytes]:
    """What the browser makes of its packets."""
    keys = SrtpKeys(KEYS.remote_key, KEYS.remote_salt, KEYS.local_key, KEYS.local_salt)
    sealer, _ = open_srtp(PROFILE, keys)
    runs = [Run([data], [data[2] << 8 | data[3]]) for data, _ in media]
    return [bytes(sealer.seal(run)[0]) for run in runs]


def batches(media: list[tuple[bytes, float]]) -> list[tuple[int, int]]:
    """(first, end) of what comes together."""
    cuts = [0]
    for number, (_, at) in enumerate(media):
        if at - media[cuts[-1]][1] > AT_ONCE:
            cuts.append(number)
    return list(zip(cuts, [*cuts[1:], len(media)], strict=True))


async def one_pass(
    media: list[tuple[bytes, float]], clock: trio.testing.MockClock, dtls: DtlsContext, whole: bool
) -> float:
    """CPU seconds per packet of a publisher's ten seconds, played as fast as they go.

    whole: through socket and SRTP.
    """
    datagrams = sealed(media)
    spent = 0.0
    async with open_registry() as registry, open_scope("peer", "bench") as scope:
        client = Client("publisher", "whip", scope)
        async with registry.publish(StreamKey("b", "b"), client, takeover=False) as publication:
            with ExitStack() as stack:
                wire = Wire(stack, scope, dtls)
                publisher = Publisher(wire.peer, agreed(), publication, beat=Beat())
                scope.nursery.start_soon(publisher.run)
                await trio.testing.wait_all_tasks_blocked()
                receive, next_tick, ticks = wire.peer.on_rtp, 0.05, 0
                for first, end in batches(media):
                    at = media[first][1]
                    clock.jump(max(at - clock.current_time(), 0))
                    wire.send(datagrams[first:end])
                    begun = time.process_time()
                    if whole:
                        wire.receive()
                    else:
                        for data, _ in media[first:end]:
                            receive(data, at)
                    if at >= next_tick:
                        ticks += 1
                        next_tick += 0.05
                        publisher.tick(at, report=ticks % 20 == 0)
                    spent += time.process_time() - begun
                    wire.drain()
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
    dtls = DtlsContext(make_certificate())
    print(f"{count} passes of {SECONDS} s; us of CPU per packet")
    print(f"{'Mbit/s':>7} {'packets/s':>10} {'':>11} {'best':>6} {'median':>7} {'% of a core':>12}")
    for bitrate in BITRATES:
        media = packets(bitrate)
        rate = len(media) / SECONDS
        for whole, name in ((False, "above SRTP"), (True, "whole")):
            results = []
            for _ in range(count):
                clock = trio.testing.MockClock()
                results.append(trio.run(one_pass, media, clock, dtls, whole, clock=clock) * 1e6)
            best, median = min(results), statistics.median(results)
            share = best * rate / 1e4
            print(
                f"{bitrate / 1e6:7.1f} {rate:10.0f} {name:>11} {best:6.2f} {median:7.2f}"
                f" {share:12.3f}"
            )


if __name__ == "__main__":
    main()
