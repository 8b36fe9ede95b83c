"""A TURN client's requests and the answers to them, enough to try a server out.

Allocate, Refresh and CreatePermission with long-term credentials (RFC 8656, RFC 8489 section
9.2); no data is relayed. Browsers bring their own client; this one is for `livetrio doctor`.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from livetrio.errors import RemoteProtocolError

__all__ = ["MAX_REPLY", "TurnDialogue", "TurnReply"]

MAX_REPLY: Final = 1_500
"""Bytes: nothing a TURN server answers needs more than one packet."""
_COOKIE: Final = 0x2112A442
_MAGIC: Final = _COOKIE.to_bytes(4, "big")
_ALLOCATE, _REFRESH, _CREATE_PERMISSION = 0x003, 0x004, 0x008
_SUCCESS: Final = 0x0100
_ERROR: Final = 0x0110
_UDP: Final = bytes((17, 0, 0, 0))
_FAMILIES: Final = {4: 1, 6: 2}
_MAX_ATTRIBUTES: Final = 32


class _Attribute:
    """RFC 8489 section 18.3, RFC 8656 section 18."""

    USERNAME = 0x0006
    INTEGRITY = 0x0008
    ERROR_CODE = 0x0009
    LIFETIME = 0x000D
    XOR_PEER = 0x0012
    REALM = 0x0014
    NONCE = 0x0015
    XOR_RELAYED = 0x0016
    FAMILY = 0x0017
    TRANSPORT = 0x0019


@dataclass(slots=True, eq=False)
class TurnReply:
    """What a server says to a request."""

    error: int = 0
    """0: done. 401 and 438: ask again, with the realm and nonce that came with it."""
    reason: str = ""
    relayed: tuple[str, int] | None = None
    """The address of the allocation."""
    realm: str | None = None
    nonce: bytes | None = None


class TurnDialogue:
    """One client's side; the caller sends, receives and repeats (RFC 8489 section 6.2)."""

    def __init__(self, username: str, password: str) -> None:
        self._username = username
        self._password = password
        self._realm = ""
        self._nonce = b""
        self._transaction = b""

    def allocate(self, *, ip: int = 4) -> bytes:
        """Ask for a relay address of that IP version, UDP."""
        attributes = [(_Attribute.TRANSPORT, _UDP)]
        if ip != 4:
            attributes.append((_Attribute.FAMILY, bytes((_FAMILIES[ip], 0, 0, 0))))
        return self._request(_ALLOCATE, attributes)

    def permit(self, peer: str) -> bytes:
        """Ask to be allowed to exchange data with a peer's IP address."""
        value = _mapped(peer, self._begin())
        return self._request(_CREATE_PERMISSION, [(_Attribute.XOR_PEER, value)])

    def release(self) -> bytes:
        """Give the allocation up."""
        return self._request(_REFRESH, [(_Attribute.LIFETIME, bytes(4))])

    def receive(self, data: bytes) -> TurnReply | None:
        """The reply in a datagram; None if it answers another request than the last one.

        Raises:
            RemoteProtocolError: no TURN server says that.
        """
        if not 20 <= len(data) <= MAX_REPLY or data[4:8] != _MAGIC:
            raise RemoteProtocolError("TURN: not a STUN message")
        if int.from_bytes(data[2:4], "big") != len(data) - 20 or len(data) % 4:
            raise RemoteProtocolError("TURN: length field is not the datagram's")
        if data[8:20] != self._transaction:
            return None
        kind = int.from_bytes(data[:2], "big") & 0x0110
        if kind not in (_SUCCESS, _ERROR):
            raise RemoteProtocolError("TURN: neither success nor error")
        reply = TurnReply(error=-1 if kind == _ERROR else 0)
        for attribute, value in _attributes(data):
            _read(reply, attribute, value, self._transaction)
        if reply.error < 0:
            raise RemoteProtocolError("TURN: an error without its code")
        self._realm = self._realm if reply.realm is None else reply.realm
        self._nonce = self._nonce if reply.nonce is None else reply.nonce
        return reply

    def _begin(self) -> bytes:
        self._transaction = secrets.token_bytes(12)
        return self._transaction

    def _request(self, method: int, attributes: list[tuple[int, bytes]]) -> bytes:
        # An address in it is masked with the transaction, which is made before it then.
        transaction = self._transaction if method == _CREATE_PERMISSION else self._begin()
        body = b"".join(_attribute(number, value) for number, value in attributes)
        if self._nonce:
            realm = self._realm.encode()
            body += _attribute(_Attribute.USERNAME, self._username.encode())
            body += _attribute(_Attribute.REALM, realm) + _attribute(_Attribute.NONCE, self._nonce)
        size = len(body) + (24 if self._nonce else 0)
        head = method.to_bytes(2, "big") + size.to_bytes(2, "big") + _MAGIC + transaction
        if not self._nonce:
            return head + body
        text = f"{self._username}:{self._realm}:{self._password}"
        key = hashlib.md5(text.encode(), usedforsecurity=False).digest()  # the RFC's choice
        proof = hmac.digest(key, head + body, "sha1")
        return head + body + _attribute(_Attribute.INTEGRITY, proof)


def _attribute(number: int, value: bytes) -> bytes:
    padded = value + bytes(-len(value) % 4)
    return number.to_bytes(2, "big") + len(value).to_bytes(2, "big") + padded


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    at, count = 20, 0
    while at < len(data):
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        end = at + 4 + length
        count += 1
        if end > len(data) or count > _MAX_ATTRIBUTES:
            raise RemoteProtocolError("TURN: attributes do not fit the message")
        yield int.from_bytes(data[at : at + 2], "big"), data[at + 4 : end]
        at = end + -length % 4


def _read(reply: TurnReply, attribute: int, value: bytes, transaction: bytes) -> None:
    match attribute:
        case _Attribute.ERROR_CODE:
            if len(value) < 4 or not 3 <= value[2] & 7 <= 6 or value[3] > 99:
                raise RemoteProtocolError("TURN: bad ERROR-CODE")
            reply.error = (value[2] & 7) * 100 + value[3]
            reply.reason = value[4:].decode("utf-8", "replace")[:100]
        case _Attribute.XOR_RELAYED:
            reply.relayed = _unmapped(value, transaction)
        case _Attribute.REALM:
            reply.realm = value.decode("utf-8", "replace")
        case _Attribute.NONCE:
            reply.nonce = value
        case _:
            pass


def _mapped(host: str, transaction: bytes) -> bytes:
    """XOR-PEER-ADDRESS, port 0."""
    address = ipaddress.ip_address(host)
    packed = _masked(address.packed, transaction)
    port = (_COOKIE >> 16).to_bytes(2, "big")
    return bytes((0, _FAMILIES[address.version])) + port + packed


def _unmapped(value: bytes, transaction: bytes) -> tuple[str, int]:
    if len(value) not in (8, 20) or value[1] != (1 if len(value) == 8 else 2):
        raise RemoteProtocolError("TURN: bad XOR-RELAYED-ADDRESS")
    port = int.from_bytes(value[2:4], "big") ^ _COOKIE >> 16
    return str(ipaddress.ip_address(_masked(value[4:], transaction))), port


def _masked(address: bytes, transaction: bytes) -> bytes:
    mask = (_MAGIC + transaction)[: len(address)]
    return bytes(a ^ b for a, b in zip(address, mask, strict=True))
