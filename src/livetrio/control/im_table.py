"""What the operations of /v1/im have in common, for the OpenAPI document."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from livetrio.control.rest import PROBLEM
from livetrio.control.table import Answer, Handler, Operation, Parameter

__all__ = ["LIST", "OBJECT", "ROOM", "ROOM_PATH", "im_operation"]

Schema = Mapping[str, Any]

OBJECT: Final = {"type": "object"}
_INTEGER: Final = {"type": "integer"}
LIST: Final = {
    "type": "object",
    "required": ["page", "per_page", "total", "items"],
    "properties": {
        "page": _INTEGER,
        "per_page": _INTEGER,
        "total": _INTEGER,
        "items": {"type": "array", "items": OBJECT},
    },
}
ROOM: Final = (Parameter("room", "the room's name", required=True),)
ROOM_PATH: Final = (Parameter("name", "the room; may hold slashes", "path", required=True),)

_PROBLEMS: Final = {
    400: "a parameter or the body cannot be used",
    403: "the room's rules forbid it",
    404: "there is no such thing",
    409: "that is so already",
    410: "what is before that position is gone",
    429: "too much, or too often",
    503: "the log cannot be used now",
}


def im_operation(
    method: str,
    path: str,
    summary: str,
    handler: Handler,
    parameters: tuple[Parameter, ...] = (),
    schema: Schema = OBJECT,
    *,
    body: Schema | None = None,
) -> Operation:
    """One operation; all of them refuse in the same words."""
    answers = {200: Answer("done", schema)}
    for status, what in _PROBLEMS.items():
        answers[status] = Answer(what, PROBLEM, "application/problem+json")
    methods = ("GET", "HEAD") if method == "GET" else (method,)
    return Operation(
        path, methods, summary, handler, "im", answers, parameters=parameters, body=body,
        forms=False,
    )  # fmt: skip
