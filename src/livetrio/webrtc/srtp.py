"""SRTP and SRTCP: keys, nonces, replay windows and roll-over counters (RFC 3711, RFC 7714).

AES-GCM is done here, in place, with the primitive of `cryptography`: key derivation and nonces
are ours, which makes the hot path one call per packet. libsrtp (pylibsrtp) does the AES-CM
profiles of peers that know no GCM: it costs twice as much per packet, and few need it.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from livetrio.webrtc.replay import ReplayWindow
from livetrio.webrtc.run import GCM_TAG, Run, header_size
from livetrio.webrtc.srtp_cm import CmOpener, CmSealer

__all__ = ["PROFILES", "Opener", "Profile", "Sealer", "SrtpKeys", "derive", "open_srtp"]

MAX_SSRCS: Final = 64
"""Streams one peer may send; simulcast with RTX, RED and FEC takes a dozen."""
_NUMBERS: Final = struct.Struct(">H4xI")
"""Sequence number and SSRC of an RTP packet, from its third byte on."""
_USUAL: Final = 0x90
"""First byte of a packet with header extensions, and with neither CSRCs nor padding."""
_E_FLAG: Final = 0x8000_0000
_MAX_SRTCP_INDEX: Final = 0x7FFF_FFFF
_LAST_INDEX: Final = (1 << 48) - 1


@dataclass(frozen=True, slots=True)
class Profile:
    """An SRTP protection profile (RFC 5764 section 4.1.2, RFC 7714 section 14.2)."""

    name: str
    """As OpenSSL spells it."""
    key: int
    """Bytes of a master key."""
    salt: int
    """Bytes of a master salt."""


PROFILES: Final = {
    profile.name: profile
    for profile in (
        Profile("SRTP_AEAD_AES_128_GCM", 16, 12),
        Profile("SRTP_AEAD_AES_256_GCM", 32, 12),
        Profile("SRTP_AES128_CM_SHA1_80", 16, 14),
    )
}
"""Best first: the server's order decides."""


@dataclass(frozen=True, slots=True)
class SrtpKeys:
    """Master keys and salts of both directions, as DTLS exported them."""

    local_key: bytes
    local_salt: bytes
    remote_key: bytes
    remote_salt: bytes


class Sealer(Protocol):
    """Encrypts what one peer is sent."""

    def seal(self, run: Run) -> tuple[memoryview, int, int]:
        """Encrypt a run.

        Returns:
            Datagrams one after the other (valid until the next call), bytes of each but the
            last, and how many they are.
        """

    def seal_rtcp(self, compound: bytes) -> bytes:
        """Encrypt a compound RTCP packet."""


class Opener(Protocol):
    """Decrypts what one peer sent. None: forged, replayed or broken; never raises."""

    def open_rtp(self, data: bytes) -> bytes | None:
        """The RTP packet inside an SRTP packet."""

    def open_rtcp(self, data: bytes) -> bytes | None:
        """The compound RTCP packet inside an SRTCP packet."""


def open_srtp(profile: str, keys: SrtpKeys) -> tuple[Sealer, Opener]:
    """Both directions of one peer.

    Args:
        profile: a name out of PROFILES.
    """
    if profile.endswith("_GCM"):
        return (
            GcmSealer(keys.local_key, keys.local_salt),
            GcmOpener(keys.remote_key, keys.remote_salt),
        )
    return (
        CmSealer(keys.local_key + keys.local_salt),
        CmOpener(keys.remote_key + keys.remote_salt),
    )


def derive(key: bytes, salt: bytes, label: int, size: int) -> bytes:
    """A session key or salt (RFC 3711 section 4.3, key derivation rate 0).

    Args:
        key: master key; its length chooses AES-128 or AES-256 (RFC 6188).
        salt: master salt, 12 (GCM) or 14 bytes.
        label: 0 and 2 for the encryption key and salt of RTP, 3 and 5 for those of RTCP.
        size: bytes wanted.
    """
    # A GCM salt is the CM one without its last two bytes, which are zero (RFC 7714 section 11).
    x = int.from_bytes(salt.ljust(14, b"\0"), "big") ^ label << 48
    counter = (x << 16).to_bytes(16, "big")
    stream = Cipher(algorithms.AES(key), modes.CTR(counter)).encryptor()
    return stream.update(bytes(size))


