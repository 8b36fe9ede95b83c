"""wire/reader.py."""

import pytest

from livetrio.errors import RemoteProtocolError
from livetrio.wire.reader import ByteReader


def test_fields_are_read_in_order_and_big_endian():
    reader = ByteReader(b"\x01\x02\x03\xff\xfe\x00\x00\x01\x00" + b"\x3f\xf0" + bytes(6) + b"xyz")
    assert reader.u8("a") == 1
    assert reader.u16("b") == 0x0203
    assert reader.i16("c") == -2
    assert reader.u32("d") == 256
    assert reader.f64("e") == 1.0
    assert reader.left == 3
    assert reader.take(3, "f") == b"xyz"
    assert reader.left == 0


@pytest.mark.parametrize("field", ["u8", "u16", "i16", "u32", "f64"])
def test_a_cut_field_is_an_error_that_says_what_it_was_for(field):
    reader = ByteReader(b"")
    with pytest.raises(RemoteProtocolError, match=r"the thing: \d bytes announced, 0 left"):
        getattr(reader, field)("the thing")


def test_a_length_past_the_end_is_an_error_and_moves_nothing():
    reader = ByteReader(b"abc")
    with pytest.raises(RemoteProtocolError, match="name: 4294967295 bytes announced, 3 left"):
        reader.take(0xFFFF_FFFF, "name")
    assert reader.take(3, "name") == b"abc"
