"""MP4 files that lie (group 39 of hostile input): refused with a reason, in bounded memory."""

from __future__ import annotations

import contextlib
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kit.media import sample_packets
from kit.mp4 import Memory, fragmented, movie, table

from livetrio.errors import RemoteProtocolError
from livetrio.packet import Kind
from livetrio.wire.fmp4.boxes import box, full_box
from livetrio.wire.mp4 import read_movie

PACKETS = list(sample_packets(2.0))
VIDEO = [p for p in PACKETS if not p.config and p.track.kind is Kind.VIDEO]
GOOD = movie(PACKETS)
FRAGMENTED = b"".join(fragmented(PACKETS))
HUGE = 0xFFFF_FFFF


def play(data: bytes) -> int:
    """Read and play all of it; the number of frames."""
    source = Memory(data)
    title = read_movie(source)
    count = sum(1 for _ in title.packets(source, 0, len(title.points)))
    for first in range(len(title.points)):
        next(title.packets(source, first, first + 1), None)
    return count


def changed(kind: bytes, content: bytes) -> bytes:
    """The good file with another table in it."""

    def change(tables, track):
        if track.kind is Kind.VIDEO:
            tables.boxes[kind] = content

    return movie(PACKETS, change=change)


def refused(data: bytes, reason: str) -> None:
    with pytest.raises(RemoteProtocolError, match=reason):
        play(data)


@pytest.mark.parametrize("size", [2, 7])
def test_a_box_smaller_than_its_header_is_refused(size):
    refused(size.to_bytes(4, "big") + GOOD[4:], f"box of {size} bytes")


def test_a_box_of_size_0_reaches_to_the_end():
    end = GOOD.index(b"mdat") - 4
    assert play(GOOD[:end] + bytes(4) + GOOD[end + 4 :]) == play(GOOD)


def test_a_box_with_a_64_bit_size_is_read():
    at = GOOD.index(b"mdat") - 4
    size = int.from_bytes(GOOD[at : at + 4], "big")
    free = struct.pack(">I4sQ", 1, b"free", 24) + bytes(8)
    assert play(GOOD + free) == play(GOOD)
    wide = struct.pack(">I4sQ", 1, b"mdat", size + 8) + GOOD[at + 8 :]
    assert read_movie(Memory(GOOD[:at] + wide)).duration == read_movie(Memory(GOOD)).duration


@pytest.mark.parametrize("size", [0, 15, 1 << 63, (1 << 64) - 1])
def test_a_64_bit_size_that_cannot_be_is_refused(size):
    refused(struct.pack(">I4sQ", 1, b"ftyp", size) + GOOD, "box")


def test_a_box_beyond_the_file_is_where_a_file_was_cut_off():
    refused(b"\xff" + GOOD[1:], "beyond")
    at = GOOD.index(b"mdat") - 4
    assert play(GOOD[:at] + b"\x7f" + GOOD[at + 1 :]) == play(GOOD)  # tables were read before


def test_a_box_beyond_the_one_around_it_is_refused():
    at = GOOD.index(b"trak") - 4
    refused(GOOD[:at] + b"\xff" + GOOD[at + 1 :], "beyond")


@pytest.mark.parametrize("data", [b"", b"x", b"\x00" * 7, b"\x00\x00\x00\x01moov\x00"])
def test_a_header_that_is_cut_is_no_file(data):
    refused(data, "cut|no moov")


def test_nesting_of_ten_thousand_costs_nothing():
    nested = b""
    for _ in range(10_000):
        nested = box(b"udta", nested)
    at = GOOD.index(b"moov") - 4
    size = int.from_bytes(GOOD[at : at + 4], "big")
    moov = box(b"moov", nested, GOOD[at + 8 : at + size])
    assert read_movie(Memory(GOOD[:at] + moov + GOOD[at + size :])).duration


def test_thousands_of_boxes_in_one_are_refused():
    refused(box(b"moov", box(b"free") * 5_000), "more than 4096 boxes")


