"""RFC 4571 framing: datagrams in a byte stream (group 48)."""

from __future__ import annotations

from contextlib import suppress
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from livetrio.errors import RemoteProtocolError
from livetrio.wire.rfc4571 import FrameReader, frame, frame_all

DATAGRAMS = [b"a", b"bb" * 100, b"c"]
STREAM = b"".join(map(frame, DATAGRAMS))


@given(st.lists(st.integers(0, len(STREAM)), max_size=8))
def test_any_cut_of_the_stream_gives_the_same_datagrams(cuts):
    reader = FrameReader(1500)
    places = sorted({0, *cuts, len(STREAM)})
    found = []
    for start, end in pairwise(places):
        found += reader.feed(STREAM[start:end])
    assert found == DATAGRAMS


def test_datagrams_that_lie_one_after_the_other_are_framed_one_by_one():
    data = b"aaaabbbbcc"
    assert frame_all(memoryview(data), 4) == frame(b"aaaa") + frame(b"bbbb") + frame(b"cc")


@pytest.mark.parametrize("head", [b"\0\0", b"\xff\xff", b"\x05\xdd"])
def test_a_length_of_nothing_or_too_much_is_refused_before_its_bytes_are_there(head):
    with pytest.raises(RemoteProtocolError, match="frame of"):
        FrameReader(1500).feed(head)


@given(st.binary())
def test_garbage_raises_nothing_but_a_protocol_error(garbage):
    with suppress(RemoteProtocolError):
        assert sum(map(len, FrameReader(64).feed(garbage))) <= len(garbage)
