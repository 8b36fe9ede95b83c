"""goim's push API on the operator's port, where it asks for a token if tokens are configured."""

from __future__ import annotations

from quart import request
from quart_trio.wrappers import TrioResponse as Response

from livetrio.control.table import Answer, Handler, Operation, Parameter
from livetrio.im.goim_api import METHODS, GoimApi, GoimQuestion

__all__ = ["goim_operations"]

_INTEGER = {"type": "integer"}
_LIST = {"type": "array", "items": {"type": "string"}}
_OP = Parameter("operation", "goim operation of the message", schema=_INTEGER, required=True)
_TYPE = Parameter("type", "type of the room id type://room", required=True)
_UID = Parameter("uid", "the user's number", schema=_INTEGER, required=True)
_RID = Parameter("rid", "the room's number", schema=_INTEGER, required=True)
_MIDS = {"type": "array", "items": {"type": "integer"}}

_ABOUT: dict[str, tuple[str, tuple[Parameter, ...]]] = {
    "/goim/push/keys": (
        "Push to connections by key",
        (_OP, Parameter("keys", "repeated", schema=_LIST, required=True)),
    ),
    "/goim/push/mids": (
        "Push to users",
        (_OP, Parameter("mids", "repeated", schema=_MIDS, required=True)),
    ),
    "/goim/push/room": (
        "Push to a room",
        (_OP, _TYPE, Parameter("room", "the room", required=True)),
    ),
    "/goim/push/all": (
        "Push to everybody",
        (_OP, Parameter("speed", "connections per second; 0: at once", schema=_INTEGER)),
    ),
    "/goim/online/top": (
        "The largest rooms",
        (_TYPE, Parameter("limit", "how many", schema=_INTEGER, required=True)),
    ),
    "/goim/online/room": (
        "How many are in these rooms",
        (_TYPE, Parameter("rooms", "repeated", schema=_LIST, required=True)),
    ),
    "/goim/online/total": ("How many addresses and connections there are", ()),
    "/goim/nodes/weighted": (
        "Where clients are to connect",
        (Parameter("platform", '"web" or another'),),
    ),
    "/goim/nodes/instances": ("The servers that there are", ()),
    "/1/push": ("goim v1: push to a user", (_UID,)),
    "/1/pushs": ("goim v1: push to users", ()),
    "/1/push/room": ("goim v1: push to a room", (_RID,)),
    "/1/push/all": ("goim v1: push to everybody", ()),
}
_ENVELOPE = {
    "type": "object",
    "required": ["code", "message"],
    "properties": {"code": _INTEGER, "message": {"type": "string"}, "data": {}},
}
_V1 = {"type": "object", "required": ["ret"], "properties": {"ret": _INTEGER}}


def goim_operations(api: GoimApi) -> list[Operation]:
    """For the operator's table. The message of a push is the request's raw body."""
    return [_operation(api, path, method) for path, method in METHODS.items()]


def _operation(api: GoimApi, path: str, method: str) -> Operation:
    summary, parameters = _ABOUT[path]
    schema = _V1 if path.startswith("/1/") else _ENVELOPE
    answers = {200: Answer("done, or code says why not", schema)}
    if schema is _ENVELOPE and parameters:
        answers[400] = Answer("a parameter cannot be used", schema, "text/plain")
    return Operation(
        path, (method,), summary, _handler(api, path), "goim", answers, parameters=parameters
    )


def _handler(api: GoimApi, path: str) -> Handler:
    async def handle() -> Response:
        host = request.host.rpartition(":")
        name = host[0] if host[0] and host[2].isdigit() else "".join(host)
        query = request.query_string.decode("latin-1")
        body = await request.get_data()
        assert isinstance(body, bytes)  # as_text was not asked for
        told = await api.answer(path, GoimQuestion(query, body, name))
        return Response(told.body, told.status, content_type=told.content_type)

    return handle
