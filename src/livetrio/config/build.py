"""From nodes to `Config`: unknown keys, values, and what has to fit together.

Nothing stops at the first mistake: all problems of a configuration are reported at once.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final, TypeVar

from livetrio.config.apps import read_apps
from livetrio.config.delivery_build import hls_config, record_config
from livetrio.config.im_build import im_config
from livetrio.config.problems import Problems
from livetrio.config.rooms_build import rooms_config
from livetrio.config.schema import (
    AccessConfig,
    Address,
    AppConfig,
    Config,
    ConnectionConfig,
    ControlConfig,
    Endpoint,
    JwtConfig,
    ListenConfig,
    LogConfig,
    MediaConfig,
    Notice,
    RedisConfig,
    RelayConfig,
    RenditionConfig,
    StoreConfig,
    TlsConfig,
    TurnConfig,
    WebrtcConfig,
)
from livetrio.config.settings import LISTENERS, SETTINGS, Keys, ListenerKeys, Setting
from livetrio.config.values import Node

__all__ = ["build", "flatten"]

T = TypeVar("T")

_SERVER: Final = "server"
_CONFIG_FILE: Final = "config_file"
_WEBRTC: Final = "webrtc"
"""The one of LISTENERS that is no plain TCP port: its address goes into WebrtcConfig."""
_ALGORITHMS: Final = frozenset({"HS256", "HS384", "HS512"})


def flatten(entries: Mapping[str, Node], problems: Problems) -> dict[str, Node]:
    """A file's entries by full key: what stands below `jwt:` becomes "jwt.secret".

    Unknown keys become problems. viper takes `jwt.secret: x` on the top level too, and so do we.
    """
    flat: dict[str, Node] = {}

    def put(key: str, node: Node) -> None:
        if key in flat:
            problems.add(node.where, key, f"is given twice, first at {flat[key].where}")
        flat[key] = node

    for key, node in entries.items():
        inner = _inner(key)
        if inner and isinstance(node.value, Mapping):
            for word, value in _words(node.value, inner):
                if word in inner:
                    put(inner[word], value)
                else:
                    problems.unknown(value, f"{key}.{word}", (f"{key}.{known}" for known in inner))
        elif key in SETTINGS or key in (_SERVER, _CONFIG_FILE):
            put(key, node)
        elif not inner:
            groups = {full.partition(".")[0] for full in SETTINGS if "." in full}
            problems.unknown(node, key, (*SETTINGS, _SERVER, *sorted(groups)))
        elif node.value is not None:
            problems.add(node.where, key, f"must be a mapping with {' and '.join(inner)}")
    return flat


def _words(
    entries: Mapping[str, Node], inner: Mapping[str, str], above: str = ""
) -> Iterator[tuple[str, Node]]:
    """Entries of a mapping, those of mappings inside it as "token.secret"."""
    for word, node in entries.items():
        full = above + word
        deeper = any(known.startswith(f"{full}.") for known in inner)
        if deeper and full not in inner and isinstance(node.value, Mapping):
            yield from _words(node.value, inner, f"{full}.")
        else:
            yield full, node


def _inner(key: str) -> dict[str, str]:
    """Full keys by the word that stands for them in a mapping below `key`."""
    inner = {full.removeprefix(f"{key}."): full for full in SETTINGS if full.startswith(f"{key}.")}
    if inner and key in SETTINGS:
        inner["addr"] = key
    return inner


class _Values:
    """Typed answers out of the merged nodes."""

    def __init__(self, nodes: Mapping[str, Node], problems: Problems) -> None:
        self._nodes = nodes
        self._problems = problems

    def __getitem__(self, setting: Setting[T]) -> T:
        node = self._nodes.get(setting.key)
        if node is None:
            return setting.default
        return self._problems.read(node, setting.key, setting.reader, setting.default)

    def given(self, setting: Setting[object]) -> bool:
        return setting.key in self._nodes

    def wrong(self, setting: Setting[object], what: str) -> None:
        node = self._nodes.get(setting.key)
        self._problems.add(node.where if node else "", setting.key, what)


def build(nodes: Mapping[str, Node], source: str, problems: Problems) -> Config:
    """The configuration that these nodes, by full key, mean.

    Raises:
        ConfigError: with every problem on a line of its own.
    """
    values = _Values(nodes, problems)
    notices: list[Notice] = []
    endpoints = _listen(values, notices)
    webrtc = _webrtc(values, endpoints.pop(_WEBRTC))
    config = Config(
        listen=ListenConfig(**endpoints),
        connection=ConnectionConfig(
            read_timeout=values[Keys.read_timeout],
            write_timeout=values[Keys.write_timeout],
            max_connections=values[Keys.max_connections],
            max_connections_per_ip=values[Keys.max_connections_per_ip],
            trusted_proxies=values[Keys.trusted_proxies],
            max_lag=values[Keys.max_lag],
            grace_period=values[Keys.grace_period],
        ),
        media=MediaConfig(
            gop_num=values[Keys.gop_num],
            merge_window=values[Keys.merge_window],
            resume_window=values[Keys.resume_window],
            play_wait=values[Keys.play_wait],
        ),
        hls=hls_config(values),
        record=record_config(values),
        apps=_recorded(_apps(nodes, source, problems, notices), values[Keys.flv_archive]),
        access=AccessConfig(
            rtmp_noauth=values[Keys.rtmp_noauth],
            strict_keys=values[Keys.strict_keys],
            override_publisher=values[Keys.override_publisher],
        ),
        store=StoreConfig(data_dir=values[Keys.data_dir], redis=_redis(values)),
        relay=RelayConfig(verify_tls=values[Keys.enable_tls_verify]),
        control=ControlConfig(jwt=_jwt(values, notices), api_open=values[Keys.api_open]),
        rendition=RenditionConfig(
            opus_bitrate=values[Keys.rendition_opus_bitrate],
            aac_bitrate=values[Keys.rendition_aac_bitrate],
            video_bitrate=values[Keys.rendition_video_bitrate],
            max=values[Keys.rendition_max],
            max_audio=values[Keys.rendition_max_audio],
            on_request=values[Keys.rendition_on_request],
            relay_audio=values[Keys.rendition_relay_audio],
        ),
        turn=_turn(values),
        webrtc=webrtc,
        im=im_config(values, notices),
        rooms=rooms_config(values),
        log=LogConfig(level=values[Keys.level], format=values[Keys.log_format]),
        source=source,
        notices=(*notices, *_without_effect(nodes)),
    )
    problems.raise_any()
    return config


def _apps(
    nodes: Mapping[str, Node], source: str, problems: Problems, notices: list[Notice]
) -> Mapping[str, AppConfig]:
    server = nodes.get(_SERVER)
    if server is not None and server.value is not None:
        return read_apps(server, problems)
    if source:
        # livego would have no app at all then, and exit at once.
        notices.append(Notice("info", f"{source} has no server: list; using the app live"))
    return Config().apps


def _listen(values: _Values, notices: list[Notice]) -> dict[str, Endpoint]:
    shared = _pair(values, Keys.tls_cert, Keys.tls_key)
    if values.given(Keys.rtmps_cert) or values.given(Keys.rtmps_key) or shared is None:
        rtmps = TlsConfig(
            cert=values[Keys.rtmps_cert] or Path("server.crt"),
            key=values[Keys.rtmps_key] or Path("server.key"),
        )
    else:
        rtmps = shared
    livegos = TlsConfig(cert=Path("server.crt"), key=Path("server.key"))
    forced: dict[str, TlsConfig | None] = {
        "rtmp": rtmps if values[Keys.enable_rtmps] else None,
        "rtmps": rtmps,
        "hls": (shared or livegos) if values[Keys.use_hls_https] else None,
    }
    found: dict[str, Endpoint] = {}
    for name, keys in LISTENERS.items():
        address = values[keys.address]
        if address is None:
            found[name] = Endpoint()
            continue
        if name == "api":
            address = _private(address, values, notices)
        tls = _tls(values, keys, shared, forced.get(name))
        found[name] = Endpoint(address=address, tls=tls)
    return _apart(values, found, notices)


def _pair(
    values: _Values, cert: Setting[Path | None], key: Setting[Path | None]
) -> TlsConfig | None:
    """A certificate with its key, or neither."""
    match values[cert], values[key]:
        case Path() as cert_file, Path() as key_file:
            return TlsConfig(cert=cert_file, key=key_file)
        case Path(), None:
            values.wrong(cert, f"needs {key.key} beside it")
        case None, Path():
            values.wrong(key, f"needs {cert.key} beside it")
    return None


def _tls(
    values: _Values, keys: ListenerKeys, shared: TlsConfig | None, forced: TlsConfig | None
) -> TlsConfig | None:
    """The certificate of one listener that is on: its own, the forced one, the shared one."""
    tls = _pair(values, keys.cert, keys.key) or forced
    if tls is None and values[keys.tls]:
        tls = shared
        if tls is None:
            values.wrong(keys.tls, "needs a certificate: tls: {cert: FILE, key: FILE}")
    if tls is not None:
        for path in (tls.cert, tls.key):
            if not path.is_file():
                values.wrong(keys.address, f"TLS needs {path}, and there is no such file")
    return tls


def _private(address: Address, values: _Values, notices: list[Notice]) -> Address:
    """The API's address; loopback while anybody could use it."""
    if values[Keys.jwt_secret] or values[Keys.api_open] or _is_loopback(address.host):
        return address
    local = Address("::1" if address.host and ":" in address.host else "127.0.0.1", address.port)
    notices.append(
        Notice(
            "info",
            f"api_addr {address} is bound to {local}: set jwt.secret to let others in by token, "
            "or api_open: true to let everybody in",
        )
    )
    return local


