"""The operations of /v1/rooms, with the schemas of what they take."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from livetrio.control.rest import PROBLEM
from livetrio.control.table import Answer, Handler, Operation, Parameter

if TYPE_CHECKING:
    from livetrio.control.rooms import RoomsRest

__all__ = ["rooms_operations"]

_TEXT: Final = {"type": "string"}
_COUNT: Final = {"type": "integer", "minimum": 1}
_OBJECT: Final = {"type": "object"}
_ONCE: Final[Mapping[str, Mapping[str, Any]]] = {
    "version": {
        "type": "integer",
        "description": "of the room as the caller knows it: refused if what is changed has"
        " changed since",
    },
    "key": {
        "type": "string",
        "maxLength": 128,
        "description": "a repeated command is answered as it was the first time",
    },
}
_CREATE: Final = {
    "type": "object",
    "required": ["room"],
    "properties": {
        "app": {"type": "string", "default": "live"},
        "room": {"type": "string", "maxLength": 64},
        "kind": {"enum": ["video", "voice"], "default": "video"},
        "seats": _COUNT,
        "title": {"type": "string", "maxLength": 128},
        "free": {"type": "boolean", "description": "may everybody take an empty seat?"},
    },
}
_SEAT: Final = {
    "type": "object",
    "properties": {
        "to": {**_COUNT, "description": "move: the other seat"},
        "medium": {"enum": ["microphone", "camera"], "default": "microphone"},
        "user": {"type": "string", "description": "refused if somebody else sits there by now"},
        **_ONCE,
    },
}
_LAYOUT: Final = {
    "type": "object",
    "properties": {
        "layout": {"enum": ["grid", "host", "pk", "custom"], "default": "grid"},
        "rectangles": {
            "type": "object",
            "description": "custom: by seat, or pk: x, y, width, height (0 to 1), and a layer",
            "additionalProperties": {
                "type": "array", "items": {"type": "number"}, "minItems": 4, "maxItems": 5,
            },
        },
        "background": {"type": "string", "pattern": "^#[0-9a-fA-F]{6}$"},
        **_ONCE,
    },
}  # fmt: skip
_GAIN: Final = {
    "type": "object",
    "required": ["gain"],
    "properties": {"gain": {"type": "number", "minimum": 0, "maximum": 4}, **_ONCE},
}
_KEY: Final = {"type": "object", "properties": _ONCE}
_WISH: Final = {"type": "object", "properties": {"seat": _COUNT, **_ONCE}}
_USER: Final = {
    "type": "object",
    "properties": {
        "user": {"type": "string", "description": "where it is not the caller's own"},
        "seat": _COUNT,
        **_ONCE,
    },
}
_BATTLE: Final = {
    "type": "object",
    "required": ["with", "seconds"],
    "properties": {
        "with": {"type": "string", "description": "app/room, or a room of the same app"},
        "seconds": {"type": "integer", "minimum": 1, "maximum": 3600},
        **_ONCE,
    },
}
_SCORE: Final = {
    "type": "object",
    "required": ["key"],
    "properties": {
        "points": {"type": "integer", "minimum": 0},
        "less": {"type": "integer", "minimum": 0, "description": "in place of points: taken back"},
        "key": {"type": "string", "description": "of the gift: it is counted once"},
    },
}
_REFUSALS: Final = {
    400: "something in it cannot be used",
    401: "no token, or one that is not valid",
    403: "not by this caller",
    404: "there is no such thing",
    409: "the room is not in the state for it",
    410: "the room has ended",
    429: "too many",
}


def rooms_operations(rest: RoomsRest) -> list[Operation]:
    """For the public table."""
    app = Parameter("app", "application", "path", required=True)
    room = (app, Parameter("room", "room", "path", required=True))
    action = Parameter("action", "what to do", "path", required=True)
    seat = (*room, Parameter("seat", "number; any, own", "path", required=True), action)
    ending = (
        Parameter("with", "not to agree to the PK that this room asks for", schema=_TEXT),
        *(Parameter(name, "as in the bodies of others", schema=_ONCE[name]) for name in _ONCE),
    )
    top = "/v1/rooms"
    one = f"{top}/{{app}}/{{room}}"
    groups = (
        ("applications", "Apply for a seat", rest.apply, _WISH, rest.application),
        ("invitations", "Invite to a seat", rest.invite, _USER, rest.invitation),
        ("managers", "Make somebody a manager", rest.appoint, _USER, rest.manager),
    )
    found = [
        _operation("POST", top, "Open a room", rest.create, (), _CREATE, 201),
        _operation("GET", one, "The whole state", rest.show, room),
        _operation("DELETE", one, "End a room; answers when all is gone", rest.end, room),
        _operation(
            "POST", f"{one}/seats/{{seat}}/{{action}}",
            "take, leave, move, kick, lock, unlock, mute, unmute, raise, lower",
            rest.seat, seat, _SEAT,
        ),
        _operation(
            "POST", f"{one}/seats/own/key", "A stream key for OBS", rest.seat_key, room, _KEY
        ),
        _operation(
            "PUT", f"{one}/seats/{{seat}}/gain", "How loud a seat is in the composed stream",
            rest.gain, seat[:-1], _GAIN,
        ),
        _operation("PUT", f"{one}/layout", "Of the composed picture", rest.arrange, room, _LAYOUT),
        _operation("POST", f"{one}/pk", "Ask for a PK, or agree", rest.battle, room, _BATTLE),
        _operation(
            "DELETE", f"{one}/pk", "End it, or what was asked for", rest.end_battle,
            (*room, *ending),
        ),
        _operation("POST", f"{one}/pk/score", "Points for a side", rest.score, room, _SCORE),
    ]  # fmt: skip
    for name, summary, first, body, rest_of_it in groups:
        path = f"{one}/{name}"
        found += [
            _operation("POST", path, summary, first, room, body),
            _operation(
                "POST", f"{path}/{{action}}", f"What becomes of {name}", rest_of_it,
                (*room, action), _USER,
            ),
        ]  # fmt: skip
    paths = {operation.path: operation.parameters for operation in found}
    return found + [
        Operation(
            path, ("OPTIONS",), "Preflight", rest.options, "rooms",
            {204: Answer("what may be asked")},
            parameters=tuple(p for p in parameters if p.where == "path"),
        )
        for path, parameters in paths.items()
    ]  # fmt: skip


def _operation(
    method: str,
    path: str,
    summary: str,
    handler: Handler,
    parameters: tuple[Parameter, ...],
    body: Mapping[str, Any] | None = None,
    status: int = 200,
) -> Operation:
    answers = {status: Answer("done", _OBJECT)}
    for code, why in _REFUSALS.items():
        answers[code] = Answer(why, PROBLEM, "application/problem+json")
    methods = ("GET", "HEAD") if method == "GET" else (method,)
    return Operation(
        path, methods, summary, handler, "rooms", answers,
        parameters=parameters, body=body, forms=False,
    )  # fmt: skip
