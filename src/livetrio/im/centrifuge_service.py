"""CentrifugeService: clients of Centrifugo's SDKs, from their first byte to the last.

`/connection/websocket` in JSON and Protobuf; `/connection/http_stream` and `/connection/sse` for
where WebSockets do not get through, with commands sent to `/emulation`. A conversation is
CONNECT, then commands in any order; the SDKs reconnect, recover and renew tokens by themselves.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import trio

from livetrio.errors import RefusalCode, Refused, RemoteProtocolError
from livetrio.im.centrifuge_carriers import Carrier, WebSocketCarrier
from livetrio.im.centrifuge_commands import Commands
from livetrio.im.centrifuge_connecting import Connecting
from livetrio.im.centrifuge_emulation import Emulation
from livetrio.im.centrifuge_errors import CommandError, Farewell, error_reply
from livetrio.im.centrifuge_policy import CentrifugePolicy
from livetrio.im.centrifuge_pulse import Pulse
from livetrio.im.centrifuge_session import CentrifugeSession
from livetrio.im.centrifuge_subscribing import Subscribing
from livetrio.im.centrifuge_views import websocket_view
from livetrio.im.hub import Hub
from livetrio.im.identity import Identities, Identity
from livetrio.logs import get_logger
from livetrio.net.exchange import Exchange
from livetrio.net.http import Route
from livetrio.net.websocket import accept_websocket
from livetrio.wire.centrifuge.codes import DisconnectCode, may_reconnect
from livetrio.wire.centrifuge.commands import Command, ConnectRequest
from livetrio.wire.centrifuge.replies import Reply

__all__ = ["CentrifugeService"]

log = get_logger(__name__)

_PATH = "/connection/websocket"
_JSON, _PROTOBUF = "centrifuge-json", "centrifuge-protobuf"
_BATCH = 64
"""Commands done before others run."""


class CentrifugeService:
    """Made by the composition root; somebody has to start `run`."""

    def __init__(
        self, hub: Hub, identities: Identities, policy: CentrifugePolicy | None = None
    ) -> None:
        self._hub = hub
        self._policy = policy = policy or CentrifugePolicy()
        self.node = secrets.token_urlsafe(12)
        """Our name, as clients and the server API are told it."""
        self._pulse = Pulse(hub, policy)
        self.subscribing = Subscribing(hub, identities.tokens, self._pulse)
        """For the server API."""
        self._connecting = Connecting(identities, self.subscribing, policy, self.node)
        self._commands = Commands(hub, identities.tokens, self.subscribing, self._pulse, policy)
        self._emulation = Emulation(self.node, policy, self._converse)

    async def run(self) -> None:
        """Ping, and end what has expired, until cancelled."""
        await self._pulse.run()

    def routes(self) -> list[Route]:
        """For the IM port."""
        websocket = Route(frozenset({"GET"}), _PATH.__eq__, self._upgrade)
        return [websocket, *self._emulation.routes()]

    def refresh(self, session: CentrifugeSession, expires: float) -> None:
        """A back end says when a connection is to expire (Trio time)."""
        session.refresh(expires)
        self._pulse.hasten(session)

    async def _upgrade(self, exchange: Exchange) -> None:
        request = exchange.request
        offered = {
            word.strip() for word in request.headers.get("sec-websocket-protocol", "").split(",")
        }
        spoken = next((name for name in (_PROTOBUF, _JSON) if name in offered), "")
        protobuf = spoken == _PROTOBUF or "protobuf" in {
            request.query.get("format"),
            request.query.get("cf_protocol"),
        }
        websocket = accept_websocket(
            exchange, max_size=self._policy.frame_size, deflate=True, subprotocol=spoken
        )
        connection = exchange.connection
        view = websocket_view(protobuf=protobuf, deflate=websocket.deflate)
        exchange.go_on(lambda: self._converse(WebSocketCarrier(websocket, connection, view)))

    async def _converse(self, carrier: Carrier) -> None:
        """All of a connection."""
        try:
            opening = await self._hear_connect(carrier)
            if opening is not None:
                await self._serve(carrier, *opening)
        except Farewell as farewell:
            _say_farewell(carrier, farewell.code, farewell.why)
        except Refused as refusal:  # may not be here at all
            full = refusal.code is RefusalCode.TOO_MANY
            code = DisconnectCode.CONNECTION_LIMIT if full else DisconnectCode.PERMISSION_DENIED
            _say_farewell(carrier, code, refusal.reason)

    async def _hear_connect(
        self, carrier: Carrier
    ) -> tuple[CentrifugeSession, Identity, Command, Iterator[Command]] | None:
        """All that a session begins with; None if the peer has left before.

        Raises:
            Farewell: it does not become one.
        """
        refused = False
        with trio.move_on_after(self._policy.stale):
            while (commands := await carrier.commands()) is not None:
                command = _next(commands)
                if refused or command is None or command.connect is None or not command.id:
                    raise Farewell(DisconnectCode.BAD_REQUEST, "something else before connect")
                try:
                    session, identity = await self._connecting.admit(carrier, command.connect)
                except CommandError as error:
                    # The client may close and come with a new token; nothing else is heard.
                    self._refuse(carrier, command, error)
                    refused = True
                else:
                    return session, identity, command, commands
            return None
        raise Farewell(DisconnectCode.STALE)

    def _refuse(self, carrier: Carrier, command: Command, error: CommandError) -> None:
        log.info("connect refused", peer=str(carrier.connection), reason=error.message)
        carrier.connection.outbox.send(carrier.view.reply(error_reply(command.id, error)))

    async def _serve(
        self,
        carrier: Carrier,
        session: CentrifugeSession,
        identity: Identity,
        command: Command,
        commands: Iterator[Command] | None,
    ) -> None:
        request = command.connect
        assert request is not None
        with self._hub.present(session):
            self._pulse.add(session)
            try:
                if not await self._welcome(carrier, session, identity, command, request):
                    return
                del identity, command, request  # what an idle connection holds is counted in bytes
                while commands is not None and not session.closed:
                    await self._obey_all(session, commands)
                    await session.read()
                    del commands
                    commands = await carrier.commands()
            finally:
                self._pulse.discard(session)

    async def _welcome(
        self,
        carrier: Carrier,
        session: CentrifugeSession,
        identity: Identity,
        command: Command,
        request: ConnectRequest,
    ) -> bool:
        try:
            result = await self._connecting.welcome(session, identity, request)
        except CommandError as error:
            self._refuse(carrier, command, error)
            return False
        session.open(Reply(command.id, connect=result))
        return True

    async def _obey_all(self, session: CentrifugeSession, commands: Iterator[Command]) -> None:
        done = 0
        while not session.closed and (command := _next(commands)) is not None:
            await self._commands.obey(session, command)
            done += 1
            if done % _BATCH == 0:
                await trio.lowlevel.checkpoint()
                await session.read()


def _say_farewell(carrier: Carrier, code: DisconnectCode, why: str) -> None:
    tell = log.info if may_reconnect(code.code) else log.warning
    tell("connection ended", peer=str(carrier.connection), reason=code.reason, why=why)
    carrier.end(code.code, code.reason)


def _next(commands: Iterator[Command]) -> Command | None:
    """The next one; None if there is none.

    Raises:
        Farewell: it is broken.
    """
    try:
        return next(commands, None)
    except RemoteProtocolError as error:
        raise Farewell(DisconnectCode.BAD_REQUEST, str(error)) from None
