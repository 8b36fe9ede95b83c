"""Stored media over HTTP: whole files and ranges, FLV from any second, HLS on the fly."""

from __future__ import annotations

import io
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from itertools import pairwise

import av
import m3u8
import pytest
import trio
import trio.testing
from kit.http import OpenGate, Response, get, http_client, serving
from kit.media import sample_packets
from kit.mp4 import movie

from livetrio.delivery.hls_sessions import HlsSessions
from livetrio.delivery.vod import VodPlayers
from livetrio.errors import RefusalCode, Refused
from livetrio.media.registry import Registry, open_registry
from livetrio.media.vod.library import Library
from livetrio.net.scope import open_scope
from livetrio.packet import Codec, Kind, Track
from livetrio.wire.flv import FileReader, file_header, tag

PACKETS = list(sample_packets(20.0))
FRAMES = [p for p in PACKETS if not p.config]
MOVIE = movie(PACKETS)
FLV = file_header(audio=True, video=True) + b"".join(map(tag, PACKETS))


@dataclass(frozen=True)
class Port:
    """A server of stored media, with who is listed there."""

    number: int
    registry: Registry

    async def get(self, target: str) -> Response:
        return await get(self.number, target)

    def viewers(self) -> list[tuple[str, str, str]]:
        clients = self.registry.clients()
        return sorted((str(key), client.protocol, client.url) for key, client in clients)

    async def kick(self) -> None:
        """The one viewer there is."""
        ((_, client),) = self.registry.clients()
        assert client.role == "player"
        await self.registry.end_client(client.id, "kicked")


@asynccontextmanager
async def players(folder, gate=None, *, library=None, **options):
    gate = gate or OpenGate()
    hls = options.get("hls", gate)
    library = library or Library({"vod": folder})
    async with open_scope("test", "vod"), open_registry() as registry:
        sessions = HlsSessions(registry)
        routes = VodPlayers(library, gate, registry, sessions, flv=gate, hls=hls).routes()
        async with serving(*routes) as number:
            yield Port(number, registry)
        registry.scope.cancel("test is over")


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "35.mp4").write_bytes(MOVIE)
    (tmp_path / "36.flv").write_bytes(FLV)
    (tmp_path / "films").mkdir()
    (tmp_path / "films" / "a b.mp4").write_bytes(MOVIE)
    (tmp_path / "broken.mp4").write_bytes(b"no movie at all")
    return tmp_path


def read(flv: bytes):
    return FileReader().feed(flv)


async def chunked(port: int, target: str) -> bytes:
    async with http_client(port) as client:
        await client.ask(target)
        assert (await client.head()).status == 200
        body = b""
        while chunk := await client.chunk():
            body += chunk
        return body


async def test_a_file_is_sent_as_it_is(folder):
    async with players(folder) as port:
        for name, data, type_ in (
            ("35.mp4", MOVIE, "video/mp4"),
            ("36.flv", FLV, "video/x-flv"),
            ("films/a%20b.mp4", MOVIE, "video/mp4"),
        ):
            response = await port.get(f"/vod/{name}")
            assert (response.status, response.body) == (200, data)
            assert response.headers["content-type"] == type_
            assert response.headers["accept-ranges"] == "bytes"


async def test_a_file_is_sent_by_range_and_not_again_when_it_is_known(folder):
    async with players(folder) as port, http_client(port.number) as client:
        await client.ask("/vod/35.mp4", range="bytes=100-199")
        part = await client.response()
        assert (part.status, part.body) == (206, MOVIE[100:200])
        assert part.headers["content-range"] == f"bytes 100-199/{len(MOVIE)}"
        tag_ = part.headers["etag"]
        await client.ask("/vod/35.mp4", range="bytes=-5", if_range=tag_)  # the same connection
        assert (await client.response()).body == MOVIE[-5:]
        await client.ask("/vod/35.mp4", range="bytes=0-9", if_range='"other"')
        assert (await client.response()).status == 200
        await client.ask("/vod/35.mp4", range="bytes=999999999-")
        refused = await client.response()
        assert (refused.status, refused.headers["content-range"]) == (416, f"bytes */{len(MOVIE)}")
        await client.ask("/vod/35.mp4", "HEAD")
        head = await client.response(to_head=True)
        assert head.headers["content-length"] == str(len(MOVIE))
        await client.ask("/vod/35.mp4", if_none_match=tag_)
        assert (await client.head()).status == 304


async def test_flv_begins_at_the_key_frame_before_the_second_asked_for(folder):
    async with players(folder) as port:
        packets = read(await chunked(port.number, "/vod/36.flv?start=7.5"))
        frames = [p for p in packets if not p.config]
        assert [p.track.codec for p in packets if p.config][1:] == [Codec.H264, Codec.AAC]
        assert frames[0].key
        assert min(p.dts for p in frames) == 7_000_000
        wanted = [p.data for p in FRAMES if p.dts >= 7_000_000]
        assert sorted(p.data for p in frames) == sorted(wanted)


