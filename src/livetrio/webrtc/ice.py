"""ICE, lite and controlled (RFC 8445 section 2.5): answers checks, finds no addresses itself.

The peer finds its way to our public address and says which one it uses; so no STUN server is
asked, no candidate of the peer's is needed (host names and mDNS names are never looked at), and
consent is what the peer proves by any authenticated traffic.

One thing that cannot prove: that an address is the peer's. Its credentials are its own, and the
sender of a datagram is whatever the peer writes into it, so a lite server could be made to flood
somebody else. Where a peer has more than one address, each is therefore sent a check in return
(RFC 7675), whose transaction only those can know who receive it there.
"""

from __future__ import annotations

import secrets
import string
from collections import Counter
from dataclasses import dataclass
from typing import Final

from livetrio.wire.stun import (
    REQUEST,
    SUCCESS,
    StunMessage,
    build_error,
    build_request,
    build_success,
)

__all__ = ["Challenge", "Checked", "IceAgent", "IceCredentials", "Throttle"]

_ICE_CHARS: Final = string.ascii_letters + string.digits + "+/"
_UFRAG_CHARS: Final = 8
_PWD_CHARS: Final = 24
"""At least 22, for 128 bits (RFC 8445 section 5.3)."""
_PRIORITY: Final = 110 << 24 | 0xFFFF << 8 | 0xFF
"""Of a peer-reflexive candidate, component 1 (RFC 8445 section 5.1.2.1)."""


@dataclass(frozen=True, slots=True)
class IceCredentials:
    """User name fragment and password, as in a=ice-ufrag and a=ice-pwd."""

    ufrag: str
    pwd: str

    def __repr__(self) -> str:
        return f"IceCredentials({self.ufrag!r})"

    @classmethod
    def make(cls) -> IceCredentials:
        return cls(_random(_UFRAG_CHARS), _random(_PWD_CHARS))


def _random(size: int) -> str:
    return "".join(secrets.choice(_ICE_CHARS) for _ in range(size))


@dataclass(frozen=True, slots=True)
class Checked:
    """What came of a check."""

    reply: bytes
    """To be sent where the check came from."""
    valid: bool = False
    """The address it came from is the peer's."""
    nominated: bool = False
    """The peer has chosen it."""


@dataclass(frozen=True, slots=True)
class Challenge:
    """A check of ours, to an address that is to prove itself."""

    transaction: bytes
    request: bytes
    password: str
    """The peer's own: it authenticates the answer."""

    def answered_by(self, message: StunMessage) -> bool:
        """Is this the answer?"""
        return (
            message.kind == SUCCESS
            and message.transaction == self.transaction
            and message.proves(self.password)
        )


class IceAgent:
    """The ICE state of one peer."""

    __slots__ = ("_former", "_tie_breaker", "local", "remote", "retired")

    def __init__(self) -> None:
        self.local = IceCredentials.make()
        """The newest generation."""
        self.remote: IceCredentials | None = None
        """The peer's own; None before its description."""
        self._former: IceCredentials | None = None
        self._tie_breaker = secrets.randbits(64)
        self.retired: list[str] = []
        """Fragments that count no more; whoever routes by them takes them out of here."""

    @property
    def ufrags(self) -> tuple[str, ...]:
        """Every fragment checks may still come under."""
        former = (self._former.ufrag,) if self._former else ()
        return (self.local.ufrag, *former)

    def restart(self) -> IceCredentials:
        """Make new credentials. The old ones hold until the first check under the new."""
        if self._former is None:
            self._former = self.local
        else:  # a second restart before the first one was used
            self.retired.append(self.local.ufrag)
        self.local = IceCredentials.make()
        return self.local

    def check(self, message: StunMessage, source: tuple[str, int]) -> Checked | None:
        """Judge a Binding request whose user name begins with one of `ufrags`.

        Returns None where there is nothing to say: the integrity check failed (an answer would
        serve reflection), or it is no request.
        """
        password = self._password(message.username.partition(":")[0])
        if message.kind != REQUEST or not password or not message.proves(password):
            return None
        if message.unknown:
            return self._error(message, 420, "Unknown Attribute", password)
        if message.controlling is None and message.controlled is None:
            return self._error(message, 400, "Bad Request", password)
        if message.controlled is not None:
            # A lite agent cannot control, whatever the tie-breakers say (RFC 8445 7.3.1.1).
            return self._error(message, 487, "Role Conflict", password)
        if self._former is not None and password == self.local.pwd:
            self.retired.append(self._former.ufrag)
            self._former = None
        reply = build_success(message.transaction, source, password)
        return Checked(reply, valid=True, nominated=message.use_candidate)

    def challenge(self) -> Challenge | None:
        """A new check of ours; None before the peer's credentials are known."""
        remote = self.remote
        if remote is None:
            return None
        transaction = secrets.token_bytes(12)
        request = build_request(
            transaction,
            f"{remote.ufrag}:{self.local.ufrag}",
            remote.pwd,
            priority=_PRIORITY,
            controlled=self._tie_breaker,
        )
        return Challenge(transaction, request, remote.pwd)

    def _password(self, ufrag: str) -> str:
        if ufrag == self.local.ufrag:
            return self.local.pwd
        if self._former is not None and ufrag == self._former.ufrag:
            return self._former.pwd
        return ""

    @staticmethod
    def _error(message: StunMessage, code: int, reason: str, password: str) -> Checked:
        return Checked(
            build_error(message.transaction, code, reason, password, unknown=message.unknown)
        )


class Throttle:
    """Counts failed checks per source and fragment: a flood must not cost an HMAC each.

    Per both: whoever forges the address of somebody else does not know the fragment of that one's
    session, and cannot shut it out. Checks under no known fragment cost no HMAC anyway.
    """

    __slots__ = ("_counts", "_limit", "_second", "_sources")

    def __init__(self, limit: int = 50, sources: int = 4096) -> None:
        """
        Args:
            limit: failures of one source per second before it is not listened to.
            sources: so many are counted at once; beyond, nobody new is counted, nor shut out.
        """
        self._limit = limit
        self._sources = sources
        self._counts: Counter[str] = Counter()
        self._second = 0

    def blocked(self, source: str, now: float) -> bool:
        """Has it failed too often in this second (of Trio's clock)?"""
        if int(now) != self._second:
            self._second = int(now)
            self._counts.clear()
        return self._counts[source] >= self._limit if source in self._counts else False

    def failed(self, source: str) -> None:
        """Count a check that was not authentic."""
        if source in self._counts or len(self._counts) < self._sources:
            self._counts[source] += 1
