"""What app.py puts together where an application has files and live streams: live comes first."""

from __future__ import annotations

from contextlib import asynccontextmanager

import m3u8
import pytest
import trio
from kit.http import Response, get, http_client
from kit.media import sample_packets
from kit.mp4 import movie
from kit.node import node
from kit.rtmp_peers import clip, publisher

from livetrio.config import AppConfig
from livetrio.wire.flv import FileReader

FILE = list(sample_packets(7.0))
MOVIE = movie(FILE)


@asynccontextmanager
async def both(folder):
    """A server whose application `both` has a file 35.mp4, and may have live streams."""
    (folder / "35.mp4").write_bytes(MOVIE)
    app = AppConfig(name="both", auth="none", live=True, play=folder)
    async with node(apps={"both": app}) as running:
        yield running


async def ask(running, target: str, plane: str = "hls") -> Response:
    return await get(running.addresses[plane].port, target)


async def beginning(running, target: str) -> list[int]:
    """Of an endless FLV: the sizes of its first frames of video."""
    reader, found = FileReader(), []
    async with http_client(running.addresses["httpflv"].port) as client:
        await client.ask(target)
        assert (await client.head()).status == 200
        while len(found) < 3:
            packets = reader.feed(await client.chunk())
            found += [len(p.data) for p in packets if not p.config and p.track.width]
    return found


@pytest.mark.parametrize("name", ["35", "movie"])
async def test_a_live_stream_is_played_whether_there_is_a_file_of_its_name_or_not(tmp_path, name):
    async with both(tmp_path) as running, publisher(running, name, "both") as source:
        packets, text = clip(8.0), ""
        await source.send_media(packets[:10])
        with trio.fail_after(20):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(ask, running, f"/both/{name}.m3u8?variant=fmp4")
                while (await ask(running, "/v1/tree", "api")).body.count(b'"hls"') < 2:  # noqa: ASYNC110
                    await trio.sleep(0.02)
                await source.send_media(packets[10:])
            while text.count("#EXTINF") < 2:
                text = (await ask(running, f"/both/{name}.m3u8")).body.decode()
                await trio.sleep(0.02)
        playlist = m3u8.loads(text)
        assert not playlist.is_endlist
        for segment in playlist.segments:
            assert segment.uri.endswith(".ts")
            answer = await ask(running, f"/both/{segment.uri}")
            assert (answer.status, answer.headers["content-type"]) == (200, "video/mp2ts")
        cut = m3u8.loads((await ask(running, f"/both/{name}.m3u8?variant=fmp4")).body.decode())
        header = await ask(running, f"/both/{cut.segments[0].init_section.uri}")
        assert (header.status, header.headers["content-type"]) == (200, "video/mp4")
        assert (await ask(running, f"/both/{cut.segments[0].uri}")).status == 200
        assert await beginning(running, f"/both/{name}.flv")
        whole = await ask(running, "/both/35.mp4", "httpflv")
        assert whole.body == MOVIE  # a suffix that no stream has is the file's


async def test_without_a_stream_of_its_name_the_file_is_played_and_of_neither_there_is_nothing(
    tmp_path,
):
    async with both(tmp_path) as running:
        playlist = m3u8.loads((await ask(running, "/both/35.m3u8")).body.decode())
        assert playlist.is_endlist
        assert (await ask(running, f"/both/{playlist.segments[0].uri}")).status == 200
        assert len(await beginning(running, "/both/35.flv")) >= 3
        assert (await ask(running, "/both/nothing.m3u8")).status == 403  # livego's "no publisher"
        assert (await ask(running, "/both/nothing.mp4")).status in (400, 403)
        assert (await ask(running, "/both/nothing/12345678-0.ts")).status == 403
        assert (await ask(running, "/both/%00.m3u8")).status == 400
        assert (await ask(running, "/both/%00/12345678-0.ts")).status == 400
        at_once = await get(running.addresses["httpflv"].port, "/both/nothing.flv", "HEAD")
        assert at_once.status == 404


async def test_a_player_that_is_earlier_than_its_publisher_waits_for_it(tmp_path):
    async with both(tmp_path) as running, trio.open_nursery() as nursery:
        sizes: list[int] = []

        async def play() -> None:
            sizes.extend(await beginning(running, "/both/later.flv"))

        nursery.start_soon(play)
        async with publisher(running, "later", "both") as source:
            await source.send_media(clip(2.0))
            with trio.fail_after(20):
                while not sizes:  # noqa: ASYNC110
                    await trio.sleep(0.02)
