"""The lane: which requests are answered without their connection's task, and which go back."""

from __future__ import annotations

import ipaddress
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
import trio
import trio.testing
from kit.http import HttpClient, http_client, serving

from livetrio.net.exchange import Exchange, final_response, response_head
from livetrio.net.http import Route
from livetrio.net.lane import Guest, Lane

GET = frozenset({"GET", "HEAD"})


@dataclass
class Echo:
    """Answers any target with itself; "/later" waits, "/no" is not for the lane, "/bug" fails."""

    patience: float = 10.0
    waiting: list[Guest] = field(default_factory=list)
    stopped: list[Guest] = field(default_factory=list)
    will: bool = True
    size: int = 0

    def answer(self, target: bytes, guest: Guest) -> bool:
        if target == b"/bug":
            raise ZeroDivisionError
        if target == b"/later":
            guest.wait(lambda: self.will and self.give(target, guest), self.stopped.append)
            self.waiting.append(guest)
            return True
        return target != b"/no" and self.give(target, guest)

    def give(self, target: bytes, guest: Guest) -> bool:
        body = b"lane " + target + bytes(self.size)
        guest.connection.outbox.send(response_head(len(body), "text/plain") + body)
        return True

    def overdue(self) -> bytes:
        return final_response(503, "too late")


@asynccontextmanager
async def lane_client(echo: Echo, **options) -> AsyncIterator[HttpClient]:
    """A client whose first request has been answered by the handler."""

    async def handler(exchange: Exchange) -> None:
        exchange.reply(200, f"task {exchange.request.path}")
        exchange.quick = echo

    async with trio.open_nursery() as nursery:
        lane = Lane()
        nursery.start_soon(lane.run)
        route = Route(GET, lambda _: True, handler)
        async with serving(route, lane=lane, **options) as port, http_client(port) as client:
            assert await said(client, "/first") == b"task /first\n"
            yield client
        nursery.cancel_scope.cancel()


async def said(client: HttpClient, target: str, method: str = "GET", **headers: str) -> bytes:
    await client.ask(target, method, **headers)
    return (await client.response(to_head=method == "HEAD")).body


async def test_a_request_like_the_one_before_is_answered_in_the_lane():
    async with lane_client(Echo()) as client:
        for target in ("/a", "/b?c=d", "/%20"):
            assert await said(client, target) == b"lane " + target.encode()


async def test_what_the_lane_does_not_answer_goes_back_to_the_handler_and_it_may_return():
    async with lane_client(Echo()) as client:
        assert await said(client, "/no") == b"task /no\n"
        assert await said(client, "/a") == b"lane /a"


@pytest.mark.parametrize(
    ("method", "headers"), [("GET", {"Range": "bytes=0-1"}), ("HEAD", {}), ("OPTIONS", {})]
)
async def test_another_method_or_header_is_for_the_handler(method, headers):
    async with lane_client(Echo()) as client:
        await client.ask("/a", method, **headers)
        response = await client.response(to_head=method == "HEAD")
        assert response.body != b"lane /a"
        assert await said(client, "/again") in {b"task /again\n", b"lane /again"}


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
        assert (await client.response()).body == b"lane /later"
        assert echo.stopped == [guest]
        guest.come()  # told twice: nothing to answer
        assert await said(client, "/a") == b"lane /a"


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
        assert first.body.startswith(b"lane /a")
        assert (await client.response()).body.startswith((b"lane", b"task"))


async def test_who_speaks_for_several_peers_stays_out_of_the_lane():
    trusted = [ipaddress.ip_network("127.0.0.0/8")]
    async with lane_client(Echo(), trusted=trusted) as client:
        assert await said(client, "/a") == b"task /a\n"
