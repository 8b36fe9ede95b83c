"""Interleaver: packets that were recoded, and those that passed by them, in one order again."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Final

from livetrio.packet import US_PER_MS, Packet

__all__ = ["Interleaver"]
_MOST_HELD: Final = 4096
"""Packets; a clock that stands still must not fill the memory."""


class Interleaver:
    """Holds what overtook a slow track until that track has come as far.

    Sound that runs far ahead of its picture would be missing for whoever begins at that
    picture's key frame. The wait is bounded: a track that stands still holds nobody up.
    """

    def __init__(self, patience: int = 500 * US_PER_MS) -> None:
        """patience: microseconds of stream time that a packet waits at most."""
        self._patience = patience
        self._held: deque[Packet] = deque()

    def pass_by(self, packets: Sequence[Packet]) -> list[Packet]:
        """Packets of other tracks came; what has waited long enough goes on."""
        self._held += packets
        if not self._held:
            return []
        if len(self._held) > _MOST_HELD:
            return self.rest()
        return self._released(self._held[-1].dts - self._patience)

    def merge(self, recoded: Sequence[Packet]) -> list[Packet]:
        """Packets of the slow track came; each takes along what belongs before it."""
        merged: list[Packet] = []
        for packet in recoded:
            merged += self._released(packet.dts)
            merged.append(packet)
        return merged

    def rest(self) -> list[Packet]:
        """All that is still held."""
        rest = list(self._held)
        self._held.clear()
        return rest

    def _released(self, until: int) -> list[Packet]:
        """In their own order, so that each goes after what came before it."""
        released = []
        while self._held and (self._held[0].config or self._held[0].dts <= until):
            released.append(self._held.popleft())
        return released
