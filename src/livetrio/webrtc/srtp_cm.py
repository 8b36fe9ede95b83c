"""The AES-CM profiles of SRTP, by libsrtp: for peers that do not know AES-GCM.

libsrtp keeps roll-over counters and replay windows itself.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Final

from pylibsrtp import Error, Policy, Session

from livetrio.webrtc.run import Run

__all__ = ["CmOpener", "CmSealer"]

_WINDOW: Final = 1024
_MAX_SSRCS: Final = 64


def _session(key: bytes, direction: int) -> Session:
    policy = Policy(
        key=key, ssrc_type=direction, srtp_profile=Policy.SRTP_PROFILE_AES128_CM_SHA1_80
    )
    policy.allow_repeat_tx = True  # the same packet again is how a NACK is answered
    policy.window_size = _WINDOW
    return Session(policy=policy)


class CmSealer:
    """AES-CM and HMAC-SHA1 towards one peer."""

    __slots__ = ("_bases", "_session")

    def __init__(self, key: bytes) -> None:
        """key: master key and salt, one after the other."""
        self._session = _session(key, Policy.SSRC_ANY_OUTBOUND)
        self._bases: dict[int, int] = {}

    def seal(self, run: Run) -> tuple[memoryview, int, int]:
        for packet, index in zip(run.packets, run.indexes, strict=True):
            if index < self._bases.setdefault(int.from_bytes(packet[8:12], "big"), index & ~0xFFFF):
                return memoryview(b""), 1, 0
        sealed: list[bytes] = []
        for packet in run.packets:
            # Behind libsrtp's own window (too late to be of use), or longer than its buffer.
            with suppress(Error, ValueError):
                sealed.append(self._session.protect(packet))
        if not sealed:
            return memoryview(b""), 1, 0
        return memoryview(b"".join(sealed)), len(sealed[0]), len(sealed)

    def seal_rtcp(self, compound: bytes) -> bytes:
        data: bytes = self._session.protect_rtcp(compound)
        return data


class CmOpener:
    """AES-CM and HMAC-SHA1 from one peer."""

    __slots__ = ("_session", "_ssrcs")

    def __init__(self, key: bytes) -> None:
        self._session = _session(key, Policy.SSRC_ANY_INBOUND)
        self._ssrcs: set[bytes] = set()

    def open_rtp(self, data: bytes) -> bytes | None:
        return self._open(data, data[8:12], rtcp=False)

    def open_rtcp(self, data: bytes) -> bytes | None:
        # libsrtp would take one whose E flag is off for unencrypted, and authentic.
        if len(data) < 22 or not data[-14] & 0x80:
            return None
        return self._open(data, data[4:8], rtcp=True)

    def _open(self, data: bytes, ssrc: bytes, *, rtcp: bool) -> bytes | None:
        if len(self._ssrcs) >= _MAX_SSRCS and ssrc not in self._ssrcs:
            return None
        try:
            plain: bytes = (
                self._session.unprotect_rtcp(data) if rtcp else self._session.unprotect(data)
            )
        except (Error, TypeError, ValueError):  # ValueError: over 1,500 bytes, whoever sent it
            return None
        self._ssrcs.add(ssrc)
        return plain
