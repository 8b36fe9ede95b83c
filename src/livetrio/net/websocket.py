"""WebSocket, server side: a thin shell over wsproto that needs no task of its own (RFC 6455).

Sending is `outbox.send` or a feed's shared frames; receiving happens in the connection's task.
No extension is agreed on: media do not compress, and what is never inflated is no bomb.
"""

from __future__ import annotations

import base64
import binascii
import struct
from collections.abc import Callable
from typing import NoReturn

import trio
from wsproto.connection import Connection as FrameParser
from wsproto.connection import ConnectionState, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Event, Ping, Pong, TextMessage
from wsproto.frame_protocol import CloseReason
from wsproto.utilities import generate_accept_token

from livetrio.errors import RefusalCode, Refused, RemoteProtocolError
from livetrio.net.connection import Connection
from livetrio.net.exchange import Exchange
from livetrio.net.request import HttpProtocolError

__all__ = [
    "NORMAL_CLOSURE",
    "WebSocket",
    "accept_websocket",
    "any_origin",
    "binary_frame",
    "wants_websocket",
]

_BINARY, _CLOSE = 0x82, 0x88  # FIN and the opcode
_VERSION_SPOKEN = (("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13"))
_MAX_CHATTER = 64 << 10
"""Bytes a player may send in messages nobody reads."""
_MESSAGE_COST = 16
"""What even an empty message counts towards that."""
_MAX_FRAGMENTS = 1024
_CONTROL_BURST = 100
_CONTROL_RATE = 10.0
"""Pings and pongs a peer may send: so many at once, so many a second for ever."""


def any_origin(origin: str) -> bool:  # noqa: ARG001
    """Players may be on any page."""
    return True


def wants_websocket(exchange: Exchange) -> bool:
    """Does the request ask to be upgraded to a WebSocket?"""
    return "websocket" in exchange.request.tokens("upgrade")


def accept_websocket(
    exchange: Exchange,
    *,
    max_size: int = 1 << 20,
    allows_origin: Callable[[str], bool] = any_origin,
) -> WebSocket:
    """Do the opening handshake (RFC 6455 section 4.2).

    Args:
        max_size: the longest message accepted from the peer, in bytes (text: in characters).
        allows_origin: asked with the Origin header of a browser; others send none.

    Raises:
        HttpProtocolError: 400 or 426, not a proper handshake.
        Refused: FORBIDDEN, a page of another origin asks.
    """
    request = exchange.request
    if request.method != "GET" or request.version < (1, 1):
        raise HttpProtocolError(400, "a WebSocket begins with GET in HTTP/1.1")
    if "upgrade" not in request.tokens("connection"):
        raise HttpProtocolError(400, "Connection: Upgrade is missing")
    if request.headers.get("sec-websocket-version") != "13":
        raise HttpProtocolError(426, "Sec-WebSocket-Version must be 13", _VERSION_SPOKEN)
    key = request.headers.get("sec-websocket-key", "")
    try:
        proper = len(base64.b64decode(key, validate=True)) == 16
    except (binascii.Error, ValueError):
        proper = False
    if not proper:
        raise HttpProtocolError(400, "Sec-WebSocket-Key is not 16 bytes of base64")
    origin = request.headers.get("origin")
    if origin is not None and not allows_origin(origin):
        raise Refused(RefusalCode.FORBIDDEN, "pages of another origin may not connect")
    accept = generate_accept_token(key.encode()).decode()
    early = exchange.switch(
        [("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Accept", accept)]
    )
    return WebSocket(exchange.connection, early, max_size)


def binary_frame(data: bytes) -> bytes:
    """One unmasked binary message, the same bytes for every viewer (section 5.2)."""
    size = len(data)
    if size < 126:
        head = struct.pack("!BB", _BINARY, size)
    elif size < 1 << 16:
        head = struct.pack("!BBH", _BINARY, 126, size)
    else:
        head = struct.pack("!BBQ", _BINARY, 127, size)
    return head + data


def close_frame(code: int, reason: str = "") -> bytes:
    """A close frame (section 5.5.1); the reason is cut to what fits."""
    payload = struct.pack("!H", code) + reason.encode()[:123].decode(errors="ignore").encode()
    return struct.pack("!BB", _CLOSE, len(payload)) + payload


NORMAL_CLOSURE = close_frame(1000)
"""The goodbye of a stream that has ended."""


