"""wire/bits.py."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from livetrio.errors import LocalProtocolError, RemoteProtocolError
from livetrio.wire.bits import BitReader, BitWriter


@given(
    st.lists(st.integers(0, 64).flatmap(lambda n: st.tuples(st.integers(0, 2**n - 1), st.just(n))))
)
def test_fields_are_read_as_they_were_written(fields):
    writer = BitWriter()
    for value, count in fields:
        writer.write(value, count)
    reader = BitReader(writer.getvalue())
    assert [reader.read(count) for _, count in fields] == [value for value, _ in fields]


@given(st.lists(st.integers(0, 2**32 - 2)))
def test_unsigned_exp_golomb_round_trips(values):
    writer = BitWriter()
    for value in values:
        writer.ue(value)
    reader = BitReader(writer.getvalue())
    assert [reader.ue() for _ in values] == values


@given(st.lists(st.integers(-(2**31) + 1, 2**31 - 1)))
def test_signed_exp_golomb_round_trips(values):
    writer = BitWriter()
    for value in values:
        writer.se(value)
    reader = BitReader(writer.getvalue())
    assert [reader.se() for _ in values] == values


def test_the_standards_table_of_exp_golomb_codes():
    reader = BitReader(bytes((0b1_010_011_0, 0b0100_0010, 0b1_0000000)))
    assert [reader.ue() for _ in range(5)] == [0, 1, 2, 3, 4]


def test_an_exp_golomb_code_of_too_many_zeros_is_refused():
    with pytest.raises(RemoteProtocolError, match="longer than 63 bits"):
        BitReader(bytes(64)).ue()


def test_nothing_is_read_past_the_end():
    reader = BitReader(b"\xff\x00")
    assert reader.read(9) == 0x1FE
    with pytest.raises(RemoteProtocolError, match="8 bits wanted, 7 left"):
        reader.read(8)
    with pytest.raises(RemoteProtocolError, match="8 bits to skip, 7 left"):
        reader.skip(8)
    reader.skip(7)
    assert reader.left == 0


def test_an_exp_golomb_code_that_is_cut_is_refused():
    with pytest.raises(RemoteProtocolError, match="1 bits wanted, 0 left"):
        BitReader(b"\x00").ue()


def test_align_passes_over_the_rest_of_a_byte_once():
    reader = BitReader(b"\x80\x7f")
    assert reader.flag()
    reader.align()
    reader.align()
    assert not reader.flag()
    assert reader.pos == 9


def test_trailing_bits_fill_the_byte():
    writer = BitWriter()
    writer.write(0b101, 3)
    writer.trailing()
    assert writer.getvalue() == b"\xb0"


@pytest.mark.parametrize(("value", "count"), [(4, 2), (-1, 8)])
def test_a_value_that_does_not_fit_is_our_bug(value, count):
    with pytest.raises(LocalProtocolError, match="does not fit"):
        BitWriter().write(value, count)
