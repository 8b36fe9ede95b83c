"""What is in a recorded file: the pitches of its sound, and a small copy of its last picture."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import trio

from kit.programs import find

__all__ = ["last_picture", "pitches"]

_RATE: Final = 48_000
_WIDTH: Final = 10.0
"""Hz to each side of a pitch."""
_FRAME: Final = _RATE // 10
_SIDE: Final = 16
"""Pixels of the copy, each way."""


async def pitches(path: Path, wanted: Iterable[int], *, seconds: float = 2.0) -> dict[int, float]:
    """How loud each of some pitches (Hz) is in the end of a file, in dB of full scale.

    Args:
        path: of what ffmpeg can read; AssertionError if there is less sound in it.
        wanted: a pure tone of full scale would be 0.
        seconds: of its end.
    """
    wave = await _decoded(path, "-vn", "-f", "f32le", "-ac", "1", "-ar", str(_RATE))
    samples = np.frombuffer(wave, np.float32)[-int(seconds * _RATE) :]
    assert len(samples) == int(seconds * _RATE), f"{len(samples)} samples in {path}"
    # In short frames, and their mean power: over two seconds at once a tone that a busy machine has
    # made stumble (its phase jumps) cancels itself out, though everybody hears it.
    frames = samples[: len(samples) // _FRAME * _FRAME].reshape(-1, _FRAME)
    window = np.hanning(_FRAME)
    level = np.abs(np.fft.rfft(frames * window, axis=1)) / (window.sum() / 2)
    power = np.mean(level**2, axis=0) + 1e-18
    places = np.fft.rfftfreq(_FRAME, 1 / _RATE)
    return {
        pitch: float(10 * np.log10(power[np.abs(places - pitch) <= _WIDTH].max()))
        for pitch in wanted
    }


async def last_picture(path: Path) -> npt.NDArray[np.uint8]:
    """Of a file, as 16 x 16 pixels of red, green and blue: [row, column, colour]."""
    scaled = f"scale={_SIDE}:{_SIDE}"
    data = await _decoded(path, "-an", "-vf", scaled, "-pix_fmt", "rgb24", "-f", "rawvideo")
    size = _SIDE * _SIDE * 3
    assert data, f"no picture in {path}"
    return np.frombuffer(data[-size:], np.uint8).reshape(_SIDE, _SIDE, 3)


async def _decoded(path: Path, *options: str) -> bytes:
    argv = [find("ffmpeg"), "-loglevel", "error", "-nostdin", "-i", str(path), *options, "-"]
    with trio.fail_after(60):
        done = await trio.run_process(argv, capture_stdout=True)
    return done.stdout
