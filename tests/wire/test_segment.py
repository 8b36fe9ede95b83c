"""Segmenter: where parts and segments are cut, and that nothing is lost or said twice."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kit.media import aac_frame, aac_track, avc_frame, avc_track, sample_packets

from livetrio.packet import Codec, Kind, Packet, Track
from livetrio.wire.segment import Part, SegmentEnd, Segmenter, SegmentLimits, SegmentStart
from livetrio.wire.vp import VpConfig

ALL = frozenset(Codec)
SECOND = 1_000_000
AVC = avc_track()
AAC = aac_track()


def config(track: Track) -> Packet:
    return Packet(track, 0, 0, track.config, config=True)


def frame(ms: float, *, key: bool = False, track: Track = AVC, data: bytes = b"") -> Packet:
    dts = round(ms * 1000)
    return Packet(track, dts, dts, data or avc_frame(key=key), key=key)


def sound(ms: float, track: Track = AAC) -> Packet:
    return Packet(track, round(ms * 1000), round(ms * 1000), aac_frame(), key=True)


def run(packets, *, end: bool = True, codecs=ALL, **limits):
    """All events of packets through a fresh segmenter."""
    segmenter = Segmenter(SegmentLimits(**limits), codecs)
    events = [event for packet in packets for event in segmenter.feed(packet)]
    return events + (segmenter.end() if end else [])


def outline(events) -> str:
    """ "[" a segment begins ("!" with a discontinuity), its parts' milliseconds, "]"."""
    words = []
    for event in events:
        match event:
            case SegmentStart():
                words.append("[!" if event.discontinuity else "[")
            case Part():
                words.append(f"{event.duration // 1000}{'i' if event.independent else ''}")
            case SegmentEnd():
                words.append("]")
    return " ".join(words)


def video_run(seconds: float, *, fps: int = 25, gop: int = 25, begin: float = 0.0):
    for index in range(round(seconds * fps)):
        yield frame(begin * 1000 + index * 1000 / fps, key=index % gop == 0)


def only_video(seconds: float, **how):
    return [config(AVC), *video_run(seconds, **how)]


def test_segments_begin_at_the_first_key_frame_after_the_target():
    events = run(only_video(5.0), target=2 * SECOND, part=0)
    assert outline(events) == "[ 2000i ] [ 2000i ] [ 1000i ]"


def test_a_target_of_zero_cuts_at_every_key_frame():
    assert outline(run(only_video(3.0), target=0, part=0)) == "[ 1000i ] [ 1000i ] [ 1000i ]"


def test_parts_hold_as_many_whole_frames_as_fit():
    events = run(only_video(1.2), target=SECOND)
    assert outline(events) == "[ 200i 200 200 200 200 ] [ 200i ]"


@pytest.mark.parametrize(
    ("fps", "first", "target"),
    [(30, 200, 208), (25, 200, 208), (15, 200, 209), (8, 250, 260), (3, 333, 347)],
)
def test_the_part_target_is_a_multiple_of_the_frame_that_every_part_nearly_fills(
    fps, first, target
):
    packets = only_video(4.0, fps=fps, gop=fps * 2)
    segmenter = Segmenter(SegmentLimits(target=2 * SECOND), ALL)
    parts = [e for p in packets for e in segmenter.feed(p) if isinstance(e, Part)]
    assert parts[0].duration // 1000 == first
    assert segmenter.part_target // 1000 == target
    assert all(part.duration <= segmenter.part_target for part in parts)
    inner = [part for part in parts if not part.independent]
    assert inner
    assert all(part.duration >= 0.85 * segmenter.part_target for part in inner[:3])


def test_a_single_frame_longer_than_the_part_target_lifts_it():
    segmenter = Segmenter(SegmentLimits(target=4 * SECOND, settle=0), ALL)
    for packet in [config(AVC), frame(0, key=True), frame(40), frame(80), frame(1080), frame(1120)]:
        segmenter.feed(packet)
    assert segmenter.part_target == 1_040_000


