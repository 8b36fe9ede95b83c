"""Transport streams, read back by FFmpeg's demuxer (PyAV) and packet by packet."""

from __future__ import annotations

import io
from typing import NamedTuple

import av
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kit.media import aac_frame, aac_track, avc_frame, avc_track, sample_packets

from livetrio.packet import Codec, Kind, Track
from livetrio.wire.hevc import HevcConfig
from livetrio.wire.mpegts import TsMuxer, in_ts
from livetrio.wire.mpegts.tables import PMT_PID, crc32, program_association
from livetrio.wire.nal import join_units
from livetrio.wire.segment import Part, Sample, Segmenter, SegmentLimits, SegmentStart
from livetrio.wire.tracks import track_from_record

MP3 = Track(Kind.AUDIO, Codec.MP3, sample_rate=44_100, channels=2)
SECOND = 1_000_000
HEVC = bytes.fromhex(
    "0101600000009000000000003cf000fcfdf8f800000f03200001001840010c01ffff0160000003009000000300000300"
    "3c959809210001002a42010101600000030090000003000003003ca00a480b9c9596566924caf0168080000003008000"
    "000c8422000100074401c172b46240"
)


def sample(ms: int, data: bytes, *, key: bool = True, offset: int = 0) -> Sample:
    return Sample(ms * 1000, (ms + offset) * 1000, 20_000, key, data)


def build(packets) -> bytes:
    segmenter = Segmenter(SegmentLimits(target=SECOND, part=0), frozenset(Codec))
    events = [event for packet in packets for event in segmenter.feed(packet)]
    muxer, out = None, []
    for event in events + segmenter.end():
        if isinstance(event, SegmentStart):
            muxer = muxer or TsMuxer(event.tracks)
            out.append(muxer.tables())
        elif isinstance(event, Part):
            out.append(muxer.write(event.samples))
    return b"".join(out)


class Demuxed(NamedTuple):
    """A copy of what FFmpeg saw: a packet of PyAV's does not outlive its container."""

    type: str
    dts: int
    pts: int
    duration: int
    is_keyframe: bool
    data: bytes


def demuxed(data: bytes) -> list[Demuxed]:
    with av.open(io.BytesIO(data), format="mpegts") as container:
        return [
            Demuxed(p.stream.type, p.dts, p.pts, p.duration, p.is_keyframe, bytes(p))
            for p in container.demux()
            if p.size
        ]


def cut(data: bytes) -> list[bytes]:
    assert len(data) % 188 == 0
    return [data[pos : pos + 188] for pos in range(0, len(data), 188)]


def pid(packet: bytes) -> int:
    return int.from_bytes(packet[1:3], "big") & 0x1FFF


def test_a_demuxer_gets_every_frame_at_its_time():
    wanted = [p for p in sample_packets(3.0) if not p.config]
    read = demuxed(build(sample_packets(3.0)))
    video = [p for p in read if p.type == "video"]
    assert [p.dts for p in video] == [
        90_000 + p.dts * 9 // 100 for p in wanted if p.track.kind is Kind.VIDEO
    ]
    assert [p.is_keyframe for p in video] == [p.key for p in wanted if p.track.kind is Kind.VIDEO]
    sounds = [p for p in read if p.type == "audio"]
    assert [p.data[7:] for p in sounds] == [p.data for p in wanted if p.track.kind is Kind.AUDIO]


def test_a_decoder_shows_every_picture():
    with av.open(io.BytesIO(build(sample_packets(2.0))), format="mpegts") as container:
        assert sum(1 for _ in container.decode(video=0)) == 50


def test_counters_go_up_by_one_per_pid_and_every_packet_has_its_sync_byte():
    counters: dict[int, int] = {}
    for packet in cut(build(sample_packets(4.0))):
        assert packet[0] == 0x47
        if pid(packet) in counters:
            assert packet[3] & 15 == counters[pid(packet)] + 1 & 15
        counters[pid(packet)] = packet[3] & 15
    assert set(counters) == {0, PMT_PID, 0x100, 0x101}


def test_every_segment_can_be_read_by_itself():
    segmenter = Segmenter(SegmentLimits(target=SECOND, part=0), frozenset(Codec))
    events = [event for packet in sample_packets(3.0) for event in segmenter.feed(packet)]
    muxer = None
    for event in events:
        if isinstance(event, SegmentStart):
            muxer = muxer or TsMuxer(event.tracks)
        if isinstance(event, Part):
            read = demuxed(muxer.tables() + muxer.write(event.samples))
            assert len([p for p in read if p.type == "video"]) == 25


def test_tables_carry_a_checksum_that_comes_out_as_zero():
    assert crc32(program_association()) == 0
    assert crc32(b"123456789") == 0x0376E6E7  # CRC-32/MPEG-2's check value


def test_times_wrap_at_33_bits():
    muxer = TsMuxer([avc_track()])
    hours = 27 * 3600 * 1000  # 2^33 ticks of 90 kHz are 26.5 hours
    (packet,) = demuxed(muxer.tables() + muxer.write([[sample(hours, avc_frame(key=True))]]))
    assert packet.pts == (hours * 90 + 90_000) % 2**33


def test_presentation_and_decoding_times_are_both_written_where_they_differ():
    muxer = TsMuxer([avc_track()])
    frames = [sample(0, avc_frame(key=True), offset=80)]
    frames += [sample(40, avc_frame(key=False, number=1), key=False, offset=120)]
    read = demuxed(muxer.tables() + muxer.write([frames]))
    assert [(p.dts, p.pts) for p in read][:1] == [(90_000, 97_200)]


