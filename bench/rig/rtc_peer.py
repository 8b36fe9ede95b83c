"""One client by WebRTC: ICE checks, DTLS by OpenSSL, SRTP by libsrtp; media are its heirs'.

Its own code but for STUN messages: a server that is measured with its own mistakes would pass.
"""

from __future__ import annotations

import contextlib
import secrets
import socket
import struct
from typing import Final

import pylibsrtp
from OpenSSL import SSL

from livetrio.webrtc.certificate import Certificate
from livetrio.wire.stun import build_request, build_success, is_stun, parse_stun
from rig.rtc_sdp import Far, Near

__all__ = ["RtcPeer", "client_context"]

_UDP_GRO: Final = 104
_SOL_UDP: Final = 17
_BUFFER: Final = 1 << 16
_RECEIVE_BUFFER: Final = 1 << 19
_PROFILES: Final = {
    "SRTP_AEAD_AES_128_GCM": (pylibsrtp.Policy.SRTP_PROFILE_AEAD_AES_128_GCM, 16, 12),
    "SRTP_AES128_CM_SHA1_80": (pylibsrtp.Policy.SRTP_PROFILE_AES128_CM_SHA1_80, 16, 14),
}
_ANCILLARY: Final = socket.CMSG_SPACE(4)


def client_context(certificate: Certificate) -> SSL.Context:
    """What all viewers' handshakes share; the profiles in a browser's order."""
    context = SSL.Context(SSL.DTLS_METHOD)
    context.set_options(SSL.OP_NO_QUERY_MTU)
    context.use_certificate(certificate.certificate)
    context.use_privatekey(certificate.key)
    context.set_verify(SSL.VERIFY_PEER, lambda *_: True)
    context.set_tlsext_use_srtp(":".join(_PROFILES).encode())
    return context


class RtcPeer:
    """Reads all that its socket has, whenever it is told to."""

    def __init__(self, context: SSL.Context, fingerprint: str) -> None:
        self.near = Near(secrets.token_hex(4), secrets.token_hex(12), fingerprint)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self.socket.setsockopt(_SOL_UDP, _UDP_GRO, 1)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
        self.socket.bind(("", 0))
        self.failed = 0
        """Packets that could not be decrypted."""
        self.profile = ""
        self._context = context
        self._far: Far | None = None
        self._checked = False
        self._dtls: SSL.Connection | None = None
        self._in: pylibsrtp.Session | None = None
        self._out: pylibsrtp.Session | None = None

    @property
    def connected(self) -> bool:
        """Are the keys there?"""
        return self._in is not None

    def connect(self, far: Far) -> None:
        """Begin with checks."""
        self._far = far
        self.socket.connect((far.host, far.port))
        self.check()

    def check(self) -> None:
        """One ICE check; also what keeps consent (RFC 7675)."""
        assert self._far is not None
        user = f"{self._far.ufrag}:{self.near.ufrag}"
        self.send(
            build_request(
                secrets.token_bytes(12), user, self._far.pwd, priority=1, use_candidate=True,
                controlling=secrets.randbits(63),
            )
        )  # fmt: skip

    def retry(self) -> None:
        """Once in a while until it is connected."""
        if self._far is not None and not self._checked:
            self.check()
        elif self._dtls is not None and not self.connected:
            self._dtls.DTLSv1_handle_timeout()
            self._flush()

    def on_media(self, data: bytes) -> None:
        """A packet of SRTP or SRTCP has come: decrypt it."""
        if self._in is None:
            return
        try:
            if 192 <= data[1] <= 223:
                self.on_rtcp(self._in.unprotect_rtcp(data))
            else:
                self.on_rtp(self._in.unprotect(data), len(data))
        except pylibsrtp.Error:
            self.failed += 1

    def on_rtp(self, packet: bytes, size: int) -> None:
        """A packet has come.

        Args:
            packet: decrypted.
            size: of what was on the wire.
        """

    def on_rtcp(self, compound: bytes) -> None:
        """Likewise."""

    def send_rtp(self, packet: bytes) -> bytes:
        """Send one, and return it as it went; RtcPeer must be `connected`."""
        assert self._out is not None
        datagram: bytes = self._out.protect(packet)
        self.send(datagram)
        return datagram

    def send_rtcp(self, compound: bytes) -> None:
        """Likewise."""
        assert self._out is not None
        self.send(self._out.protect_rtcp(compound))

    def read(self) -> None:
        """Take all that is there."""
        while True:
            try:
                data, ancillary, _, _ = self.socket.recvmsg(_BUFFER, _ANCILLARY)
            except (BlockingIOError, ConnectionRefusedError):
                return
            size = len(data)
            if ancillary:
                size = struct.unpack("i", ancillary[0][2][:4])[0] or size
            if len(data) <= size:
                self._take(data)
                continue
            for start in range(0, len(data), size):
                self._take(data[start : start + size])

    def _take(self, data: bytes) -> None:
        first = data[0]
        if first >= 128:
            self.on_media(data)
        elif is_stun(data):
            self._stun(data)
        elif 19 < first < 64 and self._dtls is not None:
            self._dtls.bio_write(data)
            self._handshake()

    def _stun(self, data: bytes) -> None:
        message = parse_stun(data)
        if data[0] << 8 | data[1] == 0x0001:
            host, port = self.socket.getpeername()
            self.send(build_success(message.transaction, (host, port), self.near.pwd))
        elif not self._checked:
            self._checked = True
            self._dtls = SSL.Connection(self._context, None)
            self._dtls.set_ciphertext_mtu(1200)
            self._dtls.set_connect_state()
            self._handshake()

    def _handshake(self) -> None:
        dtls = self._dtls
        if dtls is None or self.connected:
            return
        try:
            dtls.do_handshake()
        except SSL.WantReadError:
            self._flush()
            return
        self._flush()
        self.profile = dtls.get_selected_srtp_profile().decode()
        number, key, salt = _PROFILES[self.profile]
        keys = dtls.export_keying_material(b"EXTRACTOR-dtls_srtp", 2 * (key + salt))
        policy = pylibsrtp.Policy
        self._out = pylibsrtp.Session(
            policy(
                key=keys[:key] + keys[2 * key : 2 * key + salt],
                ssrc_type=policy.SSRC_ANY_OUTBOUND,
                srtp_profile=number,
            )
        )
        self._in = pylibsrtp.Session(
            policy(
                key=keys[key : 2 * key] + keys[2 * key + salt :],
                ssrc_type=policy.SSRC_ANY_INBOUND,
                srtp_profile=number,
            )
        )

    def _flush(self) -> None:
        """Send what OpenSSL wants sent: its byte stream, cut at the record headers."""
        assert self._dtls is not None
        try:
            data = self._dtls.bio_read(_BUFFER)
        except SSL.WantReadError:
            return
        datagram = b""
        while data:
            size = 13 + int.from_bytes(data[11:13], "big")
            if datagram and len(datagram) + size > 1200:
                self.send(datagram)
                datagram = b""
            datagram += data[:size]
            data = data[size:]
        self.send(datagram)

    def send(self, datagram: bytes) -> None:
        """One datagram as it is, or lose it."""
        with contextlib.suppress(BlockingIOError, ConnectionRefusedError):
            self.socket.send(datagram)
