"""Loudest: which few of many voices are forwarded, without flickering between two of them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

__all__ = ["Loudest"]

_SILENT: Final = -127.0
"""dBov: the lowest level of RFC 6464."""
_TRACE: Final = 0.5
"""Seconds without a level after which a seat counts as silent."""


@dataclass(slots=True)
class _Voice:
    level: float
    heard: float
    since: float = -math.inf
    """When it was chosen."""


class Loudest:
    """The choice of one room. Plain calls, with the time as an argument.

    Once chosen a seat stays for `hold` at least, and until another is louder by `margin`.
    """

    __slots__ = ("_chosen", "_count", "_hold", "_margin", "_smooth", "_voices")

    def __init__(
        self, count: int = 3, *, margin: float = 6.0, hold: float = 1.0, smooth: float = 0.3
    ) -> None:
        """
        Args:
            count: how many.
            margin: dB.
            hold: seconds.
            smooth: time constant, seconds, over which levels are averaged.
        """
        self._count = count
        self._margin = margin
        self._hold = hold
        self._smooth = smooth
        self._voices: dict[int, _Voice] = {}
        self._chosen: list[int] = []

    def hear(self, seat: int, level: float, now: float) -> None:
        """The level of a seat's microphone, dBov (-127 to 0)."""
        voice = self._voices.get(seat)
        if voice is None or now - voice.heard > _TRACE:
            since = voice.since if voice is not None else -math.inf
            self._voices[seat] = _Voice(level, now, since)
            return
        share = 1 - math.exp(-(now - voice.heard) / self._smooth)
        voice.level += (level - voice.level) * share
        voice.heard = now

    def choose(self, seats: Iterable[int], now: float, *, fewer: int = 0) -> tuple[int, ...]:
        """Which of these seats are forwarded now, in order of their numbers.

        Args:
            seats: all that could be; what was heard of others is forgotten.
            now: seconds.
            fewer: so many places are somebody else's at this moment.
        """
        count = max(0, self._count - fewer)
        present = set(seats)
        for gone in self._voices.keys() - present:
            del self._voices[gone]
        chosen = [seat for seat in self._chosen if seat in present]
        rest = sorted(present - set(chosen), key=lambda seat: (-self._level(seat, now), seat))
        while len(chosen) > count:
            chosen.remove(min(chosen, key=lambda seat: (self._level(seat, now), -seat)))
        while rest and len(chosen) < count:
            chosen.append(self._enter(rest.pop(0), now))
        while rest and chosen:
            loose = [seat for seat in chosen if now - self._since(seat) >= self._hold]
            weakest = min(loose, key=lambda seat: (self._level(seat, now), -seat), default=None)
            if weakest is None:
                break
            if self._level(rest[0], now) <= self._level(weakest, now) + self._margin:
                break
            chosen.remove(weakest)
            chosen.append(self._enter(rest.pop(0), now))
        self._chosen = chosen
        return tuple(sorted(chosen))

    def _enter(self, seat: int, now: float) -> int:
        voice = self._voices.setdefault(seat, _Voice(_SILENT, -math.inf))
        voice.since = now if voice.level > _SILENT else -math.inf  # silence is no turn
        return seat

    def _since(self, seat: int) -> float:
        voice = self._voices.get(seat)
        return voice.since if voice is not None else -math.inf

    def _level(self, seat: int, now: float) -> float:
        voice = self._voices.get(seat)
        return voice.level if voice is not None and now - voice.heard <= _TRACE else _SILENT
