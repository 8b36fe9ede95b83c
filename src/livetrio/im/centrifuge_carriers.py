"""Carriers: how a client's commands come in and how it is told the end.

A WebSocket goes both ways. The bodies of HTTP streaming and SSE go one way only; commands for
them come with requests of their own (`centrifuge_emulation`), through a small inbox.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Protocol

import trio

from livetrio.im.centrifuge_views import CentrifugeView
from livetrio.net.connection import Connection
from livetrio.net.websocket import WebSocket
from livetrio.wire.centrifuge import json_codec, protobuf_codec
from livetrio.wire.centrifuge.codes import may_reconnect
from livetrio.wire.centrifuge.commands import Command
from livetrio.wire.centrifuge.replies import Disconnect, Push, Reply

__all__ = ["Carrier", "StreamCarrier", "WebSocketCarrier", "commands_of"]

_INBOX: Final = 64
"""Requests with commands that wait for their turn."""
_INBOX_BYTES: Final = 128 << 10
"""Bytes of them, beyond the first."""


class Carrier(Protocol):
    """One client's transport."""

    @property
    def connection(self) -> Connection:
        """The one that the server writes to."""
        ...

    @property
    def view(self) -> CentrifugeView:
        """What is written."""
        ...

    @property
    def session(self) -> str:
        """What commands are sent to, where the connection itself goes one way only; or ""."""
        ...

    async def commands(self) -> Iterator[Command] | None:
        """The next frame's commands (they are read while iterating); None at the end.

        Raises:
            RemoteProtocolError: a broken frame; so does the iterator.
            trio.BrokenResourceError: the peer is gone.
        """
        ...

    def end(self, code: int, reason: str) -> None:
        """Tell the client, once; nothing must follow."""
        ...


class WebSocketCarrier:
    """`/connection/websocket`."""

    __slots__ = ("_websocket", "connection", "view")

    session = ""

    def __init__(self, websocket: WebSocket, connection: Connection, view: CentrifugeView) -> None:
        self._websocket = websocket
        self.connection = connection
        self.view = view

    async def commands(self) -> Iterator[Command] | None:
        """What one message holds, be it called text or binary."""
        message = await self._websocket.receive()
        return None if message is None else commands_of(message, is_json=self.view.is_json)

    def end(self, code: int, reason: str) -> None:
        """A close frame."""
        self._websocket.close(code, reason)


class StreamCarrier:
    """`/connection/http_stream` and `/connection/sse`."""

    __slots__ = (
        "_chunked",
        "_ended",
        "_inbox",
        "_slot",
        "_waiting",
        "connection",
        "session",
        "view",
    )

    def __init__(
        self, connection: Connection, view: CentrifugeView, session: str, *, chunked: bool
    ) -> None:
        self.connection = connection
        self.view = view
        self.session = session
        self._chunked = chunked
        self._ended = False
        self._waiting = 0
        self._slot, self._inbox = trio.open_memory_channel[bytes](_INBOX)

    def put(self, frame: bytes) -> bool:
        """Commands have come for it; False if too many wait."""
        if self._waiting and self._waiting + len(frame) > _INBOX_BYTES:
            return False
        try:
            self._slot.send_nowait(frame)
        except trio.WouldBlock:
            return False
        self._waiting += len(frame)
        return True

    async def commands(self) -> Iterator[Command] | None:
        """What one request holds."""
        frame = await self._inbox.receive()
        self._waiting -= len(frame)
        return commands_of(frame, is_json=self.view.is_json)

    def end(self, code: int, reason: str) -> None:
        """A push that says so, and the end of the body."""
        if self._ended:
            return
        self._ended = True
        farewell = Disconnect(code, reason, may_reconnect(code))
        last = b"0\r\n\r\n" if self._chunked else b""
        self.connection.outbox.send(self.view.reply(Reply(push=Push(disconnect=farewell))) + last)


def commands_of(frame: str | bytes, *, is_json: bool) -> Iterator[Command]:
    """The commands of a frame. Raises RemoteProtocolError, while iterating."""
    if not is_json:
        data = frame if isinstance(frame, bytes) else frame.encode()
        return protobuf_codec.decode_commands(data)
    text = frame if isinstance(frame, str) else frame.decode(errors="replace")
    return json_codec.decode_commands(text)
