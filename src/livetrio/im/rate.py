"""Rate: how often one author may speak in one room: token bucket, slow mode, no repeats."""

from __future__ import annotations

import zlib
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from livetrio.errors import RefusalCode, Refused
from livetrio.im.rules import RoomRules

__all__ = ["Rates"]

_MOST: Final = 100_000
"""Authors remembered over all rooms; those longest silent are forgotten first, and their
bucket would be full again anyway unless rates are counted in hours."""


@dataclass(slots=True, eq=False)
class _Author:
    tokens: float
    at: float
    """Trio time of the last message that was let through, and of `tokens`."""
    said: int = 0


class Rates:
    """By (room, author)."""

    def __init__(self) -> None:
        self._authors: OrderedDict[tuple[str, str], _Author] = OrderedDict()

    def check(self, room: str, author: str, data: bytes, rules: RoomRules, now: float) -> None:
        """Count one message.

        Raises:
            Refused: TOO_MANY, with the reason and how long to wait. A refused message is not
                counted, so that waiting as told always helps.
        """
        if not (rules.rate or rules.slow_mode or rules.duplicate_window):
            return
        key = room, author
        known = self._authors.get(key)
        said = zlib.crc32(data)
        tokens = float(rules.burst)
        if known is not None:
            passed = now - known.at
            if passed < rules.slow_mode:
                wait = rules.slow_mode - passed
                raise Refused(RefusalCode.TOO_MANY, f"slow mode: wait {wait:.1f} s")
            if passed < rules.duplicate_window and said == known.said:
                raise Refused(RefusalCode.TOO_MANY, "you have just said that")
            if rules.rate:
                tokens = min(tokens, known.tokens + passed * rules.rate)
                if tokens < 1.0:
                    wait = (1.0 - tokens) / rules.rate
                    raise Refused(RefusalCode.TOO_MANY, f"too many messages: wait {wait:.1f} s")
        self._authors[key] = _Author(tokens - 1.0, now, said)
        self._authors.move_to_end(key)
        if len(self._authors) > _MOST:
            self._authors.popitem(last=False)
