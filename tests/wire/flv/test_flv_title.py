"""FLV files that are played from any key frame, by their own index or without one."""

from __future__ import annotations

import contextlib
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kit.media import aac_track, avc_track, sample_packets
from kit.mp4 import Memory

from livetrio.delivery.record_formats import make_tape
from livetrio.errors import RemoteProtocolError
from livetrio.packet import Codec, Kind, Packet, Track
from livetrio.wire import amf0
from livetrio.wire.amf import EcmaArray
from livetrio.wire.flv import file_header, tag
from livetrio.wire.flv import title as flv_title
from livetrio.wire.flv.title import read_flv

SECOND = 1_000_000
PACKETS = list(sample_packets(4.0))
CONFIGS = [p for p in PACKETS if p.config and p.track.kind is not Kind.DATA]
FRAMES = [p for p in PACKETS if not p.config]
VIDEO = [p for p in PACKETS if p.track.kind is Kind.VIDEO]
AUDIO = [p for p in PACKETS if p.track.kind is Kind.AUDIO]


def file(packets, *, about=None, audio=True, video=True) -> bytes:
    """about: onMetaData's values, given the places of video key frames."""
    tags = [tag(packet) for packet in packets]

    def built(places) -> bytes:
        head = file_header(audio=audio, video=video)
        if about is None:
            return head + b"".join(tags)
        body = amf0.encode("onMetaData", EcmaArray(about(places)))
        return head + tag(script(body)) + b"".join(tags)

    base = len(built([0.0] * 4)) - sum(map(len, tags))
    places = []
    for packet, data in zip(packets, tags, strict=True):
        if packet.track.kind is Kind.VIDEO and packet.key:
            places.append(float(base))
        base += len(data)
    return built(places)


def script(body: bytes) -> Packet:
    return Packet(Track(Kind.DATA, Codec.SCRIPT, config=body), 0, 0, body, config=True)


def played(data: bytes, first: int = 0, stop: int | None = None) -> list[Packet]:
    source = Memory(data)
    title = read_flv(source)
    stop = len(title.points) if stop is None else stop
    return [packet for packet in title.packets(source, first, stop) if packet is not None]


