"""Transport: one port for all peers (RFC 7983 demultiplexing), and the ticker of their deadlines.

STUN finds its peer by the user name fragment; everything else by the address it comes from, and
only addresses that passed an integrity check count. What is nobody's is dropped and counted.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from math import inf
from typing import Final

import trio

from livetrio.access.throttle import one_peer
from livetrio.config import Network, WebrtcConfig
from livetrio.errors import RefusalCode, Refused, RemoteProtocolError
from livetrio.logs import get_logger
from livetrio.net.connection import Connection
from livetrio.net.guard import guarded
from livetrio.net.listen import Caps, Listener, serve_listener
from livetrio.net.scope import Scope, open_scope
from livetrio.webrtc.candidates import Sockets, candidate_lines
from livetrio.webrtc.certificate import Certificate
from livetrio.webrtc.datagrams import UdpPath, UdpSocket, blame
from livetrio.webrtc.dtls import DtlsContext, DtlsSession
from livetrio.webrtc.ice import IceAgent, Throttle
from livetrio.webrtc.ice_tcp import ICE_TCP_LIMITS, TcpPath, serve_ice_tcp
from livetrio.webrtc.negotiation_words import Remote
from livetrio.webrtc.paths import Path
from livetrio.webrtc.peer import Peer
from livetrio.wire.stun import parse_stun

__all__ = ["Transport", "open_transport"]

log = get_logger(__name__)

_CONNECT_TIMEOUT: Final = 10.0
"""Seconds for ICE, DTLS and the fingerprint together."""
_TICK: Final = 0.05
"""Seconds; OpenSSL's own timers are whole seconds at first, then double."""
_LOOK: Final = 1.0
"""Seconds between two looks at who is still there."""
_YOUNG_LOOK: Final = 0.2
"""The same at those who are not connected yet."""
_HELD: Final = 0.25
"""Seconds the ticker wakes late, from which on it is us who stood still ..."""
_FAIRNESS: Final = 1.0
"""... and in which nobody is ended for silence then: what they said is still to be read."""
_HIJACK: Final = 5.0
"""Seconds: an address heard of for another peer within them stays that peer's."""


