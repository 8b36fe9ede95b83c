"""What goes through the pipes between the server and a video worker: length-prefixed frames."""

from __future__ import annotations

import enum
import struct
from dataclasses import dataclass
from typing import Final

from livetrio.errors import RemoteProtocolError

__all__ = ["HEAD", "UNDECODABLE", "Message", "Unpacker", "Word", "pack", "unpack_head"]

_HEAD: Final = struct.Struct(">BqqI")
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
    """To the worker: make the next frame a key frame."""


@dataclass(slots=True)
class Message:
    """One message; times are microseconds."""

    word: Word
    dts: int = 0
    pts: int = 0
    data: bytes = b""


def pack(message: Message) -> bytes:
    """The bytes of a message."""
    data = message.data
    return _HEAD.pack(message.word, message.dts, message.pts, len(data)) + data


def unpack_head(head: bytes) -> tuple[Word, int, int, int]:
    """Word, dts, pts and the size of the data that follow.

    Raises:
        RemoteProtocolError: the other side of the pipe has lost its mind.
    """
    number, dts, pts, size = _HEAD.unpack(head)
    if size > _MAX_SIZE:
        raise RemoteProtocolError(f"video worker: a message of {size} bytes")
    try:
        return Word(number), dts, pts, size
    except ValueError:
        raise RemoteProtocolError(f"video worker: message type {number}") from None


class Unpacker:
    """Messages out of bytes as they come."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes | bytearray) -> list[Message]:
        """The messages that these bytes complete; RemoteProtocolError as `unpack_head`."""
        self._buffer += data
        messages = []
        while len(self._buffer) >= HEAD:
            word, dts, pts, size = unpack_head(bytes(self._buffer[:HEAD]))
            if len(self._buffer) < HEAD + size:
                break
            messages.append(Message(word, dts, pts, bytes(self._buffer[HEAD : HEAD + size])))
            del self._buffer[: HEAD + size]
        return messages
