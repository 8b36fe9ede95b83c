"""RTMP's chunk stream: bytes to messages (RTMP 1.0, section 5.3).

The reader keeps no copy of the input: at most one incomplete chunk header (18 bytes) waits for
the next feed, payload goes straight into the message it belongs to. So neither one byte per
segment nor a megabyte in one costs more than its bytes. The way back is in `chunk_writer`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from livetrio.errors import RemoteProtocolError

__all__ = [
    "DEFAULT_CHUNK_SIZE",
    "MAX_CHUNK_SIZE",
    "MAX_MESSAGE_SIZE",
    "ChunkReader",
    "Message",
]

DEFAULT_CHUNK_SIZE: Final = 128
"""Payload bytes of a chunk until SetChunkSize says otherwise (section 5.4.1)."""

MAX_CHUNK_SIZE: Final = 0xFF_FFFF
"""Larger sizes are equivalent to this one, for no message is longer (section 5.4.1)."""

MAX_MESSAGE_SIZE: Final = 16 * 1024 * 1024
"""Every length 24 bits can announce; callers who expect less say so."""

MAX_CHUNK_STREAMS: Final = 64
"""Most chunk streams with state. Encoders use 3 to 6, Flash a handful for each of its streams;
the 65,597 that could be opened would cost 12 MB."""

EXTENDED: Final = 0xFF_FFFF
"""The timestamp field's value that announces four more bytes (section 5.3.1.3)."""

_SET_CHUNK_SIZE: Final = 1
_ABORT: Final = 2

_HEADER_SIZES: Final = (11, 7, 3, 0)
"""Bytes of the message header by chunk type (section 5.3.1.2)."""


@dataclass(slots=True)
class Message:
    """One whole message."""

    type_id: int
    timestamp: int
    """Milliseconds, modulo 2**32."""
    stream_id: int
    body: bytes


class _ChunkStream:
    """What a chunk stream remembers of its last header, and the message it is in."""

    __slots__ = (
        "delta",
        "extended",
        "length",
        "partial",
        "stream_id",
        "timestamp",
        "type_id",
    )

    def __init__(self) -> None:
        self.timestamp = 0
        self.delta = 0
        self.length = 0
        self.type_id = 0
        self.stream_id = 0
        self.extended: bytes | None = None  # the four bytes, if the last header had them
        self.partial: bytearray | None = None


