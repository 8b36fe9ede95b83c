"""A UDP relay that loses, doubles, delays, reorders and holds up datagrams, the same every time."""

from __future__ import annotations

import math
import random
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import trio

__all__ = ["LossyRelay", "Weather", "lossy_relay"]

_MAX_FLYING = 5000
"""Datagrams on their way at once; more are lost, as on any link."""


@dataclass
class Weather:
    """How bad the path is, each way. May be changed while the relay runs."""

    loss: float = 0.2
    """Share of datagrams lost."""
    duplicates: float = 0.1
    jitter: float = 0.2
    """Seconds of delay at most, equally spread: so datagrams overtake one another."""
    width: float = math.inf
    """bit/s of UDP payload towards the client; what is more waits ..."""
    buffer: float = 0.5
    """... for so many seconds at most, or is lost."""


@dataclass
class LossyRelay:
    """A port that stands for another: each client is given a socket of its own behind it."""

    front: socket.socket
    target: tuple[str, int]
    weather: Weather
    dice: random.Random
    nursery: trio.Nursery
    lost: int = 0
    passed: int = 0
    flying: int = 0
    _behind: dict[tuple[str, int], socket.socket] = field(default_factory=dict)
    _free: float = 0.0  # when the narrow way has room again

    @property
    def address(self) -> tuple[str, int]:
        """Where clients send to."""
        return self.front.getsockname()

    def rebind(self) -> None:
        """Give every client a new port towards the target, as a NAT that forgot would."""
        for client, old in list(self._behind.items()):
            trio.lowlevel.notify_closing(old)
            old.close()
            self._open_behind(client)

    async def run(self) -> None:
        while True:
            await trio.lowlevel.wait_readable(self.front)
            data, client = self.front.recvfrom(65536)
            if client not in self._behind:
                self._open_behind(client)
            self._throw(data, client, outward=True)

    def _open_behind(self, client: tuple[str, int]) -> None:
        sock = socket.socket(self.front.family, socket.SOCK_DGRAM)
        sock.setblocking(False)
        sock.bind((self.front.getsockname()[0], 0))
        self._behind[client] = sock
        self.nursery.start_soon(self._answers, sock, client)

    async def _answers(self, sock: socket.socket, client: tuple[str, int]) -> None:
        while True:
            try:
                await trio.lowlevel.wait_readable(sock)
                data = sock.recv(65536)
            except (trio.ClosedResourceError, OSError):
                return
            self._throw(data, client, outward=False)

    def _throw(self, data: bytes, client: tuple[str, int], *, outward: bool) -> None:
        weather = self.weather
        copies = 2 if self.dice.random() < weather.duplicates else 1
        for _ in range(copies):
            if self.dice.random() < weather.loss or self.flying >= _MAX_FLYING:
                self.lost += 1
                continue
            # in hundredths: so that a test's clock has few times to jump to
            delay = round(self.dice.random() * weather.jitter, 2)
            if not outward and not math.isinf(weather.width):
                now = trio.current_time()
                self._free = max(self._free, now)
                if self._free - now > weather.buffer:
                    self.lost += 1
                    continue
                self._free += len(data) * 8 / weather.width
                delay += self._free - now
            if delay:
                self.flying += 1
                self.nursery.start_soon(self._fly, data, client, delay, outward)
            else:
                self._deliver(data, client, outward=outward)

    async def _fly(self, data: bytes, client: tuple[str, int], delay: float, outward: bool) -> None:
        try:
            await trio.sleep(delay)
        finally:
            self.flying -= 1
        self._deliver(data, client, outward=outward)

    def _deliver(self, data: bytes, client: tuple[str, int], *, outward: bool) -> None:
        try:
            if outward:
                self._behind[client].sendto(data, self.target)
            else:
                self.front.sendto(data, client)
            self.passed += 1
        except OSError:
            self.lost += 1

    def close(self) -> None:
        for sock in (self.front, *self._behind.values()):
            sock.close()


@asynccontextmanager
async def lossy_relay(
    target: tuple[str, int], weather: Weather | None = None, *, seed: int = 1
) -> AsyncIterator[LossyRelay]:
    """Relay to `target` in the block.

    Args:
        target: host and port of the server.
        weather: 20 % loss, 10 % duplicates and 200 ms of jitter unless told otherwise.
        seed: of the dice. The order in which they are thrown is that of arrival.
    """
    family = socket.AF_INET6 if ":" in target[0] else socket.AF_INET
    front = socket.socket(family, socket.SOCK_DGRAM)
    front.setblocking(False)
    front.bind(("::1" if family == socket.AF_INET6 else "127.0.0.1", 0))
    async with trio.open_nursery() as nursery:
        relay = LossyRelay(front, target, weather or Weather(), random.Random(seed), nursery)
        try:
            nursery.start_soon(relay.run)
            yield relay
        finally:
            nursery.cancel_scope.cancel()
            relay.close()
