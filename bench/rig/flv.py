"""The smallest HTTP-FLV and WebSocket-FLV player that is still correct, without a socket."""

from __future__ import annotations

from collections.abc import Callable

from rig.rtmp import JoinError, Message

__all__ = ["FlvClient", "TagReader", "unchunked", "unframed", "unwrapped"]

Unwrap = Callable[[bytearray], bytes]


class TagReader:
    """Bytes of an FLV stream in, tags out as messages (FLV 10.1, annex E)."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._skip = 13  # the file header and PreviousTagSize0

    def feed(self, data: bytes) -> list[Message]:
        """Return the tags that `data` completes."""
        buffer = self._buffer
        buffer += data
        if self._skip:
            if len(buffer) < self._skip:
                return []
            if buffer[:3] != b"FLV":
                raise JoinError(f"not FLV: {bytes(buffer[:13])!r}")
            del buffer[: self._skip]
            self._skip = 0
        messages: list[Message] = []
        at = 0
        while len(buffer) >= at + 11:
            size = int.from_bytes(buffer[at + 1 : at + 4], "big")
            end = at + 11 + size + 4
            if len(buffer) < end:
                break
            timestamp = int.from_bytes(buffer[at + 4 : at + 7], "big") | buffer[at + 7] << 24
            body = bytes(buffer[at + 11 : end - 4])
            messages.append(Message(buffer[at] & 0x1F, timestamp, 0, body))
            at = end
        del buffer[:at]
        return messages


def unwrapped(buffer: bytearray) -> bytes:
    """Take everything: a body that ends when the connection does."""
    data = bytes(buffer)
    buffer.clear()
    return data


def unchunked(buffer: bytearray) -> bytes:
    """Take the whole chunks out of a chunked body (RFC 9112, 7.1)."""
    out = bytearray()
    while (line_end := buffer.find(b"\r\n")) >= 0:
        size = int(buffer[:line_end].split(b";")[0], 16)
        end = line_end + 2 + size
        if len(buffer) < end + 2:
            break
        out += buffer[line_end + 2 : end]
        del buffer[: end + 2]
    return bytes(out)


def unframed(buffer: bytearray) -> bytes:
    """Take the whole data frames out of a server's WebSocket bytes (RFC 6455, 5.2)."""
    out = bytearray()
    while len(buffer) >= 2:
        length, at = buffer[1] & 0x7F, 2
        if length >= 126:
            at = 4 if length == 126 else 10
            if len(buffer) < at:
                break
            length = int.from_bytes(buffer[2:at], "big")
        if len(buffer) < at + length:
            break
        if buffer[0] & 0x0F in (0, 2):
            out += buffer[at : at + length]
        del buffer[: at + length]
    return bytes(out)


class FlvClient:
    """One player of `http://{host}/{app}/{name}.flv`, or the same over WebSocket.

    Same verbs as `RtmpClient`; `ready` turns true at the end of the response's header.
    """

    def __init__(self, host: str, app: str, name: str, *, websocket: bool = False) -> None:
        self.ready = False
        request = f"GET /{app}/{name}.flv HTTP/1.1\r\nHost: {host}\r\nUser-Agent: bench\r\n"
        if websocket:
            request += (
                "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            )
        self._out = (request + "\r\n").encode()
        self._status = b" 101 " if websocket else b" 200 "
        self._unwrap: Unwrap = unframed if websocket else unwrapped
        self._buffer = bytearray()
        self._tags = TagReader()

    def take(self) -> bytes:
        """Return what is to be sent, once."""
        out, self._out = self._out, b""
        return out

    def feed(self, data: bytes) -> list[Message]:
        """Return the tags `data` completes; raise JoinError on any other status."""
        self._buffer += data
        if not self.ready:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                return []
            header = bytes(self._buffer[:end]).lower()
            if self._status not in header.split(b"\r\n", 1)[0] + b" ":
                raise JoinError(repr(header[:300]))
            if b"transfer-encoding: chunked" in header:
                self._unwrap = unchunked
            del self._buffer[: end + 4]
            self.ready = True
        return self._tags.feed(self._unwrap(self._buffer))
