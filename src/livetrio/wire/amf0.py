"""AMF0, the encoding of RTMP's commands and metadata (Adobe's AMF 0 specification, 2007).

Values are those of `amf`. Reading is bounded in depth and in number of values; lengths and
counts from the peer are compared with what is there, never allocated.
"""

from __future__ import annotations

import struct
from typing import Final

from livetrio.errors import LocalProtocolError, RemoteProtocolError
from livetrio.wire import amf3, amf3_reader
from livetrio.wire.amf import (
    MAX_DEPTH,
    MAX_KEY_BYTES,
    MAX_VALUES,
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

__all__ = ["decode", "encode"]


class _Marker:
    """The byte that opens a value (section 2.1); 0x04 and 0x0E are reserved."""

    NUMBER: Final = 0x00
    BOOLEAN: Final = 0x01
    STRING: Final = 0x02
    OBJECT: Final = 0x03
    NULL: Final = 0x05
    UNDEFINED: Final = 0x06
    REFERENCE: Final = 0x07
    ECMA_ARRAY: Final = 0x08
    OBJECT_END: Final = 0x09
    STRICT_ARRAY: Final = 0x0A
    DATE: Final = 0x0B
    LONG_STRING: Final = 0x0C
    UNSUPPORTED: Final = 0x0D
    XML: Final = 0x0F
    TYPED_OBJECT: Final = 0x10
    AVMPLUS: Final = 0x11


def decode(data: bytes, *, count: int | None = None, limit: int = MAX_VALUES) -> list[Value]:
    """Read the values that follow one another in `data`.

    An ECMA array that announced its members, holds that many and then ends with the data is
    accepted without its end marker (old encoders' onMetaData); every other cut is an error.

    Args:
        data: the body of an AMF0 message.
        count: read at most so many values and ignore what follows; None reads to the end.
        limit: most values, all levels counted (see `amf.Budget`).

    Raises:
        RemoteProtocolError: the data is not AMF0, or passes a limit.
    """
    decoder = _Decoder(data, limit)
    values: list[Value] = []
    while decoder.reader.left and (count is None or len(values) < count):
        values.append(decoder.value(0))
    return values


def encode(*values: Value) -> bytes:
    """Write `values` one after another.

    What AMF0 has no word for (bytes) is written as AMF3 behind the AVMplus marker.

    Raises:
        LocalProtocolError: a value has no AMF form, or nests deeper than `amf.MAX_DEPTH`.
    """
    out = bytearray()
    for value in values:
        _write(out, value, 0)
    return bytes(out)


class _Decoder:
    __slots__ = ("_amf3", "_budget", "_height", "_references", "reader")

    def __init__(self, data: bytes, limit: int) -> None:
        self.reader = ByteReader(data)
        self._budget = Budget(limit)
        self._references = References(self._budget)
        self._amf3: amf3_reader.Decoder | None = None
        self._height = 0  # levels below the value read last

    def value(self, depth: int) -> Value:
        """Read one value that stands inside `depth` others."""
        budget = self._budget
        budget.spend()
        budget.check_depth(depth)
        self._height = 0
        reader = self.reader
        marker = reader.u8("AMF0 marker")
        match marker:
            case _Marker.NUMBER:
                return reader.f64("AMF0 number")
            case _Marker.BOOLEAN:
                return reader.u8("AMF0 boolean") != 0
            case _Marker.STRING:
                return self._text(reader.u16("AMF0 string length"))
            case _Marker.OBJECT:
                return self._complex(depth, {})
            case _Marker.NULL:
                return None
            case _Marker.UNDEFINED | _Marker.UNSUPPORTED:
                return UNDEFINED
            case _Marker.REFERENCE:
                value, self._height = self._references.resolve(reader.u16("AMF0 reference"), depth)
                return value
            case _Marker.ECMA_ARRAY:
                return self._complex(depth, EcmaArray(), reader.u32("AMF0 array count"))
            case _Marker.STRICT_ARRAY:
                return self._strict_array(depth)
            case _Marker.DATE:
                return Date(reader.f64("AMF0 date"), reader.i16("AMF0 date's zone"))
            case _Marker.LONG_STRING:
                return self._text(reader.u32("AMF0 long string length"))
            case _Marker.XML:
                return Xml(self._text(reader.u32("AMF0 XML length")))
            case _Marker.TYPED_OBJECT:
                return self._complex(depth, TypedObject(self._key("AMF0 class name")))
            case _Marker.AVMPLUS:
                if self._amf3 is None:
                    self._amf3 = amf3_reader.Decoder(reader, budget)
                value, self._height = self._amf3.value(depth), self._amf3.height
                return value
            case _Marker.OBJECT_END:
                raise RemoteProtocolError("AMF0: object end marker where a value should be")
            case _:
                raise RemoteProtocolError(f"AMF0: unknown marker 0x{marker:02x}")

    def _text(self, length: int) -> str:
        raw = self.reader.take(length, "AMF0 string")
        self._budget.spend_text(length)
        return raw.decode("utf-8", "replace")

    def _key(self, what: str) -> str:
        length = self.reader.u16(what)
        if length > MAX_KEY_BYTES:
            raise RemoteProtocolError(f"{what} of {length} bytes, more than {MAX_KEY_BYTES}")
        return self._text(length)

    def _complex(self, depth: int, value: dict[str, Value], announced: int = 0) -> Value:
        """Read the members of an object or ECMA array into `value`."""
        budget_before = self._budget.left
        ticket = self._references.open()
        reader = self.reader
        members = height = 0
        while reader.left or not announced or members < announced:
            key = self._key("AMF0 property name")
            if not key and reader.left and reader.data[reader.pos] == _Marker.OBJECT_END:
                reader.pos += 1
                break
            value[key] = self.value(depth + 1)
            members += 1
            height = max(height, self._height + 1)
        self._references.close(ticket, value, budget_before, height)
        self._height = height
        return value

    def _strict_array(self, depth: int) -> Value:
        budget_before = self._budget.left
        ticket = self._references.open()
        value: list[Value] = []
        height = 0
        for _ in range(self.reader.u32("AMF0 array count")):
            value.append(self.value(depth + 1))
            height = max(height, self._height + 1)
        self._references.close(ticket, value, budget_before, height)
        self._height = height
        return value


def _write(out: bytearray, value: Value, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise LocalProtocolError(f"AMF0: values nested deeper than {MAX_DEPTH}")
    match value:
        case None:
            out.append(_Marker.NULL)
        case bool():
            out += bytes((_Marker.BOOLEAN, value))
        case int() | float():
            out.append(_Marker.NUMBER)
            out += _number(value)
        case Xml():
            out.append(_Marker.XML)
            _write_text(out, value, 4)
        case str():
            size = len(value) if value.isascii() else len(value.encode("utf-8", "replace"))
            out.append(_Marker.STRING if size <= 0xFFFF else _Marker.LONG_STRING)
            _write_text(out, value, 2 if size <= 0xFFFF else 4)
        case TypedObject():
            out.append(_Marker.TYPED_OBJECT)
            _write_text(out, value.class_name, 2)
            _write_members(out, value, depth)
        case EcmaArray():
            out.append(_Marker.ECMA_ARRAY)
            out += len(value).to_bytes(4, "big")
            _write_members(out, value, depth)
        case dict():
            out.append(_Marker.OBJECT)
            _write_members(out, value, depth)
        case list() | tuple():
            out.append(_Marker.STRICT_ARRAY)
            out += len(value).to_bytes(4, "big")
            for item in value:
                _write(out, item, depth + 1)
        case Date():
            out.append(_Marker.DATE)
            out += struct.pack(">dh", value.milliseconds, value.zone)
        case bytes():
            out.append(_Marker.AVMPLUS)
            out += amf3.encode(value)
        case _ if value is UNDEFINED:
            out.append(_Marker.UNDEFINED)
        case _:
            raise LocalProtocolError(f"AMF0 has no form for {type(value).__name__}")


def _number(value: float) -> bytes:
    try:
        return struct.pack(">d", float(value))
    except OverflowError as error:
        raise LocalProtocolError("AMF0: the integer is larger than a double") from error


def _write_text(out: bytearray, text: str, width: int) -> None:
    raw = text.encode("utf-8", "replace")
    if len(raw) >> (8 * width):
        raise LocalProtocolError(
            f"AMF0: text of {len(raw)} bytes where {width}-byte lengths are used"
        )
    out += len(raw).to_bytes(width, "big")
    out += raw


def _write_members(out: bytearray, members: dict[str, Value], depth: int) -> None:
    for key, value in members.items():
        _write_text(out, key, 2)
        _write(out, value, depth + 1)
    out += b"\0\0\x09"
