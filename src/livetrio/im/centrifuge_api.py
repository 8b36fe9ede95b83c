"""CentrifugeApi: Centrifugo's server API, with which back ends publish, ask and disconnect.

https://centrifugal.dev/docs/server/server_api. Here is what the calls do; HTTP and the key are
`control/centrifuge_api.py`'s. Unlike a client's, what a back end says passes no rule of a room.
"""

from __future__ import annotations

import json
import math
import os
import resource
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, Final

import trio

from livetrio import __version__
from livetrio.errors import Refused
from livetrio.im.centrifuge_api_fields import Fields
from livetrio.im.centrifuge_errors import CommandError, Farewell, error_of
from livetrio.im.centrifuge_service import CentrifugeService
from livetrio.im.centrifuge_session import CentrifugeSession, trio_time
from livetrio.im.hub import Hub
from livetrio.im.member import Member
from livetrio.im.options import check_channel
from livetrio.im.words import Goodbye, Position, Publication, Sender
from livetrio.wire.centrifuge.codes import DisconnectCode, ErrorCode
from livetrio.wire.centrifuge.commands import SubscribeRequest
from livetrio.wire.centrifuge.json_codec import as_json
from livetrio.wire.centrifuge.replies import Push, Reply, Subscribe

__all__ = ["METHODS", "CentrifugeApi"]

_VERSIONS: Final = 10_000
"""Channels whose newest version is remembered."""
_PAGE: Final = 10_000
_Result = dict[str, Any]

METHODS: Final = (
    "publish",
    "broadcast",
    "subscribe",
    "unsubscribe",
    "disconnect",
    "refresh",
    "presence",
    "presence_stats",
    "history",
    "history_remove",
    "channels",
    "info",
    "batch",
)


