"""wire/rtmp/commands.py."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from livetrio.errors import RemoteProtocolError
from livetrio.wire import amf0, amf3
from livetrio.wire.amf import UNDEFINED
from livetrio.wire.rtmp.commands import (
    Command,
    encode_command,
    milliseconds,
    read_command,
    status,
    text_of,
)


def test_a_command_is_a_name_an_id_an_object_and_arguments():
    body = encode_command("play", 4, None, "x", -2)
    assert read_command(20, 1, body) == Command("play", 4.0, 1, None, ["x", -2.0])


def test_an_amf3_command_is_a_byte_and_amf0_values_that_may_switch():
    body = b"\0" + amf0.encode("f", 2) + b"\x11" + amf3.encode({"a": 1})
    assert read_command(17, 0, body) == Command("f", 2.0, 0, {"a": 1}, [])


def test_missing_arguments_read_as_null():
    command = read_command(20, 0, encode_command("x", 1, None, "first"))
    assert command.argument(0) == "first"
    assert command.argument(1) is None


@pytest.mark.parametrize("values", [(), (None,), ("1",), (UNDEFINED,)])
def test_a_transaction_id_that_is_left_out_or_no_number_reads_as_0(values):
    assert read_command(20, 0, amf0.encode("closeStream", *values)).transaction == 0


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, -1.0])
def test_a_transaction_id_that_is_negative_or_not_finite_is_an_error(value):
    with pytest.raises(RemoteProtocolError, match="transaction id"):
        read_command(20, 0, amf0.encode("connect", value))


@pytest.mark.parametrize(
    "body", [b"", amf0.encode(1.0), amf0.encode(None, 1), amf0.encode("x" * 129)]
)
def test_a_command_without_a_sensible_name_is_an_error(body):
    with pytest.raises(RemoteProtocolError, match="without a name"):
        read_command(20, 0, body)


def test_a_command_that_is_too_long_is_an_error():
    body = amf0.encode("x", 1, None, "y" * 65_536)
    with pytest.raises(RemoteProtocolError, match="more than 65536"):
        read_command(20, 0, body)


def test_what_follows_the_eighth_argument_is_not_read():
    body = amf0.encode("x", 1, None, *range(8)) + b"\xff garbage"
    assert read_command(20, 0, body).arguments == [float(i) for i in range(8)]


@given(st.sampled_from([17, 20]), st.binary(max_size=100))
def test_garbage_raises_only_the_remote_protocol_error(type_id, body):
    try:
        read_command(type_id, 0, body)
    except RemoteProtocolError:
        return


def test_a_status_is_an_information_object():
    assert status("status", "A.B", "c", extra=1) == {
        "level": "status",
        "code": "A.B",
        "description": "c",
        "extra": 1,
    }


@pytest.mark.parametrize(("value", "text"), [("abcdef", "abc"), (None, ""), (1.0, ""), (True, "")])
def test_text_is_cut_and_anything_else_is_empty(value, text):
    assert text_of(value, 3) == text


@pytest.mark.parametrize(
    ("value", "expected"),
    [(1500.7, 1500), (0, 0), (-5, 0), (math.nan, 0), (math.inf, 2**31 - 1), (1e308, 2**31 - 1),
     ("1", 0), (None, 0)],
)  # fmt: skip
def test_positions_become_sane_milliseconds(value, expected):
    assert milliseconds(value) == expected
