"""Canvas: the picture that all parts are painted onto, in place, only where something changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter

from livetrio.media.mix.labels import Label, Plane, draw_label
from livetrio.media.mix.layout import Box, overlaps

__all__ = ["Canvas", "Tile", "planes_of"]

_FORMAT: Final = "yuv420p"
_MATRIX: Final = Colorspace.ITU601
"""What pictures have that say nothing of it, of browsers' cameras above all: those are copied as
they are. Others (OBS: BT.709; a browser's canvas: full range) have to be converted."""
_RANGE: Final = ColorRange.MPEG
_MOST_LOST: Final = 0.45
"""Part of a picture that may be cut off for it to fill its place; else it gets bars."""
_TILE: Final = (38, 132, 126)
"""Y, U and V of a place without a picture."""
_BARS: Final = (16, 128, 128)
_LETTERS: Final = 28
"""The canvas's height in letters of a name."""
_BIG_LETTERS: Final = 6
"""A place's height in letters of the name of somebody who is not seen."""


@dataclass(frozen=True, slots=True)
class Tile:
    """A place on the canvas."""

    id: str
    box: Box
    name: str


class _Place:
    """A tile with what is painted there."""

    __slots__ = ("big", "box", "label", "picture", "scaled", "scaler", "tile")

    def __init__(self, tile: Tile, label: Label | None, big: Label | None) -> None:
        self.tile = tile
        self.box = tile.box
        self.label = label
        self.big = big
        self.picture: VideoFrame | None = None  # as it came, to know it again
        self.scaled: VideoFrame | None = None
        self.scaler = VideoReformatter()  # its tables take longer to make than a picture to scale


class Canvas:
    """4:2:0 planes of one frame that is encoded again and again: most of it stays as it is."""

    def __init__(self, width: int, height: int, font: str = "") -> None:
        """Sizes in pixels, even."""
        self.frame = VideoFrame(width, height, _FORMAT)
        self.frame.colorspace, self.frame.color_range = _MATRIX, _RANGE
        self._planes = planes_of(self.frame)
        self._font = font
        self._places: dict[str, _Place] = {}
        self._covering = False
        self._background = "#000000"
        self._fill_all()

    def arrange(self, tiles: Sequence[Tile], background: str) -> None:
        """Other places; what they show is kept. background: "#rrggbb"."""
        before = self._places
        self._places = {}
        for tile in tiles:
            place = before.get(tile.id)
            if place is None or place.tile != tile:
                place = self._place(tile, place)
            self._places[tile.id] = place
        self._covering = overlaps([tile.box for tile in tiles])
        self._background = background
        self._fill_all()
        for place in self._places.values():
            self._paint(place)

    def show(self, pictures: dict[str, VideoFrame | None]) -> None:
        """What each tile is to show now; None: its name alone."""
        changed = [
            place for id_, place in self._places.items() if pictures.get(id_) is not place.picture
        ]
        for place in changed:
            place.picture = pictures.get(place.tile.id)
            place.scaled = None
            if place.picture is not None:
                place.scaled = _scaled(place.scaler, place.picture, place.box)
        if changed and self._covering:  # in their order, whatever of it changed
            changed = list(self._places.values())
        for place in changed:
            self._paint(place)

    def _place(self, tile: Tile, before: _Place | None) -> _Place:
        size = max(self.frame.height // _LETTERS, 10)
        box = tile.box
        label = draw_label(tile.name, box.width - 2 * (size // 2), size, self._font)
        if label is not None and label.height > box.height // 2:
            label = None
        big = max(min(box.height // _BIG_LETTERS, box.width // _BIG_LETTERS), 10)
        place = _Place(tile, label, draw_label(tile.name, box.width, big, self._font, shade=0))
        if before is not None and before.picture is not None:
            place.picture = before.picture
            place.scaled = _scaled(place.scaler, before.picture, box)
        return place

    def _paint(self, place: _Place) -> None:
        box = place.box
        if place.scaled is None:
            _fill(self._planes, box, _TILE)
            if place.big is not None and place.big.height <= box.height:
                x = box.x + (box.width - place.big.width) // 4 * 2
                y = box.y + (box.height - place.big.height) // 4 * 2
                place.big.lay_over(self._planes, x, y)
            return
        if place.scaled.width < box.width or place.scaled.height < box.height:
            _fill(self._planes, box, _BARS)
        _copy(place.scaled, self._planes, box)
        if place.label is not None:
            gap = self.frame.height // _LETTERS // 4 * 2
            bottom = box.y + box.height - place.label.height
            place.label.lay_over(self._planes, box.x + gap, max(bottom - gap, box.y))

    def _fill_all(self) -> None:
        whole = Box(0, 0, self.frame.width, self.frame.height)
        _fill(self._planes, whole, _colour(self._background))


def planes_of(frame: VideoFrame) -> list[Plane]:
    """The three planes of a 4:2:0 frame, by row and column, without a copy."""
    planes: list[Plane] = []
    for plane in frame.planes:
        rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
        planes.append(rows[: plane.height, : plane.width])
    return planes


def _scaled(scaler: VideoReformatter, frame: VideoFrame, box: Box) -> VideoFrame:
    """As large as its place, or larger in one direction, or (with bars) smaller in one."""
    across, down = box.width / frame.width, box.height / frame.height
    fills = min(across, down) / max(across, down) >= 1 - _MOST_LOST
    factor = max(across, down) if fills else min(across, down)
    width = max(round(frame.width * factor / 2) * 2, 2)
    height = max(round(frame.height * factor / 2) * 2, 2)
    if fills:  # rounding must not leave a seam
        width, height = max(width, box.width), max(height, box.height)
    else:
        width, height = min(width, box.width), min(height, box.height)
    how = Interpolation.BILINEAR
    return scaler.reformat(
        frame,
        width,
        height,
        _FORMAT,
        dst_colorspace=_MATRIX,
        interpolation=how,
        dst_color_range=_RANGE,
        threads=1,
    )


def _copy(frame: VideoFrame, planes: Sequence[Plane], box: Box) -> None:
    """The middle of a frame into the middle of a place."""
    width, height = min(frame.width, box.width), min(frame.height, box.height)
    from_x, from_y = (frame.width - width) // 4 * 2, (frame.height - height) // 4 * 2
    to_x, to_y = box.x + (box.width - width) // 4 * 2, box.y + (box.height - height) // 4 * 2
    for index, (source, target) in enumerate(zip(planes_of(frame), planes, strict=True)):
        shift = 1 if index else 0
        w, h = width >> shift, height >> shift
        fx, fy, tx, ty = (value >> shift for value in (from_x, from_y, to_x, to_y))
        target[ty : ty + h, tx : tx + w] = source[fy : fy + h, fx : fx + w]


def _fill(planes: Sequence[Plane], box: Box, colour: tuple[int, int, int]) -> None:
    for index, (plane, value) in enumerate(zip(planes, colour, strict=True)):
        shift = 1 if index else 0
        x, y = box.x >> shift, box.y >> shift
        plane[y : y + (box.height >> shift), x : x + (box.width >> shift)] = value


def _colour(text: str) -> tuple[int, int, int]:
    """Y, U and V (BT.601, as swscale makes of pictures) of "#rrggbb"; black for what is none."""
    try:
        red, green, blue = bytes.fromhex(text.removeprefix("#"))
    except ValueError:
        return 16, 128, 128
    y = 16 + (66 * red + 129 * green + 25 * blue) / 256
    u = 128 + (-38 * red - 74 * green + 112 * blue) / 256
    v = 128 + (112 * red - 94 * green - 18 * blue) / 256
    return round(y), round(u), round(v)
