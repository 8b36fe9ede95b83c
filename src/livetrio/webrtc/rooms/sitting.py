"""Sitting: what the actions do by which people come to seats and leave them.

Each function checks everything before it changes anything; None means that all is as wished
already.
"""

from __future__ import annotations

import math

from livetrio.errors import RefusalCode, Refused
from livetrio.webrtc.rooms.actions import Command
from livetrio.webrtc.rooms.events import Change
from livetrio.webrtc.rooms.seat import Seat, SeatState
from livetrio.webrtc.rooms.state import RoomState

__all__ = [
    "accept", "admit", "apply", "decline", "invite", "leave", "move", "reject", "revoke", "take",
    "withdraw",
]  # fmt: skip


def apply(state: RoomState, command: Command) -> Change | None:
    """Ask for a seat."""
    caller = command.by
    _check_unseated(state, caller.user, "you have")
    if command.seat:
        state.seat(command.seat)
    known = state.applications.get(caller.user)
    if known is not None and known.seat == command.seat:
        return None
    state.applications.add(caller.user, caller.name, command.seat)
    return Change("application.made", applicants=[caller.user], about={"user": caller.user})


def withdraw(state: RoomState, command: Command) -> Change | None:
    """Wait no longer."""
    user = command.by.user
    if not state.applications.remove(user):
        return None
    state.absent.pop(user, None)
    return Change("application.withdrawn", applicants=[user], about={"user": user})


def admit(state: RoomState, command: Command) -> Change | None:
    """Give an applicant the seat named, or the one he wished for, or any."""
    user = command.user
    application = state.applications.get(user)
    if application is None:
        raise Refused(RefusalCode.CONFLICT, "there is no such application (any more)")
    wish = state.seats.get(application.seat)
    if command.seat:
        seat = _empty(state.seat(command.seat), user)
    elif wish is not None and wish.state is SeatState.EMPTY:
        seat = wish
    else:
        seat = state.empty_seat()
    return _sit(state, user, application.name, seat)


def reject(state: RoomState, command: Command) -> Change | None:
    """Send an applicant away."""
    if not state.applications.remove(command.user):
        raise Refused(RefusalCode.CONFLICT, "there is no such application (any more)")
    state.absent.pop(command.user, None)
    about = {"user": command.user}
    return Change("application.rejected", applicants=[command.user], about=about)


def invite(state: RoomState, command: Command) -> Change | None:
    """Reserve a seat for somebody until he answers, or does not."""
    _check_unseated(state, command.user, "he has")
    seat = _empty(state.seat(command.seat), "") if command.seat else state.empty_seat()
    seat.reserve(command.user, state.now + state.times.invite_timeout)
    return Change("seat.reserved", [seat.number], about=_about(seat, command.user))


def revoke(state: RoomState, command: Command) -> Change | None:
    """Take an invitation back."""
    return _release(state, command.user, "there is no such invitation (any more)", "revoked")


def accept(state: RoomState, command: Command) -> Change | None:
    """Sit down where one is invited to."""
    caller = command.by
    seat = state.seat_of(caller.user)
    if seat is None:
        raise Refused(RefusalCode.CONFLICT, "you are not invited (any more)")
    if seat.state is SeatState.TAKEN:
        return None
    return _sit(state, caller.user, caller.name, seat)


def decline(state: RoomState, command: Command) -> Change | None:
    """Not sit down there."""
    return _release(state, command.by.user, "you are not invited (any more)", "declined")


def take(state: RoomState, command: Command) -> Change | None:
    """Sit down on an empty seat."""
    caller = command.by
    own = state.taken_by(caller.user)
    if own is not None and command.seat in {0, own.number}:
        return None
    if own is not None:
        raise Refused(RefusalCode.CONFLICT, f"you have seat {own.number}: move")
    seat = _empty(state.seat(command.seat), caller.user) if command.seat else state.empty_seat()
    return _sit(state, caller.user, caller.name, seat)


def leave(state: RoomState, command: Command) -> Change | None:
    """Stand up."""
    seat = state.taken_seat(command.seat, command.by.user)
    about = _about(seat, seat.user)
    seat.clear()
    return Change("seat.left", [seat.number], about=about)


def move(state: RoomState, command: Command) -> Change | None:
    """To another seat, which has to be empty."""
    seat = state.taken_seat(command.seat, command.by.user)
    if command.to == seat.number:
        return None
    target = _empty(state.seat(command.to), "")
    about = {**_about(seat, seat.user), "to": target.number}
    seat.move_to(target)
    return Change("seat.moved", [seat.number, target.number], about=about)


def _sit(state: RoomState, user: str, name: str, seat: Seat) -> Change:
    """Whatever else the user had, an application, a seat reserved elsewhere, is gone with it."""
    touched, applicants = [seat.number], []
    other = state.seat_of(user)
    if other is not None and other is not seat:
        other.clear()
        touched.append(other.number)
    if state.applications.remove(user):
        state.absent.pop(user, None)
        applicants.append(user)
    seat.take(user, name, camera=state.kind == "video")
    seat.present = user in state.present
    seat.until = math.inf if seat.present else state.now + state.times.resume_window
    return Change("seat.taken", touched, applicants, about=_about(seat, user))


def _release(state: RoomState, user: str, missing: str, reason: str) -> Change:
    seat = state.seat_of(user)
    if seat is None or seat.state is not SeatState.RESERVED:
        raise Refused(RefusalCode.CONFLICT, missing)
    seat.clear()
    return Change("seat.released", [seat.number], about={**_about(seat, user), "reason": reason})


def _empty(seat: Seat, user: str) -> Seat:
    """The seat, if this user may sit there; else he hears why not.

    Raises:
        Refused: CONFLICT.
    """
    match seat.state:
        case SeatState.EMPTY:
            return seat
        case SeatState.LOCKED:
            why = "is locked"
        case SeatState.RESERVED if seat.user == user:
            return seat
        case SeatState.RESERVED:
            why = "is reserved for somebody else"
        case SeatState.TAKEN:
            why = "is taken by somebody else"
    raise Refused(RefusalCode.CONFLICT, f"seat {seat.number} {why}")


def _check_unseated(state: RoomState, user: str, who: str) -> None:
    seat = state.seat_of(user)
    if seat is not None and seat.state is SeatState.RESERVED:
        raise Refused(RefusalCode.CONFLICT, f"{who} an invitation to seat {seat.number}")
    if seat is not None:
        raise Refused(RefusalCode.CONFLICT, f"{who} seat {seat.number}")


def _about(seat: Seat, user: str) -> dict[str, object]:
    return {"seat": seat.number, "user": user}