class CentrifugeApi:
    """One per node."""

    def __init__(self, hub: Hub, service: CentrifugeService, *, name: str = "livetrio") -> None:
        """name: of this node, for people."""
        self._hub = hub
        self._service = service
        self._name = name
        self._begun = trio.current_time()
        self._versions: OrderedDict[str, tuple[str, int]] = OrderedDict()
        self._methods: Mapping[str, Callable[[Fields], Awaitable[_Result]]] = {
            name: getattr(self, f"_{name}") for name in METHODS if name != "batch"
        }

    async def call(self, method: str, params: object) -> _Result:
        """Do one call; {"result": {...}} or {"error": {"code": ..., "message": ...}}.

        params: the call's JSON object, as Python values.
        """
        if method == "batch":
            return await self._answered(self._batch, params, bare=True)
        handler = self._methods.get(method)
        if handler is None:
            return _error(CommandError(ErrorCode.METHOD_NOT_FOUND))
        return await self._answered(handler, params)

    async def _answered(
        self,
        handler: Callable[[Fields], Awaitable[_Result]],
        params: object,
        *,
        bare: bool = False,
    ) -> _Result:
        try:
            result = await handler(Fields(params))
        except CommandError as error:
            return _error(error)
        except Refused as refusal:
            return _error(error_of(refusal))
        return result if bare else {"result": result}

    async def _batch(self, fields: Fields) -> _Result:
        """Always one after the other: `parallel` is allowed to be no faster."""
        replies = []
        for command in fields.items("commands"):
            if not isinstance(command, Mapping) or len(command) != 1:
                raise CommandError(ErrorCode.BAD_REQUEST, "a command is an object of one method")
            (method, params), *_ = command.items()
            if method == "batch":
                raise CommandError(ErrorCode.BAD_REQUEST, "a batch in a batch")
            answer = await self.call(method, params)
            replies.append(
                {"error": answer["error"]} if "error" in answer else {method: answer["result"]}
            )
            await trio.lowlevel.checkpoint()
        return {"replies": replies}

    # Publishing

    async def _publish(self, fields: Fields) -> _Result:
        return await self._publish_in(fields.text("channel", required=True), fields)

    async def _broadcast(self, fields: Fields) -> _Result:
        channels = fields.texts("channels")
        if not channels:
            raise CommandError(ErrorCode.BAD_REQUEST, "channels is required")

        async def one(channel: str) -> _Result:
            return await self._answered(lambda same: self._publish_in(channel, same), params)

        params = fields.values
        responses = []
        for channel in channels:
            responses.append(await one(channel))
            await trio.lowlevel.checkpoint()
        return {"responses": responses}

    async def _publish_in(self, channel: str, fields: Fields) -> _Result:
        data = fields.data(required=True)
        version, epoch = fields.number("version"), fields.text("version_epoch")
        if version and not self._is_news(channel, epoch, version):
            return _position(self._hub, channel)
        position = await self._hub.publish(
            channel,
            data,
            id=fields.text("idempotency_key"),
            tags=fields.tags(),
            skip_history=fields.flag("skip_history"),
        )
        if version and self._is_news(channel, epoch, version):  # a failed one may be tried again
            self._versions[channel] = epoch, version
            self._versions.move_to_end(channel)
            if len(self._versions) > _VERSIONS:
                self._versions.popitem(last=False)
        return {"offset": position.offset, "epoch": position.epoch}

    def _is_news(self, channel: str, epoch: str, version: int) -> bool:
        """Is this version of the channel's state newer than the one published last?"""
        known = self._versions.get(channel)
        return known is None or known[0] != epoch or version > known[1]

    # Connections

    async def _subscribe(self, fields: Fields) -> _Result:
        channel = fields.text("channel", required=True)
        since = fields.position("recover_since")
        wanted = SubscribeRequest(check_channel(channel))
        if since is not None:
            wanted.recover, wanted.epoch, wanted.offset = True, since.epoch, since.offset
        for session in self._sessions(fields):
            await self._put_in(session, wanted, fields.data())
        return {}

    async def _put_in(
        self, session: CentrifugeSession, wanted: SubscribeRequest, data: bytes
    ) -> None:
        try:
            result = await self._service.subscribing.take(session, wanted)
        except Farewell:  # gone meanwhile
            return
        except CommandError as error:
            if error.error is not ErrorCode.ALREADY_SUBSCRIBED:
                raise
            return
        told = Subscribe(result.recoverable, result.epoch, result.offset, result.positioned, data)
        pushes = [Reply(push=Push(wanted.channel, subscribe=told))]
        pushes += [Reply(push=Push(wanted.channel, pub=pub)) for pub in result.publications]
        session.outbox.send(session.view.reply(*pushes))

    async def _unsubscribe(self, fields: Fields) -> _Result:
        channel = fields.text("channel", required=True)
        for member in self._members(fields):
            self._hub.remove(member.sender.user, channel, client=member.id)
        return {}

    async def _disconnect(self, fields: Fields) -> _Result:
        kept = frozenset(fields.texts("whitelist"))
        custom = fields.inner("disconnect")
        code = custom.number("code") if custom is not None else 0
        reason = custom.text("reason") if custom is not None else ""
        if code and not 3000 <= code <= 4999:
            raise CommandError(ErrorCode.BAD_REQUEST, "codes are 3000 to 4999")
        for member in self._members(fields):
            if member.id in kept:
                continue
            if code and isinstance(member, CentrifugeSession):
                member.close(code, reason)
            self._hub.disconnect("", client=member.id, goodbye=Goodbye.KICKED, reason=reason)
        return {}

    async def _refresh(self, fields: Fields) -> _Result:
        expires_at = fields.number("expire_at")
        for session in self._sessions(fields):
            if fields.flag("expired"):
                code = DisconnectCode.EXPIRED
                session.close(code.code, code.reason)
            else:
                expires = trio_time(expires_at) if expires_at > 0 else math.inf
                self._service.refresh(session, expires)
        return {}

    def _members(self, fields: Fields) -> Sequence[Member]:
        """Those that user, client and session name."""
        user = fields.text("user")
        client, session = fields.text("client"), fields.text("session")
        if not user and not client and not session:
            raise CommandError(ErrorCode.BAD_REQUEST, "user is required")
        if not user and not client:
            members: Sequence[Member] = self._hub.members.all()
        else:
            members = self._hub.members.find(user, client)
        if session:
            members = [m for m in members if getattr(m, "session", "") == session]
        return list(members)

    def _sessions(self, fields: Fields) -> list[CentrifugeSession]:
        return [m for m in self._members(fields) if isinstance(m, CentrifugeSession)]

    # Asking

    async def _presence(self, fields: Fields) -> _Result:
        here = self._hub.presence(fields.text("channel", required=True))
        return {"presence": {client: _client_info(sender) for client, sender in here.items()}}

    async def _presence_stats(self, fields: Fields) -> _Result:
        online = self._hub.online(fields.text("channel", required=True))
        return {"num_clients": online.clients, "num_users": online.users}

    async def _history(self, fields: Fields) -> _Result:
        limit = fields.number("limit")
        found = await self._hub.history(
            fields.text("channel", required=True),
            since=fields.position("since"),
            limit=limit if 0 <= limit <= _PAGE else _PAGE,
            reverse=fields.flag("reverse"),
        )
        return {
            "publications": [_publication(publication) for publication in found.publications],
            "epoch": found.position.epoch,
            "offset": found.position.offset,
        }

    async def _history_remove(self, fields: Fields) -> _Result:
        await self._hub.forget_history(check_channel(fields.text("channel", required=True)))
        return {}

    async def _channels(self, fields: Fields) -> _Result:
        pattern = fields.text("pattern")
        return {
            "channels": {
                room.name: {"num_clients": len(room.members)}
                for room in self._hub.channels
                if room.members and (not pattern or fnmatchcase(room.name, pattern))
            }
        }

    async def _info(self, fields: Fields) -> _Result:  # noqa: ARG002
        rooms = [room for room in self._hub.channels if room.members]
        usage = resource.getrusage(resource.RUSAGE_SELF)
        node = {
            "uid": self._service.node,
            "name": self._name,
            "version": __version__,
            "num_clients": len(self._hub.members),
            "num_users": self._hub.members.users,
            "num_subs": sum(len(room.members) for room in rooms),
            "num_channels": len(rooms),
            "uptime": int(trio.current_time() - self._begun),
            "process": {"cpu": sum(os.times()[:2]), "rss": usage.ru_maxrss << 10},
        }
        return {"nodes": [node]}


def _error(error: CommandError) -> _Result:
    return {"error": {"code": error.error.code, "message": error.message}}


def _position(hub: Hub, channel: str) -> _Result:
    room = hub.channels.find(channel)
    position = room.position if room is not None else Position("", 0)
    return {"offset": position.offset, "epoch": position.epoch}


def _value(data: bytes) -> Any:
    return json.loads(as_json(data))


def _client_info(sender: Sender) -> _Result:
    info: _Result = {"user": sender.user, "client": sender.client}
    if sender.info:
        info["conn_info"] = _value(sender.info)
    return info


def _publication(publication: Publication) -> _Result:
    found: _Result = {"data": _value(publication.data), "offset": publication.offset}
    if publication.tags:
        found["tags"] = dict(publication.tags)
    if publication.sender is not None:
        found["info"] = _client_info(publication.sender)
    return found
