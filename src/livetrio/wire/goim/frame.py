"""Frame: goim's 16-byte header and body, big-endian; the same over TCP and in WebSocket messages.

    0  int32  package length, header and body
    4  int16  header length, 16
    6  int16  version
    8  int32  operation
    12 int32  sequence, chosen by the client and given back
    16 ...    body

(goim `api/protocol/protocol.go`.) Clients may send packages of at most 4112 bytes; what a server
sends may be longer.
"""

from __future__ import annotations

import enum
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from livetrio.errors import RemoteProtocolError

__all__ = [
    "HEADER_SIZE",
    "MAX_PACKAGE",
    "Frame",
    "FrameParser",
    "Operation",
    "Version",
    "encode",
    "frame_of_message",
    "frames_within",
]

_HEADER: Final = struct.Struct(">ihhii")
HEADER_SIZE: Final = _HEADER.size
MAX_PACKAGE: Final = HEADER_SIZE + 4096
"""Bytes of the longest package a client may send."""


class Operation(enum.IntEnum):
    """The operations with a meaning of their own; a back end's pushes use any other number."""

    HANDSHAKE = 0
    HANDSHAKE_REPLY = 1
    HEARTBEAT = 2
    HEARTBEAT_REPLY = 3
    SEND_MESSAGE = 4
    SEND_MESSAGE_REPLY = 5
    """v1's and Bilibili's only word for "here is a message"."""
    DISCONNECT_REPLY = 6
    AUTH = 7
    AUTH_REPLY = 8
    RAW = 9
    """Its body is a run of whole frames: how WebSocket clients are sent pushes."""
    CHANGE_ROOM = 12
    CHANGE_ROOM_REPLY = 13
    SUBSCRIBE = 14
    SUBSCRIBE_REPLY = 15
    UNSUBSCRIBE = 16
    UNSUBSCRIBE_REPLY = 17


class Version(enum.IntEnum):
    """Bilibili's reading of the version field. goim itself gives it no meaning."""

    JSON = 0
    INT32 = 1
    """The body is a number (popularity), or a control message."""
    ZLIB = 2
    """The body inflates to a run of frames."""
    BROTLI = 3


@dataclass(slots=True)
class Frame:
    """One package."""

    version: int
    operation: int
    sequence: int
    body: bytes = b""


def encode(frame: Frame) -> bytes:
    """The package's bytes."""
    size = HEADER_SIZE + len(frame.body)
    head = _HEADER.pack(size, HEADER_SIZE, frame.version, frame.operation, frame.sequence)
    return head + frame.body


class FrameParser:
    """Cuts a TCP stream into frames. Between two frames it holds nothing."""

    __slots__ = ("_rest",)

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Frames that are complete now; exhaust it before the next call.

        Raises:
            RemoteProtocolError: a header that cannot be; what follows it has no beginning.
        """
        data = self._rest + data if self._rest else data
        self._rest = b""
        position = 0
        while len(data) - position >= HEADER_SIZE:
            size = _checked_size(data, position, MAX_PACKAGE)
            if len(data) - position < size:
                break
            yield _frame_at(data, position, size)
            position += size
        self._rest = data[position:]


def frame_of_message(message: bytes, limit: int = MAX_PACKAGE) -> Frame:
    """The one frame of a WebSocket message.

    goim ignores what stands behind the package; here the length must be that of the message,
    since no honest client has ever sent anything else.

    Raises:
        RemoteProtocolError: no frame, or more or less than one.
    """
    if len(message) < HEADER_SIZE:
        raise RemoteProtocolError(f"goim: a message of {len(message)} bytes has no header")
    size = _checked_size(message, 0, limit)
    if size != len(message):
        raise RemoteProtocolError(
            f"goim: package length {size} in a message of {len(message)} bytes"
        )
    return _frame_at(message, 0, size)


def frames_within(body: bytes) -> Iterator[Frame]:
    """The frames of which a body is a run: of RAW, or of an inflated one.

    Raises:
        RemoteProtocolError: it is no such run.
    """
    position = 0
    while position < len(body):
        if len(body) - position < HEADER_SIZE:
            raise RemoteProtocolError("goim: half a header at the end of a batch")
        size = _checked_size(body, position, len(body) - position)
        yield _frame_at(body, position, size)
        position += size


def _checked_size(data: bytes, position: int, limit: int) -> int:
    size, header, _, _, _ = _HEADER.unpack_from(data, position)
    if header != HEADER_SIZE:
        raise RemoteProtocolError(f"goim: header length {header}, not {HEADER_SIZE}")
    if not HEADER_SIZE <= size <= limit:
        raise RemoteProtocolError(f"goim: package length {size}, not {HEADER_SIZE} to {limit}")
    return int(size)


def _frame_at(data: bytes, position: int, size: int) -> Frame:
    _, _, version, operation, sequence = _HEADER.unpack_from(data, position)
    return Frame(version, operation, sequence, data[position + HEADER_SIZE : position + size])
