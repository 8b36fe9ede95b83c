"""The table of all keys: name, kind, default, and its line of help.

Names are livego's where livego has the key; "jwt.secret" is `secret` under `jwt:`. Every setting
may be given in the file and in the environment (JWT_SECRET: upper case, "." as "_", no prefix, as
in livego) and, unless it is a secret or only makes sense beside another, as a flag.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Generic, Literal, TypeVar

from livetrio.config.schema import Address, Network
from livetrio.config.values import (
    Reader,
    address,
    boolean,
    choice,
    file,
    ice_urls,
    ip_addresses,
    networks,
    number,
    patterns,
    record_template,
    text,
    whole,
)
from livetrio.logs import LEVELS

__all__ = ["LISTENERS", "SETTINGS", "Keys", "ListenerKeys", "Setting"]

T_co = TypeVar("T_co", covariant=True)

_DAY: Final = 86_400.0


@dataclass(frozen=True, eq=False)  # slots and `Setting[T](...)` do not go together before 3.12
class Setting(Generic[T_co]):
    """One key."""

    key: str
    reader: Reader[T_co]
    default: T_co
    help: str
    flag: bool = True

    @property
    def environment(self) -> str:
        """Its name in the environment."""
        return self.key.upper().replace(".", "_")

    @property
    def is_switch(self) -> bool:
        """Whether its flag may stand without a value, as pflag's booleans do."""
        return isinstance(self.default, bool)


class ListenerKeys:
    """A listener: `x_addr: ":7001"`, or `x_addr: {addr: ":7443", tls: true}` for TLS with the
    certificate under `tls:`, or `x_addr: {addr: ":7443", cert: a.pem, key: a.key}` with its own.

    Four keys, so that a flag or variable for the address alone leaves the file's TLS on.
    """

    def __init__(self, name: str, default: Address | None, help_text: str) -> None:
        key = f"{name}_addr"
        self.name = name
        self.address = Setting[Address | None](key, address, default, help_text)
        self.tls = Setting(f"{key}.tls", boolean, False, "use the certificate under tls:", False)
        self.cert = Setting[Path | None](f"{key}.cert", file, None, "own certificate", False)
        self.key = Setting[Path | None](f"{key}.key", file, None, "own private key", False)

    @property
    def settings(self) -> tuple[Setting[object], ...]:
        return (self.address, self.tls, self.cert, self.key)


