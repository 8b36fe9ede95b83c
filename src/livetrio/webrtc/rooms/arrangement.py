"""Arrangement: how the composed picture of a room is laid out, as its staff wishes."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from livetrio.errors import RefusalCode, Refused

__all__ = ["GUEST", "MAX_GAIN", "Arrangement", "Layout", "check_gain"]

Layout = Literal["grid", "host", "pk", "custom"]

GUEST: Final = "pk"
"""In place of a seat's number: the other room's host, during a PK."""
MAX_GAIN: Final = 4.0
_LAYOUTS: Final[Mapping[str, Layout]] = {
    "grid": "grid", "host": "host", "pk": "pk", "custom": "custom",
}  # fmt: skip
_COLOUR: Final = re.compile(r"#[0-9a-fA-F]{6}")
_MAX_LAYER: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrangement:
    """What `PUT .../layout` says. During a PK the picture is that of a PK, unless it is custom
    and has a rectangle for the guest."""

    layout: Layout = "grid"
    rectangles: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    """custom: by seat (or GUEST): x, y, width, height as fractions of the canvas, and how far in
    front, if that matters."""
    background: str = "#101418"

    @classmethod
    def checked(
        cls, layout: str, rectangles: Mapping[str, Any], background: str, seats: int
    ) -> Arrangement:
        """Out of what somebody sent.

        Raises:
            Refused: BAD_REQUEST.
        """
        if layout not in _LAYOUTS:
            raise _wrong(f"layout is none of {', '.join(_LAYOUTS)}")
        if not _COLOUR.fullmatch(background):
            raise _wrong('background is no colour like "#101418"')
        known = {GUEST, *map(str, range(1, seats + 1))}
        if strange := rectangles.keys() - known:
            raise _wrong(f"there is no seat {min(strange)[:20]!r}")
        places = {seat: _rectangle(place) for seat, place in rectangles.items()}
        return cls(layout=_LAYOUTS[layout], rectangles=places, background=background)

    def view(self) -> dict[str, Any]:
        """JSON."""
        rectangles = {seat: list(place) for seat, place in self.rectangles.items()}
        return {"layout": self.layout, "rectangles": rectangles, "background": self.background}


def check_gain(gain: float) -> float:
    """A factor of the amplitude.

    Raises:
        Refused: BAD_REQUEST.
    """
    if not 0 <= gain <= MAX_GAIN:
        raise _wrong(f"gain is not from 0 to {MAX_GAIN:g}")
    return gain


def _rectangle(place: object) -> tuple[float, ...]:
    if not isinstance(place, list) or len(place) not in {4, 5}:
        raise _wrong("a rectangle is [x, y, width, height], or with a layer behind it")
    numbers = [n for n in place if isinstance(n, int | float) and not isinstance(n, bool)]
    if len(numbers) != len(place) or not all(map(math.isfinite, numbers)):
        raise _wrong("a rectangle is made of numbers")
    x, y, width, height = numbers[:4]
    if not (0 <= x < 1 and 0 <= y < 1 and 0 < width <= 1 and 0 < height <= 1):
        raise _wrong("a rectangle is made of fractions of the picture, from 0 to 1")
    layer = numbers[4] if len(numbers) == 5 else 0
    if layer != int(layer) or abs(layer) > _MAX_LAYER:
        raise _wrong(f"a layer is a whole number up to {_MAX_LAYER}")
    return (float(x), float(y), float(width), float(height), *(map(float, numbers[4:])))


def _wrong(reason: str) -> Refused:
    return Refused(RefusalCode.BAD_REQUEST, reason)
