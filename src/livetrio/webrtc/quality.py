"""Quality: which layer a viewer gets, or key frames alone, from what its network carries.

Down at once and up with patience: a picture that freezes is noticed, one that gets sharp five
seconds later is not. A sender that sends less than the path carries learns nothing about
the rest, so going up is an attempt; one that fails doubles the wait before the next.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

__all__ = ["Quality"]

_HEAVY_LOSS: Final = 0.15
"""Smoothed share of packets lost from which the path is taken to be full. Below, NACKs mend it:
Wi-Fi loses a few percent at any bitrate."""
_LIGHT_LOSS: Final = 0.04
_RUIN: Final = 0.3
"""Share of packets lost that leaves a picture not worth sending: from the cheapest layer there is
only the step down to key frames. No estimate leads to it: of a path that is too narrow by half
the losses tell soon enough."""
_PATIENCE: Final = 1.0
"""Seconds of losses before going down: a key frame alone looks like a burst of congestion."""
_SETTLING: Final = 2.5
"""Seconds from one step down to the next: the lower layer begins with its next key frame, and the
queue has to drain."""
_FIRST_WAIT: Final = 5.0
_LONGEST_WAIT: Final = 60.0
_PROBATION: Final = 30.0
"""Seconds a higher layer has to last for the attempt not to have failed."""
_START: Final = 2_500_000
"""bit/s a viewer is believed to take before it has said anything."""


class Quality:
    """One viewer's choice among layers; 0 is the best, `len(rates)` means key frames alone."""

    __slots__ = ("_calm_since", "_choice", "_lowered", "_tried", "_trouble_since", "_wait")

    def __init__(self) -> None:
        self._choice: int | None = None
        self._trouble_since: float | None = None
        self._calm_since = 0.0
        self._lowered = float("-inf")
        self._tried = float("-inf")
        self._wait = _FIRST_WAIT

    def decide(self, rates: Sequence[float], limit: float | None, loss: float, now: float) -> int:
        """Called about once a second.

        Args:
            rates: bit/s of each layer, the best first, at least one; 0: it is paused.
            limit: bit/s that a full path carries, None where it has room.
            loss: smoothed share of packets lost, 0 to 1.
            now: seconds.
        """
        if self._choice is None:
            self._choice = _fitting(rates, _START if limit is None else limit)
            self._calm_since = now
            return self._choice
        choice = min(self._choice, len(rates))
        cheapest = not any(rates[choice + 1 :])
        short = not cheapest and limit is not None and limit < rates[choice]
        lossy = loss > (_RUIN if cheapest else _HEAVY_LOSS)
        if short or lossy:
            self._calm_since = now
            if self._trouble_since is None:
                self._trouble_since = now
            sure = short or now - self._trouble_since >= _PATIENCE
            if sure and now - self._lowered >= _SETTLING:
                through = (1 - loss) * (rates[choice] if choice < len(rates) else 0.0)
                choice = self._down(rates, choice, through if limit is None else limit, now)
        else:
            self._trouble_since = None
            if loss > _LIGHT_LOSS:
                self._calm_since = now
            elif now - self._calm_since >= self._wait:
                choice = self._up(rates, choice, now)
        self._choice = choice
        return choice

    def _down(self, rates: Sequence[float], choice: int, limit: float, now: float) -> int:
        if now - self._tried < _PROBATION:
            self._wait = min(2 * self._wait, _LONGEST_WAIT)  # the last attempt has failed
            self._tried = float("-inf")
        self._trouble_since = None
        self._lowered = now
        lower = choice + 1
        if not any(rates[lower:]):
            return len(rates)
        lower = max(lower, _fitting(rates, limit))
        while not rates[lower]:
            lower += 1
        return lower

    def _up(self, rates: Sequence[float], choice: int, now: float) -> int:
        higher = choice - 1
        while higher >= 0 and not rates[higher]:
            higher -= 1
        if higher < 0:
            if now - self._tried >= _PROBATION:
                self._wait = _FIRST_WAIT
            return choice
        self._tried = self._calm_since = now
        return higher


def _fitting(rates: Sequence[float], limit: float) -> int:
    """The best layer that flows and fits; of none the cheapest that flows, or the first."""
    flowing = [index for index, rate in enumerate(rates) if rate]
    for index in flowing:
        if rates[index] <= limit:
            return index
    return flowing[-1] if flowing else 0
