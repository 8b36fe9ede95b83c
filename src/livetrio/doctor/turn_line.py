"""A line to a TURN server: UDP with repetition, or TCP, or TLS; one request at a time."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Protocol

import trio

from livetrio.errors import RemoteProtocolError
from livetrio.wire.turn import MAX_REPLY, TurnDialogue, TurnReply

__all__ = ["Line", "Request", "connected"]

Request = Callable[[], bytes]
"""Builds a request; called again after a challenge, with what that taught."""

_RESEND = 0.5
"""Seconds: RFC 8489 section 6.2.1's first interval."""
_CHALLENGES = frozenset({401, 438})
_HEAD = 20


class Line(Protocol):
    """Messages to a server and back. Set a deadline around all of it."""

    async def send(self, message: bytes) -> None:
        """One message."""

    async def receive(self) -> bytes:
        """One message; b"" where it is time to send again.

        Raises:
            OSError, trio.BrokenResourceError, EOFError: the line is gone.
            RemoteProtocolError: what comes is no message.
        """

    async def ask(self, dialogue: TurnDialogue, request: Request) -> TurnReply:
        """The server's answer to a request, with credentials once it asks for them."""
        reply = await _answer(self, dialogue, request())
        if reply.error in _CHALLENGES:
            reply = await _answer(self, dialogue, request())
        return reply


async def _answer(line: Line, dialogue: TurnDialogue, message: bytes) -> TurnReply:
    while True:
        await line.send(message)
        while data := await line.receive():
            if (reply := dialogue.receive(data)) is not None:
                return reply


class _Udp(Line):
    def __init__(self, sock: trio.socket.SocketType) -> None:
        self._sock = sock

    async def send(self, message: bytes) -> None:
        await self._sock.send(message)

    async def receive(self) -> bytes:
        with trio.move_on_after(_RESEND):
            return await self._sock.recv(MAX_REPLY + 1)
        return b""


class _Stream(Line):
    """STUN messages carry their length (RFC 8489 section 6.2.2)."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream
        self._buffer = b""

    async def send(self, message: bytes) -> None:
        await self._stream.send_all(message)

    async def receive(self) -> bytes:
        head = await self._take(_HEAD)
        size = int.from_bytes(head[2:4], "big")
        if size > MAX_REPLY:
            raise RemoteProtocolError(f"TURN: a message of {size} bytes")
        return head + await self._take(size)

    async def _take(self, size: int) -> bytes:
        while len(self._buffer) < size:
            data = await self._stream.receive_some(MAX_REPLY)
            if not data:
                raise EOFError("closed")
            self._buffer += data
        taken, self._buffer = self._buffer[:size], self._buffer[size:]
        return taken


@asynccontextmanager
async def connected(host: str, port: int, transport: str, *, secure: bool) -> AsyncIterator[Line]:
    """A line to host:port over "udp" or "tcp", by TLS if secure.

    Raises:
        OSError: no such name (socket.gaierror), or nobody there.
        trio.BrokenResourceError: TLS failed; the cause says why.
    """
    if transport == "udp":
        kind = trio.socket.SOCK_DGRAM
        family, *_, address = (await trio.socket.getaddrinfo(host, port, type=kind))[0]
        with trio.socket.socket(family, kind) as sock:
            await sock.connect(address)
            yield _Udp(sock)
        return
    stream: trio.abc.Stream = await trio.open_tcp_stream(host, port)
    if secure:
        context = ssl.create_default_context()
        stream = trio.SSLStream(stream, context, server_hostname=host, https_compatible=True)
    try:
        yield _Stream(stream)
    finally:
        await trio.aclose_forcefully(stream)
