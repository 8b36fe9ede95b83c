"""`POST /v1/guest`: a token for everybody who asks, naming a user who has never been before.

For sites that have no users of their own, and for the demo: chat and rooms know people by tokens,
and here one comes with nothing behind it but an address. Whoever is banned may come again as
somebody else, so bans of guests are by address or device.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence
from typing import Final

import jwt
import trio
from quart_trio.wrappers import TrioResponse as Response

from livetrio.access.throttle import FailureLimit
from livetrio.config import ImConfig, Network
from livetrio.control.answers import json_answer
from livetrio.control.body import read_body
from livetrio.control.fields import peer_address
from livetrio.control.rest import PROBLEM
from livetrio.control.signalling_answers import answered, preflight
from livetrio.control.table import Answer, Operation
from livetrio.errors import RefusalCode, Refused

__all__ = ["GUEST_PATH", "Guests"]

GUEST_PATH: Final = "/v1/guest"
_PREFIX: Final = "guest-"
_RANDOM: Final = 12
"""Bytes of a guest's name: nobody guesses another's, and no two are the same."""
_LIFE: Final = 86_400
"""Seconds that a token is valid: longer than anybody stays in a room."""
_MAX_NAME: Final = 64
_PER_MINUTE: Final = 30
"""Tokens for one address: a family, or an office behind one router."""
_HMAC: Final = ("HS256", "HS384", "HS512")
_BLOCK: Final = {"HS256": 64, "HS384": 128, "HS512": 128}
"""Bytes to which HMAC pads a key itself (RFC 2104 section 2); PyJWT warns of shorter ones."""

_ASKED: Final = {
    "type": "object",
    "properties": {"name": {"type": "string", "maxLength": _MAX_NAME}},
}
_GIVEN: Final = {
    "type": "object",
    "required": ["token", "user", "expires"],
    "properties": {
        "token": {"type": "string"},
        "user": {"type": "string"},
        "expires": {"type": "integer", "description": "Unix time, seconds"},
    },
}


class Guests:
    """The handler."""

    def __init__(
        self,
        config: ImConfig,
        *,
        trusted: Sequence[Network] = (),
        clock: Callable[[], float] = trio.current_time,
    ) -> None:
        """
        Args:
            config: of messaging; its token secret signs.
            trusted: proxies whose X-Forwarded-For is believed.
            clock: for the limit by address, seconds.
        """
        self._config = config
        self._trusted = trusted
        self._limit = FailureLimit(clock, failures=_PER_MINUTE)
        allowed = config.token.algorithms or _HMAC
        self._algorithm = next(name for name in _HMAC if name in allowed)

    def operations(self) -> list[Operation]:
        """For the table of web_addr; none where there are no guests."""
        if not self._config.guests:
            return []
        given = Answer("a token, whom it names, and until when", _GIVEN)
        refused = Answer("too many for one address", PROBLEM, "application/problem+json")
        return [
            Operation(
                GUEST_PATH, ("POST",), "A token for a guest", self.token, "im",
                {200: given, 429: refused}, body=_ASKED, forms=False,
            ),
            Operation(
                GUEST_PATH, ("OPTIONS",), "Preflight", self.options, "im",
                {204: Answer("what may be asked")},
            ),
        ]  # fmt: skip

    @answered
    async def token(self) -> Response:
        """POST /v1/guest: {"name": "Ann"}"""
        name = _shown((await read_body()).text("name", "", most=_MAX_NAME))
        if not self._limit.take(peer_address(self._trusted)):
            raise Refused(RefusalCode.TOO_MANY, "too many guests of one address")
        user = _PREFIX + secrets.token_urlsafe(_RANDOM)
        expires = int(time.time()) + _LIFE
        return json_answer(
            {"token": self._sign(user, name, expires), "user": user, "expires": expires}
        )

    @answered
    async def options(self) -> Response:
        """OPTIONS /v1/guest"""
        return preflight("POST, OPTIONS")

    def _sign(self, user: str, name: str, expires: int) -> str:
        config = self._config.token
        claims: dict[str, object] = {"sub": user, "exp": expires}
        if self._config.guest_roles:
            claims["roles"] = list(self._config.guest_roles)
        if name:
            claims["info"] = {"name": name}
        if config.audience:
            claims["aud"] = config.audience
        if config.issuer:
            claims["iss"] = config.issuer
        key = config.secret.encode().ljust(_BLOCK[self._algorithm], b"\0")
        return jwt.encode(claims, key, algorithm=self._algorithm)


def _shown(name: str) -> str:
    """A name without what cannot be seen or turns the text around it."""
    return "".join(char for char in name if char.isprintable()).strip()
