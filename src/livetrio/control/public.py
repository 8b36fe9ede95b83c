"""The public face, on web_addr: a page that lists the live streams and plays one, another that
publishes from a browser, the room page, and what others put there: signalling, TURN credentials,
rooms, tokens for guests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from quart_trio import QuartTrio
from quart_trio.wrappers import TrioResponse as Response

from livetrio.config import Network
from livetrio.control.answers import json_answer
from livetrio.control.context import ControlContext
from livetrio.control.fields import PAGING, paged
from livetrio.control.guests import GUEST_PATH
from livetrio.control.operator import bare_app
from livetrio.control.pages import add_pages
from livetrio.control.qr import QrCodes
from livetrio.control.table import Answer, Operation, register
from livetrio.control.view import public_view
from livetrio.store.keys import is_key

__all__ = ["public_app"]

_WATCHED_ON = frozenset({"rtmp", "rtmps", "httpflv", "hls", "im"})
_FETCHED_FROM = ("httpflv", "hls", "im")
_WHEP = "/{app}/{name}/whep"
_ROOMS = "/v1/rooms"


def public_app(
    context: ControlContext,
    operations: Sequence[Operation] = (),
    *,
    turn: bool = False,
    trusted: Sequence[Network] = (),
) -> QuartTrio:
    """The application for web_addr. What it has itself changes nothing, so it asks for nothing.

    Args:
        context: of this node.
        operations: of others, who ask for what they need: signalling, TURN credentials, rooms.
        turn: does it pay to ask for credentials?
        trusted: proxies whose X-Forwarded-For is believed.
    """
    app = bare_app()
    media = [context.bound[name] for name in _FETCHED_FROM if name in context.bound]
    paths = {operation.path for operation in operations}
    offered = {
        "webrtc": _WHEP in paths,
        "turn": turn,
        "rooms": _ROOMS in paths,
        "guests": GUEST_PATH in paths,
    }
    ports = {name: asdict(bound) for name, bound in context.bound.items() if name in _WATCHED_ON}

    async def streams() -> Response:
        """GET /v1/public/streams"""
        # One published by a room's name is named by that room's secret key: not for everybody.
        # A mix-minus ("party~1") is for who sits on that seat, and for nobody else to play.
        live = (
            stream
            for key, stream in context.registry.streams.items()
            if stream.publication is not None and not is_key(key.name) and "~" not in key.name
        )
        chosen, about = paged(live)
        items = [public_view(stream) for stream in chosen]
        answer = json_answer(about | {"ports": ports, **offered, "items": items})
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
    register(app, [listing, *QrCodes(trusted=trusted).operations(), *operations])
    pages = {"/": "player", "/player": "player", "/publish": "publish", "/room": "room"}
    add_pages(app, {path: f"{folder}/index.html" for path, folder in pages.items()}, media)

    @app.after_request
    async def _after_request(response: Response) -> Response:
        headers = response.headers
        headers.setdefault("X-Content-Type-Options", "nosniff")
        headers.setdefault("Referrer-Policy", "no-referrer")
        headers["Server"] = "livetrio"
        return response

    return app
