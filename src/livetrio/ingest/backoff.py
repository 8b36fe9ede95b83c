"""Back-off: how long to wait before the next attempt, longer and longer and never in step."""

from __future__ import annotations

import random
from collections.abc import Callable

__all__ = ["Backoff"]


class Backoff:
    """Seconds between attempts, growing threefold at most from each to the next.

    The next wait is drawn between the shortest and three times the last one ("decorrelated
    jitter"). Refused: doubling with a little noise added, which keeps a thousand relays that
    lost the same server together for minutes.
    """

    def __init__(
        self,
        shortest: float = 1.0,
        longest: float = 30.0,
        draw: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self.shortest = shortest
        self.longest = longest
        self._draw = draw
        self._last = shortest

    def next(self) -> float:
        """How long to wait now."""
        self._last = min(self.longest, self._draw(self.shortest, self._last * 3))
        return self._last

    def reset(self) -> None:
        """It went well for long enough: begin anew."""
        self._last = self.shortest
