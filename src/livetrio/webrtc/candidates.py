"""Where peers can reach us: the sockets to bind, and the a=candidate lines that say so."""

from __future__ import annotations

import errno
import ipaddress
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import ifaddr

from livetrio.config import Address
from livetrio.errors import StartError
from livetrio.logs import get_logger
from livetrio.net.listen import bind

__all__ = ["Sockets", "bind_sockets", "candidate_lines", "interface_addresses"]

log = get_logger(__name__)

_MAX_ADDRESSES = 16
_ATTEMPTS = 8
"""Times a free port is looked for: one that is free for TCP may be taken for UDP."""
_LOCAL_UDP = 65535
"""Local preferences (RFC 8445 section 5.1.2.1, RFC 6544 section 4.2): UDP before TCP, IPv6
before IPv4 only in the order they are listed."""


@dataclass(frozen=True, slots=True)
class Sockets:
    """The bound sockets of one gateway, all on one port number."""

    udp: tuple[socket.socket, ...]
    """One for each local address."""
    tcp: socket.socket | None
    """Listening, for ICE-TCP."""

    @property
    def port(self) -> int:
        return int(self.udp[0].getsockname()[1])

    @property
    def hosts(self) -> tuple[str, ...]:
        """The local addresses, without IPv6 zones."""
        return tuple(sock.getsockname()[0].partition("%")[0] for sock in self.udp)


def interface_addresses() -> list[str]:
    """Every unicast address of this host, IPv4 first; without IPv6 link-local ones, which need
    a zone that no candidate line can carry."""
    found = [
        ip.ip if isinstance(ip.ip, str) else ip.ip[0]
        for adapter in ifaddr.get_adapters()
        for ip in adapter.ips
    ]
    usable = [host for host in found if not ipaddress.ip_address(host).is_link_local]
    return sorted(dict.fromkeys(usable), key=lambda host: ":" in host)[:_MAX_ADDRESSES]


@contextmanager
def bind_sockets(address: Address, *, ice_tcp: bool = True) -> Iterator[Sockets]:
    """Bind all of them, closed at the end of the block.

    Args:
        address: no host: every interface's addresses, each on a socket of its own. An IP
            address; port 0 lets the kernel choose one that is free for all.
        ice_tcp: TCP on the same port number too.

    Raises:
        StartError: one line that names what cannot be had.
    """
    sockets = _bind(address, ice_tcp=ice_tcp)
    try:
        yield sockets
    finally:
        for sock in (*sockets.udp, *filter(None, [sockets.tcp])):
            sock.close()


def _bind(address: Address, *, ice_tcp: bool) -> Sockets:
    hosts = [address.host] if address.host is not None else interface_addresses()
    for attempt in range(_ATTEMPTS):
        try:
            return _bind_once(hosts, address, ice_tcp=ice_tcp)
        except StartError:
            if address.port or attempt == _ATTEMPTS - 1:
                raise
    raise AssertionError("unreachable")


def _bind_once(hosts: Sequence[str], address: Address, *, ice_tcp: bool) -> Sockets:
    bound: list[socket.socket] = []
    tcp = None
    try:
        port = address.port
        for host in hosts:
            try:
                sock = _bind_udp(Address(host, port))
            except StartError as error:
                if address.host is None and _is_unusable(error):
                    log.warning("address left out", address=host, reason=str(error))
                    continue
                raise
            bound.append(sock)
            port = sock.getsockname()[1]
        if not bound:
            raise StartError("webrtc cannot listen: this host has no usable address")
        if ice_tcp:
            tcp = bind("webrtc", Address(address.host, port))
    except StartError:
        for sock in bound:
            sock.close()
        raise
    return Sockets(tuple(bound), tcp)


def _is_unusable(error: StartError) -> bool:
    """An address found on an interface, not ready: IPv6 still looking for a duplicate of it."""
    return isinstance(error.__cause__, OSError) and error.__cause__.errno == errno.EADDRNOTAVAIL


def _bind_udp(address: Address) -> socket.socket:
    assert address.host is not None
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_DGRAM)
    try:
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.setblocking(False)
        sock.bind((address.host, address.port))
    except OSError as error:
        sock.close()
        reason = error.strerror or str(error)
        raise StartError(f"webrtc cannot listen on {address} (UDP): {reason}") from error
    return sock


def candidate_lines(
    hosts: Sequence[str], port: int, *, public: Sequence[str] = (), ice_tcp: bool = True
) -> tuple[str, ...]:
    """Values of a=candidate, host candidates all (RFC 8839 section 5.1).

    Args:
        hosts: what is bound.
        port: UDP and TCP.
        public: addresses to announce in place of them, where a 1:1 NAT stands in front.
        ice_tcp: passive TCP candidates behind the UDP ones.
    """
    announced = list(public) or [host for host in hosts if not _is_loopback(host)] or list(hosts)
    lines = []
    for rank, host in enumerate(announced):
        # host type preference 126, component 1
        priority = 126 << 24 | (_LOCAL_UDP - rank) << 8 | 255
        lines.append(f"{rank + 1} 1 udp {priority} {host} {port} typ host")
    if ice_tcp:
        for rank, host in enumerate(announced):
            # direction preference of passive host candidates is 4 of 7 (RFC 6544 section 4.2),
            # and a lower type preference puts TCP behind every UDP one
            priority = 90 << 24 | (4 << 13 | 8191 - rank) << 8 | 255
            lines.append(
                f"{len(announced) + rank + 1} 1 tcp {priority} {host} {port} typ host "
                "tcptype passive"
            )
    return tuple(lines)


def _is_loopback(host: str) -> bool:
    return ipaddress.ip_address(host).is_loopback
