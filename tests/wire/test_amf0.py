"""wire/amf0.py and the values and limits of wire/amf.py."""

import math
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from livetrio.errors import LocalProtocolError, RemoteProtocolError
from livetrio.wire import amf0, amf3
from livetrio.wire.amf import MAX_DEPTH, UNDEFINED, Date, EcmaArray, TypedObject, Xml

keys = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
scalars = (
    st.none()
    | st.booleans()
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
    | st.just(UNDEFINED)
    | st.builds(Date, st.floats(allow_nan=False), st.integers(-720, 720))
    | st.builds(Xml, st.text(st.characters(exclude_categories=["Cs"]), max_size=20))
    | st.binary(max_size=20)
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(keys, inner, max_size=4)
        | st.dictionaries(keys, inner, max_size=4).map(EcmaArray)
        | st.builds(TypedObject, keys, st.dictionaries(keys, inner, max_size=4))
    ),
    max_leaves=12,
)

KNOWN = [
    (1.0, "00 3ff0000000000000"),
    (True, "01 01"),
    (False, "01 00"),
    ("abc", "02 0003 616263"),
    ("é", "02 0002 c3a9"),
    ({"a": None}, "03 0001 61 05 0000 09"),
    ({}, "03 0000 09"),
    (None, "05"),
    (UNDEFINED, "06"),
    (EcmaArray(a=True), "08 00000001 0001 61 01 01 0000 09"),
    ([None, True], "0a 00000002 05 01 01"),
    (Date(0.0, -60), "0b 0000000000000000 ffc4"),
    (Xml("<a/>"), "0f 00000004 3c612f3e"),
    (TypedObject("C", {"a": None}), "10 0001 43 0001 61 05 0000 09"),
    (b"\1", "11 0c 03 01"),
]


@pytest.mark.parametrize(("value", "wire"), KNOWN)
def test_every_type_is_written_and_read_as_specified(value, wire):
    data = bytes.fromhex(wire)
    assert amf0.encode(value) == data
    (read,) = amf0.decode(data)
    assert read == value
    assert type(read) is type(value)


@given(st.lists(values, max_size=4))
def test_what_was_written_is_read_again(sent):
    assert amf0.decode(amf0.encode(*sent)) == sent


@given(st.binary(max_size=200))
def test_garbage_raises_only_the_remote_protocol_error(data):
    try:
        read = amf0.decode(data)
    except RemoteProtocolError:
        return
    amf0.encode(*read)  # what was read can be written


@given(st.lists(values, min_size=1, max_size=3), st.data())
def test_damaged_values_raise_only_the_remote_protocol_error(sent, draw):
    data = bytearray(amf0.encode(*sent))
    at = draw.draw(st.integers(0, len(data) - 1))
    data[at] = draw.draw(st.integers(0, 255))
    try:
        read = amf0.decode(bytes(data))
    except RemoteProtocolError:
        return
    amf0.encode(*read)


@given(st.lists(values, min_size=1, max_size=2), st.data())
def test_cut_values_raise_only_the_remote_protocol_error(sent, draw):
    data = amf0.encode(*sent)
    cut = data[: draw.draw(st.integers(0, len(data) - 1))]
    try:
        amf0.decode(cut)
    except RemoteProtocolError:
        return


def test_integers_are_written_as_numbers():
    assert amf0.decode(amf0.encode(3, -1)) == [3.0, -1.0]


def test_nan_and_infinities_are_numbers():
    nan, infinity = amf0.decode(amf0.encode(math.nan, -math.inf))
    assert math.isnan(nan)
    assert infinity == -math.inf


def test_a_tuple_is_written_as_an_array():
    assert amf0.decode(amf0.encode((1, 2))) == [[1.0, 2.0]]


def test_a_string_longer_than_16_bits_is_written_and_read_as_a_long_string():
    text = "é" * 40_000
    data = amf0.encode(text)
    assert data[0] == 0x0C
    assert amf0.decode(data) == [text]