async def test_a_movie_is_sent_as_flv_where_there_is_no_flv_file(folder):
    async with players(folder) as port:
        packets = read(await chunked(port.number, "/vod/35.flv"))
        assert sorted(p.data for p in packets if not p.config) == sorted(p.data for p in FRAMES)
        late = read(await chunked(port.number, "/vod/35.flv?start=1e9"))
        assert min(p.dts for p in late if not p.config) >= 18_900_000


@pytest.mark.parametrize("name", ["35", "36"])
async def test_hls_is_packaged_on_the_fly_without_a_gap(folder, name):
    async with players(folder) as port:
        text = (await port.get(f"/vod/{name}.m3u8")).body.decode()
        playlist = m3u8.loads(text)
        assert playlist.is_endlist
        assert playlist.playlist_type == "vod"
        assert sum(s.duration for s in playlist.segments) == pytest.approx(20.0, abs=0.1)
        assert all(6.0 <= s.duration < 7.1 for s in playlist.segments[:-1])
        data = (await port.get(f"/vod/{playlist.segments[0].init_section.uri}")).body
        for segment in playlist.segments:
            data += (await port.get(f"/vod/{segment.uri}")).body
    with av.open(io.BytesIO(data)) as container:
        times = [p.dts for p in container.demux(video=0) if p.size]
        assert len(times) == sum(p.track.kind is Kind.VIDEO for p in FRAMES)
        assert {b - a for a, b in pairwise(times)} == {3_600}
    with av.open(io.BytesIO(data)) as container:
        assert sum(1 for p in container.demux(audio=0) if p.size) == sum(
            p.track.kind is Kind.AUDIO for p in FRAMES
        )


async def test_of_a_big_file_only_the_bytes_of_the_segment_are_read(folder):
    big = [replace(p, data=p.data + bytes(20_000)) for p in FRAMES]
    (folder / "big.mp4").write_bytes(movie(big))
    read_bytes = []
    library = Library({"vod": folder})
    real = library.index

    async def index(file):
        opened = await real(file)
        read_bytes.append(file)
        return opened

    library.index = index
    async with players(folder, library=library) as port:
        text = (await port.get("/vod/big.m3u8")).body.decode()
        uri = m3u8.loads(text).segments[1].uri
        segment = (await port.get(f"/vod/{uri}")).body
        await port.get(f"/vod/{uri}")
    assert read_bytes[1].bytes_read < len(segment) + 10_000
    assert read_bytes[2].bytes_read == 0  # made already


async def test_a_viewers_own_parameters_are_carried_on(folder):
    async with players(folder) as port:
        text = (await port.get("/vod/35.m3u8?token=a%26b")).body.decode()
        assert "-0.m4s?token=a%26b" in text
        assert "-init.mp4?token=a%26b" in text


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("/vod/nothing.mp4", 404),
        ("/vod/nothing.flv", 404),
        ("/vod/nothing.m3u8", 404),
        ("/vod/broken.m3u8", 503),
        ("/vod/broken.flv", 503),
        ("/vod/35.flv?start=x", 400),
        ("/vod/35.flv?start=-1", 400),
        ("/vod/35.flv?start=nan", 400),
        ("/vod/35.flv?start=inf", 400),
        ("/vod/35.hls/x-0.m4s", 404),
        ("/vod/%2e%2e/35.mp4", 400),
        ("/vod/..%2f35.mp4", 400),
        ("/vod/%252e%252e/35.mp4", 404),
        ("/vod/films%5ca.mp4", 400),
        ("/vod/%00.mp4", 400),
        ("/other/35.mp4", 404),
        ("/vod/35.txt", 404),
        ("/vod", 404),
    ],
)
async def test_what_cannot_be_had_is_refused(folder, target, status):
    async with players(folder) as port:
        assert (await port.get(target)).status == status


async def test_segments_that_are_none_are_refused(folder):
    async with players(folder) as port:
        text = (await port.get("/vod/35.m3u8")).body.decode()
        uri = m3u8.loads(text).segments[0].uri
        for wrong in ("-99", "-x", "--1", "-" + "9" * 50, "-0.m4s"):
            target = f"/vod/{uri.replace('-0', wrong)}"
            assert (await port.get(target)).status == 404
        (folder / "35.mp4").write_bytes(MOVIE + bytes(8))
        assert (await port.get(f"/vod/{uri}")).status == 404  # of another file


async def test_codecs_that_mp4_does_not_know_are_no_hls(folder):
    speex = Track(Kind.AUDIO, Codec.SPEEX, config=b"\xb2")
    tags = [tag(replace(p, track=speex)) for p in FRAMES if p.track.kind is Kind.AUDIO]
    (folder / "old.flv").write_bytes(file_header(audio=True, video=False) + b"".join(tags))
    async with players(folder) as port:
        assert (await port.get("/vod/old.m3u8")).status == 503
        assert len(read(await chunked(port.number, "/vod/old.flv?start=0"))) > 100