def test_thousands_of_tracks_are_refused():
    at = GOOD.index(b"trak") - 4
    mvhd = GOOD[GOOD.index(b"mvhd") - 4 : at]
    refused(box(b"moov", mvhd, box(b"trak") * 65), "more than 64 tracks")


@pytest.mark.parametrize("kind", [b"stts", b"ctts", b"stss", b"stsc", b"stco"])
def test_a_table_that_announces_four_thousand_million_entries_is_refused(kind):
    refused(changed(kind, table(kind, [], count=HUGE)), "cut")


def test_sizes_of_four_thousand_million_samples_are_refused():
    refused(changed(b"stsz", full_box(b"stsz", 0, 0, bytes(4), b"\xff" * 4)), "cut")
    same = full_box(b"stsz", 0, 0, b"\x00\x00\x00\x01", b"\xff" * 4)
    refused(changed(b"stsz", same), "samples in a track")
    refused(changed(b"stts", table(b"stts", [(HUGE, 1)])), "a table for")


@pytest.mark.parametrize("kind", [b"stts", b"stsz", b"stsc", b"stco"])
def test_a_track_without_one_of_its_tables_is_refused(kind):
    refused(changed(kind, b""), "without")


def test_a_table_of_times_that_is_too_short_holds_on():
    assert play(changed(b"stts", table(b"stts", [(3, 3_600)]))) == play(GOOD)
    assert play(changed(b"stts", table(b"stts", []))) == play(GOOD)


def test_a_table_of_shifts_that_is_too_short_holds_on():
    assert play(changed(b"ctts", table(b"ctts", [(3, 3_600)]))) == play(GOOD)


def test_shifts_of_hours_are_taken_as_they_are():
    assert play(changed(b"ctts", table(b"ctts", [(50, 0x8000_0000)]))) == play(GOOD)


@pytest.mark.parametrize("keys", [[(0,)], [(2,), (1,)], [(1,), (51,)], [(1,), (1,)]])
def test_key_frames_out_of_order_are_refused(keys):
    refused(changed(b"stss", table(b"stss", keys)), "not in order")


def test_a_file_without_any_key_frame_is_refused():
    refused(changed(b"stss", table(b"stss", [])), "no key frame")


@pytest.mark.parametrize(
    ("chunks", "reason"),
    [
        ([], "not in order"),
        ([(2, 1, 1)], "not in order"),
        ([(1, 1, 1), (1, 1, 1)], "not in order"),
        ([(1, 0, 1)], "without samples"),
        ([(0, 1, 1)], "not in order"),
        ([(1, 1, 1), (99, 1, 1)], "without a chunk"),
    ],
)
def test_chunks_that_make_no_sense_are_refused(chunks, reason):
    refused(changed(b"stsc", table(b"stsc", chunks)), reason)


def test_more_samples_than_chunks_are_refused():
    refused(changed(b"stco", table(b"stco", [(100,)])), "without a chunk")


def test_samples_outside_of_the_file_are_its_end():
    places = [(HUGE,)] * 50
    assert play(changed(b"stco", table(b"stco", places))) < play(GOOD)


def test_samples_as_big_as_memory_are_refused():
    sizes = struct.pack(">50I", *[HUGE] * 50)
    content = full_box(b"stsz", 0, 0, bytes(4), (50).to_bytes(4, "big"), sizes)
    refused(changed(b"stsz", content), "too big")


def test_empty_samples_are_passed_over():
    content = full_box(b"stsz", 0, 0, bytes(4), (50).to_bytes(4, "big"), bytes(200))
    assert play(changed(b"stsz", content)) == play(GOOD) - len(VIDEO)


@pytest.mark.parametrize("kind", [b"mvhd", b"mdhd"])
def test_a_timescale_of_0_is_refused(kind):
    at = GOOD.index(kind) + 16
    refused(GOOD[:at] + bytes(4) + GOOD[at + 4 :], "timescale of 0")


