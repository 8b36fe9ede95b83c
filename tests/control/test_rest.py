"""/v1: streams, clients, relays, the tree; paging and refusals as problem details."""

from __future__ import annotations

import pytest
import trio
from kit.control import body_of, control, publishing, soon, watching
from kit.packets import audio, config, video
from kit.peers import connected

from livetrio.config import AppConfig
from livetrio.control.operator import operator_app
from livetrio.packet import Codec, Kind, StreamKey, Track


async def get(parts, path):
    response = await operator_app(parts.context).test_client().get(path)
    assert response.status_code == 200, await response.get_data()
    return await body_of(response)


async def problem(response, status, detail=""):
    assert response.status_code == status
    assert response.content_type == "application/problem+json"
    about = await body_of(response)
    assert about["status"] == status
    assert detail in about["detail"]


async def test_a_stream_is_told_with_tracks_publisher_and_viewers() -> None:
    async with control() as parts, publishing(parts), watching(parts):
        (stream,) = (await get(parts, "/v1/streams"))["items"]
    assert stream["app"] == "live"
    assert stream["name"] == "movie"
    assert stream["state"] == "live"
    assert stream["publisher"]["agent"] == "OBS"
    assert [(t["kind"], t["codec"], t["packets"]) for t in stream["tracks"]] == [
        ("video", "h264", 6),
        ("audio", "aac", 6),
    ]
    assert stream["gop"] == 0.12
    assert stream["viewers"] == {"flv": 1}
    assert stream["bytes"] == 19
    assert stream["repairs"] == {"wraps": 0, "jumps": 0, "backward": 0}
    assert [finding["level"] for finding in stream["verdict"]] == ["ok"]
    assert stream["playable"]["mpegts.js"] == {
        "ok": True,
        "why": "",
        "why_id": "",
        "codecs": [],
    }


async def test_a_name_with_slashes_and_unicode_is_one_stream() -> None:
    async with control() as parts, publishing(parts, "a/b c/直播"):
        stream = await get(parts, "/v1/streams/live/a/b%20c/%E7%9B%B4%E6%92%AD")
    assert stream["name"] == "a/b c/直播"


async def test_a_stream_that_is_not_there_is_a_problem() -> None:
    async with control() as parts:
        client = operator_app(parts.context).test_client()
        await problem(await client.get("/v1/streams/live/none"), 404, "no such stream")
        await problem(await client.delete("/v1/streams/live/none"), 404, "no such stream")
        await problem(await client.get("/v1/nothing"), 404)


async def test_deleting_a_stream_answers_when_publisher_and_viewers_are_gone() -> None:
    async with control() as parts, trio.open_nursery() as nursery:
        inside = [trio.Event(), trio.Event()]

        async def publisher():
            async with publishing(parts):
                inside[0].set()
                await trio.sleep_forever()

        async def viewer():
            async with watching(parts):
                inside[1].set()
                await trio.sleep_forever()

        nursery.start_soon(publisher)
        await inside[0].wait()
        nursery.start_soon(viewer)
        await inside[1].wait()
        client = operator_app(parts.context).test_client()
        response = await client.delete("/v1/streams/live/movie")
        ended = (await body_of(response))["ended"]
        assert parts.context.registry.streams == {}
        assert response.status_code == 200
        assert ended["scopes"] == 3
        assert ended["sockets"] == 2
        assert ended["tasks"] >= 3
        assert 0 <= ended["milliseconds"] < 5000


async def test_a_client_can_be_disconnected_alone() -> None:
    async with control() as parts, publishing(parts), trio.open_nursery() as nursery:

        async def viewer():
            async with watching(parts):
                await trio.sleep_forever()

        nursery.start_soon(viewer)
        stream = next(iter(parts.context.registry.streams.values()))
        await soon(lambda: len(stream.clients) == 2)
        clients = (await get(parts, "/v1/clients"))["items"]
        (player,) = [client for client in clients if client["role"] == "player"]
        client = operator_app(parts.context).test_client()
        response = await client.delete(f"/v1/clients/{player['id']}")
        assert (await body_of(response))["ended"]["sockets"] == 1
        assert [client.role for client in stream.clients.values()] == ["publisher"]
        await problem(await client.delete(f"/v1/clients/{player['id']}"), 404, "no such client")


