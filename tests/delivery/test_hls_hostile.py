"""What nobody honest asks for: names that are none of ours, directives that make no sense."""

from __future__ import annotations

import pytest
from kit.hls import Playlist, from_the_beginning, hls_port
from kit.media import sample_packets

from livetrio.delivery.hls_options import HlsOptions
from livetrio.packet import Packet

SECOND = 1_000_000
PACKETS = list(sample_packets(10.0))
ONE_SECOND = HlsOptions(segment_duration=SECOND)


def upto(seconds: float) -> list[Packet]:
    return [p for p in PACKETS if p.config or p.dts < seconds * SECOND]


def between(begin: float, end: float) -> list[Packet]:
    return [p for p in PACKETS if not p.config and begin * SECOND <= p.dts < end * SECOND]


async def low_latency(port, publication) -> Playlist:
    """The low-latency variant of a stream at 3.5 s, asked for from its beginning on."""
    await from_the_beginning(port, publication, "?variant=ll", between(0.5, 3.5))
    return await port.playlist("?variant=ll")


async def test_without_a_publisher_the_answer_is_livegos():
    async with hls_port() as port:
        response = await port.get("/live/nobody.m3u8")
        assert (response.status, response.body) == (403, b"no publisher\n")
        response = await port.get("/live/nobody/x-1.ts")
        assert response.status == 403


@pytest.mark.parametrize(
    "query",
    [
        *("_HLS_msn=99", "_HLS_msn=-1", "_HLS_msn=x", "_HLS_msn=1e9", f"_HLS_msn={'9' * 400}"),
        *("_HLS_part=0", "_HLS_msn=4&_HLS_part=-2", "_HLS_skip=maybe", "variant=flash"),
        "_HLS_msn=%D9%A3",
    ],
)
async def test_directives_that_make_no_sense_are_refused_at_once(query):
    async with hls_port() as port, port.published(upto(0.5)) as publication:
        await low_latency(port, publication)
        if "variant" not in query:
            query += "&variant=ll"
        assert (await port.get(f"/live/movie.m3u8?{query}")).status == 400


@pytest.mark.parametrize(
    "path",
    [
        *("/live/../etc/passwd.ts", "/live/movie/%2e%2e.ts", "/live/movie/x-1.ts", "/a.ts"),
        *("/live/movie/.ts", "/live/movie/-1.ts", "/live/movie/{prefix}0.ts"),
        *("/live/movie/{prefix}99.ts", "/live/movie/{prefix}1.9.ts", "/live/movie/{prefix}i1.mp4"),
        *("/live/movie/{prefix}x.key", "/live/movie/{prefix}1.m4s"),
        "/live/movie/{prefix}9999999999999999.ts",
    ],
)
async def test_file_names_that_are_none_of_ours_are_refused(path):
    async with hls_port(ONE_SECOND) as port, port.published(upto(4.0)):
        playlist = await port.playlist()
        prefix = playlist.segments[0][0].split("/")[-1].split("-")[0] + "-"
        response = await port.get(path.replace("{prefix}", prefix))
        assert response.status in {400, 403, 404}


async def test_a_file_of_one_stream_is_not_served_under_anothers_name():
    async with hls_port(ONE_SECOND) as port, port.published(upto(4.0)):
        playlist = await port.playlist()
        uri = playlist.segments[0][0].replace("movie/", "other/")
        assert (await port.get(f"/live/{uri}")).status == 403


async def test_head_answers_without_a_body():
    async with hls_port(ONE_SECOND) as port, port.published(upto(4.0)):
        response = await port.get("/live/movie.m3u8", "HEAD")
        assert response.status == 200
        assert not response.body
