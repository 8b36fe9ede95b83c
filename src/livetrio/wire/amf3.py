"""AMF3, what Flash clients in object encoding 3 switch to (Adobe's AMF 3 specification, 2013).

Values are those of `amf`; section numbers here and in `amf3_reader` are that specification's.
"""

from __future__ import annotations

import struct
from typing import Final

from livetrio.errors import LocalProtocolError
from livetrio.wire.amf import (
    MAX_DEPTH,
    MAX_VALUES,
    UNDEFINED,
    Budget,
    Date,
    EcmaArray,
    TypedObject,
    Value,
    Xml,
)
from livetrio.wire.amf3_reader import Decoder, Marker
from livetrio.wire.reader import ByteReader

__all__ = ["decode", "encode"]

_INTEGER_MIN: Final = -(2**28)
_INTEGER_MAX: Final = 2**28 - 1


def decode(data: bytes, *, limit: int = MAX_VALUES) -> list[Value]:
    """Read the AMF3 values that follow one another in `data`, with common reference tables.

    Raises:
        RemoteProtocolError: the data is not AMF3, or passes a limit (see `amf.Budget`).
    """
    reader = ByteReader(data)
    decoder = Decoder(reader, Budget(limit))
    values: list[Value] = []
    while reader.left:
        values.append(decoder.value(0))
    return values


def encode(*values: Value) -> bytes:
    """Write `values` one after another, without references.

    Raises:
        LocalProtocolError: a value has no AMF3 form, or nests deeper than `amf.MAX_DEPTH`.
    """
    out = bytearray()
    for value in values:
        _write(out, value, 0)
    return bytes(out)


def _write(out: bytearray, value: Value, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise LocalProtocolError(f"AMF3: values nested deeper than {MAX_DEPTH}")
    match value:
        case None:
            out.append(Marker.NULL)
        case bool():
            out.append(Marker.TRUE if value else Marker.FALSE)
        case int() if _INTEGER_MIN <= value <= _INTEGER_MAX:
            out.append(Marker.INTEGER)
            _write_u29(out, value & 0x1FFF_FFFF)
        case int() | float():
            out.append(Marker.DOUBLE)
            out += _double(value)
        case Xml():
            out.append(Marker.XML)
            _write_sized(out, value.encode("utf-8", "replace"))
        case str():
            out.append(Marker.STRING)
            _write_sized(out, value.encode("utf-8", "replace"))
        case Date():
            out.append(Marker.DATE)
            _write_u29(out, 1)
            out += _double(value.milliseconds)
        case bytes():
            out.append(Marker.BYTE_ARRAY)
            _write_sized(out, value)
        case list() | tuple():
            out.append(Marker.ARRAY)
            _write_u29(out, len(value) << 1 | 1)
            _write_sized(out, b"")  # no named members
            for item in value:
                _write(out, item, depth + 1)
        case EcmaArray():
            out.append(Marker.ARRAY)
            _write_u29(out, 1)  # no numbered members
            _write_members(out, value, depth)
        case dict():
            out.append(Marker.OBJECT)
            _write_u29(out, 0b1011)  # traits inline, dynamic, no fixed members
            class_name = value.class_name if isinstance(value, TypedObject) else ""
            _write_sized(out, class_name.encode("utf-8", "replace"))
            _write_members(out, value, depth)
        case _ if value is UNDEFINED:
            out.append(Marker.UNDEFINED)
        case _:
            raise LocalProtocolError(f"AMF3 has no form for {type(value).__name__}")


def _double(value: float) -> bytes:
    try:
        return struct.pack(">d", float(value))
    except OverflowError as error:
        raise LocalProtocolError("AMF3: the integer is larger than a double") from error


def _write_u29(out: bytearray, value: int) -> None:
    if value >= 2**29:
        raise LocalProtocolError(f"AMF3: {value} does not fit 29 bits")
    if value >= 1 << 21:
        out += bytes((value >> 22 | 0x80, value >> 15 & 0x7F | 0x80, value >> 8 & 0x7F | 0x80))
        out.append(value & 0xFF)
    elif value >= 1 << 14:
        out += bytes((value >> 14 | 0x80, value >> 7 & 0x7F | 0x80, value & 0x7F))
    elif value >= 1 << 7:
        out += bytes((value >> 7 | 0x80, value & 0x7F))
    else:
        out.append(value)


def _write_sized(out: bytearray, raw: bytes) -> None:
    _write_u29(out, len(raw) << 1 | 1)
    out += raw


def _write_members(out: bytearray, members: dict[str, Value], depth: int) -> None:
    for key, value in members.items():
        if not key:
            raise LocalProtocolError("AMF3: a dynamic member cannot have an empty name")
        _write_sized(out, key.encode("utf-8", "replace"))
        _write(out, value, depth + 1)
    _write_sized(out, b"")
