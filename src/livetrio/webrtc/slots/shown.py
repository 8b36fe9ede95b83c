"""Shown: what a slot of a room shows."""

from __future__ import annotations

from typing import NamedTuple

from livetrio.packet import StreamKey

__all__ = ["Shown"]


class Shown(NamedTuple):
    """A seat in a slot, the same for everybody in the room."""

    seat: int
    """0: the guest of a PK."""
    stream: StreamKey
    """Where its media come from; need not exist yet."""
    user: str
    """Who sits there: he is not sent it. "": nobody who could be here."""
