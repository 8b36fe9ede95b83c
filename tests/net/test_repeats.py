"""Requests like one before, where the lane is closed: by TLS, and through a trusted proxy."""

from __future__ import annotations

import ipaddress
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing
import trustme
from kit.http import HttpClient, http_client
from kit.quick import Echo, quick_port, said

from livetrio.net.listen import Caps
from livetrio.net.tls import ServerTls

PROXY = {"trusted": [ipaddress.ip_network("127.0.0.1/32")]}


@asynccontextmanager
async def client_of(echo: Echo, way: str, tmp_path) -> AsyncIterator[HttpClient]:
    """A client whose first request has been answered by the handler, and that the lane refuses."""
    options, context = dict(PROXY), None
    if way == "tls":
        authority = trustme.CA()
        issued = authority.issue_cert("localhost")
        issued.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
        issued.private_key_pem.write_to_path(tmp_path / "key.pem")
        context = ssl.create_default_context()
        authority.configure_trust(context)
        options = {"tls": ServerTls(tmp_path / "cert.pem", tmp_path / "key.pem")}
    async with quick_port(echo, **options) as (port, lane), http_client(port, context) as client:
        assert await said(client, "/first") == b"task /first\n"
        yield client
        assert len(lane) == 0


@pytest.fixture(params=["tls", "proxy"])
def way(request) -> str:
    return request.param


async def test_only_the_target_is_new_and_the_handler_is_not_asked(tmp_path, way):
    async with client_of(Echo(), way, tmp_path) as client:
        for target in ("/a", "/b?c=d", "/%20"):
            assert await said(client, target) == b"quick " + target.encode()
        assert await said(client, "/no") == b"task /no\n"
        assert await said(client, "/a") == b"quick /a"


async def test_another_method_or_header_is_for_the_handler(tmp_path, way):
    async with client_of(Echo(), way, tmp_path) as client:
        assert await said(client, "/a", range="bytes=0-1") == b"task /a\n"
        assert await said(client, "/a", "HEAD") == b""
        assert await said(client, "/b") in {b"task /b\n", b"quick /b"}


async def test_requests_in_one_piece_are_answered_one_after_the_other(tmp_path, way):
    async with client_of(Echo(), way, tmp_path) as client:
        one = b"GET /%d HTTP/1.1\r\nHost: test\r\n\r\n"
        await client.send(b"".join(one % number for number in range(5)))
        for number in range(5):
            assert (await client.response()).body == b"task /%d\n" % number


@pytest.mark.parametrize("target", [b"/a b", b"", b"/\x00", b"/\xff"])
async def test_a_target_that_is_no_word_of_visible_ascii_is_refused_as_ever(tmp_path, way, target):
    async with client_of(Echo(), way, tmp_path) as client:
        await client.send(b"GET " + target + b" HTTP/1.1\r\nHost: test\r\n\r\n")
        assert (await client.response()).status == 400


async def test_who_waits_is_answered_when_the_time_has_come(tmp_path, way):
    echo = Echo()
    async with client_of(echo, way, tmp_path) as client:
        await client.ask("/later")
        await trio.testing.wait_all_tasks_blocked(0.01)
        await client.ask("/a")
        await trio.testing.wait_all_tasks_blocked(0.01)
        (asker,) = echo.waiting
        asker.come()
        asker.come()  # told twice: nothing more to answer
        assert (await client.response()).body == b"quick /later"
        assert (await client.response()).body == b"quick /a"
        assert echo.stopped == [asker]


async def test_what_cannot_be_given_after_all_is_for_the_handler(tmp_path, way):
    echo = Echo(will=False)
    async with client_of(echo, way, tmp_path) as client:
        await client.ask("/later")
        await trio.testing.wait_all_tasks_blocked(0.01)
        echo.waiting[0].come()
        assert (await client.response()).body == b"task /later\n"


async def test_who_has_waited_too_long_is_told_so(tmp_path, way, autojump_clock):
    autojump_clock.autojump_threshold = 0.05
    echo = Echo(patience=3.0)
    async with client_of(echo, way, tmp_path) as client:
        await client.ask("/later")
        response = await client.response()
        assert (response.status, response.body) == (503, b"too late\n")
        assert await client.some() == b""
    assert echo.stopped == echo.waiting


async def test_who_is_silent_is_closed(tmp_path, way, autojump_clock):
    autojump_clock.autojump_threshold = 0.05
    async with client_of(Echo(), way, tmp_path) as client:
        assert await client.some() == b""


async def test_a_bug_in_one_answer_ends_that_connection_alone(tmp_path, way):
    async with client_of(Echo(), way, tmp_path) as client:
        await client.ask("/bug")
        assert await client.some() == b""


async def test_a_proxied_viewer_is_known_on_any_connection_of_its_proxy_and_others_are_not():
    async with (
        quick_port(Echo(), **PROXY) as (port, _),
        http_client(port) as first,
        http_client(port) as second,
    ):
        assert await said(first, "/1", x_forwarded_for="10.0.0.1") == b"task /1\n"
        assert await said(second, "/2", x_forwarded_for="10.0.0.2") == b"task /2\n"
        # first has just spoken for 10.0.0.1, second for 10.0.0.2: now the other way round
        assert await said(second, "/3", x_forwarded_for="10.0.0.1") == b"quick /3"
        assert await said(first, "/4", x_forwarded_for="10.0.0.2") == b"quick /4"
        assert await said(first, "/5", x_forwarded_for="10.0.0.3") == b"task /5\n"
        assert await said(first, "/6", x_forwarded_for="10.0.0.1", cookie="a") == b"task /6\n"


async def test_a_proxied_viewer_counts_for_its_own_address_while_it_waits():
    echo, caps = Echo(), Caps(per_ip=3)
    async with (
        quick_port(echo, caps=caps, **PROXY) as (port, _),
        http_client(port) as first,
        http_client(port) as second,
    ):
        about = {"x_forwarded_for": "10.0.0.1"}
        assert await said(first, "/1", **about) == b"task /1\n"
        assert await said(second, "/2", **about) == b"task /2\n"
        held = [caps.enter("10.0.0.1") for _ in range(2)]
        assert held == [True, True]
        await first.ask("/later", **about)
        await trio.testing.wait_all_tasks_blocked(0.01)
        await second.ask("/more", **about)
        assert (await second.response()).status == 429
        echo.waiting[0].come()
        assert (await first.response()).body == b"quick /later"
        assert await said(first, "/3", **about) == b"quick /3"
