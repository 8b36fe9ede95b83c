"""STUN messages as ICE uses them (RFC 8489, RFC 8445): parse, build, prove.

Only Binding exists here. What is read is what a controlled, lite agent needs; attributes it does
not know are kept by number, since those below 0x8000 must be answered with 420.
"""

from __future__ import annotations

import hmac
import ipaddress
import zlib
from collections.abc import Iterable
from dataclasses import dataclass

from livetrio.errors import RemoteProtocolError

__all__ = [
    "ERROR",
    "INDICATION",
    "MAX_MESSAGE",
    "REQUEST",
    "SUCCESS",
    "StunMessage",
    "build_error",
    "build_message",
    "build_request",
    "build_success",
    "is_stun",
    "parse_stun",
]

REQUEST, INDICATION, SUCCESS, ERROR = range(4)
"""Message classes (RFC 8489 section 5)."""

MAX_MESSAGE = 1280
"""Bytes. ICE checks take 100; the IPv6 minimum MTU is more than any of them needs."""
_MAX_ATTRIBUTES = 32
_COOKIE = 0x2112A442
_MAGIC = _COOKIE.to_bytes(4, "big")
_FINGERPRINT_XOR = 0x5354554E
_BINDING = 0x001


class _Attribute:
    """Attribute numbers (RFC 8489 section 18.3, RFC 8445 section 16.1)."""

    USERNAME = 0x0006
    INTEGRITY = 0x0008
    ERROR_CODE = 0x0009
    UNKNOWN_ATTRIBUTES = 0x000A
    XOR_MAPPED = 0x0020
    PRIORITY = 0x0024
    USE_CANDIDATE = 0x0025
    FINGERPRINT = 0x8028
    CONTROLLED = 0x8029
    CONTROLLING = 0x802A


@dataclass(slots=True, eq=False)
class StunMessage:
    """One Binding message."""

    kind: int
    """REQUEST, INDICATION, SUCCESS or ERROR."""
    transaction: bytes
    """12 bytes."""
    username: str = ""
    """ "receiver's ufrag:sender's ufrag" (RFC 8445 section 7.2.2)."""
    priority: int = 0
    use_candidate: bool = False
    controlling: int | None = None
    """Tie-breaker of a sender that thinks it controls."""
    controlled: int | None = None
    """Tie-breaker of a sender that thinks it is controlled."""
    mapped: tuple[str, int] | None = None
    """XOR-MAPPED-ADDRESS."""
    error: tuple[int, str] | None = None
    unknown: tuple[int, ...] = ()
    """Attributes that must be understood and are not."""
    raw: bytes = b""
    integrity_at: int = -1
    """Where MESSAGE-INTEGRITY begins in raw; -1: there is none."""

    def proves(self, password: str) -> bool:
        """Was it made by someone who knows the password (short-term credentials, SHA-1)?"""
        at = self.integrity_at
        if at < 0:
            return False
        # The length field counts up to the end of MESSAGE-INTEGRITY (RFC 8489 section 14.5).
        covered = self.raw[:2] + (at + 4).to_bytes(2, "big") + self.raw[4:at]
        wanted = hmac.digest(password.encode(), covered, "sha1")
        return hmac.compare_digest(wanted, self.raw[at + 4 : at + 24])


def is_stun(data: bytes) -> bool:
    """Does it begin like a STUN message (RFC 8489 section 6.3)?"""
    return len(data) >= 20 and data[0] < 4 and data[4:8] == _MAGIC


def parse_stun(data: bytes) -> StunMessage:
    """Read one whole Binding message.

    Raises:
        RemoteProtocolError: it is not one.
    """
    if not is_stun(data):
        raise RemoteProtocolError("not a STUN message")
    size = data[2] << 8 | data[3]
    if len(data) > MAX_MESSAGE or size % 4 or size + 20 != len(data):
        raise RemoteProtocolError(f"STUN: length {size} in a datagram of {len(data)}")
    word = data[0] << 8 | data[1]
    # Method and class are interleaved (RFC 8489 figure 3).
    if (word & 0x000F) | (word & 0x00E0) >> 1 | (word & 0x3E00) >> 2 != _BINDING:
        raise RemoteProtocolError(f"STUN: message type 0x{word:04x} is not Binding")
    kind = (word & 0x0010) >> 4 | (word & 0x0100) >> 7
    message = StunMessage(kind, data[8:20], raw=data)
    unknown: list[int] = []
    seen: set[int] = set()
    at = 20
    while at < len(data):
        if len(seen) >= _MAX_ATTRIBUTES:
            raise RemoteProtocolError("STUN: too many attributes")
        attribute = int.from_bytes(data[at : at + 2], "big")
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        end = at + 4 + length
        if end > len(data):
            raise RemoteProtocolError(f"STUN: attribute 0x{attribute:04x} is cut short")
        if attribute == _Attribute.FINGERPRINT:
            _check_fingerprint(data, at, length)
        # After MESSAGE-INTEGRITY nothing counts (14.5); of equal ones the first does (14).
        elif message.integrity_at < 0 and attribute not in seen:
            seen.add(attribute)
            if attribute == _Attribute.INTEGRITY:
                _need(length == 20, "MESSAGE-INTEGRITY")
                message.integrity_at = at
            else:
                _read_attribute(message, attribute, data[at + 4 : end], unknown)
        at = end + -length % 4
    message.unknown = tuple(unknown)
    return message


