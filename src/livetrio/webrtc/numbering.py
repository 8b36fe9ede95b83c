"""Numbering: how one viewer's packet indexes map to those of the lanes they came from.

A viewer begins with its lane's own numbers (shift 0). When it skips frames or changes lanes, its
numbers go on without a gap and the lane's do not: from there on they differ by a shift. Old
stretches are remembered, so that a NACK across the change finds its packet. A packet that is sent
again in another dress (a new key for old pictures) is always the same function of the original:
its index stands for one plaintext only, as AES-GCM must have it.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

from livetrio.webrtc.lane import Lane, renumbered

__all__ = ["Numbering", "Stretch", "Warp"]

_STRETCHES: Final = 64
"""Remembered; with key frames alone each of them is one."""


@dataclass(frozen=True, slots=True)
class Warp:
    """RTP timestamps of pictures that come later than they were made: they go on where the viewer
    is, so that its time never runs backwards, and reach the live edge when the replay does."""

    first: int
    """Timestamp that the replay begins with, 32 bits."""
    begin: int
    """The viewer's at that moment."""
    speed: int

    def timestamp(self, original: int) -> int:
        """What a packet of that timestamp is sent under."""
        return self.begin + 1 + (original - self.first & 0xFFFF_FFFF) // self.speed & 0xFFFF_FFFF

    def after(self, newest: int, interval: int) -> Warp | None:
        """How to go on at the live edge; None: as the stream does.

        Where that has stood still during the replay, the viewer is ahead of it, and stays so.

        Args:
            newest: timestamp of the last packet that was replayed.
            interval: ticks until the next one is expected.
        """
        sent = self.timestamp(newest)
        ahead = (sent - newest + 0x8000_0000 & 0xFFFF_FFFF) - 0x8000_0000
        return Warp(newest, sent - 1 & 0xFFFF_FFFF, 1) if ahead >= max(interval, 2) else None


@dataclass(frozen=True, slots=True)
class Stretch:
    """The viewer's packets from one on, until the next stretch."""

    first: int
    """The viewer's index."""
    lane: Lane
    shift: int
    """The viewer's index minus the lane's."""
    warp: Warp | None = None

    def dressed(self, packet: bytes, index: int) -> bytes:
        """A packet of the lane as the viewer is sent it, under its own index."""
        if self.warp is not None:
            time = self.warp.timestamp(int.from_bytes(packet[4:8], "big"))
            packet = packet[:4] + time.to_bytes(4, "big") + packet[8:]
        return renumbered(packet, index) if self.shift else packet


class Numbering:
    """One viewer's."""

    __slots__ = ("_stretches", "begun", "shared", "shift")

    def __init__(self, *, begun: bool = False) -> None:
        """begun: it has been sent packets of this SSRC before, of lanes that are forgotten."""
        self.begun = begun
        """Was anything sent?"""
        self.shift = 0
        """Of the present stretch."""
        self.shared = True
        """Are packets sent as they are, under the lane's own numbers and times?"""
        self._stretches: deque[Stretch] = deque(maxlen=_STRETCHES)

    @property
    def present(self) -> Stretch | None:
        """The one that packets are sent in; None before the first."""
        return self._stretches[-1] if self._stretches else None

    def move(self, lane: Lane, index: int, next_: int, warp: Warp | None = None) -> None:
        """From now on packets of `lane`, beginning with its `index`, continue the numbers.

        Args:
            lane: whose.
            index: of its first packet.
            next_: the viewer's next index; ignored at the beginning.
            warp: of its times; not at the beginning.
        """
        if not self.begun:
            self.begun = True
            self._stretches.append(Stretch(index, lane, 0))
            return
        shift = next_ - index
        if self._stretches and self._stretches[-1].first == next_:
            self._stretches.pop()  # nothing was sent in it
        new = Stretch(next_, lane, shift, warp)
        last = self._stretches[-1] if self._stretches else new
        if last is new or (last.lane, last.shift, last.warp) != (lane, shift, warp):
            self._stretches.append(new)
        self.shift = shift
        self.shared = not shift and warp is None

    def find(self, index: int) -> Stretch | None:
        """The stretch a viewer's index is in, None for one from before the beginning."""
        for stretch in reversed(self._stretches):
            if index >= stretch.first:
                return stretch
        return None
