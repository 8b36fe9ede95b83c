"""The HTTP shell: who is answered, what, and what ends a connection."""

from __future__ import annotations

import ipaddress
import logging

import pytest
import trio
import trio.testing
from kit.http import get, http_client, serving
from kit.logs import lines
from kit.node import patiently

from livetrio.errors import RefusalCode, Refused, RemoteProtocolError
from livetrio.net.exchange import STATUS, Exchange, listen_only
from livetrio.net.http import Route
from livetrio.net.listen import Caps
from livetrio.net.outbox import OutboxLimits

LOOPBACK = [ipaddress.ip_network("127.0.0.0/8")]


def route(handler, *methods: str, path: str = "/x") -> Route:
    return Route(frozenset(methods or {"GET", "HEAD"}), lambda asked: asked == path, handler)


async def hello(exchange: Exchange) -> None:
    exchange.reply(200, f"hello {exchange.request.query.get('n', '')}".strip())


async def echo_body(exchange: Exchange) -> None:
    body = b""
    while data := await exchange.receive_body():
        body += data
    exchange.reply(200, body, content_type="application/octet-stream")


async def endless(exchange: Exchange) -> None:
    chunked = exchange.begin_endless("video/x-flv")
    exchange.connection.outbox.send(b"7\r\nchunked\r\n" if chunked else b"raw")
    await listen_only(exchange.connection)


async def whoami(exchange: Exchange) -> None:
    exchange.reply(200, str(exchange.connection))


GET_X = b"GET /x HTTP/1.1\r\nHost: test\r\n\r\n"


async def test_one_connection_answers_one_request_after_another():
    async with serving(route(hello)) as port, http_client(port) as client:
        for number in range(3):
            await client.ask(f"/x?n={number}")
            response = await client.response()
            assert (response.status, response.body) == (200, f"hello {number}\n".encode())


async def test_every_answer_may_be_used_by_any_page_and_is_not_cached():
    async with serving(route(hello)) as port:
        for target in ("/x", "/missing"):
            headers = (await get(port, target)).headers
            assert headers["access-control-allow-origin"] == "*"
            assert headers["cache-control"] == "no-store"
            assert headers["server"] == "livetrio"
            assert headers["date"].endswith(" GMT")
            assert headers["content-type"] == "text/plain; charset=utf-8"
            assert headers["x-content-type-options"] == "nosniff"


async def test_pipelined_requests_are_answered_in_order():
    requests = b"".join(b"GET /x?n=%d HTTP/1.1\r\nHost: test\r\n\r\n" % n for n in range(20))
    async with serving(route(hello)) as port, http_client(port) as client:
        await client.send(requests)
        for number in range(20):
            assert (await client.response()).body == f"hello {number}\n".encode()


async def test_a_head_may_come_byte_by_byte():
    async with serving(route(hello)) as port, http_client(port) as client:
        for number in range(len(GET_X)):
            await client.send(GET_X[number : number + 1])
            await trio.testing.wait_all_tasks_blocked()
        assert (await client.response()).status == 200


@pytest.mark.parametrize(
    "request_head",
    [b"GET /x HTTP/1.0\r\n\r\n", b"GET /x HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"],
)
async def test_the_connection_closes_when_the_client_wants_that(request_head: bytes):
    async with serving(route(hello)) as port, http_client(port) as client:
        await client.send(request_head)
        assert (await client.response()).headers["connection"] == "close"
        assert await client.rest() == b""


async def test_head_gets_what_get_would_without_the_body():
    async with serving(route(hello)) as port, http_client(port) as client:
        await client.ask("/x", "HEAD")
        response = await client.response(to_head=True)
        assert (response.status, response.headers["content-length"]) == (200, "6")
        await client.ask("/x")
        assert (await client.response()).body == b"hello\n"


async def test_an_unknown_path_is_not_found_and_a_wrong_method_is_told_the_right_ones():
    async with serving(route(hello), route(echo_body, "POST")) as port:
        assert (await get(port, "/y")).status == 404
        response = await get(port, "/x", "DELETE")
        assert (response.status, response.headers["allow"]) == (405, "GET, HEAD, OPTIONS, POST")


