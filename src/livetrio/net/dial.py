"""Dialling out: name to addresses, the address policy, TCP, TLS, all under one deadline.

The policy looks at the address that is dialled and not at the name: a name that resolves to
something else the second time (DNS rebinding), "2130706433" for 127.0.0.1, or an IPv4 address
in IPv6 clothes get nowhere. What an address means to the caller (one of its own listeners?) is
asked at the same place.
"""

from __future__ import annotations

import enum
import errno
import ipaddress
import os
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager
from typing import NamedTuple

import trio

from livetrio.errors import RefusalCode, Refused
from livetrio.net.connection import Connection
from livetrio.net.outbox import OutboxLimits
from livetrio.net.scope import open_scope

__all__ = ["DIAL_TIMEOUT", "AddressPolicy", "Remote", "Screen", "dial", "is_local", "is_public"]

DIAL_TIMEOUT = 10.0
"""Seconds for DNS and TCP together; TLS has its own."""
_MAX_ADDRESSES = 8
"""Addresses of one name that are tried; a hostile name server may send hundreds."""
_SEND_BUFFER = 256 << 10
_USER_TIMEOUT_MS = 30_000

_V6_UNICAST = ipaddress.ip_network("2000::/3")
_NAT64 = ipaddress.ip_network("64:ff9b::/96")

Screen = Callable[[str, int], None]
"""Given the IP address and port about to be dialled; raises Refused to forbid it."""


class AddressPolicy(enum.Enum):
    """Where a connection may go."""

    ANY = "any"
    """An operator asked for it: private networks and this machine included."""
    PUBLIC_ONLY = "public-only"
    """A stream's name or a hook's answer asked for it: the public internet and nothing else."""

    def check(self, ip: str) -> None:
        """Raises Refused (FORBIDDEN) for an address outside of the policy."""
        if self is AddressPolicy.PUBLIC_ONLY and not is_public(ip):
            raise Refused(
                RefusalCode.FORBIDDEN,
                "the address is not on the public internet",
                hint=f"{ip} may be dialled only where an operator asks for it",
            )


class Remote(NamedTuple):
    """Whom to dial."""

    host: str
    """Name or IP address (IPv6 without brackets)."""
    port: int
    tls: bool = False

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@asynccontextmanager
async def dial(
    remote: Remote,
    *,
    policy: AddressPolicy,
    limits: OutboxLimits,
    tls: ssl.SSLContext | None = None,
    screen: Screen | None = None,
    timeout: float = DIAL_TIMEOUT,  # noqa: ASYNC109 - one deadline over several addresses
) -> AsyncIterator[Connection]:
    """A connection, in a scope of its own; leaving the block closes it.

    Args:
        remote: whom to dial; with tls=True the context must be given.
        policy: which addresses are allowed.
        limits: of the connection's outbox.
        tls: the client context; the name dialled is the name the certificate must have.
        screen: a further look at each address before it is dialled.
        timeout: seconds for DNS and TCP.

    Raises:
        Refused: policy or screen said no to every address of the name.
        OSError: no such name, or nobody there.
        trio.TooSlowError: not within the time allowed.
        RemoteProtocolError: the TLS handshake failed.
    """
    sock, ip = await _connect(remote, policy, screen, trio.current_time() + timeout)
    with sock:
        async with open_scope("connection", f"to {remote}") as scope:
            scope.sockets = 1
            connection = Connection(sock, scope, limits, ip, remote.port)
            if remote.tls:
                assert tls is not None
                await connection.start_tls(tls, limits, server_hostname=remote.host)
            yield connection


async def _connect(
    remote: Remote, policy: AddressPolicy, screen: Screen | None, deadline: float
) -> tuple[socket.socket, str]:
    """Try the addresses of a name in the resolver's order.

    One after the other, each with an equal part of the time that is left. Refused: "happy
    eyeballs" (RFC 8305), as nobody sits waiting for a relay's first 300 ms.
    """
    with trio.fail_at(deadline):
        addresses = await _resolve(remote)
    refusal: Refused | None = None
    failure: OSError | None = None
    late = False
    for index, (family, ip, sockaddr) in enumerate(addresses):
        try:
            policy.check(ip)
            if screen is not None:
                screen(ip, remote.port)
        except Refused as error:
            refusal = refusal or error
            continue
        share = (deadline - trio.current_time()) / (len(addresses) - index)
        with trio.move_on_after(share):
            try:
                return await _connect_one(family, sockaddr), ip
            except OSError as error:
                failure = error
                continue
        late = True
    if failure is not None:
        raise failure
    if late or refusal is None:
        raise trio.TooSlowError
    raise refusal


SockAddr = tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes]
"""As getaddrinfo() has it; the last form is that of a Python built without IPv6."""


async def _resolve(remote: Remote) -> list[tuple[int, str, SockAddr]]:
    """(family, IP address, sockaddr) of a name, without doubles."""
    try:
        found = await trio.socket.getaddrinfo(
            remote.host, remote.port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP
        )
    except UnicodeError:
        raise Refused(RefusalCode.BAD_REQUEST, "not a valid host name") from None
    addresses = {
        sockaddr: (int(family), str(sockaddr[0]), sockaddr) for family, _, _, _, sockaddr in found
    }
    return list(addresses.values())[:_MAX_ADDRESSES]


async def _connect_one(family: int, sockaddr: SockAddr) -> socket.socket:
    with ExitStack() as undo:
        sock = undo.enter_context(socket.socket(family, socket.SOCK_STREAM))
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _USER_TIMEOUT_MS)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        code = sock.connect_ex(sockaddr)
        if code == errno.EINPROGRESS:
            await trio.lowlevel.wait_writable(sock)
            code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            raise OSError(code, os.strerror(code))
        undo.pop_all()
    return sock


def is_public(ip: str) -> bool:
    """Is this an address of one host on the public internet?

    IPv4 addresses in IPv6 clothes (mapped ::ffff:a.b.c.d, NAT64 64:ff9b::a.b.c.d, 6to4) are
    judged as what they lead to; of other IPv6 only 2000::/3 is handed out (RFC 4291).
    """
    address = ipaddress.ip_address(ip.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if address in _NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is None:
            return address in _V6_UNICAST and address.is_global
        address = inner
    return address.is_global and not (address.is_multicast or address.is_reserved)


def is_local(ip: str) -> bool:
    """Does this address lead to this very machine?

    A UDP socket can be bound to an address of ours only, so the kernel answers without a
    packet being sent. The unspecified address leads to the loopback interface.
    """
    family = socket.AF_INET6 if ":" in ip else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((ip, 0))
        except OSError:
            return False
    return True
