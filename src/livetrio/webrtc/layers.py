"""Layers: which track each simulcast layer of one picture is at this moment.

The best layer that is alive is the first track (id 0 where one camera is sent), the next best the
second, and so on: players that know nothing of layers (FLV, RTMP, HLS) get the first track, and
that one must be neither the worst, which a browser sends first, nor one that the browser has
paused for want of bandwidth. "Best" is the most pixels; of equals the one the peer named first.
A layer that moves to another track begins there with a key frame and its configuration; where a
better one takes its place it is silent until its own key frame.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = ["Layer", "Layers"]

_PAUSED_AFTER: Final = 1.0
"""Seconds without a frame ..."""
_PAUSED_FRAMES: Final = 15
"""... while another layer had so many: a shared screen that stands still pauses nothing."""


@dataclass(slots=True, eq=False)
class Layer:
    """One layer, across SSRC changes."""

    rid: str
    """Empty where there is no simulcast."""
    rank: int | None = None
    """0 for the best alive; None before its first key frame and while it is paused."""
    wants_key: bool = True
    """It has a new rank (or none), and begins with a key frame."""
    pixels: int = 0
    last: float = 0.0
    """When its last frame came, seconds."""
    seen: int = 0
    """Frames of all layers when its last one came."""


class Layers:
    """The layers of one m-line."""

    __slots__ = ("_frames", "_layers", "base")

    def __init__(self, rids: tuple[str, ...], base: int) -> None:
        """
        Args:
            rids: in the peer's order; empty without simulcast.
            base: track id of the best layer.
        """
        self.base = base
        self._layers = {rid: Layer(rid) for rid in rids or ("",)}
        self._frames = 0

    def get(self, rid: str) -> Layer:
        """The layer of that rid, which is one of those given."""
        return self._layers[rid]

    def admit(self, layer: Layer, pixels: int, now: float, *, key: bool) -> bool:
        """Account for a frame; whether it may go out, as track `base + layer.rank`.

        Where not, the layer needs a key frame first.

        Args:
            layer: one of these.
            pixels: of a picture of its present configuration.
            now: seconds.
            key: is it a key frame?
        """
        self._frames += 1
        layer.last = now
        layer.seen = self._frames
        if key:
            if layer.rank is None or layer.pixels != pixels:
                layer.pixels = pixels
                layer.rank = len(self._layers) if layer.rank is None else layer.rank
                self._rank()
            layer.wants_key = False
        return not layer.wants_key

    def pause(self, now: float) -> None:
        """Take layers that fell silent out of the ranking. Ask now and then."""
        for layer in self._layers.values():
            silent = now - layer.last > _PAUSED_AFTER
            if silent and self._frames - layer.seen >= _PAUSED_FRAMES:
                self.leave(layer)

    def leave(self, layer: Layer) -> None:
        """A layer has stopped: the next best takes its place. A single one keeps its own."""
        if len(self._layers) > 1 and layer.rank is not None:
            layer.rank = None
            layer.wants_key = True
            self._rank()

    def _rank(self) -> None:
        alive = [layer for layer in self._layers.values() if layer.rank is not None]
        alive.sort(key=lambda layer: -layer.pixels)
        for rank, layer in enumerate(alive):
            if layer.rank != rank:
                layer.rank = rank
                layer.wants_key = True
