"""The ring: GOP cache, live edge and lapping in one structure."""

from __future__ import annotations

from contextlib import ExitStack

import pytest
import trio
import trio.testing
from kit.packets import AUDIO, VIDEO, audio, config, gop, letters, video

from livetrio.media.ring import EndOfStream, Ring, RingLimits
from livetrio.packet import Codec, Kind, Packet, Track


async def test_a_newcomer_starts_with_the_configuration_and_the_last_key_frame():
    ring = Ring(RingLimits())
    ring.append([config(VIDEO), config(AUDIO), *gop(0), *gop(120)])
    packets = await ring.cursor().read()
    assert letters(packets) == "(avcC)(asc)Vavava"
    assert [packet.dts for packet in packets[:3]] == [120_000] * 3


async def test_configuration_comes_in_the_order_metadata_video_audio():
    meta = Track(Kind.DATA, Codec.SCRIPT)
    ring = Ring(RingLimits())
    ring.append([config(AUDIO), config(VIDEO), config(meta, b"meta"), *gop(0)])
    assert letters(await ring.cursor().read()) == "(meta)(avcC)(asc)Vavava"


async def test_a_newcomer_is_given_the_configuration_in_force_where_it_starts():
    ring = Ring(RingLimits())
    other = Track(Kind.VIDEO, Codec.H264, config=b"new")
    ring.append([config(VIDEO), *gop(0), config(other), video(120, track=other)])
    # The change lies behind the key frame: it comes in its place, not first.
    assert letters(await ring.cursor().read()) == "(avcC)Vavava(new)v"
    ring.append([video(160, key=True, track=other)])
    assert letters(await ring.cursor().read()) == "(new)V"


async def test_a_cursor_reads_all_that_arrived_since_and_waits_when_there_is_nothing():
    ring = Ring(RingLimits())
    ring.append(gop(0))
    cursor = ring.cursor()
    await cursor.read()
    received = []

    async def reader() -> None:
        received.append(letters(await cursor.read()))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(reader)
        await trio.testing.wait_all_tasks_blocked()
        assert received == []
        ring.append([video(120), audio(130)])
    assert received == ["va"]


async def test_a_live_cursor_starts_at_the_edge():
    ring = Ring(RingLimits())
    ring.append([config(VIDEO), *gop(0)])
    cursor = ring.cursor(live=True)
    ring.append([video(120)])
    assert letters(await cursor.read()) == "v"


async def test_the_end_comes_after_everything_was_read():
    ring = Ring(RingLimits())
    cursor = ring.cursor()
    ring.append(gop(0))
    ring.end()
    assert letters(await cursor.read()) == "Vavava"
    with pytest.raises(EndOfStream):
        await cursor.read()


async def test_a_lapped_cursor_jumps_to_the_newest_key_frame_and_is_counted():
    ring = Ring(RingLimits(lag=0.2))
    ring.append([config(VIDEO), *gop(0)])
    cursor = ring.cursor()
    for start in range(120, 2400, 120):
        ring.append(gop(start))
    packets = await cursor.read()
    assert letters(packets) == "(avcC)Vavava"
    assert packets[1].dts == 2_280_000
    assert cursor.jumps == 1


async def test_packets_are_kept_for_slow_cursors_beyond_the_group_of_pictures():
    ring = Ring(RingLimits(lag=10))
    cursor = ring.cursor()
    for start in range(0, 5000, 120):
        ring.append(gop(start))
    assert len(await cursor.read()) == 6 * 42
    assert cursor.jumps == 0


@pytest.mark.parametrize(
    ("gops", "expected"), [(0, ""), (1, "Vavava"), (2, "Vavava" * 2), (9, "Vavava" * 3)]
)
def test_as_many_groups_of_pictures_are_given_as_are_configured(gops: int, expected: str):
    ring = Ring(RingLimits(gops=gops, lag=0))
    for start in (0, 120, 240):
        ring.append(gop(start))
    seq, _ = ring.start()
    assert letters(ring.read(seq)) == expected


def test_a_stream_without_key_frames_is_bounded_in_time():
    ring = Ring(RingLimits(lag=1, seconds=2))
    ring.append([video(0, key=True)])
    for ms in range(40, 60_000, 40):
        ring.append([video(ms)])
        assert ring.head - ring.tail <= 52
    assert ring.keyless
    assert ring.start()[0] == ring.head
    ring.append([video(60_000, key=True)])
    assert not ring.keyless
    assert letters(ring.read(ring.start()[0])) == "V"


def test_a_stream_of_huge_frames_is_bounded_in_bytes():
    ring = Ring(RingLimits(size=1 << 20))
    ring.append([video(0, key=True)])
    for ms in range(1, 500):
        ring.append([video(ms, data=bytes(100_000))])
        assert ring.size <= 1 << 20
    assert ring.keyless


def test_dropped_packets_are_really_let_go():
    ring = Ring(RingLimits(size=1 << 20))
    for ms in range(500):
        ring.append([video(ms, key=True, data=bytes(100_000))])
    held = sum(len(packet.data) for packet in ring._items)
    assert held <= (1 << 20) + (4 << 20) + 100_000


def test_sound_alone_can_be_joined_about_a_second_back():
    ring = Ring(RingLimits())
    for ms in range(0, 5000, 20):
        ring.append([audio(ms)])
    seq, _ = ring.start()
    assert 1 <= len(ring.read(seq)) <= 50


def test_when_the_picture_comes_newcomers_start_at_its_key_frame():
    ring = Ring(RingLimits())
    ring.append([audio(ms) for ms in range(0, 100, 20)])
    ring.append([video(100), video(120, key=True), audio(130)])
    assert letters(ring.read(ring.start()[0])) == "Va"


def test_only_the_first_video_tracks_key_frames_count():
    second = Track(Kind.VIDEO, Codec.H264, id=1)
    ring = Ring(RingLimits())
    ring.append([video(0, key=True), video(10, key=True, data=b"w", track=second), video(40)])
    assert letters(ring.read(ring.start()[0])) == "VWv"


def test_data_never_starts_a_group():
    ring = Ring(RingLimits())
    ring.append([Packet(Track(Kind.DATA, Codec.SCRIPT), 0, 0, b"d", key=True)])
    assert ring.keys_since(0) == []


def test_a_listener_is_told_of_packets_in_the_publishers_call_until_it_leaves():
    ring = Ring(RingLimits())
    told: list[str] = []
    with ring.listen(lambda packets: told.append(letters(packets))):
        ring.append([config(VIDEO), video(0, key=True)])
        ring.append([audio(10)])
    ring.append([audio(30)])
    assert told == ["(avcC)V", "a"]


def test_a_listener_is_told_of_the_end_with_nothing():
    ring = Ring(RingLimits())
    told: list[int] = []
    with ring.listen(lambda packets: told.append(len(packets))):
        ring.append(gop(0))
        ring.end()
    assert told == [6, 0]
    assert ring.ended


def test_a_listener_may_leave_while_all_are_told():
    ring = Ring(RingLimits())
    told: list[str] = []
    with ExitStack() as stack:

        def first(packets):
            told.append("first")
            stack.close()

        stack.enter_context(ring.listen(first))
        with ring.listen(lambda packets: told.append("second")):
            ring.append([audio(0)])
            ring.append([audio(20)])
    assert told == ["first", "second", "second"]