def test_a_header_of_another_version_is_refused():
    at = GOOD.index(b"mvhd") + 4
    refused(GOOD[:at] + b"\x07" + GOOD[at + 1 :], "version 7")


@pytest.mark.parametrize("kind", [b"mvhd", b"mdhd"])
def test_a_movie_without_a_clock_is_refused(kind):
    refused(GOOD.replace(kind, b"free"), "no timescale")


@pytest.mark.parametrize("kind", [b"mdia", b"minf", b"stbl", b"stsd", b"tkhd", b"trak"])
def test_tracks_without_one_of_their_boxes_are_none(kind):
    refused(GOOD.replace(kind, b"free"), "no track")


def test_a_file_without_moov_is_refused():
    refused(GOOD.replace(b"moov", b"free"), "no moov")
    refused(box(b"moof") + GOOD.replace(b"moov", b"free"), "no moov")


def test_tables_of_gigabytes_are_not_read():
    class Sparse(Memory):
        size = 1 << 40

        def __init__(self) -> None:
            super().__init__(struct.pack(">I4sQ", 1, b"moov", 1 << 39) + bytes(100))
            self.size = 1 << 40

    with pytest.raises(RemoteProtocolError, match="tables of"):
        read_movie(Sparse())


def test_a_movie_without_samples_is_refused():
    def change(tables, _):
        for kind in (b"stts", b"stsc", b"stco"):
            tables.boxes[kind] = table(kind, [])
        tables.boxes[b"stsz"] = full_box(b"stsz", 0, 0, bytes(8))
        tables.boxes.pop(b"stss", None)

    refused(movie(PACKETS, change=change), "no samples")


def moof(*trafs: bytes) -> bytes:
    return fragmented(PACKETS)[0] + box(b"moof", *trafs) + box(b"mdat", bytes(1_000))


def tfhd(flags: int, *words: int, track: int = 1) -> bytes:
    return full_box(b"tfhd", 0, flags, struct.pack(f">{len(words) + 1}I", track, *words))


def trun(flags: int, count: int, *words: int) -> bytes:
    masked = [word & HUGE for word in words]
    return full_box(b"trun", 0, flags, struct.pack(f">{len(words) + 1}I", count, *masked))


TFDT = full_box(b"tfdt", 0, 0, bytes(4))


@pytest.mark.parametrize(
    ("trafs", "reason"),
    [
        ([box(b"traf")], "no track"),
        ([box(b"traf", tfhd(0, track=9), TFDT, trun(0, 1))], "key frame"),
        ([box(b"traf", tfhd(0), TFDT, trun(0, HUGE))], "cut"),
        ([box(b"traf", tfhd(0), TFDT, trun(0x301, 3, 0, 1))], "cut"),
        ([box(b"traf", tfhd(0), TFDT, trun(0xF01, 3, 0, 1))], "cut"),
        ([box(b"traf", tfhd(0x8), TFDT, trun(0, 1))], "cut"),
        ([box(b"traf", tfhd(0), full_box(b"tfdt", 1, 0, bytes(4)), trun(0, 1))], "cut"),
        ([box(b"traf", tfhd(0), box(b"tfdt"), trun(0, 1))], "cut"),
        ([box(b"traf", tfhd(0), TFDT, box(b"trun"))], "cut"),
        ([box(b"traf", tfhd(0), TFDT, full_box(b"trun", 0, 0))], "cut"),
        ([box(b"traf", tfhd(0), TFDT)], "key frame"),
        ([box(b"traf", tfhd(0x20, 0x10000), TFDT, trun(0x201, 1, 8, 5))], "key frame"),
        ([], "key frame"),
    ],
)
def test_fragments_that_make_no_sense_are_refused(trafs, reason):
    refused(moof(*trafs), reason)


