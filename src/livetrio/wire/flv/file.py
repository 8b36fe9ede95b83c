"""A byte stream that is an FLV file: what HTTP push sends and HTTP-FLV sources answer."""

from __future__ import annotations

from typing import Final

from livetrio.errors import RemoteProtocolError
from livetrio.packet import Packet
from livetrio.wire.flv.demux import Demuxer
from livetrio.wire.flv.mux import HEADER_SIZE
from livetrio.wire.flv.words import AUDIO, SCRIPT, VIDEO

__all__ = ["FileReader"]

_FILE_HEADER: Final = 9
_MAX_DATA_OFFSET: Final = 4096
"""Bytes; 9 in version 1, more only if a later version adds fields."""
_POINTER: Final = 4
"""Bytes of PreviousTagSize."""
_TYPE: Final = 0x1F
_ENCRYPTED: Final = 0x20


class FileReader:
    """Reads a whole FLV file as it arrives, in pieces of any size.

    Holds at most one tag that is still arriving: 16 MiB, which a tag's 24-bit size cannot pass.
    The end may come anywhere: a tag that was cut there is never seen, as with any recording.

    Attributes:
        demuxer: what the tags went through: tracks, drops.
        wrong_pointers: PreviousTagSize fields that were wrong. Many encoders write 0, or forget
            the header; nothing depends on them.
    """

    __slots__ = ("_buffer", "_expected", "_started", "demuxer", "wrong_pointers")

    def __init__(self) -> None:
        self.demuxer = Demuxer()
        self.wrong_pointers = 0
        self._buffer = bytearray()
        self._started = False
        self._expected = 0

    def feed(self, data: bytes) -> list[Packet]:
        """Packets of the tags that are whole now; b"" (the end) yields none.

        Raises:
            RemoteProtocolError: this is no FLV file, or no tag begins where the sizes say.
        """
        self._buffer += data
        packets: list[Packet] = []
        pos = 0
        if not self._started:
            pos = self._read_header()
        with memoryview(self._buffer) as view:
            end = len(view)
            while self._started and end - pos >= _POINTER + HEADER_SIZE:
                head = pos + _POINTER
                kind = view[head]
                if kind & _TYPE not in (AUDIO, VIDEO, SCRIPT):
                    raise RemoteProtocolError(f"FLV: a tag of type {kind}; sizes before it lie")
                start = head + HEADER_SIZE
                stop = start + int.from_bytes(view[head + 1 : head + 4], "big")
                if stop > end:
                    break
                if int.from_bytes(view[pos:head], "big") != self._expected:
                    self.wrong_pointers += 1
                if kind & _ENCRYPTED:
                    raise RemoteProtocolError("FLV: the file is encrypted")
                time = int.from_bytes(view[head + 4 : head + 7], "big") | view[head + 7] << 24
                packets += self.demuxer.feed(kind & _TYPE, time, bytes(view[start:stop]))
                self._expected = stop - head
                pos = stop
        del self._buffer[:pos]
        return packets

    def _read_header(self) -> int:
        """Position behind the file header once it is whole; 0 until then."""
        head = bytes(self._buffer[:_FILE_HEADER])
        if head[:4] != b"FLV\x01"[: len(head)]:
            raise RemoteProtocolError(f"not an FLV file: it begins with {head[:4]!r}")
        if len(head) < _FILE_HEADER:
            return 0
        offset = int.from_bytes(head[5:9], "big")
        if not _FILE_HEADER <= offset <= _MAX_DATA_OFFSET:
            raise RemoteProtocolError(f"FLV: a file header of {offset} bytes")
        if len(self._buffer) < offset:
            return 0
        self._started = True
        return offset
