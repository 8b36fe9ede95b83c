"""The parts of a receive track, one by one: order, repair, frames, clock, layers, key frames."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kit.media import avc_config
from kit.rtp_source import avc_units, h264_payloads, vp8_frame, vp8_payloads

from livetrio.packet import Codec, Kind
from livetrio.webrtc.assembly import MAX_FRAME, FrameAssembler
from livetrio.webrtc.congestion import ArrivalLog, RembEstimate
from livetrio.webrtc.key_frames import KeyFrameWish
from livetrio.webrtc.layers import Layers
from livetrio.webrtc.missing import MAX_MISSING, MissingPackets
from livetrio.webrtc.outlet import Outlet
from livetrio.webrtc.reorder import MAX_BYTES, MAX_PACKETS, ReorderBuffer
from livetrio.webrtc.sender_clock import SenderClock
from livetrio.wire.rtp.depacketize import Frame
from livetrio.wire.rtp.depacketize.h264 import H264Depacketizer
from livetrio.wire.rtp.depacketize.vp8 import Vp8Depacketizer
from livetrio.wire.rtp.header import RtpPacket
from livetrio.wire.rtp.twcc import TransportFeedback


def rtp(sequence: int, payload: bytes = b"x", *, timestamp: int = 0, marker: bool = True):
    return RtpPacket(marker, 96, sequence & 0xFFFF, timestamp, 1, payload)


class Order:
    """What a reorder buffer let out: numbers, and "lost" between them."""

    def __init__(self) -> None:
        self.seen: list[int | str] = []
        self.buffer = ReorderBuffer(
            lambda packet, now: self.seen.append(packet.sequence),
            lambda: self.seen.append("lost"),
        )

    def push(self, *numbers: int, size: int = 1) -> list[bool]:
        return [self.buffer.push(number, rtp(number, bytes(size)), 0.0) for number in numbers]


def test_packets_leave_in_order_whatever_order_they_came_in():
    order = Order()
    order.push(5, 7, 9, 8)
    assert (order.seen, len(order.buffer)) == ([5], 3)
    order.push(6)
    assert order.seen == [5, 6, 7, 8, 9]


def test_duplicates_and_what_comes_too_late_are_told_and_kept_out():
    order = Order()
    assert order.push(5, 5, 4, 7, 7) == [True, False, False, True, False]
    assert order.seen == [5]


def test_a_hole_that_is_given_up_is_named_in_its_place():
    order = Order()
    order.push(5, 7, 9)
    order.buffer.skip(0.0)
    assert order.seen == [5, "lost", 7]
    order.buffer.skip(0.0)
    order.buffer.skip(0.0)
    assert order.seen == [5, "lost", 7, "lost", 9]


@pytest.mark.parametrize(("size", "fits"), [(1, MAX_PACKETS), (4000, MAX_BYTES // 4000)])
def test_what_waits_behind_a_hole_is_bounded_in_packets_and_bytes(size, fits):
    order = Order()
    order.push(0, *range(2, fits + 2), size=size)
    assert order.seen == [0]
    order.push(fits + 2, size=size)
    assert order.seen[:3] == [0, "lost", 2]
    assert len(order.buffer) == 0


def test_a_restart_lets_out_what_waits_and_goes_on_elsewhere():
    order = Order()
    order.push(5, 7)
    order.buffer.restart(40_000, 0.0)
    order.push(40_000)
    assert order.seen == [5, "lost", 7, "lost", 40_000]


@given(st.randoms(use_true_random=False), st.integers(1, 200))
def test_any_shuffle_without_loss_leaves_in_order(shuffle: random.Random, count: int):
    order = Order()
    numbers = list(range(1, count))
    shuffle.shuffle(numbers)
    order.push(0, *numbers)
    assert order.seen == list(range(count))


def test_a_missing_packet_is_asked_for_after_a_reordering_and_again_after_round_trips():
    missing = MissingPackets(patience=1.0, rtt=0.1)
    assert missing.add(10, 12, 0.0)
    assert missing.due(0.005) == []
    assert missing.due(0.011) == [10, 11]
    assert missing.due(0.05) == []
    assert missing.due(0.15) == [10, 11]
    missing.arrived(10, 0.16)
    assert missing.due(0.4) == [11]
    assert (missing.nacks, missing.recovered, missing.given_up) == (5, 1, 0)


def test_the_round_trip_is_learned_from_first_tries_only():
    missing = MissingPackets(patience=1.0, rtt=0.1)
    missing.add(1, 3, 0.0)
    missing.due(0.02)
    missing.arrived(1, 0.04)
    assert missing.rtt == pytest.approx(0.09)
    missing.due(0.3)
    missing.arrived(2, 0.31)
    missing.arrived(2, 0.32)
    assert missing.rtt == pytest.approx(0.09)


def test_a_packet_that_was_only_late_is_no_repair():
    missing = MissingPackets(patience=1.0)
    missing.add(1, 2, 0.0)
    missing.arrived(1, 0.005)
    assert (missing.recovered, missing.pending) == (0, {})


def test_asking_ends_after_ten_tries_and_waiting_after_patience():
    missing = MissingPackets(patience=60.0, rtt=0.001)
    missing.add(1, 2, 0.0)
    asked = sum(len(missing.due(second)) for second in range(1, 50))
    assert asked == 10
    assert not missing.hopeless(59.0)
    assert missing.hopeless(61.0)
    missing.forget_before(2)
    assert not missing.hopeless(61.0)
    assert missing.given_up == 1


def test_what_nobody_needs_is_waited_for_no_longer_than_a_repair_takes():
    missing = MissingPackets(patience=1.0, rtt=0.1)
    missing.add(1, 2, 0.0)
    assert not missing.hopeless(0.19, needed=False)
    assert missing.hopeless(0.21, needed=False)
    assert not missing.hopeless(0.21)


def test_a_long_hole_is_not_taken_and_a_nack_is_bounded():
    missing = MissingPackets(patience=1.0)
    assert missing.add(0, MAX_MISSING, 0.0)
    assert not missing.add(MAX_MISSING, MAX_MISSING + 1, 0.0)
    assert missing.due(1.0) == list(range(128))
    assert missing.due(1.0) == list(range(128, 256))


class Frames:
    """What an assembler delivers."""

    def __init__(self, depacketizer=None, *, video: bool = True) -> None:
        self.seen: list[tuple[Frame, int]] = []
        self.assembler = FrameAssembler(
            depacketizer or Vp8Depacketizer(),
            lambda frame, timestamp, now: self.seen.append((frame, timestamp)),
            video=video,
        )

    def add(self, payloads, timestamp: int, *, marker: bool = True) -> None:
        last = len(payloads) - 1
        for i, payload in enumerate(payloads):
            packet = rtp(i, payload, timestamp=timestamp, marker=marker and i == last)
            self.assembler.add(packet, 0.0)

    @property
    def times(self) -> list[int]:
        return [timestamp for _, timestamp in self.seen]


KEY = vp8_payloads(vp8_frame(key=True, size=3000))
INTER = vp8_payloads(vp8_frame(key=False, size=3000))


def test_nothing_is_delivered_before_a_key_frame():
    frames = Frames()
    frames.add(INTER, 1)
    frames.add(KEY, 2)
    frames.add(INTER, 3)
    assert frames.times == [2, 3]
    assert (frames.assembler.frames, frames.assembler.keys, frames.assembler.dropped) == (2, 1, 1)


def test_a_frame_without_marker_ends_where_the_next_timestamp_begins():
    frames = Frames()
    frames.add(KEY, 1, marker=False)
    frames.add(INTER, 2)
    assert frames.times == [1, 2]


def test_after_a_loss_the_rest_of_a_frame_is_dropped_and_a_key_frame_waited_for():
    frames = Frames()
    frames.add(KEY, 1)
    frames.add(INTER[:1], 2, marker=False)
    frames.assembler.lost()
    frames.add(INTER[2:], 2)
    frames.add(INTER, 3)
    frames.add(KEY, 4)
    assert frames.times == [1, 4]
    assert frames.assembler.dropped == 2


def test_a_broken_frame_costs_a_key_frame_and_says_why():
    frames = Frames()
    frames.add(KEY, 1)
    frames.add([b"\x90\x80\x80\x01\x11", b"\x90"], 2)
    assert frames.assembler.wants_key
    assert "descriptor" in frames.assembler.reason
    frames.add(KEY, 3)
    assert frames.times == [1, 3]


def test_padding_alone_is_no_frame_and_breaks_none():
    frames = Frames()
    frames.add(KEY, 1)
    frames.add([b""], 1)
    frames.add([b"", *INTER, b""], 2, marker=False)
    frames.add([b""], 2)
    assert frames.times == [1, 2]


def test_a_frame_beyond_the_bound_is_given_up():
    frames = Frames()
    frames.add([KEY[0], *[b"\x80\x80\x80\x01" + bytes(60_000)] * (MAX_FRAME // 60_000 + 1)], 1)
    assert frames.seen == []
    assert "4194304 bytes" in frames.assembler.reason


def test_sound_goes_on_through_losses_packet_by_packet():
    class Opusish:
        def begins(self, payload):
            return True

        def frame(self, payloads):
            (payload,) = payloads
            return Frame(payload, True)

    frames = Frames(Opusish(), video=False)
    frames.add([b"a"], 1, marker=False)
    frames.assembler.lost()
    frames.add([b"b"], 2, marker=False)
    frames.add([b""], 3, marker=False)
    assert frames.times == [1, 2]
    assert not frames.assembler.wants_key


def test_a_configuration_before_the_key_frame_is_not_forgotten():
    frames = Frames(H264Depacketizer())
    sps, pps, idr = avc_units(key=True)
    slices = avc_units(key=False, number=1)
    frames.add(h264_payloads([sps, pps, *slices]), 1)
    frames.add(h264_payloads([idr]), 2)
    ((frame, timestamp),) = frames.seen
    assert (timestamp, frame.record) == (2, avc_config(64, 64))


def test_a_repeated_configuration_does_not_hide_the_newest():
    frames = Frames(H264Depacketizer())
    frames.add(h264_payloads([*avc_units(key=True)[:2], *avc_units(key=False)]), 1)
    frames.add(h264_payloads(avc_units(key=True, width=128)), 2)
    ((frame, _),) = frames.seen
    assert frame.record == avc_config(128, 64)


NTP = 3_900_000_000 << 32


def ntp(seconds: float) -> int:
    return NTP + int(seconds * (1 << 32))


def test_before_reports_tracks_are_placed_by_arrival():
    clock = SenderClock()
    sound, picture = clock.track(48_000, audio=True), clock.track(90_000, audio=False)
    assert sound.time(1_000, 50.0) == 0
    assert picture.time(0xFFFF_FFFF, 50.1) == 100_000
    assert sound.time(1_960, 50.5) == 20_000
    assert picture.time(2_999, 50.5) == pytest.approx(133_333, abs=1)


def test_opus_ticks_become_exact_microseconds_through_the_wrap():
    clock = SenderClock().track(48_000, audio=True)
    times = [clock.time((0xFFFF_F000 + 960 * i) & 0xFFFF_FFFF, i / 50) for i in range(20)]
    assert times == [20_000 * i for i in range(20)]


def test_reports_bring_picture_and_sound_together_without_a_jump():
    clock = SenderClock()
    sound, picture = clock.track(48_000, audio=True), clock.track(90_000, audio=False)
    # The picture left together with the sound and arrived 120 ms later.
    sound.time(0, 10.0)
    picture.time(0, 10.12)
    sound.report(ntp(0), 0)
    picture.report(ntp(0), 0)
    times = [picture.time(3_000 * i, 10.12 + i / 30) for i in range(1, 120)]
    steps = [after - before for before, after in itertools.pairwise(times)]
    assert all(31_000 < step < 34_000 for step in steps)
    assert times[-1] == 3_000 * 119 * 1_000_000 // 90_000
    assert sound.time(960 * 200, 14.0) == 4_000_000


def test_without_sound_the_first_picture_is_the_reference():
    clock = SenderClock()
    high, low = clock.track(90_000, audio=False), clock.track(90_000, audio=False)
    assert clock.reference is high
    high.time(0, 1.0)
    low.time(500_000, 1.04)
    high.report(ntp(0), 0)
    low.report(ntp(0), 500_000)
    for i in range(1, 60):
        high.time(3_000 * i, 1 + i / 30)
        low.time(500_000 + 3_000 * i, 1.04 + i / 30)
    assert high.time(180_000, 3.0) == low.time(680_000, 3.04) == 2_000_000


def test_a_report_that_overtakes_the_first_packet_counts():
    clock = SenderClock()
    picture = clock.track(90_000, audio=False)
    picture.report(ntp(0), 0)
    picture.time(9_000, 1.0)
    assert picture.ntp_offset is not None


def test_a_sender_without_a_clock_and_an_impossible_report_change_nothing():
    clock = SenderClock()
    sound, picture = clock.track(48_000, audio=True), clock.track(90_000, audio=False)
    sound.time(0, 0.0)
    picture.time(0, 0.0)
    picture.report(0, 0)
    assert picture.ntp_offset is None
    sound.report(ntp(0), 0)
    picture.report(ntp(100), 0)
    assert picture.time(90_000, 1.0) == 1_000_000
    assert picture.refused == 1


def test_a_picture_stays_where_it_is_until_the_sound_has_a_report_too():
    clock = SenderClock()
    sound, picture = clock.track(48_000, audio=True), clock.track(90_000, audio=False)
    sound.time(0, 0.0)
    picture.time(0, 0.1)
    picture.report(ntp(0), 0)
    assert picture.time(90_000, 1.1) == 1_100_000


@pytest.mark.parametrize("ppm", [100, -100, 500])
def test_a_clock_that_drifts_stays_by_its_arrival_and_never_jumps(ppm: int):
    """20 hours; uncorrected, 100 ppm are 7 seconds, over the bound from which clocks jump."""
    clock = SenderClock()
    sound, picture = clock.track(48_000, audio=True), clock.track(90_000, audio=False)
    dice = random.Random(5)
    last = -1
    for second in range(72_000):
        jitter = dice.random() * 0.08 if second else 0.0
        ticks = second * (1 + ppm / 1_000_000)
        heard = sound.time(round(ticks * 48_000) & 0xFFFF_FFFF, second + jitter)
        shown = picture.time(round(ticks * 90_000) & 0xFFFF_FFFF, second + jitter)
        if second == 1:
            sound.report(ntp(ticks), 48_000)
            picture.report(ntp(ticks), 90_000)
        assert abs(heard - second * 1_000_000) < 150_000
        assert abs(shown - heard) < 20_000  # lip sync
        assert 990_000 < heard - last < 1_010_000 or second == 0
        last = heard
    assert sound.jumps == picture.jumps == 0


def test_a_network_that_comes_and_goes_moves_sound_by_less_than_is_heard():
    sound = SenderClock().track(48_000, audio=True)
    for frame in range(50 * 120):
        queued = 0.5 if 1_000 < frame < 3_000 else 0.0  # 40 s of a full buffer
        sound.time(960 * frame, frame / 50 + queued)
    assert abs(sound.time(960 * 6_000, 120.0) - 120_000_000) < 45_000


def test_a_clock_that_jumps_is_placed_by_arrival_anew():
    track = SenderClock().track(90_000, audio=False)
    track.time(0, 0.0)
    track.report(ntp(0), 0)
    assert track.time(90_000 * 1000, 1.0) == 1_000_000
    assert (track.jumps, track.ntp_offset) == (1, None)
    assert track.time(90_000 * 1000 + 90_000, 2.0) == 2_000_000


def test_the_best_layer_alive_is_the_first_track():
    layers = Layers(("l", "h"), 0)
    low, high = layers.get("l"), layers.get("h")
    assert not layers.admit(low, 100, 0.0, key=False)
    assert layers.admit(low, 100, 0.1, key=True)
    assert low.rank == 0
    assert layers.admit(high, 400, 0.2, key=True)
    assert (high.rank, low.rank) == (0, 1)
    assert not layers.admit(low, 100, 0.3, key=False)
    assert layers.admit(low, 100, 0.4, key=True)
    assert layers.admit(low, 100, 0.5, key=False)


def test_a_paused_layer_gives_its_place_to_the_next_and_takes_it_back():
    layers = Layers(("h", "l"), 0)
    high, low = layers.get("h"), layers.get("l")
    layers.admit(high, 400, 0.0, key=True)
    layers.admit(low, 100, 0.0, key=True)
    for i in range(13):
        layers.admit(low, 100, 0.1 * i, key=False)
    layers.pause(1.3)
    assert high.rank == 0
    layers.admit(low, 100, 1.4, key=False)
    layers.pause(1.4)
    assert (high.rank, low.rank) == (None, 0)
    assert not layers.admit(low, 100, 1.5, key=False)
    assert layers.admit(low, 100, 1.6, key=True)
    assert not layers.admit(high, 400, 2.0, key=False)
    assert layers.admit(high, 400, 2.1, key=True)
    assert (high.rank, low.rank) == (0, 1)


def test_a_still_screen_pauses_nothing():
    layers = Layers(("h", "l"), 0)
    layers.admit(layers.get("h"), 400, 0.0, key=True)
    layers.admit(layers.get("l"), 100, 0.0, key=True)
    layers.admit(layers.get("l"), 100, 100.0, key=False)
    layers.pause(100.0)
    assert layers.get("h").rank == 0


def test_of_equal_layers_the_one_named_first_is_better():
    layers = Layers(("a", "b"), 3)
    layers.admit(layers.get("b"), 100, 0.0, key=True)
    layers.admit(layers.get("a"), 100, 0.0, key=True)
    assert (layers.get("a").rank, layers.get("b").rank, layers.base) == (0, 1, 3)


def test_a_frame_without_any_configuration_goes_nowhere():
    layers = Layers((), 0)
    outlet = Outlet(Kind.VIDEO, layers, layers.get(""))
    assert outlet.packets(Codec.VP8, Frame(b"x", True), 0, 0.0) == []
    assert outlet.track_id is None


def test_many_wishes_are_one_request_and_a_key_frame_fulfils_them():
    wish = KeyFrameWish(interval=0, spacing=0.3, now=0.0)
    assert not wish.due(10.0)
    for _ in range(1000):
        wish.want()
    assert [wish.due(10.0 + i / 10) for i in range(5)] == [True, False, False, True, False]
    wish.came(10.5)
    assert not wish.due(20.0)
    assert wish.sent == 2


def test_a_source_has_time_for_its_own_first_key_frame():
    wish = KeyFrameWish(interval=2.0, spacing=0.3, now=0.0)
    wish.want()
    assert not wish.due(0.2)
    assert wish.due(0.31)


def test_a_key_frame_is_asked_for_when_none_came_for_the_interval():
    wish = KeyFrameWish(interval=2.0, spacing=0.3, now=0.0)
    wish.came(1.0)
    assert not wish.due(2.9)
    assert wish.due(3.0)


def read_feedback(log: ArrivalLog) -> list[TransportFeedback]:
    return [TransportFeedback.parse(1, 2, data[12:]) for data in log.feedback(1, 2)]


def test_arrivals_are_reported_once_with_the_holes_since_the_last_report():
    log = ArrivalLog()
    assert read_feedback(log) == []
    for number, now in ((0xFFFE, 1.0), (0xFFFF, 1.01), (1, 1.02)):
        log.add(number & 0xFFFF, now)
    (first,) = read_feedback(log)
    assert (first.base, first.count) == (0xFFFE, 0)
    assert [arrival is not None for arrival in first.arrivals] == [True, True, False, True]
    log.add(4, 1.05)
    log.add(4, 1.06)
    (second,) = read_feedback(log)
    assert (second.base, second.count) == (2, 1)
    assert [arrival is not None for arrival in second.arrivals] == [False, False, True]
    assert read_feedback(log) == []


def test_a_flood_of_transport_numbers_is_bounded():
    log = ArrivalLog()
    for number in range(0, 70_000, 7):
        log.add(number & 0xFFFF, 1.0)
    assert sum(len(data) for data in log.feedback(1, 2)) < 64_000


def test_remb_lets_a_sender_grow_and_holds_it_when_much_is_lost():
    remb = RembEstimate(start=300_000, most=2_000_000)
    assert remb.update(400_000, 0.0) == 600_000
    assert remb.update(100_000, 0.05) == 600_000
    assert remb.update(1_600_000, 0.0) == 2_000_000
    assert remb.update(1_000_000, 0.2) == 900_000
    assert remb.update(0, 0.9) == 100_000
