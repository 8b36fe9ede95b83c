"""Fragmented MP4, read back by FFmpeg's demuxer (PyAV): what it sees is what was put in."""

from __future__ import annotations

import io
import struct
from dataclasses import replace
from itertools import pairwise
from typing import NamedTuple

import av
import pytest
from kit.media import aac_track, avc_config, avc_track, sample_packets

from livetrio.errors import LocalProtocolError
from livetrio.packet import Codec, Kind, Track
from livetrio.wire.aac import AacConfig
from livetrio.wire.avc import AvcConfig
from livetrio.wire.fmp4 import codec_string, fragment, in_mp4, initialization, ticks, timescale
from livetrio.wire.opus import OpusHead
from livetrio.wire.segment import Part, Sample, Segmenter, SegmentLimits, SegmentStart
from livetrio.wire.tracks import track_from_record
from livetrio.wire.vp import VpConfig

AV1 = bytes.fromhex("81000c000a0b000000043d06d4daf90040")
HEVC = bytes.fromhex(
    "0101600000009000000000003cf000fcfdf8f800000f03200001001840010c01ffff0160000003009000000300000300"
    "3c959809210001002a42010101600000030090000003000003003ca00a480b9c9596566924caf0168080000003008000"
    "000c8422000100074401c172b46240"
)


class Demuxed(NamedTuple):
    """A copy of what FFmpeg saw: a packet of PyAV's does not outlive its container."""

    type: str
    dts: int
    pts: int
    duration: int
    is_keyframe: bool
    data: bytes


def demuxed(data: bytes) -> list[Demuxed]:
    with av.open(io.BytesIO(data), format="mp4") as container:
        return [
            Demuxed(p.stream.type, p.dts, p.pts, p.duration, p.is_keyframe, bytes(p))
            for p in container.demux()
            if p.size
        ]


def build(packets, **limits) -> bytes:
    segmenter = Segmenter(SegmentLimits(**limits), frozenset(Codec))
    events = [event for packet in packets for event in segmenter.feed(packet)]
    out, tracks, number = b"", (), 0
    for event in events + segmenter.end():
        if isinstance(event, SegmentStart) and event.tracks is not tracks:
            tracks = event.tracks
            out += initialization(tracks)
        elif isinstance(event, Part):
            number += 1
            out += fragment(number, tracks, event.samples)
    return out


def test_a_demuxer_gets_the_same_frames_at_the_same_times():
    packets = [p for p in sample_packets(3.0) if not p.config]
    read = demuxed(build(sample_packets(3.0), target=1_000_000))
    for kind, scale in (("video", 90_000), ("audio", 48_000)):
        mine = [p for p in packets if p.track.kind.value == kind]
        theirs = [p for p in read if p.type == kind]
        assert [p.data for p in theirs] == [p.data for p in mine]
        assert [p.dts for p in theirs] == [ticks(p.dts, scale) for p in mine]
        assert [p.pts for p in theirs] == [ticks(p.pts, scale) for p in mine]
        assert [p.is_keyframe for p in theirs] == [p.key for p in mine]


def test_a_decoder_shows_every_picture_and_plays_every_frame_of_sound():
    data = build(sample_packets(2.0), target=1_000_000)
    with av.open(io.BytesIO(data), format="mp4") as container:
        assert sum(1 for _ in container.decode(video=0)) == 50
    with av.open(io.BytesIO(data), format="mp4") as container:
        frames = list(container.decode(audio=0))
        assert len(frames) == 94
        assert frames[0].sample_rate == 48_000


