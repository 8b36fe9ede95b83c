"""DTLS 1.2 over memory BIOs (RFC 6347), for the keys of SRTP (RFC 5764).

A memory BIO is a stream: what OpenSSL writes is cut at record headers here, and each datagram is
fed alone. No cookie exchange: only addresses that passed an ICE check get this far.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from OpenSSL import SSL

from livetrio.errors import RemoteProtocolError
from livetrio.webrtc.certificate import Certificate
from livetrio.webrtc.close_notify import CloseNotify
from livetrio.webrtc.srtp import PROFILES, SrtpKeys

__all__ = ["MTU", "DtlsContext", "DtlsSession", "DtlsState", "datagrams"]

MTU: Final = 1200
"""Bytes of a datagram: passes every path that media pass."""
_DTLS_1_2: Final = 0xFEFD
_CIPHERS: Final = (
    b"ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-ECDSA-AES256-GCM-SHA384:"
    b"ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-AES256-GCM-SHA384"
)
"""The RSA ones are for peers that wait for our hello with a certificate of that kind."""
_RECORD_HEADER: Final = 13
_MAX_HANDSHAKE: Final = 300
"""Datagrams of one handshake, repeats and all; a real one takes a dozen."""
_REPEAT: Final = 4
"""Ticks before a flight is sent again; then twice as many, and so on."""
_LAST_REPEAT: Final = 32
"""Ticks, once the handshake is done: who is still silent then has nothing to say, most likely.
Before that, the peer's deadline is the end of it."""
_MAX_AFTER: Final = 1000
"""Datagrams listened to after it: there are no data channels, so a goodbye and repeats."""
_HASHES: Final[dict[str, hashes.HashAlgorithm]] = {
    "sha-512": hashes.SHA512(),
    "sha-384": hashes.SHA384(),
    "sha-256": hashes.SHA256(),
    "sha-224": hashes.SHA224(),
}
"""Strongest first. MD2 and MD5 are forbidden (RFC 8122 section 5), SHA-1 is broken."""


class DtlsContext:
    """What all sessions share: certificate, ciphers, profiles."""

    def __init__(self, certificate: Certificate) -> None:
        context = SSL.Context(SSL.DTLS_METHOD)
        context.set_min_proto_version(_DTLS_1_2)
        context.set_max_proto_version(_DTLS_1_2)
        context.set_options(
            SSL.OP_NO_TICKET
            | SSL.OP_NO_QUERY_MTU
            | SSL.OP_NO_RENEGOTIATION
            | SSL.OP_NO_COMPRESSION
            | SSL.OP_CIPHER_SERVER_PREFERENCE
        )
        context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
        # Any certificate will do here: `verify` compares its fingerprint with the SDP's.
        context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, lambda *_: True)
        context.use_certificate(certificate.certificate)
        context.use_privatekey(certificate.key)
        context.set_cipher_list(_CIPHERS)
        context.set_tlsext_use_srtp(":".join(PROFILES).encode())
        self._context = context

    def connection(self, *, client: bool) -> SSL.Connection:
        """The OpenSSL side of one session."""
        connection = SSL.Connection(self._context, None)
        if client:
            connection.set_connect_state()
        else:
            connection.set_accept_state()
        connection.set_ciphertext_mtu(MTU)
        return connection


class DtlsState(enum.Enum):
    """How far a session has come."""

    NEW = "new"
    HANDSHAKING = "handshaking"
    DONE = "done"
    CLOSED = "closed"
    """The peer has sent close_notify."""
    FAILED = "failed"


