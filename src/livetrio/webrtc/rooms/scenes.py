"""Scenes: the state of a room as the scene of its composed streams."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from livetrio.media.mix.scene import Layout, Part, Rect, Scene
from livetrio.packet import StreamKey
from livetrio.webrtc.rooms.arrangement import GUEST, Arrangement
from livetrio.webrtc.rooms.seat import Seat, SeatState
from livetrio.webrtc.rooms.slots import audible, visible
from livetrio.webrtc.rooms.state import RoomState

__all__ = ["Guest", "scene_of"]


class Guest(NamedTuple):
    """The other room's host, during a PK."""

    seat: Seat
    stream: StreamKey


def scene_of(state: RoomState, guest: Guest | None, without: int = 0) -> Scene:
    """What a composed stream shows of a room now.

    Args:
        state: of the room.
        guest: of its PK, if there is one.
        without: of a mix-minus: the seat that is not in it; 0: all are.
    """
    parts = []
    for seat in state.seats.values():
        if seat.state is SeatState.TAKEN and seat.present and seat.number != without:
            stream = StreamKey(state.key.app, f"{state.key.name}/{seat.number}")
            parts.append(_part(state, str(seat.number), seat, stream, seat.gain))
    if guest is not None and guest.seat.present:
        parts.append(_part(state, GUEST, guest.seat, guest.stream, 1.0))
    host = state.taken_by(state.owner)
    arrangement = state.arrangement
    return Scene(
        tuple(parts),
        layout=_layout(arrangement, battle=guest is not None),
        host=str(host.number) if host is not None else "",
        background=arrangement.background,
    )


def _layout(arrangement: Arrangement, *, battle: bool) -> Layout:
    """Side by side during a PK, unless its staff has said where the guest is to be."""
    if battle and not (arrangement.layout == "custom" and GUEST in arrangement.rectangles):
        return "pk"
    return arrangement.layout


def _part(state: RoomState, name: str, seat: Seat, stream: StreamKey, gain: float) -> Part:
    place = state.arrangement.rectangles.get(name)
    return Part(
        name,
        stream,
        seat.name,
        sound=bool(audible([seat])),
        picture=state.kind == "video" and bool(visible([seat])),
        gain=gain,
        rect=_rect(place) if place else None,
    )


def _rect(place: Sequence[float]) -> Rect:
    x, y, width, height, *layer = place
    return Rect(x, y, width, height, int(layer[0]) if layer else 0)
