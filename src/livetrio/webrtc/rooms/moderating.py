"""Moderating: what the actions do that keep order: kick, lock, mute, hands, managers.

Each function checks everything before it changes anything; None means that all is as wished
already.
"""

from __future__ import annotations

from typing import Final

from livetrio.errors import RefusalCode, Refused
from livetrio.webrtc.rooms.actions import Command
from livetrio.webrtc.rooms.events import Change
from livetrio.webrtc.rooms.seat import Seat, SeatState, Switch
from livetrio.webrtc.rooms.state import RoomState

__all__ = [
    "appoint", "dismiss", "kick", "lock", "lower", "mute", "raise_hand", "unlock", "unmute",
]  # fmt: skip

_MAX_MANAGERS: Final = 50


def kick(state: RoomState, command: Command) -> Change | None:
    """Take somebody's seat; he stays in the audience."""
    seat = state.taken_seat(command.seat, command.by.user)
    about = _about(seat)
    seat.clear()
    return Change("seat.kicked", [seat.number], about=about)


def lock(state: RoomState, command: Command) -> Change | None:
    """Nobody may sit on this seat."""
    seat = state.seat(command.seat)
    if seat.state is SeatState.LOCKED:
        return None
    if seat.state is not SeatState.EMPTY:
        raise Refused(RefusalCode.CONFLICT, f"seat {seat.number} is {seat.state.value}")
    seat.clear(SeatState.LOCKED)
    return Change("seat.locked", [seat.number], about={"seat": seat.number})


def unlock(state: RoomState, command: Command) -> Change | None:
    """It is an empty seat again."""
    seat = state.seat(command.seat)
    if seat.state is not SeatState.LOCKED:
        return None
    seat.clear()
    return Change("seat.unlocked", [seat.number], about={"seat": seat.number})


def mute(state: RoomState, command: Command) -> Change | None:
    """Microphone (or camera) off: by himself, or by a manager, which he cannot undo."""
    seat = state.taken_seat(command.seat, command.by.user)
    own = seat.user == command.by.user
    present = seat.switch(command.medium)
    value = Switch.OFF if own else Switch.OFF_BY_MANAGER
    if present is value or (own and present is Switch.OFF_BY_MANAGER):
        return None
    seat.set_switch(command.medium, value)
    return Change("seat.muted", [seat.number], about=_about(seat, medium=command.medium))


def unmute(state: RoomState, command: Command) -> Change | None:
    """On again, by himself. By a manager: only allowed again, since nobody's microphone is
    switched on by others."""
    seat = state.taken_seat(command.seat, command.by.user)
    own = seat.user == command.by.user
    present = seat.switch(command.medium)
    if own and present is Switch.OFF_BY_MANAGER:
        raise Refused(RefusalCode.FORBIDDEN, f"your {command.medium} was switched off by a manager")
    if own and command.medium == "camera" and state.kind == "voice":
        raise Refused(RefusalCode.BAD_REQUEST, "this is a voice room")
    value = Switch.ON if own else Switch.OFF
    if present is value or (not own and present is not Switch.OFF_BY_MANAGER):
        return None
    seat.set_switch(command.medium, value)
    return Change("seat.unmuted", [seat.number], about=_about(seat, medium=command.medium))


def raise_hand(state: RoomState, command: Command) -> Change | None:
    """Ask to speak."""
    return _hand(state, command, up=True)


def lower(state: RoomState, command: Command) -> Change | None:
    """One's own hand, or as a manager: heard."""
    return _hand(state, command, up=False)


def appoint(state: RoomState, command: Command) -> Change | None:
    """Somebody is a manager from now on."""
    if command.user in state.managers:
        return None
    if len(state.managers) >= _MAX_MANAGERS:
        raise Refused(RefusalCode.TOO_MANY, f"a room has at most {_MAX_MANAGERS} managers")
    state.managers[command.user] = None
    state.managers_version = state.version + 1
    patch = {"managers": {command.user: True}}
    return Change("manager.appointed", patch=patch, about={"user": command.user})


def dismiss(state: RoomState, command: Command) -> Change | None:
    """Or no longer."""
    if command.user not in state.managers:
        return None
    del state.managers[command.user]
    state.managers_version = state.version + 1
    patch = {"managers": {command.user: None}}
    return Change("manager.dismissed", patch=patch, about={"user": command.user})


def _hand(state: RoomState, command: Command, *, up: bool) -> Change | None:
    seat = state.taken_seat(command.seat, command.by.user)
    if seat.hand is up:
        return None
    seat.hand = up
    return Change("seat.hand", [seat.number], about=_about(seat, up=up))


def _about(seat: Seat, **more: object) -> dict[str, object]:
    return {"seat": seat.number, "user": seat.user, **more}
