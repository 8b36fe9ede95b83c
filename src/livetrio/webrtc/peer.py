"""Peer: one WebRTC connection, from its ICE credentials to its goodbye.

Everything here is a plain call on the transport's datagrams: no task per peer, no queue, so a
thousand viewers cost a thousand small objects. The transport's one ticker looks after deadlines.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

import trio

from livetrio.errors import RemoteProtocolError
from livetrio.logs import get_logger
from livetrio.net.scope import Scope
from livetrio.webrtc.dtls import DtlsSession, DtlsState
from livetrio.webrtc.ice import IceAgent, IceCredentials
from livetrio.webrtc.negotiation_words import Remote
from livetrio.webrtc.paths import Path
from livetrio.webrtc.run import Run
from livetrio.webrtc.srtp import Opener, Sealer, open_srtp
from livetrio.wire.stun import StunMessage

__all__ = ["Peer"]

log = get_logger(__name__)

_MAX_PATHS = 4
"""Validated addresses kept of one peer: IPv4, IPv6, TCP and where it moves to."""
_SILENT = 5.0
"""Seconds: a selected path unheard of for longer gives way to any other that is checked."""


def _ignore_rtp(packet: bytes, arrival: float) -> None:
    """Media before anybody is there to take it."""


def _ignore_rtcp(compound: bytes) -> None:
    """As above."""


class Desk(Protocol):
    """Where checks find their peer: the transport."""

    def enter(self, peer: Peer) -> None:
        """Listen to checks under all ufrags of the peer."""

    def forget(self, peer: Peer) -> None:
        """No check of this peer any more."""


class Peer:
    """Made by `Transport.open_peer` only. Sending never blocks; what cannot go out is counted."""

    __slots__ = (
        "_desk",
        "_dtls",
        "_fingerprints",
        "_opener",
        "_path",
        "_paths",
        "_sealer",
        "_ways",
        "_wish",
        "bytes_received",
        "bytes_sent",
        "connected",
        "dropped",
        "ice",
        "id",
        "on_rtcp",
        "on_rtp",
        "opened",
        "packets_received",
        "packets_sent",
        "refused",
        "scope",
    )

    def __init__(self, scope: Scope, ice: IceAgent, dtls: DtlsSession, desk: Desk) -> None:
        self.id = scope.id
        self.scope = scope
        """Cancel it, with a reason, to end the peer; its end is how the peer's end is known."""
        self.ice = ice
        self.opened = trio.current_time()
        self.connected = trio.Event()
        """An address is proven, the fingerprint verified, the SRTP keys are in place."""
        self.on_rtp: Callable[[bytes, float], None] = _ignore_rtp
        """Called with each decrypted RTP packet and its arrival (seconds, Trio's clock)."""
        self.on_rtcp: Callable[[bytes], None] = _ignore_rtcp
        """Called with each decrypted compound RTCP packet."""
        self.bytes_sent = 0
        """Bytes of UDP or TCP payload."""
        self.bytes_received = 0
        self.packets_sent = 0
        """RTP packets handed to the kernel."""
        self.packets_received = 0
        self.dropped = 0
        """RTP packets that the socket would not take."""
        self.refused = 0
        """SRTP and SRTCP packets from this peer that were forged, replayed or broken."""
        self._fingerprints: tuple[tuple[str, str], ...] | None = None
        self._desk = desk
        self._dtls = dtls
        self._sealer: Sealer | None = None
        self._opener: Opener | None = None
        self._path: Path | None = None
        self._paths: list[Path] = []
        self._ways = 0  # paths there have ever been
        self._wish: Path | None = None  # where it moves to, once that is proven

    @property
    def local(self) -> IceCredentials:
        """Our ICE credentials, the newest ones after a restart."""
        return self.ice.local

    @property
    def address(self) -> str:
        """The selected remote address, "192.0.2.1:4242", "[2001:db8::1]:4242"; "" before."""
        return self._path.address if self._path is not None else ""

    @property
    def transport(self) -> str:
        """ "udp" or "tcp"; "" before an address is selected."""
        return self._path.protocol if self._path is not None else ""

    @property
    def profile(self) -> str:
        """The SRTP protection profile in use, as OpenSSL spells it; "" before."""
        return self._dtls.profile

    @property
    def heard(self) -> float:
        """When the peer last proved that it lives."""
        return max((path.heard for path in self._paths), default=self.opened)

    def accept(self, remote: Remote) -> None:
        """Take the peer's description, where it comes after ours (its answer to our offer)."""
        self._fingerprints = remote.fingerprints
        self.ice.remote = IceCredentials(remote.ufrag, remote.pwd)
        if remote.setup == "passive":
            self._dtls.be_client()
            self._greet()
        self._secure()

    def restart_ice(self, remote: Remote) -> IceCredentials:
        """Begin a new ICE generation: new credentials of ours for the answer (RFC 8445 9).

        The old ones count, and media go on, until the first check under the new.
        """
        credentials = self.ice.restart()
        self.ice.remote = IceCredentials(remote.ufrag, remote.pwd)
        for path in self._paths:
            path.challenge = None  # nobody answers those of the old generation
        self._desk.enter(self)
        return credentials

    def send_run(self, run: Run) -> bool:
        """Encrypt a run for this peer and send it, one system call for all of it.

        Never blocks. False: the host's own socket is full (or the peer is not connected), the
        run is dropped and counted. Waiting would make one congested interface hold up every
        viewer, and a queue would only add the delay that real-time media cannot use; what is
        missing is asked for again (NACK) or skipped to the next key frame.
        """
        sealer, path = self._sealer, self._path
        if sealer is None or path is None or not path.proven:
            self.dropped += len(run.packets)
            return False
        view, segment, count = sealer.seal(run)
        if not count:
            return True  # older than anything this peer was sent: nobody could decrypt it
        sent = path.send_run(view, segment)
        self.packets_sent += sent
        if sent < count:
            self.dropped += count - sent
            self.bytes_sent += min(sent * segment, len(view))
            return False
        self.bytes_sent += len(view)
        return True

    def send_rtcp(self, compound: bytes) -> None:
        """Encrypt and send one compound RTCP packet (at most 1,200 bytes); lost if it cannot."""
        if self._sealer is not None and self._path is not None and self._path.proven:
            self._send(self._sealer.seal_rtcp(compound))

    def _send(self, datagram: bytes) -> None:
        if self._path is not None and self._path.send(datagram):
            self.bytes_sent += len(datagram)

    # What the transport calls with what arrives.

    def receive_media(self, path: Path, data: bytes, now: float) -> None:
        """An SRTP or SRTCP packet from a validated address."""
        opener = self._opener
        if opener is None:
            self.refused += 1
            return
        if 192 <= data[1] <= 223:  # RFC 5761 section 4
            plain = opener.open_rtcp(data)
            if plain is not None:
                path.heard = now
                self.bytes_received += len(data)
                self.on_rtcp(plain)
                return
        else:
            plain = opener.open_rtp(data)
            if plain is not None:
                path.heard = now
                self.bytes_received += len(data)
                self.packets_received += 1
                self.on_rtp(plain, now)
                return
        self.refused += 1

    def receive_dtls(self, path: Path, data: bytes) -> None:
        """A DTLS datagram from a validated address. Costs up to a millisecond."""
        for datagram in self._dtls.feed(data):
            path.send(datagram)
        if self._ways == 1 and self._dtls.state is DtlsState.DONE:
            path.proven = True  # all we said went there: nobody else could have answered it
        self._follow_dtls()

    def tick_dtls(self) -> None:
        """Let the handshake repeat itself where its time has come."""
        for datagram in self._dtls.tick():
            self._send(datagram)
        self._follow_dtls()

    def _follow_dtls(self) -> None:
        match self._dtls.state:
            case DtlsState.DONE:
                self._secure()
            case DtlsState.FAILED:
                self.scope.cancel(f"DTLS: {self._dtls.reason}")
            case DtlsState.CLOSED:
                self.scope.cancel("the peer said goodbye")

    def settle(self) -> None:
        """Give back the handshake's memory, once the peer has shown that it has the keys."""
        if self._opener is not None and self.bytes_received:
            self._dtls.settle()

    @property
    def handshaking(self) -> bool:
        """Must `tick_dtls` be called? Until the peer has shown that it got our last word."""
        return self._dtls.repeating

    def _secure(self) -> None:
        """Both the handshake and the fingerprint it has to match are known: take the keys."""
        if (
            self._fingerprints is None
            or self._sealer is not None
            or self._dtls.state is not DtlsState.DONE
        ):
            return
        try:
            self._dtls.verify(self._fingerprints)
        except RemoteProtocolError as error:
            self.scope.cancel(f"DTLS: {error}")
            return
        self._sealer, self._opener = open_srtp(self._dtls.profile, self._dtls.export_keys())
        self._settle_in()

    def _settle_in(self) -> None:
        """The keys are there, or the address is proven: when both are, so is the peer."""
        path = self._path
        if self._sealer is None or path is None or not path.proven or self.connected.is_set():
            return
        self.connected.set()
        log.debug("peer connected", peer=self.scope.name, at=self.address, srtp=self.profile)

    def use_path(self, path: Path, now: float, *, nominated: bool) -> None:
        """A check with the peer's credentials came from this address (RFC 8445 7.3).

        The first such address is where the handshake goes. Another takes its place when it is
        nominated, or that one has fallen silent, and in any case not before the peer has
        answered a check of ours there: in the meantime nothing is lost that was not lost before.
        """
        path.heard = now
        if path not in self._paths:
            self._add_path(path)
        current = self._path
        if current is None:
            self._select(path)
        elif path is not current and (nominated or now - current.heard > _SILENT):
            if path.proven:
                self._select(path)
            else:
                self._wish = path
        if self._ways > 1:
            self._challenge(path)

    def prove_path(self, path: Path, message: StunMessage, now: float) -> bool:
        """No request came from this address: is it the answer to our check?"""
        challenge = path.challenge
        if challenge is None or not challenge.answered_by(message):
            return False
        path.challenge = None
        path.proven = True
        path.heard = now
        if self._wish is path:
            self._select(path)
        self._settle_in()
        return True

    def look_at_paths(self, now: float) -> None:
        """Leave a selected address that has fallen silent for one that has not."""
        current = self._path
        if current is not None and now - current.heard > _SILENT:
            freshest = max((path for path in self._paths if path.proven), key=_heard, default=None)
            if freshest is not None and freshest.heard > current.heard:
                self._select(freshest)

    def _add_path(self, path: Path) -> None:
        path.peer = self
        self._paths.append(path)
        self._ways += 1
        if len(self._paths) > _MAX_PATHS:
            oldest = min((p for p in self._paths if p is not self._path), key=_heard)
            self.drop_path(oldest)
        if self._ways == 2:  # the first one, so far, had nothing to prove
            for other in self._paths[:-1]:
                self._challenge(other)

    def _challenge(self, path: Path) -> None:
        """Check in return. One per check of the peer's, of its size: no use as an amplifier."""
        if path.proven:
            return
        if path.challenge is None:
            path.challenge = self.ice.challenge()
        if path.challenge is not None:
            path.send(path.challenge.request)

    def _select(self, path: Path) -> None:
        self._path = path
        self._wish = None
        log.debug("peer's address", peer=self.scope.name, at=path.address)
        self._greet()

    def _greet(self) -> None:
        """Say hello as soon as there is somebody to say it to, if that is our part."""
        if self._path is not None:
            for datagram in self._dtls.start():
                self._send(datagram)

    def drop_path(self, path: Path) -> None:
        """It is closed, or belongs to somebody else now."""
        path.peer = None
        with suppress(ValueError):
            self._paths.remove(path)
        if self._wish is path:
            self._wish = None
        if self._path is path:
            self._path = max(self._paths, key=lambda p: (p.proven, p.heard), default=None)
        path.close(self.scope.reason or "no longer in use")

    def leave(self) -> None:
        """Say goodbye and be forgotten. Plain calls: also when the scope was cancelled."""
        for datagram in self._dtls.close():
            self._send(datagram)
        for path in list(self._paths):
            self.drop_path(path)
        self._desk.forget(self)
        self._sealer = self._opener = None
        self.on_rtp, self.on_rtcp = _ignore_rtp, _ignore_rtcp


def _heard(path: Path) -> float:
    return path.heard
