"""GoimApi: goim's HTTP push API, v2 and v1, as questions and answers without a server.

Two faces serve it: a port of its own without authentication (`goim_push_addr`, loopback unless
told otherwise), and the operator's port under its rules.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final

from livetrio.errors import Refused, RemoteProtocolError
from livetrio.im.goim_binding import BindError, Query
from livetrio.im.goim_nodes import GoimNode
from livetrio.im.goim_push import GoimPush
from livetrio.wire.goim.json_values import integer, loads

__all__ = ["MAX_BODY", "METHODS", "GoimAnswer", "GoimApi", "GoimQuestion"]

MAX_BODY: Final = 1 << 20
"""Bytes of a request's body; what the hub takes as one message is less."""

_OK, _REQUEST_ERROR, _SERVER_ERROR = 0, -400, -500
_JSON = "application/json; charset=utf-8"
_TEXT = "text/plain; charset=utf-8"
_V1_OK, _V1_ERROR = 1, 65535
_V1_MAX_USERS = 10_000


@dataclass(frozen=True, slots=True)
class GoimQuestion:
    """A request of a back end."""

    query: str
    """Not decoded."""
    body: bytes = b""
    host: str = ""
    """The Host header's name, without port."""


@dataclass(frozen=True, slots=True)
class GoimAnswer:
    """What it is told."""

    status: int
    body: bytes
    content_type: str = _JSON


METHODS: Final[Mapping[str, str]] = {
    "/goim/push/keys": "POST",
    "/goim/push/mids": "POST",
    "/goim/push/room": "POST",
    "/goim/push/all": "POST",
    "/goim/online/top": "GET",
    "/goim/online/room": "GET",
    "/goim/online/total": "GET",
    "/goim/nodes/weighted": "GET",
    "/goim/nodes/instances": "GET",
    "/1/push": "POST",
    "/1/pushs": "POST",
    "/1/push/room": "POST",
    "/1/push/all": "POST",
}
"""The method of every path."""


class GoimApi:
    """Made by the composition root."""

    def __init__(self, push: GoimPush, node: GoimNode) -> None:
        self._push = push
        self._node = node
        self._calls: dict[str, Callable[[Query, GoimQuestion], Awaitable[object]]] = {
            "/goim/push/keys": self._keys,
            "/goim/push/mids": self._mids,
            "/goim/push/room": self._room,
            "/goim/push/all": self._all,
            "/goim/online/top": self._top,
            "/goim/online/room": self._online,
            "/goim/online/total": self._total,
            "/goim/nodes/weighted": self._weighted,
            "/goim/nodes/instances": self._instances,
            "/1/push": self._v1_push,
            "/1/pushs": self._v1_pushs,
            "/1/push/room": self._v1_room,
            "/1/push/all": self._v1_all,
        }

    async def answer(self, path: str, question: GoimQuestion) -> GoimAnswer:
        """The answer to a path of METHODS."""
        if path.startswith("/1/"):
            return await self._answer_v1(path, question)
        try:
            data = await self._calls[path](Query(question.query), question)
        except BindError as error:
            return GoimAnswer(400, _envelope(_REQUEST_ERROR, str(error)), _TEXT)
        except Refused as refusal:
            return GoimAnswer(200, _envelope(_SERVER_ERROR, refusal.reason))
        return GoimAnswer(200, _envelope(_OK, "", data))

    async def _answer_v1(self, path: str, question: GoimQuestion) -> GoimAnswer:
        try:
            await self._calls[path](Query(question.query), question)
        except (BindError, Refused, RemoteProtocolError):
            return GoimAnswer(200, b'{"ret":%d}' % _V1_ERROR, _TEXT)
        return GoimAnswer(200, b'{"ret":%d}' % _V1_OK, _TEXT)

    async def _keys(self, query: Query, question: GoimQuestion) -> None:
        op, keys = query.number("operation"), query.texts("keys")
        self._push.push_keys(op, keys, question.body)

    async def _mids(self, query: Query, question: GoimQuestion) -> None:
        op, mids = query.number("operation"), query.numbers("mids", bits=64)
        await self._push.push_mids(op, mids, question.body)

    async def _room(self, query: Query, question: GoimQuestion) -> None:
        op = query.number("operation", "Op")
        kind, room = query.text("type", "Type"), query.text("room", "Room")
        await self._push.push_room(op, kind, room, question.body)

    async def _all(self, query: Query, question: GoimQuestion) -> None:
        op, speed = query.number("operation", "Op"), query.number("speed")
        await self._push.push_all(op, speed, question.body)

    async def _top(self, query: Query, question: GoimQuestion) -> object:  # noqa: ARG002
        prefix, limit = query.text("type", "Type"), query.number("limit", "Limit", bits=64)
        return [
            {"room_id": room.room, "count": room.count} for room in self._push.top(prefix, limit)
        ]

    async def _online(self, query: Query, question: GoimQuestion) -> object:  # noqa: ARG002
        kind, rooms = query.text("type", "Type"), query.texts("rooms")
        if not rooms:
            query.text("rooms", "Rooms")
        return dict(sorted(self._push.online(kind, rooms).items()))

    async def _total(self, query: Query, question: GoimQuestion) -> object:  # noqa: ARG002
        ips, connections = self._push.total()
        return {"conn_count": connections, "ip_count": ips}

    async def _weighted(self, query: Query, question: GoimQuestion) -> object:
        platform = next(iter(query.texts("platform")), "")
        return self._node.weighted(question.host, platform)

    async def _instances(self, query: Query, question: GoimQuestion) -> object:  # noqa: ARG002
        return self._node.instances(question.host, self._push.total())

    async def _v1_push(self, query: Query, question: GoimQuestion) -> None:
        uid = query.text("uid", "uid")
        await self._push.push_v1([query.number("uid", bits=64)] if uid else [], question.body)

    async def _v1_pushs(self, query: Query, question: GoimQuestion) -> None:  # noqa: ARG002
        value = loads(question.body)
        if not isinstance(value, dict) or not isinstance(uids := value.get("u"), list):
            raise RemoteProtocolError("goim v1: a body of /1/pushs has a list u and a message m")
        if len(uids) > _V1_MAX_USERS:
            raise RemoteProtocolError(f"goim v1: more than {_V1_MAX_USERS} users")
        users = [integer(uid, "u", 64) for uid in uids]
        message = json.dumps(value.get("m"), ensure_ascii=False, separators=(",", ":"))
        await self._push.push_v1(users, message.encode("utf-8", "replace"))

    async def _v1_room(self, query: Query, question: GoimQuestion) -> None:
        query.text("rid", "rid")
        await self._push.push_room_v1(query.number("rid"), question.body)

    async def _v1_all(self, query: Query, question: GoimQuestion) -> None:  # noqa: ARG002
        await self._push.push_all_v1(question.body)


_GO_ESCAPES = str.maketrans(
    {
        "<": "\\u003c",
        ">": "\\u003e",
        "&": "\\u0026",
        "\N{LINE SEPARATOR}": "\\u2028",
        "\N{PARAGRAPH SEPARATOR}": "\\u2029",
    }
)


def _envelope(code: int, message: str, data: object = None) -> bytes:
    """`{"code":0,"message":"","data":…}` as Go's encoder writes it; no data where there is none."""
    fields: dict[str, object] = {"code": code, "message": message}
    if data is not None:
        fields["data"] = data
    text = json.dumps(fields, ensure_ascii=False, separators=(",", ":")).translate(_GO_ESCAPES)
    return text.encode("utf-8", "replace")
