"""/v1/recordings, clips and timeshift in a whole server: list, fetch by range, cut, delete."""

from __future__ import annotations

import io
import json
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import av
import m3u8
import pytest
import trio
from kit.http import get, http_client
from kit.node import node
from kit.rtmp_peers import clip, publisher

from livetrio.config import AppConfig

APPS = {name: AppConfig(name=name, auth="none", record=name) for name in ("flv", "fmp4", "ts")} | {
    "live": AppConfig(name="live", auth="none")
}


async def api(running, target: str, method: str = "GET", **headers: str):
    return await get(running.addresses["api"].port, target, method, **headers)


async def told(running, target: str, method: str = "GET"):
    response = await api(running, target, method)
    return response.status, json.loads(response.body)


async def streamed(running, target: str) -> bytes:
    """The body of an answer in chunks."""
    async with http_client(running.addresses["api"].port) as client:
        await client.ask(target)
        head = await client.head()
        assert head.status == 200, await client.some()
        assert head.headers["content-type"] == "video/mp4"
        body = b""
        while chunk := await client.chunk():
            body += chunk
        return body


async def until(condition, seconds: float = 10):
    """Files are written by threads, and servers answer when they do."""
    with trio.fail_after(seconds):
        while not (found := await condition()):  # noqa: ASYNC110
            await trio.sleep(0.02)
        return found


@asynccontextmanager
async def recorded(app: str, seconds: float = 8.0):
    """A server with one finished recording of that format."""
    async with node(apps=APPS) as running:
        async with publisher(running, "x", app) as source:
            await source.send_media(clip(seconds)[:10])
            await until(lambda: recording(running))
            await source.send_media(clip(seconds)[10:])
            await until(lambda: begun(running, 1))
            await source.call("deleteStream", None, 1)
            await until(lambda: finished(running))
        yield running


async def recording(running):
    """Does a recorder follow the stream? Then it counts among the scopes of the tree."""
    _, answer = await told(running, "/v1/tree")
    return '"recording"' in json.dumps(answer)


async def begun(running, size: int):
    _, answer = await told(running, "/v1/recordings")
    return [one for one in answer["recordings"] if one["duration"] >= size]


async def finished(running):
    _, answer = await told(running, "/v1/recordings")
    return [one for one in answer["recordings"] if one["finished"]]


def pictures(data: bytes) -> int:
    with av.open(io.BytesIO(data)) as container:
        return sum(1 for _ in container.decode(video=0))


async def test_a_recording_is_begun_ended_and_listed():
    async with node(apps=APPS) as running, publisher(running, "a/b") as source:
        await source.send_media(clip(4.0))
        status, answer = await told(running, "/v1/streams/live/a/b/recording", "POST")
        assert (status, answer["format"]) == (201, "fmp4")
        assert (await told(running, "/v1/streams/live/a/b/recording", "POST"))[0] == 409
        status, answer = await told(running, "/v1/streams/live/a/b/recording", "DELETE")
        assert status == 200
        one = answer["recording"]
        assert {"id", "app", "name", "start", "duration", "size", "url", "codecs"} <= one.keys()
        assert (one["app"], one["name"], one["finished"]) == ("live", "a/b", True)
        assert (await told(running, "/v1/recordings"))[1]["recordings"] == [one]
        assert (await told(running, "/v1/streams/live/a/b/recording", "DELETE"))[0] == 404
        assert (await told(running, "/v1/streams/live/none/recording", "POST"))[0] == 404


async def test_a_recording_is_fetched_whole_and_by_range_and_deleted():
    async with recorded("fmp4") as running:
        (one,) = await finished(running)
        whole = await api(running, one["url"])
        assert len(whole.body) == one["size"]
        assert pictures(whole.body) == 200
        tag = whole.headers["etag"]
        part = await api(running, one["url"], range="bytes=100-199")
        assert (part.status, part.body) == (206, whole.body[100:200])
        assert part.headers["content-range"] == f"bytes 100-199/{one['size']}"
        assert (await api(running, one["url"], range="bytes=0-9", if_range=tag)).status == 206
        other = await api(running, one["url"], range="bytes=0-9", if_range='"other"')
        assert (other.status, len(other.body)) == (200, one["size"])
        beyond = await api(running, one["url"], range="bytes=99999999-")
        assert beyond.status == 416
        assert beyond.headers["content-range"] == f"bytes */{one['size']}"
        assert (await told(running, f"/v1/recordings/{one['id']}", "DELETE"))[0] == 200
        assert (await api(running, one["url"])).status == 404
        assert (await told(running, f"/v1/recordings/{one['id']}", "DELETE"))[0] == 404


