"""The classic WebSocket conformance cases, as raw bytes against `/sub` (RFC 6455, RFC 7692).

Grouped as the well-known suite groups them. goim gives the body of operation 14 back in 15
whatever it is, which serves as the echo; v1's JSON frames serve for text.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from kit.goim import goim, pack, unpack
from kit.http import HttpClient, http_client
from kit.websocket import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, client_frame, handshake

FIN = 0x80
LONGEST = 4096
"""Bytes of the body of the longest package, a message of 4112 bytes."""


@asynccontextmanager
async def opened(*headers: str, login: bool = True) -> AsyncIterator[HttpClient]:
    async with goim() as here, http_client(here.ws_port) as client:
        await client.send(handshake("/sub", *headers))
        assert (await client.head()).status == 101
        if login:
            await client.send(client_frame(BINARY, pack(7, b'{"mid":1}')))
            assert await client.frame() == (FIN | BINARY, pack(8))
        yield client


async def echo(client: HttpClient) -> bytes:
    """The body of the next operation 15."""
    first, payload = await client.frame()
    assert first == FIN | BINARY
    (got,) = unpack(payload)
    assert got.op == 15
    return got.body


async def end(client: HttpClient) -> int | None:
    """The code of the close frame that comes, behind what had been asked for before."""
    while True:
        first, payload = await client.frame()
        if first == FIN | CLOSE:
            assert await client.rest() == b""
            return struct.unpack("!H", payload[:2])[0] if payload else None


# 1 Framing


@pytest.mark.parametrize("size", [0, 1, 109, 110, 111, 4079, LONGEST])
@pytest.mark.parametrize("step", [61, 997, 1 << 16])
async def test_1_messages_of_all_sizes_in_any_cut(size: int, step: int):
    body = bytes(n % 251 for n in range(size))
    data = client_frame(BINARY, pack(14, body))
    async with opened() as client:
        for start in range(0, len(data), step):
            await client.send(data[start : start + step])
        assert await echo(client) == body


# 2 Pings and pongs


@pytest.mark.parametrize("payload", [b"", b"Hello", b"\x00\xff\xfe\xfd", bytes(125)])
async def test_2_a_ping_is_answered_with_its_payload(payload: bytes):
    async with opened() as client:
        await client.send(client_frame(PING, payload))
        assert await client.frame() == (FIN | PONG, payload)


async def test_2_a_ping_of_126_bytes_is_a_protocol_error(caplog):
    async with opened() as client:
        await client.send(client_frame(PING, bytes(126)))
        assert await end(client) == 1002


async def test_2_unsolicited_pongs_are_ignored_and_ten_pings_answered_in_order():
    async with opened() as client:
        await client.send(client_frame(PONG) + client_frame(PONG, b"unasked"))
        await client.send(b"".join(client_frame(PING, b"%d" % n) for n in range(10)))
        for number in range(10):
            assert await client.frame() == (FIN | PONG, b"%d" % number)


async def test_2_a_ping_may_come_byte_by_byte():
    async with opened() as client:
        for byte in client_frame(PING, b"slow"):
            await client.send(bytes([byte]))
        assert await client.frame() == (FIN | PONG, b"slow")


# 3 Reserved bits, 4 opcodes, masking


@pytest.mark.parametrize("rsv", range(1, 8))
@pytest.mark.parametrize("opcode", [TEXT, BINARY, PING, CLOSE])
async def test_3_reserved_bits_are_a_protocol_error(rsv: int, opcode: int, caplog):
    async with opened() as client:
        await client.send(client_frame(opcode, rsv=rsv))
        assert await end(client) == 1002


@pytest.mark.parametrize("opcode", [3, 4, 5, 6, 7, 11, 12, 13, 14, 15])
async def test_4_reserved_opcodes_are_a_protocol_error_behind_good_messages(opcode: int, caplog):
    async with opened() as client:
        await client.send(client_frame(BINARY, pack(14, b"first")))
        await client.send(client_frame(opcode, b"x") + client_frame(PING))
        assert await echo(client) == b"first"
        assert await end(client) == 1002


@pytest.mark.parametrize("opcode", [TEXT, BINARY, PING, CLOSE])
async def test_4_a_frame_that_is_not_masked_is_a_protocol_error(opcode: int, caplog):
    async with opened() as client:
        await client.send(client_frame(opcode, mask=False))
        assert await end(client) == 1002


@pytest.mark.parametrize("head", [b"\x82\xfe\x00\x7d", b"\x82\xff" + bytes(6) + b"\xff\xff"])
async def test_4_a_length_not_in_its_shortest_form_is_a_protocol_error(head: bytes, caplog):
    async with opened() as client:
        await client.send(head + bytes(4))
        assert await end(client) == 1002


# 5 Fragmentation


@pytest.mark.parametrize("opcode", [PING, PONG, CLOSE])
async def test_5_control_frames_are_not_fragmented(opcode: int, caplog):
    async with opened() as client:
        await client.send(client_frame(opcode, b"", fin=False))
        assert await end(client) == 1002


@pytest.mark.parametrize("pieces", [2, 3, 26])
async def test_5_a_message_may_be_in_fragments_with_pings_between_them(pieces: int):
    data = pack(14, b"fragmentation")[: 16 + 13]
    step = -(-len(data) // pieces)
    parts = [data[start : start + step] for start in range(0, len(data), step)]
    async with opened() as client:
        for number, part in enumerate(parts):
            await client.send(
                client_frame(CONTINUATION if number else BINARY, part, fin=number == len(parts) - 1)
            )
            if number < len(parts) - 1:
                await client.send(client_frame(PING, b"%d" % number))
                assert await client.frame() == (FIN | PONG, b"%d" % number)
        assert await echo(client) == b"fragmentation"


async def test_5_fragments_may_be_empty():
    async with opened() as client:
        await client.send(
            client_frame(BINARY, fin=False)
            + client_frame(CONTINUATION, pack(14, b"x"), fin=False)
            + client_frame(CONTINUATION)
        )
        assert await echo(client) == b"x"


OUT_OF_ORDER = {
    "a continuation of nothing": client_frame(CONTINUATION, b"x"),
    "a continuation of nothing, unfinished": client_frame(CONTINUATION, b"x", fin=False),
    "a continuation behind a whole message": client_frame(BINARY, pack(14))
    + client_frame(CONTINUATION, b"x"),
    "a message inside a message": client_frame(BINARY, b"x", fin=False) + client_frame(BINARY),
    "text inside a binary message": client_frame(BINARY, b"x", fin=False) + client_frame(TEXT),
}


@pytest.mark.parametrize("name", OUT_OF_ORDER)
async def test_5_fragments_out_of_order_are_a_protocol_error(name: str, caplog):
    async with opened() as client:
        await client.send(OUT_OF_ORDER[name])
        assert await end(client) == 1002


# 6 UTF-8


def text(words: str) -> bytes:
    return json.dumps({"ver": 1, "op": 4, "seq": 1, "body": words}, ensure_ascii=False).encode()


LOGIN = b'{"ver":1,"op":7,"seq":1,"body":"1"}'
GOOD_TEXT = ["κόσμε", "\x7f\x80\u07ff\u0800\uffff\U00010000\U0010ffff", "\ufffe", "房间 \U0001f600"]


@pytest.mark.parametrize("words", GOOD_TEXT)
@pytest.mark.parametrize("step", [1, 3, 1000])
async def test_6_valid_text_passes_in_fragments_cut_within_characters(words: str, step: int):
    async with opened(login=False) as client:
        await client.send(client_frame(TEXT, LOGIN))
        await client.frame()
        data = text(words)
        starts = range(0, len(data), step)
        for start in starts:
            await client.send(
                client_frame(
                    CONTINUATION if start else TEXT,
                    data[start : start + step],
                    fin=start == starts[-1],
                )
            )
        first, payload = await client.frame()
        assert first == FIN | TEXT
        assert json.loads(payload)["body"] == words


BAD_TEXT = [
    b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited",
    b"\x80",
    b"\xbf\x80",
    b"\xc0\xaf",
    b"\xe0\x80\xaf",
    b"\xf0\x80\x80\xaf",
    b"\xc1\xbf",
    b"\xed\xa0\x80\xed\xb0\x80",
    b"\xf4\x90\x80\x80",
    b"\xf8\x88\x80\x80\x80",
    b"\xfe",
    b"\xff",
    b"\xe2\x82",
]


@pytest.mark.parametrize("data", BAD_TEXT)
@pytest.mark.parametrize("fragmented", [False, True])
async def test_6_text_that_is_not_utf_8_is_closed_with_1007(data: bytes, fragmented: bool, caplog):
    async with opened(login=False) as client:
        if fragmented:
            head = client_frame(TEXT, data[:1], fin=False)
            await client.send(head + client_frame(CONTINUATION, data[1:]))
        else:
            await client.send(client_frame(TEXT, data))
        assert await end(client) == 1007


# 7 Closing


@pytest.mark.parametrize("code", [1000, 1001, 1002, 1003, 1007, 1008, 1011, 3000, 3999, 4000, 4999])
@pytest.mark.parametrize("reason", [b"", b"Hello", "房".encode() * 41])
async def test_7_a_close_is_answered_with_its_code(code: int, reason: bytes):
    async with opened() as client:
        await client.send(client_frame(CLOSE, struct.pack("!H", code) + reason))
        assert await end(client) == code


async def test_7_a_close_without_a_code_is_answered_without_one():
    async with opened() as client:
        await client.send(client_frame(CLOSE))
        assert await end(client) is None


async def test_7_what_comes_behind_a_close_is_not_answered():
    async with opened() as client:
        await client.send(client_frame(CLOSE, b"\x03\xe8") + client_frame(PING))
        await client.send(client_frame(BINARY, pack(14, b"late")))
        first, _ = await client.frame()
        assert first == FIN | CLOSE
        assert await client.rest() == b""


async def test_7_a_close_within_a_message_ends_it():
    async with opened() as client:
        await client.send(client_frame(BINARY, b"x", fin=False))
        await client.send(client_frame(CLOSE, b"\x03\xe8"))
        assert await end(client) == 1000


BAD_CODES = [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535]


@pytest.mark.parametrize("code", BAD_CODES)
async def test_7_codes_that_must_not_be_sent_are_a_protocol_error(code: int, caplog):
    async with opened() as client:
        await client.send(client_frame(CLOSE, struct.pack("!H", code)))
        assert await end(client) == 1002


@pytest.mark.parametrize(
    ("payload", "code"),
    [(b"\x03", 1002), (b"\x03\xe8\xff", 1007), (b"\x03\xe8" + bytes(124), 1002)],
)
async def test_7_a_broken_close_has_its_code(payload: bytes, code: int, caplog):
    async with opened() as client:
        await client.send(client_frame(CLOSE, payload))
        assert await end(client) == code


# 9 Limits


@pytest.mark.parametrize("size", [4113, 1 << 20, 1 << 40])
async def test_9_a_message_too_long_is_refused_by_its_header(size: int, caplog):
    head = b"\x82\xfe" + struct.pack("!H", size) if size < 1 << 16 else b""
    async with opened() as client:
        await client.send((head or b"\x82\xff" + struct.pack("!Q", size)) + bytes(4))
        assert await end(client) == 1009


async def test_9_fragments_too_long_together_are_refused(caplog):
    async with opened() as client:
        await client.send(client_frame(BINARY, bytes(4000), fin=False))
        await client.send(client_frame(CONTINUATION, bytes(113), fin=False))
        assert await end(client) == 1009


async def test_9_endless_empty_fragments_are_refused(caplog):
    async with opened() as client:
        await client.send(client_frame(BINARY, fin=False))
        await client.send(client_frame(CONTINUATION, fin=False) * 1100)
        assert await end(client) == 1009


async def test_9_a_ping_flood_is_closed(caplog):
    async with opened() as client:
        await client.send(client_frame(PING) * 1000)
        assert await end(client) == 1008


async def test_9_thousands_of_messages_in_one_piece_are_all_answered():
    async with opened() as client:
        await client.send(client_frame(BINARY, pack(14, b"x")) * 2000)
        for _ in range(2000):
            assert await echo(client) == b"x"


# 12, 13 Compression

OFFER = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"


def squeezed(data: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return (packer.compress(data) + packer.flush(zlib.Z_SYNC_FLUSH)).removesuffix(b"\0\0\xff\xff")


async def test_12_the_extension_is_agreed_on_without_context_takeover():
    async with goim() as here, http_client(here.ws_port) as client:
        await client.send(handshake("/sub", OFFER))
        head = await client.head()
        assert head.headers["sec-websocket-extensions"] == (
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
        )


@pytest.mark.parametrize("size", [0, 16, 64, 1024, LONGEST])
async def test_12_compressed_messages_of_all_sizes_pass(size: int):
    body = b"deflate!" * (size // 8)
    async with opened(OFFER) as client:
        for _ in range(3):  # no context: each stands for itself
            await client.send(client_frame(BINARY, squeezed(pack(14, body)), rsv=4))
            assert await echo(client) == body
        await client.send(client_frame(BINARY, pack(14, b"not compressed")))
        assert await echo(client) == b"not compressed"


async def test_13_a_compressed_message_may_be_in_fragments():
    data = squeezed(pack(14, b"in pieces" * 20))
    async with opened(OFFER) as client:
        await client.send(client_frame(BINARY, data[:3], rsv=4, fin=False))
        await client.send(client_frame(PING) + client_frame(CONTINUATION, data[3:]))
        assert await client.frame() == (FIN | PONG, b"")
        assert await echo(client) == b"in pieces" * 20


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (client_frame(BINARY, squeezed(bytes(1_000_000)), rsv=4), 1009),
        (client_frame(BINARY, b"\xff" * 20, rsv=4), 1007),
        (client_frame(BINARY, b"x", fin=False) + client_frame(CONTINUATION, rsv=4), 1002),
        (client_frame(PING, rsv=4), 1002),
    ],
    ids=["a bomb", "garbage", "RSV1 in a continuation", "RSV1 in a ping"],
)
async def test_13_what_the_extension_forbids_has_its_code(frame: bytes, code: int, caplog):
    async with opened(OFFER) as client:
        await client.send(frame)
        assert await end(client) == code


async def test_13_a_push_is_one_compressed_frame_for_all_and_plain_for_the_rest():
    message = b"the same for everybody " * 50
    async with goim() as here:
        async with (
            http_client(here.ws_port) as one,
            http_client(here.ws_port) as two,
            http_client(here.ws_port) as plain,
        ):
            for client in (one, two, plain):
                await client.send(handshake("/sub", *([] if client is plain else [OFFER])))
                await client.head()
                login = pack(7, b'{"room_id":"live://1"}')
                await client.send(client_frame(BINARY, login))
                assert await client.frame() == (FIN | BINARY, pack(8))
            await here.hub.publish("live://1", message, op=1000)
            first, payload = await one.frame()
            assert first == FIN | 0x40 | BINARY
            assert len(payload) < 200
            assert await two.frame() == (first, payload)
            inflated = zlib.decompressobj(-15).decompress(payload + b"\0\0\xff\xff")
            assert inflated == pack(9, pack(1000, message, seq=0), seq=0)
            assert await plain.frame() == (FIN | BINARY, inflated)
