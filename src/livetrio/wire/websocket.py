"""WebSocket frames and messages, server side, sans-I/O (RFC 6455 section 5).

Our own and not wsproto's: an idle parser takes 150 bytes here and 1,900 there, which is what
counts with a hundred thousand silent members; and wsproto inflates without bound.
"""

from __future__ import annotations

import enum
import struct
from dataclasses import dataclass

from livetrio.errors import RemoteProtocolError
from livetrio.wire.websocket_deflate import deflate, inflate

__all__ = [
    "Close",
    "CloseCode",
    "Event",
    "Message",
    "MessageParser",
    "Ping",
    "Pong",
    "WebSocketError",
    "binary_frame",
    "close_frame",
    "deflated_binary_frame",
    "deflated_text_frame",
    "pong_frame",
    "text_frame",
]

_FIN, _RSV1, _RSV23, _OPCODE = 0x80, 0x40, 0x30, 0x0F
_CONTINUATION, _TEXT, _BINARY, _CLOSE, _PING, _PONG = 0, 1, 2, 8, 9, 10
_KNOWN = frozenset({_CONTINUATION, _TEXT, _BINARY, _CLOSE, _PING, _PONG})
_MAX_CONTROL = 125
_MAX_FRAGMENTS = 1024
_WORTH_DEFLATING = 200
"""Bytes; shorter messages are sent as they are, which the extension allows."""


class CloseCode(enum.IntEnum):
    """Why a WebSocket closes (section 7.4.1)."""

    NORMAL = 1000
    GOING_AWAY = 1001
    PROTOCOL_ERROR = 1002
    UNSUPPORTED = 1003
    BAD_DATA = 1007
    POLICY = 1008
    TOO_BIG = 1009
    SERVER_ERROR = 1011


class WebSocketError(RemoteProtocolError):
    """The peer broke the protocol; it is to be told this code."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code


@dataclass(slots=True)
class Message:
    """A whole text or binary message."""

    data: str | bytes


@dataclass(slots=True)
class Ping:
    """To be answered with a pong of the same payload."""

    payload: bytes


@dataclass(slots=True)
class Pong:
    """An answer, asked for or not."""

    payload: bytes


@dataclass(slots=True)
class Close:
    """The peer's goodbye, to be answered unless it is one."""

    code: int | None
    reason: str


Event = Message | Ping | Pong | Close


def text_frame(data: str) -> bytes:
    """One unmasked text message, the same bytes for everybody (section 5.2)."""
    return _frame(_FIN | _TEXT, data.encode())


def binary_frame(data: bytes) -> bytes:
    """One unmasked binary message, the same bytes for everybody."""
    return _frame(_FIN | _BINARY, data)


def deflated_text_frame(data: str) -> bytes:
    """The same for everybody who agreed on permessage-deflate."""
    return _deflated_frame(_FIN | _TEXT, data.encode())


def deflated_binary_frame(data: bytes) -> bytes:
    """The same for everybody who agreed on permessage-deflate."""
    return _deflated_frame(_FIN | _BINARY, data)


def pong_frame(payload: bytes) -> bytes:
    """The answer to a ping (section 5.5.3)."""
    return _frame(_FIN | _PONG, payload)


def close_frame(code: int | None, reason: str = "") -> bytes:
    """A close frame (section 5.5.1), without a code if None; the reason is cut to what fits."""
    if code is None:
        return _frame(_FIN | _CLOSE, b"")
    told = reason.encode()[: _MAX_CONTROL - 2].decode(errors="ignore").encode()
    return _frame(_FIN | _CLOSE, struct.pack("!H", code) + told)


def _deflated_frame(first: int, payload: bytes) -> bytes:
    if len(payload) < _WORTH_DEFLATING:
        return _frame(first, payload)
    return _frame(first | _RSV1, deflate(payload))


def _frame(first: int, payload: bytes) -> bytes:
    size = len(payload)
    if size < 126:
        head = struct.pack("!BB", first, size)
    elif size < 1 << 16:
        head = struct.pack("!BBH", first, 126, size)
    else:
        head = struct.pack("!BBQ", first, 127, size)
    return head + payload


