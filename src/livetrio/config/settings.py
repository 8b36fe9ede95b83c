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
    networks,
    number,
    text,
    whole,
)
from livetrio.logs import LEVELS

__all__ = ["LATER", "LISTENERS", "SETTINGS", "Keys", "ListenerKeys", "Setting"]

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

    hls_addr = Setting[Address | None]("hls_addr", address, Address(None, 7002), "later: HLS")
    hls_keep_after_end = Setting("hls_keep_after_end", boolean, False, "later: HLS")
    use_hls_https = Setting("use_hls_https", boolean, False, "later: HLS")
    flv_archive = Setting("flv_archive", boolean, False, "later: recording")
    flv_dir = Setting("flv_dir", text, "tmp", "later: recording")


LISTENERS: Final = {
    keys.name: keys
    for keys in (
        ListenerKeys("rtmp", Address(None, 1935), "RTMP"),
        ListenerKeys("rtmps", None, "RTMP over TLS, beside rtmp_addr"),
        ListenerKeys("httpflv", Address(None, 7001), "HTTP-FLV and WS-FLV"),
        ListenerKeys("web", Address(None, 8000), "public pages"),
        ListenerKeys("api", Address(None, 8090), "API and console; loopback without jwt.secret"),
    )
}
"""By the name of the field of ListenConfig."""

LATER: Final[tuple[Setting[object], ...]] = (
    Keys.hls_addr,
    Keys.hls_keep_after_end,
    Keys.use_hls_https,
    Keys.flv_archive,
    Keys.flv_dir,
)
"""livego's keys that are read and checked, and have no effect before HLS and recording do."""

SETTINGS: Final[Mapping[str, Setting[Any]]] = {
    setting.key: setting
    for setting in (
        *(setting for keys in LISTENERS.values() for setting in keys.settings),
        *(value for value in vars(Keys).values() if isinstance(value, Setting)),
    )
}
"""All of them, by key."""