def told(packets) -> list[tuple]:
    return [(p.dts // 1000, p.track.kind, p.key, p.data) for p in packets]


def indexed(places, times=(0, 1, 2, 3)):
    return {"duration": 4.0, "keyframes": {"times": [*times], "filepositions": [*places]}}


def test_a_file_without_an_index_is_looked_through():
    data = file([*CONFIGS, *FRAMES])
    title = read_flv(Memory(data))
    assert [track.codec for track in title.tracks] == [Codec.H264, Codec.AAC]
    assert list(title.points) == [0, SECOND, 2 * SECOND, 3 * SECOND]
    assert title.duration == pytest.approx(4 * SECOND, abs=50_000)
    assert told(played(data)) == told(FRAMES)
    assert told([*played(data, 0, 2), *played(data, 2)]) == told(FRAMES)


def test_a_file_with_an_index_is_not_looked_through():
    data = file([*CONFIGS, *FRAMES], about=indexed)
    source = Memory(data)
    title = read_flv(source)
    assert list(title.points) == [0, SECOND, 2 * SECOND, 3 * SECOND]
    assert title.duration == 4 * SECOND
    assert source.bytes_read < 2_000
    assert told(played(data, 1, 3)) == told(p for p in FRAMES if SECOND <= p.dts < 3 * SECOND)


@pytest.mark.parametrize(
    "about",
    [
        lambda places: {"keyframes": "none"},
        lambda places: {"keyframes": {"times": [], "filepositions": []}},
        lambda places: {"keyframes": {"times": 7}},
        lambda places: indexed([place + 1 for place in places]),
        lambda places: indexed([1e12] * 4),
        lambda places: indexed(places, (0, 10, 20, 30)),
        lambda places: indexed(places, (0, float("nan"), 20, 30)) | {"x": 1},
        lambda places: indexed(["a", None, *places]),
        lambda places: indexed(places[::-1]),
    ],
)
def test_an_index_that_lies_is_not_believed(about):
    data = file([*CONFIGS, *FRAMES], about=about)
    assert told(played(data)) == told(FRAMES)


def test_times_are_counted_from_the_first_frame():
    late = [replace(p, dts=p.dts + 900 * SECOND, pts=p.pts + 900 * SECOND) for p in FRAMES]
    assert told(played(file([*CONFIGS, *late]))) == told(FRAMES)
    title = read_flv(Memory(file([*CONFIGS, *late])))
    assert title.duration == pytest.approx(4 * SECOND, abs=50_000)
    with_index = file([*CONFIGS, *late], about=lambda places: indexed(places) | {"duration": 0})
    assert list(read_flv(Memory(with_index)).points) == [0, SECOND, 2 * SECOND, 3 * SECOND]
    assert read_flv(Memory(with_index)).duration == pytest.approx(4 * SECOND, abs=50_000)


@pytest.mark.parametrize("size", [0, 0xFFFF_FFFF])
def test_a_wrong_last_size_costs_only_the_duration(size):
    data = file([*CONFIGS, *FRAMES], about=lambda places: indexed(places) | {"duration": "?"})
    title = read_flv(Memory(data[:-4] + size.to_bytes(4, "big")))
    assert title.duration == 3 * SECOND


def test_of_sound_alone_one_can_start_every_second():
    title = read_flv(Memory(file(AUDIO, video=False)))
    assert [track.kind for track in title.tracks] == [Kind.AUDIO]
    assert len(title.points) == 4


def test_a_header_that_announces_too_much_is_forgiven():
    assert told(played(file(AUDIO))) == told(p for p in AUDIO if not p.config)
    assert played(file([*CONFIGS, *FRAMES], audio=False, video=False))


def test_a_new_configuration_in_the_middle_is_handed_on():
    other = replace(VIDEO[0].track, config=VIDEO[0].track.config[:-1] + b"\x81")
    middle = Packet(other, 2 * SECOND, 2 * SECOND, other.config, config=True)
    packets = [*CONFIGS, *(p for p in FRAMES if p.dts < 2 * SECOND), middle]
    found = played(file(packets))
    assert found[-1].config
    assert not any(p.config for p in found[:-1])


def test_script_data_between_frames_is_passed_over():
    cue = Packet(script(b"").track, 0, 0, amf0.encode("onCuePoint", {"name": "x"}), key=True)
    assert told(played(file([*CONFIGS, *FRAMES[:9], cue, *FRAMES[9:]]))) == told(FRAMES)


def test_a_file_that_becomes_shorter_while_it_is_played_ends(monkeypatch):
    monkeypatch.setattr(flv_title, "_BLOCK", 30)
    source = Memory(file([*CONFIGS, *FRAMES]))
    title = read_flv(source)
    whole = source.data
    for cut in range(1_000, 1_040):  # in headers and in frames
        source.data = whole[:-cut]
        assert 0 < len(list(filter(None, title.packets(source, 0, 4)))) < len(FRAMES)


def test_a_tail_that_is_cut_or_broken_is_left_out():
    data = file([*CONFIGS, *FRAMES])
    assert told(played(data[:-30])) == told(FRAMES[:-1])
    assert told(played(data + b"\x00" * 50)) == told(FRAMES)
    assert told(played(data[:-4])) == told(FRAMES)


def test_a_file_bigger_than_a_block_is_played_whole(monkeypatch):
    monkeypatch.setattr(flv_title, "_BLOCK", 100)
    big = [replace(p, data=p.data + bytes(300)) if p in AUDIO else p for p in FRAMES]
    assert told(played(file([*CONFIGS, *big]))) == told(big)


def test_the_end_of_a_sequence_is_no_key_frame():
    end = b"\x17\x02\x00\x00\x00"
    tagged = b"\x09" + len(end).to_bytes(3, "big") + b"\x00\x0f\xa0\x00" + bytes(3) + end + bytes(4)
    assert len(read_flv(Memory(file([*CONFIGS, *FRAMES]) + tagged)).points) == 4


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not an FLV"),
        (b"FLV\x01\x05\xff\xff\xff\xff", "not an FLV"),
        (b"FLV\x02\x05\x00\x00\x00\x09", "not an FLV"),
        (file_header(audio=True, video=True), "no frame"),
        (file(CONFIGS), "no frame"),
        (
            file([*CONFIGS, *(p for p in FRAMES if p.track.kind is Kind.VIDEO and not p.key)]),
            "no key",
        ),
    ],
)
def test_what_cannot_be_played_is_refused(data, reason):
    with pytest.raises(RemoteProtocolError, match=reason):
        read_flv(Memory(data))


