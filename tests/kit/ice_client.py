"""A WebRTC client in small: raw UDP or TCP socket, ICE checks, DTLS by OpenSSL, SRTP by libsrtp.

Independent of livetrio's own DTLS and SRTP, so that a mistake made twice shows. Every step can be
left out or done wrong, which is what hostile tests are made of.
"""

from __future__ import annotations

import secrets
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pylibsrtp
import trio
from OpenSSL import SSL

from livetrio.webrtc.certificate import make_certificate
from livetrio.webrtc.dtls import datagrams
from livetrio.webrtc.ice import IceCredentials
from livetrio.webrtc.negotiation_words import Remote
from livetrio.wire.stun import (
    REQUEST,
    StunMessage,
    build_request,
    build_success,
    is_stun,
    parse_stun,
)

__all__ = ["CERTIFICATE", "PROFILES", "IceClient", "ice_client", "remote_of"]

CERTIFICATE = make_certificate()
"""One for all clients: it is never what a test is about."""

PROFILES = {
    "SRTP_AEAD_AES_128_GCM": (pylibsrtp.Policy.SRTP_PROFILE_AEAD_AES_128_GCM, 16, 12),
    "SRTP_AEAD_AES_256_GCM": (pylibsrtp.Policy.SRTP_PROFILE_AEAD_AES_256_GCM, 32, 12),
    "SRTP_AES128_CM_SHA1_80": (pylibsrtp.Policy.SRTP_PROFILE_AES128_CM_SHA1_80, 16, 14),
}


def remote_of(
    fingerprint: tuple[str, str] = CERTIFICATE.fingerprint, setup: str = "active"
) -> Remote:
    """What the client's SDP would say of it."""
    return Remote("client", "p" * 24, (fingerprint,), setup)


REMOTE = remote_of()
"""Whose credentials answer the server's own checks."""


class IceClient:
    """The client's end of one transport."""

    def __init__(
        self,
        sock: socket.socket,
        server: tuple[str, int],
        credentials: IceCredentials,
        profiles: tuple[str, ...],
        *,
        dtls_server: bool,
    ) -> None:
        self.sock = sock
        self.server = server
        self.credentials = credentials
        context = SSL.Context(SSL.DTLS_METHOD)
        context.set_options(SSL.OP_NO_QUERY_MTU)
        context.use_certificate(CERTIFICATE.certificate)
        context.use_privatekey(CERTIFICATE.key)
        context.set_verify(SSL.VERIFY_PEER, lambda *_: True)
        context.set_tlsext_use_srtp(":".join(profiles).encode())
        self.dtls = SSL.Connection(context, None)
        self.dtls.set_ciphertext_mtu(1200)
        self.dtls_server = dtls_server
        if dtls_server:
            self.dtls.set_accept_state()
        else:
            self.dtls.set_connect_state()
        self.profile = ""
        self.answers = True
        """Does it answer the server's own checks, as every full agent does?"""
        self.challenged: list[StunMessage] = []
        """The server's own checks."""
        self.sequence = 100
        """For tests that need a fresh sequence number."""
        self.goodbye = False
        """The server has sent close_notify."""
        self.media: list[bytes] = []
        """Encrypted datagrams that came while something else was waited for."""

    # Datagrams.

    def send(self, datagram: bytes) -> None:
        self.sock.sendto(datagram, self.server)

    async def receive(self) -> bytes:
        await trio.lowlevel.wait_readable(self.sock)
        return self.sock.recv(4096)

    # ICE.

    def request(
        self, *, use_candidate: bool = True, password: str = "", **changes: object
    ) -> bytes:
        roles = {"controlling": 7} if "controlled" not in changes else {}
        return build_request(
            secrets.token_bytes(12),
            f"{self.credentials.ufrag}:client",
            password or self.credentials.pwd,
            priority=1,
            use_candidate=use_candidate,
            **{**roles, **changes},
        )

    async def check(self, **changes: object) -> StunMessage:
        """Send checks until one is answered."""
        while True:
            self.send(self.request(**changes))
            with trio.move_on_after(0.2):
                while True:
                    data = await self.receive()
                    if is_stun(data) and (message := parse_stun(data)).kind != REQUEST:
                        return message
                    self._other(data)

    async def prove(self, **changes: object) -> None:
        """Check until the server has checked in return, and has taken the answer in."""
        answered = len(self.challenged)
        while len(self.challenged) == answered:
            await self.check(**changes)
            with trio.move_on_after(0.1):
                while len(self.challenged) == answered:
                    self._other(await self.receive())
        await self.check(**changes)  # answered after ours was read

    def _challenge(self, message: StunMessage) -> None:
        self.challenged.append(message)
        if self.answers and message.username.partition(":")[0] == REMOTE.ufrag:
            seen_at = self.sock.getsockname()
            self.send(build_success(message.transaction, seen_at[:2], REMOTE.pwd))

    # DTLS.

    async def handshake(self) -> None:
        """Do the whole handshake and take the keys."""
        flight = self.step()
        while not self.profile:
            for datagram in flight:
                self.send(datagram)
            with trio.move_on_after(0.2):
                while True:
                    data = await self.receive()
                    if not 19 < data[0] < 64:
                        self._other(data)
                        continue
                    self.dtls.bio_write(data)
                    if said := self.step():
                        flight = said
                    if said or self.profile:
                        break
        for datagram in flight:
            self.send(datagram)

    def step(self) -> list[bytes]:
        """Go on with the handshake; returns what is to be sent."""
        try:
            self.dtls.do_handshake()
            self.profile = self.dtls.get_selected_srtp_profile().decode()
            self._take_keys()
        except SSL.WantReadError:
            pass
        return self.said()

    def said(self) -> list[bytes]:
        """What OpenSSL wants sent."""
        try:
            return datagrams(self.dtls.bio_read(1 << 16))
        except SSL.WantReadError:
            return []

    def _take_keys(self) -> None:
        number, key, salt = PROFILES[self.profile]
        material = self.dtls.export_keying_material(b"EXTRACTOR-dtls_srtp", 2 * (key + salt))
        client = material[:key] + material[2 * key : 2 * key + salt]
        server = material[key : 2 * key] + material[2 * key + salt :]
        ours, theirs = (server, client) if self.dtls_server else (client, server)
        policy = pylibsrtp.Policy
        out = policy(key=ours, ssrc_type=policy.SSRC_ANY_OUTBOUND, srtp_profile=number)
        out.allow_repeat_tx = True
        self.protect = pylibsrtp.Session(out)
        self.unprotect = pylibsrtp.Session(
            policy(key=theirs, ssrc_type=policy.SSRC_ANY_INBOUND, srtp_profile=number)
        )

    def close(self) -> None:
        """Say close_notify."""
        with suppress(SSL.Error):
            self.dtls.shutdown()
        for datagram in self.said():
            self.send(datagram)

    def _other(self, data: bytes) -> None:
        if 19 < data[0] < 64 and self.profile:
            self.dtls.bio_write(data)
            try:
                self.dtls.recv(4096)
            except SSL.ZeroReturnError:
                self.goodbye = True
            except SSL.Error:
                pass
        elif 127 < data[0] < 192:
            self.media.append(data)
        elif is_stun(data) and (message := parse_stun(data)).kind == REQUEST:
            self._challenge(message)

    # Media.

    def send_rtp(self, packet: bytes) -> None:
        self.send(self.protect.protect(packet))

    def send_rtcp(self, compound: bytes) -> None:
        self.send(self.protect.protect_rtcp(compound))

    async def receive_encrypted(self) -> bytes:
        """The next SRTP or SRTCP packet as it came."""
        while not self.media:
            self._other(await self.receive())
        return self.media.pop(0)

    async def receive_rtp(self) -> bytes:
        """The next RTP packet, decrypted."""
        while True:
            data = await self.receive_encrypted()
            if not 192 <= data[1] <= 223:
                return self.unprotect.unprotect(data)

    async def receive_rtcp(self) -> bytes:
        """The next compound RTCP packet, decrypted."""
        while True:
            data = await self.receive_encrypted()
            if 192 <= data[1] <= 223:
                return self.unprotect.unprotect_rtcp(data)

    async def wait_goodbye(self) -> None:
        """Return when the server has said close_notify."""
        while not self.goodbye:
            self._other(await self.receive())

    def move(self) -> None:
        """Get a new source port, as behind a NAT that forgot."""
        host = self.sock.getsockname()[0]
        self.sock.close()
        self.sock = _udp(host)

    async def connect(self) -> None:
        """ICE and DTLS."""
        await self.check()
        await self.handshake()


