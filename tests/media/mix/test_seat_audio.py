"""SeatAudio: clocks that differ, packets that are late or lost; never a click, never more delay."""

from __future__ import annotations

import random

import numpy as np
import pytest

from livetrio.media.mix.resample import MARGIN, stretched
from livetrio.media.mix.seat_audio import BLOCK, RATE, SeatAudio

MS = RATE // 1000
LOUDNESS = 0.3
STEEPEST = LOUDNESS * 2 * np.pi * 440 / RATE * 1.05
"""The most that two neighbouring samples of the tone differ by."""


def tone(start: int, count: int = BLOCK, hertz: float = 440.0):
    wave = LOUDNESS * np.sin(2 * np.pi * hertz * np.arange(start, start + count) / RATE)
    return np.tile(wave.astype(np.float32), (2, 1))


TONES = [tone(number * BLOCK) for number in range(5)]
"""The tone in blocks: 44 whole waves."""


class Seat:
    """A seat whose clock runs at `speed` of ours and whose packets are late by up to `jitter`."""

    def __init__(self, *, speed: float = 1.0, jitter: float = 0.0, offset: int = 0) -> None:
        self.audio = SeatAudio()
        self.now = 0
        self._random = random.Random(7)
        self._speed, self._jitter = speed, jitter
        self._offset = offset
        self._sent = 0
        self._arrivals: list[tuple[float, int]] = []
        self._latest = 0.0
        self.lost: set[int] = set()

    def pull(self):
        """20 ms pass."""
        while self._sent * 0.02 / self._speed <= self.now * 0.02:
            at = self._sent * 0.02 / self._speed + self._random.uniform(0, self._jitter)
            self._latest = max(self._latest, at)  # networks here do not reorder
            self._arrivals.append((self._latest, self._sent))
            self._sent += 1
        while self._arrivals and self._arrivals[0][0] <= self.now * 0.02:
            number = self._arrivals.pop(0)[1]
            if number not in self.lost:
                self.audio.push(self._offset + number * 20_000, TONES[number % 5])
        self.now += 1
        block = self.audio.pull()
        return block if block is None else block.copy()

    def listen(self, seconds: float):
        """What is heard in that time, silence as zeros."""
        silence = np.zeros((2, BLOCK), np.float32)
        blocks = [self.pull() for _ in range(round(seconds * 50))]
        return np.concatenate([silence if b is None else b for b in blocks], axis=1)


def steepest(sound) -> float:
    return float(np.abs(np.diff(sound)).max())


def energy(sound) -> float:
    return float((sound.astype(np.float64) ** 2).mean())


def test_nothing_is_heard_until_60_ms_are_there():
    audio = SeatAudio()
    heard = []
    for number in range(4):
        audio.push(number * 20_000, tone(number * BLOCK))
        heard.append(audio.pull() is not None)
    assert heard == [False, False, True, True]


def test_a_seat_whose_clock_is_right_is_copied_bit_by_bit():
    seat = Seat()
    sound = seat.listen(10)
    start = int(np.flatnonzero(sound[0])[0]) // BLOCK * BLOCK
    expected = np.tile(np.concatenate(TONES, axis=1), 100)
    settled = sound[:, start + BLOCK :]
    assert seat.audio.adjusted == seat.audio.adjustments == 0
    assert np.array_equal(settled, expected[:, BLOCK : BLOCK + settled.shape[1]])


@pytest.mark.parametrize(("ppm", "minutes"), [(200, 60), (-200, 20)])
def test_an_hour_of_drift_neither_runs_dry_nor_piles_up_nor_clicks(ppm, minutes):
    seat = Seat(speed=1 + ppm / 1e6, jitter=0.03)
    seat.listen(20)
    levels, loudness, edge = [], 0.0, 0.0
    rounds = 6 * minutes - 2
    last = np.zeros((2, 1), np.float32)
    for _ in range(rounds):
        sound = seat.listen(10)
        levels.append(seat.audio.level)
        loudness += energy(sound) / rounds
        edge = max(edge, steepest(np.concatenate((last, sound), axis=1)) if last.any() else 0.0)
        last = sound[:, -1:]
    assert (seat.audio.underruns, seat.audio.cuts) == (0, 0)
    assert max(levels) <= 100 * MS
    assert np.mean(levels[-30:]) == pytest.approx(np.mean(levels[:30]), abs=10 * MS)
    assert loudness == pytest.approx(LOUDNESS**2 / 2, rel=1e-3)
    assert edge <= STEEPEST
    assert -seat.audio.adjusted == pytest.approx(ppm * 1e-6 * minutes * 60 * RATE, abs=30 * MS)


