"""Login: what the body of an AUTH frame says, in any of the three dialects.

- goim v2: `{"mid":123,"key":"k","room_id":"live://1000","platform":"web","accepts":[1000]}`,
  and here also `"token"`, a JWT.
- Bilibili: `{"uid":0,"roomid":1000,"protover":3,"platform":"web","key":"…"}`; its key is a token.
- goim v1: the user's number in decimal digits, or anything else for nobody.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any

from livetrio.errors import RemoteProtocolError
from livetrio.wire.goim.frame import Version
from livetrio.wire.goim.json_values import integer, loads, text

__all__ = ["MAX_ACCEPTS", "Dialect", "Login", "operations", "read_login"]

MAX_ACCEPTS = 1024
"""Operations one connection may ask for."""
_MAX_KEY = 256
_V1_ROOM = "live://1"
"""v1 puts everybody who has a number there (its `logic/auth.go`)."""


class Dialect(enum.Enum):
    """Which family of clients somebody belongs to."""

    GOIM = "goim"
    V1 = "goim-v1"
    BILIBILI = "bilibili"


@dataclass(slots=True)
class Login:
    """Who somebody says to be, and what he wants to hear."""

    dialect: Dialect
    mid: int = 0
    """The user's number; 0 is nobody."""
    key: str = ""
    """Names the connection; "" lets the server choose."""
    room: str = ""
    """Room id, "live://1000"; "" is none."""
    platform: str = ""
    accepts: frozenset[int] = frozenset()
    """Operations that are to be delivered from pushes to keys, users and everybody."""
    token: str = ""
    version: int = Version.JSON
    """Bilibili's protover: how batches are to be compressed."""


def read_login(body: bytes, *, v1: bool = False) -> Login:
    """The login in the body of an AUTH frame.

    Args:
        v1: it came in a JSON frame, where an object without any known field is nobody.

    Raises:
        RemoteProtocolError: goim would close the connection, so do we.
    """
    if v1 and not body:
        return Login(Dialect.V1)
    value = loads(body)
    if type(value) is int or (isinstance(value, str) and value.isascii() and value.isdecimal()):
        if len(str(value)) > 19 or (uid := integer(int(value), "uid", 64)) < 0:
            raise RemoteProtocolError("goim v1: that is no user's number")
        return Login(Dialect.V1, uid, room=_V1_ROOM)
    if v1 and isinstance(value, str):
        return Login(Dialect.V1, token=text(value, "body"))
    if not isinstance(value, dict):
        raise RemoteProtocolError("goim: the body of AUTH is not an object")
    fields = {name.lower(): item for name, item in value.items()}  # as Go matches names
    if "roomid" in fields or "protover" in fields:
        return _bilibili(fields)
    login = Login(
        Dialect.V1 if v1 else Dialect.GOIM,
        mid=integer(fields.get("mid"), "mid", 64),
        key=_short(fields.get("key"), "key"),
        room=text(fields.get("room_id"), "room_id"),
        platform=text(fields.get("platform"), "platform"),
        token=text(fields.get("token"), "token"),
    )
    accepts = fields.get("accepts")
    if accepts is not None:
        if not isinstance(accepts, list) or len(accepts) > MAX_ACCEPTS:
            raise RemoteProtocolError(f"goim: accepts is not a list of up to {MAX_ACCEPTS}")
        login.accepts = frozenset(integer(item, "accepts", 32) for item in accepts)
    return login


def operations(body: bytes) -> list[int] | None:
    """The operations of SUBSCRIBE and UNSUBSCRIBE, "1000,1001"; None where they are none, which
    goim ignores."""
    found = []
    for word in body.split(b","):
        digits = word.removeprefix(b"-")
        if not (digits.isdigit() and len(digits) <= 10):
            return None
        number = int(word)
        if not -(1 << 31) <= number < 1 << 31:
            return None
        found.append(number)
    return found


def _bilibili(fields: dict[str, Any]) -> Login:
    room = integer(fields.get("roomid"), "roomid", 64)
    version = integer(fields.get("protover"), "protover", 32)
    return Login(
        Dialect.BILIBILI,
        mid=integer(fields.get("uid"), "uid", 64),
        room=f"live://{room}" if room else "",
        platform=text(fields.get("platform"), "platform"),
        token=text(fields.get("key"), "key"),
        version=version if version in {Version.ZLIB, Version.BROTLI} else Version.JSON,
    )


def _short(value: Any, name: str) -> str:
    word = text(value, name)
    if len(word) > _MAX_KEY or not word.isprintable():
        raise RemoteProtocolError(f"goim: {name} is longer than {_MAX_KEY} or not printable")
    return word
