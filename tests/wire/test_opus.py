"""wire/opus.py."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from livetrio.errors import RemoteProtocolError
from livetrio.wire.opus import OpusHead, packet_duration

STEREO = bytes.fromhex("4f707573486561640102380180bb0000000000")  # FFmpeg with libopus
SURROUND = STEREO[:9] + b"\x06" + STEREO[10:18] + b"\x01\x04\x02\x00\x04\x01\x02\x03\x05"


def test_what_ffmpeg_announces_is_read():
    assert OpusHead.parse(STEREO) == OpusHead(2, 312, 48000, 0, 0, b"")


def test_channel_mappings_are_read():
    head = OpusHead.parse(SURROUND)
    assert (head.channels, head.family, head.mapping) == (6, 1, SURROUND[19:])


@pytest.mark.parametrize("record", [STEREO, SURROUND])
def test_a_header_is_rebuilt_byte_for_byte(record):
    assert OpusHead.parse(record + b"more").build() == record


@pytest.mark.parametrize(
    "record",
    [
        b"",
        STEREO[:18],
        b"OpusTags" + STEREO[8:],
        STEREO[:8] + b"\x10" + STEREO[9:],  # version 16
        STEREO[:9] + b"\x00" + STEREO[10:],  # no channels
        STEREO[:9] + b"\x03" + STEREO[10:],  # three without a mapping
        SURROUND[:-1],
    ],
)
def test_what_is_no_header_is_refused(record):
    with pytest.raises(RemoteProtocolError, match="Opus"):
        OpusHead.parse(record)


@pytest.mark.parametrize(
    ("packet", "expected"),
    [
        ("fc", 20_000),  # CELT, as FFmpeg sends
        ("fd", 40_000),
        ("fe", 40_000),
        ("ff06", 120_000),
        ("18", 60_000),  # SILK
        ("60", 10_000),  # hybrid
        ("80", 2_500),
        ("0302", 20_000),
    ],
)
def test_how_long_a_packet_plays(packet, expected):
    assert packet_duration(bytes.fromhex(packet)) == expected


@pytest.mark.parametrize("packet", ["", "ff", "ff00", "ff07", "ff3f"])
def test_packets_without_a_duration_are_refused(packet):
    with pytest.raises(RemoteProtocolError, match="Opus"):
        packet_duration(bytes.fromhex(packet))


@given(st.binary(max_size=40))
def test_garbage_raises_nothing_but_the_remote_protocol_error(data):
    for read in (OpusHead.parse, packet_duration, lambda d: OpusHead.parse(STEREO[:9] + d)):
        with contextlib.suppress(RemoteProtocolError):
            read(data)