def test_a_lone_surrogate_is_written_as_a_question_mark():
    assert amf0.decode(amf0.encode("a\udc80")) == ["a?"]


def test_invalid_utf8_reads_as_replacement_characters():
    assert amf0.decode(b"\x02\x00\x03a\xff\0") == ["a\N{REPLACEMENT CHARACTER}\0"]


def test_only_as_many_values_as_asked_for_are_read():
    data = amf0.encode("a", "b") + b"\xff garbage"
    assert amf0.decode(data, count=2) == ["a", "b"]
    with pytest.raises(RemoteProtocolError, match="unknown marker 0xff"):
        amf0.decode(data)


def test_the_unsupported_marker_reads_as_undefined():
    assert amf0.decode(b"\x0d") == [UNDEFINED]


@pytest.mark.parametrize("marker", [0x04, 0x0E, 0x12, 0xFF])
def test_a_reserved_or_unknown_marker_is_an_error(marker):
    with pytest.raises(RemoteProtocolError, match=f"unknown marker 0x{marker:02x}"):
        amf0.decode(bytes([marker]) + bytes(50))


def test_the_last_of_two_members_of_one_name_counts():
    assert amf0.decode(bytes.fromhex("03 0001 61 05 0001 61 0101 0000 09")) == [{"a": True}]


def test_an_empty_member_name_is_a_name_unless_the_end_marker_follows():
    assert amf0.decode(bytes.fromhex("03 0000 05 0000 09")) == [{"": None}]


@pytest.mark.parametrize("wire", ["03 0001 61 05", "03", "03 0000", "08 00000000 0001 61 05"])
def test_an_object_without_its_end_is_an_error(wire):
    with pytest.raises(RemoteProtocolError, match="AMF0"):
        amf0.decode(bytes.fromhex(wire))


def test_an_array_that_held_what_it_announced_may_end_with_the_data():
    assert amf0.decode(bytes.fromhex("08 00000001 0001 61 05")) == [{"a": None}]
    with pytest.raises(RemoteProtocolError):
        amf0.decode(bytes.fromhex("08 00000002 0001 61 05"))


def test_an_end_marker_behind_a_name_is_an_error():
    with pytest.raises(RemoteProtocolError, match="object end marker where a value should be"):
        amf0.decode(bytes.fromhex("03 0001 61 09"))


@pytest.mark.parametrize(
    "wire",
    [
        "0a ffffffff",
        "0a ffffffff 05 05",
        "08 ffffffff",
        "08 ffffffff 0000",
        "0c ffffffff 61",
        "0f ffffffff",
        "02 ffff 61",
        "03 ffff 61",
        "10 ffff",
    ],
)
def test_announced_lengths_and_counts_past_the_end_are_errors(wire):
    with pytest.raises(RemoteProtocolError):
        amf0.decode(bytes.fromhex(wire))


@pytest.mark.parametrize(
    "opening",
    [b"\x0a\0\0\0\1", b"\x03\0\0", b"\x08\0\0\0\1\0\0", b"\x10\0\0\0\0", b"\x11\x09\x03\x01"],
)
def test_seventy_thousand_levels_are_an_error_not_a_crash(opening):
    with pytest.raises(RemoteProtocolError, match="nested deeper"):
        amf0.decode(opening * 70_000)


def test_the_deepest_nesting_allowed_can_be_read_and_written():
    value = None
    for _ in range(MAX_DEPTH):
        value = [value]
    assert amf0.decode(amf0.encode(value)) == [value]
    with pytest.raises(LocalProtocolError, match="nested deeper"):
        amf0.encode([value])


def test_too_many_values_are_an_error():
    data = b"\x0a\0\1\0\0" + b"\x05" * 65_536
    with pytest.raises(RemoteProtocolError, match="more than 65536 values"):
        amf0.decode(data)
    assert len(amf0.decode(data, limit=65_537)[0]) == 65_536