def test_the_clock_is_behind_the_decoding_time_and_key_frames_are_marked():
    muxer = TsMuxer([avc_track()])
    (first, *_) = cut(muxer.write([[sample(0, avc_frame(key=True))]]))
    flags = first[5]
    base = int.from_bytes(first[6:12], "big") >> 15
    assert flags == 0x50
    assert base == 90_000 - 9_000
    (second, *_) = cut(muxer.write([[sample(40, avc_frame(key=False, number=1), key=False)]]))
    assert second[5] == 0x10


def test_parameter_sets_go_before_key_frames_once():
    track = avc_track()
    sets = track.config
    muxer = TsMuxer([track])
    bare = muxer.write([[sample(0, avc_frame(key=True))]])
    assert bare.count(b"\x00\x00\x00\x01\x67") == 1
    assert bare.count(b"\x00\x00\x00\x01\x09") == 1
    sps = sets[8 : 8 + int.from_bytes(sets[6:8], "big")]
    own = join_units([b"\x09\xf0", sps]) + avc_frame(key=True)
    again = muxer.write([[sample(40, own)]])
    assert again.count(b"\x00\x00\x00\x01\x67") == 1
    assert again.count(b"\x00\x00\x00\x01\x09") == 1


def test_hevc_is_delimited_and_gets_its_parameter_sets():
    config = HevcConfig.parse(HEVC)
    muxer = TsMuxer([track_from_record(Codec.HEVC, HEVC)])
    idr = join_units([bytes.fromhex("260111")])
    out = muxer.write(
        [[sample(0, idr), sample(40, join_units([b"\x46\x01\x50", b"\x02\x01\x11"]), key=False)]]
    )
    assert out.count(b"\x00\x00\x00\x01\x46\x01") == 2
    assert out.count(b"\x00\x00\x00\x01\x42\x01") == 1
    own = muxer.write([[sample(80, join_units([*config.vps_list, *config.sps_list]) + idr)]])
    assert own.count(b"\x00\x00\x00\x01\x42\x01") == 1


@pytest.mark.parametrize(
    ("track", "stream_type"),
    [
        (MP3, 0x03),
        (Track(Kind.AUDIO, Codec.MP3, sample_rate=22_050, channels=1), 0x04),
        (Track(Kind.AUDIO, Codec.AC3, sample_rate=48_000, channels=2), 0x81),
        (Track(Kind.AUDIO, Codec.EAC3, sample_rate=48_000, channels=6), 0x87),
    ],
)
def test_sound_other_than_aac_goes_out_as_it_is(track, stream_type):
    muxer = TsMuxer([track])
    tables = cut(muxer.tables())
    assert tables[1][17] == stream_type
    out = muxer.write([[sample(0, b"\xff\xfb\x90\x64" + bytes(100))]])
    assert out.count(b"\xff\xfb\x90\x64") == 1


def test_frames_of_sound_share_a_header_for_a_tenth_of_a_second():
    muxer = TsMuxer([aac_track()])
    run = [sample(index * 21, aac_frame()) for index in range(20)]
    starts = [p for p in cut(muxer.write([run])) if p[1] & 0x40]
    assert len(starts) == 4


def test_sound_that_is_too_much_for_one_pes_packet_is_split():
    muxer = TsMuxer([MP3])
    run = [sample(index, bytes(8_000)) for index in range(20)]
    packets = cut(muxer.write([run]))
    lengths = [
        int.from_bytes(p[-184:][4:6], "big") for p in packets if p[1] & 0x40 and not p[3] & 0x20
    ]
    assert all(lengths)
    huge = muxer.write([[sample(100, bytes(70_000))]])
    assert len(huge) > 70_000


@pytest.mark.parametrize("left", [-2, -1, 0, 1])
def test_a_payload_that_ends_at_the_end_of_a_packet_needs_no_stuffing(left):
    muxer = TsMuxer([MP3])
    # 14 bytes of PES header; the clock takes 8 bytes of the first packet
    packets = cut(muxer.write([[sample(0, bytes([7]) * (3 * 184 - 8 - 14 + left))]]))
    assert len(packets) == (4 if left > 0 else 3)


def test_tracks_are_interleaved_by_time():
    muxer = TsMuxer([avc_track(), aac_track()])
    frames = [sample(t, avc_frame(key=True)) for t in (0, 200)]
    sounds = [sample(t, aac_frame()) for t in (100, 300)]
    assert [pid(p) for p in cut(muxer.write([frames, sounds]))] == [0x100, 0x101, 0x100, 0x101]


def test_what_hls_players_do_not_expect_in_ts_is_not_in_ts():
    assert in_ts(Codec.H264)
    assert not in_ts(Codec.OPUS)
    assert not in_ts(Codec.AV1)


@given(st.lists(st.integers(0, 600), min_size=1, max_size=12), st.booleans())
@settings(max_examples=300, deadline=None)
def test_any_size_of_frame_is_cut_into_whole_packets_and_comes_back(sizes, with_video):
    """Each size near the borders of a packet: stuffing of 0, 1 and more bytes."""
    run = [sample(index * 200, bytes([7]) * size) for index, size in enumerate(sizes)]
    tracks = [avc_track(), MP3] if with_video else [MP3]
    muxer = TsMuxer(tracks)
    out = muxer.write([[], run] if with_video else [run])
    payload = b""
    for packet in cut(out):
        body = packet[4:]
        if packet[3] & 0x20:
            body = body[1 + body[0] :]
        if packet[1] & 0x40:
            assert body[:3] == b"\x00\x00\x01"
            body = body[9 + body[8] :]
        payload += body
    assert payload == bytes([7]) * sum(sizes)
