"""/v1/rooms/{app}/{room}/whep: a whole room over one WHEP session.

With the caller's IM token, so that he is sent everybody but himself; without one as an anonymous
viewer, where the application lets him play. The session's resource is WHEP's, with one thing
more: which slots the page shows how large.
"""

from __future__ import annotations

import json
from typing import Final

from quart import request
from quart_trio.wrappers import TrioResponse as Response

from livetrio.access.im_token import ImTokens
from livetrio.control.answers import BadRequest, json_answer
from livetrio.control.signalling import SDP, Signalling, unsupported
from livetrio.control.signalling_answers import answered, bearer, body_text, preflight
from livetrio.control.table import Answer, Operation, Parameter
from livetrio.errors import RefusalCode, Refused
from livetrio.packet import StreamKey
from livetrio.webrtc.session import Session
from livetrio.webrtc.slots.meeting import Meetings
from livetrio.webrtc.slots.thrift import SlotWish, parse_wish

__all__ = ["RoomWhep"]

_ENDPOINT: Final = "/v1/rooms/{app}/{room}/whep"
_RESOURCE: Final = f"{_ENDPOINT}/{{id}}"
_ROOM: Final = (
    Parameter("app", "application", "path", required=True),
    Parameter("room", "room", "path", required=True),
)
_SESSION: Final = (*_ROOM, Parameter("id", "session", "path", required=True))
_MOST_SLOTS: Final = 64
_WISHES: Final = {
    "type": "object",
    "properties": {
        "slots": {
            "type": "object",
            "additionalProperties": {"enum": ["auto", "high", "medium", "low", "off"]},
        }
    },
    "required": ["slots"],
}


class RoomWhep:
    """The handlers; `operations` is what web_addr serves."""

    def __init__(self, signalling: Signalling, meetings: Meetings, tokens: ImTokens) -> None:
        """
        Args:
            signalling: of WHEP, whose sessions these are.
            meetings: the rooms.
            tokens: of IM: the same user has the same name in a room and in its messages.
        """
        self._signalling = signalling
        self._meetings = meetings
        self._tokens = tokens

    def operations(self) -> list[Operation]:
        """For the table."""
        signalling = self._signalling
        fragment = {204: Answer("taken"), 200: Answer("restarted")}
        known = {204: Answer("what may be asked")}
        return [
            Operation(
                _ENDPOINT, ("POST",), "WHEP of a whole room: offer, or nothing", self.offer,
                "rooms", {201: Answer("the answer, or our offer", None, SDP)}, parameters=_ROOM,
            ),
            Operation(
                _ENDPOINT, ("OPTIONS",), "Preflight", self.options, "rooms", known,
                parameters=_ROOM,
            ),
            Operation(
                _RESOURCE, ("PATCH",), "Candidates, ICE restart, or an answer", signalling.patch,
                "rooms", fragment, parameters=_SESSION,
            ),
            Operation(
                _RESOURCE, ("DELETE",), "End a session; answers when all of it is gone",
                signalling.delete, "rooms", {200: Answer("gone")}, parameters=_SESSION,
            ),
            Operation(
                _RESOURCE, ("OPTIONS",), "Preflight", signalling.resource_options, "rooms", known,
                parameters=_SESSION,
            ),
            Operation(
                f"{_RESOURCE}/slots", ("POST",), "Say which slots are shown how large", self.wish,
                "rooms", {200: Answer("taken")}, parameters=_SESSION, body=_WISHES, forms=False,
            ),
            Operation(
                f"{_RESOURCE}/slots", ("OPTIONS",), "Preflight", self.slots_options, "rooms",
                known, parameters=_SESSION,
            ),
        ]  # fmt: skip

    @answered
    async def offer(self, app: str, room: str) -> Response:
        """POST {endpoint}: a viewer's offer, or nothing, which asks us to offer."""
        offer = await body_text()
        if offer and request.mimetype != SDP:
            return unsupported("Accept-Post", SDP)
        signalling = self._signalling
        asked = signalling.asked(app, room, "whep")
        user = await self._user()
        meeting = self._meetings.meeting(StreamKey(app, room))
        if not user:
            await signalling.sessions.gate.may_play(app, room, asked.query, asked.peer)
        session = await signalling.sessions.attend(asked, offer or None, meeting, user)
        return signalling.created(session, asked)

    @answered
    async def options(self, app: str, room: str) -> Response:
        """OPTIONS {endpoint}: CORS, and ICE servers for a client that shows its token."""
        answer = preflight("POST, OPTIONS")
        answer.headers["Accept-Post"] = SDP
        if await self._user():
            signalling = self._signalling
            signalling.add_servers(answer, signalling.asked(app, room, "whep"), proven=True)
        return answer

    @answered
    async def wish(self, app: str, room: str, id: str) -> Response:
        """POST {session}/slots: {"slots": {"0": "high", "3": "off"}}"""
        session = self._signalling.session(id)
        _check_room(session, StreamKey(app, room))
        session.wish(_wishes(await body_text()))
        return json_answer({})

    @answered
    async def slots_options(self, **_: str) -> Response:
        """OPTIONS {session}/slots: the same for every id, so that it tells nothing of them."""
        return preflight("POST, OPTIONS")

    async def _user(self) -> str:
        """Who asks, by his token; "" for nobody known.

        Raises:
            Refused: UNAUTHORIZED, a token that is not valid.
        """
        token = bearer()
        return (await self._tokens.verify(token)).sub if token else ""


def _check_room(session: Session, key: StreamKey) -> None:
    if session.key != key:
        raise Refused(RefusalCode.NOT_FOUND, "there is no such session")


def _wishes(text: str) -> dict[int, SlotWish]:
    """The wishes of a body.

    Raises:
        Refused: BAD_REQUEST.
    """
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        body = None
    slots = body.get("slots") if isinstance(body, dict) else None
    if not isinstance(slots, dict) or len(slots) > _MOST_SLOTS:
        raise BadRequest('the body is not a JSON object like {"slots": {"0": "high"}}')
    wishes: dict[int, SlotWish] = {}
    for number, wish in slots.items():
        if not (number.isascii() and number.isdecimal() and len(number) <= 2):
            raise BadRequest(f"{number[:20]!r} is not a slot's number")
        wishes[int(number)] = parse_wish(wish)
    return wishes