async def test_a_clients_counters_are_told() -> None:
    async with control() as parts, publishing(parts), connected() as (ours, _):
        async with watching(parts, connection=ours):
            ours.outbox.send(b"x" * 10)
            clients = (await get(parts, "/v1/clients"))["items"]
    (player,) = [client for client in clients if client["role"] == "player"]
    assert player["address"] == "192.0.2.1:4242"
    assert player["bytes_out"] == 10
    assert player["protocol"] == "flv"


@pytest.mark.parametrize("path", ["/v1/streams", "/v1/clients", "/v1/relays"])
@pytest.mark.parametrize(
    "query",
    ["page=0", "page=-1", "page=1e9", "page=", "page=x", "page=1000000000", "page=%C2%B2",
     "per_page=0", "per_page=-1", "per_page=501", "per_page=1e9", "page=" + "9" * 5000],
)  # fmt: skip
async def test_hostile_paging_is_refused(path: str, query: str) -> None:
    async with control() as parts:
        client = operator_app(parts.context).test_client()
        await problem(await client.get(f"{path}?{query}"), 400, "is not a number")


async def test_pages_cover_everything_once() -> None:
    async with control() as parts:
        for number in range(5):
            parts.relays.start("pull", StreamKey("live", str(number)), "rtmp://h/a/b")
        pages = [await get(parts, f"/v1/relays?per_page=2&page={page}") for page in (1, 2, 3, 4)]
    names = [[item["name"] for item in page["items"]] for page in pages]
    assert names == [["0", "1"], ["2", "3"], ["4"], []]
    assert {page["total"] for page in pages} == {5}


@pytest.mark.parametrize("form", ["json", "form"])
async def test_a_relay_starts_and_stops(form: str) -> None:
    fields = {"kind": "push", "app": "live", "name": "a/b", "url": "rtmp://h/x/y"}
    async with control() as parts:
        client = operator_app(parts.context).test_client()
        response = await client.post("/v1/relays", **{form: fields})
        relay = await body_of(response)
        assert response.status_code == 201
        assert {name: relay[name] for name in fields} == fields
        assert (await get(parts, "/v1/relays"))["items"] == [relay]
        stopped = await client.delete(f"/v1/relays/{relay['id']}")
        assert (await body_of(stopped))["ended"]["tasks"] == 2
        await problem(await client.delete(f"/v1/relays/{relay['id']}"), 404, "no such relay")


GOOD = {"kind": "push", "app": "live", "name": "a", "url": "rtmp://h/x/y"}


@pytest.mark.parametrize(
    ("fields", "status", "detail"),
    [
        ({**GOOD, "kind": "pipe"}, 400, "kind"),
        ({**GOOD, "kind": ["pull"]}, 400, "kind"),
        ({**GOOD, "app": ""}, 400, "app"),
        ({**GOOD, "app": "other"}, 404, "not configured"),
        ({**GOOD, "name": "../x"}, 400, "path segment"),
        ({**GOOD, "name": 7}, 400, "name"),
        ({**GOOD, "url": "rtmp://bad"}, 400, "a loop"),
        ({"kind": "pull"}, 400, "app"),
        ([], 400, "JSON object"),
        ("text", 400, "JSON object"),
        (None, 400, "JSON object"),
    ],
)
async def test_a_bad_relay_is_refused_with_the_reason(fields, status: int, detail: str) -> None:
    async with control() as parts:
        client = operator_app(parts.context).test_client()
        await problem(await client.post("/v1/relays", json=fields), status, detail)
        assert parts.relays.list() == []


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b"[" * 30000, b'{"a":NaN'])
async def test_a_body_that_is_no_json_is_refused(body: bytes) -> None:
    async with control() as parts:
        client = operator_app(parts.context).test_client()
        headers = {"Content-Type": "application/json"}
        await problem(await client.post("/v1/relays", data=body, headers=headers), 400)


async def test_a_body_of_a_megabyte_is_refused() -> None:
    async with control() as parts:
        client = operator_app(parts.context).test_client()
        await problem(await client.post("/v1/relays", json="x" * (1 << 20)), 413)


