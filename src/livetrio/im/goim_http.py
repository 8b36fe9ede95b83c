"""goim's push API on the thin HTTP shell: the port goim's back ends push to.

It asks for no token, as goim's did not, so pages of other sites are kept away from it.
"""

from __future__ import annotations

from collections.abc import Collection

import trio

from livetrio.im.goim_api import MAX_BODY, METHODS, GoimApi, GoimQuestion
from livetrio.net.exchange import Exchange
from livetrio.net.http import Route
from livetrio.net.request import HttpProtocolError, Request
from livetrio.net.site import is_cross_site, is_foreign_name

__all__ = ["MAX_KEYS", "goim_api_routes"]

MAX_KEYS = 4096
"""Parameters of one push, for `HttpServer(max_query_fields=...)`: each key is one. The head's
16 KiB hold no more."""

_BODY_TIMEOUT = 10.0
_TEXT = "text/plain"


def goim_api_routes(api: GoimApi, *, names: Collection[str] = ()) -> list[Route]:
    """For `HttpServer`; like gin, a known path with another method is a 404.

    names: under which back ends ask, beside addresses and this machine's own names.
    """
    own = frozenset(name.lower() for name in names)

    async def answer(exchange: Exchange) -> None:
        request = exchange.request
        _check_site(request, own)
        if METHODS[request.path] != request.method:
            exchange.reply(404, b"404 page not found", content_type=_TEXT)
            return
        host = request.headers.get("host", "").rpartition(":")
        name = host[0] if host[0] and host[2].isdigit() else "".join(host)
        body = await _body(exchange)
        told = await api.answer(request.path, GoimQuestion(request.raw_query, body, name))
        exchange.reply(told.status, told.body, content_type=told.content_type)

    async def unknown(exchange: Exchange) -> None:
        exchange.reply(404, b"404 page not found", content_type=_TEXT)

    every = frozenset({"GET", "POST", "HEAD", "PUT", "PATCH", "DELETE"})
    return [
        Route(every, METHODS.__contains__, answer),
        Route(every, lambda _: True, unknown),
    ]


def _check_site(request: Request, own: Collection[str]) -> None:
    """
    Raises:
        HttpProtocolError: 403, another site's page asks; 421, under a foreign name.
    """
    headers = request.headers
    host = headers.get("host", "")
    if is_cross_site(headers.get("sec-fetch-site"), headers.get("origin"), host):
        raise HttpProtocolError(403, "request of another site's page refused")
    if is_foreign_name(host, own):
        raise HttpProtocolError(421, "this name is not known to be this machine's: im.goim_domain")


async def _body(exchange: Exchange) -> bytes:
    """All of the body.

    Raises:
        HttpProtocolError: 413, it is too long; 408, it did not come in time.
    """
    if exchange.request.content_length > MAX_BODY:
        raise HttpProtocolError(413, f"body over {MAX_BODY} bytes")
    data = bytearray()
    with trio.move_on_after(_BODY_TIMEOUT):
        while exchange.request.has_body and (piece := await exchange.receive_body()):
            data += piece
            if len(data) > MAX_BODY:
                raise HttpProtocolError(413, f"body over {MAX_BODY} bytes")
        return bytes(data)
    raise HttpProtocolError(408, "body not finished in time")
