"""WebSocket frames without a socket: any cut gives the same messages, shared frames are right."""

from __future__ import annotations

import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kit.websocket import BINARY, CLOSE, PING, PONG, TEXT
from kit.websocket import client_frame as frame
from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage, TextMessage
from wsproto.extensions import PerMessageDeflate

from livetrio.wire.websocket import (
    Close,
    Message,
    MessageParser,
    Ping,
    Pong,
    WebSocketError,
    binary_frame,
    close_frame,
    deflated_binary_frame,
    deflated_text_frame,
    pong_frame,
    text_frame,
)
from livetrio.wire.websocket_deflate import agreed_extension, deflate, inflate

AGREED = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"


def events(data: bytes, step: int = 1 << 20, **options) -> list[object]:
    parser = MessageParser(options.pop("max_size", 1 << 20), **options)
    found = []
    for start in range(0, len(data), step):
        parser.feed(data[start : start + step])
        while (event := parser.next_event()) is not None:
            found.append(event)
    return found


SESSION = (
    frame(TEXT, "房间".encode())
    + frame(BINARY, bytes(range(200)))
    + frame(TEXT, b"a", fin=False)
    + frame(PING, b"?")
    + frame(0, fin=False)
    + frame(0, b"b")
    + frame(BINARY)
    + frame(PONG)
    + frame(BINARY, bytes(70_000))
    + frame(CLOSE, struct.pack("!H", 1001) + b"bye")
)


@given(st.integers(1, 300))
def test_any_cut_of_a_conversation_gives_the_same_events(step: int):
    assert events(SESSION, step) == [
        Message("房间"),
        Message(bytes(range(200))),
        Ping(b"?"),
        Message("ab"),
        Message(b""),
        Pong(b""),
        Message(bytes(70_000)),
        Close(1001, "bye"),
    ]


def test_it_may_come_byte_by_byte():
    assert events(SESSION, 1) == events(SESSION)


def test_a_close_without_a_code_has_none():
    assert events(frame(CLOSE)) == [Close(None, "")]
    assert close_frame(None) == b"\x88\x00"


@pytest.mark.parametrize("code", [1000, 1001, 1002, 1003, 1007, 1011, 1014, 3000, 4999])
def test_codes_that_may_stand_in_a_frame(code: int):
    assert events(frame(CLOSE, struct.pack("!H", code))) == [Close(code, "")]


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 2999, 5000, 65535])
def test_codes_that_may_not(code: int):
    with pytest.raises(WebSocketError) as caught:
        events(frame(CLOSE, struct.pack("!H", code)))
    assert caught.value.code == 1002


def client(*, deflated: bool = False) -> Connection:
    extension = PerMessageDeflate()
    extension.finalize(AGREED)
    return Connection(ConnectionType.CLIENT, [extension] if deflated else [])


@pytest.mark.parametrize("deflated", [False, True])
@pytest.mark.parametrize("size", [0, 1, 125, 126, 199, 200, 65535, 65536, 1 << 18])
def test_shared_frames_are_what_any_client_understands(size: int, deflated: bool):
    text = ("弹幕" * size)[:size]
    make_text = deflated_text_frame if deflated else text_frame
    make_binary = deflated_binary_frame if deflated else binary_frame
    peer = client(deflated=deflated)
    peer.receive_data(make_text(text) + make_binary(text.encode()) + make_text("again"))
    got: dict[type, list] = {TextMessage: [], BytesMessage: []}
    for event in peer.events():
        got[type(event)].append(event.data)
    assert "".join(got[TextMessage]) == text + "again"
    assert b"".join(map(bytes, got[BytesMessage])) == text.encode()


def test_one_compressed_frame_is_much_smaller_and_needs_no_context():
    payload = b'{"op":5,"body":"hello"}' * 100
    shared = deflated_binary_frame(payload)
    assert len(shared) < len(payload) / 10
    for _ in range(3):  # newcomers decode it, and old hands do it again
        peer = client(deflated=True)
        peer.receive_data(shared + shared)
        assert b"".join(bytes(event.data) for event in peer.events()) == payload * 2


def test_compressed_messages_of_a_client_are_inflated_fragmented_or_not():
    words = "弹幕".encode() * 200
    packed = deflate(words)
    sent = (
        frame(TEXT, packed, rsv=4)
        + frame(BINARY, packed[:5], rsv=4, fin=False)
        + frame(0, packed[5:])
        + frame(TEXT, b"plain")
        + frame(BINARY, b"\x00", rsv=4)
    )
    assert events(sent, deflate=True) == [
        Message(words.decode()),
        Message(words),
        Message("plain"),
        Message(b""),
    ]


