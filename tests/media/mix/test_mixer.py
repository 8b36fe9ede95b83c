"""Mixer and Limiter: gains in ramps, sums below full scale, no edges."""

from __future__ import annotations

import math

import numpy as np
import pytest

from livetrio.media.mix.limiter import Limiter
from livetrio.media.mix.mixer import MOST_GAIN, Mixer, Wear
from livetrio.media.mix.seat_audio import BLOCK, RATE

DELAY = 240


def level(value: float, count: int = BLOCK):
    return np.full((2, count), value, np.float32)


def feed(mixer: Mixer, voices: dict[int, float], blocks: int, *, at: int = 0):
    """Voices that are constant levels, so that gains can be read off."""
    made = []
    for number in range(at, at + blocks):
        for name, value in voices.items():
            seat = mixer.seat(name)
            if seat is not None:
                seat.push(number * 20_000, level(value))
        made.append(mixer.mix())
    return np.concatenate(made, axis=1)


def test_voices_are_summed_each_with_its_gain():
    mixer = Mixer()
    mixer.set({1: 1.0, 2: 0.5, 3: 2.0})
    out = feed(mixer, {1: 0.1, 2: 0.2, 3: 0.05}, 20)
    assert out[:, -1] == pytest.approx([0.3, 0.3], abs=1e-4)


def test_what_happened_to_those_who_left_is_still_counted():
    mixer = Mixer()
    mixer.set({1: 1.0, 2: 1.0})
    feed(mixer, {1: 0.1, 2: 0.1}, 20)
    feed(mixer, {}, 10)  # both run dry
    assert mixer.wear == Wear(underruns=2)
    mixer.set({2: 1.0})
    feed(mixer, {}, 2)
    assert mixer.seat(1) is None
    assert mixer.wear == Wear(underruns=2)


def test_a_gain_changes_without_an_edge_and_one_that_goes_fades_out():
    mixer = Mixer()
    mixer.set({1: 1.0, 2: 1.0})
    feed(mixer, {1: 0.2, 2: 0.1}, 20)
    mixer.set({1: 0.25})
    out = feed(mixer, {1: 0.2, 2: 0.1}, 5, at=20)
    assert np.abs(np.diff(out)).max() < 0.001
    assert out[0, -1] == pytest.approx(0.05, abs=1e-4)
    assert mixer.seat(2) is None


def test_gains_beyond_reason_are_cut_to_the_most_there_is():
    mixer = Mixer()
    mixer.set({1: 1e9, 2: -5.0, 3: math.nan})
    out = feed(mixer, {1: 0.01, 2: 0.5, 3: 0.5}, 20)
    assert out[0, -1] == pytest.approx(0.01 * MOST_GAIN, abs=1e-4)


def test_nobody_is_silence():
    assert not Mixer().mix().any()


def test_what_is_not_too_loud_passes_unchanged_5_ms_late():
    limiter = Limiter()
    sound = (0.9 * np.sin(np.arange(3 * BLOCK) / 20)).astype(np.float32)
    blocks = np.tile(sound, (2, 1)).reshape(2, 3, BLOCK)
    out = np.concatenate([limiter.feed(blocks[:, n]) for n in range(3)], axis=1)
    assert np.array_equal(out[0, DELAY:], sound[:-DELAY])


def test_sixteen_who_shout_at_once_never_clip_and_it_recovers_without_an_edge():
    random = np.random.default_rng(5)
    limiter = Limiter()
    loud = np.repeat([0.2, 3.0, 0.2, 16.0, 0.2, 0.2, 0.2, 0.2, 0.2, 0.2], 5)
    heard = []
    for number, loudness in enumerate(loud):
        phase = 2 * np.pi * 440 * (number * BLOCK + np.arange(BLOCK)) / RATE
        block = np.tile((loudness * np.sin(phase)).astype(np.float32), (2, 1))
        if loudness > 10:
            block[:, random.integers(0, BLOCK, 5)] *= 2  # spikes too
        heard.append(limiter.feed(block))
    out = np.concatenate(heard, axis=1)
    assert np.abs(out).max() <= 0.95 + 1e-6
    calm = out[0, -10 * BLOCK :]
    assert np.abs(calm).max() == pytest.approx(0.2, rel=0.01)
    assert np.abs(np.diff(calm)).max() < 0.2 * 2 * np.pi * 440 / RATE * 1.05
