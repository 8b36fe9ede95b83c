"""SeatAudio: one participant's sound between its clock and ours; a jitter buffer that drifts along.

Packets come in bursts and late, and a seat's 48,000 samples last a little more or less than our
second. Played is from a buffer whose *slack*, the least it held lately after a block was taken,
is kept at a target. The target grows when the buffer ran dry and shrinks slowly. Where the slack
is off by more than a few milliseconds, blocks are stretched or squeezed by a few samples (two of
960, a fifth of a percent: nobody hears it) until it is right again; otherwise they are copied
unchanged. So 200 ppm cost one stretched block in ten. Refused: resampling all the time by a
controlled ratio; it costs four times as much as all the rest of the mixing together.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from livetrio.media.mix.resample import MARGIN, Sound, stretched
from livetrio.packet import US_PER_SECOND

__all__ = ["BLOCK", "RATE", "SeatAudio"]

RATE: Final = 48_000
BLOCK: Final = 960
"""Samples that are played at once: 20 ms."""
_MS: Final = RATE // 1000
_CAPACITY: Final = 2 * RATE
_START: Final = 60 * _MS
"""Held before the first is played."""
_LEAST_SLACK: Final = 32 * _MS
"""Enough for one packet to be later, by one block, than any was in the last second."""
_MOST_SLACK: Final = 240 * _MS
_DEAD_BAND: Final = 10 * _MS
_FAR: Final = 40 * _MS
"""Slack so far from its target is changed faster, by 0.8 %."""
_TOO_MUCH: Final = 400 * _MS
"""Slack beyond its target that is cut away at once: the sender made up for a pause."""
_WINDOW: Final = 50
"""Blocks over which the least is looked for: a second."""
_SHRINK: Final = _MS // 4
"""By which the target shrinks in a second in which all was well."""
_FADE: Final = 240
"""Samples over which sound comes or goes where it is broken off: 5 ms."""
_GAP: Final = 15_000
"""Microseconds by which a packet's time may be off: RTMP's are rounded, some are worse."""
_LONGEST_GAP: Final = US_PER_SECOND
"""A longer one is a new beginning."""
_LEAK: Final = 32
"""Part of the error that a packet's time is believed at once."""

_RISE: Final = np.linspace(0, 1, _FADE, dtype=np.float32)
_FALL: Final = _RISE[::-1]


