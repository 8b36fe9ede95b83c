"""/v1/im: messages, rooms, members, history and counts, for back ends and operators."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import trio
from quart import request
from quart_trio.wrappers import TrioResponse as Response

from livetrio.control.answers import BadRequest, json_answer
from livetrio.control.body import Body, read_body
from livetrio.control.fields import PAGING, paged
from livetrio.control.im_moderation import ImModeration
from livetrio.control.im_table import LIST, ROOM, ROOM_PATH, im_operation
from livetrio.control.im_view import (
    member_view,
    online_view,
    position_view,
    publication_view,
    room_view,
)
from livetrio.control.table import Operation, Parameter
from livetrio.errors import RefusalCode, Refused
from livetrio.im.hub import Hub
from livetrio.im.member import Member
from livetrio.im.options import check_channel
from livetrio.im.words import NO_TAGS, Goodbye, Lane, Online, Position, Sender

__all__ = ["ImRest"]

_MOST: Final = 1000
"""Rooms or users named in one request, messages in one answer."""
_LANES: Final = [lane.name for lane in Lane]
_INTEGER: Final = {"type": "integer", "minimum": 0}
_TEXT: Final = {"type": "string"}
_TEXTS: Final = {"type": "array", "items": _TEXT, "maxItems": _MOST}
_MESSAGE: Final = {
    "data": {"description": "any JSON; what members are sent as it is"},
    "b64data": {"type": "string", "description": "bytes in base64, in place of data"},
    "op": {**_INTEGER, "description": "goim's operation"},
}
_SEND: Final = {
    "type": "object",
    "properties": {
        "room": {"type": "string", "description": "one of room, user and client"},
        "user": {"type": "string", "description": "all connections of a user"},
        "client": {"type": "string", "description": "one connection"},
        **_MESSAGE,
        "as": {
            "type": "object",
            "description": "rooms: the user it is from, for whom the room's rules hold; without,"
            " it is from the server, for which none does",
            "required": ["user"],
            "properties": {"user": _TEXT, "device": _TEXT, "info": {}, "roles": _TEXTS},
        },
        "lane": {"enum": _LANES, "description": "rooms: P0 system, P1 chat, P2 counters"},
        "id": {"type": "string", "description": "rooms: a repeated one is answered, not sent"},
        "tags": {"type": "object", "additionalProperties": _TEXT},
        "skip_history": {"type": "boolean", "default": False},
    },
}
_BROADCAST: Final = {
    "type": "object",
    "properties": {"rooms": {**_TEXTS, "description": "without: to everybody"}, **_MESSAGE},
}
_KICK: Final = {
    "type": "object",
    "properties": {
        "user": {"type": "string", "description": "all connections of a user"},
        "client": {"type": "string", "description": "one connection"},
        "room": {"type": "string", "description": "only out of this room"},
        "reason": _TEXT,
    },
}


class ImRest:
    """The handlers. Refusals they raise become problem details."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._moderation = ImModeration(hub)

    def operations(self) -> list[Operation]:
        """For the operator's table."""
        get, post, delete = "GET", "POST", "DELETE"
        page = (
            Parameter("limit", "how many messages", schema={**_INTEGER, "maximum": _MOST}),
            Parameter("since", "only after (reverse: before) this offset", schema=_INTEGER),
            Parameter("epoch", "of the offset", schema=_TEXT),
            Parameter("reverse", "1: newest first", schema={"enum": ["0", "1"]}),
        )
        who = (
            Parameter("room", "only in this room"),
            Parameter("user", "only this user"),
            *PAGING,
        )
        rooms = (Parameter("room", "repeated: these rooms too", schema=_TEXTS),)
        prefix = (Parameter("prefix", "only names that begin so"), *PAGING)
        im = "/v1/im"
        return [
            im_operation(
                post, f"{im}/send", "Send to a room, a user or a connection", self.send, body=_SEND
            ),
            im_operation(
                post, f"{im}/broadcast", "Send to rooms or to everybody", self.broadcast,
                body=_BROADCAST,
            ),
            im_operation(get, f"{im}/rooms", "All rooms", self.rooms, prefix, LIST),
            im_operation(get, f"{im}/rooms/{{name}}", "One room", self.room, ROOM_PATH),
            im_operation(get, f"{im}/members", "Who is connected", self.members, who, LIST),
            im_operation(get, f"{im}/online", "How many are connected", self.online, rooms),
            im_operation(
                get, f"{im}/history", "What a room remembers", self.history, (*ROOM, *page)
            ),
            im_operation(
                delete, f"{im}/history", "Let a room forget what was said", self.forget, ROOM
            ),
            im_operation(
                post, f"{im}/kick", "Disconnect a user or take him out of a room", self.kick,
                body=_KICK,
            ),
            *self._moderation.operations(),
        ]  # fmt: skip

    async def send(self) -> Response:
        """POST /v1/im/send"""
        body = await read_body()
        named = [name for name in ("room", "user", "client") if name in body]
        if len(named) != 1:
            raise BadRequest("name one of room, user and client")
        data = body.data()
        if named == ["room"]:
            return json_answer(position_view(await self._publish(body, data)))
        op = body.integer("op", 0)
        user, client = body.text("user", ""), body.text("client", "")
        told = self._hub.send(self._hub.members.find(user, client), data, op=op)
        return json_answer({"told": told})

    async def _publish(self, body: Body, data: bytes) -> Position:
        lane = body.text("lane", "")
        if lane and lane not in _LANES:
            raise BadRequest(f"lane is none of {', '.join(_LANES)}")
        return await self._hub.publish(
            body.text("room"),
            data,
            sender=_author(body),
            op=body.integer("op", 0),
            lane=Lane[lane] if lane else None,
            id=body.text("id", ""),
            tags=body.pairs("tags", str) or NO_TAGS,
            skip_history=body.flag("skip_history"),
        )

    async def broadcast(self) -> Response:
        """POST /v1/im/broadcast"""
        body = await read_body()
        data, op = body.data(), body.integer("op", 0)
        if "rooms" not in body:
            return json_answer({"told": await self._hub.broadcast(data, op=op)})
        results: list[dict[str, Any]] = []
        for room in body.texts("rooms", most=_MOST):
            try:
                position = await self._hub.publish(room, data, op=op)
            except Refused as refused:  # of this room; the others are told nevertheless
                results.append({"room": room, "error": refused.reason})
            else:
                results.append({"room": room, **position_view(position)})
            await trio.lowlevel.checkpoint()
        return json_answer({"results": results})

    async def rooms(self) -> Response:
        """GET /v1/im/rooms"""
        prefix = request.args.get("prefix", "")
        chosen, about = paged(r for r in self._hub.channels if r.name.startswith(prefix))
        return json_answer({**about, "items": [room_view(room) for room in chosen]})

    async def room(self, name: str) -> Response:
        """GET /v1/im/rooms/{name}"""
        room = self._hub.channels.find(name)
        if room is None:
            raise Refused(RefusalCode.NOT_FOUND, "there is no such room now")
        return json_answer({**room_view(room), "online": online_view(self._hub.online(name))})

    async def members(self) -> Response:
        """GET /v1/im/members"""
        name, user = request.args.get("room"), request.args.get("user")
        found: Sequence[Member]
        found = self._hub.members.all() if user is None else self._hub.members.of_user(user)
        if name is not None:
            room = self._hub.channels.find(name)
            inside: Mapping[Member, int] = room.members if room is not None else {}
            found = list(inside) if user is None else [m for m in found if m in inside]
        chosen, about = paged(found)
        return json_answer({**about, "items": [member_view(member) for member in chosen]})

    async def online(self) -> Response:
        """GET /v1/im/online"""
        hub = self._hub
        everybody = Online(len(hub.members), hub.members.users)
        told = {**online_view(everybody), "channels": len(hub.channels)}
        if names := request.args.getlist("room")[:_MOST]:
            told["rooms"] = {name: online_view(hub.online(name)) for name in names}
        return json_answer(told)

    async def history(self) -> Response:
        """GET /v1/im/history"""
        args = request.args
        since = None
        if "since" in args:
            since = Position(args.get("epoch", ""), _number("since", 0, 2**53))
        found = await self._hub.history(
            check_channel(args.get("room", "")),
            since=since,
            limit=_number("limit", 100, _MOST),
            reverse=args.get("reverse", "0") == "1",
        )
        items = [publication_view(publication) for publication in found.publications]
        return json_answer({"position": position_view(found.position), "items": items})

    async def forget(self) -> Response:
        """DELETE /v1/im/history"""
        await self._hub.forget_history(check_channel(request.args.get("room", "")))
        return json_answer({})

    async def kick(self) -> Response:
        """POST /v1/im/kick"""
        body = await read_body()
        user, client, reason = (
            body.text("user", ""),
            body.text("client", ""),
            body.text("reason", ""),
        )
        if not user and not client:
            raise BadRequest("name a user or a client")
        if "room" in body:
            kicked = self._hub.remove(user, check_channel(body.text("room")), client=client)
        else:
            kicked = self._hub.disconnect(
                user, client=client, goodbye=Goodbye.KICKED, reason=reason
            )
        return json_answer({"kicked": kicked})


def _author(body: Body) -> Sender | None:
    """Whom a back end speaks for; None: itself."""
    if "as" not in body:
        return None
    who = body.part("as")
    roles = frozenset(who.texts("roles"))
    return Sender(who.text("user"), "", who.text("device", ""), "", roles, who.json("info"))


def _number(name: str, default: int, most: int) -> int:
    text = request.args.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdecimal() and len(text) < 17 and int(text) <= most):
        raise BadRequest(f"{name} is not a number from 0 to {most}")
    return int(text)
