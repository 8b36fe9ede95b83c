"""WHIP and WHEP over HTTP: offers in, answers and resources out (RFC 9725, draft-ietf-wish-whep).

The paths are MediaMTX's (`/{app}/{name}/whip`) and SRS's (`/rtc/v1/whip/?app=&stream=`); a
session's resource is one segment below whichever was asked. Other sites' pages may use all of it:
what protects a stream is its key, and browsers add nothing of their own to these requests.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from urllib.parse import quote

import trio
from quart import request
from quart_trio.wrappers import TrioResponse as Response

from livetrio.config import Network
from livetrio.control.answers import BadRequest, json_answer, problem
from livetrio.control.signalling_answers import answered, bearer, body_text, preflight
from livetrio.control.table import Answer, Handler, Operation, Parameter
from livetrio.errors import RefusalCode, Refused
from livetrio.net.request import forwarded_for
from livetrio.webrtc.selection import Selection
from livetrio.webrtc.session import Asked, Session
from livetrio.webrtc.sessions import Sessions
from livetrio.webrtc.turn import Turn

__all__ = ["LAYER_REL", "SDP", "Signalling", "unsupported"]

LAYER_REL = "urn:ietf:params:whep:ext:core:layer"
SDP = "application/sdp"
_FRAGMENT = "application/trickle-ice-sdpfrag"
_ENDING = 5.0
"""Seconds to wait for the end of a session: its goodbye is bounded by far less."""
_REASON = "the peer ended its session"

Parameters = tuple[Parameter, ...]

_PATH: Parameters = (
    Parameter("app", "application", "path", required=True),
    Parameter("name", "stream name, or its key; may hold slashes", "path", required=True),
)
_QUERY: Parameters = (
    Parameter("app", "application"),
    Parameter("stream", "stream name, or its key"),
)
_ID: Parameters = (Parameter("id", "session", "path", required=True),)


class Signalling:
    """The handlers; `operations` is what web_addr serves."""

    def __init__(self, sessions: Sessions, turn: Turn, *, trusted: Sequence[Network] = ()) -> None:
        """trusted: proxies whose X-Forwarded-For is believed."""
        self.sessions = sessions
        self._turn = turn
        self._trusted = trusted

    def operations(self) -> list[Operation]:
        """For the table."""
        found: list[Operation] = []
        for verb, offer in (("whip", self.whip), ("whep", self.whep)):
            for path, parameters in _endpoints(verb):
                found += [
                    Operation(
                        path, ("POST",), f"{verb.upper()}: offer", offer, "webrtc",
                        {201: Answer("the answer; Location is the session", None, SDP)},
                        parameters=parameters,
                    ),
                    _preflight_of(path, self.options, parameters),
                ]  # fmt: skip
            for path, parameters in _resources(verb):
                found += self._of_resource(path, parameters)
                if verb == "whep":
                    found += self._of_layer(f"{path}/layer", parameters)
        return found

    def _of_resource(self, path: str, parameters: Parameters) -> list[Operation]:
        return [
            Operation(
                path, ("PATCH",), "Candidates, ICE restart, or an answer", self.patch, "webrtc",
                {204: Answer("taken"), 200: Answer("restarted", None, _FRAGMENT)},
                parameters=parameters,
            ),
            Operation(
                path, ("DELETE",), "End a session; answers when all of it is gone", self.delete,
                "webrtc", {200: Answer("gone")}, parameters=parameters,
            ),
            _preflight_of(path, self.resource_options, parameters),
        ]  # fmt: skip

    def _of_layer(self, path: str, parameters: Parameters) -> list[Operation]:
        return [
            Operation(
                path, ("GET",), "The layers there are", self.layers, "webrtc",
                {200: Answer("layers, and the one chosen", {"type": "object"})},
                parameters=parameters,
            ),
            Operation(
                path, ("POST",), "Choose a layer", self.choose, "webrtc", {200: Answer("chosen")},
                parameters=parameters,
            ),
            _preflight_of(path, self.resource_options, parameters),
        ]  # fmt: skip

    def asked(self, app: str, name: str, protocol: str) -> Asked:
        """Who asks, out of the present request."""
        query = dict(request.args.items())
        peer = request.remote_addr or ""
        if self._trusted and (chain := request.headers.get("X-Forwarded-For", "")):
            peer = forwarded_for(chain, peer, self._trusted)
        return Asked(
            app, name,
            token=bearer() or query.get("token", ""),
            query=query,
            peer=peer,
            agent=request.headers.get("User-Agent", "")[:256],
            url=request.path[:512],
            protocol=protocol,
        )  # fmt: skip

    @answered
    async def whip(self, app: str = "", name: str = "") -> Response:
        """POST {endpoint}: a publisher's offer."""
        if request.mimetype != SDP:
            return unsupported("Accept-Post", SDP)
        asked = self.asked(*_stream(app, name), "whip")
        session = await self.sessions.publish(asked, await body_text())
        return self.created(session, asked)

    @answered
    async def whep(self, app: str = "", name: str = "") -> Response:
        """POST {endpoint}: a viewer's offer, or nothing, which asks us to offer."""
        offer = await body_text()
        if offer and request.mimetype != SDP:
            return unsupported("Accept-Post", SDP)
        asked = self.asked(*_stream(app, name), "whep")
        session = await self.sessions.play(asked, offer or None, selection_of(asked.query))
        return self.created(session, asked)

    @answered
    async def patch(self, id: str, **_: str) -> Response:
        """PATCH {session}"""
        session = self.session(id)
        match request.mimetype:
            case "application/trickle-ice-sdpfrag":
                fragment = await body_text()
                restarted = session.trickle(fragment, request.headers.get("If-Match"))
                if not restarted:
                    return Response(b"", 204)
                return Response(restarted, 200, {"ETag": session.etag}, content_type=_FRAGMENT)
            case "application/sdp":
                session.accept(await body_text())
                return Response(b"", 204)
            case _:
                return unsupported("Accept-Patch", f"{_FRAGMENT}, {SDP}")

    @answered
    async def delete(self, id: str, **_: str) -> Response:
        """DELETE {session}"""
        with trio.move_on_after(_ENDING):
            ended = await self.sessions.end(self.session(id), _REASON)
            return json_answer({"ended": asdict(ended)})
        raise Refused(RefusalCode.UNAVAILABLE, f"it was ended, but not gone in {_ENDING:g} s")

    @answered
    async def layers(self, id: str, **_: str) -> Response:
        """GET {session}/layer"""
        return json_answer(self.session(id).layers())

    @answered
    async def choose(self, id: str, **_: str) -> Response:
        """POST {session}/layer: {"encodingId": "1"}; without encodingId the bandwidth decides."""
        session = self.session(id)
        try:
            wish = json.loads(await body_text())
        except (ValueError, RecursionError):
            wish = None
        encoding = wish.get("encodingId", "auto") if isinstance(wish, dict) else None
        if not isinstance(encoding, str):
            raise BadRequest("the body is not a JSON object with an encodingId of text")
        session.select_layer(encoding)
        return Response(b"", 200)

    @answered
    async def options(self, app: str = "", name: str = "") -> Response:
        """OPTIONS {endpoint}: CORS, and ICE servers for a client that shows its token."""
        answer = preflight("POST, OPTIONS")
        answer.headers["Accept-Post"] = SDP
        if bearer():
            asked = self.asked(*_stream(app, name), "whip")
            if await self.proves(asked):
                self.add_servers(answer, asked, proven=True)
        return answer

    @answered
    async def resource_options(self, **_: str) -> Response:
        """OPTIONS {session}: the same for every id, so that it tells nothing of them."""
        answer = preflight("PATCH, DELETE, OPTIONS, POST, GET")
        answer.headers["Accept-Patch"] = f"{_FRAGMENT}, {SDP}"
        return answer

    async def proves(self, asked: Asked) -> bool:
        """Does its token prove a stream? Where anybody may publish, no token does.

        Raises:
            Refused: it may not even publish.
        """
        gate = self.sessions.gate
        grant = await gate.may_publish(asked.app, asked.name, asked.token, asked.query, asked.peer)
        return grant.proven

    def add_servers(self, answer: Response, asked: Asked, *, proven: bool) -> None:
        """Name the ICE servers that whoever asks may use (RFC 9725 section 4.6)."""
        for server in self._turn.servers(asked.peer, proven=proven):
            answer.headers.add("Link", server.link)

    def session(self, session_id: str) -> Session:
        """The session with this id, if the present request has its token.

        Raises:
            Refused: NOT_FOUND, UNAUTHORIZED.
        """
        session = self.sessions.find(session_id)
        session.check_token(bearer() or request.args.get("token", ""))
        return session

    def created(self, session: Session, asked: Asked) -> Response:
        """The answer to whoever made a session by the present request."""
        answer = Response(session.description, 201, content_type=SDP)
        headers = answer.headers
        headers["Location"] = location = f"{quote(request.path.rstrip('/'))}/{session.id}"
        headers["ETag"] = session.etag
        headers["Accept-Patch"] = _FRAGMENT if session.answered.is_set() else f"{_FRAGMENT}, {SDP}"
        self.add_servers(answer, asked, proven=session.proven)
        if session.stream is not None:
            headers.add("Link", f'<{location}/layer>; rel="{LAYER_REL}"')
        return answer


