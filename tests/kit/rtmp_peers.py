"""RTMP clients over real sockets that do what a test says, sensible or not."""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any

import trio

from kit.crowd import Tag
from kit.logs import lines
from kit.media import sample_packets
from kit.rtmp import HANDSHAKE, connect_command
from livetrio.app import Running
from livetrio.packet import Packet
from livetrio.wire import amf0
from livetrio.wire.flv import tag_body
from livetrio.wire.rtmp.chunk_writer import encode_message
from livetrio.wire.rtmp.chunks import ChunkReader, Message
from livetrio.wire.rtmp.commands import read_command
from livetrio.wire.rtmp.media import encode_media
from livetrio.wire.rtmp.messages import MessageType, read_user_control

__all__ = [
    "Healthy", "RtmpPeer", "bystanders", "clip", "peer", "player", "publisher",
    "said", "said_about", "shifted", "tags",
]  # fmt: skip

PATIENCE = 30
"""Seconds after which a test has failed; nothing measures them."""
CHUNK_SIZE = 60_000


def said(name: str, transaction: float, *values: Any, stream_id: int = 0) -> bytes:
    """A command in chunks of the size that a connected RtmpPeer has announced."""
    body = amf0.encode(name, transaction, *values)
    return encode_message(MessageType.COMMAND, 0, stream_id, 3, body, CHUNK_SIZE)


class RtmpPeer:
    """A client: says what it is told to say, remembers what it hears."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        self.media: defaultdict[int, list[Tag]] = defaultdict(list)
        """What was played, by message stream."""
        self.codes: list[str] = []
        """Of statuses and refusals, in order."""
        self.descriptions: list[str] = []
        self.controls: list[tuple[int, int]] = []
        """User control events with their first value."""
        self.results: dict[float, Any] = {}
        """What calls were answered with, by transaction."""
        self.ended = False
        """The server has closed the connection."""
        self._reader = ChunkReader()
        self._skip = 1 + 2 * 1536  # S0, S1, S2
        self._transaction = 1

    @property
    def address(self) -> str:
        """As the server's log names this peer."""
        host, port = self.stream.socket.getsockname()[:2]
        return f"{host}:{port}"

    # -- what it says --------------------------------------------------------------------------

    async def send(self, data: bytes) -> None:
        await self.stream.send_all(data)

    async def connect(self, app: str = "live", **more: Any) -> RtmpPeer:
        """Handshake, `connect`, and chunks of a sensible size from here on."""
        await self.send(HANDSHAKE + connect_command(app, f"rtmp://h/{app}", **more))
        await self.until(lambda: "NetConnection.Connect.Success" in self.codes)
        await self.send(encode_message(1, 0, 0, 2, CHUNK_SIZE.to_bytes(4, "big"), 128))
        return self

    async def call(self, name: str, *values: Any, stream_id: int = 0) -> float:
        """Send a command with a transaction id; gives that."""
        self._transaction += 1
        await self.send(said(name, self._transaction, *values, stream_id=stream_id))
        return self._transaction

    async def create_stream(self) -> int:
        transaction = await self.call("createStream", None)
        await self.until(lambda: transaction in self.results)
        return int(self.results[transaction])

    async def publish(self, name: str) -> int:
        """Publish on a new stream, and be let."""
        stream_id = await self.create_stream()
        await self.call("publish", None, name, "live", stream_id=stream_id)
        await self.status("NetStream.Publish.Start")
        return stream_id

    async def play(self, name: str) -> int:
        """Play on a new stream, and be let."""
        stream_id = await self.create_stream()
        await self.call("play", None, name, stream_id=stream_id)
        await self.status("NetStream.Play.Start")
        return stream_id

    async def send_media(self, tags: Iterable[Tag], stream_id: int = 1) -> None:
        await self.send(b"".join(encode_media(*tag, stream_id=stream_id) for tag in tags))

    # -- what it hears -------------------------------------------------------------------------

    async def until(self, condition: Callable[[], object], *, seconds: float = PATIENCE) -> None:
        """Listen until something is so."""
        with trio.fail_after(seconds):
            while not condition():
                assert not self.ended, f"the server hung up; heard {self.codes}"
                await self.listen()

    async def status(self, code: str) -> None:
        """Listen until this status code comes that has not come before this call."""
        known = len(self.codes)
        await self.until(lambda: code in self.codes[known:])

    async def hung_up(self, *, seconds: float = PATIENCE) -> None:
        """Listen until the server closes the connection."""
        await self.until(lambda: self.ended, seconds=seconds)

    async def listen(self) -> None:
        """Take in what comes next."""
        try:
            data = bytes(await self.stream.receive_some(65536))
        except trio.BrokenResourceError:
            data = b""
        self.ended = not data
        skipped = min(self._skip, len(data))
        self._skip -= skipped
        for message in self._reader.feed(data[skipped:]):
            self._hear(message)

    def bodies(self, stream_id: int = 1) -> list[bytes]:
        """The FLV tag bodies that were played."""
        return [tag.body for tag in self.media[stream_id]]

    def _hear(self, message: Message) -> None:
        match message.type_id:
            case MessageType.AUDIO | MessageType.VIDEO:
                self._play(message)
            case MessageType.DATA if not message.body.startswith(b"\x02\x00\x0conPlayStatus"):
                self._play(message)
            case MessageType.USER_CONTROL:
                self.controls.append(read_user_control(message.body))
            case MessageType.COMMAND:
                self._answer(message)
            case _:
                pass

    def _play(self, message: Message) -> None:
        tag = Tag(message.type_id, message.timestamp, message.body)
        self.media[message.stream_id].append(tag)

    def _answer(self, message: Message) -> None:
        heard = read_command(message.type_id, message.stream_id, message.body)
        value = heard.argument(0)
        if heard.name in ("_result", "_error"):
            self.results[heard.transaction] = value
        if isinstance(value, dict) and "code" in value and heard.name != "onFCPublish":
            self.codes.append(value["code"])
            self.descriptions.append(value["description"])


