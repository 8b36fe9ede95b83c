"""Tally: sums of counters that go with those who count: they never fall, as Prometheus wants it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping

__all__ = ["Tally"]


class Tally:
    """Of all who have ever counted, as far as somebody looked: what one counts after the last look
    at him is lost with him."""

    def __init__(self) -> None:
        self.totals: Counter[str] = Counter()
        self._seen: Mapping[Hashable, Mapping[str, int]] = {}

    def look(self, counts: Mapping[Hashable, Mapping[str, int]]) -> None:
        """Add what has come since the last look.

        counts: by who counts, all who do now; one that is less than it was began anew.
        """
        for source, counters in counts.items():
            before = self._seen.get(source, {})
            for name, count in counters.items():
                known = before.get(name, 0)
                self.totals[name] += count - known if count >= known else count
        self._seen = counts