def test_packets_that_come_later_than_ever_make_the_buffer_longer_and_quiet_times_shorter():
    seat = Seat(jitter=0.12)
    seat.listen(60)
    first = seat.audio.underruns
    assert first
    seat.listen(60)
    assert seat.audio.underruns - first <= 2
    longest = seat.audio.level
    seat._jitter = 0.0
    seat.listen(600)
    assert seat.audio.level < longest / 2


def test_a_lost_packet_is_20_ms_of_silence_with_soft_edges():
    seat = Seat()
    seat.listen(2)
    seat.lost = {seat.now + 10}
    sound = seat.listen(1)
    assert steepest(sound) < 4 * STEEPEST  # a hard edge is up to 15 times as steep
    assert seat.audio.underruns == 0
    quiet = np.abs(sound[0]).reshape(-1, 240).max(axis=1) == 0
    assert 3 <= quiet.sum() <= 4


def test_a_clock_that_jumps_does_not_stop_the_sound():
    for jump in (-3_600_000_000, 3_600_000_000, -40_000):
        seat = Seat()
        seat.listen(2)
        seat._offset = jump
        assert energy(seat.listen(2)) == pytest.approx(LOUDNESS**2 / 2, rel=0.05)
        assert seat.audio.underruns <= 1


def test_a_seat_that_pauses_falls_silent_softly_and_is_heard_again_at_once():
    seat = Seat()
    seat.listen(2)
    seat.lost = set(range(seat.now, seat.now + 100))
    pause = seat.listen(2)
    assert steepest(pause) <= 2 * STEEPEST
    assert not pause[:, RATE // 5 :].any()
    assert seat.audio.time is None
    again = seat.listen(0.5)
    assert np.flatnonzero(again[0])[0] < 100 * MS


def test_a_burst_after_a_stall_is_cut_to_what_is_needed():
    audio = SeatAudio()
    for number in range(45):
        audio.push(number * 20_000, tone(number * BLOCK))
    assert audio.pull() is not None
    assert audio.level <= 100 * MS
    for number in range(45, 90):  # 900 ms at once, while playing
        audio.push(number * 20_000, tone(number * BLOCK))
    for number in range(90, 250):
        audio.push(number * 20_000, tone(number * BLOCK))
        audio.pull()
    assert audio.cuts == 1
    assert audio.level <= 200 * MS


def test_what_nobody_plays_is_bounded():
    audio = SeatAudio()
    for number in range(1000):
        audio.push(number * 20_000, tone(0))
    audio.push(0, np.zeros((2, 10 * RATE), np.float32))
    assert audio.level <= 2 * RATE


def test_the_time_that_is_played_is_known():
    seat = Seat(offset=5_000_000)
    seat.listen(1)
    ours = seat.now * 20_000
    assert seat.audio.time is not None
    assert 5_000_000 + ours - 100_000 <= seat.audio.time <= 5_000_000 + ours


@pytest.mark.parametrize("hertz", [100.0, 1000.0, 10_000.0])
@pytest.mark.parametrize("samples", [-8, -2, 2, 8])
def test_a_stretched_block_sounds_the_same_and_fits_between_its_neighbours(hertz, samples):
    size = BLOCK + samples
    wave = tone(0, size + 2 * MARGIN + 1, hertz)
    block = stretched(wave[:, : size + 2 * MARGIN], BLOCK)
    assert block.shape == (2, BLOCK)
    assert energy(block) == pytest.approx(energy(wave), rel=0.03)
    assert block[0, 0] == pytest.approx(wave[0, MARGIN], abs=0.002)
    places = np.arange(BLOCK) * size / BLOCK + MARGIN
    ideal = LOUDNESS * np.sin(2 * np.pi * hertz * places / RATE)
    assert np.abs(block[0] - ideal).max() < 0.02 * LOUDNESS
