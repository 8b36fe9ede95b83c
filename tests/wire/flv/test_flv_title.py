"""FLV files that are played from any key frame, by their own index or without one."""

from __future__ import annotations

import contextlib
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kit.media import sample_packets
from kit.mp4 import Memory

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
    return list(title.packets(source, first, len(title.points) if stop is None else stop))


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
        assert 0 < len(list(title.packets(source, 0, 4))) < len(FRAMES)


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
