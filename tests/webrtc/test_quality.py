"""Which layer a viewer gets: nothing but a full path lowers it, and that does so at once."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import pytest
from kit.narrow import NarrowPath, play

from livetrio.webrtc.bandwidth import Bandwidth
from livetrio.webrtc.quality import Quality
from livetrio.webrtc.round_trip import RoundTrip
from livetrio.webrtc.sender_report import ntp_time
from livetrio.webrtc.slots.thrift import Thrift
from livetrio.wire.rtp.rtcp_reports import ReportBlock

LAYERS = [440_000.0, 110_000.0]
STILL = [6_000.0, 4_000.0]


def of_room() -> Callable[..., int]:
    """The same decision for a room that shows one seat."""
    thrift = Thrift()

    def decide(rates, limit, loss, now) -> int:
        thrift.decide([(rates, 0)], limit, loss, now)
        return thrift.level

    return decide


@pytest.fixture(params=[lambda: Quality().decide, of_room], ids=["stream", "room"])
def decide(request) -> Callable[..., int]:
    return request.param()


# What is no reason.


@pytest.mark.parametrize("answers", [True, False], ids=["round trip known", "unknown"])
@pytest.mark.parametrize("rates", [LAYERS, STILL], ids=["moving", "still"])
@pytest.mark.parametrize("every", [math.inf, 7.0, 3.0, 1.0])
def test_a_path_that_carries_everything_keeps_its_layer(decide, rates, every, answers):
    path = NarrowPath(jitter_every=every, answers=answers)
    assert play(decide, rates, path, 120) == [(0, 0)]


@pytest.mark.parametrize("answers", [True, False], ids=["round trip known", "unknown"])
def test_a_picture_that_begins_to_move_keeps_its_layer(decide, answers):
    def rates(now: float) -> list[float]:
        return LAYERS if now % 20 >= 10 else STILL

    assert play(decide, rates, NarrowPath(jitter_every=7, answers=answers), 120) == [(0, 0)]


def test_an_estimate_that_stands_still_far_below_what_comes_is_not_believed():
    """As Chromium's did for eight seconds after a still picture."""
    bandwidth, octets = Bandwidth(), 0
    for step in range(100):
        now = step / 5
        octets += 25_000  # 1 Mbit/s
        stamp = ntp_time(1e9 + int(now)) >> 16 & 0xFFFF_FFFF
        waited = round((now % 1) * 65_536)
        bandwidth.round_trip.answer(
            ReportBlock(1, 0, 0, 0, 0, stamp, waited), 1e9 + now + 0.001, now
        )
        bandwidth.remb(5_000, octets, now)
        assert bandwidth.limit(octets, now) is None


@pytest.mark.parametrize("lost", [0.02, 0.12])
def test_losses_of_any_wireless_network_lower_nothing(decide, lost):
    path = NarrowPath(lost=lost, jitter_every=7)
    assert play(decide, LAYERS, path, 120) == [(0, 0)]


# What is.


@pytest.mark.parametrize("answers", [True, False], ids=["round trip known", "unknown"])
@pytest.mark.parametrize("buffer", [0.0, 0.1, 0.5, 2.0])
@pytest.mark.parametrize("width", [150_000, 250_000, 330_000])
def test_a_path_that_has_become_too_narrow_lowers_it_within_seconds(decide, width, buffer, answers):
    path = NarrowPath(buffer=buffer, answers=answers)

    def weather(now: float) -> None:
        path.width = width if now >= 20 else math.inf

    changes = play(decide, LAYERS, path, 26, weather=weather)
    assert [choice for _, choice in changes[:2]] == [0, 1]
    assert changes[1][0] - 20 <= 3.0


def test_a_path_a_little_too_narrow_lowers_it_too(decide):
    path = NarrowPath(width=400_000, buffer=1.0)
    assert play(decide, LAYERS, path, 60)[1][1] == 1


def test_attempts_at_a_path_that_stays_narrow_become_rare(decide):
    path = NarrowPath(width=250_000)
    changes = play(decide, LAYERS, path, 600)
    tries = [at for at, choice in changes if choice == 0]
    gaps = [after - before for before, after in pairwise(tries[1:])]
    assert gaps == sorted(gaps)
    assert gaps[-1] >= 60
    ends = [at for at, _ in changes[1:]]
    wide = [end - begin for (begin, choice), end in zip(changes, ends, strict=False) if not choice]
    assert max(wide[1:]) <= 4


def test_a_path_that_is_wide_again_is_used_again(decide):
    path = NarrowPath()

    def weather(now: float) -> None:
        path.width = 250_000 if 20 <= now < 60 else math.inf

    changes = play(decide, LAYERS, path, 300, weather=weather)
    assert changes[-1][1] == 0
    assert changes[-1][0] < 60 + 62


def test_three_layers_go_down_to_what_fits_and_stay_there(decide):
    path = NarrowPath()

    def weather(now: float) -> None:
        path.width = 300_000 if now >= 20 else math.inf

    changes = play(decide, [2e6, 7e5, 1.5e5], path, 29, weather=weather)
    assert changes[-1][1] == 2
    assert changes[-1][0] - 20 <= 5


# The round trip.


def answer(trip: RoundTrip, sent: float, took: float, *, held: float = 0.3) -> None:
    stamp = ntp_time(1e9 + sent) >> 16 & 0xFFFF_FFFF
    now = sent + took + held
    trip.answer(ReportBlock(1, 0, 0, 0, 0, stamp, round(held * 65_536)), 1e9 + now, now)


def test_the_queue_is_what_a_report_takes_longer_than_the_fastest():
    trip = RoundTrip()
    assert (trip.known, trip.queue, trip.standing_queue) == (False, 0.0, 0.0)
    for sent, took in enumerate([0.05, 0.04, 0.24, 0.34]):
        answer(trip, float(sent), took)
    assert trip.known
    assert trip.queue == pytest.approx(0.3, abs=0.001)
    assert trip.standing_queue == pytest.approx(0.2, abs=0.001)
    assert trip.sent == pytest.approx(3.0, abs=0.001)


def test_one_late_answer_is_no_standing_queue():
    trip = RoundTrip()
    for sent, took in enumerate([0.05, 0.45, 0.05]):
        answer(trip, float(sent), took)
        assert trip.standing_queue < 0.001


def test_answers_that_cannot_be_are_no_answers():
    trip = RoundTrip()
    trip.answer(ReportBlock(1, 0, 0, 0, 0, 0, 0), 1e9, 0.0)  # it has had no report
    answer(trip, 1.0, 11.0)
    answer(trip, 2.0, -0.2)
    assert not trip.known
    answer(trip, 5.0, 0.05)
    answer(trip, 5.0, 0.9)  # again, from another moment
    answer(trip, 4.0, 0.9)
    assert trip.queue == 0.0
    assert trip.standing_queue == 0.0