class Transport:
    """Made by `open_transport` only."""

    def __init__(
        self, config: WebrtcConfig, sockets: Sockets, certificate: Certificate, scope: Scope
    ) -> None:
        self.scope = scope
        self.fingerprint = certificate.fingerprint
        """("sha-256", hex with colons), for a=fingerprint."""
        self.port = sockets.port
        self.candidates = candidate_lines(
            sockets.hosts,
            sockets.port,
            public=config.public_addresses,
            ice_tcp=sockets.tcp is not None,
        )
        """Values of a=candidate."""
        self.unknown = 0
        """Datagrams from addresses that are no peer's, and checks that were not authentic."""
        self._config = config
        self._caps = Caps(config.max_peers, config.max_peers_per_ip)
        self._dtls = DtlsContext(certificate)
        self._peers: dict[str, Peer] = {}  # by each of our ufrags
        self._open = 0
        self._young: set[Peer] = set()  # not connected yet, or still repeating
        self._throttle = Throttle()
        self._wake = trio.Event()
        self._shaking = False  # does the ticker look twenty times a second?
        self._fair_from = -inf  # when silence is the peers' own again

    @property
    def peers(self) -> set[Peer]:
        """All that are open."""
        return set(self._peers.values())

    @property
    def ufrags(self) -> set[str]:
        """Under which checks are listened to."""
        return set(self._peers)

    @asynccontextmanager
    async def open_peer(
        self,
        remote: Remote | None,
        *,
        name: str,
        parent: Scope | None = None,
        ip: str = "",
    ) -> AsyncIterator[Peer]:
        """A peer whose credentials, `peer.local`, go into our description; gone, with a goodbye,
        at the end of the block. Its scope is cancelled when the peer is gone.

        Args:
            remote: the peer's description; None where ours comes first (`peer.accept` later).
            name: of its scope, for operators.
            parent: the scope above.
            ip: whom to count it for under `webrtc.max_peers_per_ip` (of IPv6, its /64);
                "": nobody.

        Raises:
            Refused: TOO_MANY peers, in all or of that address.
        """
        if self._open >= self._config.max_peers:
            raise Refused(RefusalCode.TOO_MANY, "too many WebRTC peers")
        ip = one_peer(ip) if ip else ""
        if ip and not self._caps.enter(ip):
            raise Refused(RefusalCode.TOO_MANY, "too many WebRTC peers from this address")
        self._open += 1
        try:
            async with open_scope("peer", name, parent=parent) as scope:
                peer = Peer(scope, IceAgent(), DtlsSession(self._dtls), self)
                if remote is not None:
                    peer.accept(remote)
                self.enter(peer)
                if not self._young:
                    self._wake.set()
                self._young.add(peer)
                try:
                    yield peer
                finally:
                    peer.leave()
                    self._young.discard(peer)
                    log.debug(
                        "peer left", peer=name, reason=scope.reason or "done", **_numbers(peer)
                    )
        finally:
            self._open -= 1
            if ip:
                self._caps.leave(ip)

    def enter(self, peer: Peer) -> None:
        """Listen to checks under the peer's ufrags, the newest included."""
        for ufrag in peer.ice.ufrags:
            self._peers[ufrag] = peer
        self._retire(peer)

    def forget(self, peer: Peer) -> None:
        """No check of this peer any more."""
        self._retire(peer)
        for ufrag in peer.ice.ufrags:
            self._peers.pop(ufrag, None)

    def _retire(self, peer: Peer) -> None:
        while peer.ice.retired:
            self._peers.pop(peer.ice.retired.pop(), None)

    # Datagrams. True: that one was dear (a handshake), let others have a turn.

    def receive_udp(self, udp: UdpSocket, source: tuple[str, int], data: bytes) -> bool:
        """What is not media from a validated address."""
        path = udp.paths.get(source)
        if data[0] < 4:
            path = path or UdpPath(udp, source)
            peer = self._check(path, data)
            if peer is not None:
                udp.paths[source] = path
                udp.blame_on(peer)
            return False
        return self._dispatch(path, data)

    def receive_tcp(self, path: TcpPath, data: bytes) -> bool:
        """Any frame of an ICE-TCP connection."""
        if data[0] < 4:
            self._check(path, data)
            return False
        return self._dispatch(path, data)

    def _dispatch(self, path: Path | None, data: bytes) -> bool:
        peer = path.peer if path is not None else None
        if path is None or peer is None or len(data) < 2:
            self.unknown += 1
        elif 19 < data[0] < 64:
            peer.receive_dtls(path, data)
            if peer.handshaking:
                self._young.add(peer)  # once more, if it repeats itself long after its handshake
                if not self._shaking:
                    self._wake.set()
            return True
        elif 127 < data[0] < 192:
            peer.receive_media(path, data, trio.current_time())
        else:
            self.unknown += 1
        return False

    def _check(self, path: Path, data: bytes) -> Peer | None:
        """A connectivity check: answered if it is authentic. Returns whose the address is now."""
        now = trio.current_time()
        ip = path.source[0]
        # Who has been validated here is not judged by what others send from the same NAT.
        try:
            message = parse_stun(data)
        except RemoteProtocolError as error:
            self._stranger(ip, str(error))
            return None
        if path.peer is not None and path.peer.prove_path(path, message, now):
            return None
        ufrag = message.username.partition(":")[0]
        peer = self._peers.get(ufrag)
        source = f"{ip} {ufrag}"
        if peer is None or (path.peer is None and self._throttle.blocked(source, now)):
            self._stranger(ip, "too many guesses" if peer is not None else "nobody's")
            return None
        checked = peer.ice.check(message, path.source)
        if checked is None:
            self._throttle.failed(source)
            self._stranger(ip, "not authentic")
            return None
        if len(checked.reply) <= len(data):  # else a forged source address would get more
            path.send(checked.reply)
        if not checked.valid:
            log.debug("ICE check refused", peer=peer.scope.name)
            return None
        if path.peer is not None and path.peer is not peer:
            if now - path.heard < _HIJACK:
                self.unknown += 1
                return None
            path.peer.drop_path(path)
        self._retire(peer)
        peer.use_path(path, now, nominated=checked.nominated)
        return peer

    def _stranger(self, ip: str, reason: str) -> None:
        self.unknown += 1
        log.debug("STUN dropped", source=ip, reason=reason)

    # Deadlines.

    async def tick(self) -> None:
        """Repeat handshakes, end who never finishes and who is gone; until cancelled."""
        looked = trio.current_time()
        while True:
            self._shaking = any(peer.handshaking for peer in self._young)
            pause = _TICK if self._shaking else _YOUNG_LOOK if self._young else _LOOK
            self._wake = trio.Event()
            # Not net/beat: one timer for all peers is what this is, and the beat wakes 200 times
            # a second while anybody waits.
            begun = trio.current_time()
            with trio.move_on_after(pause if self._peers else inf) as nap:
                await self._wake.wait()
            now = trio.current_time()
            if self._peers and now - begun > pause + _HELD:
                self._fair_from = now + _FAIRNESS
            if not nap.cancelled_caught:
                continue  # a first newcomer, or its handshake: look more often from now on
            due = self._young
            if now - looked >= _LOOK:
                looked, due = now, self.peers
            for peer in list(due):
                with guarded(partial(blame, peer)):
                    if peer.handshaking:
                        peer.tick_dtls()
                    self._look_at(peer, now)
            self._young = {
                peer for peer in self._young if peer.handshaking or not peer.connected.is_set()
            }

    def _look_at(self, peer: Peer, now: float) -> None:
        fair = now >= self._fair_from
        if not peer.connected.is_set():
            if fair and now - peer.opened > _CONNECT_TIMEOUT:
                step = "DTLS" if peer.address else "ICE"
                peer.scope.cancel(f"{step} not finished in {_CONNECT_TIMEOUT:g} s")
        elif fair and now - peer.heard > self._config.peer_timeout:
            peer.scope.cancel(f"silent for {self._config.peer_timeout:g} s")
        else:
            peer.look_at_paths(now)
            peer.settle()