BROKEN = {
    "a bomb": (frame(BINARY, deflate(bytes(2_000_000)), rsv=4), 1009),
    "garbage": (frame(BINARY, b"\xff" * 9, rsv=4), 1007),
    "compressed text that is no UTF-8": (frame(TEXT, deflate(b"\xff"), rsv=4), 1007),
    "RSV1 in a continuation": (frame(TEXT, b"x", fin=False) + frame(0, b"x", rsv=4), 1002),
    "RSV1 in a ping": (frame(PING, b"x", rsv=4), 1002),
    "an unknown opcode": (frame(3), 1002),
    "no mask": (frame(TEXT, b"x", mask=False), 1002),
    "a fragmented ping": (frame(PING, fin=False), 1002),
    "a ping of 126 bytes": (frame(PING, bytes(126)), 1002),
    "a continuation of nothing": (frame(0), 1002),
    "a message in a message": (frame(TEXT, fin=False) + frame(TEXT), 1002),
    "a length of 63 bits": (b"\x82\xff" + b"\xff" * 8, 1002),
    "a length longer than need be": (b"\x82\xfe\x00\x05" + bytes(4), 1002),
    "a message too long": (b"\x82\xff" + struct.pack("!Q", 100_001), 1009),
    "too many fragments": (frame(TEXT, fin=False) + frame(0, fin=False) * 1100, 1009),
    "half a close code": (frame(CLOSE, b"\x03"), 1002),
    "RSV2": (frame(TEXT, b"x", rsv=2), 1002),
    "RSV3": (frame(TEXT, b"x", rsv=1), 1002),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_the_extension_does_not_allow_has_its_code(name: str):
    data, code = BROKEN[name]
    with pytest.raises(WebSocketError) as caught:
        events(data, deflate=True, max_size=100_000)
    assert caught.value.code == code


def test_a_bomb_is_never_inflated_beyond_its_bound():
    assert inflate(deflate(bytes(50_000_000)), 1000) is None
    assert inflate(deflate(bytes(1000)), 1000) == bytes(1000)
    with pytest.raises(ValueError, match="Error -3"):
        inflate(zlib.compress(b"with a header and more" * 3), 1000)


@pytest.mark.parametrize(
    "header",
    [
        "permessage-deflate",
        "permessage-deflate; client_max_window_bits",
        'permessage-deflate; client_max_window_bits="10"',
        "x-webkit-deflate-frame, Permessage-Deflate; server_no_context_takeover",
        "permessage-deflate; server_max_window_bits=10, permessage-deflate",
        "permessage-deflate; server_max_window_bits=15; client_no_context_takeover",
    ],
)
def test_offers_that_suit_are_answered(header: str):
    assert agreed_extension(header) == AGREED


@pytest.mark.parametrize(
    "header",
    [
        "",
        "x-webkit-deflate-frame",
        "permessage-deflate; server_max_window_bits=10",
        "permessage-deflate; server_max_window_bits",
        "permessage-deflate; client_max_window_bits=7",
        "permessage-deflate; client_max_window_bits=16",
        "permessage-deflate; server_no_context_takeover=1",
        "permessage-deflate; unknown",
        "permessage-deflate; client_max_window_bits; client_max_window_bits",
    ],
)
def test_offers_that_do_not_are_declined(header: str):
    assert agreed_extension(header) is None


def test_a_close_reason_is_cut_between_characters():
    data = close_frame(1008, "房" * 100)
    assert len(data) <= 2 + 125
    assert data[4:].decode() == "房" * 41


def test_headers_may_be_cut_anywhere():
    for data in (frame(BINARY, bytes(300)), frame(BINARY, bytes(70_000))):
        parser = MessageParser(1 << 20)
        for position in range(14):
            parser.feed(data[position : position + 1])
            assert parser.next_event() is None
        parser.feed(data[14:])
        assert isinstance(parser.next_event(), Message)


def test_a_pong_carries_the_pings_payload():
    assert pong_frame(b"?") == b"\x8a\x01?"


@given(st.binary(max_size=200), st.booleans())
def test_noise_is_refused_or_waited_for_and_never_anything_else(noise: bytes, deflated: bool):
    try:
        events(noise, deflate=deflated, max_size=100)
        code = 1002
    except WebSocketError as error:
        code = error.code
    assert code in {1002, 1007, 1009}
