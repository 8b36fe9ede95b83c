"""Centrifugo's Protobuf: length-delimited messages, read and written from the schema.

https://protobuf.dev/programming-guides/encoding. The schema is a tree (no message contains
itself), so nesting is bounded by it: what is deeper is a payload or an unknown field, and skipped
unread. Sizes are bounded by the frame that a message stands in.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeVar

from livetrio.errors import RemoteProtocolError
from livetrio.wire.centrifuge.commands import Command, EmulationRequest
from livetrio.wire.centrifuge.replies import Reply
from livetrio.wire.centrifuge.schema import MAX_ELEMENTS, Kind, Shape, Spec, by_number, specs

__all__ = [
    "decode_commands",
    "decode_emulation",
    "decode_message",
    "encode_delimited",
    "encode_message",
]

M = TypeVar("M")

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_WIRE_TYPES = {
    Kind.TEXT: _BYTES,
    Kind.PAYLOAD: _BYTES,
    Kind.MESSAGE: _BYTES,
    Kind.FLAG: _VARINT,
    Kind.NUMBER: _VARINT,
    Kind.INTEGER: _VARINT,
}
_FIXED_SIZES = {_FIXED64: 8, _FIXED32: 4}
_MAX_VARINT: Final = 10
_MASK64: Final = (1 << 64) - 1


def decode_commands(data: bytes) -> Iterator[Command]:
    """The commands of a frame, one by one, so that a flood can be ended in its middle.

    Raises:
        RemoteProtocolError: there is none, or one is broken.
    """
    if not data:
        raise RemoteProtocolError("centrifuge: a frame without a command")
    reader = _Reader(data, 0, len(data))
    while reader.at < reader.end:
        command = Command()
        _read(command, reader.nested())
        yield command


def decode_emulation(body: bytes) -> EmulationRequest:
    """An emulation request. Raises RemoteProtocolError."""
    return decode_message(EmulationRequest, body)


def decode_message(type_: type[M], data: bytes) -> M:
    """A message that is all of the data. Raises RemoteProtocolError."""
    message = type_()
    _read(message, _Reader(data, 0, len(data)))
    return message


def encode_delimited(replies: Iterable[Reply]) -> bytes:
    """Replies, each behind its length."""
    found = bytearray()
    for reply in replies:
        inner = encode_message(reply)
        found += _varint(len(inner))
        found += inner
    return bytes(found)


def encode_message(message: Any) -> bytes:
    """One message; empty fields are left out."""
    found = bytearray()
    for spec in specs(message.__class__):
        value = getattr(message, spec.name)
        if value is None or (not value and spec.kind is not Kind.MESSAGE):
            continue
        if spec.shape is Shape.ONE:
            _write(found, spec, value)
        elif spec.shape is Shape.LIST:
            for one in value:
                _write(found, spec, one)
        else:
            for key, one in value.items():
                entry = bytearray()
                _write(entry, _entry(spec)[1], key)
                _write(entry, _entry(spec)[2], one)
                _write_bytes(found, spec.number, entry)
    return bytes(found)


@functools.cache
def _entry(spec: Spec) -> Mapping[int, Spec]:
    """A map's entries are messages of key and value."""
    return {1: Spec("key", 1, Kind.TEXT), 2: Spec("value", 2, spec.kind, type=spec.type)}


def _write(found: bytearray, spec: Spec, value: Any) -> None:
    match spec.kind:
        case Kind.TEXT:
            _write_bytes(found, spec.number, value.encode(errors="replace"))
        case Kind.PAYLOAD:
            _write_bytes(found, spec.number, value)
        case Kind.MESSAGE:
            _write_bytes(found, spec.number, encode_message(value))
        case _:  # negative ones are ten bytes long
            found += _varint(spec.number << 3 | _VARINT)
            found += _varint(int(value) & _MASK64)


def _write_bytes(found: bytearray, number: int, value: Sequence[int]) -> None:
    found += _varint(number << 3 | _BYTES)
    found += _varint(len(value))
    found += bytes(value)


