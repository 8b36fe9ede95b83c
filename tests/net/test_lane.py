"""The lane: which requests are answered without their connection's task, and which go back."""

from __future__ import annotations

import ipaddress

import pytest
import trio.testing
from kit.http import http_client
from kit.quick import Echo, lane_client, quick_port, said


async def test_a_request_like_the_one_before_is_answered_in_the_lane():
    async with lane_client(Echo()) as client:
        for target in ("/a", "/b?c=d", "/%20"):
            assert await said(client, target) == b"quick " + target.encode()


async def test_what_the_lane_does_not_answer_goes_back_to_the_handler_and_it_may_return():
    async with lane_client(Echo()) as client:
        assert await said(client, "/no") == b"task /no\n"
        assert await said(client, "/a") == b"quick /a"


@pytest.mark.parametrize(
    ("method", "headers"), [("GET", {"Range": "bytes=0-1"}), ("HEAD", {}), ("OPTIONS", {})]
)
async def test_another_method_or_header_is_for_the_handler(method, headers):
    async with lane_client(Echo()) as client:
        await client.ask("/a", method, **headers)
        response = await client.response(to_head=method == "HEAD")
        assert response.body != b"quick /a"
        assert await said(client, "/again") in {b"task /again\n", b"quick /again"}


async def test_requests_in_one_piece_are_answered_one_after_the_other():
    async with lane_client(Echo()) as client:
        one = b"GET /%d HTTP/1.1\r\nHost: test\r\n\r\n"
        await client.send(b"".join(one % number for number in range(5)))
        for number in range(5):
            assert (await client.response()).body == b"task /%d\n" % number


@pytest.mark.parametrize(
    "data",
    [
        b"GET /a b HTTP/1.1\r\nHost: test\r\n\r\n",
        b"GET  HTTP/1.1\r\nHost: test\r\n\r\n",
        b"GET /\x00 HTTP/1.1\r\nHost: test\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nHost: test\r\n\r\n",
    ],
)
async def test_a_target_that_is_no_word_of_visible_ascii_is_refused_as_ever(data):
    async with lane_client(Echo()) as client:
        await client.send(data)
        assert (await client.response()).status == 400


async def test_a_head_in_two_pieces_is_read_to_its_end():
    async with lane_client(Echo()) as client:
        await client.send(b"GET /a HTTP/1.1\r\nHo")
        await trio.testing.wait_all_tasks_blocked(0.01)
        await client.send(b"st: test\r\n\r\n")
        assert (await client.response()).body == b"task /a\n"


async def test_a_guest_that_waits_is_answered_when_its_time_has_come():
    echo = Echo()
    async with lane_client(echo) as client:
        await client.ask("/later")
        await trio.testing.wait_all_tasks_blocked(0.01)
        (guest,) = echo.waiting
        guest.come()
        assert (await client.response()).body == b"quick /later"
        assert echo.stopped == [guest]
        guest.come()  # told twice: nothing to answer
        assert await said(client, "/a") == b"quick /a"


async def test_a_guest_whose_answer_cannot_be_given_has_its_request_answered_by_the_handler():
    echo = Echo(will=False)
    async with lane_client(echo) as client:
        await client.ask("/later")
        await trio.testing.wait_all_tasks_blocked(0.01)
        echo.waiting[0].come()
        assert (await client.response()).body == b"task /later\n"


async def test_a_request_sent_before_the_answer_to_the_last_one_is_not_lost():
    echo = Echo()
    async with lane_client(echo) as client:
        await client.ask("/later")
        await trio.testing.wait_all_tasks_blocked(0.01)
        await client.ask("/a")
        assert (await client.response()).body == b"task /later\n"
        assert (await client.response()).body == b"task /a\n"


async def test_a_guest_that_leaves_is_forgotten():
    echo = Echo()
    async with lane_client(echo) as client:
        await client.ask("/later")
        await trio.testing.wait_all_tasks_blocked(0.01)
        await client.stream.aclose()
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert echo.stopped == echo.waiting


async def test_a_guest_is_told_when_it_has_waited_too_long(autojump_clock):
    autojump_clock.autojump_threshold = 0.05
    async with lane_client(Echo(patience=3.0)) as client:
        await client.ask("/later")
        response = await client.response()
        assert (response.status, response.body) == (503, b"too late\n")
        assert await client.some() == b""


async def test_a_silent_guest_is_closed(autojump_clock):
    autojump_clock.autojump_threshold = 0.05
    async with lane_client(Echo(patience=3.0)) as client:
        assert await client.some() == b""


async def test_a_bug_in_one_answer_ends_that_connection_alone():
    echo = Echo()
    async with lane_client(echo) as client:
        await client.ask("/bug")
        assert await client.some() == b""


async def test_a_peer_that_does_not_read_waits_in_its_own_task():
    async with lane_client(Echo(size=8 << 20)) as client:
        for _ in range(3):
            await client.ask("/a")
            await trio.testing.wait_all_tasks_blocked(0.01)
        first = await client.response()
        assert first.body.startswith(b"quick /a")
        assert (await client.response()).body.startswith((b"quick", b"task"))


async def test_who_speaks_for_several_peers_stays_out_of_the_lane():
    trusted = [ipaddress.ip_network("127.0.0.0/8")]
    async with quick_port(Echo(), trusted=trusted) as (port, lane), http_client(port) as client:
        for _ in range(2):
            await said(client, "/a")
            assert len(lane) == 0
