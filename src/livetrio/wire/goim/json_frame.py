"""goim v1's JSON frames: `{"ver":1,"op":7,"seq":1,"body":…}` in WebSocket text messages.

v1 has sent two forms, one object per message (its documentation) and, later, always an array of
them (its last pages with JSON). Clients of both exist and say nothing about it, except that one
that sends arrays also reads them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from livetrio.errors import RemoteProtocolError
from livetrio.wire.goim.frame import Frame
from livetrio.wire.goim.json_values import int32, loads, shallow

__all__ = ["frames_of_text", "json_body", "text_of_frame", "text_of_frames"]

_MAX_FRAMES = 64
"""Frames in one array of a client."""


def frames_of_text(text: str) -> tuple[list[Frame], bool]:
    """The frames of a text message, and whether they came as an array.

    A frame's body is the JSON text of what stood there, b"" if nothing did.

    Raises:
        RemoteProtocolError: not JSON, or not of that shape.
    """
    value = loads(text)
    if not isinstance(value, list):
        return [_frame(value)], False
    if not 1 <= len(value) <= _MAX_FRAMES:
        raise RemoteProtocolError(f"goim v1: {len(value)} frames in one message")
    return [_frame(item) for item in value], True


def text_of_frame(frame: Frame) -> str:
    """One frame as an object; an empty body is `{}`, as v1 writes it."""
    body = json_body(frame.body) if frame.body else "{}"
    return f'{{"ver":{frame.version},"op":{frame.operation},"seq":{frame.sequence},"body":{body}}}'


def text_of_frames(frames: Iterable[Frame]) -> str:
    """Frames as an array."""
    return f"[{','.join(map(text_of_frame, frames))}]"


def json_body(data: bytes) -> str:
    """A back end's message as a JSON value: as it is where it is one, else as a string."""
    try:
        text = data.decode()
        json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return json.dumps(data.decode(errors="replace"))
    return text


def _no_constant(name: str) -> object:
    raise ValueError(name)


def _frame(value: Any) -> Frame:
    if not isinstance(value, dict):
        raise RemoteProtocolError("goim v1: a frame is an object")
    body = value.get("body")
    with shallow():
        text = b"" if body is None else json.dumps(body, separators=(",", ":")).encode()
    return Frame(int32(value, "ver"), int32(value, "op"), int32(value, "seq"), text)
