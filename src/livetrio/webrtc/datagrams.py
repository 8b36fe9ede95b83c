"""UdpSocket: one bound address, drained in batches, written to in segments.

One socket per local address, never the wildcard: a reply must come from the candidate that was
asked (RFC 8445), and the wildcard would let the routing table choose.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Literal

import trio

from livetrio.errors import RemoteProtocolError
from livetrio.logs import get_logger
from livetrio.net.guard import guarded
from livetrio.webrtc.paths import shown

if TYPE_CHECKING:
    from livetrio.webrtc.ice import Challenge
    from livetrio.webrtc.peer import Peer

__all__ = ["MAX_DATAGRAM", "UdpPath", "UdpSocket", "blame"]

log = get_logger(__name__)

MAX_DATAGRAM: Final = 2048
"""Bytes; nothing that belongs here is larger than an Ethernet frame."""
_BATCH: Final = 64
"""Datagrams handled before everybody else has a turn ..."""
_HOLD: Final = 0.002
"""... and seconds: what RTCP says may be dear to act on, and what is received is sent to a few
viewers at once."""
_BUFFER: Final = 4 << 20
"""Bytes of kernel buffer asked for, each way; the kernel cuts it to net.core.[rw]mem_max."""
_UDP_SEGMENT: Final = 103
_IP_MTU_DISCOVER: Final = 10
_IPV6_MTU_DISCOVER: Final = 23
_PMTUDISC_OMIT: Final = 5

Handler = Callable[["UdpSocket", tuple[str, int], bytes], bool]
"""Takes a datagram and where it came from; True: that was dear, let others have a turn."""


def blame(peer: Peer, error: BaseException) -> None:
    """End a peer whose datagram raised something."""
    if isinstance(error, RemoteProtocolError):
        log.warning("peer broke the protocol", peer=peer.scope.name, reason=str(error))
        peer.scope.cancel(str(error))
    else:
        log.error("bug: peer ended by an exception", peer=peer.scope.name, exc_info=error)
        peer.scope.cancel("a bug of ours")


class UdpSocket:
    """The only owner of its socket, which `run` closes."""

    def __init__(self, sock: socket.socket, handler: Handler) -> None:
        """
        Args:
            sock: bound, non-blocking.
            handler: called with what does not come from a validated address, or is not media.
        """
        self._sock = sock
        self._handler = handler
        self._segments = True
        self._handling: Peer | None = None
        self.paths: dict[tuple[str, int], UdpPath] = {}
        """Validated remote addresses, as recvfrom gives them."""
        self.oversized = 0
        """Datagrams too large to be looked at."""
        self.failed = 0
        """Datagrams that the kernel would not take."""
        for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
            with suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, option, _BUFFER)
        # Datagrams are small; a forged "fragmentation needed" must not stop segmented sends.
        with suppress(OSError):
            if sock.family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_MTU_DISCOVER, _PMTUDISC_OMIT)
            else:
                sock.setsockopt(socket.IPPROTO_IP, _IP_MTU_DISCOVER, _PMTUDISC_OMIT)

    async def run(self) -> None:
        """Receive until cancelled. What a datagram breaks ends its peer and nobody else."""
        with self._sock as sock:
            while True:
                await trio.lowlevel.wait_readable(sock)
                with guarded(self._blame):
                    while self._receive_some():
                        await trio.lowlevel.checkpoint()

    def _receive_some(self) -> bool:
        """Handle one batch; True if there is probably more."""
        sock, paths = self._sock, self.paths
        # One time for all: they have been there since, or come within the millisecond.
        now = trio.current_time()
        for _ in range(_BATCH):
            try:
                data, source = sock.recvfrom(MAX_DATAGRAM + 1)
            except BlockingIOError:
                return False
            except OSError as error:  # an ICMP error of an earlier send
                log.debug("receiving failed", reason=error.strerror or str(error))
                return True
            if not 2 <= len(data) <= MAX_DATAGRAM:
                self.oversized += len(data) > MAX_DATAGRAM
                continue
            path = paths.get(source)
            if path is not None and 127 < data[0] < 192:  # RFC 7983: SRTP and SRTCP
                peer = self._handling = path.peer
                if peer is not None:
                    peer.receive_media(path, data, now)
            else:
                self._handling = path.peer if path is not None else None
                if self._handler(self, source, data):
                    return True
            if trio.current_time() - now > _HOLD:
                return True
        return True

    def _blame(self, error: BaseException) -> None:
        peer, self._handling = self._handling, None
        if peer is None:
            log.error("bug: a datagram raised an exception", exc_info=error)
            return
        blame(peer, error)

    def blame_on(self, peer: Peer) -> None:
        """What the datagram at hand raises from now on is this peer's end."""
        self._handling = peer

    def send(self, datagram: bytes | memoryview, address: tuple[str, int]) -> bool:
        """Hand one datagram to the kernel, or lose it."""
        try:
            self._sock.sendto(datagram, address)
        except OSError:  # would block, unreachable, forbidden by a firewall, closed: all lost
            self.failed += 1
            return False
        return True

    def send_run(self, view: memoryview, segment: int, address: tuple[str, int]) -> int:
        """Hand a run to the kernel in one call where it can cut it; returns datagrams sent."""
        size = len(view)
        if size <= segment:
            return int(self.send(view, address))
        if self._segments:
            ancillary = [(socket.IPPROTO_UDP, _UDP_SEGMENT, segment.to_bytes(2, _ORDER))]
            try:
                self._sock.sendmsg((view,), ancillary, 0, address)
            except BlockingIOError:
                self.failed += 1
                return 0
            except OSError as error:
                if error.errno == errno.EINVAL:
                    pass  # this destination's interface takes only smaller ones: one by one
                elif error.errno in (errno.EIO, errno.ENOPROTOOPT, errno.EOPNOTSUPP):
                    self._segments = False
                    log.info("no segmented sends on this interface", reason=error.strerror)
                else:
                    self.failed += 1
                    return 0
            else:
                return -(-size // segment)
        sent = 0
        for at in range(0, size, segment):
            if not self.send(view[at : at + segment], address):
                break
            sent += 1
        return sent


_ORDER: Final[Literal["little", "big"]] = "little" if socket.htons(1) != 1 else "big"


class UdpPath:
    """A remote address that a STUN check has validated."""

    __slots__ = ("_address", "_socket", "challenge", "heard", "peer", "proven")

    protocol: Literal["udp"] = "udp"

    def __init__(self, udp: UdpSocket, address: tuple[str, int]) -> None:
        """address: as recvfrom gives it (for IPv6 with flow and scope)."""
        self._socket = udp
        self._address = address
        self.peer: Peer | None = None
        self.heard = 0.0
        self.proven = False
        self.challenge: Challenge | None = None

    @property
    def address(self) -> str:
        return shown(*self.source)

    @property
    def source(self) -> tuple[str, int]:
        return self._address[0].partition("%")[0], self._address[1]

    def send(self, datagram: bytes) -> bool:
        return self._socket.send(datagram, self._address)

    def send_run(self, view: memoryview, segment: int) -> int:
        if len(view) <= segment:  # sound, and small pictures: most of all
            return int(self._socket.send(view, self._address))
        return self._socket.send_run(view, segment, self._address)

    def close(self, reason: str) -> None:  # noqa: ARG002 - nothing to tell: UDP has no end
        self.proven = False  # whose it is next has proven nothing
        self.challenge = None
        if self._socket.paths.get(self._address) is self:
            del self._socket.paths[self._address]
