"""Centrifugo's server API on the operator's port: `POST /api/METHOD`, with a key of its own."""

from __future__ import annotations

import json
from hmac import compare_digest
from typing import Any, Final, NoReturn

import trio
from quart import request
from quart_trio.wrappers import TrioResponse as Response

from livetrio.access.throttle import FailureLimit
from livetrio.control.answers import json_answer
from livetrio.control.table import Answer, Handler, Operation
from livetrio.im.centrifuge_api import METHODS, CentrifugeApi
from livetrio.logs import get_logger

__all__ = ["centrifuge_operations"]

log = get_logger(__name__)

_SUMMARIES: Final = {
    "publish": "Publish to a channel",
    "broadcast": "Publish the same to many channels",
    "subscribe": "Put a user's connections into a channel",
    "unsubscribe": "Take a user's connections out of a channel",
    "disconnect": "End a user's connections",
    "refresh": "Change when a user's connections expire",
    "presence": "Who is in a channel",
    "presence_stats": "How many are in a channel",
    "history": "What a channel remembers",
    "history_remove": "Make a channel forget",
    "channels": "Channels that somebody is in",
    "info": "The nodes and how busy they are",
    "batch": "Many calls at once",
}
_OBJECT: Final = {"type": "object"}
_ANSWERS: Final = {
    200: Answer('{"result": {...}} or {"error": {"code": ..., "message": ...}}', _OBJECT),
    400: Answer("not a JSON object", _OBJECT),
    401: Answer("the key in X-API-Key is missing or wrong, or im.api_key is not set", _OBJECT),
    429: Answer("too many wrong keys", _OBJECT),
}


def centrifuge_operations(api: CentrifugeApi, key: str) -> list[Operation]:
    """For the operator's table.

    Args:
        key: `im.api_key`; "": every call is refused.
    """
    door = _Door(key)
    single = [
        Operation(
            f"/api/{method}", ("POST",), _SUMMARIES[method], _handler(api, door, method),
            "centrifugo", _ANSWERS, body=_OBJECT, protected=False, keyed=True,
        )
        for method in METHODS
    ]  # fmt: skip
    old = Operation(
        "/api", ("POST",), 'The same, as {"method": ..., "params": {...}}',
        _handler(api, door, ""), "centrifugo", _ANSWERS, body=_OBJECT, protected=False, keyed=True,
    )  # fmt: skip
    return [*single, old]


class _Door:
    """Who knows the key may in; who guesses may not do so for long."""

    def __init__(self, key: str) -> None:
        self._key = key.encode()
        self._guesses = FailureLimit(trio.current_time)

    def refusal(self) -> Response | None:
        """The answer to a request that must not be served; None for one that may."""
        peer = request.remote_addr or ""
        if not self._guesses.take(peer):
            return _refused(429, "too many wrong keys")
        scheme, _, told = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "apikey":
            told = request.headers.get("X-API-Key", "")
        if not self._key or not compare_digest(told.strip().encode(), self._key):
            why = "wrong key" if self._key else "im.api_key is not set"
            log.warning("server API refused", peer=peer, reason=why)
            return _refused(401, why)
        self._guesses.give_back(peer)
        return None


def _handler(api: CentrifugeApi, door: _Door, method: str) -> Handler:
    async def handle() -> Response:
        if (refusal := door.refusal()) is not None:
            return refusal
        body = await request.get_data()
        assert isinstance(body, bytes)  # as_text was not asked for
        try:
            params = json.loads(body.decode() or "{}", parse_constant=_refuse_constant)
        except (ValueError, RecursionError):
            return _refused(400, "not a JSON object")
        if not isinstance(params, dict):
            return _refused(400, "not a JSON object")
        if method:
            return json_answer(await api.call(method, params))
        return json_answer(await api.call(str(params.get("method")), params.get("params") or {}))

    return handle


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _refused(status: int, reason: str) -> Response:
    problem: dict[str, Any] = {"error": {"code": status, "message": reason}}
    return json_answer(problem, status)
