"""Who can come in: the operator's port, secrets, proxies, and pages without TLS."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from livetrio.config import Config
from livetrio.doctor.finding import Finding

__all__ = ["check_access", "check_operator_port", "check_pages"]

_SECRET_BYTES = 32
"""RFC 7518 section 3.2: as many as the hash has."""
_WIDE = 8
"""Prefixes shorter than this trust a good part of the internet."""


def check_operator_port(config: Config) -> Iterator[Finding]:
    """Can strangers use the API?"""
    endpoint, control = config.listen.api, config.control
    if endpoint.address is None:
        return
    near = _is_loopback(endpoint.address.host)
    if not control.jwt.secret and not near:
        yield Finding(
            "error",
            "api_addr",
            f"{endpoint} is open to everybody: whoever reaches it can end streams and read keys",
            "set jwt.secret, or bind it to 127.0.0.1 and remove api_open",
        )
    elif not near and endpoint.tls is None:
        yield Finding(
            "warning",
            "api_addr",
            f"{endpoint} takes tokens over plain HTTP: anybody on the way can read them",
            "give it TLS, or bind it to 127.0.0.1 behind a proxy that has it",
        )
    else:
        yield Finding("ok", "api_addr", f"{endpoint} is {'local' if near else 'protected'}")
    secret = control.jwt.secret.encode()
    if secret and len(secret) < _SECRET_BYTES:
        yield Finding(
            "warning",
            "jwt.secret",
            f"has {len(secret)} bytes: short enough to be guessed from one token",
            "openssl rand -hex 32",
        )


def check_access(config: Config) -> Iterator[Finding]:
    """Who may publish, and whose word is taken for an address?"""
    free = sorted(
        app.name
        for app in config.apps.values()
        if app.live and (app.auth == "none" or config.access.rtmp_noauth)
    )
    if free:
        yield Finding(
            "warning",
            "server",
            f"everybody may publish to {', '.join(free)}",
            "auth: key asks for room keys; fine as it is inside your own network",
        )
    for network in config.connection.trusted_proxies:
        if network.prefixlen < _WIDE:
            yield Finding(
                "error",
                "trusted_proxies",
                f"{network} lets everybody claim any address",
                "name the proxies' own addresses",
            )


def check_pages(config: Config) -> Iterator[Finding]:
    """Do browsers give the publish page a camera?"""
    endpoint = config.listen.web
    if endpoint.address is None or endpoint.tls is not None or _is_loopback(endpoint.address.host):
        return
    yield Finding(
        "warning",
        "web_addr",
        "has no TLS: browsers give cameras and microphones to HTTPS pages (and localhost) only",
        'web_addr: {addr: ":8443", tls: true}, or a proxy with a certificate in front',
    )


def _is_loopback(host: str | None) -> bool:
    try:
        return host is not None and ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