def test_a_fragment_may_leave_nearly_all_to_defaults():
    defaults = tfhd(0x38, 3_600, 10, 0x10000)
    first_is_key = trun(0x5, 3, 200, 0)
    with_offsets = trun(0x800, 2, 90, -90)  # behind the run before
    data = moof(box(b"traf", defaults, TFDT, first_is_key, with_offsets))
    source = Memory(data)
    packets = list(read_movie(source).packets(source, 0, 1))
    assert [(p.dts, p.key, len(p.data)) for p in packets] == [
        (n * 40_000, n == 0, 10) for n in range(5)
    ]
    assert [p.pts - p.dts for p in packets] == [0, 0, 0, 1_000, -1_000]


def test_a_fragment_may_count_from_the_files_beginning():
    header = full_box(b"tfhd", 0, 0x1B, struct.pack(">IQIII", 1, 100, 1, 3_600, 10))
    data = moof(box(b"traf", header, TFDT, trun(0x5, 1, 8, 0)))
    source = Memory(data)
    (packet,) = read_movie(source).packets(source, 0, 1)
    assert packet.data == data[108:118]


def test_fragments_without_times_follow_one_another():
    traf = box(b"traf", tfhd(0x18, 3_600, 10), trun(0x5, 25, 200, 0))
    data = moof(traf) + box(b"moof", traf) + box(b"mdat", bytes(1_000))
    source = Memory(data)
    title = read_movie(source)
    assert list(title.points) == [0, 1_000_000]
    assert [p.dts for p in title.packets(source, 1, 2)][:2] == [1_000_000, 1_040_000]


def test_boxes_beside_the_defaults_are_passed_over():
    header = fragmented(PACKETS)[0]
    at = header.index(b"mvex") - 4
    extends = box(b"mvex", full_box(b"mehd", 0, 0, bytes(4)), header[at + 8 :])
    moov = header[header.index(b"moov") + 4 : at]
    ftyp = header[: header.index(b"moov") - 4]
    rest = b"".join(fragmented(PACKETS)[1:])
    assert play(ftyp + box(b"moov", moov, extends) + rest) == play(header + rest)


def test_fragments_of_sound_alone_do_not_hold_up_the_picture():
    sound = box(b"traf", tfhd(0x18, 1_024, 10, track=2), TFDT, trun(0x1, 5, 200))
    picture = box(b"traf", tfhd(0x18, 3_600, 10), TFDT, trun(0x5, 25, 200, 0))
    data = moof(sound) + box(b"moof", picture) + box(b"mdat", bytes(1_000))
    assert len(read_movie(Memory(data)).tracks) == 2
    more = data + box(b"moof", sound) + box(b"mdat", bytes(1_000))
    assert read_movie(Memory(more)).points[0] == 0


def test_fragments_that_go_back_in_time_are_refused():
    def at(time: int) -> bytes:
        tfdt = full_box(b"tfdt", 0, 0, time.to_bytes(4, "big"))
        return box(b"traf", tfhd(0x18, 3_600, 10), tfdt, trun(0x5, 5, 200, 0))

    refused(moof(at(900_000)) + box(b"moof", at(0)), "order of their times")


def test_a_fragment_of_megabytes_of_tables_is_not_read():
    refused(fragmented(PACKETS)[0] + box(b"moof", bytes(5 << 20)), "tables of")


@settings(max_examples=300)
@given(st.data())
def test_whatever_is_changed_in_a_file_nothing_but_a_refusal_comes_of_it(data):
    good = data.draw(st.sampled_from([GOOD, FRAGMENTED]))
    broken = bytearray(good)
    size = good.index(b"mdat") if good is GOOD else len(good)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, size - 1))
        broken[at] = data.draw(st.sampled_from([0, 1, 0x7F, 0x80, 0xFF]))
    cut = data.draw(st.integers(0, len(broken)))
    for one in (bytes(broken), bytes(broken[:cut])):
        with contextlib.suppress(RemoteProtocolError):
            play(one)
