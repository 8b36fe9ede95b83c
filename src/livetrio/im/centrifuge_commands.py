"""Commands: what a connected client may ask, and the answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from itertools import accumulate
from typing import Any, Final

import trio

from livetrio.access.im_token import ImTokens, TokenExpired
from livetrio.errors import RefusalCode, Refused
from livetrio.im.centrifuge_errors import CommandError, Farewell, error_of, error_reply
from livetrio.im.centrifuge_policy import CentrifugePolicy
from livetrio.im.centrifuge_pulse import Pulse
from livetrio.im.centrifuge_session import CentrifugeSession, seconds_left, trio_time
from livetrio.im.centrifuge_subscribing import Subscribing
from livetrio.im.centrifuge_views import client_info
from livetrio.im.hub import Hub
from livetrio.im.words import Position, Publication
from livetrio.logs import get_logger
from livetrio.wire.centrifuge.codes import DisconnectCode, ErrorCode
from livetrio.wire.centrifuge.commands import (
    Command,
    HistoryRequest,
    PingRequest,
    PresenceRequest,
    PresenceStatsRequest,
    PublishRequest,
    RefreshRequest,
    RpcRequest,
    UnsubscribeRequest,
)
from livetrio.wire.centrifuge.replies import (
    HistoryResult,
    PingResult,
    PresenceResult,
    PresenceStatsResult,
    PublishResult,
    RefreshResult,
    Reply,
    RpcResult,
    UnsubscribeResult,
)

__all__ = ["VERSION", "Commands"]

log = get_logger(__name__)

VERSION: Final = "livetrio"
_PRICES: Final = {"history": 5, "presence": 5, "presence_stats": 5}
"""Commands that take milliseconds: what they count for; others run before each of them."""
_MAX_PAGE: Final = 256 << 10
"""Bytes of data in one page of history, which has one publication at least."""
_Handler = Callable[[CentrifugeSession, Any], Awaitable[Any]]


class Commands:
    """One for all sessions."""

    def __init__(
        self,
        hub: Hub,
        tokens: ImTokens,
        subscribing: Subscribing,
        pulse: Pulse,
        policy: CentrifugePolicy,
    ) -> None:
        self._hub = hub
        self._tokens = tokens
        self._pulse = pulse
        self._policy = policy
        self._subscribing = subscribing
        self._handlers: dict[str, _Handler] = {
            "ping": self._ping,
            "subscribe": subscribing.subscribe,
            "unsubscribe": self._unsubscribe,
            "publish": self._publish,
            "presence": self._presence,
            "presence_stats": self._presence_stats,
            "history": self._history,
            "rpc": self._rpc,
            "refresh": self._refresh,
            "sub_refresh": subscribing.refresh,
        }

    async def obey(self, session: CentrifugeSession, command: Command) -> None:
        """Do one command and answer it.

        Raises:
            Farewell: the connection is to end.
        """
        if command.connect is not None:
            raise Farewell(DisconnectCode.BAD_REQUEST, "connects twice")
        name = next((name for name in self._handlers if getattr(command, name) is not None), "")
        within = session.spend(trio.current_time(), _PRICES.get(name, 1))
        if within is None:
            raise Farewell(DisconnectCode.TOO_MANY_REQUESTS)
        if not command.id:
            await self._hear(session, command)
            return
        if not name:
            raise Farewell(DisconnectCode.BAD_REQUEST, "a command without a request")
        try:
            if not within:
                raise CommandError(ErrorCode.TOO_MANY_REQUESTS)
            if name in _PRICES:
                await trio.lowlevel.checkpoint()
            result = await self._handlers[name](session, getattr(command, name))
        except CommandError as error:
            self._refuse(session, name, command.id, error)
        except Refused as refusal:
            self._refuse(session, name, command.id, error_of(refusal))
        else:
            reply = Reply(command.id)
            setattr(reply, name, result)
            session.say(reply)  # no await between a join and its answer

    def _refuse(self, session: CentrifugeSession, name: str, id_: int, error: CommandError) -> None:
        log.debug("command refused", user=session.sender.user, command=name, reason=error.message)
        session.say(error_reply(id_, error))

    async def _hear(self, session: CentrifugeSession, command: Command) -> None:
        """What wants no answer: a message to the server, or a pong."""
        if command.send is not None:
            if self._policy.send is not None:
                await self._policy.send(session.sender, command.send.data)
        elif session.answered:
            raise Farewell(DisconnectCode.BAD_REQUEST, "a pong without a ping")
        else:
            session.answered = True

    async def _ping(self, session: CentrifugeSession, request: PingRequest) -> PingResult:  # noqa: ARG002
        return PingResult()

    async def _unsubscribe(
        self, session: CentrifugeSession, request: UnsubscribeRequest
    ) -> UnsubscribeResult:
        self._subscribing.unsubscribe(session, request.channel)
        return UnsubscribeResult()

    async def _publish(self, session: CentrifugeSession, request: PublishRequest) -> PublishResult:
        if not request.channel:
            raise Farewell(DisconnectCode.BAD_REQUEST, "publish: no channel")
        if request.type:
            raise CommandError(ErrorCode.NOT_AVAILABLE)
        if not request.data:
            raise CommandError(ErrorCode.BAD_REQUEST, "there is nothing to publish")
        try:
            await self._hub.publish(request.channel, request.data, sender=session.sender)
        except Refused as refusal:
            if refusal.code is RefusalCode.TOO_MANY:  # slow mode, rate: later it may be said
                raise CommandError(ErrorCode.TOO_MANY_REQUESTS, refusal.reason) from None
            raise
        return PublishResult()

    async def _presence(
        self, session: CentrifugeSession, request: PresenceRequest
    ) -> PresenceResult:
        self._check_in(session, request.channel)
        here = self._hub.presence(request.channel)
        return PresenceResult({client: client_info(sender) for client, sender in here.items()})

    async def _presence_stats(
        self, session: CentrifugeSession, request: PresenceStatsRequest
    ) -> PresenceStatsResult:
        self._check_in(session, request.channel)
        return PresenceStatsResult(*self._hub.online(request.channel))

    async def _history(self, session: CentrifugeSession, request: HistoryRequest) -> HistoryResult:
        self._check_in(session, request.channel)
        since = None
        if request.since is not None:
            since = Position(request.since.epoch, request.since.offset)
        page = self._policy.history_page
        limit = request.limit if 0 <= request.limit <= page else page
        found = await self._hub.history(
            request.channel, since=since, limit=limit, reverse=request.reverse
        )
        # Never as deltas: whoever asks for a page has no text to start from.
        view = session.view.without_delta(request.channel)
        publications = view.publications(request.channel, _page(found.publications))
        return HistoryResult(publications, *found.position)

    async def _rpc(self, session: CentrifugeSession, request: RpcRequest) -> RpcResult:
        if self._policy.rpc is None:
            raise CommandError(ErrorCode.METHOD_NOT_FOUND)
        try:
            return RpcResult(await self._policy.rpc(session.sender, request.method, request.data))
        except Refused as refusal:
            if refusal.code is RefusalCode.NOT_FOUND:
                raise CommandError(ErrorCode.METHOD_NOT_FOUND) from None
            raise

    async def _refresh(self, session: CentrifugeSession, request: RefreshRequest) -> RefreshResult:
        if not request.token:
            raise Farewell(DisconnectCode.BAD_REQUEST, "refresh: no token")
        try:
            claims = await self._tokens.verify(request.token)
        except TokenExpired:
            raise Farewell(DisconnectCode.EXPIRED) from None
        except Refused as refusal:
            if refusal.code is not RefusalCode.UNAUTHORIZED:
                raise
            raise Farewell(DisconnectCode.INVALID_TOKEN, refusal.hint) from None
        if claims.channel:  # it may be read in a page by who may join that channel only
            raise Farewell(DisconnectCode.INVALID_TOKEN, "the token is for a subscription")
        if claims.sub != session.sender.user:
            raise Farewell(DisconnectCode.INVALID_TOKEN, "the token is another user's")
        session.expires = trio_time(claims.exp)
        self._pulse.hasten(session)
        ttl = seconds_left(session.expires)
        return RefreshResult(session.id, VERSION, ttl > 0, ttl)

    def _check_in(self, session: CentrifugeSession, channel: str) -> None:
        """Who is somewhere may know who else is, and what was said."""
        if not channel:
            raise Farewell(DisconnectCode.BAD_REQUEST, "no channel")
        if channel not in session.subscriptions:
            raise CommandError(ErrorCode.PERMISSION_DENIED, "subscribe to the channel first")


def _page(publications: Sequence[Publication]) -> Sequence[Publication]:
    """The first of them, within _MAX_PAGE; the client asks for the next from where they end."""
    sizes = accumulate(len(publication.data) for publication in publications)
    fitting = sum(1 for size in sizes if size <= _MAX_PAGE)
    return publications[: max(fitting, 1)]
