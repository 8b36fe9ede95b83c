"""HLS players on connections that stay: the lane gives them what others get, and no more."""

from __future__ import annotations

from dataclasses import replace
from itertools import count

import trio
import trio.testing
from kit.hls import HlsPort, Playlist, check_low_latency, from_the_beginning, hls_port, later
from kit.media import sample_packets

from livetrio.delivery.hls_options import HlsOptions
from livetrio.media.stream import Publication
from livetrio.packet import Packet

SECOND = 1_000_000
PACKETS = list(sample_packets(10.0))
ONE_SECOND = HlsOptions(segment_duration=SECOND)
LL = "?variant=ll"


def upto(seconds: float) -> list[Packet]:
    return [p for p in PACKETS if p.config or p.dts < seconds * SECOND]


def between(begin: float, end: float) -> list[Packet]:
    return [p for p in PACKETS if not p.config and begin * SECOND <= p.dts < end * SECOND]


async def low_latency(port: HlsPort, publication: Publication, end: float = 3.5) -> Playlist:
    """The low-latency variant of a stream at 3.5 s that was published up to 0.5 s."""
    await from_the_beginning(port, publication, LL, between(0.5, end))
    return await port.playlist(LL)


async def test_all_that_wait_are_answered_at_once_when_the_publisher_dies(autojump_clock):
    async with hls_port() as port, trio.open_nursery() as nursery:
        answers: list[int] = []
        waiting = 100

        async def wait(query: str) -> None:
            async with port.client() as client:
                await client.ask(f"/live/movie.m3u8{LL}")  # from here on it is in the lane
                assert (await client.response()).status == 200
                await client.ask(f"/live/movie.m3u8{LL}{query}")
                answers.append((await client.response()).status)

        async with port.published(upto(0.5)) as publication:
            playlist = await low_latency(port, publication)
            for number in range(waiting):
                msn = playlist.last + 1 + number % 2
                nursery.start_soon(wait, f"&_HLS_msn={msn}&_HLS_part={4 if number % 2 else 14}")
            while len(port.lane) < waiting:
                await trio.testing.wait_all_tasks_blocked(0.01)
            await trio.testing.wait_all_tasks_blocked(0.05)
            assert not answers
            died = trio.current_time()
        while len(answers) < waiting:
            await trio.testing.wait_all_tasks_blocked(0.01)
        assert trio.current_time() - died < 1
        assert set(answers) == {503}  # hls.js gives up after a 403


async def test_a_player_in_the_lane_gets_what_others_get_part_after_part():
    async with hls_port() as port, port.published(upto(0.5)) as publication:
        playlist = await low_latency(port, publication)
        async with port.client() as lists, port.client() as parts:
            await lists.ask(f"/live/movie.m3u8{LL}")
            await parts.ask(f"/live/{playlist.parts[0]['URI']}")
            await lists.response()
            await parts.response()
            for start in (number / 5 for number in count(18)):
                if start > 6:
                    break
                msn, part = playlist.last + 1, playlist.trailing_parts
                hint = playlist.hint
                await lists.ask(f"/live/movie.m3u8{LL}&_HLS_msn={msn}&_HLS_part={part}")
                await parts.ask(f"/live/{hint}")
                await trio.testing.wait_all_tasks_blocked(0.01)
                assert len(port.lane) == 2
                publication.publish(between(start - 0.1, start + 0.1))
                got = await lists.response()
                assert got.headers["content-type"] == "application/x-mpegURL"
                assert got.headers["cache-control"] == "no-cache"
                playlist = Playlist.parse(got.body.decode())
                check_low_latency(playlist)
                piece = await parts.response()
                assert piece.headers["content-type"] == "video/iso.segment"
                assert piece.body == (await port.get(f"/live/{hint}")).body
            plain = await port.get(f"/live/movie.m3u8{LL}")
            assert playlist.text == plain.body.decode()
        (viewer,) = [c for _, c in port.registry.clients() if c.role == "player"]
        assert viewer.numbers().bytes_out > 10 * 1500


async def test_in_the_lane_everybody_has_a_token_of_his_own_and_is_let_in_with_it():
    async with hls_port(ONE_SECOND) as port, port.published(upto(4.0)), port.client() as client:
        for token in ("a", "a", "b", "b", "a"):
            await client.ask(f"/live/movie.m3u8?token={token}")
            text = (await client.response()).body.decode()
            assert text.count(f"?token={token}\n") == 3
        asked = [query["token"] for _, _, query, _ in port.gate.asked]
        assert asked == ["a", "b", "a"]


async def test_in_the_lane_a_kicked_viewer_is_refused_with_its_next_request():
    async with hls_port(ONE_SECOND) as port, port.published(upto(4.0)), port.client() as client:
        for _ in range(2):
            await client.ask("/live/movie.m3u8")
            assert (await client.response()).status == 200
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert len(port.lane) == 1
        (viewer,) = [c for _, c in port.registry.clients() if c.role == "player"]
        await port.registry.end_client(viewer.id, "kicked")
        await client.ask("/live/movie.m3u8")
        assert (await client.response()).status == 403


async def test_in_the_lane_playlists_are_compressed_for_those_who_can_read_it():
    options = replace(ONE_SECOND, dvr_window=100 * SECOND, window=10)
    async with hls_port(options) as port, port.published(upto(9.9)) as publication:
        for round_ in range(1, 4):
            await trio.testing.wait_all_tasks_blocked(0.15)
            publication.publish(later(between(0, 9.9), 9.9 * round_))
        await trio.testing.wait_all_tasks_blocked(0.15)
        async with port.client() as client:
            for _ in range(2):
                await client.ask("/live/movie.m3u8", Accept_Encoding="gzip")
                response = await client.response()
                assert response.headers["content-encoding"] == "gzip"
                assert response.headers["vary"] == "Accept-Encoding"
            assert len(port.lane) == 1
