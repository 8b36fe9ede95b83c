"""The smallest RTMP client that is still correct (RTMP 1.0): join, then play or publish.

Sans-I/O, and written apart from `livetrio.wire` on purpose: a benchmark that spoke with the very
code it measures would hide that code's mistakes and share its speed.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Mapping
from typing import NamedTuple

__all__ = [
    "AUDIO",
    "DATA",
    "VIDEO",
    "ChunkReader",
    "JoinError",
    "Message",
    "RtmpClient",
    "encode_message",
]

SET_CHUNK_SIZE, USER_CONTROL, COMMAND = 1, 4, 20
AUDIO, VIDEO, DATA = 8, 9, 18
PING_REQUEST, PING_RESPONSE = 6, 7

CHUNK_SIZE = 4096  # what OBS announces
HANDSHAKE = 1536
EXTENDED = 0xFFFFFF

AmfValue = str | float | bool | None | Mapping[str, "AmfValue"]


class JoinError(Exception):
    """The server refused the stream, or does not speak the protocol."""


class Message(NamedTuple):
    """One RTMP message (RTMP 1.0, 6.1)."""

    type_id: int
    timestamp: int
    stream_id: int
    body: bytes


def encode_message(csid: int, message: Message, *, chunk_size: int = CHUNK_SIZE) -> bytes:
    """Return the message as one type-0 chunk and as many type-3 chunks as it takes (5.3.1)."""
    extended = struct.pack(">I", message.timestamp) if message.timestamp >= EXTENDED else b""
    out = bytearray([csid])
    out += min(message.timestamp, EXTENDED).to_bytes(3, "big")
    out += len(message.body).to_bytes(3, "big")
    out.append(message.type_id)
    out += message.stream_id.to_bytes(4, "little")
    out += extended
    out += message.body[:chunk_size]
    for start in range(chunk_size, len(message.body), chunk_size):
        out.append(0xC0 | csid)
        out += extended
        out += message.body[start : start + chunk_size]
    return bytes(out)


class _ChunkStream:
    """What the next chunk of one chunk stream id may leave out."""

    __slots__ = ("body", "delta", "extended", "length", "stream_id", "timestamp", "type_id")

    def __init__(self) -> None:
        self.timestamp = self.delta = self.length = self.type_id = self.stream_id = 0
        self.extended = False
        self.body = bytearray()


class ChunkReader:
    """Bytes in, messages out (5.3.1); the server is trusted, so nothing is bounded but time."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._chunk_size = 128
        self._streams: dict[int, _ChunkStream] = {}

    def feed(self, data: bytes) -> list[Message]:
        """Return the messages that `data` completes."""
        self._buffer += data
        messages: list[Message] = []
        while (used := self._chunk(messages)) > 0:
            del self._buffer[:used]
        return messages

    def _chunk(self, messages: list[Message]) -> int:
        """Read one chunk; return the bytes it took, 0 while it is not all there."""
        buffer = self._buffer
        if not buffer:
            return 0
        fmt, csid, at = buffer[0] >> 6, buffer[0] & 0x3F, 1
        if csid < 2:
            at = 2 + csid
            if len(buffer) < at:
                return 0
            csid = 64 + int.from_bytes(buffer[1:at], "little")
        header = (11, 7, 3, 0)[fmt]
        if len(buffer) < at + header:
            return 0
        stream = self._streams.setdefault(csid, _ChunkStream())
        time = int.from_bytes(buffer[at : at + 3], "big") if fmt < 3 else 0
        extended = time == EXTENDED if fmt < 3 else stream.extended
        length = int.from_bytes(buffer[at + 3 : at + 6], "big") if fmt < 2 else stream.length
        body_at = at + header + (4 if extended else 0)
        take = min(self._chunk_size, length - len(stream.body))
        if len(buffer) < body_at + take:
            return 0
        if extended and fmt < 3:
            time = int.from_bytes(buffer[at + header : body_at], "big")
        if fmt < 2:
            stream.length, stream.type_id = length, buffer[at + 6]
        if fmt == 0:
            stream.stream_id = int.from_bytes(buffer[at + 7 : at + 11], "little")
        if fmt < 3:
            stream.delta, stream.extended = time, extended
        if not stream.body:
            stream.timestamp = time if fmt == 0 else stream.timestamp + stream.delta
        stream.body += buffer[body_at : body_at + take]
        if len(stream.body) == stream.length:
            message = Message(
                stream.type_id, stream.timestamp, stream.stream_id, bytes(stream.body)
            )
            stream.body.clear()
            if message.type_id == SET_CHUNK_SIZE:
                self._chunk_size = int.from_bytes(message.body[:4], "big")
            messages.append(message)
        return body_at + take


