"""Subscribing: into channels and out of them, with the tokens of those that need one."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from livetrio.access.im_token import Claims, ImTokens, TokenExpired
from livetrio.errors import RefusalCode, Refused
from livetrio.im.centrifuge_errors import CommandError, Farewell
from livetrio.im.centrifuge_pulse import Pulse
from livetrio.im.centrifuge_session import (
    CentrifugeSession,
    Subscription,
    seconds_left,
    trio_time,
)
from livetrio.im.hub import Hub
from livetrio.im.options import ChannelOptions, Kind, check_channel
from livetrio.im.words import Joined, Position
from livetrio.logs import get_logger
from livetrio.wire.centrifuge.codes import DisconnectCode, ErrorCode
from livetrio.wire.centrifuge.commands import SubRefreshRequest, SubscribeRequest
from livetrio.wire.centrifuge.replies import SubRefreshResult, SubscribeResult

__all__ = ["Subscribing"]

log = get_logger(__name__)

_REJECT_UNRECOVERED: Final = 2
_FOSSIL: Final = "fossil"


@dataclass(frozen=True, slots=True)
class _Terms:
    """How a subscription is to be."""

    positioned: bool
    recoverable: bool
    moves: bool
    expires: float
    """Trio time."""


class Subscribing:
    """One for all sessions."""

    def __init__(self, hub: Hub, tokens: ImTokens, pulse: Pulse) -> None:
        self._hub = hub
        self._tokens = tokens
        self._pulse = pulse

    async def subscribe(
        self, session: CentrifugeSession, request: SubscribeRequest
    ) -> SubscribeResult:
        """Into a channel, as the client asks. The result must be sent before the next await.

        Raises:
            CommandError, Refused: not in there.
            Farewell: the token is not this client's, or the request makes no sense.
        """
        channel = request.channel
        if not channel or request.delta not in {"", _FOSSIL}:
            raise Farewell(DisconnectCode.BAD_REQUEST, "subscribe: no channel, or unknown delta")
        if request.type:
            raise CommandError(ErrorCode.NOT_AVAILABLE)
        if request.tf:
            raise CommandError(ErrorCode.BAD_REQUEST, "filters by tags are not available")
        claims = None
        if request.token or not self._hub.namespaces.admits(channel, session.sender.user):
            claims = await self._claims(session, channel, request.token)
        terms = _terms(self._hub.namespaces.of(channel), request, claims)
        joined = await self._join(session, request, terms, server_side=False)
        if request.recover and not joined.recovered and request.flag & _REJECT_UNRECOVERED:
            self._hub.leave(session, channel)
            session.forget(channel)
            raise CommandError(ErrorCode.UNRECOVERABLE_POSITION)
        return _result(session, request, terms, joined)

    async def take(self, session: CentrifugeSession, request: SubscribeRequest) -> SubscribeResult:
        """Into a channel because the server says so. The result must be sent before the next
        await. Positioned where that helps: in a live room it is better to lose some.

        Raises:
            Refused: not in there.
        """
        options = self._hub.namespaces.of(request.channel)
        counts = not options.live and _remembers(options)
        terms = _Terms(counts, counts, moves=False, expires=math.inf)
        joined = await self._join(session, request, terms, server_side=True)
        return _result(session, request, terms, joined)

    def unsubscribe(self, session: CentrifugeSession, channel: str) -> None:
        """Out of a channel; nothing happens if it is not in there.

        Raises:
            Farewell: no channel is named.
        """
        if not channel:
            raise Farewell(DisconnectCode.BAD_REQUEST, "unsubscribe: no channel")
        self._hub.leave(session, channel)
        session.forget(channel)

    async def refresh(
        self, session: CentrifugeSession, request: SubRefreshRequest
    ) -> SubRefreshResult:
        """A new token for a subscription.

        Raises:
            CommandError: it is not in there; the token has expired.
            Farewell: the token is not this client's.
        """
        if not request.channel:
            raise Farewell(DisconnectCode.BAD_REQUEST, "sub_refresh: no channel")
        if request.channel not in session.subscriptions:
            raise CommandError(ErrorCode.PERMISSION_DENIED)
        if not request.token:
            raise CommandError(ErrorCode.BAD_REQUEST, "a token is needed")
        expires = _expiry(await self._claims(session, request.channel, request.token))
        subscription = session.subscriptions.get(request.channel)
        if subscription is None:  # taken out of it meanwhile
            raise CommandError(ErrorCode.PERMISSION_DENIED)
        subscription.expires = expires
        self._pulse.hasten(session)
        ttl = seconds_left(expires)
        return SubRefreshResult(ttl > 0, ttl)

    async def _join(
        self,
        session: CentrifugeSession,
        request: SubscribeRequest,
        terms: _Terms,
        *,
        server_side: bool,
    ) -> Joined:
        channel = check_channel(request.channel)
        if channel in session.subscriptions:
            raise CommandError(ErrorCode.ALREADY_SUBSCRIBED)
        since = None
        if request.recover and terms.recoverable:
            room = self._hub.channels.find(channel)
            # Without an epoch only the beginning is a position: an offset alone may be of another
            # numbering. 0 says "from the first one on", whatever the epoch.
            anew = room.epoch if room is not None and not request.offset else ""
            epoch = request.epoch or anew
            since = Position(epoch, request.offset)
        subscription = Subscription(server_side, terms.positioned, terms.expires)
        session.subscribed(channel, subscription, delta=request.delta == _FOSSIL)
        joined = None
        try:
            joined = await self._hub.join(session, channel, recover_from=since, moves=terms.moves)
        finally:
            if joined is None:
                session.forget(channel)
        if self._hub.members.get(session.id) is not session:
            # Told to go while a log was asked.
            self._hub.leave(session, channel)
            raise Farewell(DisconnectCode.CLOSED)
        if not math.isinf(terms.expires):
            self._pulse.hasten(session)
        return joined

    async def _claims(self, session: CentrifugeSession, channel: str, token: str) -> Claims:
        """What a subscription token says, which must be about this client and channel."""
        if not token:
            raise CommandError(ErrorCode.PERMISSION_DENIED, "a token is needed for this channel")
        try:
            claims = await self._tokens.verify(token)
        except TokenExpired:
            raise CommandError(ErrorCode.TOKEN_EXPIRED) from None
        except Refused as refusal:
            if refusal.code is not RefusalCode.UNAUTHORIZED:
                raise
            raise Farewell(DisconnectCode.INVALID_TOKEN, refusal.hint) from None
        mine = claims.client in {"", session.id} and claims.sub == session.sender.user
        if claims.channel != channel or not mine:
            raise Farewell(DisconnectCode.INVALID_TOKEN, "the token is not for this subscription")
        if _expiry(claims) <= trio_time(time.time()):
            raise CommandError(ErrorCode.EXPIRED)
        return claims


def _remembers(options: ChannelOptions) -> bool:
    return options.kind is not Kind.EPHEMERAL or options.history_size > 0


def _terms(options: ChannelOptions, request: SubscribeRequest, claims: Claims | None) -> _Terms:
    """What the client asks for, the token grants and the channel can do."""
    override = _override(claims)
    recoverable = _remembers(options) and (
        request.recoverable
        or request.recover
        or options.kind is Kind.DURABLE
        or override.get("force_recovery", False)
    )
    positioned = recoverable or request.positioned or override.get("force_positioning", False)
    moves = request.join_leave or override.get("force_push_join_leave", False)
    return _Terms(positioned, recoverable, moves, _expiry(claims))


def _override(claims: Claims | None) -> Mapping[str, bool]:
    """The token's wishes for this subscription: {"force_recovery": {"value": true}}."""
    found: Any = claims.every.get("override") if claims is not None else None
    if not isinstance(found, dict):
        return {}
    return {
        name: wish.get("value") is True for name, wish in found.items() if isinstance(wish, dict)
    }


def _expiry(claims: Claims | None) -> float:
    """When a subscription ends, Trio time: `expire_at` (0: never) counts more than `exp`."""
    if claims is None:
        return math.inf
    unix = claims.every.get("expire_at")
    if not isinstance(unix, int | float) or not math.isfinite(unix):
        unix = claims.exp
    elif unix <= 0:
        return math.inf
    return trio_time(unix)


def _result(
    session: CentrifugeSession, request: SubscribeRequest, terms: _Terms, joined: Joined
) -> SubscribeResult:
    ttl = seconds_left(terms.expires)
    result = SubscribeResult(
        expires=ttl > 0,
        ttl=ttl,
        recoverable=terms.recoverable,
        positioned=terms.positioned,
        recovered=joined.recovered,
        was_recovering=request.recover,
        delta=request.delta == _FOSSIL,
    )
    if terms.positioned:
        result.epoch = joined.position.epoch
        result.offset = request.offset if joined.recovered else joined.position.offset
    result.publications = session.view.publications(request.channel, joined.publications)
    return result
