"""Transport streams that are played from any key frame, by their index or looked through."""

from __future__ import annotations

import contextlib
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kit.media import aac_frame, aac_track, avc_frame, avc_track, sample_packets
from kit.mp4 import Memory
from kit.ts import SIZE, each, pes, section, shifted_ts, transport, ts_file

from livetrio.delivery.record_formats import make_tape
from livetrio.errors import RemoteProtocolError
from livetrio.packet import Codec, Kind, Packet
from livetrio.wire.avc import AvcConfig
from livetrio.wire.mpegts import TsMuxer
from livetrio.wire.mpegts import index as index_module
from livetrio.wire.mpegts import survey as survey_module
from livetrio.wire.mpegts import title as title_module
from livetrio.wire.mpegts.index import IndexWriter, Mark, read_index
from livetrio.wire.mpegts.title import HEAD, is_ts, read_ts
from livetrio.wire.nal import join_units
from livetrio.wire.segment import Sample

SECOND = 1_000_000
PACKETS = [p for p in sample_packets(4.0) if p.track.kind is not Kind.DATA]
FRAMES = [p for p in PACKETS if not p.config]
GOOD = ts_file(PACKETS)


def recorded(packets, *, forget: int = 0) -> bytes:
    """As our recorder writes it; forget: index packets lost at the end."""
    tape = make_tape("ts")
    pieces = [*tape.feed(packets), *tape.end()]
    file = tape.open(pieces[0])
    data = b"".join(file.add(piece) for piece in pieces)
    kept = each(data)
    places = [n for n, packet in enumerate(kept) if packet.startswith(index_module._HEAD)]
    for place in places[len(places) - forget :]:
        kept[place] = transport(0x1FFF, bytes(184))
    return b"".join(kept)


def played(data: bytes, first: int = 0, stop: int | None = None) -> list[Packet]:
    source = Memory(data)
    title = read_ts(source)
    stop = len(title.points) if stop is None else stop
    return [packet for packet in title.packets(source, first, stop) if packet is not None]


