"""wire/vp.py."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from livetrio.errors import RemoteProtocolError
from livetrio.wire.bits import BitWriter
from livetrio.wire.vp import (
    KeyFrame,
    VpConfig,
    level_of,
    superframe,
    vp8_key_frame,
    vp9_key_frame,
)

VP9_KEY = bytes.fromhex("a2498342e008f005f60838")  # profile 1, 144x96, from libvpx
VP9_INTER = bytes.fromhex("a6004092f0414000")
VP8_KEY = bytes.fromhex("3059009d012a4201b6000007")  # 322x182, from libvpx


def vp9(profile, *, rgb=False):
    bits = BitWriter()
    bits.write(2, 2)
    bits.write(profile & 1, 1)
    bits.write(profile >> 1, 1)
    if profile == 3:
        bits.write(0, 1)
    bits.write(0b0010, 4)  # no show_existing_frame, key frame, shown, not resilient
    bits.write(0x498342, 24)
    if profile >= 2:
        bits.write(1, 1)
    bits.write(7 if rgb else 2, 3)
    if not rgb:
        bits.write(0, 1)
    bits.write(0, (1 if rgb else 3) if profile & 1 else 0)
    bits.write(321, 16)
    bits.write(181, 16)
    return bits.getvalue()


def test_what_ffmpeg_announces_is_read():
    config = VpConfig.parse(bytes.fromhex("01000000010a870202020000"))
    assert config == VpConfig(1, 10, 8, 3)
    assert (config.name, config.codec_string) == ("Profile 1@1.0", "vp09.01.10.08")


def test_the_record_is_read_without_the_boxs_version_too():
    assert VpConfig.parse(bytes.fromhex("000b820202020000")) == VpConfig(0, 11, 8, 1)


def test_a_record_that_is_cut_is_refused():
    for size in range(12):
        with pytest.raises(RemoteProtocolError, match="VP configuration"):
            VpConfig.parse(bytes.fromhex("01000000000b820202020000")[:size])


@given(
    st.builds(
        VpConfig, *[st.integers(0, 3), st.integers(0, 62), st.integers(8, 12), st.integers(0, 3)]
    )
)
def test_a_record_reads_back_as_it_was_built(config):
    assert VpConfig.parse(config.build()) == config


def test_key_frames_of_libvpx_tell_their_size():
    assert vp9_key_frame(VP9_KEY) == KeyFrame(1, 144, 96)
    assert vp8_key_frame(VP8_KEY) == KeyFrame(0, 322, 182)


@pytest.mark.parametrize(
    ("profile", "rgb"),
    [(0, False), (1, False), (1, True), (2, False), (2, True), (3, False), (3, True)],
)
def test_key_frames_of_every_vp9_profile_tell_their_size(profile, rgb):
    assert vp9_key_frame(vp9(profile, rgb=rgb)) == KeyFrame(profile, 322, 182)


@pytest.mark.parametrize("frame", ["a6004092", "88"])  # inter; show_existing_frame
def test_other_vp9_frames_are_no_key_frames(frame):
    assert vp9_key_frame(bytes.fromhex(frame)) is None


def test_other_vp8_frames_are_no_key_frames():
    assert vp8_key_frame(b"\x31") is None


@pytest.mark.parametrize("frame", ["", "00", "b8", "82000000", "a24983", "a2498342e0"])
def test_vp9_frames_with_a_broken_header_are_refused(frame):
    with pytest.raises(RemoteProtocolError):
        vp9_key_frame(bytes.fromhex(frame))


@pytest.mark.parametrize("frame", ["", "30", "3059009d012a4201b6", "3059009d012b4201b600"])
def test_vp8_frames_with_a_broken_header_are_refused(frame):
    with pytest.raises(RemoteProtocolError):
        vp8_key_frame(bytes.fromhex(frame))


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ("", [""]),
        ("a600", ["a600"]),
        ("aabbbb c1 01 02 c1", ["aa", "bbbb"]),
        ("aabbbb c9 0100 0200 c9", ["aa", "bbbb"]),
        ("aa c1 00 01 c1", ["aa"]),  # the empty one is a skipped frame
        ("aabbbb c2 01 02 c1", ["aabbbbc20102c1"]),  # no twin: not an index
        ("c7", ["c7"]),
    ],
)
def test_a_superframe_comes_apart_by_its_index(data, expected):
    assert [part.hex() for part in superframe(bytes.fromhex(data))] == expected


def test_a_superframe_index_that_lies_is_refused():
    with pytest.raises(RemoteProtocolError, match="superframe"):
        superframe(bytes.fromhex("aabb c1 01 02 c1"))


@given(st.binary(max_size=40))
def test_garbage_raises_nothing_but_the_remote_protocol_error(data):
    for read in (VpConfig.parse, vp8_key_frame, vp9_key_frame, superframe):
        with contextlib.suppress(RemoteProtocolError):
            read(data)
        with contextlib.suppress(RemoteProtocolError):
            read(VP9_KEY[:4] + data)


@pytest.mark.parametrize(
    ("size", "level"),
    [((64, 48), 10), ((640, 360), 21), ((1280, 720), 31), ((1920, 1080), 40), ((16384, 8704), 60)],
)
def test_the_level_of_a_picture_is_the_lowest_that_allows_it(size, level):
    assert level_of(*size) == level
