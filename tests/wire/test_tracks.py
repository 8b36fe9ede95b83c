"""wire/tracks.py."""

import pytest
from kit.media import aac_config, avc_config

from livetrio.errors import RemoteProtocolError
from livetrio.packet import Codec, Kind
from livetrio.wire.tracks import MAX_RECORD, has_record, track_from_record

STREAMINFO = bytes.fromhex("10001000000000000000" + "0bb80370" + "00" * 20)
HEVC = bytes.fromhex(
    "0101600000009000000000003cf000fcfdf8f800000f03200001001840010c01ffff0160000003009000000300000300"
    "3c959809210001002a42010101600000030090000003000003003ca00a480b9c9596566924caf0168080000003008000"
    "000c8422000100074401c172b46240"
)


@pytest.mark.parametrize(
    ("codec", "record", "expected"),
    [
        (Codec.H264, avc_config(322, 182), (322, 182, 0, 0, "Constrained Baseline@3.1")),
        (Codec.H264, b"\x01\x42\xc0\x1f\xff\xe0\x00", (0, 0, 0, 0, "")),
        (Codec.HEVC, HEVC, (322, 182, 0, 0, "Main@2.0")),
        (Codec.HEVC, HEVC[:22] + b"\x00", (0, 0, 0, 0, "Main@2.0")),
        (
            Codec.AV1,
            bytes.fromhex("81000c000a0b000000043d06d4daf90040"),
            (322, 182, 0, 0, "Main@2.0"),
        ),
        (Codec.AV1, bytes.fromhex("81000c00"), (0, 0, 0, 0, "Main@2.0")),
        (Codec.VP9, bytes.fromhex("01000000000b820202020000"), (0, 0, 0, 0, "Profile 0@1.1")),
        (Codec.VP8, bytes.fromhex("0100000000008002020200 00"), (0, 0, 0, 0, "Profile 0@0.0")),
        (Codec.AAC, aac_config(44_100, 6), (0, 0, 44_100, 6, "LC")),
        (
            Codec.OPUS,
            bytes.fromhex("4f707573486561640101380180bb0000000000"),
            (0, 0, 48_000, 1, ""),
        ),
        (Codec.FLAC, STREAMINFO, (0, 0, 48_000, 2, "")),
    ],
)
def test_a_track_says_what_its_record_says(codec, record, expected):
    track = track_from_record(codec, record, 7)
    found = (track.width, track.height, track.sample_rate, track.channels, track.profile)
    assert found == expected
    assert (track.codec, track.id, track.config) == (codec, 7, record)
    assert (track.kind is Kind.VIDEO) == (not track.sample_rate)


def test_a_streaminfo_loses_its_header():
    track = track_from_record(Codec.FLAC, b"fLaC\x80\x00\x00\x22" + STREAMINFO)
    assert track.config == STREAMINFO


def test_a_record_that_every_newcomer_would_have_to_be_sent_is_bounded():
    with pytest.raises(RemoteProtocolError, match="h264 configuration of 65537 bytes"):
        track_from_record(Codec.H264, avc_config() + bytes(MAX_RECORD + 1 - len(avc_config())))


@pytest.mark.parametrize(("codec", "expected"), [(Codec.OPUS, True), (Codec.AC3, False)])
def test_which_codecs_have_a_record(codec, expected):
    assert has_record(codec) == expected


@pytest.mark.parametrize("codec", [codec for codec in Codec if has_record(codec)])
def test_a_record_that_cannot_be_read_is_refused(codec):
    with pytest.raises(RemoteProtocolError):
        track_from_record(codec, b"\x01")
