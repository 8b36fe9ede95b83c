"""wire/mp3.py."""

import pytest

from livetrio.errors import RemoteProtocolError
from livetrio.wire.mp3 import Mp3Header, read_header


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        ("fffb5400", Mp3Header(48000, 2)),  # libmp3lame
        ("fffb90c4", Mp3Header(44100, 1)),
        ("fff350c4", Mp3Header(22050, 1)),
        ("ffe38800", Mp3Header(8000, 2)),
    ],
)
def test_frames_tell_rate_and_channels(frame, expected):
    assert read_header(bytes.fromhex(frame)) == expected


@pytest.mark.parametrize(
    "frame", ["", "fffb54", "fefb5400", "ff1b5400", "ffeb5400", "fff95400", "fffb5c00"]
)
def test_what_is_no_frame_is_refused(frame):
    with pytest.raises(RemoteProtocolError, match="MP3"):
        read_header(bytes.fromhex(frame))
