"""The public face, on web_addr: one page that lists the live streams and plays one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from quart_trio import QuartTrio
from quart_trio.wrappers import TrioResponse as Response

from livetrio.control.answers import json_answer
from livetrio.control.context import ControlContext
from livetrio.control.fields import PAGING, paged
from livetrio.control.operator import bare_app
from livetrio.control.pages import add_pages
from livetrio.control.table import Answer, Operation, register
from livetrio.control.view import public_view
from livetrio.store.keys import is_key

__all__ = ["public_app"]

_WATCHED_ON = frozenset({"rtmp", "rtmps", "httpflv"})


def public_app(context: ControlContext, operations: Sequence[Operation] = ()) -> QuartTrio:
    """The application for web_addr. What it has itself changes nothing, so it asks for nothing.

    operations: of others, who ask for what they need: signalling, TURN credentials.
    """
    app = bare_app()
    flv = context.bound.get("httpflv")
    ports = {name: asdict(bound) for name, bound in context.bound.items() if name in _WATCHED_ON}

    async def streams() -> Response:
        """GET /v1/public/streams"""
        # One published by a room's name is named by that room's secret key: not for everybody.
        live = (
            stream
            for key, stream in context.registry.streams.items()
            if stream.publication is not None and not is_key(key.name)
        )
        chosen, about = paged(live)
        answer = json_answer({**about, "ports": ports, "items": [public_view(s) for s in chosen]})
        answer.headers["Access-Control-Allow-Origin"] = "*"
        return answer

    listing = Operation(
        "/v1/public/streams",
        ("GET", "HEAD"),
        "Live streams, for everybody",
        streams,
        "public",
        {200: Answer("streams, and the ports they are watched on", {"type": "object"})},
        parameters=PAGING,
    )
    register(app, [listing, *operations])
    add_pages(app, {"/": "player/index.html", "/player": "player/index.html"}, flv)

    @app.after_request
    async def _after_request(response: Response) -> Response:
        headers = response.headers
        headers.setdefault("X-Content-Type-Options", "nosniff")
        headers.setdefault("Referrer-Policy", "no-referrer")
        headers["Server"] = "livetrio"
        return response

    return app
