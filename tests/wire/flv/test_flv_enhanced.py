"""wire/flv/enhanced.py."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from livetrio.errors import RemoteProtocolError
from livetrio.wire.flv.enhanced import Part, read_parts

AUDIO_MULTITRACK, VIDEO_MULTITRACK = 5, 6


def read(text, multitrack=VIDEO_MULTITRACK):
    return read_parts(bytes.fromhex(text), multitrack)


AVC1, HVC1 = "61766331", "68766331"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (f"91 {HVC1} 000000 aa", (0, [Part(1, b"hvc1", 0, b"\0\0\0\xaa")])),
        (f"92 {HVC1}", (0, [Part(2, b"hvc1", 0, b"")])),
        # ModEx: a time offset, one of an unknown kind, one with the long size
        (f"97 02 0003e8 01 {HVC1} aa", (1000, [Part(1, b"hvc1", 0, b"\xaa")])),
        (f"97 00 ff f1 {HVC1} aa", (0, [Part(1, b"hvc1", 0, b"\xaa")])),
        (f"97 02 0003e8 07 00 ff f1 {HVC1}", (1000, [Part(1, b"hvc1", 0, b"")])),
        (f"97 ff 0100 {'00' * 257} 11 {HVC1}", (0, [Part(1, b"hvc1", 0, b"")])),
        (f"97 02 ffffff 01 {HVC1}", (999_999, [Part(1, b"hvc1", 0, b"")])),
        # one track, many tracks, many tracks of many codecs
        (f"96 01 {HVC1} 03 aabb", (0, [Part(1, b"hvc1", 3, b"\xaa\xbb")])),
        (f"96 01 {HVC1} ff", (0, [Part(1, b"hvc1", 255, b"")])),
        (
            f"96 11 {HVC1} 00 000001 aa 02 000002 bbcc",
            (0, [Part(1, b"hvc1", 0, b"\xaa"), Part(1, b"hvc1", 2, b"\xbb\xcc")]),
        ),
        (
            f"96 21 {HVC1} 00 000001 aa {AVC1} 01 000000",
            (0, [Part(1, b"hvc1", 0, b"\xaa"), Part(1, b"avc1", 1, b"")]),
        ),
        (f"97 02 000fa0 06 10 {HVC1}", (4000, [])),
    ],
)
def test_every_form_of_header_is_taken_apart(body, expected):
    assert read(body) == expected


def test_audio_has_its_own_number_for_multitrack():
    body = f"95 01 {HVC1} 03 aa"
    assert read(body, AUDIO_MULTITRACK) == (0, [Part(1, b"hvc1", 3, b"\xaa")])


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("90", "a FourCC is cut"),
        ("90 687663", "a FourCC is cut"),
        ("97 " + "00 00 f7 " * 100, "more than 8 ModEx"),
        ("97 00 00", "ModEx extension is cut"),
        ("97 02 0000", "longer than its tag"),
        ("97 09 000000", "longer than its tag"),
        ("97 ff ffff 000000", "longer than its tag"),
        (f"97 01 0003 01 {HVC1}", "ModEx time offset is cut"),
        ("96", "multitrack header is cut"),
        (f"96 01 {HVC1}", "multitrack header is cut"),
        ("96 06 68766331 00", "multitrack inside multitrack"),
        (f"96 31 {HVC1} 00", "unknown multitrack type 3"),
        (f"96 11 {HVC1} 00 ffffff aa", "longer than its tag"),
        (f"96 11 {HVC1} 00 0000", "longer than its tag"),
        (f"96 21 {HVC1} 00 000001 aa 6876", "a FourCC is cut"),
        (f"96 11 {HVC1} 01 000001 aa 01 000001 bb", "track 1 twice"),
    ],
)
def test_headers_that_lie_cost_the_whole_tag(body, why):
    with pytest.raises(RemoteProtocolError, match=why):
        read(body)


@given(st.binary(min_size=1, max_size=60), st.sampled_from([5, 6]))
def test_garbage_raises_nothing_but_the_remote_protocol_error(body, multitrack):
    with contextlib.suppress(RemoteProtocolError):
        read_parts(body, multitrack)