class DtlsSession:
    """The DTLS of one peer: feed datagrams, send what comes back."""

    __slots__ = (
        "_budget",
        "_client",
        "_close",
        "_connection",
        "_context",
        "_flight",
        "_patience",
        "_settled",
        "_waited",
        "profile",
        "reason",
        "state",
    )

    def __init__(self, context: DtlsContext) -> None:
        self._context = context
        self._connection: SSL.Connection | None = None
        self._client = False
        self._close: CloseNotify | None = None  # all that is left, once settled
        self._budget = _MAX_HANDSHAKE
        self._flight: list[bytes] = []  # what was sent last
        self._settled = False
        self._waited = 0  # ticks since
        self._patience = _REPEAT
        self.state = DtlsState.NEW
        self.profile = ""
        """The SRTP profile agreed upon; "" before."""
        self.reason = ""
        """Why it failed."""

    def feed(self, datagram: bytes) -> list[bytes]:
        """Take in one datagram; returns those to be sent. Look at `state` afterwards.

        What is forged or broken OpenSSL leaves aside without a word, as DTLS wants it.
        """
        if self.state in (DtlsState.CLOSED, DtlsState.FAILED):
            return []
        self._budget -= 1
        if self._budget < 0:
            if self.state is not DtlsState.DONE:
                self._fail("a handshake of too many datagrams")
            return []
        if self._close is not None:
            if self._close.heard_in(datagram):
                self.state = DtlsState.CLOSED
            return []
        connection = self._open()
        connection.bio_write(datagram)
        return self._advance(connection)

    def be_client(self) -> None:
        """The peer waits for our hello (a=setup:passive); before anything has arrived."""
        if self.state is DtlsState.NEW:
            self._client = True

    def start(self) -> list[bytes]:
        """An address is known: say hello, if that is our part and not done yet."""
        if not self._client or self.state is not DtlsState.NEW:
            return []
        return self._advance(self._open())

    def _open(self) -> SSL.Connection:
        if self._connection is None:
            self._connection = self._context.connection(client=self._client)
            self.state = DtlsState.HANDSHAKING
        return self._connection

    @property
    def repeating(self) -> bool:
        """Must `tick` be called? During the handshake, and after it until the peer has shown that
        it got the last of it (`settle`), or had time enough."""
        return self.state is DtlsState.HANDSHAKING or (
            self.state is DtlsState.DONE and bool(self._flight)
        )

    def tick(self) -> list[bytes]:
        """Repeat a flight whose answer is overdue; call every 50 ms while `repeating`.

        OpenSSL's own timer begins at a whole second, too long for someone who waits for a
        picture. So the flight goes out again as it is, after 200, 400, 800 ms: whoever got all
        of it drops the records as replays, as DTLS has it (RFC 6347 section 4.1.2.6).
        """
        connection = self._connection
        if connection is None or not self.repeating:
            return []
        self._waited += 1
        if self._waited >= self._patience:
            if self.state is DtlsState.DONE and self._patience > _LAST_REPEAT:
                self._flight = []
            self._waited, self._patience = 0, self._patience * 2
            return self._flight
        if self.state is DtlsState.DONE:
            return []
        timeout = connection.DTLSv1_get_timeout()
        if timeout is None or timeout > 0:
            return []
        try:
            connection.DTLSv1_handle_timeout()
        except SSL.Error as error:
            self._fail(_words(error))
        return self._output(connection)

    def verify(self, fingerprints: Sequence[tuple[str, str]]) -> None:
        """Compare the peer's certificate with its SDP (RFC 8122 section 5).

        Args:
            fingerprints: (hash function, "AB:CD:..."); of several functions the strongest
                counts.

        Raises:
            RemoteProtocolError: it is another one, or there is none that can be trusted.
        """
        assert self._connection is not None
        certificate = self._connection.get_peer_certificate(as_cryptography=True)
        if certificate is None:
            raise RemoteProtocolError("no certificate")
        if not matches(certificate, fingerprints):
            raise RemoteProtocolError("the certificate is not the one of the SDP's fingerprint")

    def export_keys(self) -> SrtpKeys:
        """The SRTP keys of both directions (RFC 5764 section 4.2); once DONE."""
        assert self._connection is not None
        profile = PROFILES[self.profile]
        key, salt = profile.key, profile.salt
        material = self._connection.export_keying_material(b"EXTRACTOR-dtls_srtp", 2 * (key + salt))
        salts = material[2 * key :]
        client = material[:key], salts[:salt]
        server = material[key : 2 * key], salts[salt:]
        local, remote = (client, server) if self._client else (server, client)
        return SrtpKeys(*local, *remote)

    def settle(self) -> None:
        """Give back the handshake's memory: the peer has used its keys, nothing will be repeated.

        Does nothing before it is DONE, verified and exported, nor twice.
        """
        connection = self._connection
        if connection is None or self._settled or self.state is not DtlsState.DONE:
            return
        self._settled = True
        self._flight = []
        self._close = CloseNotify.of(connection, client=self._client)
        if self._close is not None:
            self._connection = None

    def close(self) -> list[bytes]:
        """Say close_notify, if the handshake was done, and free everything."""
        connection, self._connection = self._connection, None
        if self._close is not None and self.state is DtlsState.DONE:
            self.state = DtlsState.CLOSED
            return [self._close.record()]
        if connection is None:
            return []
        said: list[bytes] = []
        if self.state is DtlsState.DONE:
            try:
                connection.shutdown()
            except SSL.Error:
                pass  # the peer's own fault came first
            else:
                said = self._output(connection)
        if self.state is not DtlsState.FAILED:
            self.state = DtlsState.CLOSED
        return said

    def _advance(self, connection: SSL.Connection) -> list[bytes]:
        try:
            if self.state is DtlsState.HANDSHAKING:
                connection.do_handshake()
                self._finished(connection)
            else:
                while connection.recv(2048):  # application data: nobody asked for any
                    pass
        except SSL.WantReadError:
            pass
        except SSL.ZeroReturnError:
            self.state = DtlsState.CLOSED
        except SSL.Error as error:
            self._fail(_words(error))
        said = self._output(connection)
        if self.state is DtlsState.DONE and self._client:
            self._flight = []  # the server spoke last: it has all of ours
        elif said:
            self._flight, self._waited, self._patience = said, 0, _REPEAT
        return said

    def _finished(self, connection: SSL.Connection) -> None:
        profile = connection.get_selected_srtp_profile().decode()
        if profile not in PROFILES:
            self._fail("no SRTP profile in common")
            return
        self.profile = profile
        self.state = DtlsState.DONE
        self._budget = _MAX_AFTER

    def _fail(self, reason: str) -> None:
        self.state = DtlsState.FAILED
        self.reason = reason

    @staticmethod
    def _output(connection: SSL.Connection) -> list[bytes]:
        try:
            return datagrams(connection.bio_read(1 << 16))
        except SSL.WantReadError:
            return []