def test_sound_goes_into_the_part_during_which_it_begins():
    events = run(sample_packets(3.0), target=SECOND)
    parts = [event for event in events if isinstance(event, Part)]
    for part in parts[:-1]:
        end = part.start + part.duration
        assert all(sample.dts < end for sample in part.samples[1])
    assert all(part.samples[1] for part in parts)


def test_every_frame_comes_out_once_in_order_with_durations_that_add_up():
    packets = [p for p in sample_packets(4.0) if p.track.kind is not Kind.DATA]
    events = run(packets, target=SECOND)
    for lane, kind in enumerate((Kind.VIDEO, Kind.AUDIO)):
        samples = [s for e in events if isinstance(e, Part) for s in e.samples[lane]]
        wanted = [p for p in packets if p.track.kind is kind and not p.config]
        assert [s.dts for s in samples] == [p.dts for p in wanted]
        assert [s.data for s in samples] == [p.data for p in wanted]
        ends = [sample.dts + sample.duration for sample in samples]
        assert ends[:-1] == [sample.dts for sample in samples[1:]]


def test_the_parts_of_a_segment_add_up_to_it_and_segments_follow_without_a_gap():
    events = run(sample_packets(5.0), target=SECOND)
    begun, lasted, previous = 0, 0, None
    for event in events:
        if isinstance(event, Part):
            begun = event.start if not lasted else begun
            lasted += event.duration
        elif isinstance(event, SegmentEnd):
            assert (event.start, event.duration) == (begun, lasted)
            assert previous is None or previous == event.start
            previous, lasted = event.start + event.duration, 0


def test_sound_alone_is_cut_anywhere():
    packets = [config(AAC), *(sound(index * 1024 / 48) for index in range(200))]
    events = run(packets, target=SECOND, part=0)
    durations = [event.duration for event in events if isinstance(event, SegmentEnd)]
    assert all(SECOND <= duration < 1_030_000 for duration in durations[:-1])
    assert len(durations) == 5


def test_sound_alone_may_be_cut_less_often_than_pictures():
    packets = [config(AAC), *(sound(n * 20) for n in range(151))]
    events = run(packets, target=0, sound=SECOND, part=0)
    assert outline(events) == "[ 1000i ] [ 1000i ] [ 1000i ] [ 20i ]"
    both = [config(AVC), config(AAC), *video_run(1.0, gop=5), *(sound(n * 20) for n in range(50))]
    both.sort(key=lambda packet: packet.dts)
    assert outline(run(both, target=0, sound=SECOND, part=0)).count("[") == 5


def test_sound_waits_for_the_picture_that_begins_a_little_later():
    packets = [config(AAC), *(sound(t) for t in range(0, 400, 20)), config(AVC)]
    packets += [frame(400, key=True), sound(400), frame(440), sound(440), frame(480)]
    events = run(packets)
    assert [t.kind for t in events[0].tracks] == [Kind.VIDEO, Kind.AUDIO]
    assert outline(events).count("[") == 1


def test_the_beginning_does_not_wait_for_a_second_track_that_never_comes():
    events = run(only_video(2.0), end=False, settle=SECOND, target=SECOND)
    assert isinstance(events[0], SegmentStart)


def test_the_beginning_holds_back_a_bounded_number_of_packets_whatever_their_times():
    segmenter = Segmenter(SegmentLimits(), ALL)
    events = [e for _ in range(2_100) for e in segmenter.feed(sound(0))]
    assert isinstance(events[0], SegmentStart)


def test_a_stream_without_any_key_frame_is_cut_by_time():
    packets = [config(AVC), *(frame(index * 40) for index in range(25 * 30))]
    events = run(packets, longest=5 * SECOND, part=0)
    durations = [event.duration for event in events if isinstance(event, SegmentEnd)]
    assert durations[:2] == [5 * SECOND, 5 * SECOND]
    assert not any(event.independent for event in events if isinstance(event, SegmentEnd))


def test_a_segment_ends_before_the_frame_that_would_make_it_too_long():
    packets = [config(AVC), *(frame(ms, key=not ms) for ms in range(0, 2500, 300))]
    assert outline(run(packets, longest=SECOND, part=0, settle=0)) == "[ 900i ] [ 900 ] [ 900 ]"


