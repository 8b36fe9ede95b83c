"""A TURN client's dialogue, against replies made by hand; hostile ones included."""

from __future__ import annotations

import hashlib
import hmac
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from livetrio.errors import RemoteProtocolError
from livetrio.wire.turn import TurnDialogue

MAGIC = bytes.fromhex("2112a442")
SUCCESS, ERROR = 0x0103, 0x0113


def attribute(number: int, value: bytes) -> bytes:
    padded = value + bytes(-len(value) % 4)
    return number.to_bytes(2, "big") + len(value).to_bytes(2, "big") + padded


def reply(kind: int, request: bytes, *attributes: bytes) -> bytes:
    body = b"".join(attributes)
    return kind.to_bytes(2, "big") + len(body).to_bytes(2, "big") + request[4:20] + body


def read(message: bytes) -> dict[int, bytes]:
    found, at = {}, 20
    while at < len(message):
        number = int.from_bytes(message[at : at + 2], "big")
        length = int.from_bytes(message[at + 2 : at + 4], "big")
        found[number] = message[at + 4 : at + 4 + length]
        at += 4 + length + -length % 4
    return found


def challenged() -> TurnDialogue:
    dialogue = TurnDialogue("1700000000:ada", "secret")
    request = dialogue.allocate()
    answer = reply(
        ERROR,
        request,
        attribute(9, b"\0\0\4\1Unauthorized"),
        attribute(0x14, b"example.com"),
        attribute(0x15, b"a nonce"),
    )
    told = dialogue.receive(answer)
    assert told is not None
    assert (told.error, told.reason) == (401, "Unauthorized")
    return dialogue


def test_the_first_request_carries_no_credentials() -> None:
    request = TurnDialogue("u", "p").allocate()
    assert request[:2] == b"\0\3"
    assert request[4:8] == MAGIC
    assert read(request) == {0x19: bytes((17, 0, 0, 0))}


def test_an_allocation_in_ipv6_is_asked_for_by_its_family() -> None:
    assert read(TurnDialogue("u", "p").allocate(ip=6))[0x17] == bytes((2, 0, 0, 0))


def test_after_a_challenge_requests_prove_who_asks() -> None:
    request = challenged().allocate()
    found = read(request)
    assert (found[6], found[0x14], found[0x15]) == (b"1700000000:ada", b"example.com", b"a nonce")
    key = hashlib.md5(b"1700000000:ada:example.com:secret").digest()
    at = len(request) - 24
    assert found[8] == hmac.digest(key, request[:at], "sha1")
    assert int.from_bytes(request[2:4], "big") == len(request) - 20


def test_a_stale_nonce_is_replaced_and_the_realm_kept() -> None:
    dialogue = challenged()
    request = dialogue.allocate()
    answer = reply(ERROR, request, attribute(9, b"\0\0\4\x26Stale"), attribute(0x15, b"newer"))
    told = dialogue.receive(answer)
    assert told is not None
    assert told.error == 438
    found = read(dialogue.release())
    assert (found[0x14], found[0x15], found[0xD]) == (b"example.com", b"newer", bytes(4))


def test_a_success_tells_the_relayed_address_of_either_family() -> None:
    dialogue = challenged()
    for host, packed in (("192.0.2.1", b"\xe1\x12\xa6\x43"), ("::", None)):
        request = dialogue.allocate()
        if packed is None:
            value = b"\0\2" + bytes((0x21 ^ 0, 0x12 ^ 1)) + request[4:20]
        else:
            value = b"\0\1" + bytes((0x21, 0x13)) + packed
        told = dialogue.receive(reply(SUCCESS, request, attribute(0x16, value), attribute(1, b"")))
        assert told is not None
        assert told.error == 0
        assert told.relayed == (host, 1)


@pytest.mark.parametrize(
    ("peer", "size"), [("10.0.0.1", 8), ("fe80::1", 20), ("::ffff:127.0.0.1", 20)]
)
def test_a_permission_names_its_peer_masked_with_the_transaction(peer, size) -> None:
    request = challenged().permit(peer)
    assert request[:2] == b"\0\x08"
    value = read(request)[0x12]
    assert len(value) == size
    assert value[1] == (1 if size == 8 else 2)
    plain = bytes(a ^ b for a, b in zip(value[4:], request[4:20], strict=False))
    assert plain[-1] == 1


def test_a_reply_to_another_request_is_none() -> None:
    dialogue = TurnDialogue("u", "p")
    old = dialogue.allocate()
    dialogue.allocate()
    assert dialogue.receive(reply(SUCCESS, old)) is None


@pytest.mark.parametrize(
    ("kind", "attributes"),
    [
        (0x0003, []),  # a request
        (ERROR, []),  # an error without its code
        (ERROR, [attribute(9, b"\0\0\4")]),
        (ERROR, [attribute(9, b"\0\0\0\0")]),
        (ERROR, [attribute(9, b"\0\0\4\xff")]),
        (SUCCESS, [attribute(0x16, b"\0\1\0\0")]),
        (SUCCESS, [attribute(0x16, b"\0\2" + bytes(6))]),
        (SUCCESS, [b"\0\x16\xff\xff"]),
        (SUCCESS, [attribute(1, b"")] * 40),
    ],
)
def test_a_broken_reply_is_a_protocol_error(kind, attributes) -> None:
    dialogue = TurnDialogue("u", "p")
    with pytest.raises(RemoteProtocolError):
        dialogue.receive(reply(kind, dialogue.allocate(), *attributes))


@pytest.mark.parametrize(
    "data", [b"", bytes(20), bytes(4) + MAGIC + bytes(13), bytes(2) + b"\0\4" + MAGIC + bytes(12)]
)
def test_what_is_no_stun_message_is_a_protocol_error(data) -> None:
    with pytest.raises(RemoteProtocolError):
        TurnDialogue("u", "p").receive(data)


@given(st.binary(max_size=200), st.sampled_from([SUCCESS, ERROR]))
def test_no_body_brings_anything_but_a_protocol_error(body, kind) -> None:
    dialogue = TurnDialogue("u", "p")
    request = dialogue.allocate()
    with suppress(RemoteProtocolError):
        dialogue.receive(reply(kind, request, body))
