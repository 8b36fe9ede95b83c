"""SRS's JSON face of WebRTC: `POST /rtc/v1/publish/` and `/rtc/v1/play/`.

An envelope around the same sessions: the answer is `code` 0 and the SDP, an error is another
`code` with HTTP 200, as SRS does it. There is no resource: a session ends with its connection.
"""

from __future__ import annotations

import json
import os
import secrets
from typing import Literal
from urllib.parse import parse_qsl, unquote, urlsplit

from quart_trio.wrappers import TrioResponse as Response
from werkzeug.exceptions import RequestEntityTooLarge

from livetrio.control.answers import BadRequest, json_answer
from livetrio.control.signalling import Signalling, selection_of
from livetrio.control.signalling_answers import body_text, preflight, shared
from livetrio.control.table import Answer, Handler, Operation
from livetrio.errors import LivetrioError, RefusalCode, Refused
from livetrio.net.exchange import STATUS
from livetrio.webrtc.session import Asked, Session

__all__ = ["SrsRtc"]

_BODY = {
    "type": "object",
    "required": ["sdp", "streamurl"],
    "properties": {
        "api": {"type": "string"},
        "clientip": {"type": ["string", "null"]},
        "sdp": {"type": "string"},
        "streamurl": {"type": "string", "description": "webrtc://host[:port]/app/stream?..."},
    },
}
_BAD_REQUEST = 400
_BUSY = 1028
"""SRS's ERROR_SYSTEM_STREAM_BUSY: its players know it."""


class SrsRtc:
    """The handlers."""

    def __init__(self, signalling: Signalling) -> None:
        self._signalling = signalling
        # Random per process, as in SRS: clients notice a restart by them.
        self._server = f"vid-{secrets.token_hex(4)}"
        self._service = secrets.token_hex(4)

    def operations(self) -> list[Operation]:
        """For the table."""
        found: list[Operation] = []
        answers = {200: Answer("code 0 and the answer, or another code", {"type": "object"})}
        yes = {204: Answer("what may be asked")}
        verbs: tuple[tuple[str, Handler], ...] = (("publish", self.publish), ("play", self.play))
        for verb, handler in verbs:
            for path in (f"/rtc/v1/{verb}/", f"/rtc/v1/{verb}"):
                found += [
                    Operation(path, ("POST",), f"SRS: {verb}", handler, "srs", answers, body=_BODY),
                    Operation(path, ("OPTIONS",), "Preflight", self.options, "srs", yes),
                ]
        return found

    async def publish(self) -> Response:
        """POST /rtc/v1/publish/"""
        return await self._answer("publish")

    async def play(self) -> Response:
        """POST /rtc/v1/play/"""
        return await self._answer("play")

    async def options(self) -> Response:
        """OPTIONS of both"""
        return shared(preflight("POST, OPTIONS"))

    async def _answer(self, verb: Literal["publish", "play"]) -> Response:
        about: dict[str, object] = {
            "server": self._server,
            "service": self._service,
            "pid": str(os.getpid()),
        }
        try:
            session = await self._session(verb, await body_text())
        except RequestEntityTooLarge:
            about = {"code": 413, **about, "data": "the body is too long"}
        except LivetrioError as error:
            about = {"code": _code(error), **about, "data": str(error)}
        else:
            about = {"code": 0, **about, "sdp": session.description, "sessionid": session.id}
        return shared(json_answer(about))

    async def _session(self, verb: Literal["publish", "play"], body: str) -> Session:
        offer, url = _fields(body)
        app, name, query = _stream(url)
        asked = self._signalling.asked(app, name, "whip" if verb == "publish" else "whep")
        asked = Asked(
            app, name,
            token=asked.token or query.get("token", ""),
            query=asked.query | query,
            peer=asked.peer,  # `clientip` is what the client says of itself: no proof of anything
            agent=asked.agent,
            url=f"/{app}/{name}",
            protocol=asked.protocol,
        )  # fmt: skip
        sessions = self._signalling.sessions
        if verb == "publish":
            return await sessions.publish(asked, offer)
        return await sessions.play(asked, offer, selection_of(asked.query))


def _fields(body: str) -> tuple[str, str]:
    """Offer and URL."""
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError):
        fields = None
    if not isinstance(fields, dict):
        raise BadRequest("the body is not a JSON object")
    sdp, url = fields.get("sdp"), fields.get("streamurl")
    if not isinstance(sdp, str) or not isinstance(url, str) or not sdp:
        raise BadRequest("sdp and streamurl have to be texts")
    return sdp, url


def _stream(url: str) -> tuple[str, str, dict[str, str]]:
    """(app, stream, query) of "webrtc://host[:port]/app/stream?..."; the host means nothing."""
    try:
        parts = urlsplit(url)
        query = dict(parse_qsl(parts.query, keep_blank_values=True, max_num_fields=64))
        app, _, name = unquote(parts.path.strip("/"), errors="strict").partition("/")
    except ValueError:
        raise BadRequest("streamurl is no URL") from None
    if not app or not name:
        raise BadRequest("streamurl has no app and stream; write it as webrtc://host/app/stream")
    return app, name, query


def _code(error: LivetrioError) -> int:
    if isinstance(error, Refused):
        return _BUSY if error.code is RefusalCode.CONFLICT else STATUS[error.code]
    return _BAD_REQUEST
