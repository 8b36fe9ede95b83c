"""Centrifugo's JSON: one object per line, empty fields left out, payloads as JSON within JSON.

A payload is the application's own value; it is kept as text of its own, so that it can be
handed on to others (of other protocols, too) without knowing what is in it.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Sequence
from typing import Any, NoReturn, cast

from livetrio.errors import RemoteProtocolError
from livetrio.wire.centrifuge.commands import Command, EmulationRequest
from livetrio.wire.centrifuge.replies import Reply
from livetrio.wire.centrifuge.schema import MAX_ELEMENTS, Kind, Shape, Spec, by_name, specs

__all__ = [
    "as_json",
    "decode_commands",
    "decode_emulation",
    "encode_lines",
    "encode_reply",
    "json_payload",
    "payload_text",
]


def decode_commands(text: str) -> Iterator[Command]:
    """The commands of a frame, one by one, so that a flood can be ended in its middle.

    Raises:
        RemoteProtocolError: there is none, or one is broken.
    """
    found = False
    for line in text.split("\n"):
        if line and not line.isspace():
            found = True
            command: Command = _decode(Command, line)
            yield command
    if not found:
        raise RemoteProtocolError("centrifuge: a frame without a command")


def decode_emulation(body: bytes) -> EmulationRequest:
    """An emulation request; its `data` are lines of commands, as text.

    Raises:
        RemoteProtocolError: it is none.
    """
    try:
        request: EmulationRequest = _decode(EmulationRequest, body.decode())
        data = json.loads(request.data) if request.data else ""
    except UnicodeDecodeError:
        raise RemoteProtocolError("centrifuge: not UTF-8") from None
    if not isinstance(data, str):
        raise RemoteProtocolError("centrifuge: data must be a text")
    request.data = data.encode(errors="replace")
    return request


def encode_lines(replies: Sequence[Reply]) -> str:
    """Replies, newline between them."""
    return "\n".join([_object(reply) for reply in replies])


def encode_reply(reply: Reply) -> str:
    """One reply, without a line break in it."""
    return _object(reply)


def json_payload(value: object) -> bytes:
    """A JSON value as a payload, in its shortest form.

    Raises:
        RemoteProtocolError: there is no JSON for it (a number without end, too deep).
    """
    try:
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        try:
            return text.encode()
        except UnicodeEncodeError:  # half a surrogate pair: only an escape can say that
            return json.dumps(value, separators=(",", ":"), allow_nan=False).encode()
    except (ValueError, RecursionError) as error:
        raise RemoteProtocolError(f"centrifuge: {error}") from None


def payload_text(data: bytes) -> bytes:
    """A payload as a JSON string: what delta's subscribers are sent instead of the value."""
    return json_payload(data.decode(errors="replace"))


def as_json(data: bytes) -> str:
    """A payload as it may stand in a line: itself, if it is JSON; otherwise (back ends and
    other protocols say what they like) a string of it, in base64 where it is no text."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return json.dumps(base64.b64encode(data).decode())
    try:
        json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        return json.dumps(text, ensure_ascii=False)
    # In valid JSON, line breaks stand between words only.
    return text.replace("\n", " ").replace("\r", " ")


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _decode(type_: type[Any], line: str) -> Any:
    try:
        value = json.loads(line, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise RemoteProtocolError(f"centrifuge: broken JSON: {str(error)[:80]}") from None
    return _message(type_, value)


def _message(type_: type[Any], value: object) -> Any:
    if not isinstance(value, dict):
        raise RemoteProtocolError(f"centrifuge: {type_.__name__} is no object")
    known = by_name(cast("Any", type_))
    found: dict[str, Any] = {}
    for name, inner in value.items():
        spec = known.get(name)
        if spec is not None and inner is not None:  # null is "not there"; others are ignored
            found[name] = _TABLES[spec.shape](spec, inner)
    return type_(**found)


def _one(spec: Spec, value: object) -> Any:
    match spec.kind:
        case Kind.PAYLOAD:
            return json_payload(value)
        case Kind.MESSAGE:
            assert spec.type is not None
            return _message(spec.type, value)
        case Kind.TEXT if isinstance(value, str):
            return value
        case Kind.FLAG if isinstance(value, bool):
            return value
        case Kind.NUMBER | Kind.INTEGER if isinstance(value, int) and not isinstance(value, bool):
            low = -(1 << spec.bits - 1) if spec.kind is Kind.INTEGER else 0
            if low <= value < low + (1 << spec.bits):
                return value
    raise RemoteProtocolError(f"centrifuge: {spec.name} is not what it must be")


def _list(spec: Spec, value: object) -> Any:
    if not isinstance(value, list) or len(value) > MAX_ELEMENTS:
        raise RemoteProtocolError(f"centrifuge: {spec.name} is no list, or too long")
    return [_one(spec, inner) for inner in value]


def _table(spec: Spec, value: object) -> Any:
    if not isinstance(value, dict) or len(value) > MAX_ELEMENTS:
        raise RemoteProtocolError(f"centrifuge: {spec.name} is no map, or too large")
    return {key: _one(spec, inner) for key, inner in value.items()}


_TABLES = {Shape.ONE: _one, Shape.LIST: _list, Shape.TABLE: _table}


def _object(message: Any) -> str:
    fields = []
    for spec in specs(message.__class__):
        value = getattr(message, spec.name)
        if value is None or (not value and spec.kind is not Kind.MESSAGE):
            continue
        if spec.shape is Shape.ONE:
            fields.append(f'"{spec.name}":{_value(spec, value)}')
        elif spec.shape is Shape.LIST and value:
            inner = ",".join([_value(spec, one) for one in value])
            fields.append(f'"{spec.name}":[{inner}]')
        elif value:
            inner = ",".join(
                [f"{json.dumps(key)}:{_value(spec, one)}" for key, one in value.items()]
            )
            fields.append(f'"{spec.name}":{{{inner}}}')
    return "{" + ",".join(fields) + "}"


def _value(spec: Spec, value: Any) -> str:
    match spec.kind:
        case Kind.MESSAGE:
            return _object(value)
        case Kind.PAYLOAD:
            return as_json(value)
        case _:
            return json.dumps(value)
