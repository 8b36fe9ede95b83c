"""Labels: participants' names as planes of a picture, drawn once and laid over it many times."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

__all__ = ["Label", "Plane", "draw_label", "find_font"]

Plane = NDArray[np.uint8]

_FONTS: Final = (
    "NotoSansCJK-Regular.ttc",
    "NotoSansSC-Regular.otf",
    "wqy-microhei.ttc",
    "wqy-zenhei.ttc",
    "DroidSansFallbackFull.ttf",
    "PingFang.ttc",
    "msyh.ttc",
    "DejaVuSans.ttf",
)
"""By falling merit: those with Chinese first. Pillow looks in the system's folders."""
_WHITE: Final = 235
_BLACK: Final = 16
_LONGEST: Final = 64
"""Characters of a name that are looked at."""

Font: TypeAlias = ImageFont.FreeTypeFont | ImageFont.ImageFont


@dataclass(frozen=True, slots=True)
class Label:
    """`plane * keep / 256 + add` is the plane with the label over it."""

    width: int
    """Pixels, even."""
    height: int
    keep: NDArray[np.uint16]
    """Of brightness, by row and column; of colours, every second row and column of it."""
    add: NDArray[np.uint16]

    def lay_over(self, planes: Sequence[Plane], x: int, y: int) -> None:
        """Draw it. x, y: the place of its upper left corner, even; it must fit."""
        half = self.keep[::2, ::2]
        bright = planes[0][y : y + self.height, x : x + self.width]
        bright[:] = (bright * self.keep >> 8) + self.add
        for plane in planes[1:]:
            top, left = y // 2, x // 2
            colour = plane[top : top + self.height // 2, left : left + self.width // 2]
            colour[:] = (colour * half + np.uint16(128) * (np.uint16(256) - half)) >> 8


def draw_label(
    name: str, room: int, size: int, font: str = "", *, shade: float = 0.55
) -> Label | None:
    """A name in white on a darkened field; None if there is nothing to be drawn.

    Args:
        name: anything a user may call himself.
        room: pixels of width that there are; a longer name ends in an ellipsis.
        size: of the letters, pixels.
        font: a font's file, "" for one that is found.
        shade: how dark that field is, 0 to 1.
    """
    text = _plain(name)
    face = find_font(font, size)
    margin = max(size // 3, 2)
    if not text or room < 3 * size:
        return None
    text = _fitted(text, room - 2 * margin, face)
    width = min(-(-(round(face.getlength(text)) + 2 * margin) // 2) * 2, room // 2 * 2)
    height = -(-(size + 2 * (margin // 2) + size // 4) // 2) * 2
    image = Image.new("L", (width, height), 0)
    anchor = "lm" if isinstance(face, ImageFont.FreeTypeFont) else None
    ImageDraw.Draw(image).text((margin, height // 2), text, font=face, fill=255, anchor=anchor)
    ink = np.asarray(image, dtype=np.float32) / 255
    keep = (1 - ink) * (1 - shade)
    add = ink * _WHITE + (1 - ink) * shade * _BLACK
    return Label(width, height, (keep * 256).astype(np.uint16), add.astype(np.uint16))


@cache
def find_font(font: str, size: int) -> Font:
    """The font that was asked for, else one of the system's, else Pillow's own (Latin only)."""
    for candidate in (font, *_FONTS):
        try:
            if candidate:
                return ImageFont.truetype(candidate, size)
        except OSError:
            continue
    return ImageFont.load_default(size)


def _plain(name: str) -> str:
    """One line without what is not to be seen, which could break or reverse it."""
    text = unicodedata.normalize("NFC", name[:_LONGEST])
    seen = (" " if each.isspace() else each for each in text)
    return " ".join("".join(each for each in seen if each.isprintable()).split())


def _fitted(text: str, room: int, face: Font) -> str:
    if face.getlength(text) <= room:
        return text
    while text and face.getlength(text + "…") > room:
        text = text[:-1]
    return text + "…"