@pytest.mark.parametrize("app", ["flv", "fmp4", "ts"])
async def test_a_clip_is_cut_out_of_a_recording_at_key_frames(app):
    async with recorded(app) as running:
        (one,) = await finished(running)
        first = one["start"] + 2.5
        data = await streamed(running, f"/v1/streams/{app}/x/clip?from={first}&to={first + 1}")
        assert pictures(data) == 50  # from 2 s to 4 s
        with av.open(io.BytesIO(data)) as container:
            packet = next(container.demux(video=0))
            assert packet.is_keyframe
            assert packet.dts == 0
        when = datetime.fromtimestamp(one["start"] + 0.1, UTC).isoformat()
        late = datetime.fromtimestamp(one["start"] + 100, UTC).isoformat().replace("+00:00", "Z")
        data = await streamed(running, f"/v1/streams/{app}/x/clip?from={when}&to={late}")
        assert pictures(data) == 200


async def test_a_clip_of_what_was_not_recorded_comes_out_of_memory():
    async with node(apps=APPS) as running, publisher(running) as source:
        await source.send_media(clip(8.0))
        await until(lambda: live(running))
        now = datetime.now(UTC).timestamp()
        data = await streamed(running, f"/v1/streams/live/x/clip?from={now - 2.5}&to={now}")
        assert 50 <= pictures(data) <= 100
        status, _ = await told(running, f"/v1/streams/live/x/clip?from={now - 900}&to={now - 800}")
        assert status == 404


async def live(running):
    return (await told(running, "/v1/streams"))[1]["items"]


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("", 400),
        ("from=1&to=x", 400),
        ("from=2&to=1", 400),
        ("from=0&to=99999", 400),
        ("from=nan&to=5", 400),
        ("from=-5&to=5", 400),
        ("from=2026-01-01T00:00:00&to=5", 400),
        ("from=1&to=2", 404),
        ("from=1&to=" + "9" * 400, 400),
    ],
)
async def test_intervals_that_cannot_be_are_refused(query, status):
    async with node(apps=APPS) as running:
        assert (await told(running, f"/v1/streams/live/x/clip?{query}"))[0] == status
        hls = running.addresses["hls"].port
        response = await get(hls, f"/live/x/timeshift.m3u8?{query}")
        assert response.status == status


@pytest.mark.parametrize("app", ["flv", "fmp4", "ts"])
async def test_a_past_interval_is_played_as_hls(app):
    async with recorded(app) as running:
        (one,) = await finished(running)
        port = running.addresses["hls"].port
        first = one["start"] + 2.5
        target = f"/{app}/x/timeshift.m3u8?from={first}&to={first + 3}&token=t"
        playlist = m3u8.loads((await get(port, target)).body.decode())
        assert playlist.is_endlist
        assert [s.duration for s in playlist.segments] == [2.0, 2.0]
        began = playlist.segments[0].program_date_time.timestamp()
        assert began == pytest.approx(one["start"] + 2.0, abs=0.01)
        data = (await get(port, f"/{app}/x/{playlist.segments[0].init_section.uri}")).body
        for segment in playlist.segments:
            assert segment.uri.endswith(".m4s?token=t")
            data += (await get(port, f"/{app}/x/{segment.uri}")).body
        assert pictures(data) == 100
        for wrong in ("99.m4s", "x.m4s", "0.mp4", "0.m4s/", "init.m4s"):
            response = await get(port, f"/{app}/x/timeshift/{one['id']}.{wrong}")
            assert response.status in (403, 404, 400)
        stolen = await get(port, f"/live/x/timeshift/{one['id']}.0.m4s")
        assert stolen.status == 404


async def test_what_recording_costs_is_in_the_metrics():
    async with recorded("fmp4") as running:
        text = (await api(running, "/metrics")).body.decode()
        assert "livetrio_record_files_total 1.0" in text
        assert "livetrio_record_failures_total 0.0" in text
