"""Allowance: how many packets one peer may be sent again."""

from __future__ import annotations

from typing import Final

__all__ = ["Allowance"]

_RESENDS: Final = 400.0
"""Packets sent again per second and peer at most, and at once: 20 % loss of 16 Mbit/s. Whoever
asks for more has no path for them, or wants an amplifier."""


class Allowance:
    """A bucket that fills with time."""

    __slots__ = ("_at", "left")

    def __init__(self, now: float) -> None:
        """now: seconds; it begins full."""
        self.left = _RESENDS
        """Packets, and fractions of one for what was only looked up."""
        self._at = now

    def refill(self, now: float) -> None:
        """For the time since the last call."""
        self.left = min(_RESENDS, self.left + (now - self._at) * _RESENDS)
        self._at = now
