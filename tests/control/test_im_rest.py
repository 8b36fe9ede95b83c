"""/v1/im: sending, rooms, members, history and counts, over a hub of listeners in the test."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
from kit.control import body_of, control
from kit.im import Listener

from livetrio.control.im_rest import ImRest
from livetrio.control.operator import operator_app
from livetrio.im.hub import Hub, open_hub
from livetrio.im.options import ChannelOptions, Namespaces
from livetrio.im.words import Goodbye

pytestmark = pytest.mark.usefixtures("autojump_clock")

ROOM = "room:live/a b"
PATH = "room:live%2Fa%20b"


@dataclass
class Desk:
    """The operator's application and the hub behind it."""

    hub: Hub
    client: object

    async def get(self, path: str, status: int = 200):
        return await self._answer(await self.client.get(path), status)

    async def post(self, path: str, status: int = 200, **body: object):
        return await self._answer(await self.client.post(path, json=body), status)

    async def delete(self, path: str, status: int = 200):
        return await self._answer(await self.client.delete(path), status)

    async def _answer(self, response, status):
        assert response.status_code == status, await response.get_data()
        return await body_of(response)


@asynccontextmanager
async def desk() -> AsyncIterator[Desk]:
    live = Namespaces([("room:*", ChannelOptions(live=True))])
    async with control() as parts, open_hub(namespaces=live) as hub:
        app = operator_app(parts.context, ImRest(hub).operations())
        yield Desk(hub, app.test_client())


async def test_a_message_to_a_room_is_numbered_remembered_and_heard() -> None:
    async with desk() as at:
        alice = Listener("c1", "alice")
        with at.hub.present(alice):
            await at.hub.join(alice, ROOM)
            sent = await at.post("/v1/im/send", room=ROOM, data={"text": "你好"}, id="k")
            again = await at.post("/v1/im/send", room=ROOM, data={"text": "other"}, id="k")
            history = await at.get(f"/v1/im/history?room={PATH}")
            told = await at.get(f"/v1/im/history?room={PATH}&limit=0")
    assert sent == again == history["position"] == told["position"]
    assert sent["offset"] == 1
    assert told["items"] == []
    assert alice.said == ['{"text":"你好"}']
    (item,) = history["items"]
    assert (item["offset"], item["data"], item["lane"]) == (1, {"text": "你好"}, "P0")
    assert "sender" not in item


async def test_bytes_that_are_no_json_go_in_and_out_in_base64() -> None:
    async with desk() as at:
        raw = base64.b64encode(b"\xff\x00").decode()
        await at.post("/v1/im/send", room=ROOM, b64data=raw)
        (item,) = (await at.get(f"/v1/im/history?room={PATH}"))["items"]
        assert item["b64data"] == raw
        await at.post("/v1/im/send", 400, room=ROOM, b64data="!!")


async def test_a_back_end_speaks_for_a_user_under_the_rooms_rules() -> None:
    async with desk() as at:
        said = {"room": ROOM, "as": {"user": "bob", "info": {"name": "Bob"}}}
        await at.post("/v1/im/send", **said, data="one")
        await at.post("/v1/im/mutes", room=ROOM, user="bob")
        refused = await at.post("/v1/im/send", 403, **said, data="two")
        (item,) = (await at.get(f"/v1/im/history?room={PATH}"))["items"]
    assert refused["detail"] == "muted"
    assert item["sender"] == {"user": "bob", "client": "", "device": "", "info": {"name": "Bob"}}
    assert item["lane"] == "P1"


async def test_users_and_connections_are_sent_to_directly() -> None:
    async with desk() as at:
        phone, desktop, other = Listener("c1", "u"), Listener("c2", "u"), Listener("c3", "v")
        with at.hub.present(phone), at.hub.present(desktop), at.hub.present(other):
            assert await at.post("/v1/im/send", user="u", data=1) == {"told": 2}
            assert await at.post("/v1/im/send", client="c3", data=2) == {"told": 1}
            assert await at.post("/v1/im/send", user="nobody", data=3) == {"told": 0}
            assert await at.post("/v1/im/broadcast", data=4) == {"told": 3}
    heard = [[line["direct"] for line in one.heard] for one in (phone, desktop, other)]
    assert heard == [["1", "4"], ["1", "4"], ["2", "4"]]


async def test_a_broadcast_to_rooms_tells_of_each_what_became_of_it() -> None:
    async with desk() as at:
        told = await at.post("/v1/im/broadcast", rooms=["a", "b\n"], data="x")
    good, bad = told["results"]
    assert (good["room"], good["offset"]) == ("a", 1)
    assert bad == {"room": "b\n", "error": "a channel's name has invisible characters"}


async def test_rooms_members_and_counts_are_told() -> None:
    async with desk() as at:
        alice = Listener("c1", "alice", ip="192.0.2.1", device="phone", roles=["moderator"])
        twice = Listener("c2", "alice")
        with at.hub.present(alice), at.hub.present(twice):
            await at.hub.join(alice, ROOM)
            await at.hub.join(twice, ROOM)
            await at.hub.join(alice, "other")
            rooms = await at.get("/v1/im/rooms")
            some = await at.get("/v1/im/rooms?prefix=room:")
            room = await at.get(f"/v1/im/rooms/{PATH}")
            everybody = await at.get("/v1/im/members")
            here = await at.get("/v1/im/members?room=other")
            mine = await at.get("/v1/im/members?user=alice&room=other")
            counts = await at.get(f"/v1/im/online?room={PATH}&room=none")
        nobody = await at.get("/v1/im/members?room=none")
    assert [(r["room"], r["clients"], r["live"]) for r in rooms["items"]] == [
        (ROOM, 2, True),
        ("other", 1, False),
    ]
    assert [r["room"] for r in some["items"]] == [ROOM]
    assert room["online"] == {"clients": 2, "users": 1}
    assert everybody["total"] == 2
    assert here == mine
    assert here["items"] == [
        {
            "user": "alice",
            "client": "c1",
            "device": "phone",
            "ip": "192.0.2.1",
            "roles": ["moderator"],
            "protocol": "lines",
            "rooms": [ROOM, "other"],
            "queued": 0,
        }
    ]
    assert nobody["items"] == []
    assert counts == {
        "clients": 2,
        "users": 1,
        "channels": 2,
        "rooms": {ROOM: {"clients": 2, "users": 1}, "none": {"clients": 0, "users": 0}},
    }