@asynccontextmanager
async def peer(running: Running) -> AsyncIterator[RtmpPeer]:
    """A connection to the RTMP port, on which nothing has been said."""
    async with await trio.open_tcp_stream(*running.addresses["rtmp"]) as stream:
        yield RtmpPeer(stream)


@asynccontextmanager
async def publisher(
    running: Running, name: str = "x", app: str = "live"
) -> AsyncIterator[RtmpPeer]:
    """Publishes on message stream 1."""
    async with peer(running) as one:
        await one.connect(app)
        assert await one.publish(name) == 1
        yield one


@asynccontextmanager
async def player(
    running: Running, name: str = "x", app: str = "live", **connect: Any
) -> AsyncIterator[RtmpPeer]:
    """Plays on message stream 1."""
    async with peer(running) as one:
        await one.connect(app, **connect)
        assert await one.play(name) == 1
        yield one


def tags(packets: Iterable[Packet]) -> list[Tag]:
    """Packets as the tags by which a publisher sends them."""
    found = []
    for packet in packets:
        tag = tag_body(packet)
        assert tag is not None
        found.append(Tag(tag[0], packet.dts // 1000, tag[1]))
    return found


@functools.cache
def clip(seconds: float = 1.0, **picture: int) -> list[Tag]:
    """A publisher's metadata, headers, and pictures and sound of that length; gop=25 frames."""
    return tags(sample_packets(seconds, **picture))


def shifted(them: Iterable[Tag], ms: int) -> list[Tag]:
    """The same, later."""
    return [tag._replace(timestamp=(tag.timestamp + ms) & 0xFFFF_FFFF) for tag in them]


def said_about(caplog, one: RtmpPeer) -> list[str]:
    """The reasons, with their hints, that were logged about a peer."""
    about = [line.fields for line in lines(caplog) if line.fields.get("peer") == one.address]
    return [f"{f['reason']} ({f.get('hint', '')})" for f in about if f.get("reason")]


class Healthy:
    """A publisher and a viewer beside whatever a test does to the server."""

    def __init__(self, source: RtmpPeer, viewer: RtmpPeer) -> None:
        self._source = source
        self._viewer = viewer
        self._round = 0

    async def check(self) -> None:
        """What is published now arrives, all of it and nothing else."""
        frames = shifted(clip()[3:], self._round * 1000)
        sent = frames if self._round else clip()
        self._round += 1
        await self._source.send_media(sent)
        await self._viewer.until(lambda: len(self._viewer.media[1]) >= len(sent))
        assert self._viewer.bodies() == [tag.body for tag in sent]
        self._viewer.media[1].clear()
        assert not self._source.ended


@asynccontextmanager
async def bystanders(running: Running) -> AsyncIterator[Healthy]:
    """A healthy pair; checked when the block begins and ends, and when the test asks."""
    async with publisher(running, "healthy") as source, player(running, "healthy") as viewer:
        healthy = Healthy(source, viewer)
        await healthy.check()
        yield healthy
        await healthy.check()
