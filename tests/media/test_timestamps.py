"""The timestamp policy of media/timestamps.py, rule by rule."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from livetrio.media.timestamps import GAP, JUMP, RepairCounts, TimestampRepair
from livetrio.packet import Codec, Kind, Packet, Track

MS = 1000
WRAP = (1 << 32) * MS
VIDEO = Track(Kind.VIDEO, Codec.H264)
AUDIO = Track(Kind.AUDIO, Codec.AAC)
DATA = Track(Kind.DATA, Codec.SCRIPT)


def video(dts: int, cts: int = 0) -> Packet:
    return Packet(VIDEO, dts, dts + cts, b"v")


def audio(dts: int) -> Packet:
    return Packet(AUDIO, dts, dts, b"a", key=True)


def repaired(repair: TimestampRepair, *packets: Packet) -> list[int]:
    return [repair.apply(packet).dts for packet in packets]


def test_a_good_clock_is_left_alone():
    repair = TimestampRepair()
    times = [0, 33 * MS, 67 * MS, 100 * MS]
    assert repaired(repair, *map(video, times)) == times
    assert repair.counts == RepairCounts()


def test_composition_offsets_are_kept():
    repair = TimestampRepair(resume_after=5_000_000)
    packet = repair.apply(video(1000 * MS, cts=66 * MS))
    assert packet.pts - packet.dts == 66 * MS


def test_the_32_bit_wrap_goes_on_counting_for_each_track():
    repair = TimestampRepair()
    before, after = WRAP - 20 * MS, 13 * MS
    assert repaired(
        repair, audio(before), video(before), video(after), audio(before + 10 * MS)
    ) == [
        before,
        before,
        WRAP + after,
        before + 10 * MS,
    ]
    assert repaired(repair, audio(20 * MS), video(46 * MS)) == [WRAP + 20 * MS, WRAP + 46 * MS]
    assert (repair.counts.wraps, repair.counts.jumps) == (2, 0)


def test_a_straggler_from_before_the_wrap_keeps_its_place():
    repair = TimestampRepair()
    times = repaired(
        repair, video(WRAP - 20 * MS), video(5 * MS), video(WRAP - 10 * MS), video(38 * MS)
    )
    assert times == [WRAP - 20 * MS, WRAP + 5 * MS, WRAP + 5 * MS, WRAP + 38 * MS]
    assert repair.counts.backward == 1


def test_a_jump_of_hours_ahead_or_back_becomes_one_small_gap_for_all_tracks():
    for jump in (3 * 3600 * 1_000_000, -2 * 3600 * 1_000_000):
        repair = TimestampRepair()
        start = 10 * 3600 * 1_000_000
        repaired(repair, video(start), audio(start + 10 * MS))
        newest = repair.newest
        after = repaired(
            repair,
            video(start + jump),
            audio(start + jump + 10 * MS),
            video(start + jump + 33 * MS),
        )
        assert after == [newest + GAP, newest + GAP + 10 * MS, newest + GAP + 33 * MS]
        assert repair.counts.jumps == 1


def test_a_backward_step_is_held_at_the_last_time():
    repair = TimestampRepair()
    assert repaired(repair, video(100 * MS), video(60 * MS), video(133 * MS)) == [
        100 * MS,
        100 * MS,
        133 * MS,
    ]
    assert repair.counts.backward == 1


def test_sound_that_starts_30_seconds_late_and_sparse_data_are_no_jump():
    repair = TimestampRepair()
    repair.apply(Packet(DATA, 0, 0, b"cue"))
    for second in range(31):
        repair.apply(video(second * 1_000_000))
    assert repaired(repair, audio(30_000_000), Packet(DATA, 30_000_000, 30_000_000, b"")) == [
        30_000_000,
        30_000_000,
    ]
    assert repair.counts.jumps == 0


def test_a_returning_publisher_continues_after_what_viewers_have_seen():
    repair = TimestampRepair(resume_after=60_000_000)
    assert repaired(repair, video(0), audio(5 * MS), video(33 * MS)) == [
        60_000_000 + GAP,
        60_000_000 + GAP + 5 * MS,
        60_000_000 + GAP + 33 * MS,
    ]


def test_configuration_takes_the_streams_time_and_moves_nothing():
    repair = TimestampRepair(resume_after=60_000_000)
    config = Packet(VIDEO, 0, 0, b"avcC", config=True)
    assert repair.apply(config).dts == 60_000_000
    assert repaired(repair, video(7_000_000)) == [60_000_000 + GAP]
    assert repair.apply(Packet(VIDEO, 0, 0, b"avcC", config=True)).dts == 60_000_000 + GAP
    assert repair.counts == RepairCounts()


def test_a_track_with_a_clock_of_its_own_moves_no_other():
    repair = TimestampRepair()
    for second in range(60):
        repair.apply(video(second * 1_000_000))
    late = repaired(repair, audio(0), audio(20 * MS))
    assert late == [59_000_000 + GAP, 59_000_000 + GAP + 20 * MS]
    assert repaired(repair, video(60_000_000), audio(40 * MS), video(61_000_000)) == [
        60_000_000,
        60_000_000 - 1_000_000 + GAP + 40 * MS,
        61_000_000,
    ]
    assert repair.counts.jumps == 1


def test_script_data_without_a_clock_take_the_time_at_which_they_come():
    repair = TimestampRepair()
    for second in range(60):
        repair.apply(video(second * 1_000_000))
    assert repaired(repair, Packet(DATA, 0, 0, b"cue"), video(60_000_000)) == [
        59_000_000,
        60_000_000,
    ]
    assert repair.counts.jumps == 0


def test_metadata_stand_at_zero_because_ffmpeg_takes_others_for_subtitles():
    repair = TimestampRepair(resume_after=60_000_000)
    assert repair.apply(Packet(DATA, 5_000_000, 5_000_000, b"onMetaData", config=True)).dts == 0


@given(
    st.lists(
        st.tuples(st.booleans(), st.integers(0, (1 << 32) - 1), st.integers(-(1 << 23), 1 << 23)),
        max_size=60,
    )
)
def test_whatever_comes_in_each_track_never_goes_back_and_nothing_is_negative(steps):
    repair = TimestampRepair()
    last = {True: 0, False: 0}
    for is_video, ms, cts in steps:
        packet = video(ms * MS, cts * MS) if is_video else audio(ms * MS)
        repair.apply(packet)
        assert packet.dts >= last[is_video]
        assert packet.pts >= 0
        last[is_video] = packet.dts
    assert repair.newest - 0 <= (1 << 32) * MS * (len(steps) + 1)
    assert JUMP > GAP
