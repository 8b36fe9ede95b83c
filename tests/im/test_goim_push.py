"""goim's HTTP push API: its shapes byte for byte, and who is reached."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
from kit.goim import Goim, goim
from kit.http import HttpClient, Response, http_client, serving
from kit.node import patiently

from livetrio.control.goim_api import goim_operations
from livetrio.control.operator import bare_app
from livetrio.control.table import register
from livetrio.im.goim_api import METHODS, GoimApi
from livetrio.im.goim_http import MAX_KEYS, goim_api_routes
from livetrio.im.goim_nodes import GoimNode
from livetrio.im.goim_push import GoimPush

OK = b'{"code":0,"message":""}'
JSON = "application/json; charset=utf-8"


class BackEnd:
    """A back end on one connection to the push port."""

    def __init__(self, client: HttpClient) -> None:
        self._client = client

    async def post(self, target: str, body: bytes = b"hello") -> Response:
        await self._client.ask(target, "POST", Content_Length=str(len(body)))
        await self._client.send(body)
        return await self._client.response()

    async def raw(self, head: bytes) -> None:
        await self._client.send(head)

    async def whole(self) -> Response:
        return await self._client.response()

    async def head(self) -> Response:
        return await self._client.head()

    async def get(self, target: str) -> Response:
        await self._client.ask(target)
        return await self._client.response()


@asynccontextmanager
async def served(**policy) -> AsyncIterator[tuple[Goim, BackEnd]]:
    async with goim(**policy) as here, trio.open_nursery() as nursery:
        push = GoimPush(here.hub)
        nursery.start_soon(push.run)
        api = GoimApi(push, GoimNode(domain="im.example", tcp_port=3101, ws_port=3102))
        async with (
            serving(*goim_api_routes(api, names=["im.example"]), max_query_fields=MAX_KEYS) as port,
            http_client(port) as client,
        ):
            yield here, BackEnd(client)
        nursery.cancel_scope.cancel()


async def test_a_push_to_keys_reaches_those_keys_that_accept_it():
    async with served() as (here, back_end), here.tcp() as one, here.ws() as two, here.ws() as no:
        await one.auth(mid=1, key="a", accepts=[1000])
        await two.auth(mid=2, key="b b", accepts=[1000])
        await no.auth(mid=3, key="c", accepts=[1001])
        target = "/goim/push/keys?operation=1000&keys=a&keys=b%20b&keys=c&keys=unknown&keys=a"
        response = await back_end.post(target, b"\x00any bytes")
        assert (response.status, response.body) == (200, OK)
        assert response.headers["content-type"] == JSON
        assert await one.frame() == (1, 1000, 0, b"\x00any bytes")
        assert await two.frame() == (1, 1000, 0, b"\x00any bytes")
        assert await no.beat() == 0
        assert await one.beat() == 0


async def test_a_push_to_users_reaches_all_their_connections():
    async with served() as (here, back_end), here.tcp() as one, here.ws() as two, here.tcp() as no:
        await one.auth(mid=7, accepts=[5000])
        await two.auth(mid=7, accepts=[5000])
        await no.auth(mid=8, accepts=[5000])
        assert (await back_end.post("/goim/push/mids?operation=5000&mids=7&mids=0")).body == OK
        assert [(await client.frame()).body for client in (one, two)] == [b"hello"] * 2
        assert await no.beat() == 0


async def test_a_push_to_a_room_reaches_everybody_in_it_whatever_they_accept():
    async with served() as (here, back_end), here.tcp() as one, here.ws() as two, here.tcp() as no:
        await one.auth(mid=1, room_id="live://1000")
        await two.auth(mid=2, room_id="live://1000", accepts=[1])
        await no.auth(mid=3, room_id="live://1001")
        target = "/goim/push/room?operation=1000&type=live&room=1000"
        assert (await back_end.post(target)).body == OK
        assert [(await client.frame()).op for client in (one, two)] == [1000] * 2
        assert await no.beat() == 1


async def test_a_push_to_all_asks_what_they_accept_and_keeps_its_speed(autojump_clock):
    patiently(autojump_clock)
    async with served() as (here, back_end):
        async with here.tcp() as one, here.ws() as two, here.tcp() as no:
            await one.auth(mid=1, accepts=[1000])
            await two.auth(mid=2, accepts=[1000])
            await no.auth(mid=3)
            for target in ("operation=1000", "operation=1000&speed=1", "operation=1000&speed=-1"):
                assert (await back_end.post(f"/goim/push/all?{target}")).body == OK
            assert [(await client.frame()).op for client in (one, two)] == [1000] * 2
            with trio.fail_after(20):
                for client in (one, two):
                    assert [(await client.frame()).op for _ in range(2)] == [1000] * 2
            assert await no.beat() == 0


BAD = {
    "push/room": "Key: 'Op' Error:Field validation for 'Op' failed on the 'required' tag",
    "push/room?operation=0&type=a&room=b": "Key: 'Op' Error:Field validation for 'Op' failed on "
    "the 'required' tag",
    "push/room?operation=1&room=b": "Key: 'Type' Error:Field validation for 'Type' failed on the "
    "'required' tag",
    "push/all": "Key: 'Op' Error:Field validation for 'Op' failed on the 'required' tag",
    "push/keys?operation=x&keys=a": 'strconv.ParseInt: parsing "x": invalid syntax',
    "push/keys?operation=2147483648": 'strconv.ParseInt: parsing "2147483648": value out of range',
    "push/mids?operation=1&mids=1&mids=b": 'strconv.ParseInt: parsing "b": invalid syntax',
    "push/all?operation=1&speed=\u0661": 'strconv.ParseInt: parsing "\u0661": invalid syntax',
}


@pytest.mark.parametrize("target", BAD)
async def test_a_failed_bind_is_gins_400_with_goims_code(target: str):
    async with served() as (_, back_end):
        response = await back_end.post(f"/goim/{target}".replace("\u0661", "%D9%A1"))
        assert response.status == 400
        assert response.headers["content-type"].startswith("text/plain")
        assert json.loads(response.body) == {"code": -400, "message": BAD[target]}


async def test_what_the_hub_refuses_is_goims_500_in_a_200():
    async with served() as (_, back_end):
        response = await back_end.post("/goim/push/room?operation=1&type=a&room=b%0A")
        assert response.status == 200
        assert json.loads(response.body)["code"] == -500
        response = await back_end.post("/goim/push/room?operation=1&type=a&room=b", bytes(70_000))
        assert json.loads(response.body)["code"] == -500


async def test_online_counts_have_goims_shapes():
    async with served() as (here, back_end):
        empty = await back_end.get("/goim/online/top?type=live&limit=5")
        assert empty.body == b'{"code":0,"message":"","data":[]}'
        async with here.tcp() as one, here.ws() as two, here.tcp() as three:
            await one.auth(mid=1, room_id="live://1000")
            await two.auth(mid=2, room_id="live://1000")
            await three.auth(mid=3, room_id="room://live/movie")
            top = await back_end.get("/goim/online/top?type=l&limit=5")
            assert top.body == b'{"code":0,"message":"","data":[{"room_id":"1000","count":2}]}'
            rooms = await back_end.get("/goim/online/room?type=live&rooms=9&rooms=1000")
            assert rooms.body == b'{"code":0,"message":"","data":{"1000":2,"9":0}}'
            movie = await back_end.get("/goim/online/room?type=room&rooms=live/movie")
            assert json.loads(movie.body)["data"] == {"live/movie": 1}
            total = await back_end.get("/goim/online/total")
            assert total.body == b'{"code":0,"message":"","data":{"conn_count":3,"ip_count":1}}'


@pytest.mark.parametrize("target", ["top?type=a", "top?limit=1", "room?type=a", "room?rooms=1"])
async def test_online_questions_need_their_parameters(target: str):
    async with served() as (_, back_end):
        assert (await back_end.get(f"/goim/online/{target}")).status == 400


async def test_nodes_tell_clients_where_to_go_and_leave_zeros_out():
    async with served() as (_, back_end):
        weighted = json.loads((await back_end.get("/goim/nodes/weighted?platform=web")).body)
        assert weighted["data"] == {
            "domain": "im.example",
            "tcp_port": 3101,
            "ws_port": 3102,
            "heartbeat": 240,
            "nodes": ["im.example"],
            "backoff": {"max_delay": 300, "base_delay": 3, "factor": 1.8, "jitter": 0.3},
            "heartbeat_max": 2,
        }
        (instance,) = json.loads((await back_end.get("/goim/nodes/instances")).body)["data"]
        assert instance["addrs"] == ["tcp://im.example:3101", "ws://im.example:3102/sub"]
        assert instance["metadata"]["conn_count"] == "0"


async def test_without_a_domain_nodes_are_where_the_question_was_asked():
    assert GoimNode(ws_port=1).weighted("here")["nodes"] == ["here"]


@pytest.mark.parametrize(
    ("platform", "asked", "nodes"),
    [
        ("web", "192.0.2.1", ["im.example"]),
        ("android", "192.0.2.1", ["192.0.2.1"]),
        ("android", "other.lan", ["im.example"]),
    ],
)
async def test_pages_are_sent_to_names_and_others_to_addresses(platform, asked, nodes):
    async with served() as (_, back_end):
        target = f"GET /goim/nodes/weighted?platform={platform} HTTP/1.1"
        await back_end.raw(f"{target}\r\nHost: {asked}\r\n\r\n".encode())
        told = await back_end.whole()
        assert json.loads(told.body)["data"]["nodes"] == nodes


async def test_unknown_paths_and_methods_are_gins_404():
    async with served() as (_, back_end):
        for response in (
            await back_end.get("/goim/push/all?operation=1"),
            await back_end.get("/goim/nothing"),
            await back_end.post("/goim/online/total"),
        ):
            assert (response.status, response.body) == (404, b"404 page not found")


async def test_a_body_too_long_is_refused(caplog):
    async with served() as (_, back_end):
        await back_end._client.ask("/goim/push/all?operation=1", "POST", Content_Length="9999999")
        assert (await back_end._client.response()).status == 413


async def test_many_keys_fit_into_one_push():
    async with served() as (here, back_end), here.tcp() as client:
        await client.auth(mid=1, key="k999", accepts=[1])
        keys = "&".join(f"keys=k{number}" for number in range(1000))
        assert (await back_end.post(f"/goim/push/keys?operation=1&{keys}")).body == OK
        assert (await client.frame()).op == 1


async def test_v1_pushes_reach_v1_and_v2_clients():
    async with served() as (here, back_end), here.ws() as old, here.tcp() as new:
        await old.send(7, b"42")
        assert (await old.frame()).op == 8
        await new.auth(mid=42, room_id="live://1", accepts=[5])
        bodies = [
            await back_end.post("/1/push?uid=42", b'{"a":1}'),
            await back_end.post("/1/pushs", b'{"u":[42],"m":{"b":2}}'),
            await back_end.post("/1/push/room?rid=1", b'{"c":3}'),
            await back_end.post("/1/push/all", b'{"d":4}'),
        ]
        assert {response.body for response in bodies} == {b'{"ret":1}'}
        expected = [b'{"a":1}', b'{"b":2}', b'{"c":3}', b'{"d":4}']
        got = [await new.frame() for _ in range(4)]
        assert sorted(frame.body for frame in got) == expected
        assert {frame.op for frame in got} == {5}
        assert sorted(frame.body for frame in await _messages(old, 4)) == expected


async def _messages(client, count: int):
    return [await client.frame() for _ in range(count)]


@pytest.mark.parametrize(
    "target", ["/1/push?uid=x", "/1/push", "/1/push/room", "/1/push/room?rid=a", "/1/pushs"]
)
async def test_a_broken_v1_push_is_an_internal_error(target: str):
    async with served() as (_, back_end):
        response = await back_end.post(target, b'{"u":"1","m":1}')
        assert (response.status, response.body) == (200, b'{"ret":65535}')


async def test_the_operators_port_gives_the_same_answers():
    async with goim() as here, here.tcp() as client:
        await client.auth(mid=1, key="k", accepts=[1000])
        app = bare_app()
        register(app, goim_operations(GoimApi(GoimPush(here.hub), GoimNode())))
        test = app.test_client()
        response = await test.post("/goim/push/keys?operation=1000&keys=k", data=b"\xffx")
        assert await response.get_data() == OK
        assert (await client.frame()).body == b"\xffx"
        response = await test.post("/goim/push/room?operation=0")
        assert (response.status_code, response.mimetype) == (400, "text/plain")
        assert {operation.path for operation in goim_operations(GoimApi(None, None))} == set(
            METHODS
        )


@pytest.mark.parametrize(
    ("head", "status"),
    [
        ("Host: 127.0.0.1:3111\r\nOrigin: https://evil.example", 403),
        ("Host: 127.0.0.1:3111\r\nSec-Fetch-Site: cross-site", 403),
        ("Host: evil.example:3111\r\nOrigin: http://evil.example:3111", 421),
        ("Host: evil.example", 421),
        ("Host: im.example", 200),
        ("Host: localhost:3111", 200),
        ("Host: [::1]:3111", 200),
    ],
)
async def test_pages_of_other_sites_and_names_of_others_are_refused(head: str, status: int):
    async with served() as (_, back_end):
        line = "GET /goim/nodes/weighted?platform=web HTTP/1.1"
        await back_end.raw(f"{line}\r\n{head}\r\n\r\n".encode())
        assert (await back_end.head()).status == status
