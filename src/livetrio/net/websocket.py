"""WebSocket, server side: a thin shell over `wire/websocket.py` without a task of its own.

Sending is `outbox.send` or a feed's shared frames; receiving happens in the connection's task.
permessage-deflate is agreed on only where the handler can use one compressed frame for all: media
do not compress.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Callable
from typing import Final, NoReturn

import trio

from livetrio.errors import RefusalCode, Refused, RemoteProtocolError
from livetrio.net.connection import Connection
from livetrio.net.exchange import Exchange
from livetrio.net.request import HttpProtocolError
from livetrio.wire.websocket import (
    Close,
    CloseCode,
    Event,
    Message,
    MessageParser,
    Ping,
    Pong,
    WebSocketError,
    binary_frame,
    close_frame,
    deflated_binary_frame,
    deflated_text_frame,
    pong_frame,
    text_frame,
)
from livetrio.wire.websocket_deflate import agreed_extension

__all__ = [
    "NORMAL_CLOSURE",
    "CloseCode",
    "WebSocket",
    "accept_websocket",
    "any_origin",
    "binary_frame",
    "close_frame",
    "deflated_binary_frame",
    "deflated_text_frame",
    "text_frame",
    "wants_websocket",
]

_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # section 1.3
_VERSION_SPOKEN = (("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13"))
_MAX_CHATTER = 64 << 10
"""Bytes a player may send in messages nobody reads."""
_MESSAGE_COST = 16
"""What even an empty message counts towards that."""
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
    deflate: bool = False,
    subprotocol: str = "",
) -> WebSocket:
    """Do the opening handshake (RFC 6455 section 4.2).

    Args:
        max_size: the longest message accepted from the peer, in bytes.
        allows_origin: asked with the Origin header of a browser; others send none.
        deflate: agree on permessage-deflate without context takeover, if it is offered.
        subprotocol: one of those the peer has offered; "": none is named in the answer.

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
    token = base64.b64encode(hashlib.sha1(key.encode() + _GUID).digest()).decode()
    fields = [
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Accept", token),
    ]
    offered = request.headers.get("sec-websocket-extensions", "")
    extension = agreed_extension(offered) if deflate and offered else None
    if extension is not None:
        fields.append(("Sec-WebSocket-Extensions", extension))
    if subprotocol:
        fields.append(("Sec-WebSocket-Protocol", subprotocol))
    early = exchange.switch(fields)
    return WebSocket(exchange.connection, early, max_size, deflate=extension is not None)


NORMAL_CLOSURE = close_frame(CloseCode.NORMAL)
"""The goodbye of a stream that has ended."""


class WebSocket:
    """An open WebSocket. Made by `accept_websocket`."""

    __slots__ = ("_closed", "_connection", "_control", "_opened_at", "_parser", "deflate")

    def __init__(
        self, connection: Connection, early: bytes, max_size: int, *, deflate: bool = False
    ) -> None:
        self.deflate = deflate
        """Was permessage-deflate agreed on?"""
        self._connection = connection
        self._parser = MessageParser(max_size, deflate=deflate)
        self._parser.feed(early)
        self._closed = False  # we have said goodbye
        self._control = 0
        self._opened_at = trio.current_time()

    def send(self, data: str | bytes) -> None:
        """Send one message, uncompressed. A plain call."""
        self._send(text_frame(data) if isinstance(data, str) else binary_frame(data))

    def close(self, code: int = CloseCode.NORMAL, reason: str = "") -> None:
        """Say goodbye; then leave the handler, and the connection closes in an orderly way."""
        self._say_goodbye(close_frame(code, reason))

    async def receive(self) -> str | bytes | None:
        """The next whole message; None when the peer has closed or is gone.

        Pings are answered in here, the closing handshake too.

        Raises:
            RemoteProtocolError: a broken frame; the peer has been told with the right code.
            trio.BrokenResourceError: the connection is lost.
        """
        parser = self._parser
        received = False
        while True:
            # A fresh call goes on where the last one was left.
            while (event := self._next_event()) is not None:
                if isinstance(event, Message):
                    if not received:  # one read may hold thousands: let others run
                        await trio.lowlevel.checkpoint()
                    return event.data
                if isinstance(event, Close):
                    self._say_goodbye(close_frame(event.code))
                    return None
                self._hear(event)
            data = await self._connection.receive()
            received = True
            if not data:
                return None
            parser.feed(data)

    async def listen_only(self) -> None:
        """Return when the viewer has gone; messages are discarded, within bounds."""
        heard = 0
        while (message := await self.receive()) is not None:
            heard += len(message) + _MESSAGE_COST
            if heard > _MAX_CHATTER:
                self._fail(CloseCode.POLICY, "keeps talking where it should listen")

    def _next_event(self) -> Event | None:
        try:
            return self._parser.next_event()
        except WebSocketError as error:
            self._fail(error.code, str(error))

    def _hear(self, event: Ping | Pong) -> None:
        self._control += 1
        age = trio.current_time() - self._opened_at
        if self._control > _CONTROL_BURST + _CONTROL_RATE * age:
            self._fail(CloseCode.POLICY, "ping flood")
        if isinstance(event, Ping) and not self._closed:
            self._send(pong_frame(event.payload))

    def _send(self, frame: bytes) -> None:
        self._connection.outbox.send(frame)

    def _say_goodbye(self, frame: bytes) -> None:
        if not self._closed:
            self._closed = True
            self._send(frame)

    def _fail(self, code: int, reason: str) -> NoReturn:
        """Section 7.1.7: tell the peer why, if it may still be told, and give it up."""
        self.close(code, reason)
        raise RemoteProtocolError(f"WebSocket closed with {int(code)}: {reason}")