def _is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _is_loopback(host: str | None) -> bool:
    if host is None:
        return False
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _apart(
    values: _Values, endpoints: Mapping[str, Endpoint], notices: list[Notice]
) -> dict[str, Endpoint]:
    """No two listeners on one port: said here by their keys, not later as a port in use.

    A livego user may have 8000 or 8090 for something of livego's: where only a default of ours
    is in the way, it steps aside.
    """
    kept: dict[str, Endpoint] = {}
    for name in sorted(endpoints, key=lambda name: not values.given(LISTENERS[name].address)):
        kept[name] = endpoints[name]
        keys = LISTENERS[name].address
        other = next((n for n in kept if n != name and _collide(kept[n], kept[name])), None)
        if other is None:
            continue
        taken = LISTENERS[other].address.key
        if values.given(keys):
            values.wrong(keys, f"port {endpoints[name].address} is taken by {taken}")
        else:
            kept[name] = Endpoint()
            notices.append(Notice("warning", f"{keys.key} is off: {taken} has its default port"))
    return kept


def _collide(one: Endpoint, other: Endpoint) -> bool:
    if one.address is None or other.address is None or not one.address.port:
        return False
    hosts = {one.address.host, other.address.host}
    return one.address.port == other.address.port and (None in hosts or len(hosts) == 1)


