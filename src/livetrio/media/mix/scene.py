"""Scene: who is heard and seen in a composed stream, and where; Stage: the scene as it changes."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

import trio

from livetrio.packet import StreamKey

__all__ = ["EMPTY", "Layout", "Part", "Rect", "Scene", "Stage", "scene_from_json", "scene_to_json"]

Layout = Literal["grid", "host", "pk", "custom"]
"""grid: equal cells; host: one large, the others in a strip; pk: two side by side; custom: every
part where its `rect` says."""


@dataclass(frozen=True, slots=True)
class Rect:
    """A place on the canvas, as fractions (0 to 1) of its width and height."""

    x: float
    y: float
    width: float
    height: float
    z: int = 0
    """Higher ones cover lower ones."""


@dataclass(frozen=True, slots=True)
class Part:
    """One participant of the composition."""

    id: str
    """"1" to "16" for seats, "pk" for the other room's host; unique in its scene."""
    stream: StreamKey
    """Where its media come from; need not exist (yet)."""
    name: str
    """Drawn onto its picture; "" for none."""
    sound: bool
    """Is it heard?"""
    picture: bool
    """Is it seen? A part that is not, but has a place, is a tile with its name."""
    gain: float = 1.0
    """Factor of its amplitude, 0 to 4."""
    rect: Rect | None = None
    """For the layout "custom"; a part without one is not shown there."""


@dataclass(frozen=True, slots=True)
class Scene:
    """All that a composed stream shows at one moment."""

    parts: tuple[Part, ...] = ()
    layout: Layout = "grid"
    host: str = ""
    """The part that is large in "host" and at the left in "pk"; "" for the first one."""
    background: str = "#101418"
    """"#rrggbb"."""


EMPTY: Final = Scene()


class Stage:
    """The scene of one composed stream, as the room changes it."""

    def __init__(self, scene: Scene = EMPTY) -> None:
        self._scene = scene
        self._changed = trio.Event()

    @property
    def scene(self) -> Scene:
        """What is shown now."""
        return self._scene

    def show(self, scene: Scene) -> None:
        """From now on this; plain, and nothing if it is no change."""
        if scene != self._scene:
            self._scene = scene
            self._changed.set()
            self._changed = trio.Event()

    async def changed(self) -> None:
        """Return after the next change."""
        await self._changed.wait()


def scene_to_json(scene: Scene) -> dict[str, Any]:
    """Plain values for a pipe."""
    return asdict(scene)


def scene_from_json(value: dict[str, Any]) -> Scene:
    """The scene that `scene_to_json` was given; it is trusted, it comes from our own process."""
    parts = tuple(_part(part) for part in value["parts"])
    return Scene(parts, value["layout"], value["host"], value["background"])


def _part(value: dict[str, Any]) -> Part:
    rect = Rect(**value["rect"]) if value["rect"] is not None else None
    return Part(**{**value, "stream": StreamKey(*value["stream"]), "rect": rect})
