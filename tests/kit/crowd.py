"""A publisher and many viewers inside the test's own process: cheap, and blunt when told to be.

They speak just enough of each protocol. A stalled viewer never reads again once it is served, with
a receive buffer so small that the server's own buffers fill.
"""

from __future__ import annotations

import base64
import itertools
import socket
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import trio

from livetrio.wire.rtmp.client import ClientSession
from livetrio.wire.rtmp.events import Ready
from livetrio.wire.rtmp.url import RtmpUrl

__all__ = ["Crowd", "Tag", "tags_of"]

STALLED_BUFFER = 4096
RECEIVE = 65536


class Tag(NamedTuple):
    """One FLV tag."""

    type_id: int
    timestamp: int
    """Milliseconds."""
    body: bytes


def tags_of(file: Path) -> list[Tag]:
    """The tags of an FLV file."""
    return list(split(file.read_bytes()))


def split(data: bytes) -> Iterator[Tag]:
    offset = 13  # file header and the first back pointer
    while offset + 11 <= len(data):
        size = int.from_bytes(data[offset + 1 : offset + 4], "big")
        low = int.from_bytes(data[offset + 4 : offset + 7], "big")
        body = data[offset + 11 : offset + 11 + size]
        yield Tag(data[offset], data[offset + 7] << 24 | low, body)
        offset += 11 + size + 4


@dataclass(slots=True)
class Crowd:
    """Peers of one server; each is an async function for a nursery, and ends with the server."""

    rtmp_port: int
    httpflv_port: int
    name: str = "live/x"
    received: dict[str, int] = field(default_factory=dict)
    """Bytes that viewers of each kind were sent."""

    async def publish(self, tags: list[Tag]) -> None:
        """Publish the tags in real time, then again and again."""
        session = ClientSession(self._url, publish=True)
        with suppress(trio.BrokenResourceError, OSError):
            async with await trio.open_tcp_stream("127.0.0.1", self.rtmp_port) as stream:
                await stream.send_all(session.take())
                while not await self._told_ready(session, stream):
                    pass
                begun, length = trio.current_time(), tags[-1].timestamp + 40
                # what the server says from now on is not read: it fits the socket's buffer
                for number in itertools.count():
                    again, index = divmod(number, len(tags))
                    tag = tags[index]
                    at = tag.timestamp + again * length
                    await trio.sleep_until(begun + at / 1000)
                    session.send_media(tag.type_id, at, tag.body)
                    await stream.send_all(session.take())

    async def watch_rtmp(self, *, stalled: bool = False) -> None:
        session = ClientSession(self._url, publish=False)
        with suppress(trio.BrokenResourceError, OSError):
            async with await self._connect(self.rtmp_port, stalled=stalled) as stream:
                await stream.send_all(session.take())
                while not await self._told_ready(session, stream):
                    pass
                if stalled:
                    await trio.sleep_forever()
                await self._count("rtmp", stream)

    async def watch_flv(self, *, stalled: bool = False) -> None:
        await self._request("http-flv", "", stalled=stalled)

    async def watch_ws_flv(self, *, stalled: bool = False) -> None:
        key = base64.b64encode(bytes(16)).decode()
        upgrade = (
            "Connection: Upgrade\r\nUpgrade: websocket\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n"
        )
        await self._request("ws-flv", upgrade, stalled=stalled)

    @property
    def _url(self) -> RtmpUrl:
        return RtmpUrl.parse(f"rtmp://127.0.0.1:{self.rtmp_port}/{self.name}")

    async def _request(self, kind: str, headers: str, *, stalled: bool) -> None:
        request = f"GET /{self.name}.flv HTTP/1.1\r\nHost: 127.0.0.1\r\n{headers}\r\n"
        with suppress(trio.BrokenResourceError, OSError):
            async with await self._connect(self.httpflv_port, stalled=stalled) as stream:
                await stream.send_all(request.encode())
                if stalled:
                    await trio.sleep_forever()
                await self._count(kind, stream)

    async def _told_ready(self, session: ClientSession, stream: trio.SocketStream) -> bool:
        """One exchange; whether the server has said that the stream is on."""
        data = await stream.receive_some(RECEIVE)
        if not data:
            raise trio.BrokenResourceError("the server left")
        events = session.feed(data)
        await stream.send_all(session.take())
        return any(isinstance(event, Ready) for event in events)

    async def _count(self, kind: str, stream: trio.SocketStream) -> None:
        while data := await stream.receive_some(RECEIVE):
            self.received[kind] = self.received.get(kind, 0) + len(data)

    async def _connect(self, port: int, *, stalled: bool) -> trio.SocketStream:
        sock = trio.socket.socket()
        try:
            if stalled:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, STALLED_BUFFER)
            await sock.connect(("127.0.0.1", port))
        except BaseException:
            sock.close()
            raise
        return trio.SocketStream(sock)
