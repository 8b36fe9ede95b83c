"""Where each part of a scene is drawn: rectangles of even pixels, in the order they are painted."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from livetrio.media.mix.scene import Part, Rect, Scene

__all__ = ["Box", "overlaps", "rectangles"]

_STRIP: Final = 4
"""Parts of the canvas's width: the strip beside a large host takes one."""
_IN_STRIP: Final = 4
"""Guests in one column of the strip; more make it two columns."""
_SMALLEST: Final = 16
"""Pixels of a side; what is smaller cannot be seen and is not drawn."""


class Box(NamedTuple):
    """A place on the canvas in pixels, all even, since two pixels share their colour."""

    x: int
    y: int
    width: int
    height: int


def rectangles(scene: Scene, width: int, height: int) -> list[tuple[Part, Box]]:
    """The parts that have a place, lowest first.

    Args:
        scene: who is there and how they are laid out.
        width: of the canvas, pixels, even.
        height: likewise.
    """
    match scene.layout:
        case "host":
            places = _host(_first(scene), width, height)
        case "pk":
            places = _side_by_side(_first(scene), width, height)
        case "custom":
            places = _custom(scene.parts, width, height)
        case "grid":
            places = _grid(scene.parts, Box(0, 0, width, height))
    return [(part, box) for part, box in places if min(box.width, box.height) >= _SMALLEST]


def overlaps(boxes: Sequence[Box]) -> bool:
    """Does any box cover a piece of another?"""
    return any(
        a.x < b.x + b.width
        and b.x < a.x + a.width
        and a.y < b.y + b.height
        and b.y < a.y + a.height
        for index, a in enumerate(boxes)
        for b in boxes[:index]
    )


def _first(scene: Scene) -> list[Part]:
    """All parts, the host before the others."""
    return sorted(scene.parts, key=lambda part: part.id != scene.host)


def _grid(parts: Sequence[Part], area: Box) -> Iterator[tuple[Part, Box]]:
    """Equal cells of about the canvas's shape; a last row that is not full is centred."""
    if not parts:
        return
    columns = math.ceil(math.sqrt(len(parts)))
    rows = math.ceil(len(parts) / columns)
    for index, part in enumerate(parts):
        row, column = divmod(index, columns)
        in_row = min(columns, len(parts) - row * columns)
        missing = (columns - in_row) / 2
        left, right = _cell(area.x, area.width, column + missing, columns)
        top, bottom = _cell(area.y, area.height, row, rows)
        yield part, _even(left, top, right, bottom)


def _host(parts: Sequence[Part], width: int, height: int) -> Iterator[tuple[Part, Box]]:
    """The first one large at the left, the others in a strip at the right."""
    host, guests = parts[:1], parts[1:]
    if not guests:
        yield from _grid(host, Box(0, 0, width, height))
        return
    strip = width / _STRIP
    yield from _grid(host, _even(0, 0, width - strip, height))
    columns = math.ceil(len(guests) / _IN_STRIP)
    rows = max(math.ceil(len(guests) / columns), 3)  # of few guests none becomes a tower
    for index, part in enumerate(guests):
        row, column = divmod(index, columns)
        left, right = _cell(width - strip, strip, column, columns)
        top, bottom = _cell(0, height, row, rows)
        yield part, _even(left, top, right, bottom)


def _side_by_side(parts: Sequence[Part], width: int, height: int) -> Iterator[tuple[Part, Box]]:
    """The two hosts of a battle in halves; guests, if any, in a row below them."""
    guests = [part for part in parts[1:] if part.id != "pk"]
    rivals = [*parts[:1], *(part for part in parts[1:] if part.id == "pk")]
    if len(rivals) == 1:
        yield from _host(parts, width, height)
        return
    row = height * 3 / 4 if guests else height
    yield from _grid(rivals, _even(0, 0, width, row))
    for index, part in enumerate(guests):
        cells = max(len(guests), 4)
        left, right = _cell(0, width, index + (cells - len(guests)) / 2, cells)
        yield part, _even(left, row, right, height)


def _custom(parts: Sequence[Part], width: int, height: int) -> Iterator[tuple[Part, Box]]:
    """Every part where it wants to be, cut at the edges of the canvas."""
    placed = [(part, part.rect) for part in parts if part.rect is not None]
    for part, rect in sorted(placed, key=lambda pair: pair[1].z):
        yield part, _clipped(rect, width, height)


def _clipped(rect: Rect, width: int, height: int) -> Box:
    numbers = (rect.x, rect.y, rect.width, rect.height)
    if not all(map(math.isfinite, numbers)):
        return Box(0, 0, 0, 0)
    left, top, right, bottom = (
        min(max(edge, 0.0), 1.0)
        for edge in (rect.x, rect.y, rect.x + rect.width, rect.y + rect.height)
    )
    return _even(left * width, top * height, right * width, bottom * height)


def _cell(start: float, length: float, index: float, count: int) -> tuple[float, float]:
    """The edges of one of several equal cells; of neighbours exactly the same ones."""
    return start + length * index / count, start + length * (index + 1) / count


def _even(left: float, top: float, right: float, bottom: float) -> Box:
    """Edges to the nearest even pixel: neighbours share an edge, and leave no seam."""
    x, y, x_end, y_end = (round(edge / 2) * 2 for edge in (left, top, right, bottom))
    return Box(x, y, max(x_end - x, 0), max(y_end - y, 0))
