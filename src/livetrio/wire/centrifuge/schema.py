"""Schema: how a message's fields are declared once, for both encodings.

A message is a dataclass whose defaults are made by the functions below; the number is
Protobuf's, the attribute's name is JSON's. Refused: generated code, which would bring protoc into
the build and Google's runtime into every frame, and two hand-written codecs per message.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

__all__ = [
    "MAX_ELEMENTS",
    "Kind",
    "Shape",
    "Spec",
    "by_name",
    "by_number",
    "flag",
    "integer",
    "message",
    "messages",
    "number",
    "payload",
    "specs",
    "table",
    "text",
]

_KEY: Final = "livetrio"
MAX_ELEMENTS: Final = 1024
"""Entries of one list or map that a client may send."""


class Kind(enum.Enum):
    """What a value is."""

    TEXT = enum.auto()
    PAYLOAD = enum.auto()
    """The application's: bytes in Protobuf; in JSON any value, kept as its text."""
    FLAG = enum.auto()
    NUMBER = enum.auto()
    """Unsigned."""
    INTEGER = enum.auto()
    """Signed, two's complement on the wire."""
    MESSAGE = enum.auto()


class Shape(enum.Enum):
    """How often a field may be there."""

    ONE = enum.auto()
    LIST = enum.auto()
    TABLE = enum.auto()
    """A map whose keys are text."""


@dataclass(frozen=True, slots=True)
class Spec:
    """One field of a message."""

    name: str
    number: int
    kind: Kind
    shape: Shape = Shape.ONE
    bits: int = 64
    type: type[Any] | None = None
    """Of messages: their class."""


def text(number: int) -> Any:
    """A string."""
    return _field(number, Kind.TEXT, default="")


def payload(number: int) -> Any:
    """The application's data; b"" is none."""
    return _field(number, Kind.PAYLOAD, default=b"")


def flag(number: int) -> Any:
    """A boolean."""
    return _field(number, Kind.FLAG, default=False)


def number(number: int, bits: int = 64) -> Any:
    """An unsigned integer."""
    return _field(number, Kind.NUMBER, default=0, bits=bits)


def integer(number: int, bits: int = 64) -> Any:
    """A signed integer."""
    return _field(number, Kind.INTEGER, default=0, bits=bits)


def message(number: int, type_: type[Any]) -> Any:
    """Another message, or None."""
    return _field(number, Kind.MESSAGE, default=None, type=type_)


def messages(number: int, type_: type[Any]) -> Any:
    """A list of messages."""
    return _field(number, Kind.MESSAGE, default_factory=list, shape=Shape.LIST, type=type_)


def table(number: int, type_: type[Any] | None = None) -> Any:
    """Messages (or, without a type, texts) by text."""
    kind = Kind.TEXT if type_ is None else Kind.MESSAGE
    return _field(number, kind, default_factory=dict, shape=Shape.TABLE, type=type_)


def _field(
    number: int,
    kind: Kind,
    *,
    shape: Shape = Shape.ONE,
    bits: int = 64,
    type: type[Any] | None = None,
    **default: Any,
) -> Any:
    spec = Spec("", number, kind, shape, bits, type)
    return dataclasses.field(metadata={_KEY: spec}, **default)


@functools.cache
def specs(type_: Any) -> tuple[Spec, ...]:
    """The fields of a message, in the order they are declared."""
    return tuple(
        dataclasses.replace(field.metadata[_KEY], name=field.name)
        for field in dataclasses.fields(type_)
    )


@functools.cache
def by_number(type_: Any) -> Mapping[int, Spec]:
    """The fields of a message by their number."""
    return {spec.number: spec for spec in specs(type_)}


@functools.cache
def by_name(type_: Any) -> Mapping[str, Spec]:
    """The fields of a message by their name."""
    return {spec.name: spec for spec in specs(type_)}
