"""A whole room over one session: HTTP, negotiation, presence, and the end of it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field

import jwt
import pytest
import trio
from kit.control import body_of, control
from kit.fake_engine import OFFER, FakeEngine, FakeRenditions, GateKeys
from kit.slots import ROOM
from kit.webrtc_fakes import numbers

from livetrio.access.bearer import BearerGate
from livetrio.access.gate import Gate
from livetrio.access.im_token import ImTokens
from livetrio.config import AccessConfig, AppConfig, ImTokenConfig, TurnConfig
from livetrio.control.public import public_app
from livetrio.control.room_whep import RoomWhep
from livetrio.control.signalling import Signalling
from livetrio.errors import RefusalCode, Refused
from livetrio.net.beat import Beat
from livetrio.net.scope import Scope, open_scope
from livetrio.webrtc.aio.engine import AiortcEngine
from livetrio.webrtc.editions import Editions
from livetrio.webrtc.player import Players
from livetrio.webrtc.sessions import Sessions, open_sessions
from livetrio.webrtc.slots.room_feed import RoomFeed
from livetrio.webrtc.turn import Turn

SECRET = "a secret of thirty-two characters"
WHEP = "/v1/rooms/live/party/whep"
SDP = {"Content-Type": "application/sdp"}


def token(user: str) -> str:
    return jwt.encode({"sub": user}, SECRET)


@dataclass
class FakeMeeting:
    key: object
    feed: RoomFeed
    scope: Scope
    present: list[str] = field(default_factory=list)

    @contextmanager
    def attended(self, user):
        self.present.append(user)
        try:
            yield
        finally:
            self.present.remove(user)


@dataclass
class Site:
    app: object
    sessions: Sessions
    engine: FakeEngine
    meeting: FakeMeeting
    registry: object

    async def ask(self, method, path, *, who="", data=b"", headers=None):
        headers = {**(headers or {})}
        if who:
            headers["Authorization"] = f"Bearer {token(who)}"
        return await self.app.test_client().open(path, method=method, data=data, headers=headers)

    async def join(self, who="", data=OFFER):
        return await self.ask("POST", WHEP, who=who, data=data, headers=SDP)


@asynccontextmanager
async def site(*, engine=None, live=True, turn=None) -> AsyncIterator[Site]:
    async with control() as parts, open_scope("room", "live/party") as scope:
        registry = parts.context.registry
        feed = RoomFeed(
            ROOM, registry, Editions(FakeRenditions()), Players(numbers()),
            video=2, audio=2, voices=2, bits=numbers(2),
        )  # fmt: skip
        scope.nursery.start_soon(feed.run)
        meeting = FakeMeeting(ROOM, feed, scope)

        class Meetings:
            def meeting(self, key):
                if key != ROOM:
                    raise Refused(RefusalCode.NOT_FOUND, f"there is no room {key}")
                return meeting

        apps = {"live": AppConfig(name="live", live=live)}
        gate = BearerGate(Gate(apps, AccessConfig(), GateKeys()), apps)
        engine = engine or FakeEngine()
        async with open_sessions(
            engine, registry, gate, Editions(FakeRenditions()), connect_timeout=2
        ) as sessions:
            signalling = Signalling(sessions, Turn(turn or TurnConfig()))
            rooms = RoomWhep(signalling, Meetings(), ImTokens(ImTokenConfig(secret=SECRET)))
            app = public_app(parts.context, rooms.operations())
            yield Site(app, sessions, engine, meeting, registry)
            scope.cancel("enough")


async def until(condition) -> None:
    with trio.fail_after(5):
        while not condition():  # noqa: ASYNC110
            await trio.sleep(0.001)


async def test_whoever_shows_who_he_is_receives_the_room_as_that_user() -> None:
    async with site() as on:
        created = await on.join("anna")
        assert created.status_code == 201
        location = created.headers["Location"]
        assert location.startswith(f"{WHEP}/")
        assert created.headers["ETag"]
        assert "layer" not in created.headers.get("Link", "")
        assert await created.get_data() == b"v=0 answer"
        (link,) = on.engine.links
        assert link.user == "anna"
        assert on.meeting.present == []
        link.connect()
        await until(lambda: on.meeting.present == ["anna"])
        ((key, client),) = on.registry.clients()
        assert (key, client.role, client.protocol, client.user) == (ROOM, "player", "whep", "anna")
        gone = await on.ask("DELETE", location, who="anna")
        assert gone.status_code == 200
        assert on.meeting.present == []
        assert list(on.registry.clients()) == []
        assert len(on.sessions) == 0


async def test_without_a_token_he_is_an_anonymous_viewer_where_the_application_lets_him() -> None:
    async with site() as on:
        assert (await on.join()).status_code == 201
        on.engine.links[0].connect()
        await on.engine.links[0].running.wait()
        assert (on.engine.links[0].user, on.meeting.present) == ("", [])
    async with site(live=False) as on:
        assert (await on.join()).status_code == 403
        assert len(on.sessions) == 0


async def test_a_broken_token_is_refused_and_not_taken_for_none() -> None:
    async with site() as on:
        headers = {**SDP, "Authorization": "Bearer abc.def.ghi"}
        refused = await on.ask("POST", WHEP, data=OFFER, headers=headers)
        assert refused.status_code == 401
        assert len(on.sessions) == 0


@pytest.mark.parametrize(
    ("path", "data", "headers", "status"),
    [
        (WHEP, b"broken offer", SDP, 400),
        (WHEP, b"exotic offer", SDP, 406),
        (WHEP, b"an offer", {"Content-Type": "text/plain"}, 415),
        (WHEP, b"\xff\xfe", SDP, 400),
        ("/v1/rooms/live/nowhere/whep", b"v=0", SDP, 404),
    ],
)
async def test_what_cannot_be_is_refused_with_a_reason(path, data, headers, status) -> None:
    async with site() as on:
        answer = await on.ask("POST", path, who="anna", data=data, headers=headers)
        assert answer.status_code == status
        assert len(on.sessions) == 0


async def test_nothing_in_the_body_asks_the_server_to_offer() -> None:
    async with site() as on:
        created = await on.ask("POST", WHEP, who="anna")
        assert created.status_code == 201
        assert await created.get_data() == b"v=0 our offer"
        answered = await on.ask(
            "PATCH", created.headers["Location"], who="anna", data=b"v=0 my answer", headers=SDP
        )
        assert answered.status_code == 204
        assert on.engine.links[0].answers == ["v=0 my answer"]


async def test_wishes_go_to_the_session_and_only_with_its_token() -> None:
    async with site() as on:
        slots = (await on.join("anna")).headers["Location"] + "/slots"
        body = json.dumps({"slots": {"0": "high", "1": "off"}})
        assert (await on.ask("POST", slots, who="bob", data=body)).status_code == 401
        assert (await on.ask("POST", slots, who="anna", data=body)).status_code == 200
        assert on.engine.links[0].wishes == [{0: "high", 1: "off"}]
        for wrong in (
            "", "[]", "{}", '{"slots": []}', '{"slots": {"a": "high"}}', '{"slots": {"0": 1}}',
            '{"slots": {"-1": "high"}}', '{"slots": {"1234567": "high"}}', "[" * 20_000,
            json.dumps({"slots": {str(n): "off" for n in range(100)}}),
        ):  # fmt: skip
            refused = await on.ask("POST", slots, who="anna", data=wrong)
            assert refused.status_code == 400, wrong[:40]
            assert (await body_of(refused))["status"] == 400
        elsewhere = slots.replace("party", "other")
        assert (await on.ask("POST", elsewhere, who="anna", data=body)).status_code == 404
        assert len(on.engine.links[0].wishes) == 1


async def test_the_end_of_the_room_ends_its_sessions_connected_or_not() -> None:
    async with site() as on:
        await on.join("anna")
        await on.join("bob")
        on.engine.links[0].connect()
        await until(lambda: on.meeting.present == ["anna"])
        on.meeting.scope.cancel("the room was closed")
        await on.meeting.feed.done.wait()
        await until(lambda: not len(on.sessions))
        assert {link.scope.reason for link in on.engine.links} <= {"", "room live/party has ended"}
        assert on.meeting.present == []
        assert list(on.registry.clients()) == []
        refused = await on.join("anna")
        assert refused.status_code == 410


async def test_a_session_that_never_connects_is_forgotten() -> None:
    async with site() as on:
        await on.join("anna")
        await until(lambda: not len(on.sessions))
        assert list(on.registry.clients()) == []


async def test_an_operator_ends_a_session_of_a_room_like_any_client() -> None:
    async with site() as on:
        await on.join("anna")
        on.engine.links[0].connect()
        await until(lambda: on.meeting.present == ["anna"])
        ((_, client),) = on.registry.clients()
        ended = await on.registry.end_client(client.id, "kicked")
        assert ended is not None
        assert (on.meeting.present, len(on.sessions)) == ([], 0)


async def test_ice_servers_are_told_to_who_shows_who_he_is() -> None:
    turn = TurnConfig(urls=("turn:turn.example.com",), secret="s")
    async with site(turn=turn) as on:
        told = await on.ask("OPTIONS", WHEP, who="anna")
        assert "turn:turn.example.com" in told.headers["Link"]
        assert "POST" in told.headers["Access-Control-Allow-Methods"]
        assert "Link" not in (await on.ask("OPTIONS", WHEP)).headers
        assert "turn:turn.example.com" in (await on.join("anna")).headers["Link"]


async def test_the_aiortc_engine_refuses_rooms() -> None:
    async with site(engine=AiortcEngine(Beat())) as on:
        refused = await on.join("anna")
        assert refused.status_code == 503
        assert "no rooms" in json.dumps(await body_of(refused))
