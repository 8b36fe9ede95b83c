"""Lanes: what a busy room does with more than it can deliver: sample chat, merge gifts and likes.

Decided when a message comes, by plain arithmetic on arguments, so that its sender gets his
position (or none) at once. Refused: to gather a tick's messages and draw from them, which is
fairer within one tick and would make every acknowledgement wait for it.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass, field

from livetrio.im.words import Publication

__all__ = ["Combo", "Counter", "LaneState", "Sampler"]

_MAX_COMBOS = 10_000
_MAX_COUNTERS = 16
"""Kinds of counters per room (the rules name them; more are not theirs)."""


class Sampler:
    """Keeps the messages of a room within a budget per second, each with a chance by weight.

    The chance is the budget over the present rate (a moving average over a second), so that
    what is kept is spread evenly over time; a token bucket holds the hard bound when the rate
    has just jumped. Weight 1 is ordinary; a weight of 3 is kept three times as likely.
    """

    __slots__ = ("_at", "_draw", "_rate", "_tokens", "sampled")

    def __init__(self, draw: random.Random | None = None) -> None:
        self._draw = draw or random.Random()
        self._rate = 0.0
        self._tokens = math.inf
        self._at = -math.inf
        self.sampled = 0
        """Messages left out."""

    def admits(self, budget: float, weight: float, now: float) -> bool:
        """Is one more message delivered? budget: messages per second, above 0."""
        passed = now - self._at
        self._at = now
        self._rate = self._rate * math.exp(-passed) + 1.0
        self._tokens = min(max(budget, 1.0), self._tokens + passed * budget)
        chance = weight * budget / self._rate
        if self._tokens < 1.0 or (chance < 1.0 and self._draw.random() >= chance):
            self.sampled += 1
            return False
        self._tokens -= 1.0
        return True


@dataclass(slots=True, eq=False)
class Combo:
    """A sender's repeated gift: what came since the last time it was told."""

    due: float
    total: int
    waiting: Publication | None = None


@dataclass(slots=True, eq=False)
class Counter:
    """Likes, joins: how many since the last time, and in all."""

    last: Publication
    new: int = 0
    total: int = 0


@dataclass(slots=True, eq=False)
class LaneState:
    """What one room has gathered; nothing, for most."""

    sampler: Sampler | None = None
    combos: dict[tuple[str, str], Combo] = field(default_factory=dict)
    counters: dict[str, Counter] = field(default_factory=dict)
    counters_due: float = math.inf

    @property
    def busy(self) -> bool:
        """Is something still to be told?"""
        return bool(self.combos) or self.counters_due < math.inf

    def count(self, kind: str, publication: Publication, amount: int, due: float) -> bool:
        """Add to a counter; False if there are too many kinds."""
        counter = self.counters.get(kind)
        if counter is None:
            if len(self.counters) >= _MAX_COUNTERS:
                return False
            counter = self.counters[kind] = Counter(publication)
        counter.last = publication
        counter.new += amount
        counter.total += amount
        self.counters_due = min(self.counters_due, due)
        return True

    def combine(self, key: tuple[str, str], publication: Publication, amount: int) -> Combo | None:
        """Add to a gift's running combo; None if it is the first of one."""
        combo = self.combos.get(key)
        if combo is not None:
            combo.total += amount
            combo.waiting = publication
        return combo

    def begin(self, key: tuple[str, str], amount: int, due: float) -> None:
        """The first of a combo has been told."""
        if len(self.combos) < _MAX_COMBOS:
            self.combos[key] = Combo(due, amount)

    def ripe_counters(self, now: float) -> Iterator[tuple[str, Counter]]:
        """Counters to be told now; what they gathered must then be taken."""
        if self.counters_due <= now:
            self.counters_due = math.inf
            yield from ((kind, c) for kind, c in self.counters.items() if c.new)

    def ripe_combos(self, now: float, window: float) -> Iterator[Combo]:
        """Combos to be told now; those that nothing was added to are over.

        They are kept in the order of their due times, so this looks at no more than it must.
        """
        while self.combos:
            key, combo = next(iter(self.combos.items()))
            if combo.due > now:
                return
            del self.combos[key]
            if combo.waiting is not None:
                yield combo
                combo.waiting = None
                combo.due = now + window
                self.combos[key] = combo  # moved to the end

    def next_due(self) -> float:
        """When there is something to be told; inf for never."""
        combo = next(iter(self.combos.values()), None)
        return min(self.counters_due, combo.due if combo is not None else math.inf)
