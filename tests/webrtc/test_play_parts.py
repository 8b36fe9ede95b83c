"""The small parts of watching: what is remembered, estimated, chosen and numbered."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kit.webrtc_fakes import OPUS, VIDEO, opus, picture

from livetrio.errors import RefusalCode, Refused
from livetrio.packet import Codec
from livetrio.webrtc.bandwidth import Bandwidth
from livetrio.webrtc.history import History
from livetrio.webrtc.lane import BURST, Lane, cut, renumbered
from livetrio.webrtc.numbering import Numbering, Warp
from livetrio.webrtc.quality import Quality
from livetrio.webrtc.rtp_mux import Origin, Picture, RtpMux, Sound
from livetrio.webrtc.selection import Selection
from livetrio.webrtc.sender_report import MediaClock
from livetrio.webrtc.sending_source import Layout, SendingSource, TransportLog, ticks
from livetrio.wire.rtp.header import parse_rtp
from livetrio.wire.rtp.twcc import TransportFeedback


def source(first: int = 0, **fields) -> SendingSource:
    return SendingSource(
        VIDEO, 102, 7, rate=90_000, timestamp_base=0, history=History(first), **fields
    )


# History.


@given(st.lists(st.tuples(st.integers(1, 40), st.booleans()), max_size=200))
def test_a_history_keeps_the_newest_and_finds_each_packet_by_its_index(frames):
    history = History(100, keep=50, limit=120, size=10_000)
    expected = 100
    for pts, (count, key) in enumerate(frames):
        history.append([b"%d" % (expected + n) for n in range(count)], pts, key=key)
        expected += count
    assert history.next_index == expected
    assert history.next_frame == len(frames)
    kept = [n for n in range(100, expected) if history.packet(n) is not None]
    assert kept == list(range(expected - len(kept), expected))
    assert all(history.packet(n) == b"%d" % n for n in kept)
    assert len(kept) <= 120 + 40
    assert len(kept) >= min(50, expected - 100)
    if history.newest_key is not None:
        frame = history.frame(history.newest_key)
        assert frame is not None
        assert frame.key
        assert history.packet(frame.first) is not None
    assert history.packet(expected) is None
    assert history.packet(99) is None


def test_a_group_of_pictures_is_kept_beyond_the_usual_up_to_the_limit():
    history = History(0, keep=10, limit=100)
    history.append([b"k"], 0, key=True)
    for n in range(80):
        history.append([b"p"], n, key=False)
    assert history.newest_key == 0
    for n in range(80):
        history.append([b"p"], n, key=False)
    assert history.newest_key is None
    history.append([b"k"], 0, key=True)
    assert history.newest_key == 161


def test_a_history_is_bounded_in_bytes():
    history = History(0, size=10_000)
    for n in range(100):
        history.append([bytes(1_000)], n, key=True)
    assert history.size <= 10_000


# Runs of one frame.


def test_a_frame_is_cut_into_bursts_that_one_system_call_can_send():
    packets = [b"\x80" + bytes(999)] * 70 + [b"\x80" + bytes(500)]
    runs = cut(packets, 5)
    assert [len(run.packets) for run in runs] == [BURST, BURST, 7]
    assert list(itertools.chain(*(run.indexes for run in runs))) == list(range(5, 76))


def test_sound_rides_behind_a_frame_whose_last_packet_was_padded():
    mux_source = source()
    packets = mux_source.packets(picture(0, key=False, size=3_001), 0.0, ride=True)
    assert len({len(packet) for packet in packets}) == 1
    tail = bytes((0x80, 111)) + bytes(150)
    (run,) = cut(packets, 0, (tail, 9))
    assert run.packets[-1] is tail
    assert b"".join(parse_rtp(p).payload[2:] for p in packets).endswith(b"\xaa" * 100)


def test_a_renumbered_packet_differs_in_its_number_only():
    packet = source().packets(picture(0), 0.0)[0]
    other = parse_rtp(renumbered(packet, 65_536 + 77))
    assert other.sequence == 77
    assert other.payload == parse_rtp(packet).payload


@pytest.mark.parametrize(
    ("audio", "video", "expected"),
    [(120, 3_000, "riding"), (1_200, 100, "alone")],
    ids=["fits", "too long"],
)
def test_sound_that_does_not_fit_goes_alone(audio: int, video: int, expected: str):
    layout = Layout(Codec.H264, 102, 111)
    mux = RtpMux(layout, Origin.random(random.Random(1).getrandbits, "c"), 0, lambda lane: True)
    first = list(mux.take(opus(0), 0.0))
    assert first == []
    assert [type(piece) for piece in mux.take(opus(1), 0.02)] == [Sound]
    held = opus(2)
    held.data = b"\xfc" + bytes(audio)
    assert [type(piece) for piece in mux.take(held, 0.04)] == [Sound]
    (piece,) = mux.take(picture(1, size=video), 0.04)
    assert isinstance(piece, Picture)
    assert (piece.rider is not None) is (expected == "riding")
    assert [type(each) for each in mux.flush(0.05)] == ([] if piece.rider else [Sound])


# Clocks.


@given(st.integers(0, 10**13), st.sampled_from([48_000, 90_000]))
def test_ticks_are_exact_to_half_a_tick(pts: int, rate: int):
    assert abs(ticks(pts, rate) * 1_000_000 - pts * rate) <= 500_000


def test_the_media_clock_takes_the_earliest_and_follows_a_jump():
    clock = MediaClock()
    assert clock.pts(0.0) is None
    clock.observe(0, 10.0)
    clock.observe(1_000_000, 10.9)
    assert clock.pts(11.9) == 2_000_000
    clock.observe(2_000_000, 12.4)  # late by half a second: hardly believed
    assert abs(clock.pts(12.4) - 2_500_000) < 1_000
    clock.observe(100_000_000, 13.0)
    assert clock.pts(13.0) == 100_000_000
    clock.observe(0, 20.0)
    assert clock.pts(20.0) == 0


def test_a_source_that_jumps_takes_its_opus_timestamps_along():
    sound = SendingSource(OPUS, 111, 8, rate=48_000, timestamp_base=5, history=History(0))
    stamps = [parse_rtp(sound.packets(opus(n), 0.0)[0]).timestamp for n in (0, 1, 2, 50, 51)]
    assert stamps == [5, 965, 1_925, 48_005, 48_965]


# Bandwidth.


def feedback_of(log: TransportLog, first: int, count: int, delay: float) -> TransportFeedback:
    arrivals = []
    for number in range(first, first + count):
        sent = log.sent(number & 0xFFFF)
        assert sent is not None
        arrivals.append(round((sent[0] + delay) * 1e6))
    return TransportFeedback(1, 2, 0, first & 0xFFFF, arrivals)


def test_a_growing_queue_lowers_the_estimate_and_an_empty_one_raises_it():
    log, bandwidth = TransportLog(), Bandwidth()
    now, number = 0.0, 0
    rates = []
    for delay in [0.02] * 30 + [0.02 + 0.01 * n for n in range(1, 20)]:
        for _ in range(10):
            log.add(1_250, now)
        now += 0.1  # 1 Mbit/s
        bandwidth.feedback(feedback_of(log, number, 10, delay), log, now)
        number += 10
        rates.append(bandwidth.estimate(now))
    assert rates[29] > 1_000_000
    assert rates[-1] < 1_000_000
    assert bandwidth.estimate(now + 60) is None


def test_the_least_of_what_is_known_is_the_estimate_and_old_news_do_not_count():
    bandwidth = Bandwidth()
    assert bandwidth.estimate(0.0) is None
    assert bandwidth.loss(0.0) == 0.0
    bandwidth.remb(500_000, 0, 1.0)
    assert bandwidth.estimate(2.0) == 500_000
    assert bandwidth.estimate(20.0) is None
    bandwidth.report(0.3, 1.0)
    bandwidth.report(0.0, 2.0)
    assert bandwidth.loss(2.0) == pytest.approx(0.15)
    assert bandwidth.loss(20.0) == 0.0


def test_feedback_about_what_was_never_sent_says_nothing():
    log, bandwidth = TransportLog(), Bandwidth()
    bandwidth.feedback(TransportFeedback(1, 2, 0, 9, [1_000, None, 2_000]), log, 0.0)
    assert bandwidth.estimate(0.0) is None
    for _ in range(TransportLog.SIZE + 10):
        log.add(100, 0.0)
    assert log.sent(5) is None
    assert log.sent(100) is not None


# Quality.


def decided(quality: Quality, rates, seconds: int, *, start: float = 0.0, **network) -> list[int]:
    return [
        quality.decide(rates, network.get("limit"), network.get("loss", 0.0), start + second)
        for second in range(seconds)
    ]


def test_the_best_layer_that_flows_and_fits_is_the_first_choice():
    assert decided(Quality(), [2e6, 1e6, 3e5], 3) == [0, 0, 0]
    assert decided(Quality(), [9e6, 4e6, 3e5], 3) == [2, 2, 2]
    assert decided(Quality(), [0, 1e6, 3e5], 3) == [1, 1, 1]
    assert decided(Quality(), [0, 0], 3) == [0, 0, 0]


def test_a_full_path_leads_down_to_what_fits_at_once_and_no_further():
    quality = Quality()
    decided(quality, [2e6, 1e6, 3e5], 1)
    assert decided(quality, [2e6, 1e6, 3e5], 5, start=1.0, limit=4e5) == [2] * 5


def test_losses_lead_down_after_more_than_a_burst():
    quality = Quality()
    decided(quality, [2e6, 1e6, 3e5], 1)
    assert decided(quality, [2e6, 1e6, 3e5], 1, start=1.0, loss=0.4) == [0]
    assert decided(quality, [2e6, 1e6, 3e5], 2, start=2.0) == [0, 0]
    assert decided(quality, [2e6, 1e6, 3e5], 2, start=4.0, loss=0.4) == [0, 1]


def test_a_lower_layer_is_given_time_to_begin_before_the_next_step():
    quality = Quality()
    decided(quality, [2e6, 1e6, 3e5], 1)
    choices = decided(quality, [2e6, 1e6, 3e5], 4, start=1.0, limit=1.5e6)
    assert choices == [1, 1, 1, 1]
    assert decided(quality, [2e6, 1e6, 3e5], 2, start=2.0, limit=5e5) == [1, 1]
    assert decided(quality, [2e6, 1e6, 3e5], 1, start=4.0, limit=5e5) == [2]


def test_a_single_layer_falls_to_key_frames_only_in_ruin():
    quality = Quality()
    assert decided(quality, [1e6], 10, limit=7e5, loss=0.2) == [0] * 10
    assert decided(quality, [1e6], 10, start=10.0, limit=1e4) == [0] * 10
    assert decided(quality, [1e6], 5, start=20.0, limit=3e5, loss=0.5)[-1] == 1


def test_going_up_is_tried_after_a_calm_and_less_often_after_each_failure():
    quality = Quality()
    rates = [2e6, 5e5]
    decided(quality, rates, 1)
    tries = []
    choice = 0
    for second in range(1, 300):
        limit = 1e6 if choice == 0 else None
        before, choice = choice, quality.decide(rates, limit, 0.0, float(second))
        if before == 1 and choice == 0:
            tries.append(second)
    gaps = [b - a for a, b in itertools.pairwise(tries)]
    assert gaps == sorted(gaps)
    assert gaps[-1] > 50


def test_light_loss_neither_raises_nor_lowers():
    quality = Quality()
    decided(quality, [2e6, 5e5], 1)
    decided(quality, [2e6, 5e5], 4, start=1.0, limit=6e5)
    assert decided(quality, [2e6, 5e5], 60, start=10.0, loss=0.08) == [1] * 60


def test_a_paused_layer_is_passed_over_on_the_way_up():
    quality = Quality()
    rates = [2e6, 1e6, 3e5]
    decided(quality, rates, 1)
    decided(quality, rates, 4, start=1.0, limit=3.5e5)
    assert decided(quality, [2e6, 0, 3e5], 10, start=10.0)[-1] == 0


def test_a_lane_knows_its_rate():
    lane = Lane(source())
    for number in range(120):
        lane.measure(5_000, number * 33_333)
    assert lane.rate == pytest.approx(1.2e6, rel=0.05)


# Numbering.


def test_numbers_go_on_without_a_gap_across_lanes_and_old_ones_are_found():
    one, two = Lane(source(1_000)), Lane(source(5_000))
    numbering = Numbering()
    assert not numbering.begun
    numbering.move(one, 1_010, 0)
    assert numbering.shift == 0
    numbering.move(two, 5_500, 1_100)
    assert numbering.shift == 1_100 - 5_500
    stretch = numbering.find(1_099)
    assert stretch is not None
    assert stretch.lane is one
    stretch = numbering.find(1_100)
    assert stretch is not None
    assert stretch.lane is two
    assert 1_100 - stretch.shift == 5_500
    assert numbering.find(1_009) is None
    numbering.move(one, 1_300, 1_100)  # nothing was sent of the other
    stretch = numbering.find(1_100)
    assert stretch is not None
    assert stretch.lane is one


def test_numbers_go_on_where_those_of_forgotten_lanes_ended():
    numbering = Numbering(begun=True)
    numbering.move(Lane(source(1_000)), 1_000, 70_000)
    assert (numbering.shift, numbering.shared) == (69_000, False)
    assert numbering.find(69_999) is None
    same = Numbering(begun=True)
    same.move(Lane(source(1_000)), 1_000, 1_000)
    assert (same.shift, same.shared) == (0, True)


def test_packets_with_other_times_are_not_shared_though_their_numbers_are_the_stream_s():
    lane = Lane(source(1_000))
    numbering = Numbering(begun=True)
    numbering.move(lane, 1_000, 1_000, Warp(0, 500, 4))
    assert (numbering.shift, numbering.shared) == (0, False)
    numbering.move(lane, 1_010, 1_010)
    assert numbering.shared


@pytest.mark.parametrize("first", [0, 0xFFFF_F000])
def test_who_has_overtaken_the_stream_in_a_replay_stays_ahead_of_it(first):
    def wrapped(time: int) -> int:
        return first + time & 0xFFFF_FFFF

    warp = Warp(wrapped(0), wrapped(90_000), 4)  # a second of pictures, begun at its end
    assert warp.after(wrapped(120_000), 3_000) is None  # the stream went on for a third
    ahead = warp.after(wrapped(90_000), 3_000)
    assert ahead is not None
    last = warp.timestamp(wrapped(90_000))
    assert [(ahead.timestamp(wrapped(t)) - last) & 0xFFFF_FFFF for t in (90_000, 93_000)] == [
        0,
        3_000,
    ]


# Selection.


def test_a_selection_is_read_from_a_query():
    assert Selection.parse({}) == Selection()
    assert Selection.parse({"layer": "2", "audio": "none"}) == Selection(2, with_audio=False)
    assert Selection.parse({"video": "1", "layer": "0"}) == Selection(1)
    assert Selection.parse({"video": "h264", "audio": "auto"}) == Selection()


@pytest.mark.parametrize(
    "query",
    [
        {"layer": "high"},
        {"video": "-1"},
        {"audio": "256"},
        {"audio": "٣"},
        {"video": "9" * 5_000},
        {"video": "none", "audio": "none"},
    ],
)
def test_nonsense_in_a_selection_is_refused(query):
    with pytest.raises(Refused) as refused:
        Selection.parse(query)
    assert refused.value.code is RefusalCode.BAD_REQUEST
