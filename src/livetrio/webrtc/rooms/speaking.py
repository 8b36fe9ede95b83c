"""Speaking: who in a room does, out of the audio levels of RFC 6464, as seldom changing state."""

from __future__ import annotations

import math
from dataclasses import dataclass

__all__ = ["Speaking"]


@dataclass(slots=True)
class _Voice:
    begun: float
    """Of the present run of loudness."""
    last: float
    """When it was last loud."""
    speaks: bool = False


class Speaking:
    """Of one room. Plain calls, with the time as an argument.

    A seat speaks once it has been loud for `attack`, so that a cough is no speech, and does so
    until it has been quiet for `hold`, so that a breath is no silence.
    """

    __slots__ = ("_attack", "_hold", "_interval", "_next", "_off", "_on", "_told", "_voices")

    def __init__(
        self,
        *,
        on: float = -45.0,
        off: float = -50.0,
        attack: float = 0.1,
        hold: float = 0.6,
        interval: float = 0.2,
    ) -> None:
        """
        Args:
            on: dBov from which a silent seat counts as loud; 0 is the loudest there is.
            off: dBov from which one that speaks goes on doing so.
            attack: seconds.
            hold: seconds.
            interval: seconds between two news at least.
        """
        self._on, self._off = on, off
        self._attack, self._hold, self._interval = attack, hold, interval
        self._voices: dict[int, _Voice] = {}
        self._told: tuple[int, ...] = ()
        self._next = -math.inf

    @property
    def told(self) -> tuple[int, ...]:
        """The seats that the last news named, in order."""
        return self._told

    def hear(self, seat: int, level: float, now: float) -> bool:
        """The level of a seat's microphone, dBov (-127 to 0); True if it begins to speak."""
        voice = self._voices.get(seat)
        if level < (self._off if voice is not None and voice.speaks else self._on):
            return False
        if voice is None or now - voice.last > self._hold:
            voice = self._voices[seat] = _Voice(now, now)
        voice.last = now
        if voice.speaks or now - voice.begun < self._attack:
            return False
        voice.speaks = True
        return True

    def silence(self, seat: int) -> None:
        """At once: nobody is there any more, or his microphone is off."""
        self._voices.pop(seat, None)

    @property
    def deadline(self) -> float:
        """When `news` may have some, if nothing else is heard until then."""
        ends = (voice.last + self._hold for voice in self._voices.values() if voice.speaks)
        quiet = max(self._next, min(ends, default=math.inf))
        return quiet if self._now() == self._told else max(self._next, 0.0)

    def news(self, now: float) -> tuple[int, ...] | None:
        """The seats that speak, in order, if that is to be told now; None: nothing new."""
        for seat, voice in list(self._voices.items()):
            if now >= voice.last + self._hold:
                del self._voices[seat]
        speaking = self._now()
        if speaking == self._told or now < self._next:
            return None
        self._told, self._next = speaking, now + self._interval
        return speaking

    def _now(self) -> tuple[int, ...]:
        return tuple(sorted(seat for seat, voice in self._voices.items() if voice.speaks))
