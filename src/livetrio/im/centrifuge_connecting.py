"""Connecting: from CONNECT to a session, and the answer with the server's own subscriptions."""

from __future__ import annotations

import json
import uuid
from typing import Any

from livetrio.access.im_token import TokenExpired
from livetrio.errors import RefusalCode, Refused
from livetrio.im.centrifuge_carriers import Carrier
from livetrio.im.centrifuge_commands import VERSION
from livetrio.im.centrifuge_errors import CommandError, Farewell, error_of
from livetrio.im.centrifuge_policy import CentrifugePolicy
from livetrio.im.centrifuge_session import CentrifugeSession, seconds_left, trio_time
from livetrio.im.centrifuge_subscribing import Subscribing
from livetrio.im.identity import Identities, Identity
from livetrio.logs import get_logger
from livetrio.wire.centrifuge.codes import DisconnectCode, ErrorCode
from livetrio.wire.centrifuge.commands import ConnectRequest, SubscribeRequest
from livetrio.wire.centrifuge.json_codec import as_json, json_payload
from livetrio.wire.centrifuge.replies import ConnectResult, SubscribeResult

__all__ = ["Connecting"]

log = get_logger(__name__)

_PROTOCOL = "centrifuge"
_NEVER_ASKED = SubscribeRequest()


class Connecting:
    """One for all connections."""

    def __init__(
        self, identities: Identities, subscribing: Subscribing, policy: CentrifugePolicy, node: str
    ) -> None:
        """node: our name, to which emulated connections send their commands."""
        self._identities = identities
        self._subscribing = subscribing
        self._policy = policy
        self._node = node

    async def admit(
        self, carrier: Carrier, request: ConnectRequest
    ) -> tuple[CentrifugeSession, Identity]:
        """Who is this?

        Raises:
            CommandError: the token has expired, or it cannot be found out now.
            Farewell: the token is not valid, or the site does not want this client.
        """
        client = str(uuid.uuid4())
        peer = carrier.connection.peer
        try:
            identity = await self._identities.identify(
                request.token,
                client=client,
                ip=peer,
                protocol=_PROTOCOL,
                data=_value(request.data),
            )
        except TokenExpired as expired:
            raise CommandError(ErrorCode.TOKEN_EXPIRED) from expired
        except Refused as refusal:
            why = f"{refusal.reason}: {refusal.hint}" if refusal.hint else refusal.reason
            match refusal.code:
                case RefusalCode.UNAUTHORIZED:
                    raise Farewell(DisconnectCode.INVALID_TOKEN, why) from None
                case RefusalCode.FORBIDDEN:
                    raise Farewell(DisconnectCode.PERMISSION_DENIED, why) from None
                case _:
                    raise error_of(refusal) from None
        session = CentrifugeSession(carrier, identity.sender(client, peer))
        session.expires = trio_time(identity.expires)
        return session, identity

    async def welcome(
        self, session: CentrifugeSession, identity: Identity, request: ConnectRequest
    ) -> ConnectResult:
        """Join what the token says, but for what he is banned from; the answer to CONNECT.

        Raises:
            CommandError: one of them cannot be joined.
            Farewell: there are too many of them.
        """
        ttl = seconds_left(session.expires)
        result = ConnectResult(
            session.id,
            VERSION,
            ttl > 0,
            ttl,
            ping=max(1, round(self._policy.ping)),
            pong=True,
            session=session.session,
            node=self._node if session.session else "",
        )
        if identity.data is not None:
            result.data = json_payload(identity.data)
        for channel in identity.channels:
            known = request.subs.get(channel, _NEVER_ASKED)
            try:
                result.subs[channel] = await self._take(session, channel, known)
            except Refused as refusal:
                # Banned from one room is no reason to be kept out of all others.
                if refusal.code is not RefusalCode.FORBIDDEN:
                    raise error_of(refusal) from None
                log.info("left out", user=session.sender.user, room=channel, why=refusal.reason)
        return result

    async def _take(
        self, session: CentrifugeSession, channel: str, known: SubscribeRequest
    ) -> SubscribeResult:
        wanted = SubscribeRequest(
            channel, recover=known.recover, epoch=known.epoch, offset=known.offset
        )
        try:
            return await self._subscribing.take(session, wanted)
        except Refused as refusal:
            if refusal.code is RefusalCode.TOO_MANY:
                raise Farewell(DisconnectCode.CHANNEL_LIMIT, refusal.reason) from None
            raise


def _value(data: bytes) -> Any:
    """A payload for the connect hook."""
    return json.loads(as_json(data)) if data else None