class MessageParser:
    """A client's frames, put together to messages. After an error it must not be used."""

    __slots__ = ("_at", "_compressed", "_data", "_deflate", "_max", "_parts", "_size", "_text")

    def __init__(self, max_size: int, *, deflate: bool = False) -> None:
        """
        Args:
            max_size: bytes of the longest message, on the wire and inflated.
            deflate: permessage-deflate was agreed on.
        """
        self._max = max_size
        self._deflate = deflate
        self._data: bytes | bytearray = b""
        self._at = 0
        self._parts: list[bytes] | None = None  # of the message under way
        self._size = 0
        self._text = False
        self._compressed = False

    def feed(self, data: bytes) -> None:
        """Take in what has arrived."""
        if not self._data:
            self._data = data
            return
        if not isinstance(self._data, bytearray):  # only half a frame is worth a buffer
            self._data = bytearray(self._data)
        self._data += data

    def next_event(self) -> Event | None:
        """The next event, None if more bytes are needed.

        Raises:
            WebSocketError: a broken frame, a message too long or not what it says.
        """
        while True:
            header = self._header()
            if header is None or len(self._data) < header[1] + header[2]:
                self._forget()
                return None
            first, start, size = header
            payload = _unmasked(self._data, start, size)
            self._at = start + size
            event = (
                _control(first & _OPCODE, payload)
                if first & _OPCODE >= _CLOSE
                else self._gather(first, payload)
            )
            if event is not None:
                return event

    def _forget(self) -> None:
        """What has been parsed; an idle parser holds nothing."""
        if self._at:
            self._data = bytes(self._data[self._at :])
            self._at = 0

    def _header(self) -> tuple[int, int, int] | None:
        """(first byte, where the payload starts, its size) of the next frame; None if the header
        is not there yet. All that can be refused is refused here, before anything is stored."""
        data, at = self._data, self._at
        there = len(data) - at
        if there < 2:
            return None
        first, second = data[at], data[at + 1]
        self._check(first, second)
        size, start = second & 0x7F, at + 6
        if size == 126:
            if there < 4:
                return None
            (size,) = struct.unpack_from("!H", data, at + 2)
            start += 2
            shortest = 126
        elif size == 127:
            if there < 10:
                return None
            (size,) = struct.unpack_from("!Q", data, at + 2)
            start += 8
            shortest = 1 << 16
        else:
            shortest = 0
        if size < shortest or size >> 63:
            raise _broken("a frame's length is not in its shortest form")
        if first & _OPCODE < _CLOSE and self._size + size > self._max:
            raise WebSocketError(CloseCode.TOO_BIG, f"message over {self._max} bytes")
        return (first, start, size)

    def _check(self, first: int, second: int) -> None:
        opcode = first & _OPCODE
        if opcode not in _KNOWN:
            raise _broken(f"unknown opcode {opcode}")
        if first & _RSV23 or (first & _RSV1 and not (self._deflate and opcode in {_TEXT, _BINARY})):
            raise _broken("a reserved bit is set")
        if not second & 0x80:
            raise _broken("a frame is not masked")
        if opcode >= _CLOSE:
            if not first & _FIN:
                raise _broken("a control frame is fragmented")
            if second & 0x7F > _MAX_CONTROL:
                raise _broken(f"a control frame is longer than {_MAX_CONTROL} bytes")
        elif (opcode == _CONTINUATION) is (self._parts is None):
            raise _broken(
                "a continuation of nothing" if opcode == _CONTINUATION else "a message in a message"
            )

    def _gather(self, first: int, payload: bytes) -> Message | None:
        if self._parts is None:
            self._text = first & _OPCODE == _TEXT
            self._compressed = bool(first & _RSV1)
            if first & _FIN:  # nearly always: no list
                return self._message(payload)
            self._parts = []
        self._parts.append(payload)
        self._size += len(payload)
        if len(self._parts) > _MAX_FRAGMENTS:
            raise WebSocketError(CloseCode.TOO_BIG, f"message of over {_MAX_FRAGMENTS} fragments")
        if not first & _FIN:
            return None
        whole = b"".join(self._parts)
        self._parts, self._size = None, 0
        return self._message(whole)

    def _message(self, data: bytes) -> Message:
        if self._compressed:
            try:
                inflated = inflate(data, self._max)
            except ValueError:
                raise WebSocketError(CloseCode.BAD_DATA, "broken compressed data") from None
            if inflated is None:
                raise WebSocketError(CloseCode.TOO_BIG, f"message over {self._max} bytes")
            data = inflated
        return Message(_utf8(data) if self._text else data)


def _control(opcode: int, payload: bytes) -> Event:
    if opcode == _PING:
        return Ping(payload)
    if opcode == _PONG:
        return Pong(payload)
    if not payload:
        return Close(None, "")
    if len(payload) == 1:
        raise _broken("half a close code")
    (code,) = struct.unpack_from("!H", payload)
    # Section 7.4: those of the RFC and its registry that may stand in a frame; then those of
    # libraries and applications.
    if not (1000 <= code <= 1003 or 1007 <= code <= 1014 or 3000 <= code <= 4999):
        raise _broken(f"close code {code}")
    return Close(code, _utf8(payload[2:]))


def _utf8(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise WebSocketError(CloseCode.BAD_DATA, "text that is not UTF-8") from None


def _unmasked(data: bytes | bytearray, start: int, size: int) -> bytes:
    """Section 5.3. One exclusive-or of two long numbers: a hundred times a loop's speed."""
    if not size:
        return b""
    key = bytes(data[start - 4 : start]) * (size // 4 + 1)
    masked = int.from_bytes(data[start : start + size], "little")
    return (masked ^ int.from_bytes(key[:size], "little")).to_bytes(size, "little")


def _broken(reason: str) -> WebSocketError:
    return WebSocketError(CloseCode.PROTOCOL_ERROR, reason)
