"""TURN credentials: time-limited names and passwords that Coturn checks by a shared secret.

The scheme is Coturn's `use-auth-secret` (draft-uberti-behave-turn-rest-00): the name carries its
own expiry, the password is an HMAC of the name. Nothing is asked of the TURN server, and its
names are never resolved here, so a dead DNS or a dead TURN server delays nobody.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from livetrio.config import TurnConfig

__all__ = ["IceServer", "Turn", "TurnGrant"]

_STEPS = 8
"""Expiries are rounded up to this fraction of the lifetime, so that one caller has few names."""


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

    def grant(self, caller: str) -> TurnGrant:
        """Credentials for a caller, the same name for some minutes.

        Coturn counts its quotas per name: a name that changed with every call would make
        `user-quota` worthless.

        Args:
            caller: its address. Not told to the TURN server, which would log it: a pseudonym is.
        """
        secret, ttl = self._config.secret.encode(), self._config.ttl
        now = self._clock()
        step = max(1.0, ttl / _STEPS)
        expiry = math.ceil((now + ttl) / step) * step
        user = hmac.new(secret, f"caller {caller}".encode(), hashlib.sha256).hexdigest()[:12]
        username = f"{int(expiry)}:{user}"
        digest = hmac.new(secret, username.encode(), hashlib.sha1).digest()  # what Coturn speaks
        password = base64.b64encode(digest).decode("ascii")
        return TurnGrant(username, password, int(expiry - now), tuple(self._config.urls))

    def servers(self, caller: str) -> Sequence[IceServer]:
        """The same as ICE servers, STUN ones (which take no credentials) among them."""
        if not self._config.urls:
            return ()
        grant = self.grant(caller)
        return [
            IceServer(url)
            if url.startswith(("stun:", "stuns:"))
            else IceServer(url, grant.username, grant.password)
            for url in grant.uris
        ]
