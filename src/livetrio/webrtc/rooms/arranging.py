"""Arranging: what the actions do that concern the composed stream: its layout, a seat's gain."""

from __future__ import annotations

from livetrio.errors import RefusalCode, Refused
from livetrio.webrtc.rooms.actions import Command
from livetrio.webrtc.rooms.events import Change, difference
from livetrio.webrtc.rooms.state import RoomState

__all__ = ["arrange", "set_gain"]


def arrange(state: RoomState, command: Command) -> Change | None:
    """The picture is laid out like this from now on."""
    if state.kind == "voice":
        raise Refused(RefusalCode.BAD_REQUEST, "this is a voice room")
    if command.arrangement is None:
        raise Refused(RefusalCode.BAD_REQUEST, "no layout is named")
    patch = difference(state.arrangement.view(), command.arrangement.view())
    if not patch:
        return None
    state.arrangement = command.arrangement
    return Change("room.layout", patch={"layout": patch})


def set_gain(state: RoomState, command: Command) -> Change | None:
    """How loud a seat is in the composed stream."""
    seat = state.taken_seat(command.seat, command.by.user)
    if command.user and command.user != seat.user:
        raise Refused(RefusalCode.CONFLICT, f"seat {seat.number} is somebody else's by now")
    if seat.gain == command.gain:
        return None
    seat.gain = command.gain
    about = {"seat": seat.number, "user": seat.user, "gain": seat.gain}
    return Change("seat.gain", [seat.number], about=about)
