"""TURN credentials: time-limited names and passwords that Coturn checks by a shared secret.

The scheme is Coturn's `use-auth-secret` (draft-uberti-behave-turn-rest-00): the name carries its
own expiry, the password is an HMAC of the name. Nothing is asked of the TURN server, and its
names are never resolved here, so a dead DNS or a dead TURN server delays nobody.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from livetrio.access.throttle import one_peer
from livetrio.config import TurnConfig
from livetrio.errors import RefusalCode, Refused

__all__ = ["IceServer", "Turn", "TurnGrant"]

_STUN = ("stun:", "stuns:")
_STEPS = 8
"""Expiries are rounded down to this fraction of the lifetime, so that one caller has few names."""


@dataclass(frozen=True, slots=True)
class IceServer:
    """One server a client may use, in the words of W3C's RTCIceServer."""

    url: str
    username: str = ""
    credential: str = ""

    @property
    def link(self) -> str:
        """As a Link header's value (RFC 9725 4.6)."""
        value = f'<{self.url}>; rel="ice-server"'
        if self.username:
            value += (
                f'; username="{self.username}"; credential="{self.credential}"'
                '; credential-type="password"'
            )
        return value


@dataclass(frozen=True, slots=True)
class TurnGrant:
    """What a caller may use, and for how long."""

    username: str
    password: str
    ttl: int
    """Seconds from now on that the name is good for."""
    uris: tuple[str, ...]


class Turn:
    """Gives credentials out, as configured."""

    def __init__(self, config: TurnConfig, *, clock: Callable[[], float] = time.time) -> None:
        """clock: Unix time; Coturn's host must agree with it to within the lifetime."""
        self._config = config
        self._clock = clock

    def __bool__(self) -> bool:
        """Is there a server to give credentials for?"""
        return bool(self._config.urls)

    def grant(self, caller: str, *, proven: bool) -> TurnGrant:
        """Credentials for a caller, the same name for some minutes.

        Coturn counts its quotas per name: a name that changed with every call would make
        `user-quota` worthless. So would one for each of the addresses that one IPv6 line has.

        Args:
            caller: its address. Not told to the TURN server, which would log it: a pseudonym is.
            proven: has it shown a stream key or an operator's token? A relay carries whatever its
                user sends; everybody else has `turn.viewer_ttl` to begin with it, or nothing.

        Raises:
            Refused: UNAUTHORIZED, these servers are not for viewers.
        """
        config = self._config
        if not (proven or config.viewers):
            reason = "TURN credentials need a stream key or an operator's token"
            raise Refused(RefusalCode.UNAUTHORIZED, reason, hint="turn.viewers: false")
        secret = config.secret.encode()
        ttl = config.ttl if proven else min(config.viewer_ttl, config.ttl)
        now = self._clock()
        step = max(1.0, ttl / _STEPS)
        expiry = int((now + ttl) // step * step)
        peer = f"caller {one_peer(caller)}".encode()
        user = hmac.new(secret, peer, hashlib.sha256).hexdigest()[:12]
        username = f"{expiry}:{user}"
        digest = hmac.new(secret, username.encode(), hashlib.sha1).digest()  # what Coturn speaks
        password = base64.b64encode(digest).decode("ascii")
        return TurnGrant(username, password, int(expiry - now), tuple(config.urls))

    def servers(self, caller: str, *, proven: bool) -> Sequence[IceServer]:
        """The same as ICE servers; STUN ones take no credentials and are for everybody."""
        config = self._config
        plain = [IceServer(url) for url in config.urls if url.startswith(_STUN)]
        if len(plain) == len(config.urls) or not (proven or config.viewers):
            return plain
        grant = self.grant(caller, proven=proven)
        name, password = grant.username, grant.password
        return [
            IceServer(url) if url.startswith(_STUN) else IceServer(url, name, password)
            for url in config.urls
        ]
