"""wire/av1.py and wire/av1_sequence.py: records of libaom and SVT-AV1, and broken ones."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from livetrio.errors import RemoteProtocolError
from livetrio.wire.av1 import Av1Config, ObuType, leb128, obus, read_leb128, sequence_of
from livetrio.wire.av1_sequence import Av1Sequence
from livetrio.wire.bits import BitWriter

# Recorded from FFmpeg, 322x182, and what RFC 6381 calls them.
RECORDS = [
    ("81000c000a0b000000043d06d4daf90040", "av01.0.00M.08", "Main@2.0", 8),
    ("81004c000a0b0200000561e836a017c202", "av01.0.00M.10", "Main@2.0", 10),  # SVT-AV1
    ("81001c000a0a000000043d06d4daf92a", "av01.0.00M.08", "Main@2.0", 8),  # monochrome
    ("812000000a0a200000043d06d4daf902", "av01.1.00M.08", "High@2.0", 8),  # 4:4:4
    ("814068000a0b400000043d06d4daf96220", "av01.2.00M.12", "Professional@2.0", 12),  # 4:2:2
]


def header(*calls):
    """A sequence header from its fields."""
    bits = BitWriter()
    for call in calls:
        bits.ue(call[1]) if call[0] == "ue" else bits.write(*call)
    bits.trailing()
    return bits.getvalue()


SIZE = [(9, 4), (9, 4), (321, 10), (181, 10)]
TOOLS = [(0, 1), (0, 3), (0, 4), (0, 1), (1, 1), (1, 1), (0, 3)]
COLOR = [(0, 1), (0, 1), (0, 1), (0, 1), (0, 2)]
ONE_POINT = [(0, 1), (0, 1), (0, 5), (0, 12), (5, 5)]


@pytest.mark.parametrize(("record", "codec_string", "name", "depth"), RECORDS)
def test_what_encoders_announce_is_read(record, codec_string, name, depth):
    config = Av1Config.parse(bytes.fromhex(record))
    found = config.sequence()
    assert (config.codec_string, config.name, config.bit_depth) == (codec_string, name, depth)
    assert (found.width, found.height, found.bit_depth) == (322, 182, depth)
    assert (found.profile, found.level) == (config.profile, config.level)


@pytest.mark.parametrize("record", [record for record, *_ in RECORDS])
def test_a_record_is_rebuilt_byte_for_byte_from_its_sequence_header(record):
    data = bytes.fromhex(record)
    (unit,) = obus(data[4:])
    assert Av1Config.build(Av1Sequence.parse(unit.payload), unit.payload) == data


HIGH_TIER = [(0, 3), (0, 2), (0, 1), (0, 1), (0, 5), (0, 12), (13, 5), (1, 1)]
FRAME_IDS = [(1, 1), (0, 7), (0, 3), (0, 4)]
ORDER_HINTS = [(1, 1), (0, 2), (0, 1), (1, 1), (0, 1), (1, 1), (6, 3), (0, 3)]
NO_SCREEN_CONTENT = [(0, 1), (0, 3), (0, 4), (0, 1), (0, 1), (0, 1), (0, 3)]
DECODER_MODEL = [(1, 1), (0, 64), (1, 1), ("ue", 0), (1, 1), (9, 5), (0, 42)]
DELAYS_AND_TWO_POINTS = [
    *[(1, 1), (1, 5)],
    *[(0, 12), (4, 5), (1, 1), (0, 21), (1, 1), (0, 4)],
    *[(0, 12), (9, 5), (1, 1), (0, 1), (0, 1)],
]
TIMING = [(1, 1), (0, 64), (0, 1), (0, 1)]
SRGB = [(0, 1), (1, 1), (1, 8), (13, 8), (0, 8)]
PROFESSIONAL = [(2, 3), (0, 2), *ONE_POINT, *SIZE, *TOOLS, (1, 1)]
TWELVE_BITS = [(1, 1), (0, 1), (0, 1), (0, 1)]


@pytest.mark.parametrize(
    ("calls", "expected"),
    [
        ([(0, 3), (1, 1), (1, 1), (8, 5), *SIZE, (0, 3), (0, 3), *COLOR], (8, 0, 0x0C)),  # still
        ([*HIGH_TIER, *SIZE, *FRAME_IDS, *ORDER_HINTS, *COLOR], (13, 1, 0x0C)),
        ([(0, 3), (0, 2), *ONE_POINT, *SIZE, *NO_SCREEN_CONTENT, *COLOR], (5, 0, 0x0C)),
        (
            [(0, 3), (0, 2), *DECODER_MODEL, *DELAYS_AND_TWO_POINTS, *SIZE, *TOOLS, *COLOR],
            (4, 0, 0x0C),
        ),
        ([(0, 3), (0, 2), *TIMING, *ONE_POINT[1:], *SIZE, *TOOLS, *COLOR], (5, 0, 0x0C)),
        ([(1, 3), (0, 2), *ONE_POINT, *SIZE, *TOOLS, *SRGB], (5, 0, 0)),
        ([*PROFESSIONAL, (0, 1), (0, 1), (0, 1), (0, 1)], (5, 0, 0x08)),  # 10 bits: 4:2:2
        ([*PROFESSIONAL, *TWELVE_BITS, (0, 1)], (5, 0, 0)),
        ([*PROFESSIONAL, *TWELVE_BITS, (1, 1), (1, 1), (2, 2)], (5, 0, 0x0E)),
    ],
)
def test_every_kind_of_sequence_header_is_read(calls, expected):
    found = Av1Sequence.parse(header(*calls))
    assert (found.level, found.tier, found.chroma_flags) == expected
    assert (found.width, found.height) == (322, 182)


def test_a_sequence_header_of_a_reserved_profile_is_refused():
    with pytest.raises(RemoteProtocolError, match="profile 3"):
        Av1Sequence.parse(b"\x60" + bytes(20))


def test_a_sequence_header_that_is_cut_is_refused():
    whole = bytes.fromhex(RECORDS[0][0])[6:]
    for size in range(len(whole) - 2):
        with pytest.raises(RemoteProtocolError):
            Av1Sequence.parse(whole[:size])


@pytest.mark.parametrize("record", ["", "810000", "01000c00", "82000c00"])
def test_what_is_no_record_is_refused(record):
    with pytest.raises(RemoteProtocolError, match="AV1 configuration"):
        Av1Config.parse(bytes.fromhex(record))


@pytest.mark.parametrize("units", ["", "0aff", "0a01 60", "1200"])
def test_a_record_without_a_readable_sequence_header_is_read(units):
    assert Av1Config.parse(bytes.fromhex("81000c00" + units)).sequence() is None


def test_units_are_walked_with_and_without_extension_and_size():
    data = bytes.fromhex("1200 360801aa 32")
    found = [(unit.type, unit.header.hex(), unit.payload.hex()) for unit in obus(data + b"\x00")]
    assert found == [(2, "12", ""), (6, "3608", "aa"), (6, "32", "")]
    (last,) = obus(bytes.fromhex("30bbcc"))
    assert (last.type, last.payload.hex()) == (ObuType.FRAME, "bbcc")


@pytest.mark.parametrize(
    "data", ["3205aa", "80", "34", "32", "32ffffffff7f", "0a80", "32ffffffffffffffff01"]
)
def test_units_that_lie_are_refused(data):
    with pytest.raises(RemoteProtocolError):
        list(obus(bytes.fromhex(data)))


def test_the_first_sequence_header_of_a_temporal_unit_is_found():
    unit = bytes.fromhex("1200" + RECORDS[0][0][8:] + "3200")
    assert sequence_of(unit).width == 322
    assert sequence_of(bytes.fromhex("12003200")) is None


@given(st.integers(0, 2**32 - 1), st.binary(max_size=3))
def test_leb128_round_trips(value, before):
    data = before + leb128(value) + b"\xff"
    assert read_leb128(data, len(before)) == (value, len(data) - 1)


@pytest.mark.parametrize(
    ("data", "why"), [("8080808010", "over 32 bits"), ("80" * 9, "no end"), ("", "no end")]
)
def test_leb128_numbers_out_of_bounds_are_refused(data, why):
    with pytest.raises(RemoteProtocolError, match=why):
        read_leb128(bytes.fromhex(data), 0)


@given(st.binary(max_size=60))
def test_garbage_raises_nothing_but_the_remote_protocol_error(data):
    for read in (
        Av1Config.parse,
        Av1Sequence.parse,
        lambda d: list(obus(d)),
        lambda d: Av1Config.parse(b"\x81\x00\x0c\x00\x0a" + d).sequence(),
    ):
        with contextlib.suppress(RemoteProtocolError):
            read(data)
