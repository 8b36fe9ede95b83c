"""Reading AMF3: the decoder behind `amf3.decode` and behind AMF0's AVMplus marker.

Strings, traits and complex values may be sent once and referred to afterwards; the three tables
live as long as one `Decoder`, and grow only with what was read.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from livetrio.errors import RemoteProtocolError
from livetrio.wire.amf import (
    MAX_KEY_BYTES,
    UNDEFINED,
    Budget,
    Date,
    EcmaArray,
    References,
    TypedObject,
    Value,
    Xml,
)
from livetrio.wire.reader import ByteReader

__all__ = ["Decoder", "Marker"]


class Marker:
    """The byte that opens a value (section 3.1)."""

    UNDEFINED: Final = 0x00
    NULL: Final = 0x01
    FALSE: Final = 0x02
    TRUE: Final = 0x03
    INTEGER: Final = 0x04
    DOUBLE: Final = 0x05
    STRING: Final = 0x06
    XML_DOCUMENT: Final = 0x07
    DATE: Final = 0x08
    ARRAY: Final = 0x09
    OBJECT: Final = 0x0A
    XML: Final = 0x0B
    BYTE_ARRAY: Final = 0x0C
    VECTOR_INT: Final = 0x0D
    VECTOR_UINT: Final = 0x0E
    VECTOR_DOUBLE: Final = 0x0F
    VECTOR_OBJECT: Final = 0x10
    DICTIONARY: Final = 0x11


_VECTOR_FORMS: Final = {
    Marker.VECTOR_INT: "i",
    Marker.VECTOR_UINT: "I",
    Marker.VECTOR_DOUBLE: "d",
}

_WRAPPERS: Final = frozenset({"flex.messaging.io.ArrayCollection", "flex.messaging.io.ObjectProxy"})
"""Externalizable classes whose private format is known: one value, which stands for the object."""

_COMPLEX: Final = frozenset(range(Marker.XML_DOCUMENT, Marker.DICTIONARY + 1))


@dataclass(frozen=True, slots=True)
class _Traits:
    """A class as described on the wire: its alias, fixed members, and whether it takes others."""

    class_name: str
    members: tuple[str, ...]
    dynamic: bool
    externalizable: bool


class Decoder:
    """Reads values from `reader`, which AMF0 shares with it behind an AVMplus marker.

    Attributes:
        height: levels of values below the one read last.
    """

    __slots__ = ("_budget", "_reader", "_references", "_strings", "_traits", "height")

    def __init__(self, reader: ByteReader, budget: Budget) -> None:
        self._reader = reader
        self._budget = budget
        self._strings: list[str] = []
        self._traits: list[_Traits] = []
        self._references = References(budget)
        self.height = 0

    def value(self, depth: int) -> Value:
        """Read one value that stands inside `depth` others; raises RemoteProtocolError."""
        self._budget.spend()
        self._budget.check_depth(depth)
        self.height = 0
        reader = self._reader
        marker = reader.u8("AMF3 marker")
        match marker:
            case Marker.UNDEFINED:
                return UNDEFINED
            case Marker.NULL:
                return None
            case Marker.FALSE:
                return False
            case Marker.TRUE:
                return True
            case Marker.INTEGER:
                number = self._u29()
                return number - 2**29 if number >= 2**28 else number
            case Marker.DOUBLE:
                return reader.f64("AMF3 double")
            case Marker.STRING:
                return self._string()
            case _ if marker in _COMPLEX:
                return self._complex(marker, depth)
            case _:
                raise RemoteProtocolError(f"AMF3: unknown marker 0x{marker:02x}")

    def _u29(self) -> int:
        """A 29-bit integer: seven bits a byte, eight in the fourth (section 1.3.1)."""
        value = 0
        for _ in range(3):
            byte = self._reader.u8("AMF3 integer")
            value = value << 7 | byte & 0x7F
            if byte < 0x80:
                return value
        return value << 8 | self._reader.u8("AMF3 integer")

    def _string(self, limit: int | None = None) -> str:
        head = self._u29()
        if not head & 1:
            index = head >> 1
            if index >= len(self._strings):
                raise RemoteProtocolError(f"AMF3: string reference {index} out of range")
            text = self._strings[index]
            self._budget.spend_text(len(text))
        else:
            text = self._text(head >> 1)
            if text:  # the empty string is never referred to (section 1.3.2)
                self._strings.append(text)
        if limit is not None and len(text) > limit:
            raise RemoteProtocolError(f"AMF3: name of {len(text)} characters, more than {limit}")
        return text

    def _name(self) -> str:
        self._budget.spend()
        return self._string(MAX_KEY_BYTES)

    def _text(self, length: int) -> str:
        raw = self._reader.take(length, "AMF3 string")
        self._budget.spend_text(length)
        return raw.decode("utf-8", "replace")

    def _complex(self, marker: int, depth: int) -> Value:
        head = self._u29()
        if not head & 1:
            value, self.height = self._references.resolve(head >> 1, depth)
            return value
        budget_before = self._budget.left
        ticket = self._references.open()
        height = 0
        size = head >> 1
        match marker:
            case Marker.DATE:
                value = Date(self._reader.f64("AMF3 date"))
            case Marker.XML | Marker.XML_DOCUMENT:
                value = Xml(self._text(size))
            case Marker.BYTE_ARRAY:
                value = self._reader.take(size, "AMF3 byte array")
                self._budget.spend_text(size)
            case Marker.ARRAY:
                value, height = self._array(size, depth)
            case Marker.OBJECT:
                value, height = self._object(size, depth)
            case Marker.VECTOR_OBJECT:
                self._reader.u8("AMF3 vector")  # "fixed length", of no use to a reader
                self._name()
                value, height = self._items(size, depth)
            case Marker.DICTIONARY:
                self._reader.u8("AMF3 dictionary")  # "weak keys"
                flat, height = self._items(2 * size, depth + 1)
                value = [list(pair) for pair in zip(flat[::2], flat[1::2], strict=True)]
                height += bool(flat)
            case _:
                value = self._vector(_VECTOR_FORMS[marker], size)
        self._references.close(ticket, value, budget_before, height)
        self.height = height
        return value

    def _items(self, count: int, depth: int) -> tuple[list[Value], int]:
        """`count` values that stand inside one at `depth`, and how many levels they add."""
        items: list[Value] = []
        height = 0
        for _ in range(count):
            items.append(self.value(depth + 1))
            height = max(height, self.height + 1)
        return items, height

    def _array(self, size: int, depth: int) -> tuple[Value, int]:
        named = EcmaArray()
        height = 0
        while key := self._name():
            named[key] = self.value(depth + 1)
            height = max(height, self.height + 1)
        items, items_height = self._items(size, depth)
        height = max(height, items_height)
        if not named:
            return items, height
        named.update((str(index), item) for index, item in enumerate(items))
        return named, height

    def _object(self, head: int, depth: int) -> tuple[Value, int]:
        traits = self._read_traits(head)
        if traits.externalizable:
            if traits.class_name not in _WRAPPERS:
                raise RemoteProtocolError("AMF3: externalizable object of an unknown class")
            return self.value(depth + 1), self.height + 1
        self._budget.spend_text(len(traits.class_name))
        value = TypedObject(traits.class_name) if traits.class_name else {}
        height = 0
        for name in traits.members:
            self._budget.spend_text(len(name))  # once more, for it will be written with each object
            value[name] = self.value(depth + 1)
            height = max(height, self.height + 1)
        while traits.dynamic and (name := self._name()):
            value[name] = self.value(depth + 1)
            height = max(height, self.height + 1)
        return value, height

    def _read_traits(self, head: int) -> _Traits:
        """The traits of an object whose U29 was `head`, less its lowest bit (section 3.12)."""
        if not head & 1:
            index = head >> 1
            if index >= len(self._traits):
                raise RemoteProtocolError(f"AMF3: traits reference {index} out of range")
            return self._traits[index]
        externalizable = bool(head & 2)
        class_name = self._name()
        members = () if externalizable else tuple(self._name() for _ in range(head >> 3))
        traits = _Traits(class_name, members, bool(head & 4), externalizable)
        self._traits.append(traits)
        return traits

    def _vector(self, form: str, size: int) -> Value:
        self._reader.u8("AMF3 vector")
        raw = self._reader.take(size * struct.calcsize(f">{form}"), "AMF3 vector")
        self._budget.spend(size)
        return list(struct.unpack(f">{size}{form}", raw))
