"""livego's API: every row of its table, compared byte for byte."""

from __future__ import annotations

import pytest
import trio
from kit.control import control, publishing, watching
from kit.packets import audio, video
from kit.peers import connected

from livetrio.control.answers import go_json
from livetrio.control.operator import operator_app

PARAMETERS = b'{"status":%d,"data":"control push parameter error, please check them."}'
URL = "rtmp://h/live/x"
FULL = {"app": "live", "name": "movie", "url": URL}


async def ask(app, path, method="GET", **kwargs):
    response = await app.test_client().open(path, method=method, **kwargs)
    return response.status_code, await response.get_data()


async def test_get_makes_a_key_once_and_then_tells_it() -> None:
    async with control() as parts:
        app = operator_app(parts.context)
        answer = (200, b'{"status":200,"data":"key-1"}')
        assert await ask(app, "/control/get?room=movie") == answer
        assert await ask(app, "/control/get?room=movie") == answer


async def test_reset_makes_a_new_key() -> None:
    async with control() as parts:
        app = operator_app(parts.context)
        await ask(app, "/control/get?room=movie")
        assert await ask(app, "/control/reset?room=movie") == (
            200,
            b'{"status":200,"data":"key-2"}',
        )


async def test_delete_says_ok_once_and_then_that_there_is_no_such_room() -> None:
    async with control() as parts:
        app = operator_app(parts.context)
        await ask(app, "/control/get?room=movie")
        assert await ask(app, "/control/delete?room=movie") == (200, b'{"status":200,"data":"Ok"}')
        assert await ask(app, "/control/delete?room=movie") == (
            404,
            b'{"status":404,"data":"room not found"}',
        )


@pytest.mark.parametrize("verb", ["get", "reset", "delete"])
@pytest.mark.parametrize("query", ["", "?room=", "?Room=movie"])
async def test_without_a_room_the_usage_is_told_in_gos_escapes(verb: str, query: str) -> None:
    async with control() as parts:
        body = b'{"status":400,"data":"url: /control/%s?room=\\u003cROOM_NAME\\u003e"}'
        answer = await ask(operator_app(parts.context), f"/control/{verb}{query}")
        assert answer == (400, body % verb.encode())


@pytest.mark.parametrize("verb", ["get", "reset", "delete"])
async def test_a_store_that_fails_is_a_400_with_its_words(verb: str) -> None:
    async with control() as parts:
        parts.keys.broken = "dial tcp: connection refused"
        answer = await ask(operator_app(parts.context), f"/control/{verb}?room=a")
        assert answer == (400, b'{"status":400,"data":"dial tcp: connection refused"}')


@pytest.mark.parametrize("room", ["..", "a%00b", "a/../b", "x" * 300, "a%0d%0ab"])
async def test_a_room_that_could_be_no_stream_gets_no_key(room: str) -> None:
    async with control() as parts:
        status, _ = await ask(operator_app(parts.context), f"/control/get?room={room}")
        assert status == 400
        assert parts.keys.rooms == {}


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
async def test_any_method_does(method: str) -> None:
    async with control() as parts:
        answer = await ask(operator_app(parts.context), "/control/get?room=a", method)
        assert answer == (200, b'{"status":200,"data":"key-1"}')


async def test_the_form_in_the_body_goes_before_the_query() -> None:
    async with control() as parts:
        app = operator_app(parts.context)
        await ask(app, "/control/get?room=query", "POST", form={"room": "body"})
        assert list(parts.keys.rooms) == ["body"]


async def test_the_content_type_is_json_without_a_charset() -> None:
    async with control() as parts:
        response = await operator_app(parts.context).test_client().get("/control/get?room=a")
        assert response.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize(
    ("kind", "oper", "status", "data"),
    [
        ("pull", "start", 200, "<h1>pull url start rtmp://h/live/x ok</h1></br>"),
        ("push", "start", 200, "<h1>push url start rtmp://h/live/x ok</h1></br>"),
        ("pull", "", 200, "<h1>pull url start rtmp://h/live/x ok</h1></br>"),
        ("push", "anything", 200, "<h1>push url start rtmp://h/live/x ok</h1></br>"),
    ],
)
async def test_a_relay_starts(kind: str, oper: str, status: int, data: str) -> None:
    async with control() as parts:
        app = operator_app(parts.context)
        answer = await ask(app, f"/control/{kind}", query_string={**FULL, "oper": oper})
        assert answer == (status, go_json({"status": status, "data": data}))
        assert [(r.kind, r.app, r.name, r.url) for r in parts.relays.list()] == [
            (kind, "live", "movie", URL)
        ]


@pytest.mark.parametrize(
    ("kind", "status", "stopped", "missing"),
    [
        (
            "pull",
            400,
            (
                rb'{"status":400,"data":"\u003ch1\u003epush url stop rtmp://h/live/x ok'
                rb'\u003c/h1\u003e\u003c/br\u003e"}'
            ),
            (
                b'{"status":400,"data":"session key[pull:live/movie] not exist, please check it '
                b'again."}'
            ),
        ),
        (
            "push",
            200,
            (
                rb'{"status":200,"data":"\u003ch1\u003epush url stop rtmp://h/live/x ok'
                rb'\u003c/h1\u003e\u003c/br\u003e"}'
            ),
            (
                rb'{"status":200,"data":"\u003ch1\u003esession key[push:live/movie] not exist, '
                rb'please check it again.\u003c/h1\u003e"}'
            ),
        ),
    ],
)
async def test_a_relay_stops_once(kind: str, status: int, stopped: bytes, missing: bytes) -> None:
    async with control() as parts:
        app = operator_app(parts.context)
        await ask(app, f"/control/{kind}", query_string=FULL)
        stop = {**FULL, "oper": "stop"}
        assert await ask(app, f"/control/{kind}", query_string=stop) == (status, stopped)
        assert parts.relays.list() == []
        assert await ask(app, f"/control/{kind}", query_string=stop) == (status, missing)