def _check_fingerprint(data: bytes, at: int, length: int) -> None:
    _need(length == 4 and at + 8 == len(data), "FINGERPRINT")
    wanted = zlib.crc32(data[:at]) ^ _FINGERPRINT_XOR
    _need(int.from_bytes(data[at + 4 :], "big") == wanted, "FINGERPRINT")


def _read_attribute(message: StunMessage, attribute: int, value: bytes, unknown: list[int]) -> None:
    match attribute:
        case _Attribute.USERNAME:
            _need(len(value) <= 513, "USERNAME")
            try:
                message.username = value.decode()
            except UnicodeDecodeError:
                raise RemoteProtocolError("STUN: bad USERNAME") from None
        case _Attribute.ERROR_CODE:
            _need(4 <= len(value) <= 767 and 3 <= value[2] <= 6 and value[3] < 100, "ERROR-CODE")
            message.error = (value[2] * 100 + value[3], value[4:].decode(errors="replace"))
        case _Attribute.UNKNOWN_ATTRIBUTES:
            _need(len(value) % 2 == 0, "UNKNOWN-ATTRIBUTES")
        case _Attribute.XOR_MAPPED:
            message.mapped = _unmap(value, message.transaction)
        case _Attribute.PRIORITY:
            _need(len(value) == 4, "PRIORITY")
            message.priority = int.from_bytes(value, "big")
        case _Attribute.USE_CANDIDATE:
            _need(not value, "USE-CANDIDATE")
            message.use_candidate = True
        case _Attribute.CONTROLLED:
            _need(len(value) == 8, "ICE-CONTROLLED")
            message.controlled = int.from_bytes(value, "big")
        case _Attribute.CONTROLLING:
            _need(len(value) == 8, "ICE-CONTROLLING")
            message.controlling = int.from_bytes(value, "big")
        case _ if attribute < 0x8000:
            unknown.append(attribute)


def _need(holds: bool, name: str) -> None:
    if not holds:
        raise RemoteProtocolError(f"STUN: bad {name}")


def _unmap(value: bytes, transaction: bytes) -> tuple[str, int]:
    family = value[1] if len(value) > 1 else 0
    _need((family, len(value)) in ((1, 8), (2, 20)), "XOR-MAPPED-ADDRESS")
    port = (value[2] << 8 | value[3]) ^ _COOKIE >> 16
    mask = (_MAGIC + transaction)[: len(value) - 4]
    host = bytes(a ^ b for a, b in zip(value[4:], mask, strict=True))
    return str(ipaddress.ip_address(host)), port


def build_request(
    transaction: bytes,
    username: str,
    password: str,
    *,
    priority: int,
    controlling: int | None = None,
    controlled: int | None = None,
    use_candidate: bool = False,
) -> bytes:
    """A connectivity check (RFC 8445 section 7.2.2)."""
    attributes = [
        (_Attribute.USERNAME, username.encode()),
        (_Attribute.PRIORITY, priority.to_bytes(4, "big")),
    ]
    if controlling is not None:
        attributes.append((_Attribute.CONTROLLING, controlling.to_bytes(8, "big")))
    if controlled is not None:
        attributes.append((_Attribute.CONTROLLED, controlled.to_bytes(8, "big")))
    if use_candidate:
        attributes.append((_Attribute.USE_CANDIDATE, b""))
    return build_message(REQUEST, transaction, attributes, password)


def build_success(transaction: bytes, source: tuple[str, int], password: str) -> bytes:
    """The answer to a good check: the address it was seen to come from."""
    host = ipaddress.ip_address(source[0]).packed
    mask = (_MAGIC + transaction)[: len(host)]
    value = (
        (b"\0\1" if len(host) == 4 else b"\0\2")
        + (source[1] ^ _COOKIE >> 16).to_bytes(2, "big")
        + bytes(a ^ b for a, b in zip(host, mask, strict=True))
    )
    return build_message(SUCCESS, transaction, [(_Attribute.XOR_MAPPED, value)], password)


def build_error(
    transaction: bytes, code: int, reason: str, password: str, *, unknown: Iterable[int] = ()
) -> bytes:
    """A refusal: 400, 420 with what was not understood, 487 role conflict."""
    value = bytes((0, 0, code // 100, code % 100)) + reason.encode()
    attributes = [(_Attribute.ERROR_CODE, value)]
    listed = b"".join(attribute.to_bytes(2, "big") for attribute in unknown)
    if listed:
        attributes.append((_Attribute.UNKNOWN_ATTRIBUTES, listed))
    return build_message(ERROR, transaction, attributes, password)


def build_message(
    kind: int, transaction: bytes, attributes: Iterable[tuple[int, bytes]], password: str
) -> bytes:
    """Any Binding message, with MESSAGE-INTEGRITY and FINGERPRINT behind the attributes."""
    body = b"".join(_attribute(number, value) for number, value in attributes)
    word = _BINDING | (kind & 1) << 4 | (kind & 2) << 7
    covered = _header(word, len(body) + 24, transaction) + body
    body += _attribute(_Attribute.INTEGRITY, hmac.digest(password.encode(), covered, "sha1"))
    head = _header(word, len(body) + 8, transaction)
    crc = zlib.crc32(head + body) ^ _FINGERPRINT_XOR
    return head + body + _attribute(_Attribute.FINGERPRINT, crc.to_bytes(4, "big"))


def _header(word: int, size: int, transaction: bytes) -> bytes:
    return word.to_bytes(2, "big") + size.to_bytes(2, "big") + _MAGIC + transaction


def _attribute(number: int, value: bytes) -> bytes:
    head = number.to_bytes(2, "big") + len(value).to_bytes(2, "big")
    return head + value + bytes(-len(value) % 4)
