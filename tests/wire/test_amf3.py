"""wire/amf3.py and wire/amf3_reader.py."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from livetrio.errors import LocalProtocolError, RemoteProtocolError
from livetrio.wire import amf3
from livetrio.wire.amf import MAX_DEPTH, UNDEFINED, Date, EcmaArray, TypedObject, Xml

names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**28), 2**28 - 1)
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
    | st.just(UNDEFINED)
    | st.builds(Date, st.floats(allow_nan=False))
    | st.builds(Xml, st.text(st.characters(exclude_categories=["Cs"]), max_size=20))
    | st.binary(max_size=20)
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(names, inner, max_size=4)
        | st.dictionaries(names, inner, min_size=1, max_size=4).map(EcmaArray)
        | st.builds(TypedObject, names, st.dictionaries(names, inner, max_size=4))
    ),
    max_leaves=12,
)

KNOWN = [
    (UNDEFINED, "00"),
    (None, "01"),
    (False, "02"),
    (True, "03"),
    (0, "04 00"),
    (127, "04 7f"),
    (128, "04 81 00"),
    (0x3FFF, "04 ff 7f"),
    (0x4000, "04 81 80 00"),
    (0x1FFFFF, "04 ff ff 7f"),
    (0x200000, "04 80 c0 80 00"),
    (2**28 - 1, "04 bf ff ff ff"),
    (-(2**28), "04 c0 80 80 00"),
    (-1, "04 ff ff ff ff"),
    (1.5, "05 3ff8000000000000"),
    ("", "06 01"),
    ("é", "06 05 c3a9"),
    (Date(0.0), "08 01 0000000000000000"),
    ([1], "09 03 01 04 01"),
    (EcmaArray(a=1), "09 01 03 61 04 01 01"),
    ({"a": 1}, "0a 0b 01 03 61 04 01 01"),
    (TypedObject("C", {"a": 1}), "0a 0b 03 43 03 61 04 01 01"),
    (Xml("<a/>"), "0b 09 3c612f3e"),
    (b"\1\2", "0c 05 0102"),
]


@pytest.mark.parametrize(("value", "wire"), KNOWN)
def test_every_type_is_written_and_read_as_specified(value, wire):
    data = bytes.fromhex(wire)
    assert amf3.encode(value) == data
    (read,) = amf3.decode(data)
    assert read == value
    assert type(read) is type(value)


@given(st.lists(values, max_size=4))
def test_what_was_written_is_read_again(sent):
    assert amf3.decode(amf3.encode(*sent)) == sent


@given(st.binary(max_size=200))
def test_garbage_raises_only_the_remote_protocol_error(data):
    try:
        amf3.decode(data)
    except RemoteProtocolError:
        return


@given(st.lists(values, min_size=1, max_size=3), st.data())
def test_damaged_values_raise_only_the_remote_protocol_error(sent, draw):
    data = bytearray(amf3.encode(*sent))
    at = draw.draw(st.integers(0, len(data) - 1))
    data[at] = draw.draw(st.integers(0, 255))
    try:
        amf3.decode(bytes(data))
    except RemoteProtocolError:
        return


@pytest.mark.parametrize("number", [2**28, -(2**28) - 1, 2**53])
def test_integers_beyond_29_bits_are_written_as_doubles(number):
    data = amf3.encode(number)
    assert data[0] == 0x05
    assert amf3.decode(data) == [number]


def test_nan_is_a_double():
    assert math.isnan(amf3.decode(amf3.encode(math.nan))[0])


def test_strings_are_referred_to_by_number_but_never_the_empty_one():
    assert amf3.decode(bytes.fromhex("06 01  06 03 61  06 03 62  06 00  06 02")) == [
        "",
        "a",
        "b",
        "a",
        "b",
    ]


def test_an_array_with_names_and_numbers_reads_as_one_mapping():
    read = amf3.decode(bytes.fromhex("09 05 03 61 03 01 02 01"))
    assert read == [EcmaArray({"a": True, "0": False, "1": None})]


def test_the_legacy_xml_document_reads_as_xml():
    (read,) = amf3.decode(bytes.fromhex("07 09 3c612f3e"))
    assert read == "<a/>"
    assert type(read) is Xml


def test_fixed_members_and_traits_by_reference():
    # Class "C" with the fixed members a and b; a second object of the same traits.
    data = bytes.fromhex("0a 23 03 43 03 61 03 62 04 01 04 02  0a 01 04 03 04 04")
    assert amf3.decode(data) == [
        TypedObject("C", {"a": 1, "b": 2}),
        TypedObject("C", {"a": 3, "b": 4}),
    ]


def test_complex_values_are_referred_to_by_number():
    data = bytes.fromhex("09 01 01  08 01 0000000000000000  0c 03 ff  09 00  08 02  0c 04")
    read = amf3.decode(data)
    assert read == [[], Date(0.0), b"\xff", [], Date(0.0), b"\xff"]
    assert read[3] is read[0]


@pytest.mark.parametrize(
    "name", ["flex.messaging.io.ArrayCollection", "flex.messaging.io.ObjectProxy"]
)
def test_flex_wrappers_read_as_what_they_wrap(name):
    head = b"\x0a\x07" + bytes([len(name) << 1 | 1]) + name.encode()
    assert amf3.decode(head + amf3.encode([1, 2])) == [[1, 2]]


def test_another_externalizable_class_is_an_error():
    with pytest.raises(RemoteProtocolError, match="externalizable"):
        amf3.decode(bytes.fromhex("0a 07 03 43 01"))


@pytest.mark.parametrize(
    ("wire", "value"),
    [
        ("0d 05 00 00000001 ffffffff", [1, -1]),
        ("0e 05 01 00000001 ffffffff", [1, 2**32 - 1]),
        ("0f 03 00 3ff8000000000000", [1.5]),
        ("10 05 00 03 43 04 01 01", [1, None]),
        ("11 03 00 06 03 61 04 01", [["a", 1]]),
        ("11 01 00", []),
    ],
)
def test_vectors_and_dictionaries_read_as_lists(wire, value):
    assert amf3.decode(bytes.fromhex(wire)) == [value]


@pytest.mark.parametrize(
    ("wire", "fault"),
    [
        ("12", "unknown marker 0x12"),
        ("ff", "unknown marker 0xff"),
        ("06 00", "string reference 0 out of range"),
        ("06 fe ff ff fe", "out of range"),
        ("0a 01", "traits reference 0 out of range"),
        ("09 02", "reference to 1"),
        ("09 03 01 09 00", "reference to 0"),  # an array that holds itself
        ("0a 0b 01 03 61 0a 00 01", "reference to 0"),
        ("06 ff ff ff ff", "bytes announced"),
        ("0c ff ff ff ff", "bytes announced"),
        ("0d ff ff ff ff 00", "bytes announced"),
        ("09 ff ff ff ff 01", "AMF3 marker"),
        ("0a ff ff ff fb 01", "AMF3 integer"),  # 2**25 fixed members and none there
        ("11 ff ff ff ff 00", "AMF3 marker"),
        ("04 ff ff ff", "AMF3 integer"),
        ("04", "AMF3 integer"),
    ],
)
def test_what_points_or_reaches_outside_is_an_error(wire, fault):
    with pytest.raises(RemoteProtocolError, match=fault):
        amf3.decode(bytes.fromhex(wire))


@pytest.mark.parametrize("opening", [b"\x09\x03\x01", b"\x0a\x0b\x01\x03a", b"\x11\x03\x00"])
def test_seventy_thousand_levels_are_an_error_not_a_crash(opening):
    with pytest.raises(RemoteProtocolError, match="nested deeper"):
        amf3.decode(opening * 70_000)


def test_the_deepest_nesting_allowed_can_be_read_and_written():
    value = None
    for _ in range(MAX_DEPTH):
        value = [value]
    assert amf3.decode(amf3.encode(value)) == [value]
    with pytest.raises(LocalProtocolError, match="nested deeper"):
        amf3.encode([value])


def test_too_many_values_are_an_error():
    with pytest.raises(RemoteProtocolError, match="more than 100 values"):
        amf3.decode(amf3.encode([None] * 100), limit=100)


def test_a_long_string_referred_to_a_thousand_times_is_too_much():
    bomb = amf3.encode("x" * 60_000) + b"\x06\x00" * 1_000
    with pytest.raises(RemoteProtocolError, match="more than 65536 values"):
        amf3.decode(bomb)


def test_a_long_member_name_used_by_a_thousand_objects_is_too_much():
    traits = b"\x0a\x13\x01" + amf3.encode("k" * 16_000)[1:]  # one fixed member
    bomb = traits + b"\x01" + b"\x0a\x01\x01" * 1_000
    with pytest.raises(RemoteProtocolError, match="more than 65536 values"):
        amf3.decode(bomb)


def test_names_are_bounded_but_text_is_not():
    long = "k" * 16_385
    assert amf3.decode(amf3.encode(long)) == [long]
    with pytest.raises(RemoteProtocolError, match="name of 16385 characters"):
        amf3.decode(amf3.encode({long: 1}))
    with pytest.raises(RemoteProtocolError, match="name of 16385 characters"):
        amf3.decode(amf3.encode(TypedObject(long)))


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        (object(), "no form for object"),
        pytest.param(10**400, "larger than a double", id="huge"),
        ({"": 1}, "empty name"),
    ],
)
def test_what_amf3_cannot_say_is_our_own_error(value, fault):
    with pytest.raises(LocalProtocolError, match=fault):
        amf3.encode(value)


def test_a_length_beyond_28_bits_is_our_own_error():
    with pytest.raises(LocalProtocolError, match="29 bits"):
        amf3.encode(bytes(2**28))