@pytest.mark.parametrize(
    "body", [b"\x02\xff", amf0.encode("onCuePoint", {}), amf0.encode("onMetaData"), bytes(5 << 20)]
)
def test_metadata_that_cannot_be_read_is_passed_over(body):
    data = file_header(audio=True, video=True) + tag(script(body))
    data += b"".join(tag(p) for p in [*CONFIGS, *FRAMES])
    assert told(played(data)) == told(FRAMES)


def test_looking_through_has_an_end(monkeypatch):
    monkeypatch.setattr(flv_title, "_MAX_TAGS", 60)
    assert len(read_flv(Memory(file([*CONFIGS, *FRAMES]))).points) < 4
    monkeypatch.setattr(flv_title, "_HEADS", 1)
    with pytest.raises(RemoteProtocolError, match="no frame"):
        read_flv(Memory(file([*CONFIGS, *FRAMES])))


@settings(max_examples=200)
@given(st.data())
def test_whatever_is_changed_in_a_file_nothing_but_a_refusal_comes_of_it(data):
    good = file([*CONFIGS, *FRAMES[:60]], about=indexed)
    broken = bytearray(good)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(good) - 1))
        broken[at] = data.draw(st.sampled_from([0, 1, 0x7F, 0x80, 0xFF]))
    with contextlib.suppress(RemoteProtocolError):
        played(bytes(broken[: data.draw(st.integers(0, len(good)))]))


def changed(repeats: bool = False) -> list[Packet]:
    """Another picture size from 2 s on, other sound from 2.5 s on."""
    big, mono = avc_track(128, 96), aac_track(channels=1)
    found = [*CONFIGS]
    for packet in FRAMES:
        is_video = packet.track.kind is Kind.VIDEO
        new = big if is_video else mono
        if packet.dts >= (2_000_000 if is_video else 2_500_000):
            if not any(p.track is new for p in found):
                found.append(Packet(new, packet.dts, packet.dts, new.config, config=True))
            packet = replace(packet, track=new)
        elif repeats and packet.key and is_video:
            found += [replace(p, dts=packet.dts, pts=packet.dts) for p in CONFIGS]
        found.append(packet)
    return found


def written(packets) -> bytes:
    """As our recorder writes it."""
    tape = make_tape("flv")
    tape.feed(packets[:2])
    pieces = tape.feed(packets[2:])
    flv = tape.open(pieces[0])
    data = bytearray(flv.head + b"".join(flv.add(piece) for piece in pieces))
    for offset, patch in flv.patches(4 * SECOND, len(data)):
        data[offset : offset + len(patch)] = patch
    return bytes(data)


@pytest.mark.parametrize(
    "data",
    [
        file(changed()),
        file(changed(), about=indexed),
        file(changed(repeats=True)),
        file(changed(repeats=True), about=indexed),
        written(changed()),
    ],
    ids=["looked through", "indexed", "repeated", "repeated and indexed", "our own"],
)
def test_a_new_configuration_in_the_middle_is_another_part(data):
    title = read_flv(Memory(data))
    pictures = [(span.first, span.tracks[0].width) for span in title.spans]
    assert pictures[:2] == [(0, 64), (2, 128)]
    assert title.tracks is title.spans[0].tracks
    assert title.tracks[1].channels == 2
    # found where the sequence header is not before a key frame too, if somebody has looked
    assert len(title.spans) in (2, 3)
    found = [p for p in played(data, 2) if not p.config and p.track.kind is Kind.VIDEO]
    assert {p.track.width for p in found} == {128}
    first = next(p for p in played(data, 3) if p.track.kind is Kind.AUDIO)
    assert first.track.channels == (1 if len(title.spans) == 3 else 2)
    whole = [p for p in played(data) if p.config]
    assert [p.track.kind for p in whole] == [Kind.VIDEO, Kind.AUDIO]


