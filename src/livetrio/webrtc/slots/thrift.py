"""Thrift: how good the pictures are that one viewer of a room is sent, all of them together.

A room is several pictures over one network, so they are judged by their sum. Where that is too
much all of them lose a layer; where that does not end the losses, everything but their key frames,
then all; sound never does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal, get_args

from livetrio.errors import RefusalCode, Refused
from livetrio.webrtc.quality import Quality

__all__ = ["KEYS", "NOTHING", "SlotWish", "Thrift", "layer", "parse_wish", "starting_layer"]

SlotWish = Literal["auto", "high", "medium", "low", "off"]
"""How large a viewer shows a slot. "auto": by how many there are."""
_WISHES: Final[tuple[SlotWish, ...]] = get_args(SlotWish)

KEYS: Final = 3
"""The level at which only key frames are sent; below it, that many layers less than wished for."""
NOTHING: Final = 4
"""The level at which no picture is."""
_KEY_FRAMES: Final = 0.1
"""Share of a picture's bitrate that its key frames take, about."""
_FEW: Final = 2
"""Pictures that are all shown large."""
_SOME: Final = 4
"""Pictures that are shown of medium size; more are small."""


def parse_wish(word: object) -> SlotWish:
    """A wish of outside.

    Raises:
        Refused: BAD_REQUEST.
    """
    for wish in _WISHES:
        if wish == word:
            return wish
    raise Refused(RefusalCode.BAD_REQUEST, f"a slot is one of {', '.join(_WISHES)}")


def starting_layer(wish: SlotWish, pictures: int, layers: int) -> int:
    """The layer a slot is sent where the network carries all.

    Args:
        wish: of the viewer.
        pictures: how many he is sent in all.
        layers: of this one, at least one; 0 is the best.
    """
    if wish == "auto":
        wish = "high" if pictures <= _FEW else "medium" if pictures <= _SOME else "low"
    match wish:
        case "high":
            return 0
        case "medium":
            return layers // 2
        case _:
            return layers - 1


def layer(rates: Sequence[float], first: int, level: int) -> int:
    """The layer a slot is sent at a level; as many as there are: key frames of one alone.

    Args:
        rates: bit/s of each layer, the best first, at least one; 0: it is paused.
        first: what `starting_layer` says.
        level: below NOTHING.
    """
    last = len(rates) - 1
    if level == KEYS:
        return len(rates)
    wanted = min(first + level, last)
    cheaper = (index for index in range(wanted, last + 1) if rates[index])
    dearer = (index for index in range(wanted, -1, -1) if rates[index])
    return next(cheaper, next(dearer, wanted))


class Thrift:
    """One viewer's level."""

    __slots__ = ("_quality", "level")

    def __init__(self) -> None:
        self._quality = Quality()
        self.level = 0
        """From 0, everything as wished for, to NOTHING."""

    def decide(
        self,
        slots: Sequence[tuple[Sequence[float], int]],
        limit: float | None,
        loss: float,
        now: float,
    ) -> bool:
        """Look at what the network carries, about once a second; whether the level has changed.

        Args:
            slots: (bit/s of each layer, starting layer) of every picture he is sent, or would be.
            limit: bit/s of pictures that a full path carries, None where it has room.
            loss: smoothed share of packets lost, 0 to 1.
            now: seconds.
        """
        sums: list[float] = []
        for level in range(KEYS):
            total = sum(rates[layer(rates, first, level)] for rates, first in slots)
            sums.append(0.0 if total in sums else total)  # nothing to be saved by that step
        # Less than the cheapest layers only for losses: see _RUIN of webrtc/quality.py.
        if limit is not None:
            limit = max(limit, min(filter(None, sums), default=0.0))
        sums.append(_KEY_FRAMES * sum(min(filter(None, rates), default=0.0) for rates, _ in slots))
        before, self.level = self.level, self._quality.decide(sums, limit, loss, now)
        return self.level != before
