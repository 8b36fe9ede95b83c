"""wire/rtmp/messages.py."""

import pytest

from livetrio.errors import RemoteProtocolError
from livetrio.wire.rtmp.messages import (
    UserControl,
    peer_bandwidth,
    read_u32,
    read_user_control,
    u32,
    user_control,
)


def test_numbers_are_32_bits_big_endian():
    assert u32(0x01020304) == b"\1\2\3\4"
    assert u32(2**32 + 1) == b"\0\0\0\1"
    assert read_u32(b"\1\2\3\4 and more", "Abort") == 0x01020304


@pytest.mark.parametrize("length", range(4))
def test_a_number_that_is_too_short_is_an_error(length):
    with pytest.raises(RemoteProtocolError, match=f"Abort of {length} bytes"):
        read_u32(bytes(length), "Abort")


def test_peer_bandwidth_is_a_window_and_a_limit_type():
    assert peer_bandwidth(2_500_000) == b"\x00\x26\x25\xa0\x02"


def test_user_control_messages_are_an_event_and_its_values():
    assert user_control(UserControl.SET_BUFFER_LENGTH, 1, 3000) == bytes.fromhex(
        "0003 00000001 00000bb8"
    )
    assert read_user_control(user_control(UserControl.PING_REQUEST, 7)) == (6, 7)
    assert read_user_control(bytes.fromhex("0003 00000001 ffffffff")) == (3, 1)


@pytest.mark.parametrize("body", [b"\0\3", b"\0\x63", b"\0\x1f"])
def test_an_event_of_no_use_may_lack_its_value(body):
    assert read_user_control(body) == (body[1], 0)


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        (b"", "user control message of 0 bytes"),
        (b"\0", "user control message of 1 bytes"),
        (b"\0\6", "ping of 0 bytes"),
        (b"\0\7\0\0\0", "ping of 3 bytes"),
    ],
)
def test_user_control_messages_that_are_too_short_are_errors(body, fault):
    with pytest.raises(RemoteProtocolError, match=fault):
        read_user_control(body)
