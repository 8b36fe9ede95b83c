"""STUN: the RFC's own messages, round trips, and what hostile peers send (group 42)."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from livetrio.errors import RemoteProtocolError
from livetrio.wire import stun
from livetrio.wire.stun import build_error, build_request, build_success, is_stun, parse_stun

# RFC 5769 sections 2.1 to 2.3: a request and its answers, made by somebody else.
PASSWORD = "VOkJxbRl1RmTxUk/WvJxBt"
REQUEST = bytes.fromhex(
    "000100582112a442b7e7a701bc34d686fa87dfae802200105354554e207465737420636c69656e74"
    "002400046e0001ff80290008932ff9b151263b36000600096576746a3a68367659202020"
    "000800149aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a280280004e57a3bcf"
)
RESPONSE_4 = bytes.fromhex(
    "0101003c2112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563746f7220"
    "002000080001a147e112a643000800142b91f599fd9e90c38c7489f92af9ba53f06be7d7"
    "80280004c07d4c96"
)
RESPONSE_6 = bytes.fromhex(
    "010100482112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563746f7220"
    "002000140002a1470113a9faa5d3f179bc25f4b5bed2b9d900080014a382954e4be67bf11784c97c"
    "8292c275bfe3ed4180280004c8fb0b4c"
)
ID = bytes(range(12))


def message(*attributes: tuple[int, bytes], kind: int = 0x0001) -> bytes:
    """Attributes behind a header, right or wrong."""
    body = b"".join(
        number.to_bytes(2, "big") + len(value).to_bytes(2, "big") + value + bytes(-len(value) % 4)
        for number, value in attributes
    )
    return kind.to_bytes(2, "big") + len(body).to_bytes(2, "big") + b"\x21\x12\xa4\x42" + ID + body


def test_the_request_of_the_rfc_is_read_and_proven():
    found = parse_stun(REQUEST)
    assert found.kind == stun.REQUEST
    assert found.username == "evtj:h6vY"
    assert found.priority == 0x6E0001FF
    assert found.controlled == 0x932FF9B151263B36
    assert found.controlling is None
    assert found.proves(PASSWORD)
    assert not found.proves(PASSWORD + "x")


@pytest.mark.parametrize(
    ("data", "mapped"),
    [
        (RESPONSE_4, ("192.0.2.1", 32853)),
        (RESPONSE_6, ("2001:db8:1234:5678:11:2233:4455:6677", 32853)),
    ],
)
def test_the_answers_of_the_rfc_are_read_and_proven(data, mapped):
    found = parse_stun(data)
    assert found.kind == stun.SUCCESS
    assert found.mapped == mapped
    assert found.proves(PASSWORD)


@given(
    st.binary(min_size=12, max_size=12),
    st.text(max_size=100),
    st.text(max_size=40),
    st.integers(0, 2**32 - 1),
    st.booleans(),
    st.none() | st.integers(0, 2**64 - 1),
    st.none() | st.integers(0, 2**64 - 1),
)
def test_a_request_is_read_as_it_was_built(
    transaction, username, password, priority, use, controlling, controlled
):
    data = build_request(
        transaction,
        username,
        password,
        priority=priority,
        use_candidate=use,
        controlling=controlling,
        controlled=controlled,
    )
    found = parse_stun(data)
    assert found.transaction == transaction
    assert found.username == username
    assert found.priority == priority
    assert found.use_candidate is use
    assert found.controlling == controlling
    assert found.controlled == controlled
    assert found.proves(password)


@pytest.mark.parametrize("source", [("192.0.2.7", 1), ("2001:db8::9", 65535)])
def test_a_success_tells_the_address(source):
    found = parse_stun(build_success(ID, source, "pw"))
    assert (found.kind, found.mapped) == (stun.SUCCESS, source)
    assert found.proves("pw")


def test_an_error_tells_code_reason_and_what_was_not_understood():
    found = parse_stun(build_error(ID, 420, "Unknown Attribute", "pw", unknown=(3, 5)))
    assert (found.kind, found.error) == (stun.ERROR, (420, "Unknown Attribute"))
    assert found.proves("pw")
    assert parse_stun(build_error(ID, 487, "Role Conflict", "pw")).error == (487, "Role Conflict")


def test_what_has_no_integrity_proves_nothing():
    assert not parse_stun(message()).proves("")


def test_unknown_attributes_are_listed_if_they_must_be_understood():
    found = parse_stun(message((0x0099, b"x"), (0x8099, b"y"), (0x7FFF, b"")))
    assert found.unknown == (0x0099, 0x7FFF)


def test_of_equal_attributes_the_first_counts():
    assert parse_stun(message((0x0006, b"first"), (0x0006, b"second"))).username == "first"


def test_what_stands_behind_the_integrity_does_not_count():
    data = build_request(ID, "a:b", "pw", priority=1)[:-8] + b"\x00\x25\x00\x00"
    data = data[:2] + (len(data) - 20).to_bytes(2, "big") + data[4:]
    found = parse_stun(data)
    assert found.proves("pw")
    assert not found.use_candidate


@pytest.mark.parametrize("data", [b"", bytes(19), bytes(20), b"\x80" + REQUEST[1:]])
def test_what_does_not_begin_like_stun_is_none(data):
    assert not is_stun(data)
    with pytest.raises(RemoteProtocolError, match="not a STUN"):
        parse_stun(data)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (message(kind=0x0003), "not Binding"),
        (message(kind=0x0111 | 0x0200), "not Binding"),
        (message() + b"\0", "length"),
        (message() + bytes(4), "length"),
        (message((0x0006, b"name"))[:-4], "length"),
        (message()[:2] + b"\0\2" + message()[4:] + b"\0\0", "length"),
        (message(*[(0x8000 + n, bytes(36)) for n in range(32)]), "length"),
        (message(*[(0x8000 + n, b"") for n in range(33)]), "too many"),
        (message()[:2] + b"\0\4" + message()[4:] + b"\0\6\0\1", "cut short"),
        (message()[:2] + b"\0\4" + message()[4:] + b"\0\6\xff\xff", "cut short"),
        (message((0x0006, b"\xff")), "USERNAME"),
        (message((0x0006, b"x" * 514)), "USERNAME"),
        (message((0x0008, bytes(19))), "MESSAGE-INTEGRITY"),
        (message((0x0009, bytes(3))), "ERROR-CODE"),
        (message((0x0009, bytes((0, 0, 7, 0)))), "ERROR-CODE"),
        (message((0x0009, bytes((0, 0, 4, 100)))), "ERROR-CODE"),
        (message((0x000A, bytes(3))), "UNKNOWN-ATTRIBUTES"),
        (message((0x0020, b"")), "XOR-MAPPED-ADDRESS"),
        (message((0x0020, bytes((0, 1, 0, 0)))), "XOR-MAPPED-ADDRESS"),
        (message((0x0020, bytes((0, 3)) + bytes(6))), "XOR-MAPPED-ADDRESS"),
        (message((0x0024, bytes(3))), "PRIORITY"),
        (message((0x0025, b"x")), "USE-CANDIDATE"),
        (message((0x8029, bytes(7))), "ICE-CONTROLLED"),
        (message((0x802A, bytes(9))), "ICE-CONTROLLING"),
        (message((0x8028, bytes(4))), "FINGERPRINT"),
        (message((0x8028, bytes(3))), "FINGERPRINT"),
        (message((0x8028, bytes(4)), (0x0006, b"")), "FINGERPRINT"),
        (REQUEST[:-1] + b"\0", "FINGERPRINT"),
    ],
)
def test_malformed_messages_are_refused(data, why):
    with pytest.raises(RemoteProtocolError, match=why):
        parse_stun(data)


def test_a_changed_byte_is_found_out():
    data = build_request(ID, "a:b", "pw", priority=1)
    for at in range(20, len(data) - 32):  # each byte that the integrity covers
        changed = data[:at] + bytes((data[at] ^ 1,)) + data[at + 1 : -8]
        changed = changed[:2] + (len(changed) - 20).to_bytes(2, "big") + changed[4:]
        try:
            found = parse_stun(changed)
        except RemoteProtocolError:
            continue
        assert not found.proves("pw")


@given(st.binary(max_size=200))
def test_garbage_raises_nothing_but_a_protocol_error(garbage):
    for data in (garbage, REQUEST[:20] + garbage, message() + garbage):
        sized = data[:2] + max(len(data) - 20, 0).to_bytes(2, "big") + data[4:]
        for one in (data, sized):
            with suppress(RemoteProtocolError):
                parse_stun(one)
