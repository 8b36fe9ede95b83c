"""/v1/rooms: co-host and voice rooms, for the pages of those who are in them.

On web_addr, with the caller's own token in the Authorization header; pages of other sites may use
it, since browsers add nothing of their own to it. Who may do what is the room's table, not ours.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Final
from urllib.parse import quote

import trio
from quart import request
from quart_trio.wrappers import TrioResponse as Response

from livetrio.access.gate import Gate
from livetrio.access.im_token import ImTokens
from livetrio.access.seats import minus_stream, seat_stream
from livetrio.config import Address, AppConfig
from livetrio.control.answers import BadRequest, json_answer
from livetrio.control.body import Body, read_body
from livetrio.control.rooms_table import rooms_operations
from livetrio.control.signalling_answers import answered, bearer, preflight
from livetrio.control.table import Operation
from livetrio.errors import RefusalCode, Refused
from livetrio.packet import StreamKey
from livetrio.webrtc.rooms.actions import Action, Caller, Command
from livetrio.webrtc.rooms.arrangement import Arrangement, check_gain
from livetrio.webrtc.rooms.room_service import Rooms, check_room_name
from livetrio.webrtc.rooms.seat import Medium
from livetrio.webrtc.rooms.state import RoomKind
from livetrio.wire.names import check_name

__all__ = ["RoomsRest"]

_ENDING: Final = 5.0
"""Seconds to wait for the end of a room."""
_SEATS: Final = frozenset(
    {"take", "leave", "move", "kick", "lock", "unlock", "mute", "unmute", "raise", "lower"}
)
_APPLICATIONS: Final = frozenset({"withdraw", "admit", "reject"})
_INVITATIONS: Final = frozenset({"accept", "decline", "revoke"})
_MANAGERS: Final = frozenset({"dismiss"})
_ANY_SEAT: Final = frozenset({"any", "own"})
"""In place of a seat's number: whichever is free, the caller's."""


class RoomsRest:
    """The handlers; `operations` is what web_addr serves."""

    def __init__(
        self,
        rooms: Rooms,
        tokens: ImTokens,
        apps: Mapping[str, AppConfig],
        gate: Gate,
        *,
        rtmp: Address | None = None,
    ) -> None:
        """
        Args:
            rooms: of this node.
            tokens: of IM: the same user has the same name in both.
            apps: the applications in which there may be rooms.
            gate: who may play a room may know its state.
            rtmp: where OBS publishes; None: nowhere.
        """
        self._rooms = rooms
        self._tokens = tokens
        self._apps = apps
        self._gate = gate
        self._rtmp = rtmp

    def operations(self) -> list[Operation]:
        """For the table."""
        return rooms_operations(self)

    @answered
    async def create(self) -> Response:
        """POST /v1/rooms"""
        caller, body = await self._caller(), await read_body()
        key = self._key(body.text("app", "live"), body.text("room"))
        kind: RoomKind = "voice" if body.text("kind", "video") == "voice" else "video"
        if body.text("kind", "video") != kind:
            raise BadRequest("kind is neither video nor voice")
        options = self._rooms.options(
            kind,
            seats=body.integer("seats", 0),
            title=body.text("title", ""),
            free=body.flag("free") if "free" in body else None,
        )
        live = await self._rooms.create(key, caller, options)
        answer = _state(live.snapshot(), 201)
        answer.headers["Location"] = f"/v1/rooms/{quote(key.app)}/{quote(key.name)}"
        return answer

    @answered
    async def show(self, app: str, room: str) -> Response:
        """GET /v1/rooms/{app}/{room}"""
        caller, live = await self._caller(), self._rooms.find(StreamKey(app, room))
        if not caller.user:
            await self._gate.may_play(app, room, {}, request.remote_addr or "")
        return _state(live.snapshot(), 200)

    @answered
    async def end(self, app: str, room: str) -> Response:
        """DELETE /v1/rooms/{app}/{room}"""
        caller = await self._caller()
        with trio.move_on_after(_ENDING):
            ended = await self._rooms.end(StreamKey(app, room), caller)
            below = ended.below
            return json_answer(
                {
                    "ended": {
                        "streams": below.streams,
                        "clients": below.clients,
                        "processes": below.processes,
                        **asdict(ended.ended),
                    }
                }
            )
        raise Refused(RefusalCode.UNAVAILABLE, f"it was ended, but not gone in {_ENDING:g} s")

    @answered
    async def seat(self, app: str, room: str, seat: str, action: str) -> Response:
        """POST /v1/rooms/{app}/{room}/seats/{seat}/{action}"""
        caller, body = await self._caller(), await _body()
        medium: Medium = "camera" if body.text("medium", "microphone") == "camera" else "microphone"
        if body.text("medium", "microphone") != medium:
            raise BadRequest("medium is neither microphone nor camera")
        return self._do(
            StreamKey(app, room),
            Command(
                action=_action(action, _SEATS),
                by=caller,
                user=body.text("user", ""),
                seat=_seat(seat),
                to=body.integer("to", 0),
                medium=medium,
                version=_version(body),
                key=body.text("key", ""),
            ),
        )

    @answered
    async def seat_key(self, app: str, room: str) -> Response:
        """POST /v1/rooms/{app}/{room}/seats/own/key"""
        caller, body, key = await self._caller(), await _body(), StreamKey(app, room)
        command = Command(
            action=Action.KEY, by=caller, version=_version(body), key=body.text("key", "")
        )
        seat, secret = self._rooms.seat_key(key, command)
        name, minus = seat_stream(key, seat).name, minus_stream(key, seat).name
        words: dict[str, object] = {
            "version": self._rooms.find(key).room.state.version,
            "events": [],
            "seat": seat,
            "key": f"{quote(name)}?key={secret}",
            "mix_minus": f"/{quote(app)}/{quote(minus)}?key={secret}",
            "whip": f"/{quote(app)}/{quote(name)}/whip",
            "bearer": secret,
        }
        if self._rtmp is not None:
            host = request.host.rpartition(":")[0] if ":" in request.host else request.host
            words["server"] = f"rtmp://{host or 'localhost'}:{self._rtmp.port}/{quote(app)}"
        return json_answer(words)

    @answered
    async def arrange(self, app: str, room: str) -> Response:
        """PUT /v1/rooms/{app}/{room}/layout"""
        caller, body, key = await self._caller(), await read_body(), StreamKey(app, room)
        seats = len(self._rooms.find(key).room.state.seats)
        arrangement = Arrangement.checked(
            body.text("layout", "grid"),
            body.pairs("rectangles", list),
            body.text("background", Arrangement().background),
            seats,
        )
        command = Command(
            action=Action.ARRANGE,
            by=caller,
            arrangement=arrangement,
            version=_version(body),
            key=body.text("key", ""),
        )
        return self._do(key, command)

    @answered
    async def gain(self, app: str, room: str, seat: str) -> Response:
        """PUT /v1/rooms/{app}/{room}/seats/{seat}/gain"""
        caller, body = await self._caller(), await read_body()
        command = Command(
            action=Action.GAIN,
            by=caller,
            user=body.text("user", ""),
            seat=_seat(seat),
            gain=check_gain(body.amount("gain")),
            version=_version(body),
            key=body.text("key", ""),
        )
        return self._do(StreamKey(app, room), command)

    @answered
    async def apply(self, app: str, room: str) -> Response:
        """POST /v1/rooms/{app}/{room}/applications"""
        return await self._on_user(StreamKey(app, room), Action.APPLY)

    @answered
    async def application(self, app: str, room: str, action: str) -> Response:
        """POST /v1/rooms/{app}/{room}/applications/{action}"""
        return await self._on_user(StreamKey(app, room), _action(action, _APPLICATIONS))

    @answered
    async def invite(self, app: str, room: str) -> Response:
        """POST /v1/rooms/{app}/{room}/invitations"""
        return await self._on_user(StreamKey(app, room), Action.INVITE)

    @answered
    async def invitation(self, app: str, room: str, action: str) -> Response:
        """POST /v1/rooms/{app}/{room}/invitations/{action}"""
        return await self._on_user(StreamKey(app, room), _action(action, _INVITATIONS))

    @answered
    async def appoint(self, app: str, room: str) -> Response:
        """POST /v1/rooms/{app}/{room}/managers"""
        return await self._on_user(StreamKey(app, room), Action.APPOINT)

    @answered
    async def manager(self, app: str, room: str, action: str) -> Response:
        """POST /v1/rooms/{app}/{room}/managers/{action}"""
        return await self._on_user(StreamKey(app, room), _action(action, _MANAGERS))

    @answered
    async def battle(self, app: str, room: str) -> Response:
        """POST /v1/rooms/{app}/{room}/pk"""
        caller, body = await self._caller(), await read_body()
        command = Command(
            action=Action.BATTLE,
            by=caller,
            other=self._other(app, body.text("with")),
            seconds=body.integer("seconds"),
            version=_version(body),
            key=body.text("key", ""),
        )
        return self._do(StreamKey(app, room), command)

    @answered
    async def end_battle(self, app: str, room: str) -> Response:
        """DELETE /v1/rooms/{app}/{room}/pk"""
        caller, declined = await self._caller(), request.args.get("with", "")
        # What a DELETE has in its body means nothing (RFC 9110 9.3.5).
        seen = request.args.get("version", "")
        if seen and not (seen.isascii() and seen.isdecimal() and len(seen) < 16):
            raise BadRequest("version is not a whole number")
        command = Command(
            action=Action.END_BATTLE,
            by=caller,
            other=self._other(app, declined) if declined else None,
            version=int(seen) if seen else None,
            key=request.args.get("key", ""),
        )
        return self._do(StreamKey(app, room), command)

    @answered
    async def score(self, app: str, room: str) -> Response:
        """POST /v1/rooms/{app}/{room}/pk/score"""
        caller, body = await self._caller(), await read_body()
        points = -body.integer("less", 0) if "less" in body else body.integer("points")
        key = StreamKey(app, room)
        battle = self._rooms.score(key, caller, points, body.text("key"))
        version = self._rooms.find(key).room.state.version
        return json_answer({"version": version, "scores": battle.tally()})

    @answered
    async def options(self, **_: str) -> Response:
        """OPTIONS of all of them: the same for every room, so that it tells nothing of any."""
        return preflight("GET, POST, PUT, DELETE, OPTIONS")

    async def _on_user(self, key: StreamKey, action: Action) -> Response:
        caller, body = await self._caller(), await _body()
        return self._do(
            key,
            Command(
                action=action,
                by=caller,
                user=body.text("user", ""),
                seat=body.integer("seat", 0),
                version=_version(body),
                key=body.text("key", ""),
            ),
        )

    def _do(self, key: StreamKey, command: Command) -> Response:
        events = self._rooms.command(key, command)
        version = self._rooms.find(key).room.state.version
        return json_answer({"version": version, "events": [event.view() for event in events]})

    async def _caller(self) -> Caller:
        """Who asks, by his token.

        Raises:
            Refused: UNAUTHORIZED, a token that is not valid; none is nobody, who may be allowed
                to look.
        """
        token = bearer()
        if not token:
            return Caller("")
        claims = await self._tokens.verify(token)
        return Caller.named(claims.sub, _shown_name(claims.info), claims.roles)

    def _key(self, app: str, room: str) -> StreamKey:
        known = self._apps.get(check_name(app))
        if known is None or not known.live:
            raise Refused(RefusalCode.NOT_FOUND, f"there is no application {app} for rooms")
        return StreamKey(app, check_room_name(room))

    def _other(self, app: str, name: str) -> StreamKey:
        """Another room, as app/room or as a room of the same application."""
        first, slash, second = name.partition("/")
        return self._key(first, second) if slash else self._key(app, first)


def _state(snapshot: bytes, status: int) -> Response:
    return Response(snapshot, status, content_type="application/json")


async def _body() -> Body:
    """The JSON object of the request; nothing at all is an empty one."""
    return await read_body() if await request.get_data() else Body({})


def _action(word: str, known: frozenset[str]) -> Action:
    if word not in known:
        raise Refused(RefusalCode.NOT_FOUND, f"there is no action {word[:20]!r} here")
    return Action(word)


def _seat(word: str) -> int:
    if word in _ANY_SEAT:
        return 0
    if not (word.isascii() and word.isdecimal() and 0 < len(word) < 5 and int(word)):
        raise Refused(RefusalCode.NOT_FOUND, "there is no such seat")
    return int(word)


def _version(body: Body) -> int | None:
    return body.integer("version", most=2**53) if "version" in body else None


def _shown_name(info: bytes) -> object:
    """The `name` of a token's `info`; None if there is none."""
    try:
        about = json.loads(info or b"{}")
    except (ValueError, RecursionError):
        return None
    return about.get("name") if isinstance(about, dict) else None