def _redis(values: _Values) -> RedisConfig | None:
    address = values[Keys.redis_addr]
    password = values[Keys.redis_pwd]
    if address is None:
        return None
    if address.port == 0:
        values.wrong(Keys.redis_addr, "needs the port of Redis (6379)")
    return RedisConfig(
        address=Address(address.host or "localhost", address.port), password=password
    )


def _jwt(values: _Values, notices: list[Notice]) -> JwtConfig:
    algorithm = values[Keys.jwt_algorithm] or Keys.jwt_algorithm.default
    if algorithm not in _ALGORITHMS:
        notices.append(Notice("warning", "jwt.algorithm is not known; HS256 is used, as in livego"))
        algorithm = Keys.jwt_algorithm.default
    return JwtConfig(secret=values[Keys.jwt_secret], algorithm=algorithm)


def _webrtc(values: _Values, endpoint: Endpoint) -> WebrtcConfig:
    keys = LISTENERS[_WEBRTC]
    for unfit in (keys.tls, keys.cert, keys.key):
        if values.given(unfit):
            values.wrong(unfit, "has no meaning: WebRTC brings its own encryption")
    if endpoint.address is not None and not _is_ip(endpoint.address.host or "::"):
        values.wrong(keys.address, "must be an IP address: it is what peers are told")
    return WebrtcConfig(
        address=endpoint.address,
        public_addresses=values[Keys.webrtc_public_addresses],
        ice_tcp=values[Keys.webrtc_ice_tcp],
        engine=values[Keys.webrtc_engine],
        max_peers=values[Keys.webrtc_max_peers],
        max_peers_per_ip=values[Keys.webrtc_max_peers_per_ip],
        peer_timeout=values[Keys.webrtc_peer_timeout],
        max_pending=values[Keys.webrtc_max_pending],
        max_pending_per_ip=values[Keys.webrtc_max_pending_per_ip],
        start_bitrate=values[Keys.webrtc_start_bitrate],
        key_frame_interval=values[Keys.webrtc_key_frame_interval],
    )


def _turn(values: _Values) -> TurnConfig:
    urls, secret = values[Keys.turn_urls], values[Keys.turn_secret]
    if not secret and any(url.startswith("turn") for url in urls):
        values.wrong(Keys.turn_urls, "needs turn.secret, the static-auth-secret of Coturn")
    return TurnConfig(
        urls=urls,
        secret=secret,
        ttl=values[Keys.turn_ttl],
        viewers=values[Keys.turn_viewers],
        viewer_ttl=values[Keys.turn_viewer_ttl],
    )


def _recorded(apps: Mapping[str, AppConfig], flv_archive: bool) -> Mapping[str, AppConfig]:
    """livego's switch: every application that says nothing else is recorded as FLV."""
    if not flv_archive:
        return apps
    return {name: replace(app, record=app.record or "flv") for name, app in apps.items()}


def _without_effect(nodes: Mapping[str, Node]) -> list[Notice]:
    found = []
    if _CONFIG_FILE in nodes:
        found.append(Notice("info", "config_file inside the configuration file has no effect"))
    return found
