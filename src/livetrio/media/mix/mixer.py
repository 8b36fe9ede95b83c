"""Mixer: seats' sound, each with its gain, summed and limited, 20 ms at a time."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, NamedTuple

import numpy as np

from livetrio.media.mix.limiter import Limiter
from livetrio.media.mix.resample import Sound
from livetrio.media.mix.seat_audio import BLOCK, SeatAudio

__all__ = ["MOST_GAIN", "Mixer", "Wear"]

MOST_GAIN: Final = 4.0
"""12 dB."""
_RAMP: Final = np.linspace(0, 1, BLOCK, dtype=np.float32)


class Wear(NamedTuple):
    """What jitter and clocks did to seats' sound; see `SeatAudio`."""

    underruns: int = 0
    cuts: int = 0
    adjustments: int = 0


@dataclass(slots=True)
class _Channel:
    """One seat's strip of the mixing desk."""

    audio: SeatAudio = field(default_factory=SeatAudio)
    gain: float = 0.0
    wanted: float = 0.0


class Mixer:
    """A channel for each seat, by any name; gains change in ramps of one block."""

    def __init__(self) -> None:
        self._channels: dict[int, _Channel] = {}
        self._gone = Wear()  # of those that have left
        self._limiter = Limiter()

    @property
    def wear(self) -> Wear:
        """Of all seats there ever were."""
        wear = self._gone
        for channel in self._channels.values():
            wear = _worn(wear, channel.audio)
        return wear

    def set(self, gains: dict[int, float]) -> None:
        """Who is heard from now on, and how loud (0 to MOST_GAIN); others fade out and go."""
        for name in gains:
            self._channels.setdefault(name, _Channel())
        for name, channel in self._channels.items():
            # In this order: NaN, which would silence everybody, becomes 0.
            channel.wanted = min(MOST_GAIN, max(0.0, gains.get(name, 0.0)))

    def seat(self, name: int) -> SeatAudio | None:
        """The sound of one of those that were set; None of one that was not."""
        channel = self._channels.get(name)
        return channel.audio if channel is not None else None

    def mix(self) -> Sound:
        """The next block of all together: two rows of 960."""
        total = np.zeros((2, BLOCK), np.float32)
        for name, channel in list(self._channels.items()):
            block = channel.audio.pull()
            gain, channel.gain = channel.gain, channel.wanted
            if block is not None:
                _add(total, block, gain, channel.wanted)
            if not channel.gain:
                self._gone = _worn(self._gone, channel.audio)
                del self._channels[name]
        return self._limiter.feed(total)


def _worn(wear: Wear, audio: SeatAudio) -> Wear:
    return Wear(
        wear.underruns + audio.underruns,
        wear.cuts + audio.cuts,
        wear.adjustments + audio.adjustments,
    )


def _add(total: Sound, block: Sound, gain: float, wanted: float) -> None:
    if gain == wanted == 1.0:
        total += block
    elif gain == wanted:
        total += block * np.float32(gain)
    else:
        total += block * (np.float32(gain) + _RAMP * np.float32(wanted - gain))
