"""/v1/rooms over HTTP: commands with the caller's token, the state, refusals as problems."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import jwt
import pytest
import trio
from kit.control import Parts, body_of, control
from kit.logs import lines
from kit.rooms import Ears
from kit.rooms import rooms as opened_rooms
from kit.rooms import site as media_site

from livetrio.access.gate import Gate
from livetrio.access.im_token import ImTokens
from livetrio.config import AccessConfig, Address, ImTokenConfig
from livetrio.control.openapi import openapi_document
from livetrio.control.public import public_app
from livetrio.control.rooms import RoomsRest
from livetrio.errors import RefusalCode, Refused

SECRET = "a secret of thirty-two characters"
ROOM = "/v1/rooms/live/talk"


def token(user: str, *roles: str, name: object = None, **claims: Any) -> str:
    about = {"info": {"name": name}} if name is not None else {}
    return jwt.encode({"sub": user, "roles": list(roles), **about, **claims}, SECRET)


def gate_of(parts: Parts) -> Gate:
    """Everybody may play what is live."""
    return Gate(parts.context.apps, AccessConfig(), parts.keys)


class Site:
    """The public face with rooms."""

    def __init__(self, app, rooms, ears: Ears, rest: RoomsRest) -> None:
        self.app, self.rooms, self.ears, self.rest = app, rooms, ears, rest

    async def ask(self, method: str, path: str, who: str = "", body: Any = None):
        """A request with a token; who: a user, or a whole token."""
        headers = {}
        if who:
            headers["Authorization"] = "Bearer " + (who if "." in who else token(who))
        data = body if isinstance(body, bytes) else json.dumps(body) if body is not None else None
        return await self.app.test_client().open(path, method=method, headers=headers, data=data)

    async def post(self, path: str, who: str = "", status: int = 200, **body: Any) -> Any:
        response = await self.ask("POST", path, who, body or None)
        assert response.status_code == status, await response.get_data()
        return await body_of(response)

    async def state(self, who: str = "anna") -> Any:
        return await body_of(await self.ask("GET", ROOM, who))


@asynccontextmanager
async def site(**config: Any) -> AsyncIterator[Site]:
    ears = Ears()
    async with control() as parts, opened_rooms(ears, **config) as rooms:
        tokens = ImTokens(ImTokenConfig(secret=SECRET))
        rest = RoomsRest(rooms, tokens, parts.context.apps, gate_of(parts))
        yield Site(public_app(parts.context, rest.operations()), rooms, ears, rest)


@asynccontextmanager
async def talk(kind: str = "voice", **config: Any) -> AsyncIterator[Site]:
    """With the room of anna in it."""
    async with site(**config) as on:
        await on.post("/v1/rooms", "anna", 201, room="talk", kind=kind)
        yield on


async def test_whoever_opens_a_room_is_its_owner() -> None:
    async with site() as on:
        asked = {"app": "live", "room": "talk", "kind": "video", "title": "<b>Hi</b>", "seats": 3}
        answer = await on.ask("POST", "/v1/rooms", token("anna", name="Anna <3"), asked)
        assert answer.status_code == 201
        assert answer.headers["Location"] == ROOM
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        state = await body_of(answer)
        assert state == await on.state("bob")
        assert state["owner"] == {"user": "anna", "name": "Anna <3"}
        assert state["title"] == "<b>Hi</b>"
        assert list(state["seats"]) == ["1", "2", "3"]
        assert state["speaking"] == []


async def test_a_guest_comes_to_a_seat_by_applying_and_by_invitation() -> None:
    async with talk("video") as on:
        done = await on.post(f"{ROOM}/applications", "bob", seat=3)
        assert done["version"] == 2
        assert done["events"][0]["type"] == "application.made"
        await on.post(f"{ROOM}/applications/admit", "anna", user="bob")
        await on.post(f"{ROOM}/invitations", "anna", user="carl", seat=2)
        await on.post(f"{ROOM}/invitations/accept", "carl")
        seats = (await on.state())["seats"]
        assert [seats[n].get("user") for n in "1234"] == ["anna", "carl", "bob", None]


async def test_seats_are_commanded_by_number_and_one_s_own_without_it() -> None:
    async with talk() as on:
        await on.post(f"{ROOM}/seats/any/take", "bob")
        await on.post(f"{ROOM}/seats/own/mute", "bob")
        await on.post(f"{ROOM}/seats/own/move", "bob", to=5)
        await on.post(f"{ROOM}/seats/5/mute", "anna", medium="camera")
        await on.post(f"{ROOM}/managers", "anna", user="carl")
        await on.post(f"{ROOM}/seats/2/lock", "carl")
        await on.post(f"{ROOM}/managers/dismiss", "anna", user="carl")
        state = await on.state()
        assert state["seats"]["5"]["microphone"] == "off"
        assert state["seats"]["5"]["camera"] == "off-by-manager"
        assert state["seats"]["2"]["state"] == "locked"
        await on.post(f"{ROOM}/seats/5/kick", "anna", user="bob", version=state["version"])


async def test_of_two_who_take_one_seat_one_hears_why_not() -> None:
    async with talk() as on:
        answers: list[tuple[int, Any]] = []

        async def take(who: str) -> None:
            answer = await on.ask("POST", f"{ROOM}/seats/2/take", who)
            answers.append((answer.status_code, await body_of(answer)))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(take, "bob")
            nursery.start_soon(take, "carl")
        (_, won), (status, lost) = sorted(answers, key=lambda answer: answer[0])
        assert status == 409
        assert lost["detail"] == "seat 2 is taken by somebody else"
        assert won["events"][0]["type"] == "seat.taken"


async def test_a_repeated_request_is_answered_as_the_first_time() -> None:
    async with talk() as on:
        first = await on.post(f"{ROOM}/seats/2/take", "bob", key="k")
        assert await on.post(f"{ROOM}/seats/2/take", "bob", key="k") == first
        await on.post(f"{ROOM}/seats/3/take", "bob", 409, key="k")


@pytest.mark.parametrize(
    ("method", "path", "who", "body", "status"),
    [
        ("POST", "/v1/rooms", "", {"room": "x"}, 401),
        ("POST", "/v1/rooms", "bob", {"room": "talk"}, 409),
        ("POST", "/v1/rooms", "bob", {"room": "a/b"}, 400),
        ("POST", "/v1/rooms", "bob", {"room": "x", "app": "none"}, 404),
        ("POST", "/v1/rooms", "bob", {"room": "x", "kind": "opera"}, 400),
        ("POST", "/v1/rooms", "bob", {"room": "x", "seats": 99}, 400),
        ("POST", "/v1/rooms", "bob", b"[", 400),
        ("POST", "/v1/rooms", "bob", {}, 400),
        ("GET", "/v1/rooms/live/none", "bob", None, 404),
        ("POST", "/v1/rooms/live/none/seats/1/take", "bob", None, 404),
        ("POST", f"{ROOM}/seats/2/take", "", None, 401),
        ("POST", f"{ROOM}/seats/2/take", "not.a.token", None, 401),
        ("POST", f"{ROOM}/seats/2/dance", "bob", None, 404),
        ("POST", f"{ROOM}/seats/2/apply", "bob", None, 404),
        ("POST", f"{ROOM}/seats/99/take", "bob", None, 404),
        ("POST", f"{ROOM}/seats/0/take", "bob", None, 404),
        ("POST", f"{ROOM}/seats/%D9%A3/take", "bob", None, 404),
        ("POST", f"{ROOM}/seats/2/take", "bob", b"{", 400),
        ("POST", f"{ROOM}/seats/2/take", "bob", {"version": "1"}, 400),
        ("POST", f"{ROOM}/seats/2/take", "bob", {"version": 77}, 409),
        ("POST", f"{ROOM}/seats/2/take", "bob", {"key": "x" * 200}, 400),
        ("POST", f"{ROOM}/seats/1/mute", "anna", {"medium": "hat"}, 400),
        ("POST", f"{ROOM}/seats/1/kick", "bob", None, 403),
        ("POST", f"{ROOM}/applications/admit", "anna", None, 400),
        ("POST", f"{ROOM}/applications/admit", "anna", {"user": "bob"}, 409),
        ("POST", f"{ROOM}/applications/admit", "anna", {"user": 5}, 400),
        ("POST", f"{ROOM}/invitations", "bob", {"user": "carl"}, 403),
        ("POST", f"{ROOM}/managers", "bob", {"user": "bob"}, 403),
        ("POST", f"{ROOM}/pk", "anna", {"with": "none", "seconds": 60}, 404),
        ("POST", f"{ROOM}/pk", "anna", {"with": "talk", "seconds": 60}, 400),
        ("POST", f"{ROOM}/pk", "bob", {"with": "talk", "seconds": 60}, 403),
        ("DELETE", f"{ROOM}/pk", "anna", None, 409),
        ("POST", f"{ROOM}/pk/score", "anna", {"points": 5, "key": "g"}, 403),
        ("DELETE", ROOM, "bob", None, 403),
    ],
)
async def test_refusals_are_problems_and_change_nothing(method, path, who, body, status) -> None:
    async with talk() as on:
        answer = await on.ask(method, path, who, body)
        assert answer.status_code == status, await answer.get_data()
        assert answer.content_type == "application/problem+json"
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        assert (await on.state())["version"] == 1


async def test_tokens_that_have_expired_or_are_of_another_key_are_refused() -> None:
    async with talk() as on:
        other = jwt.encode({"sub": "anna"}, "another secret of enough characters")
        for bad in (token("anna", exp=1), other, token("a\nb"), token("x" * 200)):
            assert (await on.ask("GET", ROOM, bad)).status_code == 401


async def test_whoever_may_play_a_room_may_know_its_state_and_do_nothing() -> None:
    async with talk() as on:
        assert (await on.ask("GET", ROOM)).status_code == 200
        assert (await on.ask("GET", "/v1/rooms/live/none")).status_code == 404
        await on.post(f"{ROOM}/seats/2/take", "", 401)


async def test_whoever_may_not_play_a_room_may_not_know_its_state() -> None:
    class Closed(Gate):
        async def may_play(self, app, name, query, peer):
            raise Refused(RefusalCode.FORBIDDEN, "not you")

    async with control() as parts, opened_rooms() as rooms:
        gate = Closed(parts.context.apps, AccessConfig(), parts.keys)
        rest = RoomsRest(rooms, ImTokens(ImTokenConfig(secret=SECRET)), parts.context.apps, gate)
        on = Site(public_app(parts.context, rest.operations()), rooms, Ears(), rest)
        await on.post("/v1/rooms", "anna", 201, room="talk")
        assert (await on.ask("GET", ROOM)).status_code == 403
        assert (await on.ask("GET", ROOM, "bob")).status_code == 200


async def test_rooms_are_opened_by_hosts_only_unless_configured() -> None:
    async with site(create="host") as on:
        await on.post("/v1/rooms", "anna", 403, room="talk")
        await on.post("/v1/rooms", token("anna", "host"), 201, room="talk")


async def test_a_pk_is_agreed_scored_and_ended() -> None:
    async with talk() as on:
        await on.post("/v1/rooms", "zoe", 201, room="other")
        asked = await on.post(f"{ROOM}/pk", "anna", **{"with": "other", "seconds": 60})
        assert [event["type"] for event in asked["events"]] == ["pk.asked"]
        assert asked["events"][0]["version"] == asked["version"] == 2
        other = "/v1/rooms/live/other"
        begun = await on.post(f"{other}/pk", "zoe", **{"with": "live/talk", "seconds": 1})
        (pk,) = [e["changes"]["pk"] for e in begun["events"] if e["type"] == "pk.began"]
        assert (pk["phase"], pk["seconds"]) == ("running", 60)
        site = token("back end", "admin")
        for _ in range(2):
            await on.post(f"{ROOM}/pk/score", site, points=9, key="gift 1")
        scored = await on.post(f"{ROOM}/pk/score", site, less=2, key="gift 2")
        assert scored["scores"] == {"live/talk": 7, "live/other": 0}
        assert (await on.ask("DELETE", f"{ROOM}/pk", "anna")).status_code == 200
        assert "pk" not in await on.state()
        await on.post(f"{ROOM}/pk", "anna", **{"with": "other", "seconds": 60})
        declined = await on.ask("DELETE", f"{other}/pk?with=talk", "zoe")
        assert declined.status_code == 200
        assert "pk" not in await on.state()


async def test_a_repeated_pk_request_is_answered_as_the_first_time() -> None:
    async with talk() as on:
        await on.post("/v1/rooms", "zoe", 201, room="other")
        wish = {"with": "other", "seconds": 60, "key": "k"}
        first = await on.post(f"{ROOM}/pk", "anna", **wish)
        assert (await on.post(f"{ROOM}/pk", "anna", **wish))["events"] == first["events"]
        for query, status in (
            ("version=1", 409), ("version=x", 400), (f"key={'x' * 200}", 400),
            ("version=2&key=e", 200), ("version=2&key=e", 200), ("", 409),
        ):  # fmt: skip
            answer = await on.ask("DELETE", f"{ROOM}/pk?{query}", "anna")
            assert answer.status_code == status, query


async def test_who_waits_for_a_room_does_not_fill_the_log(caplog) -> None:
    with caplog.at_level(logging.DEBUG, "livetrio"):
        async with site() as on:
            await on.ask("GET", ROOM, "bob")
            await on.ask("POST", f"{ROOM}/seats/1/take", "bob")
    refused = [line for line in lines(caplog, at_least=0) if line.event == "request refused"]
    assert [line.level for line in refused] == [logging.DEBUG, logging.INFO]


async def test_the_end_of_a_room_answers_when_all_of_it_is_gone() -> None:
    async with talk() as on:
        answer = await on.ask("DELETE", ROOM, "anna")
        ended = (await body_of(answer))["ended"]
        assert (ended["scopes"], ended["tasks"]) == (2, 3)  # its feed and its levels
        assert len(on.rooms) == 0
        assert on.ears.types()[-1] == "room.ended"
        assert (await on.ask("DELETE", ROOM, "anna")).status_code == 404


async def test_pages_of_other_sites_may_ask() -> None:
    async with talk() as on:
        for path in ("/v1/rooms", ROOM, f"{ROOM}/seats/1/take", f"{ROOM}/pk/score"):
            answer = await on.ask("OPTIONS", path)
            assert answer.status_code == 204
            assert "Authorization" in answer.headers["Access-Control-Allow-Headers"]
            assert "DELETE" in answer.headers["Access-Control-Allow-Methods"]


async def test_what_is_served_can_be_described() -> None:
    async with site() as on:
        described = openapi_document(on.rest.operations())
        assert described["paths"]["/v1/rooms/{app}/{room}/seats/{seat}/{action}"]["post"]
        ids = [o["operationId"] for item in described["paths"].values() for o in item.values()]
        assert len(ids) == len(set(ids))


async def test_staff_lay_out_the_composed_picture_and_set_gains() -> None:
    async with talk("video") as on:
        wish = {"layout": "custom", "rectangles": {"2": [0, 0.5, 0.5, 0.5, 1]}}
        done = await on.ask("PUT", f"{ROOM}/layout", "anna", wish)
        assert done.status_code == 200
        assert (await body_of(done))["events"][0]["type"] == "room.layout"
        layout = {**wish, "background": "#101418"}
        assert (await on.state())["layout"] == layout
        assert on.ears.state()["layout"] == layout
        again = await body_of(await on.ask("PUT", f"{ROOM}/layout", "anna", wish))
        assert again["events"] == []
        done = await on.ask("PUT", f"{ROOM}/seats/1/gain", "anna", {"gain": 0.5})
        assert (await body_of(done))["events"][0]["seat"] == 1
        assert (await on.state())["seats"]["1"]["gain"] == 0.5
        await on.ask("PUT", f"{ROOM}/seats/1/gain", "anna", {"gain": 1})
        assert "gain" not in (await on.state())["seats"]["1"]
        assert on.ears.state() == {
            name: value for name, value in (await on.state()).items() if name != "speaking"
        }


@pytest.mark.parametrize(
    ("path", "who", "body", "status"),
    [
        ("layout", "bob", {"layout": "grid"}, 403),
        ("layout", "", {"layout": "grid"}, 401),
        ("layout", "anna", {"layout": "opera"}, 400),
        ("layout", "anna", {"background": "red; x"}, 400),
        ("layout", "anna", {"rectangles": {"99": [0, 0, 1, 1]}}, 400),
        ("layout", "anna", {"rectangles": {"1": [0, 0, 1]}}, 400),
        ("layout", "anna", {"rectangles": {"1": [0, 0, 1, "1"]}}, 400),
        ("layout", "anna", {"rectangles": {"1": [0, 0, 1, True]}}, 400),
        ("layout", "anna", {"rectangles": {"1": [0, 0, 0, 1]}}, 400),
        ("layout", "anna", {"rectangles": {"1": [-1, 0, 1, 1]}}, 400),
        ("layout", "anna", {"rectangles": {"1": [0, 0, 1, 1, 0.5]}}, 400),
        ("layout", "anna", b'{"rectangles": {"1": [0, 0, 1, NaN]}}', 400),
        ("layout", "anna", {"rectangles": {"1": 3}}, 400),
        ("seats/1/gain", "bob", {"gain": 1}, 403),
        ("seats/1/gain", "anna", {"gain": 4.5}, 400),
        ("seats/1/gain", "anna", {"gain": -1}, 400),
        ("seats/1/gain", "anna", {"gain": "loud"}, 400),
        ("seats/1/gain", "anna", {}, 400),
        ("seats/3/gain", "anna", {"gain": 2}, 409),
        ("seats/99/gain", "anna", {"gain": 2}, 404),
        ("seats/1/gain", "anna", {"gain": 2, "user": "bob"}, 409),
    ],
)
async def test_layouts_and_gains_that_cannot_be(
    path: str, who: str, body: Any, status: int
) -> None:
    async with talk("video") as on:
        before = await on.state()
        assert (await on.ask("PUT", f"{ROOM}/{path}", who, body)).status_code == status
        assert await on.state() == before


async def test_a_voice_room_has_no_layout_and_who_has_no_seat_no_key() -> None:
    async with talk() as on:
        assert (await on.ask("PUT", f"{ROOM}/layout", "anna", {})).status_code == 400
        assert (await on.ask("POST", f"{ROOM}/seats/own/key", "bob")).status_code == 403
        assert (await on.ask("POST", f"{ROOM}/seats/own/key", "anna")).status_code == 200


async def test_a_seat_s_key_comes_with_all_that_obs_has_to_know() -> None:
    async with control() as parts, media_site() as media:
        rest = RoomsRest(
            media.rooms,
            ImTokens(ImTokenConfig(secret=SECRET)),
            parts.context.apps,
            gate_of(parts),
            rtmp=Address("0.0.0.0", 1935),
        )
        on = Site(public_app(parts.context, rest.operations()), media.rooms, Ears(), rest)
        await media.opened()
        told = await on.post(f"{ROOM}/seats/own/key", "anna")
        secret = told["bearer"]
        assert told == {
            "version": 1,
            "events": [],
            "seat": 1,
            "server": "rtmp://localhost:1935/live",
            "key": f"talk/1?key={secret}",
            "whip": "/live/talk/1/whip",
            "bearer": secret,
            "mix_minus": f"/live/talk~1?key={secret}",
        }
        place = media.seats.find("live", "talk/1")
        assert await media.seats.holder(place, {"key": secret}) == "anna"
        await media.publish("talk/1", "anna")
        ended = (await body_of(await on.ask("DELETE", ROOM, "anna")))["ended"]
        assert (ended["streams"], ended["clients"], ended["processes"]) == (1, 1, 0)
        assert ended["milliseconds"] < 1000
