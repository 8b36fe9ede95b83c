"""Identity: who a new connection is: by its token, by asking the site's hook, or nobody."""

from __future__ import annotations

import json
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

from livetrio.access.im_token import Claims, ImTokens
from livetrio.errors import RefusalCode, Refused
from livetrio.im.words import Sender
from livetrio.logs import get_logger

__all__ = ["Identities", "Identity"]

log = get_logger(__name__)

Post = Callable[[str, bytes], Awaitable[bytes]]
"""POST JSON to a URL; the body of the answer. Raises Refused (UNAVAILABLE)."""

_MAX_TEXT: Final = 255
_MAX_INFO: Final = 4096
_MAX_CHANNELS: Final = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What is known of whoever connects."""

    user: str = ""
    """"" is anonymous."""
    device: str = ""
    info: bytes = b""
    roles: frozenset[str] = frozenset()
    channels: tuple[str, ...] = ()
    """What it is to be joined to at once."""
    expires: float = math.inf
    """Unix time, seconds."""
    data: Any = None
    """JSON that the hook wants told to the client (Centrifugo's connect `data`)."""

    def sender(self, client: str, ip: str) -> Sender:
        """As the hub knows it."""
        return Sender(self.user, client, self.device, ip, self.roles, self.info)


class Identities:
    """Asked once per connection, before anything is told to it."""

    def __init__(
        self,
        tokens: ImTokens,
        *,
        allow_anonymous: bool = False,
        connect_url: str = "",
        post: Post | None = None,
    ) -> None:
        self.tokens = tokens
        self._anonymous = allow_anonymous
        self._connect_url = connect_url if post is not None else ""
        self._post = post

    async def identify(
        self,
        token: str,
        *,
        client: str,
        ip: str,
        protocol: str,
        data: Any = None,
        device: str = "",
    ) -> Identity:
        """Who this is. A token that is given must be valid, whatever else is allowed.

        Args:
            token: "" is none.
            client: the connection's id, ip, protocol: told to the hook.
            data: what the client sent with its connect (JSON), for the hook.
            device: what the client says; a token's word counts more.

        Raises:
            TokenExpired: the client may come again with a new token.
            Refused: UNAUTHORIZED, with what to configure as the hint; FORBIDDEN, the hook said
                no; UNAVAILABLE, keys or hook cannot be reached.
        """
        if token:
            claims = await self.tokens.verify(token)
            if claims.channel:  # it may be read in a page by who may join that channel only
                raise Refused(RefusalCode.UNAUTHORIZED, "that token is for a subscription")
            if not claims.sub and not self._anonymous:
                raise Refused(RefusalCode.UNAUTHORIZED, "the token names no user")
            return _of_claims(claims, device[:_MAX_TEXT])
        if self._connect_url and self._post is not None:
            question = {
                "client": client,
                "ip": ip,
                "protocol": protocol,
                "device": device,
                "data": data,
            }
            body = json.dumps(question, separators=(",", ":")).encode()
            return _of_answer(await self._post(self._connect_url, body))
        if self._anonymous:
            return Identity(device=device[:_MAX_TEXT])
        raise Refused(
            RefusalCode.UNAUTHORIZED,
            "a token is needed",
            hint="im.token verifies tokens; im.allow_anonymous: true lets everybody in",
        )


def _of_claims(claims: Claims, device: str) -> Identity:
    return Identity(
        user=claims.sub,
        device=claims.device or device,
        info=claims.info,
        roles=claims.roles,
        channels=claims.channels,
        expires=claims.exp,
    )


def _of_answer(body: bytes) -> Identity:
    """Centrifugo's connect proxy: {"result": {...}}, {"disconnect": {...}} or {"error": {...}}."""
    try:
        answer = json.loads(body)
        if answer.get("disconnect") or answer.get("error"):
            word = answer.get("disconnect") or answer["error"]
            reason = str(word.get("reason") or word.get("message") or "the hook said no")
            raise Refused(RefusalCode.FORBIDDEN, reason[:100])
        result = answer["result"]
        user, device = result.get("user", ""), result.get("device", "")
        channels, roles = result.get("channels") or [], result.get("roles") or []
        texts = [user, device, *channels, *roles]
        if not all(isinstance(text, str) and len(text) <= _MAX_TEXT for text in texts):
            raise TypeError("user, device, channels and roles must be short texts")
        if len(channels) > _MAX_CHANNELS:
            raise ValueError("too many channels")
        info = result.get("info")
        shown = b"" if info is None else json.dumps(info, ensure_ascii=False).encode()
        if len(shown) > _MAX_INFO:
            raise ValueError("too large an info")
        return Identity(
            user=user,
            device=device,
            info=shown,
            roles=frozenset(roles),
            channels=tuple(channels),
            expires=float(result.get("expire_at") or math.inf),
            data=result.get("data"),
        )
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        log.warning("the connect hook's answer cannot be used", reason=str(error))
        raise Refused(RefusalCode.UNAVAILABLE, "the connect hook's answer is no use") from None
