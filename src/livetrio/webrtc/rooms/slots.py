"""Slots: the few m-lines that a viewer was offered once, and which seat each of them shows.

Seats come and go without renegotiation, so what matters is that as few slots as possible change:
each change of a picture costs a key frame.
"""

from __future__ import annotations

from collections.abc import Iterable

from livetrio.webrtc.rooms.seat import Seat, SeatState, Switch

__all__ = ["Slots", "audible", "visible"]


class Slots:
    """Of one room: which seat each of them shows, for everybody who receives it."""

    __slots__ = ("seats",)

    def __init__(self, count: int) -> None:
        self.seats: list[int | None] = [None] * count
        """By slot."""

    def assign(self, wanted: Iterable[int]) -> None:
        """Show these seats, and no others; one that is shown already keeps its slot.

        wanted: the most important first; with more than there are slots, the first ones.
        """
        chosen = list(dict.fromkeys(wanted))[: len(self.seats)]
        kept = [seat if seat in chosen else None for seat in self.seats]
        fresh = iter([seat for seat in chosen if seat not in self.seats])
        # One that loses its seat is filled before those that were free: fewer changes in all.
        lost = [slot for slot, seat in enumerate(self.seats) if seat is not None]
        free = [slot for slot, seat in enumerate(self.seats) if seat is None]
        for slot in (*lost, *free):
            if kept[slot] is None:
                kept[slot] = next(fresh, None)
        self.seats = kept


def visible(seats: Iterable[Seat]) -> list[int]:
    """The seats that have a picture to show, by number."""
    return [seat.number for seat in seats if _sends(seat, seat.camera)]


def audible(seats: Iterable[Seat]) -> list[int]:
    """The seats that have something to say, by number: what a muted microphone still sends is
    nobody's to hear."""
    return [seat.number for seat in seats if _sends(seat, seat.microphone)]


def _sends(seat: Seat, switch: Switch) -> bool:
    return seat.state is SeatState.TAKEN and seat.present and switch is Switch.ON
