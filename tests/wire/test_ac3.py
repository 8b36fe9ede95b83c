"""wire/ac3.py: the first bytes of frames FFmpeg encoded, and broken ones."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from livetrio.errors import RemoteProtocolError
from livetrio.wire.ac3 import Ac3Header, read_header
from livetrio.wire.bits import BitWriter


def ac3(*, rate=0, bsid=8, mode=2, tail=()):
    bits = BitWriter()
    bits.write(0x0B77 << 16, 32)
    for value, count in ((rate, 2), (0, 6), (bsid, 5), (0, 3), (mode, 3), *tail, (1, 1)):
        bits.write(value, count)
    return bits.getvalue()


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        ("0b77fe95144043e106f46370", Ac3Header(False, 48000, 2)),
        ("0b7746fa5e40ebf8403eff9d", Ac3Header(False, 44100, 6)),
        ("0b77017f3487c0002084", Ac3Header(True, 48000, 2)),
        ("0b77011fb287c0002106", Ac3Header(True, 32000, 1)),
        ("0b77011fe484c000", Ac3Header(True, 16000, 2)),  # reduced sample rate
    ],
)
def test_frames_tell_rate_and_channels(frame, expected):
    assert read_header(bytes.fromhex(frame)) == expected


@pytest.mark.parametrize(
    ("mode", "tail", "channels"),
    [
        (0, [], 3),
        (1, [], 2),
        (2, [(0, 2)], 3),
        (3, [(0, 2)], 4),
        (4, [(0, 2)], 4),
        (5, [(0, 4)], 5),
        (6, [(0, 2)], 5),
        (7, [(0, 4)], 6),
    ],
)
def test_the_low_frequency_channel_is_found_behind_every_mode(mode, tail, channels):
    assert read_header(ac3(mode=mode, tail=tail)) == (False, 48000, channels)


def test_the_alternate_syntax_halves_the_rate():
    assert read_header(ac3(bsid=9, tail=[(0, 2)])).sample_rate == 24_000


@pytest.mark.parametrize(
    ("frame", "why"),
    [
        ("", "bits wanted"),
        ("0b78fe95144043e1", "sync word"),
        ("0b77fe951440", "bits"),
        ("0b77fe95d44043e1", "reserved sample rate"),
        ("0b77011ffc84c000", "reserved sample rate"),
        ("0b77011ff4ffc000", "identification 31"),
    ],
)
def test_what_is_no_frame_is_refused(frame, why):
    with pytest.raises(RemoteProtocolError, match=why):
        read_header(bytes.fromhex(frame))


@given(st.binary(max_size=12))
def test_garbage_raises_nothing_but_the_remote_protocol_error(data):
    with contextlib.suppress(RemoteProtocolError):
        read_header(b"\x0b\x77" + data)