def told(packets) -> list[tuple]:
    return sorted((p.track.kind.value, p.dts // 1000, p.data) for p in packets if not p.config)


def about(packets) -> list[tuple]:
    return [(kind, pytest.approx(ms, abs=2), data) for kind, ms, data in told(packets)]


@pytest.mark.parametrize("data", [GOOD, recorded(PACKETS), recorded(PACKETS, forget=2)])
def test_a_file_is_played_from_any_key_frame(data):
    title = read_ts(Memory(data))
    assert [track.codec for track in title.tracks] == [Codec.H264, Codec.AAC]
    assert list(title.points) == [pytest.approx(n * SECOND, abs=12) for n in range(4)]
    assert title.duration == pytest.approx(4 * SECOND, abs=50_000)
    assert [span.first for span in title.spans] == [0]
    assert told(played(data)) == about(FRAMES)
    parts = [p for n in range(4) for p in played(data, n, n + 1)]
    assert told(parts) == told(played(data))
    assert not any(p.config for p in parts)
    (second,) = {p.data for p in played(data, 1, 2) if p.key and p.track.kind is Kind.VIDEO}
    assert second == next(p.data for p in FRAMES if p.dts == SECOND and p.track.kind is Kind.VIDEO)


def test_a_file_is_read_block_by_block(monkeypatch):
    monkeypatch.setattr(title_module, "_BLOCK", 50 * SIZE)
    monkeypatch.setattr(title_module, "_PIECE", SIZE)
    assert told(played(GOOD)) == about(FRAMES)
    assert told([p for n in range(4) for p in played(GOOD, n, n + 1)]) == told(played(GOOD))


def test_frames_that_end_behind_a_point_belong_to_the_part_they_begin_in():
    frame = aac_frame()
    packets = [
        *PACKETS[:2],
        *(p for p in FRAMES if p.track.kind is Kind.VIDEO),
        *(Packet(aac_track(), n * 500_000, n * 500_000, frame * 40, key=True) for n in range(8)),
    ]
    whole = each(ts_file(sorted(packets, key=lambda p: (not p.config, p.dts))))
    # what a picture's packet and a sound's are is exchanged, so that sound ends behind the picture
    order, waiting = [], []
    for packet in whole:
        is_sound = packet[1] & 0x1F == 1 and packet[2] == 1
        if is_sound and not packet[1] & 0x40:
            waiting.append(packet)
        else:
            if is_sound:
                order += waiting
                waiting = []
            order.append(packet)
            if len(waiting) and len(order) % 5 == 0:
                order.append(waiting.pop(0))
    data = b"".join(order + waiting)
    parts = [p for n in range(4) for p in played(data, n, n + 1)]
    assert told(parts) == told(played(data))
    assert sum(p.track.kind is Kind.AUDIO for p in parts) == 8


def test_of_a_recording_little_is_read():
    frames = [
        replace(p, data=p.data + bytes(8_000)) if p.track.kind is Kind.VIDEO else p for p in PACKETS
    ]
    many = [
        p for n in range(10) for p in shifted_ts(frames, n * 4 * SECOND) if n == 0 or not p.config
    ]
    data = recorded(many)
    source = Memory(data)
    title = read_ts(source)
    assert len(title.points) == 40
    used = source.bytes_read
    assert used < 4 * (1 << 20)  # blocks of a megabyte: the head, the end, what is behind the end
    list(title.packets(source, 20, 21))
    assert source.bytes_read - used < 1 << 20


def test_an_index_goes_back_by_hops_to_the_first_key_frame():
    writer = IndexWriter()
    packets = []
    for number in range(300):
        place = number * 10 * SIZE
        packets += [b"\x47" + bytes(187)] * 2
        packets.append(writer.packet(Mark(number * 90_000, place)))
        packets += [b"\x47" + bytes(187)] * 7
    source = Memory(b"".join(packets))
    assert read_index(source) == [(n * 90_000, n * 10 * SIZE) for n in range(300)]
    assert source.bytes_read < 2 * (1 << 20)


def at(packets: list[bytes], number: int, packet: bytes) -> bytes:
    return b"".join([*packets[:number], packet, *packets[number + 1 :]])


def test_an_index_that_lies_is_not_believed():
    good = each(recorded(PACKETS))
    places = [n for n, packet in enumerate(good) if packet.startswith(index_module._HEAD)]
    last = places[-1]
    head, row = index_module._HEAD, index_module._ROW

    def lie(*rows: tuple[int, int]) -> bytes:
        return (head + b"".join(row.pack(*each) for each in rows)).ljust(SIZE, b"\xff")

    own = (last - 2) * SIZE
    for rows in (
        [],
        [(9, 5)],
        [(9, own), (10, 0)],
        [(9, own), (8, own + SIZE)],
        [(9, own)],
        [(9, own), (8, SIZE)],
        [(9, own), (8, 7)],
    ):
        data = at(good, last, lie(*rows))
        if rows:
            assert read_index(Memory(data)) is None
        assert told(played(data)) == about(FRAMES)
    assert read_index(Memory(GOOD)) is None
    assert read_index(Memory(b"")) is None


def test_no_more_than_so_many_marks_are_read(monkeypatch):
    monkeypatch.setattr(index_module, "_MAX_MARKS", 2)
    many = [
        p for n in range(6) for p in shifted_ts(PACKETS, n * 4 * SECOND) if n == 0 or not p.config
    ]
    assert read_index(Memory(recorded(many))) is None


def test_an_index_far_from_the_end_is_not_searched_for_ever(monkeypatch):
    monkeypatch.setattr(index_module, "_MAX_SEARCH", 1)
    monkeypatch.setattr(index_module, "_BLOCK", 4 * SIZE)
    data = recorded(PACKETS)
    assert read_index(Memory(data)) == [(90_000, 0)]  # the first is known; the rest is looked for
    assert told(played(data)) == about(FRAMES)


def test_a_magic_word_at_a_wrong_place_is_none():
    data = recorded(PACKETS)
    assert len(read_index(Memory(data + b"\x47" + index_module._HEAD)) or ()) == 4


def changed_sound(begin: int) -> list[Packet]:
    """Mono from there on."""
    mono = aac_track(channels=1)
    announced = Packet(mono, begin, begin, mono.config, config=True)
    return [
        announced,
        *(Packet(mono, begin + n * 21_333, begin + n * 21_333, aac_frame(1), key=True)
          for n in range(40)),
    ]  # fmt: skip


def test_a_new_configuration_in_the_middle_is_another_part():
    big = avc_track(128, 96)
    later = [
        Packet(big, p.dts, p.pts, avc_frame(key=p.key, number=n % 25), key=p.key)
        for n, p in enumerate(p for p in FRAMES if p.track.kind is Kind.VIDEO)
    ]
    config = Packet(big, 0, 0, big.config, config=True)
    data = GOOD + ts_file(shifted_ts([config, *PACKETS[1:2], *later], 4 * SECOND))
    title = read_ts(Memory(data))
    assert [span.first for span in title.spans] == [0, 4]
    assert title.spans[0].tracks[0].width == 64
    assert [track.width for track in title.spans[1].tracks] == [128]
    assert len(title.points) == 8
    found = played(data)
    widths = [p.track.width for p in found if p.track.kind is Kind.VIDEO and not p.config]
    assert widths == [64] * 100 + [128] * 100
    configs = [p for p in found if p.config]
    assert [p.track.width for p in configs] == [128]
    assert not [p for p in played(data, 5) if p.config]
    assert {p.track.width for p in played(data, 5)} == {128}


def test_other_sound_is_another_part_from_the_next_picture_on():
    early = [p for p in PACKETS if p.dts < 2 * SECOND]
    late = [p for p in FRAMES if p.dts >= 2 * SECOND and p.track.kind is Kind.VIDEO]
    whole = [*early, *late]
    mono = changed_sound(2_500_000)
    data = ts_file([p for p in early if p.track.kind is Kind.VIDEO])
    assert len(read_ts(Memory(data)).spans) == 1
    first = each(ts_file(whole))
    second = each(ts_file([PACKETS[0], *sorted([*mono, *late], key=lambda p: p.dts)]))
    cut = next(
        n for n, p in enumerate(first) if p[1] & 0x40 and p[1] & 0x1F == 0 and n > len(first) * 0.6
    )
    data = b"".join(first[:cut] + second)
    title = read_ts(Memory(data))
    assert len(title.spans) == 2
    assert title.spans[1].tracks[1].channels == 1


def test_another_timeline_is_joined_to_the_one_before():
    again = ts_file(shifted_ts(PACKETS, 1_000 * SECOND))
    for data in (GOOD + again, again + GOOD):
        title = read_ts(Memory(data))
        assert list(title.points) == [pytest.approx(n * SECOND, abs=50_000) for n in range(8)]
        assert title.duration == pytest.approx(8 * SECOND, abs=50_000)
        times = [p.dts for p in played(data) if p.track.kind is Kind.VIDEO]
        assert times == sorted(times)
        assert len(times) == 200
        assert len(played(data, 3, 5)) > 100


def test_what_is_behind_a_jump_and_before_a_key_frame_is_of_no_time():
    body = each(ts_file(shifted_ts(PACKETS, 900 * SECOND)))
    pictures = [n for n, p in enumerate(body) if p[1] & 0x5F == 0x41 and not p[2]]
    data = GOOD + b"".join(body[pictures[5] :])
    title = read_ts(Memory(data))
    assert len(title.points) == 7
    times = [p.dts for p in played(data) if p.track.kind is Kind.VIDEO]
    assert times == sorted(times)
    assert len(times) == 174  # at the seam a frame may have lost its end
    assert max(times) < 8 * SECOND


def test_time_stamps_wrap():
    almost = (1 << 33) * 100 // 9 - 3_500_000
    for make in (ts_file, recorded):
        data = make(shifted_ts(PACKETS, almost))
        title = read_ts(Memory(data))
        assert list(title.points) == [pytest.approx(n * SECOND, abs=12) for n in range(4)]
        assert told(played(data)) == about(FRAMES)
        pictures = [p for p in FRAMES if p.dts >= 3 * SECOND and p.track.kind is Kind.VIDEO]
        late = [p for p in played(data, 3) if p.track.kind is Kind.VIDEO]
        assert told(late) == about(pictures)


def test_sound_alone_has_a_point_each_second():
    data = ts_file([p for p in PACKETS if p.track.kind is Kind.AUDIO])
    title = read_ts(Memory(data))
    assert [track.codec for track in title.tracks] == [Codec.AAC]
    assert len(title.points) == 4
    assert told(played(data)) == about(p for p in FRAMES if p.track.kind is Kind.AUDIO)


def test_a_file_whose_end_is_cut_off_plays_up_to_there():
    for data in (GOOD, recorded(PACKETS)):
        for share in (0.3, 0.77):
            part = data[: int(len(data) * share)]
            found = told(played(part))
            assert 0 < len(found) < len(FRAMES)


def test_a_file_that_grows_while_it_is_read_is_read_as_it_was():
    source = Memory(GOOD)
    title = read_ts(source)
    source.data = GOOD + ts_file(shifted_ts(PACKETS, 4 * SECOND))
    found = list(filter(None, title.packets(source, 0, len(title.points))))
    assert max(p.dts for p in found) <= title.duration + SECOND


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "no program"),
        (bytes(5_000), "no program"),
        (GOOD[: 2 * SIZE], "no frame"),
        (b"".join(p for p in each(GOOD) if p[1] & 0x1F != 1), "no frame"),
        (transport(0, section(0, b"\x00\x01\xf0\x00"), starts=True), "no program"),
    ],
)
def test_what_cannot_be_played_is_refused(data, reason):
    with pytest.raises(RemoteProtocolError, match=reason):
        read_ts(Memory(data))