async def test_a_preflight_is_answered_for_the_methods_of_the_path():
    async with serving(route(hello), route(echo_body, "POST")) as port:
        response = await get(
            port,
            "/x",
            "OPTIONS",
            Origin="https://page.example",
            Access_Control_Request_Method="POST",
            Access_Control_Request_Private_Network="true",
        )
        assert (response.status, response.body) == (204, b"")
        headers = response.headers
        assert headers["access-control-allow-origin"] == "*"
        assert headers["access-control-allow-methods"] == "GET, HEAD, OPTIONS, POST"
        assert "Authorization" in headers["access-control-allow-headers"]
        assert headers["access-control-allow-private-network"] == "true"
        assert "content-length" not in headers
        plain = await get(port, "/x", "OPTIONS")
        assert "access-control-allow-private-network" not in plain.headers
        assert (await get(port, "*", "OPTIONS")).status == 204
        assert (await get(port, "/y", "OPTIONS")).status == 404


@pytest.mark.parametrize("code", RefusalCode)
async def test_a_refusal_has_a_status_and_a_reason_but_keeps_the_hint(code: RefusalCode, caplog):
    async def refuse(exchange: Exchange) -> None:
        raise Refused(code, "no", hint="say please")

    caplog.set_level(logging.INFO)
    async with serving(route(refuse)) as port, http_client(port) as client:
        await client.ask("/x")
        response = await client.response()
        assert (response.status, response.body) == (STATUS[code], b"no\n")
        await client.ask("/x")  # a refusal is no reason to hang up
        assert (await client.response()).status == STATUS[code]
    assert [line.fields["hint"] for line in lines(caplog)] == ["say please"] * 2
    assert "/x" not in caplog.text  # the path of a publisher is its key


async def test_a_head_that_never_ends_is_answered_408_and_closed(autojump_clock, caplog):
    patiently(autojump_clock)
    async with serving(route(hello)) as port, http_client(port) as client:
        await client.send(GET_X[:-2])
        assert (await client.response()).status == 408
        assert await client.rest() == b""
        assert 10 <= trio.current_time() < 13
    (line,) = lines(caplog)
    assert line.fields["reason"] == "request head not finished in 10 s"


async def test_drops_of_a_head_do_not_buy_time(autojump_clock):
    patiently(autojump_clock)
    async with serving(route(hello)) as port, http_client(port) as client:

        async def drip() -> None:
            for number in range(len(GET_X) - 1):
                await client.send(GET_X[number : number + 1])
                await trio.sleep(1)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(drip)
            assert (await client.response()).status == 408
            nursery.cancel_scope.cancel()


async def test_a_connection_that_says_nothing_is_closed_without_a_word(autojump_clock, caplog):
    patiently(autojump_clock)
    async with serving(route(hello)) as port:
        async with http_client(port) as client:
            assert await client.rest() == b""
        async with http_client(port) as client:
            await client.ask("/x")
            await client.response()
            assert await client.rest() == b""
    assert lines(caplog) == []


@pytest.mark.parametrize("size", [17_000, 60_000, 1 << 20])
async def test_a_huge_head_is_refused(size: int, caplog):
    async with serving(route(hello)) as port, http_client(port) as client:
        head = b"GET /x HTTP/1.1\r\nHost: test\r\nCookie: " + b"c" * size + b"\r\n\r\n"
        await client.send(head)
        assert (await client.response()).status == 431
        assert await client.rest() == b""


