"""RFC 4571 framing: datagrams in a byte stream, each behind two bytes of length."""

from __future__ import annotations

from livetrio.errors import RemoteProtocolError

__all__ = ["FrameReader", "frame", "frame_all"]


class FrameReader:
    """Cuts a TCP stream of ICE (RFC 6544 section 3) into datagrams."""

    __slots__ = ("_buffer", "_limit")

    def __init__(self, limit: int) -> None:
        """limit: bytes of the largest datagram taken; the field could say 65,535."""
        self._limit = limit
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """The datagrams that are now complete.

        Raises:
            RemoteProtocolError: a length of 0, or one beyond the limit.
        """
        buffer = self._buffer
        buffer += data
        found: list[bytes] = []
        at = 0
        while len(buffer) - at >= 2:
            size = buffer[at] << 8 | buffer[at + 1]
            if not 0 < size <= self._limit:
                raise RemoteProtocolError(f"frame of {size} bytes")
            if len(buffer) - at - 2 < size:
                break
            found.append(bytes(buffer[at + 2 : at + 2 + size]))
            at += 2 + size
        del buffer[:at]
        return found


def frame(datagram: bytes) -> bytes:
    """One datagram as it goes into the stream."""
    return len(datagram).to_bytes(2, "big") + datagram


def frame_all(view: memoryview, segment: int) -> bytes:
    """Datagrams that lie one after the other, each of `segment` bytes but the last."""
    parts: list[bytes | memoryview] = []
    for at in range(0, len(view), segment):
        part = view[at : at + segment]
        parts.append(len(part).to_bytes(2, "big"))
        parts.append(part)
    return b"".join(parts)