def test_an_encrypted_file_is_refused():
    data = bytearray(GOOD)
    for pos in range(0, len(data), SIZE):
        if data[pos + 1] & 0x1F == 1:
            data[pos + 3] |= 0x80
    with pytest.raises(RemoteProtocolError, match="encrypted"):
        read_ts(Memory(bytes(data)))


def test_a_picture_without_a_key_frame_is_refused():
    sets = b"".join(p for p in each(GOOD))
    data = bytearray(sets)
    for pos in range(0, len(data), SIZE):
        if data[pos + 1] & 0x5F == 0x41 and not data[pos + 2]:
            data[pos + 5] &= 0xBF  # random_access_indicator
            for mark in (b"\x00\x00\x01\x67",):
                place = data.find(mark, pos, pos + SIZE)
                if place >= 0:
                    data[place + 3] = 0x66
    with pytest.raises(RemoteProtocolError, match=r"no (key )?frame"):
        read_ts(Memory(bytes(data)))


def test_without_random_access_flags_parameter_sets_tell_key_frames():
    data = bytearray(GOOD)
    for pos in range(0, len(data), SIZE):
        if data[pos + 1] & 0x5F == 0x41 and data[pos + 3] & 0x20 and data[pos + 4]:
            data[pos + 5] &= 0xBF
    assert len(read_ts(Memory(bytes(data))).points) == 4
    assert told(played(bytes(data))) == about(FRAMES)


