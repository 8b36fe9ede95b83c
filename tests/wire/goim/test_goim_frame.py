"""goim's frame: what is on the wire, in any cut, and what is refused."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from livetrio.errors import RemoteProtocolError
from livetrio.wire.goim.frame import (
    MAX_PACKAGE,
    Frame,
    FrameParser,
    encode,
    frame_of_message,
    frames_within,
)

AUTH = b'{"mid":123}'
GOLDEN = bytes.fromhex("0000001b 0010 0001 00000007 00000001") + AUTH
FRAME = Frame(1, 7, 1, AUTH)

int16 = st.integers(-(1 << 15), (1 << 15) - 1)
int32 = st.integers(-(1 << 31), (1 << 31) - 1)
frames = st.builds(Frame, int16, int32, int32, st.binary(max_size=4096))


def test_a_frame_is_goims_byte_for_byte():
    assert encode(FRAME) == GOLDEN
    assert frame_of_message(GOLDEN) == FRAME


@given(st.lists(frames, max_size=5), st.integers(1, 40))
def test_frames_come_out_of_a_stream_in_any_cut(sent: list[Frame], step: int):
    data = b"".join(map(encode, sent))
    parser = FrameParser()
    got = []
    for start in range(0, len(data), step):
        got += parser.feed(data[start : start + step])
    assert got == sent
    assert list(parser.feed(b"")) == []


@given(st.lists(frames, max_size=5))
def test_a_run_of_frames_is_taken_apart(sent: list[Frame]):
    assert list(frames_within(b"".join(map(encode, sent)))) == sent


def test_the_longest_package_passes_and_one_byte_more_does_not():
    longest = encode(Frame(1, 4, 1, bytes(4096)))
    assert len(longest) == MAX_PACKAGE
    assert list(FrameParser().feed(longest))
    assert frame_of_message(longest).body == bytes(4096)
    longer = encode(Frame(1, 4, 1, bytes(4097)))
    for parse in (frame_of_message, lambda data: list(FrameParser().feed(data))):
        with pytest.raises(RemoteProtocolError, match="package length 4113"):
            parse(longer)


def header(size: int, header_size: int = 16) -> bytes:
    return struct.pack(">ihhii", size, header_size, 1, 7, 1)


LIES = {
    "a length of 0": header(0),
    "a length shorter than the header": header(15),
    "a negative length": header(-1),
    "the largest length": header(0x7FFFFFFF),
    "another header length": header(16, 12),
    "a header length of 0": header(16, 0),
    "a negative header length": header(16, -16),
    "HTTP": b"GET /sub HTTP/1.1\r\n",
}


@pytest.mark.parametrize("name", LIES)
def test_a_lying_header_is_refused_before_its_body_comes(name: str):
    with pytest.raises(RemoteProtocolError, match="goim: "):
        list(FrameParser().feed(LIES[name]))
    with pytest.raises(RemoteProtocolError, match="goim: "):
        frame_of_message(LIES[name][:16])
    with pytest.raises(RemoteProtocolError, match="goim: "):
        list(frames_within(LIES[name]))


@pytest.mark.parametrize("data", [b"", GOLDEN[:15], GOLDEN[:-1], GOLDEN + b"x", GOLDEN * 2])
def test_a_message_is_one_frame_and_nothing_else(data: bytes):
    with pytest.raises(RemoteProtocolError, match="goim: "):
        frame_of_message(data)


def test_half_a_header_at_the_end_of_a_run_is_refused():
    with pytest.raises(RemoteProtocolError, match="half a header"):
        list(frames_within(GOLDEN + GOLDEN[:7]))


@given(st.binary(max_size=200))
def test_noise_is_refused_or_waited_for_and_never_anything_else(data: bytes):
    for parse in (frame_of_message, lambda d: list(FrameParser().feed(d))):
        try:
            parse(data)
        except RemoteProtocolError:
            continue
