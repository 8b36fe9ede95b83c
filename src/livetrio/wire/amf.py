"""The values AMF0 and AMF3 share: which Python type stands for which ActionScript type.

====================  =======================================================================
ActionScript          Python
====================  =======================================================================
Number, int, uint     float from AMF0; int or float from AMF3; both are written from either
Boolean, null         bool, None
undefined             UNDEFINED
String                str
Object                dict with str keys; TypedObject where it names its class
Array                 list; EcmaArray where it has named members
Date, XML             Date, Xml
ByteArray             bytes (AMF3)
Vector, Dictionary    list, list of [key, value] lists (AMF3; written back as arrays)
====================  =======================================================================

Invalid UTF-8 in a string reads as U+FFFD rather than as an error: old encoders put the local
code page into metadata, and that must not cost them the stream. Names are refused where they
are used as names (`names.check_name`).
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any, Final

from livetrio.errors import RemoteProtocolError

__all__ = [
    "MAX_DEPTH",
    "MAX_KEY_BYTES",
    "MAX_VALUES",
    "UNDEFINED",
    "Budget",
    "Date",
    "EcmaArray",
    "References",
    "TypedObject",
    "Undefined",
    "Value",
    "Xml",
]

MAX_DEPTH: Final = 32
"""Deepest nesting read or written; onMetaData uses 3. Far below Python's recursion limit."""

MAX_VALUES: Final = 65_536
"""Most values in one message, all levels counted: one byte on the wire (a null in an array, a
reference) can become an object a hundred times as large. Text counts too, see `Budget`."""

MAX_KEY_BYTES: Final = 16_384
"""Longest name of a property or class read. Even if every byte is invalid UTF-8 and grows to
the three of U+FFFD, it still fits AMF0's 16-bit length: whatever was read can be written."""


class Undefined(enum.Enum):
    """ActionScript's `undefined`, which is not null."""

    UNDEFINED = "undefined"

    def __repr__(self) -> str:
        return "UNDEFINED"


UNDEFINED: Final = Undefined.UNDEFINED

# A recursive alias would force casts on every reader of a value; what a peer sent really is any
# of the types above, and every use checks with isinstance.
Value = Any


class EcmaArray(dict[str, Value]):
    """An array with named members: what onMetaData's properties travel as."""

    __slots__ = ()


class TypedObject(dict[str, Value]):
    """An object of a registered class.

    Attributes:
        class_name: the class's alias as sent.
    """

    __slots__ = ("class_name",)

    def __init__(self, class_name: str, members: dict[str, Value] | None = None) -> None:
        super().__init__(members or {})
        self.class_name = class_name

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, TypedObject):
            return False
        return self.class_name == other.class_name and dict.__eq__(self, other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = None  # a mutable mapping, as dict


@dataclass(frozen=True, slots=True)
class Date:
    """A moment: milliseconds since 1970 UTC, and the zone field AMF0 carries (should be 0)."""

    milliseconds: float
    zone: int = 0


class Xml(str):
    """The text of an XML document; never parsed here."""

    __slots__ = ()


class Budget:
    """Counts the values of one message as they are read, against a limit.

    Every 64 bytes of text cost as one value more, and a reference costs as much as what it
    refers to: without that, ten arrays of ten references each to the one before, or one long
    string referred to a thousand times, would read cheaply and explode when written.
    """

    __slots__ = ("left", "limit")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.left = limit

    def spend(self, count: int = 1) -> None:
        """Take `count` values; raises RemoteProtocolError once the limit is passed."""
        self.left -= count
        if self.left < 0:
            raise RemoteProtocolError(f"AMF: more than {self.limit} values in one message")

    def spend_text(self, size: int) -> None:
        """Take what `size` bytes of text cost beside the value they belong to."""
        self.spend(size >> 6)

    @staticmethod
    def check_depth(depth: int) -> None:
        """Raise RemoteProtocolError for a value that stands inside too many others."""
        if depth > MAX_DEPTH:
            raise RemoteProtocolError(f"AMF: values nested deeper than {MAX_DEPTH}")


class References:
    """The table complex values enter as they are read, and references point into.

    A reference to a value that is still being read would make a cycle, which no writer or
    printer of ours could leave again: it is refused.
    """

    __slots__ = ("_budget", "_entries")

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        # (value, what it cost, its height), or None while it is being read. Bounded by the
        # budget: no entry without a value read.
        self._entries: list[tuple[Value, int, int] | None] = []

    def open(self) -> int:
        """Enter a value about to be read; returns the ticket for `close`."""
        self._entries.append(None)
        return len(self._entries) - 1

    def close(self, ticket: int, value: Value, budget_before: int, height: int) -> None:
        """Complete the entry: `value` holds `height` levels of others below it."""
        self._entries[ticket] = (value, budget_before - self._budget.left, height)

    def resolve(self, index: int, depth: int) -> tuple[Value, int]:
        """The value at `index`, to stand at `depth`, and its height.

        Raises:
            RemoteProtocolError: there is no such value, it is still being read, or using it
                here passes a limit.
        """
        entry = self._entries[index] if index < len(self._entries) else None
        if entry is None:
            raise RemoteProtocolError(
                f"AMF: reference to {index}, which is not complete or not there"
            )
        value, cost, height = entry
        self._budget.spend(cost)
        self._budget.check_depth(depth + height)
        return value, height
