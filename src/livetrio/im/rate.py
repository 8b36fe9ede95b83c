"""Rate: how often one author may speak in one room: token bucket, slow mode, no repeats."""

from __future__ import annotations

import zlib
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final, NamedTuple

from livetrio.errors import RefusalCode, Refused
from livetrio.im.rules import RoomRules

__all__ = ["Rates"]

_MOST: Final = 100_000
"""Authors remembered over all rooms; those longest silent are forgotten first, and their
bucket would be full again anyway unless rates are counted in hours."""


_GUESTS: Final = 10
"""Guests of one address who may speak as often as they like, together."""


class _Pace(NamedTuple):
    rate: float
    burst: int
    slow_mode: float
    duplicate_window: float


@dataclass(slots=True, eq=False)
class _Author:
    tokens: float
    at: float
    """Trio time of the last message that was let through, and of `tokens`."""
    said: int = 0


class Rates:
    """By (room, author), and for guests by (room, address) too."""

    def __init__(self) -> None:
        self._authors: OrderedDict[tuple[str, str], _Author] = OrderedDict()

    def check(
        self, room: str, author: str, data: bytes, rules: RoomRules, now: float, address: str = ""
    ) -> None:
        """Count one message.

        Args:
            address: of a guest, who could be a new author with each connection: what guests of
                one address say together is bounded as what ten of them may say.

        Raises:
            Refused: TOO_MANY, with the reason and how long to wait. A refused message is not
                counted, so that waiting as told always helps.
        """
        if not (rules.rate or rules.slow_mode or rules.duplicate_window):
            return
        pace = _Pace(rules.rate, rules.burst, rules.slow_mode, rules.duplicate_window)
        spent = [self._spend((room, author), data, pace, now)]
        if address:
            spent.append(self._spend((room, f"@{address}"), data, _of_guests(pace), now))
        for key, author_now in spent:
            self._authors[key] = author_now
            self._authors.move_to_end(key)
        while len(self._authors) > _MOST:
            self._authors.popitem(last=False)

    def _spend(
        self, key: tuple[str, str], data: bytes, pace: _Pace, now: float
    ) -> tuple[tuple[str, str], _Author]:
        """What would be remembered. Raises Refused (TOO_MANY)."""
        known = self._authors.get(key)
        said = zlib.crc32(data)
        tokens = float(pace.burst)
        if known is not None:
            passed = now - known.at
            if passed < pace.slow_mode:
                wait = pace.slow_mode - passed
                raise Refused(RefusalCode.TOO_MANY, f"slow mode: wait {wait:.1f} s")
            if passed < pace.duplicate_window and said == known.said:
                raise Refused(RefusalCode.TOO_MANY, "you have just said that")
            if pace.rate:
                tokens = min(tokens, known.tokens + passed * pace.rate)
                if tokens < 1.0:
                    wait = (1.0 - tokens) / pace.rate
                    raise Refused(RefusalCode.TOO_MANY, f"too many messages: wait {wait:.1f} s")
        return key, _Author(tokens - 1.0, now, said)


def _of_guests(pace: _Pace) -> _Pace:
    """Of all guests of one address: a household, or a whole company, may well say the same."""
    # The repeats of a guest count too where nothing else is bounded.
    rates = [pace.rate, 1.0 / pace.slow_mode if pace.slow_mode else 0.0]
    rate = min(filter(None, rates), default=0.0) or 1.0 / pace.duplicate_window
    burst = 1 if pace.slow_mode else pace.burst
    return _Pace(rate * _GUESTS, burst * _GUESTS, 0.0, 0.0)