def matches(certificate: x509.Certificate, fingerprints: Sequence[tuple[str, str]]) -> bool:
    """Is it one of those announced under the strongest hash function that there is?"""
    by_hash: dict[str, set[str]] = {}
    for name, value in fingerprints:
        by_hash.setdefault(name.lower(), set()).add(value.replace(":", "").lower())
    for name, function in _HASHES.items():
        if name in by_hash:
            return certificate.fingerprint(function).hex() in by_hash[name]
    return False


def datagrams(stream: bytes, mtu: int = MTU) -> list[bytes]:
    """Cut what OpenSSL wrote at its records, as many into a datagram as fit."""
    found: list[bytes] = []
    start = at = 0
    while at + _RECORD_HEADER <= len(stream):
        end = at + _RECORD_HEADER + (stream[at + 11] << 8 | stream[at + 12])
        if end - start > mtu and at > start:
            found.append(stream[start:at])
            start = at
        at = end
    if start < len(stream):
        found.append(stream[start:])
    return found


def _words(error: SSL.Error) -> str:
    """OpenSSL's reasons in one line."""
    if isinstance(error, SSL.SysCallError):
        return "connection cut"
    queue = error.args[0] if error.args and isinstance(error.args[0], list) else []
    return ", ".join(reason for *_, reason in queue) or "handshake failed"