async def test_an_app_with_api_false_is_left_alone() -> None:
    async with control() as parts, publishing(parts):
        client = operator_app(parts.context).test_client()
        relay = await (await client.post("/v1/relays", json=GOOD)).get_json()
        (publisher,) = (client.id for _, client in parts.context.registry.clients())
        parts.context.apps["live"] = AppConfig(name="live", api=False)  # type: ignore[index]
        await problem(await client.delete("/v1/streams/live/movie"), 403, "api: false")
        await problem(await client.delete(f"/v1/clients/{publisher}"), 403, "api: false")
        await problem(await client.post("/v1/relays", json=GOOD), 403, "api: false")
        await problem(await client.delete(f"/v1/relays/{relay['id']}"), 403, "api: false")


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/v1/clients/x"), ("POST", "/v1/streams/live/a"), ("PUT", "/v1/relays"),
     ("DELETE", "/v1/relays"), ("POST", "/v1/tree")],
)  # fmt: skip
async def test_what_changes_something_needs_its_own_method(method: str, path: str) -> None:
    async with control() as parts:
        response = await operator_app(parts.context).test_client().open(path, method=method)
        await problem(response, 405)
        assert method not in response.headers["Allow"]


async def test_the_tree_shows_the_streams_scope() -> None:
    async with control() as parts, publishing(parts):
        tree = await get(parts, "/v1/tree")
    assert tree["kind"] == "node"
    kinds = [(child["kind"], child["name"]) for child in tree["children"]]
    assert ("registry", "streams") in kinds
    registry = next(child for child in tree["children"] if child["kind"] == "registry")
    assert "live/movie" in [child["name"] for child in registry["children"]]


async def test_the_node_tells_how_to_publish() -> None:
    async with control() as parts:
        node = await get(parts, "/v1/node")
    assert node["apps"] == [{"name": "live", "auth": "key"}]
    assert node["ports"]["rtmp"] == {"port": 1935, "tls": False}


async def test_hostile_values_stay_json_text() -> None:
    name = "<script>alert(1)</script>'\"&"
    async with control() as parts, publishing(parts, name):
        response = await operator_app(parts.context).test_client().get("/v1/streams")
        assert (await body_of(response))["items"][0]["name"] == name
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert response.content_type == "application/json"


async def test_health_and_readiness_are_different_questions() -> None:
    async with control(ready=lambda: False) as parts:
        client = operator_app(parts.context).test_client()
        assert (await client.get("/healthz")).status_code == 200
        assert (await client.get("/readyz")).status_code == 503
    async with control() as parts:
        assert (await operator_app(parts.context).test_client().get("/readyz")).status_code == 200


async def test_the_verdict_follows_what_is_published() -> None:
    hevc = Track(Kind.VIDEO, Codec.HEVC, config=b"hvcC")
    speex = Track(Kind.AUDIO, Codec.SPEEX)
    async with control() as parts, publishing(parts, packets=False) as publication:
        assert await verdict(parts) == {"no-media"}
        publication.publish([config(hevc), video(0, key=True, track=hevc)])
        assert await verdict(parts) == {"no-audio", "enhanced"}
        publication.publish([audio(0, track=speex), video(5000, key=True, track=hevc)])
        assert await verdict(parts) == {"odd-codec", "long-gop", "enhanced"}
        frame = video(5040, track=hevc)
        frame.pts += 80_000
        publication.publish([frame])
        assert "b-frames" in await verdict(parts)
        stream = await get(parts, "/v1/streams/live/movie")
        assert stream["b_frames"] is True
        browser, rtmp = stream["playable"]["mpegts.js"], stream["playable"]["rtmp"]
        assert (browser["ok"], browser["why"]) == (False, "not in browsers: speex")
        assert (rtmp["ok"], rtmp["why"]) == (True, "enhanced players only: hevc")


async def test_an_unusual_profile_is_named() -> None:
    rgb = Track(Kind.VIDEO, Codec.H264, profile="High 4:4:4@1.3")
    async with control() as parts, publishing(parts, packets=False) as publication:
        publication.publish([config(rgb), video(0, key=True, track=rgb), audio(0)])
        assert await verdict(parts) == {"odd-profile"}


async def test_video_without_any_key_frame_is_an_error() -> None:
    async with control() as parts, publishing(parts, packets=False) as publication:
        publication.publish([video(ms) for ms in range(0, 12_000, 1000)])
        (stream,) = (await get(parts, "/v1/streams"))["items"]
    assert stream["verdict"][0]["level"] == "error"
    assert stream["verdict"][0]["text_id"] == "no-keys"


async def verdict(parts) -> set[str]:
    stream = await get(parts, "/v1/streams/live/movie")
    return {finding["text_id"] for finding in stream["verdict"]}
