"""MP4 files, read: the frames that were put in come out, of whole files and of any part."""

from __future__ import annotations

from dataclasses import replace

import pytest
from kit.media import sample_packets
from kit.mp4 import Memory, fragmented, movie, table

from livetrio.packet import Codec, Kind, Packet, Track
from livetrio.wire.fmp4.boxes import box, full_box
from livetrio.wire.mp4 import read_movie
from livetrio.wire.mp4.fragmented import FragmentedTitle
from livetrio.wire.mp4.progressive import ProgressiveTitle

SECOND = 1_000_000
PACKETS = list(sample_packets(4.0))
FRAMES = [p for p in PACKETS if not p.config and p.track.kind is not Kind.DATA]
VIDEO = [p for p in FRAMES if p.track.kind is Kind.VIDEO]
AUDIO = [p for p in FRAMES if p.track.kind is Kind.AUDIO]


def told(packets) -> list[tuple]:
    return sorted((p.dts, p.track.kind.value, p.key, p.data) for p in packets)


def roughly(packets) -> list[tuple]:
    """To the millisecond: ticks are rounded."""
    return sorted((round(p.dts, -3), p.track.kind.value, p.key, p.data) for p in packets)


def played(data: bytes, first: int = 0, stop: int | None = None) -> list[Packet]:
    source = Memory(data)
    title = read_movie(source)
    return list(title.packets(source, first, len(title.points) if stop is None else stop))


def shifted(packets, by: int) -> list[Packet]:
    return [replace(p, dts=p.dts + by, pts=p.pts + by) for p in packets]


@pytest.mark.parametrize("at_end", [False, True])
@pytest.mark.parametrize("version", [0, 1])
def test_what_was_put_in_comes_out(at_end, version):
    data = movie(PACKETS, at_end=at_end, version=version)
    title = read_movie(Memory(data))
    assert isinstance(title, ProgressiveTitle)
    assert [track.codec for track in title.tracks] == [Codec.H264, Codec.AAC]
    assert (title.tracks[0].width, title.tracks[1].sample_rate) == (64, 48_000)
    assert list(title.points) == [0, 1_000_000, 2_000_000, 3_000_000]
    assert title.duration == pytest.approx(4_000_000, abs=50_000)
    assert roughly(played(data)) == roughly(FRAMES)


def test_frames_come_in_decoding_order():
    times = [packet.dts for packet in played(movie(PACKETS))]
    assert times == sorted(times)


def test_the_parts_between_points_make_up_the_whole():
    data = movie(PACKETS)
    parts = [played(data, 0, 1), played(data, 1, 3), played(data, 3, 4)]
    assert all(part[0].track.kind is Kind.AUDIO or part[0].key for part in parts)
    assert told(packet for part in parts for packet in part) == told(played(data))


def test_of_the_file_only_the_part_that_is_played_is_read():
    big = [replace(p, data=p.data + bytes(10_000)) for p in FRAMES]
    source = Memory(movie(big))
    title = read_movie(source)
    assert source.bytes_read < 20_000
    packets = list(title.packets(source, 2, 3))
    assert source.bytes_read < 30_000 + sum(len(packet.data) for packet in packets)


