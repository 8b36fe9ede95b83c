"""Reorder buffer: one SSRC's packets in the order of their numbers, with the holes named.

Bounded in packets and in bytes: whoever sends one packet and then a thousand behind a hole does
not make it wait for ever.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from livetrio.wire.rtp.header import RtpPacket

__all__ = ["MAX_BYTES", "MAX_PACKETS", "ReorderBuffer"]

MAX_PACKETS: Final = 1_024
"""Behind a hole: one second at 10 Mbit/s."""
MAX_BYTES: Final = 2 << 20


class ReorderBuffer:
    """Numbers are extended ones (`unwrap`); the first packet pushed is the first released."""

    __slots__ = ("_bytes", "_lost", "_release", "_waiting", "next")

    def __init__(
        self, release: Callable[[RtpPacket, float], None], lost: Callable[[], None]
    ) -> None:
        """
        Args:
            release: called with each packet in order, and the time it is released.
            lost: called where a hole was given up, before the packet behind it is released.
        """
        self._release = release
        self._lost = lost
        self._waiting: dict[int, RtpPacket] = {}
        self._bytes = 0
        self.next: int | None = None
        """The number that is released next; None before the first packet."""

    def __len__(self) -> int:
        """Packets that wait behind a hole."""
        return len(self._waiting)

    def push(self, number: int, packet: RtpPacket, now: float) -> bool:
        """Take a packet; whatever is complete now is released. False: a duplicate, or too late."""
        if number == self.next or self.next is None:
            self.next = number + 1
            self._release(packet, now)
            if self._waiting:
                self._drain(now)
            return True
        if number < self.next or number in self._waiting:
            return False
        self._waiting[number] = packet
        self._bytes += len(packet.payload)
        while len(self._waiting) > MAX_PACKETS or self._bytes > MAX_BYTES:
            self.skip(now)
        return True

    def skip(self, now: float) -> None:
        """Give up the oldest hole, if there is one."""
        if self._waiting:
            self.next = min(self._waiting)
            self._lost()
            self._drain(now)

    def restart(self, number: int, now: float) -> None:
        """Give up all holes and go on at `number`, wherever that is."""
        while self._waiting:
            self.skip(now)
        self._lost()
        self.next = number

    def _drain(self, now: float) -> None:
        waiting = self._waiting
        number = self.next or 0
        while (packet := waiting.pop(number, None)) is not None:
            self._bytes -= len(packet.payload)
            number += 1
            self.next = number
            self._release(packet, now)
