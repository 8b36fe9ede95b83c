"""What messaging is told: identity, channels, the keys of back ends."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

__all__ = ["ImConfig", "ImTokenConfig"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ImTokenConfig:
    """How the tokens of clients are verified; without any key none is valid."""

    secret: str = field(default="", repr=False)
    """For HS256, HS384 and HS512."""
    public_key: Path | None = None
    """PEM file, for RS*, PS*, ES* and EdDSA."""
    jwks_url: str = ""
    """Where the public keys are published (RFC 7517)."""
    algorithms: tuple[str, ...] = ()
    """Those accepted; empty: all that fit the kinds of keys given."""
    audience: str = ""
    """Must be among the token's `aud`, if set."""
    issuer: str = ""
    """Must be the token's `iss`, if set."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImConfig:
    """Messaging."""

    token: ImTokenConfig = ImTokenConfig()
    allow_anonymous: bool = False
    """May clients without a token connect? They have no user."""
    guests: bool = False
    """May everybody have a token for a user of his own, signed with `token.secret`?"""
    guest_roles: tuple[str, ...] = ()
    """Roles in those."""
    connect_url: str = ""
    """Asked by POST who a client without a token is."""
    goim_trust_mid: bool = False
    """Believe the `mid` that goim's clients say they are."""
    goim_domain: str = ""
    """Host name that goim's clients are told to connect to; empty: the one they have asked."""
    goim_heartbeat: float = 240.0
    """Seconds between two heartbeats of a goim client."""
    goim_heartbeat_max: int = 2
    """Heartbeats missed before its connection is closed."""
    goim_subscribers: int = 16
    """Connections that a user of goim v1 may have."""
    api_key: str = field(default="", repr=False)
    """Of Centrifugo's server API, `X-API-Key`; empty: that API is off."""
    history_size: int = 300
    """Publications that a live room remembers."""
    history_ttl: float = 300.0
    """Seconds that it does."""
    backlog: int = 0
    """The last of them, shown to those who enter without a position."""
    durable: tuple[str, ...] = ()
    """Patterns of channels that are committed to a log before a sender is acknowledged."""
    state: tuple[str, ...] = ()
    """Patterns of channels of which only the latest value counts."""
    tick: float = 0.25
    """The longest time (seconds here, milliseconds in the file) between two batches."""
    kick: Literal["keep", "same-device", "all"] = "keep"
    """Which older connections of a user a new one ends."""
    connections_per_user: int = 64