def selection_of(query: dict[str, str]) -> Selection:
    """Layer and tracks that a query asks for; `video=h264` is a rendition's name, not a track's.

    Raises:
        Refused: BAD_REQUEST.
    """
    return Selection.parse({k: v for k, v in query.items() if (k, v) != ("video", "h264")})


def _stream(app: str, name: str) -> tuple[str, str]:
    """Of the path, or of SRS's query."""
    if app and name:
        return app, name
    app, name = request.args.get("app", ""), request.args.get("stream", "")
    if not app or not name:
        raise BadRequest("app and stream are missing")
    return app, name


def unsupported(header: str, media: str) -> Response:
    """The answer to a body of another type than this one."""
    answer = problem(415, f"the body has to be {media}")
    answer.headers[header] = media
    return answer


def _endpoints(verb: str) -> list[tuple[str, Parameters]]:
    """MediaMTX's path and SRS's, this one with and without its slash."""
    theirs = f"/rtc/v1/{verb}"
    return [(f"/{{app}}/{{name}}/{verb}", _PATH), (theirs, _QUERY), (f"{theirs}/", _QUERY)]


def _resources(verb: str) -> list[tuple[str, Parameters]]:
    return [
        (f"/{{app}}/{{name}}/{verb}/{{id}}", (*_PATH, *_ID)),
        (f"/rtc/v1/{verb}/{{id}}", _ID),
    ]


def _preflight_of(path: str, handler: Handler, parameters: Parameters) -> Operation:
    answers = {204: Answer("what may be asked")}
    return Operation(path, ("OPTIONS",), "Preflight", handler, "webrtc", answers, "", parameters)
