"""A bounded cursor over bytes a peer sent: every read says what for, none passes the end."""

from __future__ import annotations

import struct
from typing import Final

from livetrio.errors import RemoteProtocolError

__all__ = ["ByteReader"]

_U16: Final = struct.Struct(">H")
_U32: Final = struct.Struct(">I")
_I16: Final = struct.Struct(">h")
_F64: Final = struct.Struct(">d")


class ByteReader:
    """Reads big-endian fields from `data`, in order.

    Nothing is allocated by an announced length before that many bytes are known to be there.

    Attributes:
        pos: offset of the next unread byte; callers may only move it forward.
        end: offset behind the last byte that may be read.
    """

    __slots__ = ("data", "end", "pos")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.pos = 0
        self.end = len(data)

    @property
    def left(self) -> int:
        """Bytes not yet read."""
        return self.end - self.pos

    def take(self, count: int, what: str) -> bytes:
        """The next `count` bytes.

        Raises:
            RemoteProtocolError: fewer are left; the message names `what`.
        """
        start = self.pos
        stop = start + count
        if stop > self.end:
            raise self._short(count, what)
        self.pos = stop
        return self.data[start:stop]

    def u8(self, what: str) -> int:
        """An unsigned byte; raises as `take`."""
        start = self.pos
        if start >= self.end:
            raise self._short(1, what)
        self.pos = start + 1
        return self.data[start]

    def u16(self, what: str) -> int:
        """An unsigned 16-bit integer; raises as `take`."""
        return int(self._unpack(_U16, what))

    def i16(self, what: str) -> int:
        """A signed 16-bit integer; raises as `take`."""
        return int(self._unpack(_I16, what))

    def u32(self, what: str) -> int:
        """An unsigned 32-bit integer; raises as `take`."""
        return int(self._unpack(_U32, what))

    def f64(self, what: str) -> float:
        """An IEEE 754 double, NaN and infinities included; raises as `take`."""
        return float(self._unpack(_F64, what))

    def _unpack(self, form: struct.Struct, what: str) -> float:
        start = self.pos
        stop = start + form.size
        if stop > self.end:
            raise self._short(form.size, what)
        self.pos = stop
        return form.unpack_from(self.data, start)[0]  # type: ignore[no-any-return]

    def _short(self, count: int, what: str) -> RemoteProtocolError:
        return RemoteProtocolError(f"{what}: {count} bytes announced, {self.left} left")
