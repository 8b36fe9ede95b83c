"""Listeners: can each address be bound, and does UDP come through to WebRTC's?"""

from __future__ import annotations

import errno
import ipaddress
import secrets
import socket
from collections.abc import AsyncIterator, Iterator
from dataclasses import fields

import trio

from livetrio.config import Address, Config
from livetrio.doctor.finding import Finding
from livetrio.errors import StartError
from livetrio.net.listen import bind

__all__ = ["check_listeners", "check_webrtc"]

_PATIENCE = 1.0
"""Seconds for a datagram to go around."""


def check_listeners(config: Config) -> Iterator[Finding]:
    """Every TCP listener's address, bound for a moment."""
    for place in fields(config.listen):
        endpoint = getattr(config.listen, place.name)
        key = f"{place.name}_addr"
        if endpoint.address is None:
            continue
        try:
            bind(place.name, endpoint.address).close()
        except StartError as error:
            yield _busy(key, str(error))
        else:
            yield Finding("ok", key, f"{endpoint} is free to listen on")


async def check_webrtc(config: Config) -> AsyncIterator[Finding]:
    """Do datagrams reach webrtc_addr, from this host's own side and at its public addresses?"""
    address = config.webrtc.address
    if address is None:
        return
    try:
        sock = _bind_udp(address)
    except OSError as error:
        yield _busy("webrtc_addr", f"UDP {address}: {error.strerror}", taken=error.errno)
        return
    with sock:
        port = sock.getsockname()[1]
        for host in _own_addresses(address):
            if await _goes_around(sock, host, port):
                yield Finding("ok", "webrtc_addr", f"UDP reaches {Address(host, port)}")
            else:
                yield Finding(
                    "error",
                    "webrtc_addr",
                    f"UDP does not reach {Address(host, port)} even from this host",
                    f"let UDP and TCP port {port} in: ufw allow {port}, or your firewall's words",
                )
        for host in config.webrtc.public_addresses:
            yield await _public(sock, host, port)
    if not config.webrtc.public_addresses and _all_private(address):
        yield Finding(
            "warning",
            "webrtc.public_addresses",
            "this host has private addresses only: browsers elsewhere cannot reach it",
            "give its public address here, and forward the port to it; or use TURN",
        )


async def _public(sock: socket.socket, host: str, port: int) -> Finding:
    if await _goes_around(sock, host, port):
        return Finding("ok", "webrtc.public_addresses", f"UDP reaches {Address(host, port)}")
    return Finding(
        "warning",
        "webrtc.public_addresses",
        f"UDP to {Address(host, port)} does not come back to this host; many routers never do that",
        f"from a host outside: nc -u {host} {port}, type a line, and see it here with "
        f"tcpdump -n udp port {port}",
    )


async def _goes_around(sock: socket.socket, host: str, port: int) -> bool:
    """Does a datagram from another socket of this host arrive?"""
    word = secrets.token_bytes(16)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock.setblocking(False)
    with socket.socket(family, socket.SOCK_DGRAM) as sender:
        try:
            sender.sendto(word, (host, port))
        except OSError:
            return False
    with trio.move_on_after(_PATIENCE):
        while True:
            await trio.lowlevel.wait_readable(sock)
            if sock.recv(64) == word:
                return True
    return False


def _bind_udp(address: Address) -> socket.socket:
    host = address.host
    family = socket.AF_INET6 if host is None or ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_DGRAM)
    try:
        if host is None:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        sock.bind((host or "::", address.port))
    except OSError:
        sock.close()
        raise
    return sock


def _own_addresses(address: Address) -> list[str]:
    """Where to knock: the address itself, or for "every interface" loopback and the one that
    packets for elsewhere leave from."""
    if address.host is not None:
        return [address.host]
    return ["127.0.0.1", *_outbound()]


def _outbound() -> list[str]:
    """This host's address towards the rest of the world. Connecting UDP sends nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            sock.connect(("192.0.2.1", 9))
        except OSError:
            return []
        host: str = sock.getsockname()[0]
        return [] if host.startswith("127.") else [host]


def _all_private(address: Address) -> bool:
    hosts = [address.host] if address.host is not None else _outbound()
    return not any(ipaddress.ip_address(host).is_global for host in hosts)


def _busy(key: str, reason: str, *, taken: int | None = errno.EADDRINUSE) -> Finding:
    if taken != errno.EADDRINUSE:
        return Finding("error", key, reason, "an address has to be one of this host's")
    return Finding(
        "warning",
        key,
        reason,
        "fine if it is livetrio that runs; else stop what has the port (ss -lptun), or use another",
    )
