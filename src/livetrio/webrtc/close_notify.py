"""CloseNotify: the last word of a DTLS session, kept when the session's memory has been given back.

An SSL object holds about 90 KB after its handshake, most of what a viewer costs, and all that it
is still good for is one alert each way. The keys of those two fit into 40 bytes: TLS 1.2 key
expansion (RFC 5246 section 6.3) and one AES-GCM record (RFC 5288, RFC 6347 section 4.1).
"""

from __future__ import annotations

import hmac
import secrets
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from OpenSSL import SSL

__all__ = ["CloseNotify"]

_CIPHERS: Final = frozenset({"ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-RSA-AES128-GCM-SHA256"})
"""What nearly everybody agrees on; sessions with another cipher stay whole."""
_HEAD: Final = bytes((21, 0xFE, 0xFD))
"""Alert, DTLS 1.2."""
_EPOCH: Final = b"\0\1"
_CLOSE_NOTIFY: Final = bytes((1, 0))
_FATAL: Final = 2
_SEQUENCE: Final = (1 << 16).to_bytes(6, "big")
"""Of the one record that is sent: beyond whatever the handshake and its repeats used."""


class CloseNotify:
    """Both directions' write keys and implicit nonces."""

    __slots__ = ("_local", "_remote")

    def __init__(
        self, master: bytes, client_random: bytes, server_random: bytes, *, client: bool
    ) -> None:
        """client: that is what we were in the handshake."""
        block = _expand(master, b"key expansion" + server_random + client_random, 40)
        ours = (block[:16], block[32:36])
        theirs = (block[16:32], block[36:])
        self._local, self._remote = (ours, theirs) if client else (theirs, ours)

    @classmethod
    def of(cls, connection: SSL.Connection, *, client: bool) -> CloseNotify | None:
        """Taken from a finished handshake; None if its cipher is another."""
        master = connection.master_key()
        client_random, server_random = connection.client_random(), connection.server_random()
        if connection.get_cipher_name() not in _CIPHERS or not (
            master and client_random and server_random
        ):
            return None
        return cls(master, client_random, server_random, client=client)

    def record(self) -> bytes:
        """Our close_notify, encrypted, as a datagram. Always the same sequence number: once."""
        key, salt = self._local
        explicit = secrets.token_bytes(8)
        number = _EPOCH + _SEQUENCE
        covered = number + _HEAD + len(_CLOSE_NOTIFY).to_bytes(2, "big")
        sealed = AESGCM(key).encrypt(salt + explicit, _CLOSE_NOTIFY, covered)
        body = explicit + sealed
        return _HEAD + number + len(body).to_bytes(2, "big") + body

    def heard_in(self, datagram: bytes) -> bool:
        """Is there an authentic close_notify, or fatal alert, among its records?"""
        at = 0
        while at + 13 <= len(datagram):
            end = at + 13 + (datagram[at + 11] << 8 | datagram[at + 12])
            if datagram[at : at + 3] == _HEAD and self._is_end(datagram[at:end]):
                return True
            at = end
        return False

    def _is_end(self, record: bytes) -> bool:
        explicit, sealed = record[13:21], record[21:]
        if record[3:5] != _EPOCH or len(sealed) != len(_CLOSE_NOTIFY) + 16:
            return False
        key, salt = self._remote
        covered = record[3:11] + record[:3] + len(_CLOSE_NOTIFY).to_bytes(2, "big")
        try:
            level, description = AESGCM(key).decrypt(salt + explicit, sealed, covered)
        except InvalidTag:
            return False
        return level == _FATAL or description == 0


def _expand(secret: bytes, seed: bytes, size: int) -> bytes:
    """P_SHA256 of TLS 1.2 (RFC 5246 section 5)."""
    found = b""
    a = seed
    while len(found) < size:
        a = hmac.digest(secret, a, "sha256")
        found += hmac.digest(secret, a + seed, "sha256")
    return found[:size]
