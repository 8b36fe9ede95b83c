"""Layout: everybody has a place, nobody covers another unless asked to, and all pixels are even."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from livetrio.media.mix.layout import Box, overlaps, rectangles
from livetrio.media.mix.scene import Part, Rect, Scene
from livetrio.packet import StreamKey

WIDTH, HEIGHT = 1280, 720


def part(id_: str, rect: Rect | None = None) -> Part:
    return Part(id_, StreamKey("live", f"room/{id_}"), id_, sound=True, picture=True, rect=rect)


def laid_out(layout, ids, *, host=""):
    scene = Scene(tuple(map(part, ids)), layout=layout, host=host)
    return {each.id: box for each, box in rectangles(scene, WIDTH, HEIGHT)}


def custom(*rects):
    parts = tuple(part(str(number), rect) for number, rect in enumerate(rects, 1))
    return [(each.id, box) for each, box in rectangles(Scene(parts, "custom"), WIDTH, HEIGHT)]


@given(
    st.sampled_from(["grid", "host", "pk"]),
    st.integers(1, 17),
    st.integers(8, 2048),
    st.integers(8, 1080),
)
def test_every_layout_keeps_parts_inside_of_the_canvas_apart_and_even(layout, count, w, h):
    ids = [*map(str, range(1, count)), "pk"]
    scene = Scene(tuple(map(part, ids)), layout=layout, host="1")
    placed = rectangles(scene, 2 * w, 2 * h)
    boxes = [box for _, box in placed]
    assert not overlaps(boxes)
    for box in boxes:
        assert not any(value % 2 for value in box)
        assert min(box.x, box.y) >= 0
        assert box.x + box.width <= 2 * w
        assert box.y + box.height <= 2 * h
    if w >= 320 and h >= 180:
        assert len(boxes) == count


@pytest.mark.parametrize(
    ("count", "cell"),
    [(1, (1280, 720)), (2, (640, 720)), (4, (640, 360)), (6, (426, 360)), (9, (426, 240))],
)
def test_a_grid_has_equal_cells(count, cell):
    boxes = laid_out("grid", map(str, range(count))).values()
    assert len(boxes) == count
    for box in boxes:
        assert abs(box.width - cell[0]) <= 2
        assert abs(box.height - cell[1]) <= 2


def test_a_last_row_that_is_not_full_is_in_the_middle():
    assert laid_out("grid", "123")["3"] == Box(320, 360, 640, 360)


def test_the_host_is_large_and_the_guests_stand_in_a_strip_beside_him():
    boxes = laid_out("host", "1234", host="3")
    assert boxes["3"] == Box(0, 0, 960, 720)
    assert [boxes[each] for each in "124"] == [
        Box(960, 0, 320, 240),
        Box(960, 240, 320, 240),
        Box(960, 480, 320, 240),
    ]


def test_a_host_alone_has_the_whole_canvas():
    assert laid_out("host", "1") == {"1": Box(0, 0, WIDTH, HEIGHT)}


def test_rivals_stand_side_by_side_and_their_guests_below():
    assert laid_out("pk", ["1", "pk"], host="1") == {
        "1": Box(0, 0, 640, 720),
        "pk": Box(640, 0, 640, 720),
    }
    boxes = laid_out("pk", ["2", "1", "pk"], host="1")
    assert boxes["1"] == Box(0, 0, 640, 540)
    assert boxes["pk"] == Box(640, 0, 640, 540)
    assert boxes["2"].y == 540


def test_custom_rectangles_are_painted_by_their_height_and_cut_at_the_edges():
    placed = custom(Rect(0.5, 0.5, 0.9, 0.9, z=2), Rect(-0.5, 0, 1, 1), None, Rect(0, 0, 0.25, 1))
    assert placed == [
        ("2", Box(0, 0, 640, 720)),
        ("4", Box(0, 0, 320, 720)),
        ("1", Box(640, 360, 640, 360)),
    ]


@pytest.mark.parametrize(
    "rect",
    [
        Rect(math.nan, 0, 1, 1),
        Rect(0, 0, math.inf, 1),
        Rect(2, 2, 1, 1),
        Rect(0.5, 0.5, -0.2, 0.2),
        Rect(0, 0, 0.001, 0.001),
    ],
)
def test_a_rectangle_that_shows_nothing_is_left_out(rect):
    assert custom(rect) == []
