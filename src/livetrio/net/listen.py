"""Listeners: bind, accept, and the one guard that every connection runs in.

Slow-peer policy, caps, deadlines before the first byte, address of the real peer, TLS, and the
guard around the handler (net/guard.py) are here, once for all protocols.
"""

from __future__ import annotations

import errno
import socket
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import trio

from livetrio.config import Address, Network
from livetrio.errors import Refused, RemoteProtocolError, StartError
from livetrio.logs import get_logger
from livetrio.net.connection import Connection
from livetrio.net.guard import guarded
from livetrio.net.outbox import OutboxLimits
from livetrio.net.peers import trusts
from livetrio.net.scope import open_scope
from livetrio.net.tls import ServerTls
from livetrio.wire.proxy import MAX_HEADER, parse_proxy_header

__all__ = ["Address", "Caps", "Handler", "Listener", "bind", "serve_listener"]

log = get_logger(__name__)

Handler = Callable[[Connection], Awaitable[None]]

_BACKLOG = 1024
_SEND_BUFFER = 256 << 10
"""Bytes of kernel send buffer per connection (Linux doubles it). Autotuning would let a stalled
viewer hide half a minute of video in there before anybody notices; 256 KiB fill a 100 ms path
at 20 Mbit/s."""
_USER_TIMEOUT_MS = 30_000
_ACCEPT_BATCH = 64
_CAPACITY_ERRNOS = {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS}
_CAPACITY_PAUSE = 0.1
_PROXY_TIMEOUT = 5.0
_PROXY_PAUSE = 0.01


@dataclass
class Caps:
    """How many connections there may be; one object is shared by all listeners of a node."""

    per_listener: int = 20_000
    per_ip: int = 5_000
    _by_ip: Counter[str] = field(default_factory=Counter)

    def enter(self, ip: str) -> bool:
        """Count one more connection of an address; False if that is one too many."""
        if self._by_ip[ip] >= self.per_ip:
            return False
        self._by_ip[ip] += 1
        return True

    def leave(self, ip: str) -> None:
        """One connection fewer; forgets addresses without any."""
        self._by_ip[ip] -= 1
        if self._by_ip[ip] <= 0:
            del self._by_ip[ip]


@dataclass(frozen=True, slots=True)
class Listener:
    """A bound socket and the rules for what is accepted on it."""

    name: str
    sock: socket.socket
    tls: ServerTls | None = None
    trusted: Sequence[Network] = ()
    limits: OutboxLimits = field(default_factory=OutboxLimits)
    caps: Caps = field(default_factory=Caps)
    accepting: trio.CancelScope = field(default_factory=trio.CancelScope)
    """Cancel it to take nobody in any more; connections go on to their end."""

    @property
    def address(self) -> Address:
        """The address bound, with the port the kernel chose where 0 was asked for."""
        host, port = self.sock.getsockname()[:2]
        return Address(None if host in ("::", "0.0.0.0") else host, port)


def bind(name: str, address: Address) -> socket.socket:
    """A listening TCP socket.

    Raises:
        StartError: the address cannot be had; one line that names listener and address.
    """
    try:
        if address.host is not None:
            family, _, _, _, where = socket.getaddrinfo(
                address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )[0]
            sock = socket.socket(family, socket.SOCK_STREAM)
        else:
            where = ("", address.port)
            family = socket.AF_INET6 if socket.has_dualstack_ipv6() else socket.AF_INET
            sock = socket.socket(family, socket.SOCK_STREAM)
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    except OSError as error:
        raise StartError(f"{name} cannot listen on {address}: {error}") from error
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Accepted sockets inherit these three.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _USER_TIMEOUT_MS)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.bind(where)
        sock.listen(_BACKLOG)
        sock.setblocking(False)
    except OSError as error:
        sock.close()
        reason = error.strerror or str(error)
        raise StartError(f"{name} cannot listen on {address}: {reason}") from error
    return sock