def test_chunks_of_several_samples_and_sizes_that_are_all_the_same():
    sound = [replace(p, data=bytes([n % 250]) * 20) for n, p in enumerate(AUDIO)]
    count = len(sound)

    def change(tables, _):
        first = int.from_bytes(tables.boxes[b"stco"][16:20], "big")
        # two chunks of 7 samples, then of 5, and 64-bit offsets
        sizes = [7, 7, *[5] * (-(-(count - 14) // 5))]
        places = [(first + 20 * sum(sizes[:n]),) for n in range(len(sizes))]
        tables.boxes[b"stsc"] = table(b"stsc", [(1, 7, 1), (3, 5, 1)])
        tables.boxes[b"stco"] = table(b"co64", places, "Q")
        tables.boxes[b"stsz"] = full_box(
            b"stsz", 0, 0, (20).to_bytes(4, "big"), count.to_bytes(4, "big")
        )

    data = movie(sound, change=change)
    assert [p.data for p in played(data)] == [p.data for p in sound]
    title = read_movie(Memory(data))
    half = len(title.points) // 2
    assert [p.data for p in [*played(data, 0, half), *played(data, half)]] == [
        p.data for p in sound
    ]


def test_of_sound_alone_one_can_start_twice_a_second():
    title = read_movie(Memory(movie(AUDIO)))
    assert [track.kind for track in title.tracks] == [Kind.AUDIO]
    assert 6 <= len(title.points) <= 8


def test_an_edit_list_moves_the_beginning_and_keeps_sound_and_picture_together():
    reordered = [replace(p, pts=p.pts + 80_000) for p in VIDEO]
    plain = played(movie(reordered))
    edited = played(movie(reordered, edits=[(4_000, 7_200)]))
    assert (plain[0].dts, plain[0].pts) == (0, 80_000)
    assert (edited[0].dts, edited[0].pts) == (0, 80_000)  # nothing is before 0
    delayed = read_movie(Memory(movie(PACKETS, edits=[(500, -1), (4_000, 0), (1, 99)])))
    assert delayed.points[0] == 0


def test_edits_that_are_all_empty_only_delay():
    assert roughly(played(movie(PACKETS, edits=[(500, -1)]))) == roughly(FRAMES)


def test_presentation_may_be_before_decoding():
    early = [replace(p, pts=p.dts - 40_000 if n else p.dts) for n, p in enumerate(VIDEO)]
    assert played(movie(early))[5].pts - played(movie(early))[5].dts == pytest.approx(
        -40_000, abs=12
    )


def test_a_file_that_begins_without_a_key_frame_is_played_from_the_first_one():
    late = [replace(p, key=p.key and p.dts >= SECOND) for p in VIDEO]
    data = movie(late)
    assert read_movie(Memory(data)).points[0] == SECOND
    assert played(data)[0].key


def test_long_gaps_cost_nothing():
    sparse = [replace(p, dts=p.dts * 2_000, pts=p.pts * 2_000) for p in VIDEO[:30]]
    assert len(played(movie(sparse))) == 30


def test_a_file_that_was_cut_off_plays_to_its_end():
    data = movie(PACKETS)
    assert 0 < len(played(data[:-1_000])) < len(FRAMES)
    assert played(data[: len(data) - len(b"".join(p.data for p in FRAMES)) + 40]) != []


def test_fragments_are_read_as_they_were_written():
    data = b"".join(fragmented(PACKETS))
    title = read_movie(Memory(data))
    assert isinstance(title, FragmentedTitle)
    assert list(title.points) == [0, SECOND, 2 * SECOND, 3 * SECOND]
    assert title.duration == pytest.approx(4 * SECOND, abs=50_000)
    assert roughly(played(data)) == roughly(FRAMES)
    assert roughly([*played(data, 0, 2), *played(data, 2)]) == roughly(FRAMES)


def test_what_was_left_of_a_recording_plays_up_to_the_last_fragment():
    pieces = fragmented(PACKETS)
    whole = b"".join(pieces[:-1])
    cut = whole + pieces[-1][:-100]
    assert len(played(whole)) < len(played(cut)) < len(FRAMES)
    in_its_tables = whole + pieces[-1][:40]
    assert told(played(in_its_tables)) == told(played(whole))


def test_times_of_fragments_that_begin_late_are_counted_from_their_beginning():
    late = shifted(PACKETS, 100 * SECOND)
    pieces = fragmented(PACKETS)
    data = b"".join([pieces[0], *fragmented(late)[101:]])
    assert roughly(played(data)) == roughly(FRAMES)


def test_a_picture_without_a_track_of_its_kind_is_left_out():
    subtitles = full_box(b"stsd", 0, 0, b"\x00\x00\x00\x01", box(b"tx3g", bytes(40)))

    def change(tables, track):
        if track.kind is Kind.AUDIO:
            tables.boxes[b"stsd"] = subtitles

    assert [t.kind for t in read_movie(Memory(movie(PACKETS, change=change))).tracks] == [
        Kind.VIDEO
    ]


def test_a_second_track_of_a_kind_is_left_out():
    other = Track(Kind.AUDIO, Codec.AAC, config=AUDIO[0].track.config, sample_rate=48_000)
    more = [replace(p, track=other) for p in AUDIO]
    assert len(read_movie(Memory(movie([*PACKETS, *more]))).tracks) == 2


def test_looking_for_boxes_has_an_end(monkeypatch):
    monkeypatch.setattr("livetrio.wire.mp4.movie._MAX_BOXES", 8)
    assert len(read_movie(Memory(b"".join(fragmented(PACKETS)))).points) == 3
