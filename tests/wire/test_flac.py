"""wire/flac.py."""

import pytest

from livetrio.errors import RemoteProtocolError
from livetrio.wire.flac import StreamInfo

# FFmpeg, 48 kHz stereo 24 bits.
BLOCK = bytes.fromhex("10001000000000000000" + "0bb80370" + "00000000" + "00" * 16)


@pytest.mark.parametrize("before", [b"", b"fLaC\x00\x00\x00\x22", b"fLaC\x80\x00\x00\x22"])
def test_a_streaminfo_is_read_bare_and_behind_its_header(before):
    info = StreamInfo.parse(before + BLOCK)
    assert (info.sample_rate, info.channels, info.bits_per_sample) == (48000, 2, 24)
    assert info.block == BLOCK


@pytest.mark.parametrize(
    "record",
    [
        b"",
        BLOCK[:33],
        b"fLaC",
        b"fLaC\x04\x00\x00\x22" + BLOCK,
        b"fLaC\x00\x00\x00\x22" + BLOCK[:33],
    ],
)
def test_what_is_no_streaminfo_is_refused(record):
    with pytest.raises(RemoteProtocolError, match="FLAC"):
        StreamInfo.parse(record)


def test_a_sample_rate_of_zero_is_refused():
    with pytest.raises(RemoteProtocolError, match="0 Hz"):
        StreamInfo.parse(bytes(34))