async def serve_listener(
    listener: Listener,
    handler: Handler,
    *,
    task_status: trio.TaskStatus[Address] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Accept until cancelled; each connection runs `handler` in a scope of its own, guarded.

    started() gives the bound address. Returns when `listener.accepting` was cancelled and the
    last connection has ended; cancelling it ends them all.
    """
    doorman = _Doorman(listener, handler)
    async with (
        open_scope("listener", f"{listener.name} {listener.address}") as scope,
        trio.open_nursery() as connections,
    ):
        scope.sockets = 1
        with listener.sock as sock, listener.accepting:
            task_status.started(listener.address)
            while True:
                await trio.lowlevel.wait_readable(sock)
                await _accept_some(sock, doorman, connections)
        scope.sockets = 0


async def _accept_some(sock: socket.socket, doorman: _Doorman, connections: trio.Nursery) -> None:
    for _ in range(_ACCEPT_BATCH):
        try:
            client, address = sock.accept()
        except BlockingIOError:
            return
        except OSError as error:
            if error.errno not in _CAPACITY_ERRNOS:
                continue  # that one client is gone already (ECONNABORTED)
            doorman.complain("cannot accept", error.strerror or str(error))
            await trio.sleep(_CAPACITY_PAUSE)
            return
        if doorman.admits(client, address):
            connections.start_soon(doorman.attend, client, address, name="connection")


class _Doorman:
    """Counts one listener's connections and guards each of them."""

    def __init__(self, listener: Listener, handler: Handler) -> None:
        self._listener = listener
        self._handler = handler
        self._count = 0
        self._quiet_until = 0.0
        self._unsaid = 0

    def complain(self, event: str, reason: str) -> None:
        """Log a refusal at most once a second: a flood must not become a flood of lines."""
        now = trio.current_time()
        if now < self._quiet_until:
            self._unsaid += 1
            return
        log.warning(event, listener=self._listener.name, reason=reason, more=self._unsaid)
        self._quiet_until = now + 1.0
        self._unsaid = 0

    def admits(self, client: socket.socket, address: tuple[str, int]) -> bool:
        """Take the connection in, or close it at once."""
        ip = _plain(address[0])
        if self._count >= self._listener.caps.per_listener:
            self.complain("connection refused", f"{self._count} connections are open")
        elif not self._trusts(ip) and not self._listener.caps.enter(ip):
            self.complain("connection refused", f"too many connections from {ip}")
        else:
            client.setblocking(False)
            self._count += 1
            return True
        client.close()
        return False

    async def attend(self, client: socket.socket, address: tuple[str, int]) -> None:
        """The guard: whatever happens in here ends this one connection and nothing else."""
        listener = self._listener
        peer = _plain(address[0])
        # A trusted proxy is not counted itself; those it speaks for are.
        counted = None if self._trusts(peer) else peer
        begun = trio.current_time()
        connection: Connection | None = None
        name = f"{listener.name} {peer}:{address[1]}"

        # Twice: inside, so that a goodbye follows; outside, for what the scope's own tasks
        # (drain, idle watch) and the goodbye may raise.
        def guard(error: BaseException) -> None:
            self._blame(f"{peer}:{address[1]}" if connection is None else str(connection), error)

        try:
            with guarded(guard):
                async with open_scope("connection", name) as scope:
                    scope.sockets = 1
                    connection = Connection(client, scope, listener.limits, peer, address[1])
                    with guarded(guard):
                        if counted is None:
                            connection.trusted = True
                            counted = await self._hear_proxy(connection)
                        if listener.tls is not None:
                            await connection.start_tls(listener.tls.context(), listener.limits)
                        await self._handler(connection)
                    await connection.say_goodbye()
        finally:
            self._count -= 1
            if counted is not None:
                listener.caps.leave(counted)
            client.close()
            if connection is not None:
                log.debug(
                    "connection closed",
                    listener=listener.name,
                    peer=str(connection),
                    reason=connection.scope.reason or "done",
                    received=connection.received,
                    sent=connection.outbox.sent,
                    seconds=round(trio.current_time() - begun, 3),
                )

    async def _hear_proxy(self, connection: Connection) -> str | None:
        """Learn the real address from a trusted proxy, if it sends a PROXY header.

        Returns the address that was counted for it, if any.
        """
        header = None
        with trio.move_on_after(_PROXY_TIMEOUT):
            # Peeked at, not read: a TLS hello behind the header is OpenSSL's to read.
            while (header := parse_proxy_header(data := await connection.peek(MAX_HEADER))) is None:
                if not data:
                    return None
                await trio.sleep(_PROXY_PAUSE)  # a cut header: peeking cannot wait for the rest
        if header is None:
            raise RemoteProtocolError("PROXY header not finished in time")
        connection.skip(header.size)
        if header.host is None:
            return None
        host = _plain(header.host)
        if not self._listener.caps.enter(host):
            raise RemoteProtocolError(f"too many connections from {host}")
        connection.peer, connection.port = host, header.port
        return host

    def _trusts(self, ip: str) -> bool:
        return trusts(ip, self._listener.trusted)

    def _blame(self, peer: str, error: BaseException) -> None:
        """One line that says why, at the level of whose fault it is."""
        details = {"listener": self._listener.name, "peer": peer}
        match error:
            case RemoteProtocolError():
                log.warning("peer broke the protocol", **details, reason=str(error))
            case Refused(reason=reason, hint=hint):
                log.warning("refused", **details, reason=reason, hint=hint)
            case trio.BrokenResourceError() | OSError():
                log.info("peer gone", **details, reason=str(error))
            case trio.TooSlowError():
                log.warning("peer too slow", **details, reason="a deadline passed")
            case _:
                log.error("bug: connection ended by an exception", **details, exc_info=error)


def _plain(ip: str) -> str:
    """An IPv4 address seen through a dual-stack socket, as IPv4."""
    return ip[7:] if ip.startswith("::ffff:") and "." in ip else ip
