"""ReplayWindow: which packets of one SSRC have been seen, and what a 16-bit number stands for."""

from __future__ import annotations

__all__ = ["REPLAY_WINDOW", "ReplayWindow"]

REPLAY_WINDOW = 1024
"""Packets; RFC 3711 section 3.3.2 asks for 64 at least. A key frame sent again late (RTX does not
count, NACK of the same number does) may be hundreds of packets behind."""
_MASK = (1 << REPLAY_WINDOW) - 1


class ReplayWindow:
    """The newest index and a bit for each of those below it."""

    __slots__ = ("_bits", "newest")

    def __init__(self, index: int) -> None:
        """index: the first one that was authenticated; still to be added."""
        self.newest = index
        """The highest index so far."""
        self._bits = 0

    def estimate(self, sequence: int) -> int:
        """The index that a sequence number means (RFC 3711 section 3.3.1, appendix A).

        Negative for one from before the first roll-over that there never was.
        """
        newest = self.newest
        roc = newest >> 16
        last = newest & 0xFFFF
        if last < 0x8000:
            if sequence - last > 0x8000:
                roc -= 1
        elif last - 0x8000 > sequence:
            roc += 1
        return roc << 16 | sequence

    def seen(self, index: int) -> bool:
        """Has it been used already, or is it too old to tell?"""
        behind = self.newest - index
        if behind < 0:
            return False
        return behind >= REPLAY_WINDOW or bool(self._bits >> behind & 1)

    def add(self, index: int) -> None:
        """An authenticated packet had this index."""
        behind = self.newest - index
        if behind >= 0:
            self._bits |= 1 << behind
            return
        ahead = -behind
        self._bits = (self._bits << ahead & _MASK if ahead < REPLAY_WINDOW else 0) | 1
        self.newest = index
