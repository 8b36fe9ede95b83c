"""The WebSocket shell: handshake, messages, and the right close code for every broken frame."""

from __future__ import annotations

import os
import struct
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st
from kit.http import HttpClient, http_client, serving
from kit.logs import lines
from kit.node import patiently
from trio_websocket import ConnectionClosed, wrap_client_stream
from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage

from livetrio.net.exchange import Exchange
from livetrio.net.http import Route
from livetrio.net.websocket import accept_websocket, binary_frame, close_frame, wants_websocket

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
"""The example of RFC 6455 section 1.3, and what is to be answered to it."""
ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


def same_origin(origin: str) -> bool:
    return urlsplit(origin).hostname == "test"


async def echo(exchange: Exchange) -> None:
    websocket = accept_websocket(exchange, max_size=100_000, allows_origin=same_origin)
    while (message := await websocket.receive()) is not None:
        websocket.send(message)


async def listen(exchange: Exchange) -> None:
    await accept_websocket(exchange).listen_only()


async def dismiss(exchange: Exchange) -> None:
    accept_websocket(exchange).close(4000, "the show is over")


ROUTES = [
    Route(frozenset({"GET", "POST"}), "/echo".__eq__, echo),
    Route(frozenset({"GET"}), "/listen".__eq__, listen),
    Route(frozenset({"GET"}), "/dismiss".__eq__, dismiss),
]


def handshake(**changes: str) -> dict[str, str]:
    headers = {
        "Upgrade": "websocket",
        "Connection": "keep-alive, Upgrade",
        "Sec_WebSocket_Version": "13",
        "Sec_WebSocket_Key": KEY,
        **changes,
    }
    return {name: value for name, value in headers.items() if value}


def frame(opcode: int, payload: bytes = b"", *, fin: bool = True, rsv: int = 0, mask: bool = True):
    """A client's frame, as right or wrong as asked for."""
    size = len(payload)
    head = bytes([fin << 7 | rsv << 4 | opcode])
    flag = mask << 7
    if size < 126:
        head += bytes([flag | size])
    elif size < 1 << 16:
        head += struct.pack("!BH", flag | 126, size)
    else:
        head += struct.pack("!BQ", flag | 127, size)
    if mask:
        key = os.urandom(4)
        head += key
        payload = bytes(byte ^ key[i % 4] for i, byte in enumerate(payload))
    return head + payload


TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
FIN = 0x80


@asynccontextmanager
async def opened(port: int, path: str = "/echo"):
    async with http_client(port) as client:
        await client.ask(path, **handshake())
        assert (await client.head()).status == 101
        yield client


async def closed_with(client: HttpClient) -> int:
    """The code of the close frame that comes; nothing comes behind it."""
    opcode, payload = await client.frame()
    while opcode == FIN | PONG:
        opcode, payload = await client.frame()
    assert opcode == FIN | CLOSE
    assert await client.rest() == b""
    return struct.unpack("!H", payload[:2])[0]


async def test_the_handshake_is_that_of_the_rfc_and_agrees_on_no_extension():
    async with serving(*ROUTES) as port, http_client(port) as client:
        await client.ask("/echo", **handshake(Sec_WebSocket_Extensions="permessage-deflate"))
        head = await client.head()
        assert (head.status, head.headers["sec-websocket-accept"]) == (101, ACCEPT)
        assert head.headers["upgrade"].lower() == "websocket"
        assert "sec-websocket-extensions" not in head.headers


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"Connection": "keep-alive"}, 400),
        ({"Sec_WebSocket_Key": ""}, 400),
        ({"Sec_WebSocket_Key": "c2hvcnQ="}, 400),
        ({"Sec_WebSocket_Key": "not base64 at all!!"}, 400),
        ({"Sec_WebSocket_Key": "\xe9" * 24}, 400),
        ({"Sec_WebSocket_Version": "8"}, 426),
        ({"Content_Length": "5"}, 400),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
    ],
)
async def test_an_improper_handshake_is_refused(changes: dict[str, str], status: int, caplog):
    async with serving(*ROUTES) as port, http_client(port) as client:
        await client.ask("/echo", **handshake(**changes))
        response = await client.response()
        assert response.status == status
        if status == 426:
            assert response.headers["sec-websocket-version"] == "13"