def _varint(value: int) -> bytes:
    if value < 0x80:
        return bytes((value,))
    found = bytearray()
    while value >= 0x80:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    found.append(value)
    return bytes(found)


class _Reader:
    """A part of some data."""

    __slots__ = ("at", "data", "end")

    def __init__(self, data: bytes, at: int, end: int) -> None:
        self.data = data
        self.at = at
        self.end = end

    def varint(self) -> int:
        """The next number, of at most 64 bits."""
        value = shift = 0
        for byte in self.data[self.at : min(self.at + _MAX_VARINT, self.end)]:
            self.at += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value & _MASK64
            shift += 7
        raise _broken("a number that does not end")

    def nested(self) -> _Reader:
        """The next length-delimited part."""
        size = self.varint()
        start = self.at
        if size > self.end - start:
            raise _broken("a length beyond the end")
        self.at = start + size
        return _Reader(self.data, start, self.at)

    def bytes(self) -> bytes:
        """All of it."""
        return self.data[self.at : self.end]

    def skip(self, wire_type: int) -> None:
        """An unknown field's value. Groups, long deprecated and nested without end, are refused."""
        if wire_type == _VARINT:
            self.varint()
        elif wire_type == _BYTES:
            self.nested()
        elif (size := _FIXED_SIZES.get(wire_type)) is not None and size <= self.end - self.at:
            self.at += size
        else:
            raise _broken(f"wire type {wire_type}")


def _read(message: Any, reader: _Reader) -> None:
    known = by_number(message.__class__)
    while reader.at < reader.end:
        key = reader.varint()
        spec = known.get(key >> 3)
        if not key >> 3:
            raise _broken("field 0")
        if spec is None or _WIRE_TYPES[spec.kind] != key & 7:
            reader.skip(key & 7)
        elif spec.shape is Shape.ONE:
            setattr(message, spec.name, _value(spec, reader, getattr(message, spec.name)))
        elif spec.shape is Shape.LIST:
            elements = getattr(message, spec.name)
            elements.append(_value(spec, reader, None))
            _check_size(spec, elements)
        else:
            elements = getattr(message, spec.name)
            entry_key, value = _read_entry(spec, reader.nested())
            elements[entry_key] = value
            _check_size(spec, elements)


def _read_entry(spec: Spec, reader: _Reader) -> tuple[str, Any]:
    known = _entry(spec)
    found: dict[int, Any] = {1: "", 2: "" if spec.type is None else spec.type()}
    while reader.at < reader.end:
        key = reader.varint()
        inner = known.get(key >> 3)
        if inner is None or key & 7 != _BYTES:
            reader.skip(key & 7)
        else:
            found[inner.number] = _value(inner, reader, found[inner.number])
    return found[1], found[2]


def _check_size(spec: Spec, elements: Sequence[Any] | dict[str, Any]) -> None:
    if len(elements) > MAX_ELEMENTS:
        raise _broken(f"over {MAX_ELEMENTS} {spec.name}")


def _value(spec: Spec, reader: _Reader, before: Any) -> Any:
    match spec.kind:
        case Kind.TEXT:
            try:
                return reader.nested().bytes().decode()
            except UnicodeDecodeError:
                raise _broken(f"{spec.name} is not UTF-8") from None
        case Kind.PAYLOAD:
            return reader.nested().bytes()
        case Kind.MESSAGE:  # one that comes twice is merged, as the encoding demands
            assert spec.type is not None
            message = before if before is not None else spec.type()
            _read(message, reader.nested())
            return message
        case Kind.FLAG:
            return reader.varint() != 0
        case Kind.NUMBER:
            return reader.varint() & (1 << spec.bits) - 1
        case _:
            value = reader.varint() & (1 << spec.bits) - 1
            return value - (1 << spec.bits) if value >> spec.bits - 1 else value


def _broken(reason: str) -> RemoteProtocolError:
    return RemoteProtocolError(f"centrifuge: broken Protobuf: {reason}")
