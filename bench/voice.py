"""One voice room: what its listeners cost, by themselves, without HTTP, DTLS or a crowd.

    python bench/voice.py --listeners 1000 --speakers 8 --seconds 10

The room's own VoiceFeed, with editions that speak in real time (Opus of 20 ms, sizes as 32 kbit/s
has them); each listener has keys of its own, and its packets are encrypted and sent by UDP to
sockets that nobody reads, so that the kernel's share is in the figures and a crowd's is not. Said
of every run: the share of one core, microseconds per packet and listener, and how long after its
arrival a packet is with the last listener.
"""

from __future__ import annotations

import argparse
import os
import random
import socket
import statistics
import time
from contextlib import ExitStack

import trio

from livetrio.media.edition import Edition
from livetrio.media.ring import Ring, RingLimits
from livetrio.net.fanout import Pacer
from livetrio.net.scope import open_scope
from livetrio.packet import Codec, Kind, Packet, StreamKey, Track
from livetrio.webrtc.datagrams import UdpPath, UdpSocket
from livetrio.webrtc.run import Run
from livetrio.webrtc.slots.shown import Shown
from livetrio.webrtc.slots.voice_feed import VoiceFeed
from livetrio.webrtc.srtp import SrtpKeys, open_srtp

_FRAME = 0.02
_SINKS = 16
_OPUS = Track(Kind.AUDIO, Codec.OPUS, sample_rate=48_000, channels=2)


class Listener:
    """What `webrtc.peer.Peer` is to a feed, connected from the start."""

    def __init__(self, path: UdpPath) -> None:
        keys = SrtpKeys(os.urandom(16), os.urandom(12), os.urandom(16), os.urandom(12))
        self._sealer, _ = open_srtp("SRTP_AEAD_AES_128_GCM", keys)
        self._path = path
        self.packets = 0
        self.calls = 0

    def send_run(self, run: Run) -> bool:
        """Encrypt and send."""
        view, segment, count = self._sealer.seal(run)
        self.calls += 1
        self.packets += count
        return self._path.send_run(view, segment) == count

    def send_rtcp(self, compound: bytes) -> None:
        """Likewise."""
        self._path.send(self._sealer.seal_rtcp(compound))


class Seat:
    """One who speaks all the time."""

    def __init__(self, number: int, edition: Edition) -> None:
        self.shown = Shown(number, edition.key, f"user-{number}")
        self.edition = edition
        self.said: dict[bytes, float] = {}
        """When each packet came, by its payload."""

    async def speak(self, phase: float) -> None:
        """Forever."""
        await trio.sleep(phase)
        begun, number = trio.current_time(), 0
        dice = random.Random(self.shown.seat)
        while True:
            await trio.sleep_until(begun + number * _FRAME)
            data = b"\xfc" + dice.randbytes(dice.randint(60, 100))
            self.said[data] = trio.current_time()
            time_ = number * 20_000
            self.edition.accept([Packet(_OPUS, time_, time_, data, key=True)])
            number += 1


class Ear:
    """The last listener, who keeps nothing but times."""

    def __init__(self, seats: list[Seat]) -> None:
        self._seats = seats
        self.delays: list[float] = []

    def send_run(self, run: Run) -> bool:
        """Note how old what comes is."""
        now = trio.current_time()
        for packet in run.packets:
            payload = packet[12 : len(packet) - packet[-1]] if packet[0] & 0x20 else packet[12:]
            for seat in self._seats:
                if (said := seat.said.pop(payload, None)) is not None:
                    self.delays.append(now - said)
        return True

    def send_rtcp(self, compound: bytes) -> None:
        """Nothing to note."""


async def measure(options: argparse.Namespace) -> None:
    """One run."""
    dice = random.Random(1)
    async with open_scope("bench", "voice") as scope:
        sinks = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(_SINKS)]
        for sink in sinks:
            sink.bind(("127.0.0.1", 0))
            sink.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        out.bind(("127.0.0.1", 0))
        out.setblocking(False)
        udp = UdpSocket(out, lambda *_: False)
        seats = [
            Seat(n, Edition(StreamKey("live", f"p/{n}"), scope, Ring(RingLimits()), Pacer(cap=0)))
            for n in range(1, options.speakers + 1)
        ]
        slots = options.voices + 1
        feed = VoiceFeed(111, list(range(1, slots + 1)), "bench", voices=options.voices)
        with ExitStack() as stack:
            for sock in (*sinks, out):
                stack.enter_context(sock)
            editions = {seat.shown.stream: seat.edition for seat in seats}
            arranged = [seat.shown for seat in seats][:slots]
            listeners = []
            for n in range(options.listeners):
                listener = Listener(UdpPath(udp, sinks[n % _SINKS].getsockname()))
                listeners.append(listener)
                user = "user-1" if n < options.returned else ""
                stack.enter_context(feed.member(listener, user))  # type: ignore[arg-type]
            ear = Ear(seats)
            stack.enter_context(feed.member(ear, ""))  # type: ignore[arg-type]
            scope.nursery.start_soon(feed.run)
            for seat in seats:
                scope.nursery.start_soon(seat.speak, dice.random() * _FRAME)
            feed.arrange(arranged[1:], editions)  # whoever is to return has heard slot 0 before
            await trio.sleep(0.2)
            feed.arrange(arranged, editions)
            await trio.sleep(0.2)
            feed.arrange(arranged[::-1][-slots:] if options.returned else arranged, editions)
            await trio.sleep(0.6)
            before = sum(li.packets for li in listeners), sum(li.calls for li in listeners)
            ear.delays.clear()
            cpu, wall = time.process_time(), time.perf_counter()
            await trio.sleep(options.seconds)
            cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
            packets = sum(li.packets for li in listeners) - before[0]
            calls = sum(li.calls for li in listeners) - before[1]
            report(options, cpu, wall, packets, calls, ear.delays)
            scope.cancel("done")


def report(
    options: argparse.Namespace,
    cpu: float,
    wall: float,
    packets: int,
    calls: int,
    delays: list[float],
) -> None:
    """One line."""
    delays.sort()
    print(
        f"{options.listeners} listeners, {options.speakers} speakers, {options.voices} voices"
        f" ({options.returned} with numbers of their own): {100 * cpu / wall:.1f} % of a core,"
        f" {packets / wall:,.0f} packets/s"
        f" ({packets / wall / max(options.listeners, 1):.0f} to each),"
        f" {packets / max(calls, 1):.2f} in a call, {1e6 * cpu / max(packets, 1):.2f} us each;"
        f" delay to the last listener: median {1e3 * statistics.median(delays):.1f} ms,"
        f" 99 % {1e3 * delays[len(delays) * 99 // 100]:.1f} ms"
    )


def main() -> None:
    """Read the options; run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--listeners", type=int, default=1_000)
    parser.add_argument("--speakers", type=int, default=8)
    parser.add_argument("--voices", type=int, default=3)
    parser.add_argument("--returned", type=int, default=0, help="listeners who have had a seat")
    parser.add_argument("--seconds", type=float, default=10.0)
    trio.run(measure, parser.parse_args())


if __name__ == "__main__":
    main()