def _amf(value: AmfValue) -> bytes:
    """Encode one AMF0 value."""
    match value:
        case None:
            return b"\x05"
        case bool():
            return b"\x01\x01" if value else b"\x01\x00"
        case float() | int():
            return b"\x00" + struct.pack(">d", value)
        case str():
            return b"\x02" + _amf_name(value)
        case _:
            body = b"".join(_amf_name(name) + _amf(item) for name, item in value.items())
            return b"\x03" + body + b"\x00\x00\x09"


def _amf_name(text: str) -> bytes:
    raw = text.encode()
    return struct.pack(">H", len(raw)) + raw


class RtmpClient:
    """One connection that plays or publishes `rtmp://{host}/{app}/{name}`.

    `feed` takes what arrived and returns the messages in it; `take` returns what is to be sent;
    `ready` turns true at NetStream.Play.Start or NetStream.Publish.Start. Each step waits for the
    server's answer to the one before, as real clients do.
    """

    def __init__(self, host: str, app: str, name: str, *, publish: bool = False) -> None:
        self.ready = False
        self.stream_id = 1
        self._name, self._app, self._publish = name, app, publish
        self._url = f"rtmp://{host}/{app}"
        self._chunks = ChunkReader()
        self._greeting: bytearray | None = bytearray()
        self._out = bytearray(b"\x03" + bytes(8) + os.urandom(HANDSHAKE - 8))

    def take(self) -> bytes:
        """Return what is to be sent, once."""
        out = bytes(self._out)
        self._out.clear()
        return out

    def feed(self, data: bytes) -> list[Message]:
        """Return the messages `data` completes; raise JoinError on a refusal."""
        if self._greeting is not None:
            self._greeting += data
            if len(self._greeting) < 1 + 2 * HANDSHAKE:
                return []
            # C2 is S1 sent back.
            self._out += self._greeting[1 : 1 + HANDSHAKE]
            data = bytes(self._greeting[1 + 2 * HANDSHAKE :])
            self._greeting = None
            self._send(2, SET_CHUNK_SIZE, struct.pack(">I", CHUNK_SIZE))
            flash = "FMLE/3.0 (compatible; bench)" if self._publish else "LNX 9,0,124,2"
            properties = {"app": self._app, "flashVer": flash, "tcUrl": self._url}
            self._command("connect", 1.0, properties)
        messages = self._chunks.feed(data)
        for message in messages:
            if message.type_id == COMMAND:
                self._answer(message.body)
            elif message.type_id == USER_CONTROL:
                kind = int.from_bytes(message.body[:2], "big")
                if kind == PING_REQUEST:
                    self._send(2, USER_CONTROL, struct.pack(">H", PING_RESPONSE) + message.body[2:])
        return messages

    def _answer(self, body: bytes) -> None:
        """Take the next step of the join.

        Answers are searched, not decoded: the names of statuses are unmistakable, and the only
        number needed, the stream id, is an AMF0 number at the end of `_result`.
        """
        if self.ready:
            return
        if b"\x00\x06_error" in body or b"\x00\x05error" in body:
            raise JoinError(repr(body[:300]))
        if body.startswith(b"\x02\x00\x07_result"):
            (transaction,) = struct.unpack_from(">d", body, 11)
            if transaction == 1.0:
                if self._publish:
                    self._command("releaseStream", 2.0, None, self._name)
                    self._command("FCPublish", 3.0, None, self._name)
                self._command("createStream", 4.0, None)
            elif transaction == 4.0:
                self.stream_id = int(struct.unpack(">d", body[-8:])[0])
                if self._publish:
                    self._command("publish", 5.0, None, self._name, "live", stream=True)
                else:
                    self._command("play", 5.0, None, self._name, -2000.0, stream=True)
        # Not any command: onFCPublish, too, may say "NetStream.Publish.Start".
        elif body.startswith(b"\x02\x00\x08onStatus"):
            self.ready = b"NetStream.Publish.Start" in body or b"NetStream.Play.Start" in body

    def _command(self, *values: AmfValue, stream: bool = False) -> None:
        body = b"".join(map(_amf, values))
        self._send(8 if stream else 3, COMMAND, body, self.stream_id if stream else 0)

    def _send(self, csid: int, type_id: int, body: bytes, stream_id: int = 0) -> None:
        self._out += encode_message(csid, Message(type_id, 0, stream_id, body))
