"""wire/rtmp/handshake.py and wire/rtmp/digest.py."""

import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kit.rtmp import noise

from livetrio.errors import RemoteProtocolError
from livetrio.wire.rtmp import digest as digests
from livetrio.wire.rtmp.handshake import PACKET_SIZE, ClientHandshake, ServerHandshake

PLAIN_C1 = bytes(8) + noise(PACKET_SIZE - 8)
FLASH_VERSION = bytes((9, 0, 124, 2))


def signed_c1(schema: int, offset_bytes: bytes | None = None) -> bytes:
    """A C1 of a Flash Player, its digest's offset given by four bytes if wanted."""
    packet = bytearray(bytes(4) + FLASH_VERSION + noise(PACKET_SIZE - 8))
    if offset_bytes is not None:
        at = (8, 772)[schema]
        packet[at : at + 4] = offset_bytes
    return digests.sign(bytes(packet), digests.CLIENT_KEY, schema)[0]


def test_a_plain_client_gets_its_c1_echoed_and_no_version():
    server = ServerHandshake(noise)
    reply = server.feed(b"\x03" + PLAIN_C1)
    assert len(reply) == 1 + 2 * PACKET_SIZE
    assert reply[0] == 3
    assert reply[1:9] == bytes(8)
    assert reply[1 + PACKET_SIZE :] == PLAIN_C1
    assert not server.done
    assert server.feed(noise(PACKET_SIZE)) == b""
    assert server.done
    assert server.rest == b""


@pytest.mark.parametrize("schema", [0, 1])
@pytest.mark.parametrize(
    "offset_bytes", [None, bytes(4), b"\xff\xff\xff\xff", bytes((255, 255, 217, 0)), b"\0\0\2\xd7"]
)
def test_a_signed_client_gets_signed_answers_in_its_schema(schema, offset_bytes):
    c1 = signed_c1(schema, offset_bytes)
    reply = ServerHandshake(noise).feed(b"\x03" + c1)
    s1, s2 = reply[1 : 1 + PACKET_SIZE], reply[1 + PACKET_SIZE :]
    found = digests.find_digest(c1, digests.CLIENT_KEY)
    assert found is not None
    assert found[0] == schema
    assert digests.find_digest(s1, digests.SERVER_KEY) is not None
    assert s1[4:8] != bytes(4)
    assert digests.answer(s2[:-32], found[1], digests.SERVER_KEY) == s2


def test_the_digest_is_a_mac_of_the_packet_without_it():
    # Offset bytes 8 to 11 zero: the digest stands at 12.
    c1 = signed_c1(0, bytes(4))
    key = b"Genuine Adobe Flash Player 001"
    assert c1[12:44] == hmac.digest(key, c1[:12] + c1[44:], hashlib.sha256)


def test_the_digest_stays_inside_its_half_at_the_largest_offset():
    largest = bytes((255, 255, 217, 0))  # 727
    packet, digest = digests.sign(
        bytes(8) + largest + bytes(PACKET_SIZE - 12), digests.CLIENT_KEY, 0
    )
    assert packet[739:771] == digest
    packet, digest = digests.sign(
        bytes(772) + largest + bytes(PACKET_SIZE - 776), digests.CLIENT_KEY, 1
    )
    assert packet[1503:1535] == digest


def test_a_wrong_digest_falls_back_to_the_plain_handshake():
    c1 = bytearray(signed_c1(0))
    c1[-1] ^= 1
    server = ServerHandshake(noise)
    reply = server.feed(b"\x03" + bytes(c1))
    assert reply[1:9] == bytes(8)
    assert reply[1 + PACKET_SIZE :] == bytes(c1)
    server.feed(noise(PACKET_SIZE))
    assert server.done


@pytest.mark.parametrize("arrived", [0, 1, 2, 1536])
def test_nothing_is_said_before_c1_is_whole(arrived):
    server = ServerHandshake(noise)
    assert server.feed((b"\x03" + PLAIN_C1)[:arrived]) == b""
    assert not server.done


def test_one_byte_less_than_c2_is_not_the_end():
    server = ServerHandshake(noise)
    server.feed(b"\x03" + PLAIN_C1 + noise(PACKET_SIZE - 1))
    assert not server.done
    server.feed(b"x")
    assert server.done


@given(st.lists(st.integers(0, 3200), max_size=6))
def test_any_split_gives_the_same_answer_and_the_same_rest(cuts):
    sent = b"\x03" + signed_c1(1) + noise(PACKET_SIZE) + b"glued to C2"
    server = ServerHandshake(noise)
    reply, rest, last = b"", b"", 0
    for cut in [*sorted(min(cut, len(sent)) for cut in cuts), len(sent)]:
        if server.done:
            rest += sent[last:cut]
        else:
            reply += server.feed(sent[last:cut])
        last = cut
    assert server.done
    assert server.rest + rest == b"glued to C2"
    assert reply == ServerHandshake(noise).feed(sent)


@pytest.mark.parametrize(
    ("first", "named"),
    [
        (0, "obsolete"),
        (1, "obsolete"),
        (2, "obsolete"),
        (4, "reserved"),
        (6, "RTMPE"),
        (8, "RTMPE"),
        (9, "RTMPE"),
        (31, "reserved"),
        (0x16, "TLS hello"),
        (ord("G"), "HTTP"),
        (ord("P"), "RTMPT"),
        (32, "not RTMP"),
        (255, "not RTMP"),
    ],
)
def test_a_first_byte_that_is_not_rtmp_is_refused_by_its_name(first, named):
    with pytest.raises(RemoteProtocolError, match=f"0x{first:02x} is .*{named}"):
        ServerHandshake(noise).feed(bytes((first,)) + b"OST / HTTP/1.1\r\n\r\n")


@pytest.mark.parametrize("signed", [True, False])
def test_our_client_and_server_understand_each_other(signed):
    client, server = ClientHandshake(noise, signed=signed), ServerHandshake(noise)
    answer = client.feed(server.feed(client.start) + b"behind S2")
    assert client.done
    assert client.rest == b"behind S2"
    server.feed(answer + b"behind C2")
    assert server.done
    assert server.rest == b"behind C2"


def test_a_signed_client_answers_the_servers_digest():
    client, server = ClientHandshake(noise), ServerHandshake(noise)
    reply = server.feed(client.start)
    found = digests.find_digest(reply[1 : 1 + PACKET_SIZE], digests.SERVER_KEY)
    assert found is not None
    c2 = client.feed(reply)
    assert digests.answer(c2[:-32], found[1], digests.CLIENT_KEY) == c2


@pytest.mark.parametrize("version", [bytes(4), b"\x04\x05\x00\x01"])
def test_a_server_without_a_digest_gets_its_s1_echoed(version):
    client = ClientHandshake(noise)
    s1 = bytes(4) + version + noise(PACKET_SIZE - 8)
    assert client.feed(b"\x03" + s1) == s1
    assert client.feed(noise(PACKET_SIZE)) == b""
    assert client.done


def test_a_server_that_is_no_rtmp_server_is_refused():
    with pytest.raises(RemoteProtocolError, match="version 72"):
        ClientHandshake(noise).feed(b"HTTP/1.1 400 Bad Request\r\n\r\n")