class WebSocket:
    """An open WebSocket. Made by `accept_websocket`."""

    __slots__ = (
        "_connection",
        "_control",
        "_early",
        "_fragments",
        "_max_size",
        "_opened_at",
        "_parser",
        "_parts",
        "_size",
    )

    def __init__(self, connection: Connection, early: bytes, max_size: int) -> None:
        self._connection = connection
        self._early = early
        self._max_size = max_size
        self._parser: FrameParser | None = None
        self._parts: list[str | bytes] = []
        self._size = 0
        self._fragments = 0
        self._control = 0
        self._opened_at = trio.current_time()

    def send(self, data: str | bytes) -> None:
        """Send one message. A plain call."""
        self._send(TextMessage(data) if isinstance(data, str) else BytesMessage(data))

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Say goodbye; then leave the handler, and the connection closes in an orderly way."""
        if self._frames.state in {ConnectionState.OPEN, ConnectionState.REMOTE_CLOSING}:
            self._send(CloseConnection(code, reason))

    async def receive(self) -> str | bytes | None:
        """The next whole message; None when the peer has closed or is gone.

        Pings are answered in here, the closing handshake too.

        Raises:
            RemoteProtocolError: a broken frame; the peer has been told with the right code.
            trio.BrokenResourceError: the connection is lost.
        """
        frames = self._frames
        received = False
        while True:
            # A fresh call goes on where the last one was left: wsproto parses lazily.
            for event in frames.events():
                message = self._hear(event)
                if message is not None:
                    if not received:  # one read may hold thousands: let others run
                        await trio.lowlevel.checkpoint()
                    return message
            if frames.state not in {ConnectionState.OPEN, ConnectionState.LOCAL_CLOSING}:
                return None
            data = self._early or await self._connection.receive()
            self._early = b""
            received = True
            if not data:
                return None
            frames.receive_data(data)

    async def listen_only(self) -> None:
        """Return when the viewer has gone; messages are discarded, within bounds."""
        # Most viewers never say a word: without one no parser is made.
        self._early = self._early or await self._connection.receive()
        heard = 0
        while self._early or self._parser is not None:
            message = await self.receive()
            if message is None:
                return
            heard += len(message) + _MESSAGE_COST
            if heard > _MAX_CHATTER:
                self._fail(CloseReason.POLICY_VIOLATION, "keeps talking where it should listen")

    @property
    def _frames(self) -> FrameParser:
        if self._parser is None:
            self._parser = FrameParser(ConnectionType.SERVER)
        return self._parser

    def _send(self, event: Event) -> None:
        self._connection.outbox.send(bytes(self._frames.send(event)))

    def _hear(self, event: Event) -> str | bytes | None:
        """Act on one event; a message when it is complete."""
        match event:
            case TextMessage() | BytesMessage():
                return self._gather(event)
            case Ping():
                self._count_control()
                if self._frames.state is ConnectionState.OPEN:
                    self._send(event.response())
            case Pong():
                self._count_control()
            case CloseConnection():
                state = self._frames.state
                if state is ConnectionState.REMOTE_CLOSING:
                    self._send(event.response())
                elif state is not ConnectionState.CLOSED:  # not the peer's word: a broken frame
                    self._fail(event.code, event.reason or "broken frame")
        return None

    def _gather(self, event: TextMessage | BytesMessage) -> str | bytes | None:
        data = event.data if isinstance(event, TextMessage) else bytes(event.data)
        self._size += len(data)
        self._fragments += 1
        if self._size > self._max_size or self._fragments > _MAX_FRAGMENTS:
            self._fail(CloseReason.MESSAGE_TOO_BIG, f"message over {self._max_size} bytes")
        self._parts.append(data)
        if not event.message_finished:
            return None
        empty = "" if isinstance(event, TextMessage) else b""
        message = empty.join(self._parts)  # type: ignore[arg-type]  # one kind per message
        self._parts, self._size, self._fragments = [], 0, 0
        return message

    def _count_control(self) -> None:
        self._control += 1
        age = trio.current_time() - self._opened_at
        if self._control > _CONTROL_BURST + _CONTROL_RATE * age:
            self._fail(CloseReason.POLICY_VIOLATION, "ping flood")

    def _fail(self, code: int, reason: str) -> NoReturn:
        """Section 7.1.7: tell the peer why, if it may still be told, and give it up."""
        self.close(code, reason)
        raise RemoteProtocolError(f"WebSocket closed with {int(code)}: {reason}")
