"""What goes through the pipes between the server and a worker: length-prefixed frames."""

from __future__ import annotations

import enum
import struct
from dataclasses import dataclass
from typing import Final

from livetrio.errors import RemoteProtocolError

__all__ = ["HEAD", "UNDECODABLE", "Message", "Unpacker", "Word", "pack", "unpack_head"]

_HEAD: Final = struct.Struct(">BHqqI")
HEAD: Final = _HEAD.size
"""Bytes before a message's data."""
_MAX_SIZE: Final = 32 << 20
"""Bytes of one frame: as much as a stream's ring may hold."""
UNDECODABLE: Final = 3
"""The worker's exit status when it is the stream's fault, so that another try is useless."""


class Word(enum.IntEnum):
    """What a message is."""

    CONFIG = 1
    """To the worker: the codec's name, a zero byte, its record. From it: an AVC record."""
    FRAME = 2
    KEY = 3
    """A frame that a decoder can start with."""
    WANT_KEY = 4
    """To the worker: make the next frame a key frame. From it: of that lane it needs one."""
    SCENE = 5
    """To a mixing worker: JSON, who is heard and seen, and on which lanes."""
    REPORT = 6
    """From a mixing worker: JSON, what it counted."""
    END = 7
    """To a mixing worker: nothing more comes on this lane for now."""


@dataclass(slots=True)
class Message:
    """One message; times are microseconds."""

    word: Word
    dts: int = 0
    pts: int = 0
    data: bytes = b""
    lane: int = 0
    """Which of several inputs, or outputs; 0 where there is but one. At most 65,535."""


def pack(message: Message) -> bytes:
    """The bytes of a message."""
    data = message.data
    return _HEAD.pack(message.word, message.lane, message.dts, message.pts, len(data)) + data


def unpack_head(head: bytes) -> tuple[Message, int]:
    """A message still without its data, and the size of the data that follow.

    Raises:
        RemoteProtocolError: the other side of the pipe has lost its mind.
    """
    number, lane, dts, pts, size = _HEAD.unpack(head)
    if size > _MAX_SIZE:
        raise RemoteProtocolError(f"worker: a message of {size} bytes")
    try:
        return Message(Word(number), dts, pts, lane=lane), size
    except ValueError:
        raise RemoteProtocolError(f"worker: message type {number}") from None


class Unpacker:
    """Messages out of bytes as they come."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes | bytearray) -> list[Message]:
        """The messages that these bytes complete; RemoteProtocolError as `unpack_head`."""
        self._buffer += data
        messages = []
        while len(self._buffer) >= HEAD:
            message, size = unpack_head(bytes(self._buffer[:HEAD]))
            if len(self._buffer) < HEAD + size:
                break
            message.data = bytes(self._buffer[HEAD : HEAD + size])
            messages.append(message)
            del self._buffer[: HEAD + size]
        return messages