def test_our_own_index_tells_of_changes_and_little_is_read():
    data = written(changed())
    source = Memory(data)
    title = read_flv(source)
    assert [span.first for span in title.spans] == [0, 2, 3]
    assert source.bytes_read < 80_000  # most of it the index
    same = Memory(written([*CONFIGS, *FRAMES]))
    assert len(read_flv(same).spans) == 1


@pytest.mark.parametrize("said", [[1e12], [0.0], [50.0], "none"])
def test_places_of_changes_that_lie_are_not_believed(said):
    lie = {"sequenceheaders": {"times": [0.0], "filepositions": said}}
    data = file(changed(), about=lambda places: indexed(places) | lie)
    assert [span.first for span in read_flv(Memory(data)).spans] == [0, 2]


def test_picture_and_sound_that_change_at_once_make_one_part():
    big, mono = avc_track(128, 96), aac_track(channels=1)
    packets = [*CONFIGS, *(p for p in FRAMES if p.dts < 2 * SECOND)]
    packets += [Packet(t, 2 * SECOND, 2 * SECOND, t.config, config=True) for t in (big, mono)]
    for packet in FRAMES[len(packets) - 4 :]:
        packets.append(replace(packet, track=big if packet.track.kind is Kind.VIDEO else mono))
    spans = read_flv(Memory(file(packets))).spans
    assert [span.first for span in spans] == [0, 2]
    assert [(track.width, track.channels) for track in spans[1].tracks] == [(128, 0), (0, 1)]


def test_a_change_behind_the_last_key_frame_is_found_while_playing():
    late = Packet(big := avc_track(128, 96), 3_900_000, 3_900_000, big.config, config=True)
    data = file([*CONFIGS, *FRAMES, late])
    assert len(read_flv(Memory(data)).spans) == 1
    assert played(data)[-1].track.width == 128


def test_a_change_among_the_first_tags_is_no_beginning():
    big = avc_track(128, 96)
    packets = [CONFIGS[0], VIDEO[1], Packet(big, 0, 0, big.config, config=True)]
    packets += [replace(p, track=big) for p in VIDEO[2:]]
    data = file(packets, video=True, audio=True)
    title = read_flv(Memory(data))
    assert [(span.first, span.tracks[0].width) for span in title.spans] == [(0, 64), (1, 128)]
    assert {p.track.width for p in played(data, 1)} == {128}


def test_metadata_before_a_key_frame_hides_no_change_and_further_tracks_change_nothing():
    packets = changed()
    second = replace(avc_track(32, 32), id=1)
    place = next(n for n, p in enumerate(packets) if p.config and p.track.width == 128)
    note = script(amf0.encode("onCuePoint", 1.0))
    packets[place + 1 : place + 1] = [note, note]
    early = next(n for n, p in enumerate(packets) if p.dts == SECOND and p.key)
    packets[early:early] = [note] * 5
    data = file(packets, about=indexed)
    assert [span.first for span in read_flv(Memory(data)).spans] == [0, 2]
    plain = file([*CONFIGS, *FRAMES[:90]])
    more = tag(Packet(second, SECOND, SECOND, second.config, config=True), multitrack=True)
    rest = b"".join(map(tag, [p for p in FRAMES[90:] if p.dts > 2 * SECOND]))
    assert len(read_flv(Memory(plain + more + rest)).spans) == 1


@pytest.mark.parametrize("said", [1e305, float("inf"), -1.0])
def test_a_duration_that_cannot_be_is_not_believed(said):
    data = file([*CONFIGS, *FRAMES], about=lambda places: indexed(places) | {"duration": said})
    assert read_flv(Memory(data)).duration == pytest.approx(4 * SECOND, abs=50_000)


def claiming(places, head: bytes) -> bytes:
    """A file that says that sequence headers are at places behind its frames, and what is there."""
    packets = [*CONFIGS, *FRAMES[:60]]

    def about(base: float):
        said = {"times": [0.0] * len(places), "filepositions": [base + p for p in places]}
        return lambda keys: indexed(keys[:1], [0]) | {"sequenceheaders": said}

    end = float(len(file(packets, about=about(0.0))))
    return file(packets, about=about(end)) + head


