"""Limiter: keeps a sum of voices below full scale without an edge in its gain."""

from __future__ import annotations

from typing import Final

import numpy as np

from livetrio.media.mix.resample import Sound

__all__ = ["Limiter"]

_CEILING: Final = 0.95
"""The loudest sample that goes out; encoders overshoot a little."""
_STEP: Final = 240
"""Samples (5 ms) that it looks ahead, and delays."""
_RELEASE: Final = 1.05
"""Factor by which the gain recovers in a step: 6 dB in 70 ms."""


class Limiter:
    """The gain runs in straight lines between points 5 ms apart. At each it is what the louder
    of the two steps beside it needs, so that no sample between is too loud."""

    def __init__(self) -> None:
        self._held: Sound = np.zeros((2, _STEP), np.float32)  # the step that is not out yet
        self._held_needs = 1.0
        self._gain = 1.0  # at the beginning of that step

    def feed(self, block: Sound) -> Sound:
        """The next block, 5 ms late and never louder than the ceiling.

        Args:
            block: a multiple of 240 samples.
        """
        size = block.shape[1]
        joined = np.concatenate((self._held, block), axis=1)
        self._held = joined[:, size:]
        needs = self._needed(block)
        if self._gain == 1.0 and self._held_needs == 1.0 and min(needs) == 1.0:
            return joined[:, :size]  # nearly always
        points = [self._gain]
        for need in needs:
            allowed = min(self._held_needs, need)
            self._gain = min(self._gain * _RELEASE, 1.0, allowed)
            points.append(self._gain)
            self._held_needs = need
        places = np.arange(size) / _STEP
        gain = np.interp(places, np.arange(len(points)), points).astype(np.float32)
        return joined[:, :size] * gain

    @staticmethod
    def _needed(block: Sound) -> list[float]:
        """For each step, the gain that its loudest sample allows."""
        peak = float(max(block.max(), -block.min()))
        steps = block.shape[1] // _STEP
        if peak <= _CEILING:
            return [1.0] * steps
        peaks = np.abs(block).reshape(2, steps, _STEP).max(axis=(0, 2))
        return [float(need) for need in np.minimum(_CEILING / np.maximum(peaks, 1e-9), 1.0)]