@pytest.mark.parametrize("missing", ["app", "name", "url"])
@pytest.mark.parametrize("oper", ["start", "stop"])
@pytest.mark.parametrize(("kind", "status"), [("pull", 400), ("push", 200)])
async def test_a_relay_needs_app_name_and_url(
    kind: str, status: int, missing: str, oper: str
) -> None:
    async with control() as parts:
        query = {**FULL, "oper": oper, missing: ""}
        answer = await ask(operator_app(parts.context), f"/control/{kind}", query_string=query)
        assert answer == (status, PARAMETERS % status)


@pytest.mark.parametrize(("kind", "status"), [("pull", 400), ("push", 200)])
async def test_a_relay_that_is_refused_is_a_push_error(kind: str, status: int) -> None:
    async with control() as parts:
        app = operator_app(parts.context)
        answer = await ask(app, f"/control/{kind}", query_string={**FULL, "url": "rtmp://bad"})
        assert answer == (status, b'{"status":%d,"data":"push error=a loop"}' % status)
        unknown = await ask(app, f"/control/{kind}", query_string={**FULL, "app": "other"})
        text = b"push error=application name=other is not configured"
        assert unknown == (status, b'{"status":%d,"data":"%s"}' % (status, text))


async def test_a_pull_relay_named_by_a_rooms_key_feeds_the_room() -> None:
    async with control() as parts:
        app = operator_app(parts.context)
        await ask(app, "/control/get?room=movie")
        await ask(app, "/control/pull", query_string={**FULL, "name": "key-1"})
        assert [relay.name for relay in parts.relays.list()] == ["movie"]
        stop = {**FULL, "name": "key-1", "oper": "stop"}
        await ask(app, "/control/pull", query_string=stop)
        assert parts.relays.list() == []


async def test_livestat_of_an_idle_node_has_nulls() -> None:
    async with control() as parts:
        answer = await ask(operator_app(parts.context), "/stat/livestat")
        assert answer == (200, b'{"status":200,"data":{"publishers":null,"players":null}}')


async def test_livestat_of_a_stream_that_is_not_there_is_a_404() -> None:
    async with control() as parts:
        answer = await ask(operator_app(parts.context), "/stat/livestat?room=live/none")
        assert answer == (404, b'{"status":404,"data":"room not found or inactive"}')


async def test_livestat_tells_bytes_and_counts_viewers_of_every_protocol() -> None:
    async with (
        control() as parts,
        publishing(parts),
        publishing(parts, "other"),
        watching(parts),
        connected() as (ours, _),
        watching(parts, protocol="rtmp", connection=ours),
    ):
        ours.outbox.send(b"x" * 100)
        status, body = await ask(operator_app(parts.context), "/stat/livestat?room=live/movie")
        # 6 frames of a byte each in either track; a player's bytes are split the same way
        common = b'"stream_id":1,"video_total_bytes":%d,"video_speed":0,'
        audio = b'"audio_total_bytes":%d,"audio_speed":0}'
        assert status == 200
        assert body == (
            b'{"status":200,"data":{"publishers":['
            b'{"key":"live/movie","url":"rtmp://h/live/movie",' + common % 6 + audio % 6 + b"],"
            b'"players":['
            b'{"key":"live/movie","url":"/live/movie.flv",' + common % 0 + audio % 0 + b","
            b'{"key":"live/movie","url":"/live/movie.flv",' + common % 50 + audio % 50 + b"]}}"
        )


async def test_livestat_speeds_are_kbits_over_five_seconds(autojump_clock) -> None:
    async with control() as parts, trio.open_nursery() as nursery:
        nursery.start_soon(parts.context.gauges.run)
        async with publishing(parts, packets=False) as publication:
            await trio.sleep(0.3)  # out of step with the gauges: 5 frames in their first 5 s
            for second in range(6):
                big = video(second * 1000, key=True, data=b"V" * 125_000)
                publication.publish([big, audio(second * 1000, b"a" * 12_500)])
                await trio.sleep(1)
            _, body = await ask(operator_app(parts.context), "/stat/livestat")
        nursery.cancel_scope.cancel()
    assert b'"video_total_bytes":750000,"video_speed":1000,' in body
    assert b'"audio_total_bytes":75000,"audio_speed":100}' in body


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("<&>", rb'"\u003c\u0026\u003e"'),
        ("\u2028\u2029", rb'"\u2028\u2029"'),
        ("直播", '"直播"'.encode()),
        ('a"\\\n\t', rb'"a\"\\\n\t"'),
        ({"a": None, "b": [1]}, b'{"a":null,"b":[1]}'),
    ],
)
def test_json_is_what_go_marshals(value: object, text: bytes) -> None:
    assert go_json(value) == text
