"""Numbering: how one viewer's packet indexes map to those of the lanes they came from.

A viewer begins with its lane's own numbers (shift 0). When it skips frames or changes lanes, its
numbers go on without a gap and the lane's do not: from there on they differ by a shift. Old
stretches are remembered, so that a NACK across the change finds its packet.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

from livetrio.webrtc.lane import Lane

__all__ = ["Numbering", "Stretch"]

_STRETCHES: Final = 64
"""Remembered; with key frames alone each of them is one."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """The viewer's packets from one on, until the next stretch."""

    first: int
    """The viewer's index."""
    lane: Lane
    shift: int
    """The viewer's index minus the lane's."""


class Numbering:
    """One viewer's."""

    __slots__ = ("_stretches", "shift")

    def __init__(self) -> None:
        self.shift = 0
        """Of the present stretch."""
        self._stretches: deque[Stretch] = deque(maxlen=_STRETCHES)

    @property
    def begun(self) -> bool:
        """Was anything sent?"""
        return bool(self._stretches)

    def move(self, lane: Lane, index: int, next_: int) -> None:
        """From now on packets of `lane`, beginning with its `index`, continue the numbers.

        next_: the viewer's next index; ignored at the beginning.
        """
        if not self._stretches:
            self._stretches.append(Stretch(index, lane, 0))
            return
        shift = next_ - index
        last = self._stretches[-1]
        if last.first == next_:
            self._stretches.pop()  # nothing was sent in it
        if not self._stretches or last.lane is not lane or last.shift != shift:
            self._stretches.append(Stretch(next_, lane, shift))
        self.shift = shift

    def find(self, index: int) -> Stretch | None:
        """The stretch a viewer's index is in, None for one from before the beginning."""
        for stretch in reversed(self._stretches):
            if index >= stretch.first:
                return stretch
        return None
