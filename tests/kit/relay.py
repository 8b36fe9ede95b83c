"""The other ends of relays: RTMP and HTTP servers on loopback, well-behaved, broken and hostile."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import trio

from kit.peers import listening
from livetrio.errors import RefusalCode
from livetrio.ingest.relay import Relays, open_relays
from livetrio.ingest.relay_attempt import Timeouts
from livetrio.media.client import Client
from livetrio.media.events import Event
from livetrio.media.registry import Registry, open_registry
from livetrio.media.ring import RingLimits
from livetrio.media.stream import Publication, Stream
from livetrio.net.connection import Connection
from livetrio.net.listen import Address, Listener, bind
from livetrio.net.scope import open_scope
from livetrio.net.tls import ServerTls
from livetrio.packet import Codec, Kind, Packet, StreamKey, Track
from livetrio.wire.flv import file_header, tag
from livetrio.wire.rtmp.events import (
    ConnectRequested,
    MediaReceived,
    PlayRequested,
    PublishRequested,
    StreamClosed,
)
from livetrio.wire.rtmp.media import encode_media
from livetrio.wire.rtmp.session import ServerSession

__all__ = [
    "KEY",
    "Node",
    "Pauses",
    "RtmpServer",
    "flv_file",
    "media",
    "node",
    "packets",
    "publisher",
    "rtmp_server",
    "tcp_server",
    "viewer",
]

KEY = StreamKey("live", "movie")
PATIENCE = 10
"""Seconds after which a test has failed; nothing measures them."""

# Codecs without configuration records: the bytes that go in are the bytes that come out.
VIDEO = Track(Kind.VIDEO, Codec.H263)
AUDIO = Track(Kind.AUDIO, Codec.MP3, config=b"\x2f")


def media(count: int = 3, start: int = 0) -> list[tuple[int, int, bytes]]:
    """(message type, milliseconds, FLV tag body): a picture and a sound each 40 ms."""
    found = []
    for number in range(start, start + count):
        kind = b"\x12" if number % 5 == 0 else b"\x22"
        found.append((9, 40 * number, kind + b"picture %d" % number))
        found.append((8, 40 * number, b"\x2fsound %d" % number))
    return found


def packets(count: int = 3, start: int = 0, size: int = 0) -> list[Packet]:
    """The same as packets, the pictures `size` bytes longer."""
    found = []
    for number in range(start, start + count):
        us = 40_000 * number
        data = b"picture %d" % number + bytes(size)
        found.append(Packet(VIDEO, us, us, data, key=number % 5 == 0))
        found.append(Packet(AUDIO, us, us, b"sound %d" % number, key=True))
    return found


def flv_file(count: int = 3) -> bytes:
    """The same as an FLV file."""
    return file_header(audio=True, video=True) + b"".join(map(tag, packets(count)))


@asynccontextmanager
async def tcp_server(
    handler: Callable[[Connection], Awaitable[None]], *, tls: ServerTls | None = None
) -> AsyncIterator[int]:
    """Whatever the handler does with each connection; gives the port."""
    listener = Listener("other", bind("other", Address("127.0.0.1", 0)), tls=tls)
    async with listening(listener, handler) as port:
        yield port


@dataclass
class RtmpServer:
    """An RTMP server that remembers, and behaves as it is told."""

    play: Sequence[tuple[int, int, bytes]] = ()
    """What every player is sent at once."""
    refuse: RefusalCode | None = None
    reason: str = "go away"
    end_after_play: bool = False
    deaf: bool = False
    """Accepts what is published and then reads nothing."""
    patience: int = 1_000_000
    """Hangs up after so many reads."""
    port: int = 0
    connections: int = 0
    connects: list[ConnectRequested] = field(default_factory=list)
    requests: list[PlayRequested | PublishRequested] = field(default_factory=list)
    received: list[MediaReceived] = field(default_factory=list)
    closed: list[StreamClosed] = field(default_factory=list)
    open: dict[Connection, None] = field(default_factory=dict)
    _news: trio.lowlevel.ParkingLot = field(default_factory=trio.lowlevel.ParkingLot)

    def url(self, name: str = "x", scheme: str = "rtmp", host: str = "127.0.0.1") -> str:
        return f"{scheme}://{host}:{self.port}/app/{name}"

    async def until(self, condition: Callable[[RtmpServer], Any]) -> None:
        """Wait for something to have happened here."""
        with trio.fail_after(PATIENCE):
            while not condition(self):
                await self._news.park()

    async def serve(self, connection: Connection) -> None:
        self.connections += 1
        self.open[connection] = None
        session = ServerSession()
        reads = 0
        try:
            while reads < self.patience and (data := await connection.receive()):
                reads += 1
                for event in session.feed(data):
                    self._answer(connection, session, event)
                connection.outbox.send(session.take())
                self._news.unpark_all()
                while self.deaf and self.requests:
                    await self._news.park()
        finally:
            del self.open[connection]
            self._news.unpark_all()

    def hear(self) -> None:
        """No longer deaf."""
        self.deaf = False
        self._news.unpark_all()

    def send(self, tags: Sequence[tuple[int, int, bytes]]) -> None:
        """Send media to all that are connected, on the first message stream."""
        for connection in self.open:
            for type_id, ms, body in tags:
                connection.outbox.send(encode_media(type_id, ms, body))

    def hang_up(self) -> None:
        """Close all connections."""
        for connection in list(self.open):
            connection.scope.cancel("hung up")

    def _answer(self, connection: Connection, session: ServerSession, event: object) -> None:
        match event:
            case ConnectRequested():
                self.connects.append(event)
                session.accept_connect()
            case PlayRequested() | PublishRequested():
                self.requests.append(event)
                if self.refuse is not None:
                    session.reject(event, self.refuse, self.reason)
                    return
                session.accept(event)
                if isinstance(event, PlayRequested):
                    connection.outbox.send(session.take())
                    for type_id, ms, body in self.play:
                        connection.outbox.send(
                            encode_media(type_id, ms, body, stream_id=event.stream_id)
                        )
                    if self.end_after_play:
                        session.end_play(event.stream_id, "over")
            case MediaReceived():
                self.received.append(event)
            case StreamClosed():
                self.closed.append(event)
            case _:
                pass


@asynccontextmanager
async def rtmp_server(
    *, tls: ServerTls | None = None, **behaviour: Any
) -> AsyncIterator[RtmpServer]:
    """A running RtmpServer."""
    server = RtmpServer(**behaviour)
    async with tcp_server(server.serve, tls=tls) as port:
        server.port = port
        yield server


@dataclass
class Pauses:
    """The relays' sleep: a few pauses pass at once, then one lasts for ever."""

    free: int = 0
    asked: list[float] = field(default_factory=list)

    async def sleep(self, seconds: float) -> None:
        self.asked.append(seconds)
        if len(self.asked) > self.free:
            await trio.sleep_forever()
        await trio.lowlevel.checkpoint()