BROKEN = {
    "both lengths": (b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", 400),
    "two lengths": (b"Content-Length: 5\r\nContent-Length: 6\r\n", 400),
    "a length list": (b"Content-Length: 5, 6\r\n", 400),
    "a signed length": (b"Content-Length: +5\r\n", 400),
    "an endless length": (b"Content-Length: " + b"9" * 5000 + b"\r\n", 400),
    "an unknown coding": (b"Transfer-Encoding: gzip, chunked\r\n", 501),
    "a disguised coding": (b"Transfer-Encoding: xchunked\r\n", 501),
    "a space before the colon": (b"Transfer-Encoding : chunked\r\n", 400),
    "a control character": (b"X: a\x00b\r\n", 400),
    "two hosts": (b"Host: other\r\n", 400),
}


@pytest.mark.parametrize("name", BROKEN)
async def test_an_ambiguous_head_is_refused_and_what_it_hides_is_never_answered(name: str, caplog):
    header, status = BROKEN[name]
    smuggled = b"0\r\n\r\nGET /x HTTP/1.1\r\nHost: test\r\n\r\n"
    async with serving(route(hello), route(echo_body, "POST")) as port:
        async with http_client(port) as client:
            await client.send(b"POST /x HTTP/1.1\r\nHost: test\r\n" + header + b"\r\n" + smuggled)
            assert (await client.response()).status == status
            assert await client.rest() == b""
    assert [line.event for line in lines(caplog)] == ["peer broke the protocol"]


MALFORMED = {
    "no host": (b"GET /x HTTP/1.1\r\n\r\n", 400),
    "HTTP/2": (b"PRI * HTTP/2.0\r\nHost: test\r\n\r\nSM\r\n\r\n", 505),
    "no version": (b"GET /x\r\n\r\n", 400),
    "a tunnel": (b"CONNECT test:443 HTTP/1.1\r\nHost: test\r\n\r\n", 400),
    "a relative target": (b"GET x HTTP/1.1\r\nHost: test\r\n\r\n", 400),
    "a path that is no UTF-8": (b"GET /%ff HTTP/1.1\r\nHost: test\r\n\r\n", 400),
    "a coding in HTTP/1.0": (b"POST /x HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
    "a thousand parameters": (b"GET /x?" + b"a=1&" * 1000 + b" HTTP/1.1\r\nHost: t\r\n\r\n", 400),
    "a head cut short": (b"GET /x HTTP/1.1\r\nHo", 400),
}


@pytest.mark.parametrize("name", MALFORMED)
async def test_a_malformed_head_is_refused(name: str, caplog):
    data, status = MALFORMED[name]
    async with serving(route(hello)) as port, http_client(port) as client:
        await client.send(data)
        await client.stream.send_eof()
        assert (await client.response()).status == status
        assert await client.rest() == b""
    assert [line.event for line in lines(caplog)] == ["peer broke the protocol"]


OTHERS = {
    "TLS hello on the plain HTTP port": bytes.fromhex("16030102000100 01fc0303") + bytes(500),
    "RTMP handshake on the HTTP port": b"\x03" + bytes(1536),
    "RTMPT is not supported": (
        b"POST /open/1 HTTP/1.1\r\nHost: test\r\nContent-Type: application/x-fcs\r\n"
        b"Content-Length: 1\r\n\r\n\x00"
    ),
}


@pytest.mark.parametrize("reason", OTHERS)
async def test_another_protocol_is_named_in_the_log(reason: str, caplog):
    async with serving(route(hello)) as port, http_client(port) as client:
        await client.send(OTHERS[reason])
        response = await client.response()
        assert (response.status, response.body.decode()) == (400, f"{reason}\n")
    (line,) = lines(caplog)
    assert (line.event, line.fields["reason"]) == ("peer broke the protocol", reason)


async def test_a_protocol_error_of_a_handler_is_told_to_the_peer_and_logged(caplog):
    async def complain(exchange: Exchange) -> None:
        raise RemoteProtocolError("that is no FLV")

    async with serving(route(complain)) as port, http_client(port) as client:
        await client.ask("/x")
        response = await client.response()
        assert (response.status, response.body) == (400, b"that is no FLV\n")
        assert await client.rest() == b""
    assert lines(caplog)[0].fields["reason"] == "that is no FLV"


@pytest.mark.parametrize(
    "framed",
    [
        b"Content-Length: 10\r\n\r\n0123456789",
        b"Transfer-Encoding: chunked\r\n\r\n4\r\n0123\r\n6;x=1\r\n456789\r\n0\r\nA: 1\r\n\r\n",
    ],
)
async def test_a_body_is_read_and_the_next_request_comes_behind_it(framed: bytes):
    async with serving(route(echo_body, "POST"), route(hello)) as port:
        async with http_client(port) as client:
            await client.send(b"POST /x HTTP/1.1\r\nHost: test\r\n" + framed + GET_X)
            assert (await client.response()).body == b"0123456789"
            assert (await client.response()).body == b"hello\n"


async def test_a_client_that_waits_for_100_continue_gets_it_when_the_body_is_wanted():
    async with serving(route(echo_body, "POST")) as port, http_client(port) as client:
        await client.ask("/x", "POST", Content_Length="2", Expect="100-continue")
        assert (await client.head()).status == 100
        await client.send(b"ok")
        assert (await client.response()).body == b"ok"


async def test_a_body_nobody_wants_closes_the_connection_after_the_answer():
    async with serving(route(hello, "POST")) as port, http_client(port) as client:
        await client.ask("/x", "POST", Content_Length="1000000", Expect="100-continue")
        response = await client.response()
        assert (response.status, response.headers["connection"]) == (200, "close")
        assert await client.rest() == b""


async def test_broken_chunks_are_refused(caplog):
    async with serving(route(echo_body, "POST")) as port, http_client(port) as client:
        await client.ask("/x", "POST", Transfer_Encoding="chunked")
        await client.send(b"zz\r\n")
        assert (await client.response()).status == 400
        assert await client.rest() == b""


async def test_a_peer_that_leaves_in_the_middle_of_a_body_is_gone_and_not_a_bug(caplog):
    caplog.set_level(logging.INFO)
    async with serving(route(echo_body, "POST")) as port, http_client(port) as client:
        await client.ask("/x", "POST", Content_Length="5")
        await client.send(b"123")
        await client.stream.send_eof()
        assert await client.rest() == b""
    assert [line.event for line in lines(caplog)] == ["peer gone"]


async def test_ten_thousand_tiny_chunks_let_others_run():
    turns = 0

    async def count_turns() -> None:
        nonlocal turns
        while True:
            await trio.lowlevel.checkpoint()
            turns += 1

    async def count_pieces(exchange: Exchange) -> None:
        pieces = 0
        before = turns
        while await exchange.receive_body():
            pieces += 1
        exchange.reply(200, f"{pieces} {turns - before > 9900}")

    chunks = b"1\r\nx\r\n" * 10_000 + b"0\r\n\r\n"
    async with serving(route(count_pieces, "POST")) as port, http_client(port) as client:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(count_turns)
            await client.ask("/x", "POST", Transfer_Encoding="chunked")
            await client.send(chunks)
            assert (await client.response()).body == b"10000 True\n"
            nursery.cancel_scope.cancel()


async def test_an_endless_body_goes_in_chunks_or_raw_to_an_old_client():
    async with serving(route(endless)) as port:
        async with http_client(port) as client:
            await client.ask("/x")
            headers = (await client.head()).headers
            assert headers["transfer-encoding"] == "chunked"
            assert headers["content-type"] == "video/x-flv"
            assert headers["connection"] == "close"
            assert headers["x-accel-buffering"] == "no"
            assert await client.chunk() == b"chunked"
        async with http_client(port) as client:
            await client.send(b"GET /x HTTP/1.0\r\n\r\n")
            assert "transfer-encoding" not in (await client.head()).headers
            assert await client.exactly(3) == b"raw"


async def test_half_closing_ends_an_endless_body():
    async with serving(route(endless)) as port, http_client(port) as client:
        await client.ask("/x")
        await client.head()
        await client.stream.send_eof()
        assert await client.rest() == b"7\r\nchunked\r\n"


async def test_a_viewer_that_keeps_talking_is_closed(caplog):
    async with serving(route(endless)) as port, http_client(port) as client:
        await client.ask("/x")
        await client.head()
        await client.send(GET_X)  # pipelined behind an endless body: never answered
        await client.send(bytes(100_000))
        assert await client.rest() == b"7\r\nchunked\r\n"
    assert lines(caplog)[0].fields["reason"] == "keeps sending where it should only listen"


async def test_a_peer_that_asks_and_never_reads_is_not_served_on(autojump_clock):
    patiently(autojump_clock)
    answered = 0

    async def big(exchange: Exchange) -> None:
        nonlocal answered
        answered += 1
        exchange.reply(200, bytes(1_000_000))

    async with serving(route(big), limits=OutboxLimits(stall=5.0)) as port:
        async with http_client(port) as client:
            await client.send(GET_X * 1000)
            await trio.sleep(20)
            assert answered < 20
            with pytest.raises((trio.BrokenResourceError, EOFError)):
                await client.exactly(1_000_000_000)


async def test_a_forwarded_address_counts_only_from_a_trusted_proxy():
    async with serving(route(whoami)) as port:
        response = await get(port, "/x", X_Forwarded_For="203.0.113.7")
        assert response.body.startswith(b"127.0.0.1:")
    async with serving(route(whoami), trusted=LOOPBACK) as port, http_client(port) as client:
        await client.ask("/x", X_Forwarded_For="198.51.100.1, 203.0.113.7")
        assert (await client.response()).body == b"203.0.113.7:0\n"
        await client.ask("/x")  # the next request on the same connection is somebody else's
        assert (await client.response()).body.startswith(b"127.0.0.1:")


async def test_those_behind_a_proxy_are_counted_one_by_one():
    caps = Caps(per_ip=1)
    async with serving(route(endless), trusted=LOOPBACK, caps=caps) as port:
        async with http_client(port) as first, http_client(port) as second:
            await first.ask("/x", X_Forwarded_For="203.0.113.7")
            assert (await first.head()).status == 200
            await second.ask("/x", X_Forwarded_For="203.0.113.7")
            assert (await second.response()).status == 429
            await second.ask("/x", X_Forwarded_For="203.0.113.8")
            assert (await second.head()).status == 200
            await first.stream.send_eof()
            await first.rest()
            await trio.testing.wait_all_tasks_blocked()
            assert (await get_head(port, "203.0.113.7")).status == 200


async def get_head(port: int, forwarded: str):
    async with http_client(port) as client:
        await client.ask("/x", X_Forwarded_For=forwarded)
        return await client.head()
