"""Missing packets of one SSRC: when to ask for which again (NACK), and when to give up.

A packet is asked for once it is more than a reordering late, again at intervals of the measured
round trip that grow a little with each try, and no more after `patience`. The round trip is what
passes between a first NACK and its packet: an ICE-lite server has no other way to know.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = ["MAX_MISSING", "MissingPackets"]

MAX_MISSING: Final = 512
"""A longer hole is not worth filling: a key frame costs less."""
REORDER_WAIT: Final = 0.01
"""Seconds that a packet may be late by reordering alone."""
_FIRST_RTT: Final = 0.1
_MIN_INTERVAL: Final = 0.03
_MIN_PATIENCE: Final = 0.06
_MAX_TRIES: Final = 10
_MAX_ASKED: Final = 128
"""Numbers per NACK: one packet of at most 550 bytes."""


@dataclass(slots=True)
class _Missing:
    since: float
    next_ask: float
    tries: int = 0
    asked: float = 0.0


class MissingPackets:
    """The list, oldest first."""

    __slots__ = ("given_up", "nacks", "patience", "pending", "recovered", "rtt")

    def __init__(self, patience: float, rtt: float = _FIRST_RTT) -> None:
        """patience: seconds after which a missing packet is given up."""
        self.patience = patience
        self.rtt = rtt
        """Seconds, smoothed."""
        self.nacks = 0
        """Numbers asked for, repeats included."""
        self.recovered = 0
        """Packets that came after they were asked for."""
        self.given_up = 0
        """Packets that never came."""
        self.pending: dict[int, _Missing] = {}
        """By number; for others to see whether there is any."""

    def add(self, first: int, end: int, now: float) -> bool:
        """Numbers first to end - 1 did not come. False: too many, and none was added."""
        if len(self.pending) + end - first > MAX_MISSING:
            return False
        for number in range(first, end):
            self.pending[number] = _Missing(now, now + REORDER_WAIT)
        return True

    def arrived(self, number: int, now: float) -> None:
        """A packet came late, or again."""
        missing = self.pending.pop(number, None)
        if missing is None or not missing.tries:
            return
        self.recovered += 1
        if missing.tries == 1:  # of several NACKs nobody knows which was answered (Karn)
            self.rtt += (now - missing.asked - self.rtt) / 8

    def forget_before(self, number: int) -> None:
        """What is older is not waited for any more."""
        for old in [old for old in self.pending if old < number]:
            del self.pending[old]
            self.given_up += 1

    def due(self, now: float) -> list[int]:
        """The numbers to ask for now, rising, at most 128."""
        numbers: list[int] = []
        for number, missing in self.pending.items():
            if missing.next_ask > now or missing.tries >= _MAX_TRIES:
                continue
            missing.tries += 1
            missing.asked = now
            missing.next_ask = now + max(self.rtt, _MIN_INTERVAL) * (1 + missing.tries / 4)
            numbers.append(number)
            if len(numbers) == _MAX_ASKED:
                break
        self.nacks += len(numbers)
        return sorted(numbers)

    def hopeless(self, now: float, *, needed: bool = True) -> bool:
        """Has the oldest been waited for long enough?

        needed: False where nothing can be shown before a key frame anyway. Then only as long as
        a repair takes: the key frame may be waiting behind the hole.
        """
        patience = self.patience
        if not needed:
            patience = min(patience, max(2 * self.rtt, _MIN_PATIENCE))
        for missing in self.pending.values():
            return now - missing.since > patience
        return False