class Keys:
    """Every setting but the listeners' and `server:`, by a name that keeps its type."""

    level = Setting("level", choice({word: word for word in LEVELS}), "info", "log level")
    log_format = Setting[Literal["human", "json"]](
        "log_format", choice({"human": "human", "json": "json"}), "human", "form of the log"
    )
    data_dir = Setting("data_dir", file, Path("data"), "folder of everything that is kept")

    rtmp_noauth = Setting("rtmp_noauth", boolean, False, "publish with any name, without a key")
    strict_keys = Setting("strict_keys", boolean, False, "refuse a room's name in its key's place")
    override_publisher = Setting[Literal["auto", "always", "never"]](
        "override_publisher",
        choice({"auto": "auto", "always": "always", "never": "never"}),
        "auto",
        "may a second publisher take over; auto: with a key",
    )

    enable_rtmps = Setting("enable_rtmps", boolean, False, "TLS on rtmp_addr itself")
    rtmps_cert = Setting[Path | None]("rtmps_cert", file, None, "certificate of RTMPS [server.crt]")
    rtmps_key = Setting[Path | None]("rtmps_key", file, None, "its private key [server.key]")
    tls_cert = Setting[Path | None]("tls.cert", file, None, "certificate of listeners with TLS")
    tls_key = Setting[Path | None]("tls.key", file, None, "its private key")
    enable_tls_verify = Setting(
        "enable_tls_verify", boolean, True, "check certificates of servers that relays call"
    )

    api_open = Setting("api_open", boolean, False, "open api_addr to others without jwt.secret")
    jwt_secret = Setting("jwt.secret", text, "", "check tokens on api_addr", False)
    jwt_algorithm = Setting("jwt.algorithm", text, "HS256", "HS256, HS384 or HS512", False)
    redis_addr = Setting[Address | None]("redis_addr", address, None, "keep room keys in Redis")
    redis_pwd = Setting("redis_pwd", text, "", "password of Redis", False)

    read_timeout = Setting("read_timeout", number(0.1, 3600), 10.0, "a silent publisher is gone")
    write_timeout = Setting("write_timeout", number(0.1, 3600), 10.0, "a stalled viewer is gone")
    max_connections = Setting("max_connections", whole(1, 1_000_000), 20_000, "of one listener")
    max_connections_per_ip = Setting(
        "max_connections_per_ip", whole(1, 1_000_000), 5_000, "of one address"
    )
    trusted_proxies = Setting[tuple[Network, ...]](
        "trusted_proxies", networks, (), "believe X-Forwarded-For and PROXY headers of these"
    )
    grace_period = Setting("grace_period", number(0, 3600), 10.0, "for goodbyes after SIGTERM")

    gop_num = Setting("gop_num", whole(0, 1_000_000), 1, "groups of pictures cached; 0: none")
    merge_window = Setting(
        "merge_window",
        number(0, 2000, unit="MILLISECONDS", scale=0.001),
        0.35,
        "longest wait for more to send at once [350]; 0: none",
    )
    max_lag = Setting("max_lag", number(0.1, 300), 5.0, "a viewer further behind jumps ahead")
    resume_window = Setting(
        "resume_window", number(0, _DAY), 10.0, "viewers wait that long for a lost publisher"
    )
    play_wait = Setting("play_wait", number(0, 3600), 5.0, "a player waits for its publisher")

    webrtc_public_addresses = Setting[tuple[str, ...]](
        "webrtc.public_addresses", ip_addresses, (), "announced in place of the interfaces' own"
    )
    webrtc_ice_tcp = Setting("webrtc.ice_tcp", boolean, True, "TCP on the port of webrtc_addr too")
    webrtc_engine = Setting[Literal["gateway", "aiortc"]](
        "webrtc.engine",
        choice({"gateway": "gateway", "aiortc": "aiortc"}),
        "gateway",
        "aiortc: behind a NAT, with addresses from a TURN server",
    )
    webrtc_max_peers = Setting("webrtc.max_peers", whole(1, 1_000_000), 5_000, "WebRTC peers")
    webrtc_max_peers_per_ip = Setting(
        "webrtc.max_peers_per_ip", whole(1, 1_000_000), 1_000, "of one address"
    )
    webrtc_peer_timeout = Setting(
        "webrtc.peer_timeout", number(5, 3600), 30.0, "a silent WebRTC peer is gone"
    )
    webrtc_max_pending = Setting(
        "webrtc.max_pending", whole(1, 1_000_000), 1_024, "sessions not connected yet"
    )
    webrtc_max_pending_per_ip = Setting(
        "webrtc.max_pending_per_ip", whole(1, 1_000_000), 64, "of one address"
    )
    webrtc_start_bitrate = Setting(
        "webrtc.start_bitrate", whole(0, 100_000_000), 2_000_000, "browsers' first bit/s; 0: theirs"
    )
    webrtc_key_frame_interval = Setting(
        "webrtc.key_frame_interval",
        number(0, 60),
        2.0,
        "seconds after which publishers are asked for one; 0: never",
    )

    rendition_opus_bitrate = Setting(
        "rendition.opus_bitrate", whole(6_000, 510_000), 96_000, "bit/s of Opus made for browsers"
    )
    rendition_aac_bitrate = Setting(
        "rendition.aac_bitrate", whole(16_000, 512_000), 128_000, "bit/s of AAC made of Opus"
    )
    rendition_video_bitrate = Setting(
        "rendition.video_bitrate", whole(50_000, 100_000_000), 4_000_000, "bit/s of H.264 at most"
    )
    rendition_max = Setting("rendition.max", whole(0, 1000), 2, "video encoders at a time")
    rendition_max_audio = Setting(
        "rendition.max_audio", whole(0, 100_000), 100, "audio encoders at a time"
    )
    rendition_on_request = Setting(
        "rendition.on_request", boolean, True, "viewers may ask for H.264 by ?video=h264"
    )
    rendition_relay_audio = Setting[Literal["aac", "copy"]](
        "rendition.relay_audio",
        choice({"aac": "aac", "copy": "copy"}),
        "aac",
        "what relays push of a browser's Opus",
    )

    turn_urls = Setting[tuple[str, ...]](
        "turn.urls", ice_urls, (), "TURN servers that WebRTC clients are told of"
    )
    turn_secret = Setting("turn.secret", text, "", "Coturn's static-auth-secret", False)
    turn_ttl = Setting("turn.ttl", whole(60, 7 * 86_400), 86_400, "life of TURN credentials, s")
    turn_viewers = Setting("turn.viewers", boolean, True, "TURN credentials for viewers too")
    turn_viewer_ttl = Setting(
        "turn.viewer_ttl", whole(60, 7 * 86_400), 600, "life of viewers' TURN credentials, s"
    )

    im_allow_anonymous = Setting("im.allow_anonymous", boolean, False, "IM without a token")
    im_api_key = Setting("im.api_key", text, "", "X-API-Key of Centrifugo's server API", False)
    im_goim_trust_mid = Setting(
        "im.goim_trust_mid", boolean, False, "believe the mid of goim's clients"
    )
    im_goim_domain = Setting("im.goim_domain", text, "", "where goim's clients are sent")
    im_goim_heartbeat = Setting(
        "im.goim_heartbeat", number(1, _DAY), 240.0, "between two beats of a goim client"
    )
    im_goim_heartbeat_max = Setting(
        "im.goim_heartbeat_max", whole(1, 100), 2, "beats missed until it is gone"
    )
    im_goim_subscribers = Setting(
        "im.goim_subscribers", whole(1, 100_000), 16, "connections of a goim v1 user"
    )
    im_connect_url = Setting("im.connect_url", text, "", "asked who a client is", False)
    im_guests = Setting("im.guests", boolean, False, "POST /v1/guest: tokens for everybody")
    im_guest_roles = Setting[tuple[str, ...]](
        "im.guest_roles", patterns, (), "roles in the tokens of guests"
    )
    im_token_secret = Setting("im.token.secret", text, "", "of IM tokens (HS256 ...)", False)
    im_token_public_key = Setting[Path | None](
        "im.token.public_key", file, None, "PEM, of IM tokens (RS256, ES256 ...)"
    )
    im_token_jwks_url = Setting("im.token.jwks_url", text, "", "public keys of IM tokens")
    im_token_algorithms = Setting[tuple[str, ...]](
        "im.token.algorithms", patterns, (), "accepted for IM tokens"
    )
    im_token_audience = Setting("im.token.audience", text, "", "must be in aud of IM tokens")
    im_token_issuer = Setting("im.token.issuer", text, "", "must be iss of IM tokens")
    im_history_size = Setting("im.history_size", whole(0, 100_000), 300, "messages of a room kept")
    im_history_ttl = Setting("im.history_ttl", number(0, _DAY), 300.0, "for that long")
    im_backlog = Setting(
        "im.backlog", whole(0, 1000), 0, "last messages of a room, shown to newcomers"
    )
    im_durable = Setting[tuple[str, ...]](
        "im.durable", patterns, (), "channels kept in a log, by pattern (group:*)"
    )
    im_state = Setting[tuple[str, ...]](
        "im.state", patterns, (), "channels of which the latest value counts"
    )
    im_tick = Setting(
        "im.tick",
        number(0, 2000, unit="MILLISECONDS", scale=0.001),
        0.25,
        "longest wait for more messages to send at once [250]",
    )
    im_kick = Setting[Literal["keep", "same-device", "all"]](
        "im.kick",
        choice({"keep": "keep", "same-device": "same-device", "all": "all"}),
        "keep",
        "older connections of a user that a new one ends",
    )
    im_connections_per_user = Setting(
        "im.connections_per_user", whole(1, 100_000), 64, "the oldest one goes"
    )

    rooms_create = Setting[Literal["host", "anyone"]](
        "rooms.create",
        choice({"host": "host", "anyone": "anyone"}),
        "host",
        "who may open rooms; host: that role in the token",
    )
    rooms_max = Setting("rooms.max", whole(0, 100_000), 1_000, "rooms at a time")
    rooms_video_seats = Setting("rooms.video_seats", whole(1, 64), 9, "of a video room")
    rooms_voice_seats = Setting("rooms.voice_seats", whole(1, 64), 16, "of a voice room")
    rooms_resume_window = Setting(
        "rooms.resume_window", number(1, _DAY), 30.0, "rooms and seats wait for who was lost"
    )
    rooms_idle_time = Setting("rooms.idle_time", number(1, _DAY), 300.0, "empty rooms end")
    rooms_invite_timeout = Setting(
        "rooms.invite_timeout", number(1, 3600), 30.0, "for the answer to an invitation"
    )
    rooms_applications = Setting(
        "rooms.applications", whole(0, 100_000), 10_000, "may wait for a seat, in one room"
    )
    rooms_voices = Setting("rooms.voices", whole(1, 16), 3, "heard at a time in a voice room")
    rooms_open_seats = Setting("rooms.open_seats", boolean, False, "everybody may play seats")
    rooms_mix_width = Setting("rooms.mix.width", whole(64, 4096), 1280, "of composed pictures")
    rooms_mix_height = Setting("rooms.mix.height", whole(64, 4096), 720, "likewise")
    rooms_mix_fps = Setting("rooms.mix.fps", whole(1, 60), 30, "likewise")
    rooms_mix_video_bitrate = Setting(
        "rooms.mix.video_bitrate", whole(50_000, 100_000_000), 2_500_000, "bit/s at most"
    )
    rooms_mix_audio_bitrate = Setting(
        "rooms.mix.audio_bitrate", whole(16_000, 510_000), 96_000, "bit/s of composed sound"
    )
    rooms_mix_max = Setting[int | None](
        "rooms.mix.max", whole(1, 10_000), None, "composed streams at a time [4 per core]"
    )
    rooms_mix_linger = Setting(
        "rooms.mix.linger", number(0, _DAY), 10.0, "a room is composed so long for nobody"
    )
    rooms_mix_font = Setting[Path | None](
        "rooms.mix.font", file, None, "of names in composed pictures [the system's]"
    )

    hls_keep_after_end = Setting("hls_keep_after_end", boolean, False, "HLS stays after the end")
    use_hls_https = Setting("use_hls_https", boolean, False, "TLS on hls_addr with server.crt")
    hls_segment = Setting("hls.segment", number(0.5, 60), 3.0, "cut at the first key frame after")
    hls_window = Setting("hls.window", whole(1, 1000), 3, "segments in a playlist")
    hls_dvr_window = Setting("hls.dvr_window", number(0, _DAY), 0.0, "viewers may go back so far")
    hls_part = Setting(
        "hls.part",
        number(0, 2000, unit="MILLISECONDS", scale=0.001),
        0.2,
        "part of a segment of LL-HLS [200]; 0: no LL-HLS",
    )
    hls_ll_segment = Setting("hls.ll_segment", number(0.5, 60), 1.0, "segment of LL-HLS")
    hls_ll_window = Setting("hls.ll_window", whole(3, 1000), 7, "segments of an LL-HLS playlist")
    hls_key_every = Setting(
        "hls.key_every", whole(0, 1_000_000), 0, "AES-128 key for so many segments; 0: none"
    )

    flv_archive = Setting("flv_archive", boolean, False, "record all streams as FLV in flv_dir")
    flv_dir = Setting("flv_dir", text, "tmp", "folder of flv_archive")
    record_dir = Setting[Path | None]("record.dir", file, None, "recordings [data_dir/recordings]")
    record_path = Setting(
        "record.path", record_template, "{app}/{name}_{unix}", "name of a recording, no suffix"
    )
    record_split_time = Setting("record.split_time", number(0, _DAY), 0.0, "a new file after that")
    record_split_size = Setting("record.split_size", whole(0, 1 << 50), 0, "likewise, bytes")
    record_keep_time = Setting(
        "record.keep_time", number(0, 36_500 * _DAY), 0.0, "older recordings go; 0: none does"
    )
    record_keep_size = Setting(
        "record.keep_size", whole(0, 1 << 60), 0, "bytes of recordings beyond which the oldest go"
    )


