"""Catching up: a newcomer is sent the packets since the newest key frame, faster than real time.

The identical packets under their identical numbers, since a source has only one numbering and
everybody shares it. The first picture leaves at once, in small bursts; the rest at four times
its pace, until the newcomer has reached the live edge and is served like everybody else.
A jitter buffer takes that for a network that gets better; one that is given two seconds in
one burst drops most of it. Sound is not replayed: it is heard from the live edge on, since a
player can hurry through pictures, but not through sound.
"""

from __future__ import annotations

from typing import Final

from livetrio.packet import US_PER_SECOND
from livetrio.webrtc.history import History
from livetrio.webrtc.lane import BURST, cut
from livetrio.webrtc.run import Run

__all__ = ["SPEED", "STEP", "CatchUp"]

STEP: Final = 0.01
"""Seconds between two steps."""
SPEED: Final = 4
"""Times real time."""


class CatchUp:
    """One viewer's place in a lane's history."""

    __slots__ = ("_begun", "_history", "_origin", "frame", "index")

    def __init__(self, history: History, frame: int, now: float) -> None:
        """frame: number of the key frame to begin with; it must be kept."""
        start = history.frame(frame)
        assert start is not None
        self._history = history
        self._begun = now
        self._origin = start.pts
        self.frame = frame
        self.index = start.first
        """Lane's index of the packet to send next."""

    @property
    def lapped(self) -> bool:
        """Is what comes next forgotten already?"""
        history = self._history
        return self.frame < history.next_frame and history.frame(self.frame) is None

    @property
    def done(self) -> bool:
        """Is the live edge reached?"""
        return self.frame >= self._history.next_frame

    def step(self, now: float) -> list[Run]:
        """What is due by now, at most a burst; call it while neither `lapped` nor `done`."""
        history = self._history
        due = self._origin + (now - self._begun) * SPEED * US_PER_SECOND
        room = BURST  # 30 Mbit/s: a key frame of 100 KB takes 30 ms
        runs: list[Run] = []
        while room > 0:
            frame = history.frame(self.frame)
            if frame is None or (frame.pts > due and not frame.key):
                break
            count = min(frame.first + frame.count - self.index, room)
            runs += cut(history.packets(self.index, count), self.index)
            room -= count
            self.index += count
            if self.index == frame.first + frame.count:
                self.frame += 1
        return runs
