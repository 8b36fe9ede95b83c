"""One small HTTP request as a client."""

from __future__ import annotations

from contextlib import asynccontextmanager
from functools import partial

import pytest
import trio

from livetrio.errors import RefusalCode, Refused
from livetrio.net.dial import AddressPolicy
from livetrio.net.fetch import Fetcher
from livetrio.net.scope import open_scope


@asynccontextmanager
async def site(answer, heard=None):
    """A server that gives everybody the same bytes; its URL."""

    async def serve(stream):
        async with stream:
            data = b""
            while b"\r\n\r\n" not in data and (more := await stream.receive_some()):
                data += more
            if heard is not None:
                heard.append(data)
            await stream.send_all(answer)

    async with open_scope("test", "root"), trio.open_nursery() as nursery:
        (listener,) = await nursery.start(partial(trio.serve_tcp, serve, 0, host="127.0.0.1"))
        port = listener.socket.getsockname()[1]
        yield f"http://127.0.0.1:{port}/path?a=b"
        nursery.cancel_scope.cancel()


async def refusal(fetching):
    with pytest.raises(Refused) as refused:
        await fetching
    return refused.value.code


async def test_the_body_of_an_answer_is_returned():
    heard = []
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    answer = head + b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    async with site(answer, heard) as url:
        assert await Fetcher().get(url) == b"abcde"
        assert await Fetcher().post(url, b'{"a":1}') == b"abcde"
    assert heard[0].startswith(b"GET /path?a=b HTTP/1.1\r\nHost: 127.0.0.1:")
    assert heard[1].startswith(b"POST /path?a=b HTTP/1.1\r\n")
    assert b"Content-Length: 7\r\n" in heard[1].title()


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
        b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1/\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n",
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000,
        b"HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\n" + b"x" * 2000,
    ],
    ids=range(7),
)
async def test_what_is_no_good_answer_is_refused_as_unavailable(answer):
    async with site(answer) as url:
        assert await refusal(Fetcher(max_size=1000).get(url)) is RefusalCode.UNAVAILABLE


async def test_a_site_that_does_not_answer_is_given_up(autojump_clock):
    async def serve(stream):
        await trio.sleep_forever()

    async with open_scope("test", "root"), trio.open_nursery() as nursery:
        (listener,) = await nursery.start(partial(trio.serve_tcp, serve, 0, host="127.0.0.1"))
        url = f"http://127.0.0.1:{listener.socket.getsockname()[1]}/"
        assert await refusal(Fetcher().get(url)) is RefusalCode.UNAVAILABLE
        nursery.cancel_scope.cancel()


async def test_the_address_policy_is_asked():
    async with site(b"") as url:
        fetcher = Fetcher(policy=AddressPolicy.PUBLIC_ONLY)
        assert await refusal(fetcher.get(url)) is RefusalCode.FORBIDDEN


@pytest.mark.parametrize(
    "url",
    ["", "ftp://x/", "http:///x", "http://x:y/", "http://x/\r\nA: b", "http://é/", "file:///"],
)
async def test_what_is_no_url_is_refused(url):
    assert await refusal(Fetcher().get(url)) is RefusalCode.BAD_REQUEST
