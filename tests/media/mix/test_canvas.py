"""Canvas and labels: what fits is cut, what does not gets bars; names of all kinds are drawn."""

from __future__ import annotations

import numpy as np
import pytest
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace

from livetrio.media.mix.canvas import Canvas, Tile, planes_of
from livetrio.media.mix.labels import draw_label, find_font
from livetrio.media.mix.layout import Box

WHOLE = Box(0, 0, 320, 180)


def picture(width: int, height: int, level: int = 200) -> VideoFrame:
    frame = VideoFrame(width, height, "yuv420p")
    for plane, value in zip(planes_of(frame), (level, 90, 160), strict=True):
        plane[:] = value
    return frame


def canvas(*tiles: Tile, background: str = "#000000") -> Canvas:
    made = Canvas(320, 180)
    made.arrange(tiles, background)
    return made


def brightness(made: Canvas):
    return planes_of(made.frame)[0]


@pytest.mark.parametrize("size", [(320, 180), (640, 480), (1920, 800), (64, 36), (321, 181)])
def test_a_picture_of_about_the_shape_fills_its_place(size):
    made = canvas(Tile("1", WHOLE, ""))
    made.show({"1": picture(*size)})
    assert (np.abs(brightness(made).astype(int) - 200) <= 2).all()
    assert (np.abs(planes_of(made.frame)[1].astype(int) - 90) <= 2).all()


@pytest.mark.parametrize("form", ["yuv420p", "yuvj420p"])
@pytest.mark.parametrize("size", [(320, 180), (640, 480)])
def test_colours_that_are_coded_otherwise_become_the_canvas_own(size, form):
    # A green of browsers' canvases: full range, BT.709.
    source = VideoFrame(*size, form)
    for plane, value in zip(planes_of(source), (140, 79, 70), strict=True):
        plane[:] = value
    source.colorspace, source.color_range = Colorspace.ITU709, ColorRange.JPEG
    made = canvas(Tile("1", WHOLE, ""))
    made.show({"1": source})
    told = made.frame.colorspace, made.frame.color_range
    assert told == (Colorspace.ITU601, ColorRange.MPEG)
    shown = made.frame.to_ndarray(format="rgb24")[90, 160]
    assert np.abs(shown.astype(int) - (48, 176, 48)).max() <= 4


def test_a_picture_of_another_shape_is_whole_between_bars():
    made = canvas(Tile("1", WHOLE, ""))
    made.show({"1": picture(360, 640)})
    row = brightness(made)[90]
    assert row[160] == pytest.approx(200, abs=2)
    assert list(row[:100:10]) == [16] * 10
    assert list(row[-100::10]) == [16] * 10


def test_the_background_is_where_nobody_is():
    made = canvas(Tile("1", Box(0, 0, 160, 90), ""), background="#ffffff")
    assert brightness(made)[170, 300] == 235
    assert [plane[80, 150] for plane in planes_of(made.frame)[1:]] == [128, 128]
    assert brightness(canvas(background="red'; --"))[0, 0] == 16


def test_what_has_not_changed_is_not_painted_again():
    made = canvas(Tile("1", WHOLE, ""))
    frame = picture(320, 180)
    made.show({"1": frame})
    brightness(made)[:] = 7
    made.show({"1": frame})
    assert (brightness(made) == 7).all()
    made.show({"1": picture(320, 180, 50)})
    assert (brightness(made) == 50).all()


def test_a_part_that_moves_keeps_its_picture():
    made = canvas(Tile("1", Box(0, 0, 160, 180), ""))
    made.show({"1": picture(160, 180)})
    made.arrange([Tile("1", Box(160, 0, 160, 180), "")], "#000000")
    assert brightness(made)[90, 80] == 16
    assert brightness(made)[90, 240] == pytest.approx(200, abs=2)


def test_a_name_is_drawn_onto_the_lower_left_of_the_picture():
    made = canvas(Tile("1", WHOLE, "Li Wei"))
    made.show({"1": picture(320, 180, 120)})
    plane = brightness(made)
    assert plane[:140].max() == plane[:140].min() == 120
    assert plane[140:].max() > 200
    assert plane[140:].min() < 80


def test_who_is_not_seen_has_his_name_in_the_middle():
    plane = brightness(canvas(Tile("1", WHOLE, "Li Wei")))
    assert plane[60:120, 80:240].max() > 200
    assert plane[:50].max() < 50


@pytest.mark.parametrize(
    "name",
    ["<b>x</b>", "a\n\n\x00b\x1b[31m", "\u202eevil", "x" * 100_000, "名字", "🙂" * 30],
)
def test_any_name_is_drawn_within_its_room(name):
    label = draw_label(name, 120, 12)
    assert label is not None
    assert label.width <= 120
    assert label.width % 2 == label.height % 2 == 0
    made = canvas(Tile("1", Box(0, 0, 160, 90), name))
    made.show({"1": picture(160, 90)})
    assert brightness(made)[100:].max() == 16


@pytest.mark.parametrize("name", ["", "  \n", "\x00\x01", "\u200b", "\ud800"])
def test_a_name_of_nothing_is_no_label(name):
    assert draw_label(name, 120, 12) is None


def test_where_there_is_no_room_there_is_no_name():
    assert draw_label("somebody", 20, 12) is None
    made = canvas(Tile("1", Box(0, 0, 16, 16), "somebody"))
    made.show({"1": picture(16, 16)})
    assert (np.abs(brightness(made)[:16, :16].astype(int) - 200) <= 2).all()


def test_a_font_that_is_not_there_is_replaced():
    assert find_font("/nowhere/none.ttf", 12).getlength("abc") > 0
