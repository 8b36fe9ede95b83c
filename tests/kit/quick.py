"""A handler that leaves a `Quick` behind, and a client of it: in the lane, or outside of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import trio

from kit.http import HttpClient, http_client, serving
from livetrio.net.exchange import Exchange, final_response, response_head
from livetrio.net.http import Route
from livetrio.net.lane import Lane
from livetrio.net.quick import Asker

__all__ = ["Echo", "lane_client", "quick_port", "said"]

GET = frozenset({"GET", "HEAD"})


@dataclass
class Echo:
    """Answers any target with itself; "/later" waits, "/no" is for the handler, "/bug" fails."""

    patience: float = 10.0
    waiting: list[Asker] = field(default_factory=list)
    stopped: list[Asker] = field(default_factory=list)
    will: bool = True
    size: int = 0

    def answer(self, target: bytes, asker: Asker) -> bool:
        if target == b"/bug":
            raise ZeroDivisionError
        if target == b"/later":
            asker.wait(lambda: self.will and self.give(target, asker), self.stopped.append)
            self.waiting.append(asker)
            return True
        return target != b"/no" and self.give(target, asker)

    def give(self, target: bytes, asker: Asker) -> bool:
        body = b"quick " + target + bytes(self.size)
        asker.connection.outbox.send(response_head(len(body), "text/plain") + body)
        return True

    def overdue(self) -> bytes:
        return final_response(503, "too late")


@asynccontextmanager
async def quick_port(echo: Echo, **options) -> AsyncIterator[tuple[int, Lane]]:
    """A server whose answers go on by `echo`, and its lane.

    options: of `serving`.
    """

    async def handler(exchange: Exchange) -> None:
        exchange.reply(200, f"task {exchange.request.path}")
        exchange.quick = echo

    async with trio.open_nursery() as nursery:
        lane = Lane()
        nursery.start_soon(lane.run)
        async with serving(Route(GET, lambda _: True, handler), lane=lane, **options) as port:
            yield port, lane
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def lane_client(echo: Echo) -> AsyncIterator[HttpClient]:
    """A client whose first request has been answered by the handler."""
    async with quick_port(echo) as (port, _), http_client(port) as client:
        assert await said(client, "/first") == b"task /first\n"
        yield client


async def said(client: HttpClient, target: str, method: str = "GET", **headers: str) -> bytes:
    await client.ask(target, method, **headers)
    return (await client.response(to_head=method == "HEAD")).body