def test_only_so_many_points_are_kept(monkeypatch):
    monkeypatch.setattr(survey_module, "_MAX_POINTS", 2)
    assert len(read_ts(Memory(GOOD)).points) == 2


def test_tables_that_move_are_followed_and_broken_ones_passed_over():
    pat = transport(0, section(0, b"\x00\x01\xf0\x20"), starts=True, count=9)
    body = b"\xe1\x00\xf0\x00\x0f\xe1\x01\xf0\x00"
    sound_alone = transport(0x1020, section(2, body), starts=True)
    broken = transport(0x1020, section(2, body)[:-1] + b"?", starts=True)
    nothing = transport(0, section(0, b"\x00\x00\xf0\x20"), starts=True)
    late = [p for p in shifted_ts(PACKETS, 4 * SECOND) if p.track.kind is Kind.AUDIO]
    tail = b"".join(
        packet[:2] + b"\x01" + packet[3:] for packet in each(ts_file(late)) if packet[1] & 0x1F == 1
    )
    data = GOOD + pat + nothing + broken + sound_alone + tail
    title = read_ts(Memory(data))
    assert len(title.points) == 8
    assert [[t.codec for t in span.tracks] for span in title.spans] == [
        [Codec.H264, Codec.AAC],
        [Codec.AAC],
    ]
    found = [p for p in played(data) if p.track.kind is Kind.AUDIO]
    assert found[-1].dts == pytest.approx(8 * SECOND, abs=100_000)