def test_names_of_64_kilobytes_are_an_error():
    with pytest.raises(RemoteProtocolError, match="property name of 65535 bytes"):
        amf0.decode(b"\x03\xff\xff" + b"a" * 65_535 + b"\x05\0\0\x09")
    with pytest.raises(RemoteProtocolError, match="class name of 65535 bytes"):
        amf0.decode(b"\x10\xff\xff" + b"a" * 65_535 + b"\0\0\x09")


def test_a_name_of_invalid_utf8_at_its_longest_can_still_be_written():
    (read,) = amf0.decode(b"\x03\x40\x00" + b"\xff" * 16_384 + b"\x05\0\0\x09")
    assert len(amf0.encode(read)) == 1 + 2 + 3 * 16_384 + 1 + 3


def test_a_reference_gives_the_value_read_before():
    first, second = amf0.decode(bytes.fromhex("03 0001 61 05 0000 09  07 0000"))
    assert second is first


def test_references_count_objects_arrays_and_typed_objects():
    data = amf0.encode([{}], EcmaArray(), TypedObject("C"), "text") + bytes.fromhex("07 0003")
    assert amf0.decode(data)[-1] == TypedObject("C")


@pytest.mark.parametrize(
    "wire", ["07 0000", "03 0001 61 07 0000 0000 09", "0a 00000001 07 0000", "07 ffff"]
)
def test_a_reference_to_nothing_or_to_what_is_still_open_is_an_error(wire):
    with pytest.raises(RemoteProtocolError, match="reference to"):
        amf0.decode(bytes.fromhex(wire))


def test_references_that_would_explode_when_written_are_too_many_values():
    bomb = amf0.encode([None] * 10)
    for index in range(10):
        bomb += b"\x0a\0\0\0\x0a" + (b"\x07" + struct.pack(">H", index)) * 10
    with pytest.raises(RemoteProtocolError, match="more than 65536 values"):
        amf0.decode(bomb)


def test_references_to_long_text_cost_as_much_as_the_text():
    bomb = amf0.encode(["x" * 60_000]) + b"\x0a\0\0\x03\xe8" + b"\x07\0\0" * 1_000
    with pytest.raises(RemoteProtocolError, match="more than 65536 values"):
        amf0.decode(bomb)


def test_references_cannot_build_what_is_deeper_than_may_be_written():
    data = amf0.encode([[[]]])  # table: 0 outer, 1 middle, 2 inner
    for index in range(2, 2 + MAX_DEPTH):
        data += b"\x0a\0\0\0\1\x07" + struct.pack(">H", 0 if index == 2 else index)
    with pytest.raises(RemoteProtocolError, match="nested deeper"):
        amf0.decode(data)


def test_the_avmplus_marker_switches_to_amf3_for_one_value():
    data = amf0.encode("a") + b"\x11" + amf3.encode({"k": [1]}) + amf0.encode("b")
    assert amf0.decode(data) == ["a", {"k": [1]}, "b"]


def test_amf3_tables_live_as_long_as_the_message():
    text = b"\x06\x07abc"  # string, inline
    assert amf0.decode(b"\x11" + text + b"\x11\x06\x00") == ["abc", "abc"]


def test_amf3_behind_a_switch_counts_its_levels():
    deep = b"\x0a\0\0\0\1" * (MAX_DEPTH - 1) + b"\x11" + b"\x09\x03\x01" * 2 + b"\x01"
    with pytest.raises(RemoteProtocolError, match="nested deeper"):
        amf0.decode(deep)


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        (object(), "no form for object"),
        pytest.param(10**400, "larger than a double", id="huge"),
        ({"k" * 65_536: 1}, "65536 bytes"),
        (TypedObject("k" * 65_536), "65536 bytes"),
    ],
)
def test_what_amf0_cannot_say_is_our_own_error(value, fault):
    with pytest.raises(LocalProtocolError, match=fault):
        amf0.encode(value)


def test_typed_objects_are_equal_if_class_and_members_are():
    assert TypedObject("A", {"x": 1}) == TypedObject("A", {"x": 1})
    assert TypedObject("A") != TypedObject("B")
    assert TypedObject("A") != {}
    assert repr(UNDEFINED) == "UNDEFINED"
