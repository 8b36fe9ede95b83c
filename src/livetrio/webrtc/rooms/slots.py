"""Slots: the few m-lines that a viewer was offered once, and which seat each of them shows.

Seats come and go without renegotiation, so what matters is that as few slots as possible change:
each change of a picture costs a key frame.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from livetrio.webrtc.rooms.seat import Seat, SeatState, Switch

__all__ = ["SlotChange", "Slots", "audible", "visible"]


class SlotChange(NamedTuple):
    """A slot shows another seat from now on."""

    slot: int
    """From 0 on."""
    seat: int | None
    """None: nothing."""


class Slots:
    """Of one viewer and one kind of media."""

    __slots__ = ("seats",)

    def __init__(self, count: int) -> None:
        self.seats: list[int | None] = [None] * count
        """By slot."""

    def assign(self, wanted: Iterable[int], *, own: int | None = None) -> list[SlotChange]:
        """Show these seats, and no others.

        Args:
            wanted: the most important first; with more than there are slots, the first ones.
            own: the viewer's own seat, which he is never sent.

        Returns:
            What changes: a seat that is shown already keeps its slot.
        """
        chosen = list(dict.fromkeys(seat for seat in wanted if seat != own))[: len(self.seats)]
        kept = set(chosen)
        fresh = iter([seat for seat in chosen if seat not in self.seats])
        changes: list[SlotChange] = []
        for slot, seat in enumerate(self.seats):
            # One that loses its seat is filled before those that were free: fewer changes in all.
            if seat is not None and seat not in kept:
                self._show(slot, next(fresh, None), changes)
        for slot, seat in enumerate(self.seats):
            if seat is None and (new := next(fresh, None)) is not None:
                self._show(slot, new, changes)
        return sorted(changes, key=lambda change: change.slot)

    def _show(self, slot: int, seat: int | None, changes: list[SlotChange]) -> None:
        self.seats[slot] = seat
        changes.append(SlotChange(slot, seat))


def visible(seats: Iterable[Seat]) -> list[int]:
    """The seats that have a picture to show, by number."""
    return [seat.number for seat in seats if _sends(seat, seat.camera)]


def audible(seats: Iterable[Seat]) -> list[int]:
    """The seats that have something to say, by number: what a muted microphone still sends is
    nobody's to hear."""
    return [seat.number for seat in seats if _sends(seat, seat.microphone)]


def _sends(seat: Seat, switch: Switch) -> bool:
    return seat.state is SeatState.TAKEN and seat.present and switch is Switch.ON
