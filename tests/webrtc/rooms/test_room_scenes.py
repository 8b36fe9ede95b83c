"""Scenes: where the guest of a PK is seen."""

from __future__ import annotations

from kit.rooms import KEY, user

from livetrio.media.mix.layout import Box, rectangles
from livetrio.packet import StreamKey
from livetrio.webrtc.rooms.arrangement import Arrangement
from livetrio.webrtc.rooms.scenes import Guest, scene_of
from livetrio.webrtc.rooms.seat import Seat, SeatState
from livetrio.webrtc.rooms.state import RoomOptions, RoomState, RoomTimes

ZOE = Guest(Seat(1, SeatState.TAKEN, "zoe", present=True), StreamKey("live", "other/1"))
HALVES = {"1": Box(0, 0, 320, 360), "pk": Box(320, 0, 320, 360)}


def seen(guest: Guest | None, arrangement: Arrangement) -> dict[str, Box]:
    """Where everybody is seen on 640x360 in a room whose owner sits on seat 1."""
    state = RoomState(KEY, user("anna"), RoomOptions(kind="video", seats=4), RoomTimes())
    anna = state.seats[1]
    anna.state, anna.user, anna.present = SeatState.TAKEN, "anna", True
    state.arrangement = arrangement
    return {part.id: box for part, box in rectangles(scene_of(state, guest), 640, 360)}


def custom(**places: tuple[float, ...]) -> Arrangement:
    return Arrangement(
        layout="custom", rectangles={name.strip("_"): place for name, place in places.items()}
    )


def test_during_a_pk_the_two_hosts_stand_side_by_side_whatever_the_layout_was():
    for layout in ("grid", "host", "pk"):
        assert seen(ZOE, Arrangement(layout=layout)) == HALVES
    assert seen(ZOE, custom(_1=(0.0, 0.0, 0.5, 0.5))) == HALVES


def test_a_guest_who_has_a_rectangle_is_seen_there_and_everybody_else_in_his_own():
    places = custom(_1=(0.0, 0.0, 1.0, 1.0), pk=(0.75, 0.0, 0.25, 0.25, 1.0))
    assert seen(ZOE, places) == {"1": Box(0, 0, 640, 360), "pk": Box(480, 0, 160, 90)}


def test_a_guests_rectangle_shows_nothing_while_there_is_no_guest_and_needs_the_layout_custom():
    places = custom(_1=(0.0, 0.0, 1.0, 1.0), pk=(0.75, 0.0, 0.25, 0.25))
    assert seen(None, places) == {"1": Box(0, 0, 640, 360)}
    grid = Arrangement(layout="grid", rectangles=places.rectangles)
    assert seen(ZOE, grid) == HALVES