def test_long_parameter_sets_are_found_over_several_packets():
    config = AvcConfig.parse(avc_track().config)
    long_ = b"\x68\xce" + b"\x55" * 2_000
    sets = join_units([*config.sps_list, *config.pps_list, long_])
    frames = [
        replace(p, data=sets + p.data) if p.track.kind is Kind.VIDEO and p.key else p
        for p in PACKETS
    ]
    title = read_ts(Memory(ts_file(frames)))
    assert len(title.points) == 4
    assert len(title.spans) == 1
    assert AvcConfig.parse(title.tracks[0].config).pps_list[-1] == long_


def test_a_file_is_known_by_its_sync_bytes():
    assert is_ts(GOOD[:HEAD])
    assert is_ts(GOOD[:SIZE])
    assert not is_ts(GOOD[: SIZE - 1])
    assert not is_ts(b"\x47" + bytes(400))
    assert not is_ts(b"FLV\x01" + bytes(400))


def test_there_are_bounds(monkeypatch):
    monkeypatch.setattr(title_module, "_MAX_CHANGES", 0)
    test = ts_file(shifted_ts(PACKETS, 900 * SECOND))
    assert len(read_ts(Memory(GOOD + test)).spans) == 1
    short = transport(0x100, b"\x00\x00\x01", starts=True) + transport(0x101, b"\x00", starts=True)
    timeless = transport(0x100, pes(b"\x00\x00\x01\x65"), starts=True)
    scrambled = transport(0x100, pes(b"x", 0), starts=True, scrambled=True)
    junk = transport(0x101, pes(b"none", 0), starts=True)
    title = read_ts(Memory(GOOD + short + timeless + scrambled + junk))
    assert len(title.points) == 4


def jumping(count: int) -> bytes:
    """Key frames of one packet each, and the clock jumps at every one; sound is announced, so
    that whoever looks for it looks on."""
    head = each(GOOD)[:2]
    (first,) = (p.data for p in played(GOOD, 0, 1) if p.key and p.track.kind is Kind.VIDEO)
    config = AvcConfig.parse(avc_track().config)
    units = [*config.sps_list, *config.pps_list, first[4:40]]
    frame = b"".join(b"\x00\x00\x00\x01" + unit for unit in units)
    times = [n % 2 * 20 * 90_000 for n in range(count)]
    keys = [
        transport(0x100, pes(frame, time, time), starts=True, count=n, key=True)
        for n, time in enumerate(times)
    ]
    return b"".join([*head, *keys])


def test_a_change_in_every_packet_is_looked_at_once():
    data = jumping(400)
    source = Memory(data)
    title = read_ts(source)
    assert (len(title.points), len(title.spans)) == (400, 1)
    assert source.bytes_read < 1_500_000  # a block, and four times the file


def test_all_changes_together_are_looked_at_no_further_than_so_far(monkeypatch):
    monkeypatch.setattr(title_module, "_MAX_LOOKED_AT", 10 * SIZE)
    for size in ("_PIECE", "_BLOCK"):
        monkeypatch.setattr(title_module, size, SIZE)
    source = Memory(jumping(400))
    read_ts(source)
    everything = 2 * len(source.data)
    assert everything < source.bytes_read < everything + 20 * SIZE


def test_what_a_file_ends_with_and_nothing_plays_from_is_left_out():
    late = 900 * 90_000
    timed = transport(
        0x100, pes(bytes(99), late, late, length=500), starts=True, key=True, broken=True
    )
    assert len(read_ts(Memory(GOOD + timed)).points) == 4
    found = read_ts(Memory(GOOD + timed + GOOD))
    assert len(found.points) == 9  # in the middle nothing comes of it
    assert told(played(GOOD + timed)) == about(FRAMES)
    again = read_ts(Memory(GOOD + timed + timed))
    assert again.duration == pytest.approx(4 * SECOND, abs=50_000)
    assert [span.first for span in again.spans] == [0]