def test_rounding_never_drifts_over_an_hour_of_frames():
    track = replace(aac_track(44_100), sample_rate=44_100)
    times = [index * 1024 * 1_000_000 // 44_100 for index in range(1000)]
    run = [Sample(t, t, after - t, True, b"x") for t, after in pairwise(times)]
    read = demuxed(initialization([track]) + fragment(1, [track], [run]))
    assert sum(p.duration for p in read) == ticks(run[-1].dts + run[-1].duration, 44_100)
    assert {p.duration for p in read} <= {1023, 1024, 1025}


def test_presentation_before_decoding_and_a_track_without_samples_are_no_error():
    video, audio = avc_track(), aac_track()
    run = [Sample(80_000, 40_000, 40_000, True, b"\x00\x00\x00\x01e")]
    data = initialization([video, audio]) + fragment(1, [video, audio], [run, []])
    assert len(demuxed(data)) == 1
    assert data.count(struct.pack(">IIIi", 3600, 5, 0x02000000, -3600)) == 1


def test_the_times_of_a_file_may_begin_anywhere():
    video = avc_track()
    run = [Sample(7_040_000, 7_080_000, 40_000, True, b"\x00\x00\x00\x01e")]
    data = initialization([video]) + fragment(1, [video], [run], origin=7_000_000)
    (packet,) = demuxed(data)
    assert (packet.dts, packet.pts) == (3600, 7200)


def test_times_before_zero_are_written_as_zero():
    video = avc_track()
    run = [Sample(-40_000, 0, 40_000, True, b"\x00\x00\x00\x01e")]
    (packet,) = demuxed(initialization([video]) + fragment(1, [video], [run]))
    assert packet.dts == 0


def test_a_frame_that_ends_before_it_begins_lasts_no_time():
    audio = aac_track()
    run = [Sample(40_000, 40_000, -20_000, True, b"a"), Sample(20_000, 20_000, 20_000, True, b"b")]
    read = demuxed(initialization([audio]) + fragment(1, [audio], [run]))
    assert [p.data for p in read] == [b"a", b"b"]


MP3 = Track(Kind.AUDIO, Codec.MP3, sample_rate=44_100, channels=2)
OPUS = track_from_record(Codec.OPUS, OpusHead(2, pre_skip=312).build())
VP9 = Track(Kind.VIDEO, Codec.VP9, config=VpConfig(0, 31, 8, 1).build(), width=64, height=64)
STREAMINFO = bytes.fromhex("10001000000000000000" + "0bb80370" + "00000000" + "00" * 16)
FLAC = Track(Kind.AUDIO, Codec.FLAC, config=STREAMINFO, sample_rate=48_000, channels=2)
AVC3 = Track(Kind.VIDEO, Codec.H264, config=bytes.fromhex("0142c01fffe000"), width=64, height=64)


@pytest.mark.parametrize(
    ("track", "entry", "name", "seen_as"),
    [
        (avc_track(), b"avc1", "avc1.42c01f", "h264"),
        (AVC3, b"avc3", "avc1.42c01f", "h264"),
        (track_from_record(Codec.HEVC, HEVC), b"hvc1", "hvc1.1.6.L60.90", "hevc"),
        (track_from_record(Codec.HEVC, HEVC[:22] + b"\0"), b"hev1", "hev1.1.6.L60.90", "hevc"),
        (track_from_record(Codec.AV1, AV1), b"av01", "av01.0.00M.08", "libdav1d"),
        (VP9, b"vp09", "vp09.00.31.08", "vp9"),
        (replace(VP9, config=VP9.config[4:]), b"vp09", "vp09.00.31.08", "vp9"),
        (replace(VP9, codec=Codec.VP8), b"vp08", "vp08.00.31.08", "vp8"),
        (replace(VP9, codec=Codec.VP8, config=b""), b"vp08", "vp08.00.10.08", "vp8"),
        (aac_track(), b"mp4a", "mp4a.40.2", "aac"),
        (
            Track(Kind.AUDIO, Codec.MP3, sample_rate=44_100, channels=2),
            b"mp4a",
            "mp4a.40.34",
            "mp3",
        ),
        (OPUS, b"Opus", "opus", "opus"),
        (Track(Kind.AUDIO, Codec.OPUS), b"Opus", "opus", "opus"),
        (FLAC, b"fLaC", "fLaC", "flac"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_each_codec_has_its_sample_entry_and_its_name(track, entry, name, seen_as):
    data = initialization([track])
    assert data.count(entry) == 1
    assert codec_string(track) == name
    assert in_mp4(track.codec)
    with av.open(io.BytesIO(data + fragment(1, [track], [[]])), format="mp4") as container:
        (stream,) = container.streams
        names = {stream.codec_context.name, stream.codec_context.codec.canonical_name}
        assert seen_as in names | {name.replace("libdav1d", "av1") for name in names} or any(
            seen_as in name for name in names
        )


def test_a_codec_mp4_has_no_name_for_is_refused():
    speex = Track(Kind.AUDIO, Codec.SPEEX)
    assert not in_mp4(Codec.SPEEX)
    assert codec_string(speex) == ""
    with pytest.raises(LocalProtocolError):
        initialization([speex])


def test_sound_counts_in_samples_and_pictures_at_90_kilohertz():
    assert timescale(avc_track()) == 90_000
    assert timescale(aac_track(44_100)) == 44_100
    assert timescale(Track(Kind.AUDIO, Codec.OPUS)) == 48_000


def test_the_configuration_records_survive():
    with av.open(io.BytesIO(initialization([avc_track(), aac_track()])), format="mp4") as container:
        video, audio = container.streams
        assert AvcConfig.parse(video.codec_context.extradata) == AvcConfig.parse(avc_config())
        assert AacConfig.parse(audio.codec_context.extradata).sample_rate == 48_000
        assert (video.codec_context.width, video.codec_context.height) == (64, 64)
