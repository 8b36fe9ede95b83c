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
from typing import Final, Literal, NamedTuple

from livetrio.config.im import ImConfig
from livetrio.config.rooms import RoomsConfig

__all__ = [
    "AccessConfig",
    "Address",
    "AppConfig",
    "Config",
    "ConnectionConfig",
    "ControlConfig",
    "Endpoint",
    "HlsConfig",
    "JwtConfig",
    "ListenConfig",
    "LogConfig",
    "MediaConfig",
    "Network",
    "Notice",
    "RecordConfig",
    "RedisConfig",
    "RelayConfig",
    "RenditionConfig",
    "StoreConfig",
    "TlsConfig",
    "TurnConfig",
    "WebrtcConfig",
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
    hls: Endpoint = Endpoint(address=Address(None, 7002))
    web: Endpoint = Endpoint(address=Address(None, 8000))
    api: Endpoint = Endpoint(address=Address("127.0.0.1", 8090))
    im: Endpoint = Endpoint(address=Address(None, 3102))
    """IM WebSockets: goim's `/sub`, Centrifugo's `/connection/...`."""
    goim_tcp: Endpoint = Endpoint(address=Address(None, 3101))
    goim_push: Endpoint = Endpoint(address=Address("127.0.0.1", 3111))
    """goim's push API has no authentication: on loopback unless told otherwise."""


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
class HlsConfig:
    """How streams are cut for HLS; the defaults of the first three are livego's."""

    segment: float = 3.0
    """A segment ends at the first key frame after that."""
    window: int = 3
    """Segments in a playlist."""
    keep_after_end: bool = False
    dvr_window: float = 0.0
    """How far viewers may go back."""
    part: float = 0.2
    """Of LL-HLS; 0: no LL-HLS."""
    ll_segment: float = 1.0
    ll_window: int = 7
    key_every: int = 0
    """AES-128: segments for which a key is used; 0: no encryption."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordConfig:
    """Where recordings go and how long they stay."""

    folder: Path | None = None
    """None: "recordings" under data_dir."""
    path: str = "{app}/{name}_{unix}"
    """Below the folder, without suffix; also strftime's codes."""
    split_time: float = 0.0
    """A new file at the first key frame after that; 0: never."""
    split_size: int = 0
    """Bytes; likewise."""
    keep_time: float = 0.0
    """Older recordings are deleted; 0: none is."""
    keep_size: int = 0
    """Bytes of all recordings beyond which the oldest are deleted; 0: none is."""


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
    record: Literal["flv", "fmp4", "ts"] | None = None
    """All its streams are recorded so."""
    play: Path | None = None
    """Folder of files that are played by name, as in nginx-rtmp."""
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
class RenditionConfig:
    """What is made of streams for players that cannot take them as they come, and its cost."""

    opus_bitrate: int = 96_000
    """Bits per second, for browsers."""
    aac_bitrate: int = 128_000
    """Bits per second, for RTMP, FLV and relays of what a browser publishes."""
    video_bitrate: int = 4_000_000
    """Bits per second at most; simple pictures take less."""
    max: int = 2
    """Video renditions at a time; each takes about a core at 1080p30."""
    max_audio: int = 100
    """Audio renditions at a time; each takes one to two hundredths of a core."""
    on_request: bool = True
    """May a viewer ask for H.264 (`?video=h264`) of what browsers can show as it is?"""
    relay_audio: Literal["aac", "copy"] = "aac"
    """What push relays send of a stream that a browser publishes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnConfig:
    """The TURN servers that clients are told of; none of others' is ever a default."""

    urls: tuple[str, ...] = ()
    """As RFC 7065 and 7064 write them: "turn:turn.example.com:3478?transport=udp"."""
    secret: str = field(default="", repr=False)
    """Coturn's `static-auth-secret`."""
    ttl: int = 86_400
    """Seconds that credentials are good for at most, of who proved a stream key, and operators."""
    viewers: bool = True
    """Give credentials to those who proved nothing, viewers above all."""
    viewer_ttl: int = 600
    """Seconds that theirs are good for at most: to begin with, not to keep."""


_WEBRTC_ADDRESS: Final = Address(None, 8189)


@dataclass(frozen=True, slots=True, kw_only=True)
class WebrtcConfig:
    """The WebRTC gateway's one port, UDP and TCP, and who may be on it."""

    address: Address | None = _WEBRTC_ADDRESS
    """None: off. Every interface means a socket for each address found at start."""
    public_addresses: tuple[str, ...] = ()
    """IP addresses announced in place of the interfaces' own: a 1:1 NAT stands in front."""
    ice_tcp: bool = True
    """TCP on the same port number, for networks that let no UDP out."""
    engine: Literal["gateway", "aiortc"] = "gateway"
    """aiortc: for a server behind a NAT that must itself ask a TURN server for an address."""
    max_peers: int = 5_000
    max_peers_per_ip: int = 1_000
    peer_timeout: float = 30.0
    """A peer from which nothing authentic came for longer is gone (consent, RFC 7675)."""
    max_pending: int = 1_024
    """Sessions whose peer is not connected yet, or that wait for their stream."""
    max_pending_per_ip: int = 64
    start_bitrate: int = 2_000_000
    """Bits per second that Chromium publishers begin with, instead of 300,000; 0: theirs."""
    key_frame_interval: float = 2.0
    """Seconds without a key frame after which a WebRTC publisher is asked for one: browsers send
    none by themselves, and HLS segments and newcomers need them; 0: only on a viewer's wish."""


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
    hls: HlsConfig = HlsConfig()
    record: RecordConfig = RecordConfig()
    apps: Mapping[str, AppConfig] = field(default_factory=_livego_apps)
    """By name; livego's single app unless a file says otherwise."""
    access: AccessConfig = AccessConfig()
    store: StoreConfig = StoreConfig()
    relay: RelayConfig = RelayConfig()
    control: ControlConfig = ControlConfig()
    rendition: RenditionConfig = RenditionConfig()
    turn: TurnConfig = TurnConfig()
    webrtc: WebrtcConfig = WebrtcConfig()
    im: ImConfig = field(default_factory=ImConfig)
    rooms: RoomsConfig = field(default_factory=RoomsConfig)
    log: LogConfig = LogConfig()
    source: str = ""
    """The file read, "" if none."""
    notices: tuple[Notice, ...] = ()
    """To be logged once there is a log: configuration itself writes nothing."""