async def test_history_is_paged_from_a_position_and_can_be_forgotten() -> None:
    async with desk() as at:
        for number in range(5):
            await at.post("/v1/im/send", room="r", data=number)

        async def numbers(query: str, status: int = 200):
            found = await at.get(f"/v1/im/history?room=r&{query}", status)
            return [item["data"] for item in found.get("items", [])]

        assert await numbers("since=2&limit=2") == [2, 3]
        assert await numbers("reverse=1&limit=2") == [4, 3]
        assert await numbers("reverse=1&since=3") == [1, 0]
        await numbers("since=1&epoch=another", 410)
        await numbers("limit=-1", 400)
        assert await at.delete("/v1/im/history?room=r") == {}
        assert await numbers("") == []
        assert (await at.get("/v1/im/history?room=r"))["position"]["offset"] == 5


async def test_a_kicked_user_is_told_goodbye_or_leaves_one_room() -> None:
    async with desk() as at:
        alice = Listener("c1", "alice")
        with at.hub.present(alice):
            await at.hub.join(alice, ROOM)
            assert await at.post("/v1/im/kick", user="alice", room=ROOM) == {"kicked": 1}
            assert alice.removed == [(ROOM, 2000, "server unsubscribe")]
            assert not alice.goodbyes
            assert await at.post("/v1/im/kick", client="c1", reason="why") == {"kicked": 1}
            assert alice.goodbyes == [(Goodbye.KICKED, "why")]
        assert await at.post("/v1/im/kick", user="alice") == {"kicked": 0}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("send", {"data": 1}),
        ("send", {"room": "a", "user": "b", "data": 1}),
        ("send", {"room": "a"}),
        ("send", {"room": ["a"], "data": 1}),
        ("send", {"room": "a" * 256, "data": 1}),
        ("send", {"room": "a\x00b", "data": 1}),
        ("send", {"room": "a", "data": 1, "lane": "P9"}),
        ("send", {"room": "a", "data": 1, "op": -1}),
        ("send", {"room": "a", "data": 1, "op": True}),
        ("send", {"room": "a", "data": 1, "tags": {"a": 1}}),
        ("send", {"room": "a", "data": 1, "as": "bob"}),
        ("send", {"room": "a", "data": 1, "as": {}}),
        ("send", {"room": "a", "data": 1, "skip_history": "yes"}),
        ("broadcast", {"rooms": "a", "data": 1}),
        ("broadcast", {"rooms": [""], "data": 1}),
        ("kick", {}),
        ("kick", {"user": 7}),
        ("bans", {"room": "a"}),
        ("bans", {"user": "a", "ip": "192.0.2.1"}),
        ("mutes", {"user": "a", "seconds": 0}),
        ("mutes", {"user": "a", "seconds": True}),
        ("mutes", {"user": "a", "room": "b\u202e"}),
        ("words", {"words": {"a": "burn"}}),
        ("words", {"words": ["a"]}),
        ("words", {"words": {"\u200b": "block"}}),
        ("rules/r", {"rate": -1}),
        ("rules/r", {"rate": "2"}),
        ("rules/r", {"quiet": 1}),
        ("rules/r", {"nonsense": 1}),
        ("rules/r", {"weights": {"vip": "x"}}),
        ("rules/r", {"owners": "alice"}),
        ("rules/r", {"burst": 0}),
    ],
)
async def test_what_cannot_be_used_is_a_problem_and_changes_nothing(path: str, body) -> None:
    async with desk() as at:
        before = await at.get("/v1/im/rules/r")
        about = await at.post(f"/v1/im/{path}", 400, **body)
        assert about["status"] == 400
        assert about["detail"]
        assert len(at.hub.moderation) == 0
        assert not at.hub.word_filter.words
        assert await at.get("/v1/im/rules/r") == before


@pytest.mark.parametrize(
    "body", [b"", b"[1]", b"{", b"[" * 100_000, b'{"a": NaN', b"\xff\xfe", b'"text"']
)
async def test_a_body_that_is_no_object_is_a_problem(body: bytes) -> None:
    async with desk() as at:
        headers = {"Content-Type": "application/json"}
        response = await at.client.post("/v1/im/send", data=body[:60_000], headers=headers)
        assert response.status_code == 400
        nan = b'{"room": "a", "data": NaN}'
        response = await at.client.post("/v1/im/send", data=nan, headers=headers)
        assert response.status_code == 400


async def test_every_operation_is_described_with_the_answers_it_gives() -> None:
    async with desk() as at:
        paths = (await at.get("/openapi.json"))["paths"]
        ours = {path: item for path, item in paths.items() if path.startswith("/v1/im/")}
        assert len(ours) == 12
        for path, item in ours.items():
            for method, operation in item.items():
                kinds = operation.get("requestBody", {}).get("content", {})
                assert list(kinds) == (["application/json"] if kinds else [])
                response = await at.client.open(path.replace("{name}", "x"), method=method.upper())
                assert str(response.status_code) in operation["responses"], (method, path)