class ChunkReader:
    """Puts messages together from the chunks of one peer.

    SetChunkSize and Abort act before the next chunk is looked at; they belong to this layer and
    are not handed out. Deviations seen in the field and accepted:

    - a type 1 header opens a chunk stream (librtmp's first control message): what it leaves out
      counts as zero;
    - a new header in the middle of a message gives that message up, as an Abort would;
    - in type 3 chunks the extended timestamp is repeated by most (Flash, FFmpeg) and left out
      by some: whether the next four bytes equal the last one's tells.
    """

    def __init__(
        self, *, max_message: int = MAX_MESSAGE_SIZE, max_pending: int = MAX_MESSAGE_SIZE
    ) -> None:
        """
        Args:
            max_message: longest message accepted, bytes; may be changed at any time.
            max_pending: most bytes held for unfinished messages of all chunk streams together.
        """
        self.max_message = max_message
        self.max_pending = max_pending
        self.chunk_size = DEFAULT_CHUNK_SIZE
        self._streams: dict[int, _ChunkStream] = {}
        self._head = b""  # an incomplete chunk header
        self._current: _ChunkStream | None = None  # the chunk stream whose payload comes next
        self._left = 0  # payload bytes of the current chunk still to come
        self.pending = 0
        """Bytes held for unfinished messages."""

    @property
    def idle(self) -> bool:
        """Whether the input ended between two messages."""
        return not (self._head or self._current or any(s.partial for s in self._streams.values()))

    def feed(self, data: bytes) -> Iterator[Message]:
        """Take what the peer sent; yields the messages completed by it, in order.

        To be exhausted before the next feed. It is lazy for the sake of `max_message`, which
        may be changed by what a message says and then holds for the next, however they were cut.

        Raises:
            RemoteProtocolError: the bytes are no chunk stream, or pass a limit.
        """
        if self._head:
            data = self._head + data
            self._head = b""
        pos = 0
        end = len(data)
        while True:
            stream = self._current
            if stream is None:
                after_header = self._read_header(data, pos, end)
                if after_header < 0:
                    self._head = data[pos:]
                    return
                pos = after_header
                stream = self._current
                assert stream is not None  # _read_header chose it
            stop = pos + self._left
            partial = stream.partial
            if partial is None and self._left == stream.length and stop <= end:
                # The whole message in one chunk, and here: no detour by a partial message.
                body = data[pos:stop]
            else:
                stop = min(stop, end)
                if partial is None:
                    partial = stream.partial = bytearray()
                partial += data[pos:stop]
                count = stop - pos
                self._left -= count
                self.pending += count
                if self.pending > self.max_pending:
                    raise RemoteProtocolError(
                        f"chunks: more than {self.max_pending} bytes of unfinished messages"
                    )
                pos = stop
                if self._left:
                    return
                self._current = None
                if len(partial) < stream.length:
                    continue
                body = bytes(partial)
                self.pending -= stream.length
                stream.partial = None
            pos = stop
            self._current = None
            if stream.type_id in (_SET_CHUNK_SIZE, _ABORT):
                self._control(stream.type_id, body)
            else:
                yield Message(stream.type_id, stream.timestamp, stream.stream_id, body)

    def _read_header(self, data: bytes, pos: int, end: int) -> int:
        """Read the chunk header at `pos`; returns where its payload begins, or -1 if cut.

        Nothing is changed while the header is incomplete: it will be read again as a whole.
        """
        if pos >= end:
            return -1
        first = data[pos]
        pos += 1
        csid = first & 0x3F
        if csid < 2:  # the two longer forms of the basic header, section 5.3.1.1
            if pos + csid + 1 > end:
                return -1
            if csid == 0:
                csid = data[pos] + 64
                pos += 1
            else:
                csid = data[pos] + (data[pos + 1] << 8) + 64
                pos += 2
        kind = first >> 6
        stream = self._streams.get(csid)
        at = pos
        pos += _HEADER_SIZES[kind]
        if pos > end:
            return -1
        if kind == 3:
            if stream is None:
                raise RemoteProtocolError(f"chunks: type 3 opens chunk stream {csid}")
            if stream.extended is not None:
                if end - pos < 4:
                    return -1
                if data[pos : pos + 4] == stream.extended:
                    pos += 4
            if stream.partial is None:
                stream.timestamp = (stream.timestamp + stream.delta) & 0xFFFF_FFFF
        else:
            time = int.from_bytes(data[at : at + 3], "big")
            extended = None
            if time == EXTENDED:
                if end - pos < 4:
                    return -1
                extended = data[pos : pos + 4]
                time = int.from_bytes(extended, "big")
                pos += 4
            if stream is None:
                stream = self._open(csid, kind)
            if stream.partial is not None:
                self._give_up(stream)
            stream.extended = extended
            if kind == 0:
                stream.timestamp = time
                stream.stream_id = int.from_bytes(data[at + 7 : at + 11], "little")
            else:
                stream.timestamp = (stream.timestamp + time) & 0xFFFF_FFFF
            # After a type 0 the delta of a following type 3 is its timestamp (5.3.1.2.4). Odd,
            # but FFmpeg sends it so: first frame at 23 ms, the others by type 3.
            stream.delta = time
            if kind < 2:
                stream.length = int.from_bytes(data[at + 3 : at + 6], "big")
                stream.type_id = data[at + 6]
        self._begin(stream)
        return pos

    def _begin(self, stream: _ChunkStream) -> None:
        length = stream.length
        if length > self.max_message:
            raise RemoteProtocolError(
                f"chunks: message of {length} bytes, more than {self.max_message}"
            )
        partial = stream.partial
        left = length if partial is None else length - len(partial)
        self._left = min(left, self.chunk_size)
        self._current = stream

    def _open(self, csid: int, kind: int) -> _ChunkStream:
        if kind == 2:
            raise RemoteProtocolError(f"chunks: type 2 opens chunk stream {csid}")
        if len(self._streams) >= MAX_CHUNK_STREAMS:
            raise RemoteProtocolError(f"chunks: more than {MAX_CHUNK_STREAMS} chunk streams")
        stream = self._streams[csid] = _ChunkStream()
        return stream

    def _give_up(self, stream: _ChunkStream) -> None:
        if stream.partial is not None:
            self.pending -= len(stream.partial)
            stream.partial = None

    def _control(self, type_id: int, body: bytes) -> None:
        if len(body) < 4:
            name = "SetChunkSize" if type_id == _SET_CHUNK_SIZE else "Abort"
            raise RemoteProtocolError(f"{name} of {len(body)} bytes instead of 4")
        value = int.from_bytes(body[:4], "big")
        if type_id == _ABORT:
            stream = self._streams.get(value)
            if stream is not None:
                self._give_up(stream)
        elif not 1 <= value <= 0x7FFF_FFFF:
            raise RemoteProtocolError(f"SetChunkSize to {value}")
        else:
            self.chunk_size = min(value, MAX_CHUNK_SIZE)