def test_the_longest_may_be_lowered_while_it_runs():
    segmenter = Segmenter(SegmentLimits(target=SECOND, part=0, settle=0), ALL)
    segmenter.longest = SECOND // 2
    events = [e for p in [config(AVC), *video_run(2, gop=100)] for e in segmenter.feed(p)]
    assert outline(events) == "[ 480i ] [ 480 ] [ 480 ] [ 480 ] ["


def test_of_uneven_key_frames_an_early_one_is_taken_if_the_next_may_come_too_late():
    keys = {0, 2000, 2600, 4600, 5200, 7200}
    packets = [config(AVC), *(frame(ms, key=ms in keys) for ms in range(0, 8000, 200))]
    limits = {"target": 2500_000, "longest": 3_500_000, "part": 0, "settle": 0}
    assert outline(run(packets, **limits)) == "[ 2000i ] [ 2600i ] [ 2600i ] [ 800i ]"


def test_a_segment_is_cut_by_size():
    packets = [config(AVC), frame(0, key=True)]
    packets += [frame(40 * index, data=bytes(1000)) for index in range(1, 100)]
    events = run(packets, size=10_000, part=0)
    sizes = [event.size for event in events if isinstance(event, Part)]
    assert len(sizes) > 5
    assert max(sizes) <= 11_000


def test_a_new_configuration_begins_a_segment_with_other_tracks_and_a_discontinuity():
    other = avc_track(128, 128)
    packets = only_video(1.0)
    packets += [config(other), frame(1000, key=True, track=other), frame(1040, track=other)]
    events = run(packets, part=0)
    assert outline(events) == "[ 1000i ] [! 80i ]"
    starts = [event for event in events if isinstance(event, SegmentStart)]
    assert starts[1].tracks[0].width == 128


def test_the_same_configuration_announced_again_changes_nothing():
    again = replace(AVC)
    packets = only_video(1.0)
    packets += [config(again), *(replace(p, track=again) for p in video_run(1.0, begin=1.0))]
    assert "!" not in outline(run(packets, target=SECOND))


def test_until_its_key_frame_comes_nothing_of_a_new_configuration_goes_out():
    other = avc_track(128, 128)
    packets = only_video(1.0)
    packets += [config(other), frame(1000, track=other), frame(1040, key=True, track=other)]
    events = run(packets, part=0)
    assert outline(events) == "[ 1000i ] [! 20i ]"


