"""What rooms are told: how many seats, how long they wait, who may make them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

__all__ = ["MixConfig", "RoomsConfig"]


@dataclass(frozen=True, slots=True, kw_only=True)
class MixConfig:
    """Composed streams of rooms: pixels, bits per second, seconds."""

    width: int = 1280
    height: int = 720
    fps: int = 30
    video_bitrate: int = 2_500_000
    """At most."""
    audio_bitrate: int = 96_000
    """Of AAC and of Opus, each."""
    max: int | None = None
    """At a time, of the node, each a process of its own; None: four per core."""
    linger: float = 10.0
    """How long one goes on for nobody."""
    font: Path | None = None
    """Of names; None: one of the system's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomsConfig:
    """Co-host and voice rooms. Times are seconds."""

    create: Literal["host", "anyone"] = "host"
    """host: whose token has the role "host"; anyone: whoever has a token."""
    max: int = 1_000
    """Rooms of the node."""
    video_seats: int = 9
    """Of a video room, at most."""
    voice_seats: int = 16
    """Of a voice room, at most."""
    resume_window: float = 30.0
    """A lost owner's room, and a lost user's seat, wait for so long."""
    idle_time: float = 300.0
    """A room in which nobody is ends after that."""
    invite_timeout: float = 30.0
    """An invitation that is not answered lapses after that; one to a PK too."""
    applications: int = 10_000
    """Users of one room that may wait for a seat."""
    voices: int = 3
    """Of a voice room, heard at a time."""
    open_seats: bool = False
    """May everybody play what seats send? A muted one is not muted there."""
    mix: MixConfig = field(default_factory=MixConfig)
