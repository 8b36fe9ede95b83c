"""Transports: how frames come in, from a TCP stream or from WebSocket messages."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import Protocol

from livetrio.net.connection import Connection
from livetrio.net.websocket import CloseCode, WebSocket
from livetrio.wire.goim.frame import Frame, FrameParser, frame_of_message
from livetrio.wire.goim.json_frame import frames_of_text

__all__ = ["TcpFrames", "Transport", "WebSocketFrames"]

_JSON_BEGINS = frozenset("{[ \t\r\n")


class Transport(Protocol):
    """Where a session's frames come from."""

    @property
    def websocket(self) -> bool:
        """Is it one, and not plain TCP?"""
        ...

    @property
    def deflate(self) -> bool:
        """Was permessage-deflate agreed on?"""
        ...

    @property
    def json(self) -> bool:
        """Has it sent v1's JSON frames?"""
        ...

    @property
    def arrays(self) -> bool:
        """In arrays?"""
        ...

    def receive(self) -> Awaitable[bytes | str | None]:
        """What comes next, for `frames`. The awaitable is the socket's own: a coroutine in
        between would cost every idle connection its frame.

        Raises (when awaited):
            RemoteProtocolError: a broken WebSocket frame.
            trio.BrokenResourceError: the peer is gone.
        """
        ...

    def frames(self, data: bytes | str | None) -> Sequence[Frame] | None:
        """What is complete with it; None at the end of the stream.

        Raises:
            RemoteProtocolError: broken ones.
        """
        ...

    def dismiss(self, reason: str) -> None:
        """Say why the connection ends, where there is a word for it."""
        ...


class TcpFrames:
    """One after the other, in a stream of bytes."""

    __slots__ = ("_connection", "_parser")

    websocket = deflate = json = arrays = False

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._parser = FrameParser()

    def receive(self) -> Awaitable[bytes]:
        """The next read."""
        return self._connection.receive()

    def frames(self, data: bytes | str | None) -> Sequence[Frame] | None:
        """What one read has completed."""
        assert isinstance(data, bytes)
        return list(self._parser.feed(data)) if data else None

    def dismiss(self, reason: str) -> None:
        """goim has none."""


class WebSocketFrames:
    """One per message; v1 is told by its text."""

    __slots__ = ("_websocket", "arrays", "json")

    websocket = True

    def __init__(self, websocket: WebSocket) -> None:
        self._websocket = websocket
        self.json = False
        self.arrays = False

    @property
    def deflate(self) -> bool:
        """Was permessage-deflate agreed on?"""
        return self._websocket.deflate

    def receive(self) -> Awaitable[bytes | str | None]:
        """The next message."""
        return self._websocket.receive()

    def frames(self, data: bytes | str | None) -> Sequence[Frame] | None:
        """What one message holds. goim takes binary packages in text messages as well."""
        if data is None:
            return None
        if isinstance(data, bytes):
            return (frame_of_message(data),)
        if data[:1] not in _JSON_BEGINS:
            return (frame_of_message(data.encode()),)
        self.json = True
        frames, self.arrays = frames_of_text(data)
        return frames

    def dismiss(self, reason: str) -> None:
        """A close frame, if none has been sent."""
        self._websocket.close(CloseCode.POLICY, reason)
