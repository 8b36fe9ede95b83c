"""The digest in RTMP's handshake: where it hides in C1 and S1, and what answers it.

Adobe never published it; the layout is what Flash Player 9 and every client since send, as
implemented alike by librtmp, FFmpeg, nginx-rtmp and SRS. A packet of 1536 bytes carries 32
bytes of HMAC-SHA256 over the other 1504, at an offset given by four of its bytes. Which four
depends on the schema: 0 looks at bytes 8 to 11, 1 at bytes 772 to 775. It proves nothing (the
keys are public) but players from Flash 10.1 on play H.264 only from a server that knows it.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Final

__all__ = [
    "CLIENT_KEY",
    "SERVER_KEY",
    "answer",
    "find_digest",
    "sign",
]

_SALT: Final = bytes.fromhex("f0eec24a8068bee82e00d0d1029e7e576eec5d2d29806fab93b8e636cfeb31ae")

CLIENT_KEY: Final = b"Genuine Adobe Flash Player 001"
"""Signs C1; with the salt behind it, C2."""

SERVER_KEY: Final = b"Genuine Adobe Flash Media Server 001"
"""Signs S1; with the salt behind it, S2."""

_DIGEST_SIZE: Final = 32
_OFFSETS: Final = ((8, 12), (772, 776))
"""For schemas 0 and 1: where the four bytes are that sum up to the offset, and its origin.
The sum is taken modulo 728, so that the digest ends inside its half of the packet."""


def _position(packet: bytes, schema: int) -> int:
    at, origin = _OFFSETS[schema]
    return sum(packet[at : at + 4]) % 728 + origin


def _hmac(key: bytes, *parts: bytes) -> bytes:
    mac = hmac.new(key, digestmod=hashlib.sha256)
    for part in parts:
        mac.update(part)
    return mac.digest()


def find_digest(packet: bytes, key: bytes) -> tuple[int, bytes] | None:
    """The schema and the digest of a C1 or S1 signed with `key`; None if there is none.

    Schema 1 is tried first, as livego and nginx-rtmp do.
    """
    for schema in (1, 0):
        at = _position(packet, schema)
        digest = packet[at : at + _DIGEST_SIZE]
        if hmac.compare_digest(digest, _hmac(key, packet[:at], packet[at + _DIGEST_SIZE :])):
            return schema, digest
    return None


def sign(packet: bytes, key: bytes, schema: int) -> tuple[bytes, bytes]:
    """`packet` (1536 bytes) with its digest put in place, and that digest."""
    at = _position(packet, schema)
    before, after = packet[:at], packet[at + _DIGEST_SIZE :]
    digest = _hmac(key, before, after)
    return before + digest + after, digest


def answer(noise: bytes, digest: bytes, key: bytes) -> bytes:
    """The C2 or S2 that answers `digest`: 1504 bytes of `noise` and their signature."""
    return noise + _hmac(_hmac(key + _SALT, digest), noise)