class SeatAudio:
    """Push what is decoded, pull 20 ms at a time."""

    def __init__(self) -> None:
        self.underruns = 0
        """Times it ran dry while playing."""
        self.cuts = 0
        """Times sound was left out because there was far too much."""
        self.adjusted = 0
        """Samples added (or, negative, taken away) by stretching, in sum."""
        self.adjustments = 0
        """Blocks that were stretched or squeezed."""
        self._data: Sound = np.zeros((2, _CAPACITY), np.float32)
        self._read = MARGIN
        self._write = MARGIN
        self._playing = False
        self._slack = _LEAST_SLACK  # the target
        self._least = _CAPACITY  # of this window
        self._blocks = 0
        self._step = 0  # samples by which every block is squeezed (+) or stretched (-)
        self._rises = False  # what comes next follows something else than what it followed
        self._due: float | None = None  # us; when the next packet should begin, by its own clock
        self._time = 0.0  # us of the sample at _write

    @property
    def level(self) -> int:
        """Samples held."""
        return self._write - self._read

    @property
    def time(self) -> int | None:
        """Microseconds of the seat's clock that is played now; None while silent."""
        if not self._playing:
            return None
        return int(self._time - self.level * US_PER_SECOND / RATE)

    def push(self, pts: int, samples: Sound) -> None:
        """Sound came.

        Args:
            pts: its time, microseconds of the seat's clock.
            samples: 48 kHz, two rows.
        """
        if self._due is not None:
            error = pts - self._due
            if not -_GAP <= error <= _GAP:
                self._jump(error)
            else:
                pts = round(self._due + error / _LEAK)
        if self._rises and samples.shape[1] >= _FADE:
            self._rises = False
            samples = samples.copy()
            samples[:, :_FADE] *= _RISE
        self._append(samples)
        self._time = self._due = pts + samples.shape[1] * US_PER_SECOND / RATE

    def pull(self) -> Sound | None:
        """The next block, two rows of 960, which the next push may overwrite; None is silence."""
        if not self._playing:
            if self.level < _START - _LEAST_SLACK + self._slack:
                return None
            return self._begin()
        step = self._step
        if self.level < BLOCK + step + MARGIN:
            return self._run_dry()
        block = self._take(BLOCK + step)
        self._watch()
        return block

    def _begin(self) -> Sound:
        excess = self.level - _START - self._slack
        if excess > 0:  # what came before anybody listened
            self._read += excess
        self._playing = True
        self._forget_window()
        block = self._take(BLOCK).copy()
        block[:, :_FADE] *= _RISE
        return block

    def _take(self, size: int) -> Sound:
        """The next samples of the buffer, as one block. A view, if nothing is stretched."""
        read = self._read
        self._read = read + size
        if size == BLOCK:
            return self._data[:, read : read + size]
        self.adjusted += BLOCK - size
        self.adjustments += 1
        return stretched(self._data[:, read - MARGIN : read + size + MARGIN], BLOCK)

    def _run_dry(self) -> Sound | None:
        """The rest fades out; then it waits until there is enough again."""
        self._playing = False
        self._slack = min(self._slack * 3 // 2, _MOST_SLACK)
        self.underruns += 1
        self._due = None
        left = min(self.level, BLOCK)
        if left < _FADE:
            self._read = self._write
            return None
        block = np.zeros((2, BLOCK), np.float32)
        block[:, :left] = self._data[:, self._read : self._read + left]
        block[:, left - _FADE : left] *= _FALL
        self._read = self._write
        return block

    def _watch(self) -> None:
        """Once a second: is what lies in the buffer what it should be?"""
        self._least = min(self._least, self.level)
        if self._step > 0 and self._least <= self._slack:
            self._step = 0  # right again, and less would be dangerous
        self._blocks += 1
        if self._blocks < _WINDOW:
            return
        error = self._least - self._slack
        if error > _TOO_MUCH:
            self._cut(error)
            error = 0
        begun = self._step * error > 0  # it goes on until all is right
        size = 2 if begun or abs(error) > _DEAD_BAND else 0
        if abs(error) > _FAR:
            size = 8
        self._step = size if error > 0 else -size
        self._slack = max(self._slack - _SHRINK, _LEAST_SLACK)
        self._forget_window()

    def _forget_window(self) -> None:
        self._least, self._blocks = _CAPACITY, 0

    def _cut(self, excess: int) -> None:
        """Leave out so many samples, the old fading into the new."""
        self.cuts += 1
        self._cross(self._read, self._read + excess)
        self._read += excess

    def _cross(self, old: int, new: int) -> None:
        data = self._data
        faded = data[:, old : old + _FADE] * _FALL
        data[:, new : new + _FADE] *= _RISE
        data[:, new : new + _FADE] += faded

    def _jump(self, error: float) -> None:
        """The seat's clock is elsewhere: lost packets are silence, all else begins anew."""
        if self.level < _FADE:
            return
        self._data[:, self._write - _FADE : self._write] *= _FALL
        self._rises = True
        if 0 < error <= _LONGEST_GAP:
            self._append(np.zeros((2, round(error * RATE / US_PER_SECOND)), np.float32))
        # A step back, or a long pause: what follows is simply played next.

    def _append(self, samples: Sound) -> None:
        size = samples.shape[1]
        if size > _CAPACITY // 2:
            samples = samples[:, size - _CAPACITY // 2 :]
            size = samples.shape[1]
        if self._write + size > _CAPACITY:
            self._move(size)
        self._data[:, self._write : self._write + size] = samples
        self._write += size

    def _move(self, size: int) -> None:
        """Make room: what is still to be played goes to the front."""
        excess = self.level + size + MARGIN - _CAPACITY
        if excess > 0:
            self.cuts += 1
            self._read += excess
        start = self._read - MARGIN
        kept = self._write - start
        self._data[:, :kept] = self._data[:, start : self._write].copy()
        self._read, self._write = MARGIN, kept
