"""wire/nal.py."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kit.media import escape

from livetrio.errors import RemoteProtocolError
from livetrio.wire.nal import (
    annexb_units,
    is_annexb,
    join_units,
    lengths_add_up,
    nal_units,
    unescape,
)

units = st.lists(st.binary(min_size=1, max_size=40), min_size=1, max_size=6)


@given(units, st.sampled_from([1, 2, 3, 4]))
def test_joined_units_come_apart_again(parts, length_size):
    data = join_units(parts, length_size)
    assert [bytes(unit) for unit in nal_units(data, length_size)] == parts
    assert lengths_add_up(data, length_size)


@given(st.binary(max_size=60), st.sampled_from([1, 2, 3, 4]))
def test_what_adds_up_is_exactly_what_can_be_walked(data, length_size):
    try:
        walked = bool(list(nal_units(data, length_size)))
    except RemoteProtocolError:
        walked = False
    assert lengths_add_up(data, length_size) == walked


@pytest.mark.parametrize(
    "data",
    [
        "00000005 65",  # longer than the frame
        "ffffffff 65",
        "00000001 65 000000",  # a length that is cut
        "00000001 65 00000002 41",  # the second is too long
        "000000",
    ],
)
def test_lengths_that_lie_are_refused(data):
    data = bytes.fromhex(data)
    assert not lengths_add_up(data, 4)
    with pytest.raises(RemoteProtocolError, match="behind its frame"):
        list(nal_units(data))


def test_units_without_a_byte_are_passed_over():
    data = bytes.fromhex("00000000 00000001 65 00000000")
    assert [bytes(unit) for unit in nal_units(data)] == [b"\x65"]
    assert lengths_add_up(data, 4)


@pytest.mark.parametrize("data", [b"", bytes(4), bytes(8)])
def test_an_access_unit_without_units_does_not_add_up(data):
    assert list(nal_units(data)) == []
    assert not lengths_add_up(data, 4)


@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        ("00000001 6742 000001 68ce 00000001 6588 00", ["6742", "68ce", "6588"]),
        ("000001 65 000001 000001 41", ["65", "41"]),
        ("6588 000001 41", ["41"]),
        ("000001", []),
        ("6588", []),
        ("", []),
    ],
)
def test_start_codes_divide_a_byte_stream(stream, expected):
    assert [unit.hex() for unit in annexb_units(bytes.fromhex(stream))] == expected


def test_a_start_code_is_known_in_both_lengths():
    assert is_annexb(bytes.fromhex("00000001 65"))
    assert is_annexb(bytes.fromhex("000001 65"))
    assert not is_annexb(bytes.fromhex("00000002 65"))


def test_a_unit_too_long_for_its_length_is_refused():
    with pytest.raises(RemoteProtocolError, match="256 bytes, lengths of 1"):
        join_units([bytes(256)], 1)


@given(st.lists(st.sampled_from([0, 1, 2, 3, 4, 255])).map(bytes))
def test_unescaping_undoes_escaping(payload):
    escaped = escape(payload)
    assert b"\0\0\0" not in escaped
    assert b"\0\0\1" not in escaped
    assert unescape(escaped) == payload
