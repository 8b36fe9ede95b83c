"""What a description says about the transport: ICE, DTLS, and which m-lines share it.

Source: RFC 8839 (ICE), RFC 8122 and 8842 (fingerprint, setup), RFC 9143 (BUNDLE; 8843 before).
"""

from __future__ import annotations

from typing import Final

from livetrio.errors import RemoteProtocolError
from livetrio.wire.sdp.session import Section, SessionDescription, is_token

__all__ = [
    "MAX_CANDIDATES",
    "bundle",
    "candidates",
    "check_credentials",
    "fingerprints",
    "ice_credentials",
]

MAX_CANDIDATES: Final = 128
"""Of one description or fragment; a laptop with VPNs and containers has thirty."""
_MAX_FINGERPRINTS: Final = 16

_ICE_CHARS: Final = frozenset("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ+/")
_BEYOND_RFC: Final = frozenset("-_=")
"""What some senders' base64 puts into credentials, against the grammar."""
_HASH_BYTES: Final = {"sha-1": 20, "sha-224": 28, "sha-256": 32, "sha-384": 48, "sha-512": 64}
"""Hash functions a certificate may be named by; MD5 and MD2 are refused."""
_HEX: Final = frozenset("0123456789ABCDEF")


def bundle(session: SessionDescription) -> tuple[str, ...]:
    """The mids of the first BUNDLE group, () without one.

    Raises:
        RemoteProtocolError: two m-lines of one mid, a mid that is no token, or a group with a
            mid that no m-line has, or has it twice.
    """
    mids = [media.mid for media in session.media if media.has("mid")]
    if len(set(mids)) < len(mids) or not all(map(is_token, mids)):
        raise RemoteProtocolError("SDP: a mid that is none, or of two m-lines")
    for value in session.values("group"):
        semantics, *grouped = value.split() or ("",)
        if semantics == "BUNDLE":
            if len(set(grouped)) < len(grouped) or not set(grouped) <= set(mids):
                raise RemoteProtocolError("SDP: a BUNDLE of mids that no m-line has")
            return tuple(grouped)
    return ()


def ice_credentials(*sections: Section) -> tuple[str, str] | None:
    """(ufrag, pwd) of the first section that has a ufrag, None if none has.

    Raises:
        RemoteProtocolError: they break the grammar or its lengths.
    """
    for section in sections:
        ufrag = section.value("ice-ufrag")
        if ufrag is not None:
            pwd = section.value("ice-pwd") or ""
            check_credentials(ufrag, pwd)
            return ufrag, pwd
    return None


def check_credentials(ufrag: str, pwd: str) -> None:
    """Whether they can be ICE credentials.

    Raises:
        RemoteProtocolError: no.
    """
    known = _ICE_CHARS | _BEYOND_RFC
    if not (4 <= len(ufrag) <= 256 and known.issuperset(ufrag)):
        raise RemoteProtocolError("SDP: an ice-ufrag that is none")
    if not (22 <= len(pwd) <= 256 and known.issuperset(pwd)):
        raise RemoteProtocolError("SDP: an ice-pwd that is none")


def fingerprints(*sections: Section) -> tuple[tuple[str, str], ...]:
    """(hash function, upper-case hex with colons) of the first section that has any.

    Functions nobody should trust any more are left out.

    Raises:
        RemoteProtocolError: one that is cut, or more than a certificate has hash functions.
    """
    for section in sections:
        values = list(section.values("fingerprint"))
        if len(values) > _MAX_FINGERPRINTS:
            raise RemoteProtocolError(f"SDP: {len(values)} fingerprints")
        if values:
            found = [_fingerprint(value) for value in values]
            return tuple((name, text) for name, text in found if name in _HASH_BYTES)
    return ()


def _fingerprint(value: str) -> tuple[str, str]:
    name, _, text = value.partition(" ")
    name, text = name.lower(), text.strip().upper()
    pairs = text.split(":")
    if len(pairs) != _HASH_BYTES.get(name, len(pairs)) or not all(
        len(pair) == 2 and _HEX.issuperset(pair) for pair in pairs
    ):
        raise RemoteProtocolError("SDP: a fingerprint that is none")
    return name, text


def candidates(*sections: Section) -> tuple[str, ...]:
    """The values of all candidate lines, unread: an ICE-lite end waits to be called.

    Raises:
        RemoteProtocolError: more than MAX_CANDIDATES.
    """
    found = tuple(value for section in sections for value in section.values("candidate"))
    if len(found) > MAX_CANDIDATES:
        raise RemoteProtocolError(f"SDP: {len(found)} candidates")
    return found