class GcmSealer:
    """AES-GCM towards one peer."""

    __slots__ = ("_bases", "_encrypt_into", "_rtcp", "_rtcp_index", "_rtcp_salt", "_salt")

    def __init__(self, key: bytes, salt: bytes) -> None:
        self._encrypt_into = AESGCM(derive(key, salt, 0, len(key))).encrypt_into
        self._salt = int.from_bytes(derive(key, salt, 2, 12), "big")
        self._rtcp = AESGCM(derive(key, salt, 3, len(key)))
        self._rtcp_salt = int.from_bytes(derive(key, salt, 5, 12), "big")
        self._rtcp_index = 0
        self._bases: dict[int, int] = {}

    def seal(self, run: Run) -> tuple[memoryview, int, int]:
        plan = run.gcm or run.gcm_plan()
        encrypt_into, salt, bases = self._encrypt_into, self._salt, self._bases
        if plan.only is not None:  # sound, and small pictures: most of all
            iv, payload, header, out = plan.only
            base = bases.get(iv >> 48)
            if base is None:
                base = bases[iv >> 48] = iv & _LAST_INDEX & ~0xFFFF
            if iv & _LAST_INDEX < base:
                return plan.view[:0], plan.segment, 0
            encrypt_into(((iv - base) ^ salt).to_bytes(12, "big"), payload, header, out)
            return plan.view, plan.segment, 1
        for ssrc, lowest, steps in plan.parts:
            # A receiver's roll-over counter starts at 0 with the first packet it gets, however
            # long the stream has been running (RFC 3711 section 3.3.1).
            base = bases.get(ssrc)
            if base is None:
                base = bases[ssrc] = lowest & ~0xFFFF
            if lowest < base:
                return plan.view[:0], plan.segment, 0
            for iv, payload, header, out in steps:
                encrypt_into(((iv - base) ^ salt).to_bytes(12, "big"), payload, header, out)
        return plan.view, plan.segment, len(run.packets)

    def seal_rtcp(self, compound: bytes) -> bytes:
        index = self._rtcp_index
        if index >= _MAX_SRTCP_INDEX:
            raise OverflowError("SRTCP keys are used up")  # ends the peer after two billion
        self._rtcp_index = index + 1
        header = compound[:8]
        trailer = (_E_FLAG | index).to_bytes(4, "big")
        iv = int.from_bytes(header[4:8], "big") << 48 | index
        nonce = (iv ^ self._rtcp_salt).to_bytes(12, "big")
        return header + self._rtcp.encrypt(nonce, compound[8:], header + trailer) + trailer


class GcmOpener:
    """AES-GCM from one peer."""

    __slots__ = ("_decrypt", "_rtcp", "_rtcp_salt", "_rtcp_windows", "_salt", "_windows")

    def __init__(self, key: bytes, salt: bytes) -> None:
        self._decrypt = AESGCM(derive(key, salt, 0, len(key))).decrypt
        self._salt = int.from_bytes(derive(key, salt, 2, 12), "big")
        self._rtcp = AESGCM(derive(key, salt, 3, len(key)))
        self._rtcp_salt = int.from_bytes(derive(key, salt, 5, 12), "big")
        self._windows: dict[int, ReplayWindow] = {}
        self._rtcp_windows: dict[int, ReplayWindow] = {}

    def open_rtp(self, data: bytes) -> bytes | None:
        if len(data) < 12 + GCM_TAG:
            return None
        # By hand: this runs for every packet received.
        cut = 16 + 4 * (data[14] << 8 | data[15]) if data[0] == _USUAL else header_size(data)
        if len(data) < cut + GCM_TAG:
            return None
        sequence, ssrc = _NUMBERS.unpack_from(data, 2)
        window = self._windows.get(ssrc)
        if window is None:
            index = sequence
        elif (sequence - window.newest) & 0xFFFF == 1:
            index = window.newest + 1  # in order, as nearly all are
            if index > _LAST_INDEX:
                return None
        else:
            index = window.estimate(sequence)
            if not 0 <= index <= _LAST_INDEX or window.seen(index):
                return None
        nonce = ((ssrc << 48 | index) ^ self._salt).to_bytes(12, "big")
        header = data[:cut]
        try:
            plain = header + self._decrypt(nonce, data[cut:], header)
        except InvalidTag:
            return None
        if window is None:  # only now: a forger must not use up the places
            if len(self._windows) >= MAX_SSRCS:
                return None
            window = self._windows[ssrc] = ReplayWindow(index)
        window.add(index)
        return plain

    def open_rtcp(self, data: bytes) -> bytes | None:
        if len(data) < 8 + GCM_TAG + 4:
            return None
        trailer = data[-4:]
        word = int.from_bytes(trailer, "big")
        if not word & _E_FLAG:  # not encrypted: allowed by RFC 7714, wanted by nobody
            return None
        index = word & _MAX_SRTCP_INDEX
        header = data[:8]
        ssrc = int.from_bytes(header[4:8], "big")
        window = self._rtcp_windows.get(ssrc)
        if window is not None and window.seen(index):
            return None
        nonce = ((ssrc << 48 | index) ^ self._rtcp_salt).to_bytes(12, "big")
        try:
            plain = header + self._rtcp.decrypt(nonce, data[8:-4], header + trailer)
        except InvalidTag:
            return None
        if window is None:
            if len(self._rtcp_windows) >= MAX_SSRCS:
                return None
            window = self._rtcp_windows[ssrc] = ReplayWindow(index)
        window.add(index)
        return plain