async def test_without_hls_there_are_no_playlists(folder):
    async with players(folder, hls=None) as port:
        assert (await port.get("/vod/35.m3u8")).status == 404
        assert (await port.get("/vod/35.mp4")).status == 200


async def test_who_may_not_play_is_refused_before_a_file_is_touched(folder):
    class Closed(OpenGate):
        async def may_play(self, *_):
            raise Refused(RefusalCode.FORBIDDEN, "no")

    async with players(folder, Closed()) as port:
        for target in ("/vod/35.mp4", "/vod/35.flv", "/vod/35.m3u8", "/vod/nothing.mp4"):
            assert (await port.get(target)).status == 403


async def test_a_file_that_becomes_shorter_while_it_is_sent_ends_the_connection(folder):
    big = folder / "big.mp4"
    big.write_bytes(bytes(30 << 20))
    async with players(folder) as port, http_client(port.number) as client:
        await client.ask("/vod/big.mp4")
        await client.head()
        await client.exactly(1_000)
        big.write_bytes(b"")
        assert len(await client.rest()) < 30 << 20


async def test_a_viewer_that_leaves_in_the_middle_leaves_no_file_open(folder):
    import os

    (folder / "big.mp4").write_bytes(bytes(30 << 20))
    async with players(folder) as port:
        before = os.listdir("/proc/self/fd")
        async with http_client(port.number) as client:
            await client.ask("/vod/big.mp4")
            await client.exactly(1_000)
        with trio.fail_after(20):
            while len(os.listdir("/proc/self/fd")) > len(before):  # noqa: ASYNC110
                await trio.sleep(0.01)


@pytest.mark.parametrize(
    ("target", "protocol"), [("/vod/big.mp4", "http"), ("/vod/big.flv?start=0", "flv")]
)
async def test_who_is_sent_a_file_is_listed_while_that_lasts_and_can_be_ended(
    folder, target, protocol
):
    big = [replace(p, data=p.data + bytes(20_000)) for p in FRAMES]
    (folder / "big.mp4").write_bytes(movie(big))
    name = "vod/big.mp4" if protocol == "http" else "vod/big"
    async with players(folder) as port, http_client(port.number) as client:
        await client.ask("/vod/35.mp4", range="bytes=0-99")
        await client.response()
        await client.ask(target, user_agent="tester")
        await client.exactly(100_000)
        assert port.viewers() == [(name, protocol, target.partition("?")[0])]
        ((_, viewer),) = port.registry.clients()
        assert viewer.agent == "tester"
        assert viewer.numbers().bytes_out - viewer.before.bytes_out >= 100_000
        await port.kick()
        assert port.viewers() == []
        assert len(await client.rest()) < (folder / "big.mp4").stat().st_size
    totals = port.registry.totals()["player", protocol]
    assert totals.clients == (2 if protocol == "http" else 1)
    assert totals.bytes_out > 100_000


async def test_a_head_and_what_is_not_sent_list_nobody(folder):
    async with players(folder) as port, http_client(port.number) as client:
        await client.ask("/vod/35.mp4", "HEAD")
        await client.response(to_head=True)
        await client.ask("/vod/35.mp4", range="bytes=999999999-")
        await client.response()
        assert port.registry.totals() == {}


async def test_a_viewer_by_hls_is_one_and_stays_listed_while_it_asks_for_segments(
    folder, autojump_clock
):
    autojump_clock.autojump_threshold = 0.05
    async with players(folder) as port:
        text = (await port.get("/vod/35.m3u8")).body.decode()
        size = len(text)
        for segment in m3u8.loads(text).segments:
            await trio.sleep(20)  # together longer than a viewer is remembered
            size += len((await port.get(f"/vod/{segment.uri}")).body)
            assert port.viewers() == [("vod/35", "hls", "/vod/35.m3u8")]
        ((_, viewer),) = port.registry.clients()
        assert viewer.numbers().bytes_out == size
        await trio.sleep(31)
        assert port.viewers() == []
        await port.get(f"/vod/{segment.uri}")  # after a pause
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert len(port.viewers()) == 1


async def test_a_viewer_by_hls_that_was_ended_stays_out(folder):
    async with players(folder) as port:
        text = (await port.get("/vod/35.m3u8")).body.decode()
        await trio.testing.wait_all_tasks_blocked(0.01)
        await port.kick()
        uri = m3u8.loads(text).segments[0].uri
        assert (await port.get(f"/vod/{uri}")).status == 403
        assert (await port.get("/vod/35.m3u8")).status == 403
        assert (await port.get("/vod/36.m3u8")).status == 200  # of another file


async def test_files_that_are_not_there_make_no_viewers(folder):
    async with players(folder) as port:
        for number in range(20):
            assert (await port.get(f"/vod/no{number}.m3u8")).status == 404
            assert (await port.get(f"/vod/no{number}.hls/x-0.m4s")).status == 404
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert port.viewers() == []
