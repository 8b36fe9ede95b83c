"""`GET /v1/turn`: time-limited TURN credentials, for whoever may use them anyway."""

from __future__ import annotations

from quart import request
from quart_trio.wrappers import TrioResponse as Response

from livetrio.config import JwtConfig
from livetrio.control.answers import BadRequest, json_answer
from livetrio.control.jwt import TokenError, check_token
from livetrio.control.signalling import Signalling
from livetrio.control.signalling_answers import answered, bearer, preflight
from livetrio.control.table import Answer, Operation, Parameter
from livetrio.errors import RefusalCode, Refused
from livetrio.media.registry import Registry
from livetrio.webrtc.session import Asked
from livetrio.webrtc.turn import Turn

__all__ = ["TurnRoute"]

_GRANT = {
    "type": "object",
    "required": ["username", "password", "ttl", "uris"],
    "properties": {
        "username": {"type": "string", "description": "expiry (Unix time) and a pseudonym"},
        "password": {"type": "string"},
        "ttl": {"type": "integer", "description": "seconds"},
        "uris": {"type": "array", "items": {"type": "string"}},
    },
}


class TurnRoute:
    """The handler.

    A relay carries whatever its users send, so an open door to it is an open door to the net.
    Three callers are let in: one with an operator's token, one whose token proves the stream it
    names, and, for a few minutes and where `turn.viewers` is not off, one who names a stream
    that is live and that it may watch (its WHEP answer would tell it the same).
    """

    def __init__(
        self, signalling: Signalling, turn: Turn, registry: Registry, jwt: JwtConfig
    ) -> None:
        self._signalling = signalling
        self._turn = turn
        self._registry = registry
        self._jwt = jwt

    def operations(self) -> list[Operation]:
        """For the table."""
        parameters = (
            Parameter("app", "application of the stream"),
            Parameter("stream", "its name (to watch), or its key or room (to publish)"),
        )
        return [
            Operation(
                "/v1/turn", ("GET",), "TURN credentials", self.credentials, "webrtc",
                {200: Answer("as draft-uberti-behave-turn-rest", _GRANT)}, parameters=parameters,
            ),
            Operation(
                "/v1/turn", ("OPTIONS",), "Preflight", self.options, "webrtc", {204: Answer("yes")}
            ),
        ]  # fmt: skip

    @answered
    async def credentials(self) -> Response:
        """GET /v1/turn?app=&stream="""
        if not self._turn:
            hint = "set turn.urls and turn.secret"
            raise Refused(RefusalCode.NOT_FOUND, "no TURN server is configured", hint=hint)
        app, stream = request.args.get("app", ""), request.args.get("stream", "")
        asked = self._signalling.asked(app, stream, "turn")
        proven = self._is_operator(asked.token) or await self._check(asked)
        grant = self._turn.grant(asked.peer, proven=proven)
        return json_answer(
            {
                "username": grant.username,
                "password": grant.password,
                "ttl": grant.ttl,
                "uris": grant.uris,
            }
        )

    @answered
    async def options(self) -> Response:
        """OPTIONS /v1/turn"""
        return preflight("GET, OPTIONS")

    def _is_operator(self, token: str) -> bool:
        if not self._jwt.secret or not token:
            return False
        try:
            check_token(token, self._jwt)
        except TokenError:
            return False
        return True

    async def _check(self, asked: Asked) -> bool:
        """Has it proved a stream? False: it may but watch one."""
        if not asked.app or not asked.name:
            if bearer():
                raise Refused(RefusalCode.UNAUTHORIZED, "the token is no operator's")
            raise BadRequest("app and stream are missing")
        if asked.token and await self._signalling.proves(asked):
            return True
        gate = self._signalling.sessions.gate
        key = await gate.may_play(asked.app, asked.name, asked.query, asked.peer)
        stream = self._registry.streams.get(key)
        if stream is None or stream.publication is None:
            # Not "not found": a publisher without its token shall learn what is missing.
            raise Refused(RefusalCode.UNAUTHORIZED, "no such live stream, and no token to publish")
        return False