def late_sound(seconds: float) -> bytes:
    """Sound is written that much behind the pictures that it belongs to, as in broadcasts, and
    the file begins with a picture."""
    behind = round(seconds * SECOND)
    video = [p for p in FRAMES if p.track.kind is Kind.VIDEO]
    tracks = [video[0].track, aac_track()]
    muxer = TsMuxer(tracks)
    data = muxer.tables()
    sounds = [replace(p, track=aac_track()) for p in FRAMES if p.track.kind is Kind.AUDIO]
    written = [(p.dts, p) for p in video] + [(p.dts, p) for p in sounds]
    for _, packet in sorted(written, key=lambda pair: pair[0]):
        is_video = packet.track.kind is Kind.VIDEO
        dts = packet.dts + (behind if is_video else 0)
        sample = Sample(dts, dts, 20_000, packet.key, packet.data)
        data += muxer.write([[sample], []] if is_video else [[], [sample]])
    return data


def test_sound_that_is_written_late_has_no_time_before_the_beginning():
    data = late_sound(0.5)
    title = read_ts(Memory(data))
    found = played(data)
    assert min(p.dts for p in found) == 0
    assert min(p.pts for p in found) == 0
    sounds = [p.dts for p in found if p.track.kind is Kind.AUDIO]
    assert sounds[0] < 25_000
    assert len(set(sounds)) == len(sounds)
    parts = [p for n in range(len(title.points)) for p in played(data, n, n + 1)]
    assert told(parts) == told(found)  # of the parts further on nothing is missing


@pytest.mark.parametrize(
    "time", [lambda t: t + (1 << 63), lambda t: t << 40, lambda t: t << 20, lambda t: t + 90]
)
def test_an_index_with_other_times_than_its_key_frames_is_not_believed(time):
    good = each(recorded(PACKETS))
    head, row = index_module._HEAD, index_module._ROW
    for number, packet in enumerate(good):
        if packet.startswith(head):
            rows = [row.unpack_from(packet, pos) for pos in range(len(head), SIZE, row.size)]
            lie = [(min(time(t), (1 << 64) - 1) if p < 1 << 63 else t, p) for t, p in rows]
            good[number] = (head + b"".join(row.pack(*each) for each in lie)).ljust(SIZE, b"\xff")
    assert told(played(b"".join(good))) == about(FRAMES)
    far = at(good, 2, (head + row.pack(90_000, 1 << 40)).ljust(SIZE, b"\xff"))
    assert told(played(far)) == about(FRAMES)


def test_an_index_whose_key_frames_are_not_there_is_not_believed():
    good = each(recorded(PACKETS))
    begins = [n for n, p in enumerate(good) if p[1] & 0x5F == 0x41 and not p[2]]
    for broken in (transport(0x100, b"\x00\x00\x01", starts=True), transport(0x1FFF, bytes(184))):
        data = at(good, begins[0], broken)
        assert read_index(Memory(data)) is not None
        assert len(read_ts(Memory(data)).points) == 3
    nothing = b"".join([*good[:3], *good[4:5] * 0]) + recorded(PACKETS)[3 * SIZE :]
    assert read_ts(Memory(nothing))


def test_nonsense_can_be_left_in_the_middle_of_it(monkeypatch):
    monkeypatch.setattr(title_module, "_BLOCK", 50 * SIZE)
    source = Memory(GOOD)
    title = read_ts(source)
    middle = title.points[1]
    assert middle
    filler = transport(0x1FFF, bytes(184)) * 500
    cut = next(
        pos
        for pos in range(len(GOOD) // 2, len(GOOD), SIZE)
        if GOOD[pos + 1] & 0x40 and GOOD[pos + 1] & 0x1F == 1
    )
    source = Memory(GOOD[: cut // SIZE * SIZE] + filler + GOOD[cut // SIZE * SIZE :])
    title = read_ts(source)
    found = list(title.packets(source, 0, len(title.points)))
    assert found.count(None) >= 9
    assert told(p for p in found if p is not None) == about(FRAMES)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 1 << 20), st.integers(0, 255)), min_size=1, max_size=50),
    st.booleans(),
)
def test_whatever_is_changed_it_plays_or_is_refused(changes, own):
    data = bytearray(recorded(PACKETS[:150]) if own else GOOD[:60_000])
    for place, value in changes:
        data[place % len(data)] = value
    with contextlib.suppress(RemoteProtocolError):
        source = Memory(bytes(data))
        title = read_ts(source)
        assert list(title.points) == sorted(title.points)
        for first in range(len(title.points)):
            for packet in title.packets(source, first, first + 1):
                assert packet is None or packet.data