def sequence_header(said: int, size: int | None = None) -> bytes:
    """One of H.264, of so many bytes; size: what there is."""
    body = b"\x17\x00\x00\x00\x00".ljust(said if size is None else size, b"\x00")
    return b"\x09" + said.to_bytes(3, "big") + bytes(7) + body


def test_sequence_headers_that_lie_in_one_another_are_not_believed():
    header = sequence_header(60_000, 5)
    places = [float(len(header) * n) for n in range(800)]
    data = claiming(places, header * 800 + bytes(60_000))
    source = Memory(data)
    title = read_flv(source)
    assert len(title.spans) == 1
    assert source.bytes_read < 500_000


def test_sequence_headers_before_a_key_frame_that_lie_in_one_another_are_looked_at_once():
    inner = sequence_header(20)
    outer = sequence_header(10 + 4 + len(inner), 10)
    nested = outer + len(outer).to_bytes(4, "big") + inner + len(inner).to_bytes(4, "big")
    late = replace(next(p for p in VIDEO if p.key), dts=4 * SECOND, pts=4 * SECOND)
    packets = [*CONFIGS, *FRAMES]

    def about(more: float):
        return lambda places: indexed([places[0], more], (0, 4))

    end = float(len(file(packets, about=about(0.0))))
    data = file(packets, about=about(end + len(nested))) + nested + tag(late)
    source = Memory(data)
    title = read_flv(source)
    assert list(title.points) == [0, 4 * SECOND]
    assert told(played(data, 1)) == told([late])


def test_a_sequence_header_longer_than_any_record_is_none():
    data = claiming([0.0], sequence_header(1 << 20))
    source = Memory(data)
    read_flv(source)
    assert source.bytes_read < 500_000
    early = [CONFIGS[0], *FRAMES]
    begin = file_header(audio=True, video=True) + sequence_header(1 << 20) + bytes(4)
    data = begin + b"".join(map(tag, [*CONFIGS, *early]))
    source = Memory(data)
    assert read_flv(source).tracks[0].width == 64


def test_sequence_headers_that_are_read_are_let_go_unless_they_change_something(monkeypatch):
    monkeypatch.setattr(flv_title, "_MAX_CONFIGS", 1)
    big = avc_track(128, 96)
    packets = [*CONFIGS]
    for packet in (p for p in FRAMES if p.track.kind is Kind.VIDEO):
        if packet.key and packet.dts:
            track = big if packet.dts // SECOND % 2 else VIDEO[0].track
            packets.append(replace(packet, track=track, data=track.config, config=True, key=False))
        packets.append(packet)
    data = file(packets)
    assert len(read_flv(Memory(data)).spans) == 2
    monkeypatch.setattr(flv_title, "_MAX_CONFIGS", 1 << 20)
    assert len(read_flv(Memory(data)).spans) == 4


def test_of_an_index_only_so_many_points_are_looked_behind(monkeypatch):
    data = file(changed(repeats=True), about=indexed)
    monkeypatch.setattr(flv_title, "_MAX_CHANGES", 1)
    source = Memory(data)
    assert len(read_flv(source).spans) == 1
    few = source.bytes_read
    monkeypatch.undo()
    whole = Memory(data)
    read_flv(whole)
    assert few < whole.bytes_read


def test_what_is_of_no_track_that_is_played_can_be_left_in_the_middle_of_it(monkeypatch):
    monkeypatch.setattr(flv_title, "_BLOCK", 1_000)
    second = replace(VIDEO[0].track, id=1)
    other = [replace(p, track=second) for p in VIDEO if not p.config]
    more = [tag(p, multitrack=True) for p in other] * 9
    huge = tag(replace(script(b"x" * 5_000), config=False))
    plain = [tag(p) for p in [*CONFIGS, *FRAMES]]
    data = file_header(audio=True, video=True) + b"".join([*plain, *more, huge, huge, plain[-1]])
    source = Memory(data)
    title = read_flv(source)
    found = list(title.packets(source, 0, len(title.points)))
    assert found.count(None) > 5
    assert told(p for p in found if p is not None) == told([*FRAMES, FRAMES[-1]])
