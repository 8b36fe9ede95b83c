"""The applications on real sockets: HTTP, TLS, WebSocket, and an end that nobody can hold up."""

from __future__ import annotations

import json
import ssl
from contextlib import asynccontextmanager

import h11
import pytest
import trio
import trustme
from kit.control import control, event_socket, publishing, soon
from quart_trio import QuartTrio
from trio_websocket import ConnectionClosed

from livetrio.control.operator import operator_app
from livetrio.control.serve import serve_app
from livetrio.net.listen import Address, Listener, bind
from livetrio.net.outbox import OutboxLimits
from livetrio.net.scope import open_scope
from livetrio.net.tls import ServerTls


@asynccontextmanager
async def serving(app, tls=None, **kwargs):
    """The port of an application that is served until the block is left."""
    sock = bind("test", Address("127.0.0.1", 0))
    async with open_scope("server", "test") as scope:
        listener = Listener("test", sock, tls, **kwargs)
        address = await scope.nursery.start(serve_app, app, listener)
        yield address.port


async def exchange(stream, *requests: bytes) -> list[tuple[int, bytes]]:
    """Send requests one by one; the statuses and bodies that come back."""
    answers = []
    parser = h11.Connection(h11.CLIENT)
    for request in requests:
        await stream.send_all(request)
        parser.send(h11.Request(method="GET", target="/", headers=[("Host", "x")]))
        parser.send(h11.EndOfMessage())
        answers.append(await answer(stream, parser))
        parser.start_next_cycle()
    return answers


async def answer(stream, parser) -> tuple[int, bytes]:
    status, body = 0, b""
    with trio.fail_after(10):
        while True:
            match parser.next_event():
                case h11.NEED_DATA:
                    parser.receive_data(bytes(await stream.receive_some()))
                case h11.Response(status_code=code):
                    status = code
                case h11.Data(data=data):
                    body += data
                case _:
                    return status, body


GET = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"


async def test_one_connection_serves_request_after_request() -> None:
    async with control() as parts, serving(operator_app(parts.context)) as port:
        async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
            assert await exchange(stream, GET, GET, GET) == [(200, b'{"status":"ok"}')] * 3


async def test_tls_is_the_listeners(tmp_path) -> None:
    authority = trustme.CA()
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(tmp_path / "pem")
    client = ssl.create_default_context()
    authority.configure_trust(client)
    tls = ServerTls(tmp_path / "pem", tmp_path / "pem")
    app = QuartTrio("test")

    @app.get("/healthz")
    async def scheme() -> str:
        from quart import request

        return request.scheme

    async with serving(app, tls) as port:
        plain = await trio.open_tcp_stream("127.0.0.1", port)
        async with trio.SSLStream(plain, client, server_hostname="localhost") as stream:
            assert await exchange(stream, GET) == [(200, b"https")]


async def test_events_arrive_as_json_text_frames() -> None:
    async with control() as parts, serving(operator_app(parts.context)) as port:
        async with event_socket(port) as socket:
            await soon(lambda: bool(parts.context.registry.events._listeners))
            async with publishing(parts):
                events = [json.loads(await socket.get_message()) for _ in range(2)]
    assert [event["type"] for event in events] == ["stream.online", "client.opened"]
    assert events[0]["data"] == {"stream": "live/movie"}
    assert events[0]["at"] > 1.7e9


async def test_a_listener_that_leaves_is_forgotten() -> None:
    async with control() as parts, serving(operator_app(parts.context)) as port:
        listeners = parts.context.registry.events._listeners
        async with event_socket(port) as socket:
            await soon(lambda: bool(listeners))
            for _ in range(50):  # words that nobody reads must not hide the close
                await socket.send_message("hello")
        await soon(lambda: not listeners)


async def test_a_listener_that_only_talks_is_closed() -> None:
    async with control() as parts, serving(operator_app(parts.context)) as port:
        async with event_socket(port) as socket:
            for _ in range(100):
                await socket.send_message("hello")
            with pytest.raises(ConnectionClosed) as closed, trio.fail_after(10):
                await socket.get_message()
    assert closed.value.reason.code == 1008


