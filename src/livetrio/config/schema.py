"""What the program is told: one frozen slice per service, composed in `Config`.

Each service is handed its slice and nothing else. Secrets stay out of every repr. Times are
seconds unless a field says otherwise.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Literal, NamedTuple

__all__ = [
    "AccessConfig",
    "Address",
    "AppConfig",
    "Config",
    "ConnectionConfig",
    "ControlConfig",
    "Endpoint",
    "JwtConfig",
    "ListenConfig",
    "LogConfig",
    "MediaConfig",
    "Network",
    "Notice",
    "RedisConfig",
    "RelayConfig",
    "StoreConfig",
    "TlsConfig",
]

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Address(NamedTuple):
    """Where to listen or whom to call; written as Go does, ":1935" or "[::1]:1935"."""

    host: str | None
    """None is every interface, IPv4 and IPv6."""
    port: int
    """0 lets the kernel choose."""

    def __str__(self) -> str:
        host = self.host or ""
        return f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsConfig:
    """Certificate chain and private key, PEM."""

    cert: Path
    key: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One listener."""

    address: Address | None = None
    """None: off."""
    tls: TlsConfig | None = None

    def __str__(self) -> str:
        if self.address is None:
            return "off"
        return f"{self.address} (TLS)" if self.tls else str(self.address)


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenConfig:
    """All listeners, named as their keys are without "_addr"."""

    rtmp: Endpoint = Endpoint(address=Address(None, 1935))
    """TLS here is livego's `enable_rtmps`."""
    rtmps: Endpoint = Endpoint()
    """The second listener; always with TLS."""
    httpflv: Endpoint = Endpoint(address=Address(None, 7001))
    web: Endpoint = Endpoint(address=Address(None, 8000))
    api: Endpoint = Endpoint(address=Address("127.0.0.1", 8090))


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionConfig:
    """What any connection may cost, and when it is given up."""

    read_timeout: float = 10.0
    """A publisher, or a peer with an unfinished request, silent for longer is gone."""
    write_timeout: float = 10.0
    """A viewer that takes not one byte for longer is gone."""
    max_connections: int = 20_000
    """Per listener."""
    max_connections_per_ip: int = 5_000
    """Over all listeners; a trusted proxy itself is not counted, those it speaks for are."""
    trusted_proxies: tuple[Network, ...] = ()
    """Whose X-Forwarded-For and PROXY headers are believed."""
    max_lag: float = 5.0
    """A viewer further behind jumps to the newest key frame."""
    grace_period: float = 10.0
    """For goodbyes, between SIGTERM and the end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaConfig:
    """How streams are kept and sent."""

    gop_num: int = 1
    """Groups of pictures a newcomer is given at once; 0: it starts at the next key frame."""
    merge_window: float = 0.35
    """Longest time (seconds here, milliseconds in the file) between two flushes to a viewer;
    0: always at once."""
    resume_window: float = 10.0
    """Viewers stay on that long for a publisher that vanished."""
    play_wait: float = 5.0
    """A player waits that long for its publisher before it is told "not found"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AppConfig:
    """One entry of `server:`."""

    name: str
    live: bool = True
    """False: neither publishing nor playing."""
    hls: bool = True
    flv: bool = True
    """HTTP-FLV and WS-FLV, out and in."""
    api: bool = True
    """Its streams may be relayed and stopped through the API."""
    auth: Literal["key", "none"] = "key"
    """key: publish with a room key. none: any name, as in nginx-rtmp."""
    static_push: tuple[str, ...] = field(default=(), repr=False)
    """Base URLs (rtmp, rtmps); every stream of this app is pushed to `url/name`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessConfig:
    """Who may publish over whom."""

    rtmp_noauth: bool = False
    """Every app takes plain names, as with `auth: none`."""
    strict_keys: bool = False
    """Refuse to publish with a room's name, which livego allows as a stream of its own."""
    override_publisher: Literal["auto", "always", "never"] = "auto"
    """Whether a second publisher takes over. auto: with the same key yes, without a key no."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisConfig:
    """Where room keys are kept instead of under `data_dir`."""

    address: Address
    password: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreConfig:
    """What is remembered, and where."""

    data_dir: Path = Path("data")
    redis: RedisConfig | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayConfig:
    """How relays call other servers."""

    verify_tls: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class JwtConfig:
    """The check on the API port; off while the secret is empty."""

    secret: str = field(default="", repr=False)
    algorithm: str = "HS256"


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlConfig:
    """The operator's face."""

    jwt: JwtConfig = JwtConfig()
    api_open: bool = False
    """Listen beyond loopback although there is no `jwt.secret`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogConfig:
    """How the program speaks."""

    level: str = "info"
    """A word of `livetrio.logs.LEVELS`."""
    format: Literal["human", "json"] = "human"


class Notice(NamedTuple):
    """Something about the configuration that an operator should read in the log."""

    level: Literal["info", "warning"]
    text: str


def _livego_apps() -> Mapping[str, AppConfig]:
    return MappingProxyType({"live": AppConfig(name="live")})


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Everything, composed."""

    listen: ListenConfig = ListenConfig()
    connection: ConnectionConfig = ConnectionConfig()
    media: MediaConfig = MediaConfig()
    apps: Mapping[str, AppConfig] = field(default_factory=_livego_apps)
    """By name; livego's single app unless a file says otherwise."""
    access: AccessConfig = AccessConfig()
    store: StoreConfig = StoreConfig()
    relay: RelayConfig = RelayConfig()
    control: ControlConfig = ControlConfig()
    log: LogConfig = LogConfig()
    source: str = ""
    """The file read, "" if none."""
    notices: tuple[Notice, ...] = ()
    """To be logged once there is a log: configuration itself writes nothing."""
