"""MixOptions: what a composed stream is made like."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

__all__ = ["MixOptions", "options_from_json"]


@dataclass(frozen=True, slots=True, kw_only=True)
class MixOptions:
    """Sizes in pixels, bit rates in bits per second, times in seconds."""

    video: bool
    """False: sound alone, for voice rooms."""
    width: int = 1280
    height: int = 720
    fps: int = 30
    video_bitrate: int = 2_500_000
    """At most; a quiet picture takes less."""
    audio_bitrate: int = 96_000
    """Of AAC and of Opus, each."""
    sample_rate: int = 48_000
    """Hertz; Opus and the mixer know no other."""
    linger: float = 10.0
    """How long it goes on for nobody."""
    font: str = ""
    """A TrueType or OpenType file for names; "": one of the system's that has Chinese, if any."""

    def __post_init__(self) -> None:
        """
        Raises:
            ValueError: no encoder could make that.
        """
        if self.sample_rate != 48_000:
            raise ValueError(f"sample_rate is {self.sample_rate}, not 48000")
        if not (16 <= self.width <= 4096 and 16 <= self.height <= 4096 and 1 <= self.fps <= 60):
            raise ValueError(f"a picture of {self.width}x{self.height} at {self.fps} per second")
        if self.width % 2 or self.height % 2:
            raise ValueError(f"a picture of odd size, {self.width}x{self.height}")

    def to_json(self) -> str:
        """For the worker's command line."""
        return json.dumps(asdict(self))


def options_from_json(text: str) -> MixOptions:
    """What `MixOptions.to_json` wrote."""
    return MixOptions(**json.loads(text))