@pytest.mark.parametrize("message", ["x" * 5000, b""])
async def test_odd_messages_of_a_listener_harm_nobody(message) -> None:
    async with control() as parts, serving(operator_app(parts.context)) as port:
        async with event_socket(port) as socket:
            await socket.send_message(message)
            if message:
                with pytest.raises(ConnectionClosed), trio.fail_after(10):
                    await socket.get_message()
        async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
            assert (await exchange(stream, GET))[0][0] == 200


async def test_cancelling_ends_open_websockets_and_stalled_readers_at_once() -> None:
    app = QuartTrio("test")
    begun = trio.Event()

    @app.get("/endless")
    async def endless():
        async def body():
            while True:
                begun.set()
                yield b"x" * 65536

        return body(), 200

    async with control() as parts:
        operator = operator_app(parts.context)
        with trio.fail_after(30):
            async with serving(app) as endless_port, serving(operator) as port:
                stalled = await trio.open_tcp_stream("127.0.0.1", endless_port)
                await stalled.send_all(b"GET /endless HTTP/1.1\r\nHost: x\r\n\r\n")
                await begun.wait()
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(_listen_for_ever, port)
                    await soon(lambda: bool(parts.context.registry.events._listeners))
                    await trio.testing.wait_all_tasks_blocked(0.01)
                    left_at = trio.current_time()
                    nursery.cancel_scope.cancel()
        # No timed assertion: hanging for ever, as hypercorn's own server does, is the failure.
        assert trio.current_time() >= left_at
        await stalled.aclose()
        assert not parts.context.registry.events._listeners


async def _listen_for_ever(port: int) -> None:
    async with event_socket(port) as socket:
        await socket.get_message()


async def test_a_reader_that_stalls_is_given_up_and_its_handler_ends() -> None:
    ended = trio.Event()
    app = QuartTrio("test")

    @app.get("/endless")
    async def endless():
        async def body():
            try:
                while True:
                    yield b"x" * 65536
            finally:
                ended.set()

        return body(), 200

    async with serving(app, limits=OutboxLimits(stall=0.2)) as port:
        stalled = await trio.open_tcp_stream("127.0.0.1", port)
        await stalled.send_all(b"GET /endless HTTP/1.1\r\nHost: x\r\n\r\n")
        with trio.fail_after(20):
            await ended.wait()
        await stalled.aclose()


@pytest.mark.parametrize(
    "request_",
    [
        b"GET / HTTP/1.1\r\n" + b"X: " + b"y" * 20_000 + b"\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"\x03" + b"\0" * 1536,
        b"GET /%zz HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"POST /v1/relays HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET /%ff%00/..%2f HTTP/1.1\r\nHost: \xff\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0" * 40,
        (
            b"GET /healthz HTTP/1.1\r\nHost: x\r\nUpgrade: h2c\r\n"
            b"Connection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: !!\r\n\r\n"
        ),
        (
            b"GET /v1/events HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
            b"Connection: Upgrade\r\nSec-WebSocket-Version: 1\r\n\r\n"
        ),
    ],
)
async def test_a_broken_request_ends_its_own_connection_only(request_: bytes, caplog) -> None:
    async with control() as parts, serving(operator_app(parts.context)) as port:
        async with await trio.open_tcp_stream("127.0.0.1", port) as broken:
            await broken.send_all(request_)
            with trio.move_on_after(0.2):
                await broken.receive_some()
        async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
            assert (await exchange(stream, GET))[0][0] == 200
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


async def test_a_client_that_leaves_in_the_middle_cancels_its_handler() -> None:
    app = QuartTrio("test")
    began, ended = trio.Event(), trio.Event()

    @app.get("/slow")
    async def slow() -> str:
        began.set()
        try:
            await trio.sleep_forever()
        finally:
            ended.set()

    async with serving(app) as port:
        async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
            await stream.send_all(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
            await began.wait()
        with trio.fail_after(10):
            await ended.wait()


async def test_nothing_of_the_path_or_query_is_logged(caplog) -> None:
    async with control() as parts, serving(operator_app(parts.context)) as port:
        async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
            request = b"GET /control/get?room=a&jwt=topsecret HTTP/1.1\r\nHost: localhost\r\n\r\n"
            await exchange(stream, request)
    assert "topsecret" not in caplog.text