async def test_a_websocket_needs_get_and_http_1_1(caplog):
    async with serving(*ROUTES) as port:
        async with http_client(port) as client:
            await client.ask("/echo", "POST", **handshake())
            assert (await client.response()).status == 400
        async with http_client(port) as client:
            await client.send(b"GET /echo HTTP/1.0\r\nUpgrade: websocket\r\n\r\n")
            assert (await client.response()).status == 400


async def test_an_allowed_origin_and_none_at_all_may_connect():
    async with serving(*ROUTES) as port:
        for origin in ("https://test", ""):
            async with http_client(port) as client:
                await client.ask("/echo", **handshake(Origin=origin))
                assert (await client.head()).status == 101


async def test_only_an_upgrade_to_websocket_is_one():
    async def answer(exchange: Exchange) -> None:
        exchange.reply(200, str(wants_websocket(exchange)))

    async with serving(Route(frozenset({"GET"}), "/x".__eq__, answer)) as port:
        async with http_client(port) as client:
            for upgrade in ("h2c", "h2c, WebSocket"):
                await client.ask("/x", Connection="Upgrade", Upgrade=upgrade)
                expected = f"{'WebSocket' in upgrade}\n"
                assert (await client.response()).body.decode() == expected


async def test_a_real_client_gets_its_messages_back_and_an_orderly_close():
    async with serving(*ROUTES) as port, trio.open_nursery() as nursery:
        stream = await trio.open_tcp_stream("127.0.0.1", port)
        async with stream:
            client = await wrap_client_stream(nursery, stream, "test", "/echo")
            for message in ("hello", "房间", b"\x00\xff", b"x" * 70_000, ""):
                await client.send_message(message)
                assert await client.get_message() == message
            await client.ping()
            await client.aclose(1000, "bye")
            assert client.closed.code == 1000


async def test_a_real_client_is_told_why_the_server_closes():
    async with serving(*ROUTES) as port, trio.open_nursery() as nursery:
        async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
            client = await wrap_client_stream(nursery, stream, "test", "/dismiss")
            with pytest.raises(ConnectionClosed) as closed:
                await client.get_message()
            assert (closed.value.reason.code, closed.value.reason.reason) == (
                4000,
                "the show is over",
            )


async def test_frames_glued_to_the_handshake_are_heard():
    async with serving(*ROUTES) as port, http_client(port) as client:
        lines_ = [f"{name.replace('_', '-')}: {value}" for name, value in handshake().items()]
        head = "\r\n".join(["GET /echo HTTP/1.1", "Host: test", *lines_, "", ""])
        await client.send(head.encode() + frame(TEXT, b"early"))
        assert (await client.head()).status == 101
        assert await client.frame() == (FIN | TEXT, b"early")


async def test_frames_may_come_byte_by_byte_and_a_message_in_fragments():
    data = frame(TEXT, "房".encode()[:2], fin=False) + frame(PING, b"?")
    data += frame(0, "房".encode()[2:], fin=False) + frame(0)
    async with serving(*ROUTES) as port, opened(port) as client:
        for number in range(len(data)):
            await client.send(data[number : number + 1])
            await trio.testing.wait_all_tasks_blocked()
        assert await client.frame() == (FIN | PONG, b"?")
        assert await client.frame() == (FIN | TEXT, "房".encode())


async def test_a_close_is_answered_with_its_own_code():
    async with serving(*ROUTES) as port:
        for payload, answered in ((struct.pack("!H", 1001) + b"going", 1001), (b"", None)):
            async with opened(port) as client:
                await client.send(frame(CLOSE, payload))
                opcode, reply = await client.frame()
                assert opcode == FIN | CLOSE
                assert reply[:2] == (struct.pack("!H", answered) if answered else b"")
                assert await client.rest() == b""