@dataclass
class Node:
    """A registry with relays, and what happens there."""

    registry: Registry
    relays: Relays
    pauses: Pauses
    _events: AsyncIterator[Event]

    async def heard(self, type_: str) -> dict[str, object]:
        """The data of the next event of a type."""
        with trio.fail_after(PATIENCE):
            async for event in self._events:
                if event.type == type_:
                    return event.data
        raise AssertionError("events end")


@asynccontextmanager
async def node(
    *,
    free: int = 0,
    resume_window: float = 0.0,
    limits: RingLimits | None = None,
    timeouts: Timeouts | None = None,
    **options: Any,
) -> AsyncIterator[Node]:
    """A node without listeners; `free` pauses between attempts pass at once."""
    pauses = Pauses(free)
    options.setdefault("sleep", pauses.sleep)
    async with (
        open_registry(resume_window=resume_window, limits=limits) as registry,
        open_relays(registry, timeouts=timeouts, **options) as relays,
    ):
        with registry.events.listen() as events:
            yield Node(registry, relays, pauses, events)


@asynccontextmanager
async def publisher(
    registry: Registry, key: StreamKey = KEY, *, takeover: bool = False
) -> AsyncIterator[Publication]:
    """Somebody who publishes here."""
    async with open_scope("connection", "publisher") as scope:
        client = Client("publisher", "test", scope)
        async with registry.publish(key, client, takeover=takeover) as publication:
            yield publication


@asynccontextmanager
async def viewer(registry: Registry, key: StreamKey = KEY) -> AsyncIterator[Stream]:
    """Somebody who waits for a stream here."""
    async with open_scope("connection", "viewer") as scope:
        client = Client("player", "test", scope)
        async with registry.subscribe(key, client, wait=PATIENCE) as stream:
            yield stream