def _numbers(peer: Peer) -> dict[str, int]:
    return {
        "sent": peer.bytes_sent,
        "received": peer.bytes_received,
        "dropped": peer.dropped,
        "refused": peer.refused,
    }


@asynccontextmanager
async def open_transport(
    config: WebrtcConfig,
    sockets: Sockets,
    certificate: Certificate,
    *,
    caps: Caps | None = None,
    trusted: Sequence[Network] = (),
) -> AsyncIterator[Transport]:
    """Serve the sockets in the block; at its end every peer is gone.

    Args:
        config: caps, public addresses and the peer timeout.
        sockets: from `bind_sockets`; closed by their own block.
        certificate: of `load_certificate`.
        caps: on TCP connections, shared with the other listeners.
        trusted: proxies in front of the TCP port.
    """
    async with open_scope("transport", f"webrtc :{sockets.port}") as scope:
        transport = Transport(config, sockets, certificate, scope)
        scope.sockets = len(sockets.udp)
        for sock in sockets.udp:
            udp = UdpSocket(sock, transport.receive_udp)
            scope.nursery.start_soon(udp.run, name="webrtc udp")
        scope.nursery.start_soon(transport.tick, name="webrtc ticker")
        if sockets.tcp is not None:
            listener = Listener(
                "webrtc", sockets.tcp, trusted=trusted, limits=ICE_TCP_LIMITS, caps=caps or Caps()
            )

            async def attend(connection: Connection) -> None:
                await serve_ice_tcp(connection, transport.receive_tcp, _CONNECT_TIMEOUT)

            await scope.nursery.start(serve_listener, listener, attend)
        yield transport