def test_sound_that_begins_late_joins_at_the_next_key_frame():
    packets = [*only_video(1.0, gop=25), config(AAC), sound(1000)]
    packets += video_run(1.0, begin=1.0)
    packets.insert(-10, sound(1600))
    events = run(packets, settle=SECOND // 2, part=0)
    starts = [event for event in events if isinstance(event, SegmentStart)]
    assert [len(start.tracks) for start in starts] == [1, 2]


@pytest.mark.parametrize("jump", [-500, 60_000])
def test_a_jump_of_the_clock_begins_another_timeline(jump):
    packets = [*only_video(1.0), *video_run(1.0, begin=1.0 + jump / 1000)]
    assert outline(run(packets, part=0)) == "[ 1000i ] [! 1000i ]"


def test_after_the_end_it_begins_anew_with_a_discontinuity_at_a_key_frame():
    segmenter = Segmenter(SegmentLimits(settle=0, part=0), ALL)
    first = [e for p in only_video(1.0) for e in segmenter.feed(p)] + segmenter.end()
    packets = [frame(5000), *video_run(1.0, begin=5.04)]
    second = [e for p in packets for e in segmenter.feed(p)] + segmenter.end()
    assert outline(first) == "[ 1000i ]"
    assert outline(second) == "[! 1000i ]"


def test_ending_what_never_began_says_nothing():
    segmenter = Segmenter(SegmentLimits(), ALL)
    assert segmenter.end() == []
    segmenter.feed(config(AVC))
    assert segmenter.end() == []


def test_codecs_that_are_not_carried_and_metadata_are_passed_over():
    script = Track(Kind.DATA, Codec.SCRIPT)
    packets = [Packet(script, 0, 0, b"", config=True), config(AAC), sound(0), sound(20)]
    assert run(packets, codecs=frozenset({Codec.H264})) == []


def vp9_key_frame() -> bytes:
    bits = f"10 00 0 0 1 0 {0x498342:024b} 000 0 {640 - 1:016b} {360 - 1:016b}".replace(" ", "")
    return int(bits.ljust(-len(bits) % 8 + len(bits), "0"), 2).to_bytes(-(-len(bits) // 8), "big")


@pytest.mark.parametrize(
    ("codec", "data", "size"),
    [
        (Codec.VP9, vp9_key_frame(), (640, 360)),
        (Codec.VP8, bytes.fromhex("100000 9d012a 8002 6801"), (640, 360)),
        (Codec.VP8, b"\x10", (0, 0)),
        (Codec.VP9, b"\x86\x00", (0, 0)),
    ],
)
def test_the_size_that_only_key_frames_tell_is_read_from_them(codec, data, size):
    track = Track(Kind.VIDEO, codec, config=VpConfig(0, 31, 8, 1).build())
    again = replace(track)  # said anew with every key frame, without its size
    packets = [config(track), frame(0, key=True, track=track, data=data), config(again)]
    packets += [frame(40, track=again, data=data), frame(80, key=True, track=again, data=data)]
    starts = [event for event in run(packets) if isinstance(event, SegmentStart)]
    assert [(start.tracks[0].width, start.tracks[0].height) for start in starts] == [size]


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 3), st.integers(-50, 400)), max_size=80))
@settings(max_examples=200, deadline=None)
def test_whatever_comes_segments_open_and_close_in_turn_and_no_sample_comes_twice(steps):
    clock = {Kind.VIDEO: 1_000.0, Kind.AUDIO: 1_000.0}
    packets: list[Packet] = []
    tracks = [avc_track(), avc_track(128, 128)]
    for is_video, choice, step in steps:
        kind = Kind.VIDEO if is_video else Kind.AUDIO
        clock[kind] += step
        if is_video:
            packets.append(frame(clock[kind], key=choice > 1, track=tracks[choice % 2]))
        else:
            packets.append(sound(clock[kind]))
    events = run(packets, target=SECOND, longest=3 * SECOND, settle=SECOND // 4)
    depth = 0
    seen: list[bytes] = []
    for event in events:
        if isinstance(event, SegmentStart):
            assert depth == 0
            depth = 1
            lanes = len(event.tracks)
        elif isinstance(event, SegmentEnd):
            assert depth == 1
            depth = 0
            assert event.duration >= 0
        else:
            assert depth == 1
            assert len(event.samples) == lanes
            seen += [id(s.data) for samples in event.samples for s in samples]
    assert depth == 0
    assert len(seen) <= len(packets)


def test_a_clock_that_jumps_twice_between_two_pictures_ends_one_segment_only():
    packets = [config(AVC), config(AAC), frame(0, key=True), sound(0), frame(40), sound(20)]
    packets += [sound(60_000), sound(200_000)]
    assert outline(run(packets, part=0)) == "[ 80i ]"


def test_a_track_that_is_announced_and_silent_ends_with_the_others():
    events = run([config(AVC), config(AAC), frame(0, key=True), frame(40)], part=0)
    assert outline(events) == "[ 80i ]"
    assert [len(samples) for samples in events[1].samples] == [2, 0]


def test_sound_that_is_ahead_of_the_picture_goes_into_the_segment_it_belongs_to():
    packets = [config(AVC), config(AAC), frame(0, key=True)]
    packets += [sound(time) for time in (0, 20, 40, 60, 80)]
    events = run([*packets, frame(40, key=True), frame(80)], target=0, part=0)
    parts = [event for event in events if isinstance(event, Part)]
    assert [[s.dts // 1000 for s in part.samples[1]] for part in parts] == [[0, 20], [40, 60, 80]]
