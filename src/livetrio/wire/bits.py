"""Bit-level reading and writing, with the Exp-Golomb codes of H.264 and HEVC.

Parameter sets are short and read once per configuration, so this favours plain bounds over
speed: every read is checked, and no code is longer than the standards allow.
"""

from __future__ import annotations

from typing import Final

from livetrio.errors import LocalProtocolError, RemoteProtocolError

__all__ = ["BitReader", "BitWriter"]

_MAX_LEADING_ZEROS: Final = 31
"""Longest prefix of an Exp-Golomb code that fits 32 bits (H.264 section 9.1)."""


class BitReader:
    """Reads most-significant-bit-first fields from `data`, in order.

    Attributes:
        pos: index of the next unread bit.
    """

    __slots__ = ("_data", "_end", "pos")

    def __init__(self, data: bytes | memoryview) -> None:
        self._data = data
        self._end = len(data) * 8
        self.pos = 0

    @property
    def left(self) -> int:
        """Bits not yet read."""
        return self._end - self.pos

    def read(self, count: int) -> int:
        """The next `count` bits as an unsigned integer; 0 bits are 0.

        Raises:
            RemoteProtocolError: fewer are left.
        """
        start = self.pos
        stop = start + count
        if stop > self._end:
            raise RemoteProtocolError(f"{count} bits wanted, {self.left} left")
        self.pos = stop
        window = int.from_bytes(self._data[start >> 3 : (stop + 7) >> 3], "big")
        return window >> (-stop & 7) & ((1 << count) - 1)

    def flag(self) -> bool:
        """One bit; raises as `read`."""
        return self.read(1) == 1

    def skip(self, count: int) -> None:
        """Pass over `count` bits; raises as `read`."""
        if count > self.left:
            raise RemoteProtocolError(f"{count} bits to skip, {self.left} left")
        self.pos += count

    def ue(self) -> int:
        """An unsigned Exp-Golomb code, 0 to 2**32 - 2 (H.264 section 9.1).

        Raises:
            RemoteProtocolError: it is cut, or longer than 63 bits.
        """
        zeros = 0
        while not self.read(1):
            zeros += 1
            if zeros > _MAX_LEADING_ZEROS:
                raise RemoteProtocolError("an Exp-Golomb code is longer than 63 bits")
        return (1 << zeros) - 1 + self.read(zeros)

    def se(self) -> int:
        """A signed Exp-Golomb code (H.264 section 9.1.1); raises as `ue`."""
        code = self.ue()
        return (code + 1) // 2 if code & 1 else -(code // 2)

    def align(self) -> None:
        """Pass over what is left of a byte that was begun."""
        self.pos += -self.pos & 7


class BitWriter:
    """Writes most-significant-bit-first fields; `getvalue` pads the last byte with zeros."""

    __slots__ = ("_bits", "_count")

    def __init__(self) -> None:
        self._bits = 0
        self._count = 0

    def write(self, value: int, count: int) -> None:
        """Append `value` in `count` bits.

        Raises:
            LocalProtocolError: it does not fit.
        """
        if value < 0 or value >> count:
            raise LocalProtocolError(f"{value} does not fit {count} bits")
        self._bits = self._bits << count | value
        self._count += count

    def ue(self, value: int) -> None:
        """Append an unsigned Exp-Golomb code; raises as `write`."""
        self.write(value + 1, 2 * (value + 1).bit_length() - 1)

    def se(self, value: int) -> None:
        """Append a signed Exp-Golomb code."""
        self.ue(2 * value - 1 if value > 0 else -2 * value)

    def trailing(self) -> None:
        """Append a stop bit and zeros to the next byte (`rbsp_trailing_bits`)."""
        self.write(1, 1)
        self.write(0, -self._count & 7)

    def getvalue(self) -> bytes:
        """Everything written."""
        padding = -self._count & 7
        return (self._bits << padding).to_bytes((self._count + padding) // 8, "big")
