"""JSON as goim's Go takes it from clients: strict about types, lenient about what is missing."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from livetrio.errors import RemoteProtocolError

__all__ = ["int32", "integer", "loads", "shallow", "text"]


def loads(data: str | bytes) -> Any:
    """The value of a JSON text.

    Raises:
        RemoteProtocolError: it is none; or nested so deep that nobody means it.
    """
    try:
        with shallow():
            return json.loads(data, parse_constant=_no_constant)
    except ValueError as error:  # UnicodeDecodeError and a number of 5,000 digits are such
        raise RemoteProtocolError(f"goim: not JSON: {str(error)[:100]}") from None


@contextmanager
def shallow() -> Iterator[None]:
    """What Python gives up on for its depth is the peer's fault."""
    try:
        yield
    except RecursionError:
        raise RemoteProtocolError("goim: JSON nested too deep") from None


def int32(value: Mapping[str, Any], name: str) -> int:
    """A field that is a 32-bit integer, 0 if it is missing or null."""
    return integer(value.get(name), name, 32)


def integer(value: Any, name: str, bits: int) -> int:
    """A signed integer of so many bits; null is 0.

    Raises:
        RemoteProtocolError: something else.
    """
    if value is None:
        return 0
    if type(value) is not int or not -(1 << bits - 1) <= value < 1 << bits - 1:
        raise RemoteProtocolError(f"goim: {name} is not an integer of {bits} bits")
    return value


def text(value: Any, name: str) -> str:
    """A string; null is "".

    Raises:
        RemoteProtocolError: something else, or half a surrogate pair in it.
    """
    if value is None:
        return ""
    if not isinstance(value, str):
        raise RemoteProtocolError(f"goim: {name} is not a string")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise RemoteProtocolError(f"goim: {name} is not Unicode text") from None
    return value


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is not JSON")
