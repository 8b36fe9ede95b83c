"""/v1: streams, clients, rooms, relays and the nursery tree, for programs and for the console."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict

import trio
from quart_trio.wrappers import TrioResponse as Response

from livetrio import __version__
from livetrio.control.answers import BadRequest, json_answer
from livetrio.control.context import ControlContext
from livetrio.control.fields import PAGING, body_fields, paged
from livetrio.control.table import Answer, Handler, Operation, Parameter
from livetrio.control.view import client_view, relay_view, room_view, stream_view, tree_view
from livetrio.errors import RefusalCode, Refused
from livetrio.ingest.relay_attempt import Direction
from livetrio.net.scope import Ended, tree
from livetrio.packet import StreamKey
from livetrio.wire.names import check_name

__all__ = ["PROBLEM", "Rest"]

_ENDING = 15.0
"""Seconds to wait for the end of what was cancelled: its goodbyes are bounded by far less."""
_REASON = "ended by an operator"

_OBJECT = {"type": "object"}
PROBLEM = {
    "type": "object",
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
    },
}
_LIST = {
    "type": "object",
    "required": ["page", "per_page", "total", "items"],
    "properties": {
        "page": {"type": "integer"},
        "per_page": {"type": "integer"},
        "total": {"type": "integer"},
        "items": {"type": "array", "items": _OBJECT},
    },
}
_ENDED = {
    "type": "object",
    "required": ["ended"],
    "properties": {
        "ended": {
            "type": "object",
            "description": "what was closed, and how long that took",
            "properties": {
                "scopes": {"type": "integer"},
                "tasks": {"type": "integer"},
                "sockets": {"type": "integer"},
                "files": {"type": "integer"},
                "milliseconds": {"type": "number"},
            },
        }
    },
}
_RELAY = {
    "type": "object",
    "required": ["kind", "app", "name", "url"],
    "properties": {
        "kind": {"enum": ["pull", "push"]},
        "app": {"type": "string"},
        "name": {"type": "string"},
        "url": {"type": "string", "format": "uri"},
    },
}


class Rest:
    """The handlers. Refusals they raise become problem details."""

    def __init__(self, context: ControlContext) -> None:
        self._context = context

    def operations(self) -> list[Operation]:
        """For the table."""
        stream = (
            Parameter("app", "application", "path", required=True),
            Parameter("name", "stream name; may hold slashes", "path", required=True),
        )
        client = (Parameter("id", "client id", "path", required=True),)
        relay = (Parameter("id", "relay id", "path", required=True),)
        get, delete = "GET", "DELETE"
        return [
            _operation(get, "/v1/node", "This node: version, applications, ports, load", self.node),
            _operation(get, "/v1/streams", "All streams", self.streams, PAGING, _LIST),
            _operation(get, "/v1/streams/{app}/{name}", "One stream", self.stream, stream),
            _operation(
                delete,
                "/v1/streams/{app}/{name}",
                "End a stream, its publisher and its viewers; answers when all is gone",
                self.end_stream,
                stream,
                _ENDED,
            ),
            _operation(
                get, "/v1/clients", "All publishers and players", self.clients, PAGING, _LIST
            ),
            _operation(
                delete,
                "/v1/clients/{id}",
                "Disconnect a client; answers when it is gone",
                self.end_client,
                client,
                _ENDED,
            ),
            _operation(get, "/v1/rooms", "All co-host and voice rooms", self.rooms, PAGING, _LIST),
            _operation(get, "/v1/relays", "All relays", self.relays, PAGING, _LIST),
            _operation("POST", "/v1/relays", "Start a relay", self.start_relay, (), _OBJECT, 201),
            _operation(delete, "/v1/relays/{id}", "Stop a relay", self.stop_relay, relay, _ENDED),
            _operation(get, "/v1/tree", "The living nursery tree", self.tree),
        ]

    async def node(self) -> Response:
        """GET /v1/node"""
        context = self._context
        plain = context.access.rtmp_noauth
        apps = [
            {"name": app.name, "auth": "none" if plain else app.auth}
            for app in context.apps.values()
        ]
        ports = {name: asdict(bound) for name, bound in context.bound.items()}
        streams = context.registry.streams.values()
        roles = [client.role for _, client in context.registry.clients()]
        now = {
            "live": sum(stream.publication is not None for stream in streams),
            "viewers": roles.count("player"),
            "received_kbits": round(context.gauges.total_rate("publisher") / 1000),
            "sent_kbits": round(context.gauges.total_rate("player") / 1000),
        }
        return json_answer({"version": __version__, "apps": apps, "ports": ports, "now": now})

    async def streams(self) -> Response:
        """GET /v1/streams"""
        chosen, about = paged(self._context.registry.streams.values())
        gauges = self._context.gauges
        return json_answer({**about, "items": [stream_view(stream, gauges) for stream in chosen]})

    async def stream(self, app: str, name: str) -> Response:
        """GET /v1/streams/{app}/{name}"""
        stream = self._context.registry.streams.get(StreamKey(app, name))
        if stream is None:
            raise Refused(RefusalCode.NOT_FOUND, "there is no such stream")
        return json_answer(stream_view(stream, self._context.gauges))

    async def end_stream(self, app: str, name: str) -> Response:
        """DELETE /v1/streams/{app}/{name}"""
        self._context.check_app(app)
        with trio.move_on_after(_ENDING):
            ended = await self._context.registry.end_stream(StreamKey(app, name), _REASON)
            return _ended_answer(ended, "stream")
        raise _unfinished()

    async def clients(self) -> Response:
        """GET /v1/clients"""
        chosen, about = paged(self._context.registry.clients())
        gauges = self._context.gauges
        views = [client_view(key, client, gauges) for key, client in chosen]
        return json_answer({**about, "items": views})

    async def end_client(self, id: str) -> Response:
        """DELETE /v1/clients/{id}"""
        for key, client in self._context.registry.clients():
            if client.id == id:
                self._context.check_app(key.app)
        with trio.move_on_after(_ENDING):
            return _ended_answer(await self._context.registry.end_client(id, _REASON), "client")
        raise _unfinished()

    async def rooms(self) -> Response:
        """GET /v1/rooms"""
        rooms = self._context.rooms
        chosen, about = paged(rooms if rooms is not None else ())
        views = [room_view(live, rooms.media(live.key)) for live in chosen if rooms is not None]
        return json_answer({**about, "items": views})

    async def relays(self) -> Response:
        """GET /v1/relays"""
        chosen, about = paged(self._context.relays.list())
        return json_answer({**about, "items": [relay_view(relay) for relay in chosen]})

    async def start_relay(self) -> Response:
        """POST /v1/relays"""
        word, app, name, url = await body_fields("kind", "app", "name", "url")
        kinds: dict[str, Direction] = {"pull": "pull", "push": "push"}
        if word not in kinds:
            raise BadRequest('kind is neither "pull" nor "push"')
        self._context.check_app(check_name(app))
        key = StreamKey(app, check_name(name))
        return json_answer(relay_view(self._context.relays.start(kinds[word], key, url)), 201)

    async def stop_relay(self, id: str) -> Response:
        """DELETE /v1/relays/{id}"""
        for relay in self._context.relays.list():
            if relay.id == id:
                self._context.check_app(relay.app)
        with trio.move_on_after(_ENDING):
            return _ended_answer(await self._context.relays.stop(id), "relay")
        raise _unfinished()

    async def tree(self) -> Response:
        """GET /v1/tree"""
        return json_answer(tree_view(tree(self._context.root)))


def _operation(
    method: str,
    path: str,
    summary: str,
    handler: Handler,
    parameters: tuple[Parameter, ...] = (),
    schema: Mapping[str, object] = _OBJECT,
    status: int = 200,
) -> Operation:
    answers = {status: Answer("done", schema)}
    if parameters or method == "POST":
        answers[400] = Answer("a parameter cannot be used", PROBLEM, "application/problem+json")
    if "{" in path:
        answers[404] = Answer("there is no such thing", PROBLEM, "application/problem+json")
    methods = ("GET", "HEAD") if method == "GET" else (method,)
    body = _RELAY if method == "POST" else None
    return Operation(path, methods, summary, handler, "v1", answers, "", parameters, body)


def _ended_answer(ended: Ended | None, what: str) -> Response:
    if ended is None:
        raise Refused(RefusalCode.NOT_FOUND, f"there is no such {what}")
    return json_answer({"ended": asdict(ended)})


def _unfinished() -> Refused:
    return Refused(RefusalCode.UNAVAILABLE, f"it was cancelled, but not gone in {_ENDING:g} s")
