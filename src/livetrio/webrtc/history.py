"""What was sent of one source, in plaintext: answers every viewer's NACK, starts every newcomer.

One per source and layout, not one per viewer: all viewers are sent the same packets, so sending
one again is encrypting the identical packet under the identical index. RTX is not needed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = ["History", "SentFrame"]

_KEEP: Final = 1_024
"""Packets kept at least: eight seconds of 1 Mbit/s, one of 10 Mbit/s."""
_LIMIT: Final = 8_192
"""Packets kept at most, for the sake of a group of pictures: 20 s of 4 Mbit/s."""
_SIZE: Final = 8 << 20
"""Bytes kept at most, whatever the rest says."""
_TRIM_AT: Final = 256
"""Dead packets at the front before they are cut off: a memmove."""


@dataclass(slots=True, eq=False)
class SentFrame:
    """One frame's packets in the history."""

    first: int
    """Index of its first packet."""
    count: int
    pts: int
    """Microseconds."""
    key: bool


class History:
    """Packets by index (extended sequence number) and frames by running number, newest kept."""

    def __init__(
        self, first: int, *, keep: int = _KEEP, limit: int = _LIMIT, size: int = _SIZE
    ) -> None:
        """first: index of the first packet that will come."""
        self._keep, self._limit, self._max_size = keep, limit, size
        self._packets: list[bytes] = []
        self._base = first  # index of _packets[0]
        self._dead = 0
        self._size = 0
        self._frames: list[SentFrame] = []
        self._frame_base = 0  # number of _frames[0]
        self._dead_frames = 0
        self.newest_key: int | None = None
        """Number of the newest frame where a decoder can start, if it is still kept."""

    @property
    def next_index(self) -> int:
        """Index of the packet that will come next."""
        return self._base + len(self._packets)

    @property
    def next_frame(self) -> int:
        """Number of the frame that will come next."""
        return self._frame_base + len(self._frames)

    @property
    def size(self) -> int:
        """Bytes kept."""
        return self._size

    def append(self, packets: list[bytes], pts: int, *, key: bool) -> None:
        """Add the packets of one frame, at least one."""
        if key:
            self.newest_key = self.next_frame
        self._frames.append(SentFrame(self.next_index, len(packets), pts, key))
        self._packets += packets
        self._size += sum(map(len, packets))
        self._trim()

    def packet(self, index: int) -> bytes | None:
        """The packet of that index, None if it is forgotten or was never sent."""
        at = index - self._base
        return self._packets[at] if self._dead <= at < len(self._packets) else None

    def frame(self, number: int) -> SentFrame | None:
        """The frame of that number, None if it is forgotten or has not come yet."""
        at = number - self._frame_base
        return self._frames[at] if self._dead_frames <= at < len(self._frames) else None

    def packets(self, first: int, count: int) -> list[bytes]:
        """The packets from an index on; of a frame that is still kept."""
        at = first - self._base
        return self._packets[at : at + count]

    def _trim(self) -> None:
        while self._dead_frames < len(self._frames) - 1:
            kept = len(self._packets) - self._dead
            oldest = self._frames[self._dead_frames]
            full = kept > self._limit or self._size > self._max_size
            needed = self.newest_key == self._frame_base + self._dead_frames
            if not full and (kept - oldest.count < self._keep or needed):
                break
            if needed:
                self.newest_key = None
            dead = self._dead + oldest.count
            self._size -= sum(map(len, self._packets[self._dead : dead]))
            self._dead = dead
            self._dead_frames += 1
        if self._dead >= _TRIM_AT:
            del self._packets[: self._dead]
            self._base += self._dead
            self._dead = 0
            del self._frames[: self._dead_frames]
            self._frame_base += self._dead_frames
            self._dead_frames = 0