BROKEN = {
    "an unmasked frame": (frame(TEXT, b"x", mask=False), 1002),
    "a fragmented ping": (frame(PING, b"x", fin=False), 1002),
    "a ping of 126 bytes": (frame(PING, bytes(126)), 1002),
    "an unknown opcode": (frame(3, b"x"), 1002),
    "a compressed message, a bomb or not": (frame(TEXT, b"x", rsv=4), 1002),
    "a continuation of nothing": (frame(0, b"x"), 1002),
    "a message inside a message": (frame(TEXT, b"x", fin=False) + frame(TEXT, b"y"), 1002),
    "a length of 63 bits": (b"\x82\xff" + b"\xff" * 8 + bytes(4), 1002),
    "a length longer than need be": (b"\x82\xfe\x00\x05" + bytes(4), 1002),
    "text that is no UTF-8": (frame(TEXT, b"\xff"), 1007),
    "text that ends in half a character": (frame(TEXT, "房".encode()[:2]), 1007),
    "a message too long": (frame(BINARY, bytes(100_001)), 1009),
    "fragments too long": (frame(BINARY, bytes(60_000), fin=False) + frame(0, bytes(60_000)), 1009),
    "endless empty fragments": (frame(TEXT, fin=False) + frame(0, fin=False) * 1100, 1009),
    "a ping flood": (frame(PING, b"x") * 200, 1008),
    "a pong flood": (frame(PONG, b"x") * 200, 1008),
    "a close code of one byte": (frame(CLOSE, b"\x03"), 1002),
    "the close code 1005": (frame(CLOSE, struct.pack("!H", 1005)), 1002),
    "the close code 999": (frame(CLOSE, struct.pack("!H", 999)), 1002),
    "the close code 65535": (frame(CLOSE, struct.pack("!H", 65535)), 1002),
    "a close reason that is no UTF-8": (frame(CLOSE, struct.pack("!H", 1000) + b"\xff"), 1007),
}


@pytest.mark.parametrize("name", BROKEN)
async def test_a_broken_frame_closes_with_the_right_code_and_says_why_in_the_log(name, caplog):
    data, code = BROKEN[name]
    async with serving(*ROUTES) as port, opened(port) as client:
        await client.send(data)
        assert await closed_with(client) == code
    (line,) = lines(caplog)
    assert line.event == "peer broke the protocol"
    assert line.fields["reason"].startswith(f"WebSocket closed with {code}: ")


async def test_a_huge_announced_message_is_refused_before_it_is_stored(caplog):
    announced = struct.pack("!BBQ", 0x82, 0xFF, 1 << 40) + bytes(4)
    async with serving(*ROUTES) as port, opened(port) as client:
        await client.send(announced + bytes(100_001))
        assert await closed_with(client) == 1009


async def test_pings_now_and_then_are_answered_for_ever(autojump_clock):
    patiently(autojump_clock)
    async with serving(*ROUTES) as port, opened(port, "/listen") as client:
        for _ in range(40):
            await client.send(frame(PING, b"?") * 5)
            for _ in range(5):
                assert await client.frame() == (FIN | PONG, b"?")
            await trio.sleep(1)


async def test_one_that_should_listen_may_say_a_little_but_not_for_ever(caplog):
    async with serving(*ROUTES) as port, opened(port, "/listen") as client:
        await client.send(frame(TEXT, b"hello") * 10 + frame(PING))
        assert await client.frame() == (FIN | PONG, b"")
        await client.send(frame(TEXT) * 5000)
        assert await closed_with(client) == 1008


async def test_a_silent_viewer_that_goes_is_noticed():
    async with serving(*ROUTES) as port, opened(port, "/listen") as client:
        await client.stream.send_eof()
        assert await client.rest() == b""


async def test_thousands_of_messages_in_one_read_let_others_run():
    turns = 0

    async def count_turns() -> None:
        nonlocal turns
        while True:
            await trio.lowlevel.checkpoint()
            turns += 1

    async def count_messages(exchange: Exchange) -> None:
        websocket = accept_websocket(exchange)
        before = turns
        for _ in range(5000):
            await websocket.receive()
        websocket.send(str(turns - before > 4900))

    route = Route(frozenset({"GET"}), "/echo".__eq__, count_messages)
    async with serving(route) as port, opened(port) as client, trio.open_nursery() as nursery:
        nursery.start_soon(count_turns)
        await client.send(frame(TEXT) * 5000)
        assert await client.frame() == (FIN | TEXT, b"True")
        nursery.cancel_scope.cancel()


@given(st.sampled_from([0, 1, 125, 126, 65535, 65536, 1 << 20]))
def test_a_shared_frame_is_what_any_client_understands(size: int):
    client = Connection(ConnectionType.CLIENT)
    client.receive_data(binary_frame(bytes(size)))
    events = list(client.events())
    assert b"".join(bytes(event.data) for event in events) == bytes(size)
    assert all(isinstance(event, BytesMessage) for event in events)
    assert events[-1].message_finished


def test_a_close_reason_is_cut_between_characters():
    data = close_frame(1008, "房" * 100)
    assert len(data) <= 2 + 125
    assert data[4:].decode() == "房" * 41
