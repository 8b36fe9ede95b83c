"""The FLV port over a registry, publishers inside the test, players over real sockets."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from kit.http import HttpClient, OpenGate, http_client, serving
from livetrio.delivery.flv import FlvPlayers
from livetrio.ingest.flv_push import FlvPublishers
from livetrio.media.client import Client
from livetrio.media.registry import Registry, open_registry
from livetrio.media.stream import Publication
from livetrio.net.fanout import Pacer
from livetrio.net.outbox import OutboxLimits
from livetrio.net.scope import open_scope
from livetrio.net.tls import ServerTls
from livetrio.packet import Packet, StreamKey
from livetrio.wire.flv import FileReader

__all__ = ["MOVIE", "TRANSPORTS", "FlvPort", "Player", "flv_port", "same", "watching"]

MOVIE = StreamKey("live", "movie")
TRANSPORTS = ("chunked", "raw", "ws")


@dataclass(frozen=True, slots=True)
class FlvPort:
    """What is served, and where."""

    port: int
    registry: Registry
    gate: OpenGate

    @asynccontextmanager
    async def published(
        self, packets: list[Packet] | None = None, key: StreamKey = MOVIE
    ) -> AsyncIterator[Publication]:
        """Publish from inside the process; the end of the block is a clean end."""
        async with open_scope("connection", "publisher") as scope:
            client = Client("publisher", "test", scope)
            async with self.registry.publish(key, client, takeover=False) as publication:
                publication.publish(packets or [])
                yield publication
                publication.finish()


@asynccontextmanager
async def flv_port(
    *,
    play_wait: float = 5.0,
    resume_window: float = 10.0,
    read_timeout: float = 10.0,
    gate: OpenGate | None = None,
    limits: OutboxLimits | None = None,
    tls: ServerTls | None = None,
    **options,
) -> AsyncIterator[FlvPort]:
    """options: further ones of FlvPlayers."""
    gate = gate or OpenGate()
    async with open_registry(pacer=Pacer(cap=0), resume_window=resume_window) as registry:
        players = FlvPlayers(registry, gate, play_wait=play_wait, **options)
        publishers = FlvPublishers(registry, gate, read_timeout=read_timeout)
        routes = [*players.routes(), *publishers.routes(), players.fallback()]
        async with serving(*routes, limits=limits or OutboxLimits(), tls=tls) as port:
            yield FlvPort(port, registry, gate)


class Player:
    """One viewer that takes its FLV apart."""

    def __init__(self, client: HttpClient, transport: str) -> None:
        self.client = client
        self.transport = transport
        self.data = b""
        """All FLV bytes so far."""
        self.packets: list[Packet] = []
        self._reader = FileReader()
        self._accepted = False

    async def accepted(self) -> None:
        """Read the head of the response, which has to be a success."""
        self._accepted = True
        head = await self.client.head()
        assert head.status == (101 if self.transport == "ws" else 200), head

    async def more(self) -> bool:
        """Read what comes in one piece; False at the end that this transport has."""
        if not self._accepted:
            await self.accepted()
        match self.transport:
            case "chunked":
                data = await self.client.chunk()
            case "raw":
                data = await self.client.some()
            case _:
                opcode, data = await self.client.frame()
                if opcode == 0x88:
                    assert data == b"\x03\xe8", "a close frame that says 1000"
                    data = b""
                else:
                    assert opcode == 0x82
        self.data += data
        self.packets += self._reader.feed(data)
        return bool(data)

    async def until(self, count: int) -> list[Packet]:
        """So many packets, configuration not counted."""
        while len(self.media) < count:
            assert await self.more(), "ended too early"
        return self.media

    async def to_the_end(self) -> list[Packet]:
        """All packets; the connection has to close behind them."""
        while await self.more():
            pass
        assert await self.client.rest() == b""
        return self.media

    @property
    def media(self) -> list[Packet]:
        return [packet for packet in self.packets if not packet.config]


@asynccontextmanager
async def watching(
    port: FlvPort,
    transport: str = "chunked",
    target: str = "/live/movie.flv",
    *,
    early: bool = False,
    tls: ssl.SSLContext | None = None,
    **headers: str,
) -> AsyncIterator[Player]:
    """A viewer, accepted when the block begins; early: accepted when it first reads."""
    async with http_client(port.port, tls) as client:
        if transport == "ws":
            upgrade = {"Upgrade": "websocket", "Connection": "Upgrade"}
            upgrade |= {"Sec_WebSocket_Version": "13", "Sec_WebSocket_Key": "A" * 22 + "=="}
            await client.ask(target, **upgrade, **headers)
        else:
            await client.ask(target, version="1.0" if transport == "raw" else "1.1", **headers)
        player = Player(client, transport)
        if not early:
            await player.accepted()
        yield player


def same(some: list[Packet], others: list[Packet]) -> bool:
    """Do packets carry the same media at the same times?"""

    def told(packet: Packet) -> tuple:
        track = packet.track
        # FLV counts in milliseconds.
        times = packet.dts // 1000, (packet.pts - packet.dts) // 1000
        return track.kind, track.codec, track.id, times, packet.key, packet.data

    return [told(packet) for packet in some] == [told(packet) for packet in others]