LISTENERS: Final = {
    keys.name: keys
    for keys in (
        ListenerKeys("rtmp", Address(None, 1935), "RTMP"),
        ListenerKeys("rtmps", None, "RTMP over TLS, beside rtmp_addr"),
        ListenerKeys("httpflv", Address(None, 7001), "HTTP-FLV and WS-FLV"),
        ListenerKeys("hls", Address(None, 7002), "HLS"),
        ListenerKeys("web", Address(None, 8000), "public pages"),
        ListenerKeys("webrtc", Address(None, 8189), "WebRTC media, UDP and ICE-TCP"),
        ListenerKeys("api", Address(None, 8090), "API and console; loopback without jwt.secret"),
        ListenerKeys("im", Address(None, 3102), "IM WebSockets: goim, Centrifugo"),
        ListenerKeys("goim_tcp", Address(None, 3101), "goim over TCP"),
        ListenerKeys("goim_push", Address("127.0.0.1", 3111), "goim's push API, no password"),
    )
}
"""By the name of the field of ListenConfig; "webrtc" is WebrtcConfig's address."""

SETTINGS: Final[Mapping[str, Setting[Any]]] = {
    setting.key: setting
    for setting in (
        *(setting for keys in LISTENERS.values() for setting in keys.settings),
        *(value for value in vars(Keys).values() if isinstance(value, Setting)),
    )
}
"""All of them, by key."""