class TcpIceClient(IceClient):
    """The same over ICE-TCP."""

    _buffer = b""

    def send(self, datagram: bytes) -> None:
        self.sock.sendall(len(datagram).to_bytes(2, "big") + datagram)

    async def receive(self) -> bytes:
        while len(self._buffer) < 2 or len(self._buffer) < 2 + int.from_bytes(
            self._buffer[:2], "big"
        ):
            await trio.lowlevel.wait_readable(self.sock)
            data = self.sock.recv(65536)
            if not data:
                raise EOFError
            self._buffer += data
        size = int.from_bytes(self._buffer[:2], "big")
        frame, self._buffer = self._buffer[2 : 2 + size], self._buffer[2 + size :]
        return frame


def _udp(host: str = "127.0.0.1") -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_DGRAM)
    sock.bind((host, 0))
    sock.setblocking(False)
    return sock


@asynccontextmanager
async def ice_client(
    credentials: IceCredentials,
    server: tuple[str, int],
    *,
    profiles: tuple[str, ...] = ("SRTP_AEAD_AES_128_GCM", "SRTP_AES128_CM_SHA1_80"),
    tcp: bool = False,
    dtls_server: bool = False,
) -> AsyncIterator[IceClient]:
    """A client that has not said anything yet; its socket is closed at the end of the block.

    Args:
        credentials: the server's (`peer.local`).
        server: its address, or that of a relay in between.
        profiles: SRTP profiles offered.
        tcp: ICE-TCP.
        dtls_server: wait for the server's hello, as a=setup:passive says.
    """
    if tcp:
        sock = socket.create_connection(server)
        sock.setblocking(False)
        client: IceClient = TcpIceClient(
            sock, server, credentials, profiles, dtls_server=dtls_server
        )
    else:
        host = "::1" if ":" in server[0] else "127.0.0.1"
        client = IceClient(_udp(host), server, credentials, profiles, dtls_server=dtls_server)
    try:
        yield client
    finally:
        client.sock.close()
