"""HLS behind nginx as docs/hls.md has it: HTTPS, HTTP/2, segments cached, LL-HLS at its pace."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest
import trio
import trustme
from kit.chromium import chromium
from kit.ffmpeg import publishing
from kit.hls import Playlist, check_low_latency
from kit.hls_page import hls_state, moves_on, open_hls
from kit.nginx import nginx_http
from kit.programs import find, free_port, run
from kit.server import Server, livetrio_server

DOC = Path(__file__).parents[2] / "docs" / "hls.md"


class Front(NamedTuple):
    """A livetrio, and the nginx before it."""

    server: Server
    port: int
    folder: Path

    def url(self, path: str) -> str:
        return f"https://127.0.0.1:{self.port}/{path}"

    async def curl(self, path: str, *options: str) -> str:
        """The body over HTTP/2, whatever its status."""
        quiet = ("--silent", "--show-error", "--insecure", "--max-time", "30")
        return await run(find("curl"), *quiet, "--http2", *options, self.url(path))

    def log(self) -> list[list[str]]:
        """What nginx was asked for: protocol, status, cache status, target."""
        return [line.split() for line in (self.folder / "access.log").read_text().splitlines()]

    async def playlist(self, variant: str, segments: int = 2) -> Playlist:
        """As soon as it has so many segments."""
        with trio.fail_after(60):
            while True:
                text = await self.curl(f"live/x.m3u8?variant={variant}")
                playlist = Playlist.parse(text)
                if len(playlist.segments) >= segments:
                    return playlist
                await trio.sleep(0.2)


def as_documented(folder: Path, port: int, hls: int) -> str:
    """The example of the documentation, with this machine's ports and paths."""
    (example,) = re.findall(r"```nginx\n(.*?)```", DOC.read_text(encoding="utf-8"), re.DOTALL)
    certificate = trustme.CA().issue_cert("127.0.0.1", "live.example.com")
    certificate.cert_chain_pems[0].write_to_path(folder / "live.pem")
    certificate.private_key_pem.write_to_path(folder / "live.key")
    for theirs, ours in {
        "listen 443 ": f"listen 127.0.0.1:{port} ",
        "127.0.0.1:7002": f"127.0.0.1:{hls}",
        "/etc/ssl/live.pem": f"{folder}/live.pem",
        "/etc/ssl/live.key": f"{folder}/live.key",
        "/var/cache/nginx/hls": f"{folder}/cache",
    }.items():
        assert example.count(theirs) == 1, theirs
        example = example.replace(theirs, ours)
    return example


@asynccontextmanager
async def fronted(tmp_path: Path, clip: Path) -> AsyncIterator[Front]:
    folder, port = tmp_path / "nginx", free_port()
    folder.mkdir()
    settings = {"trusted_proxies": ["127.0.0.1"], "hls": {"segment": 1}, "resume_window": 0}
    async with livetrio_server(tmp_path, **settings) as server:
        blocks = as_documented(folder, port, server.ports["hls"])
        async with (
            nginx_http(folder, blocks, port),
            publishing(clip, server.rtmp("x"), loop=True),
        ):
            yield Front(server, port, folder)


@pytest.mark.parametrize("variant", ["ts", "fmp4"])
async def test_segments_come_over_http2_and_once_asked_for_out_of_the_cache(
    tmp_path: Path, clip: Path, variant: str
) -> None:
    async with fronted(tmp_path, clip) as front:
        playlist = await front.playlist(variant)
        uri = f"live/{playlist.segments[0][0]}"
        version = await front.curl(uri, "-o", str(tmp_path / "1"), "-w", "%{http_version}")
        assert version == "2"
        await front.curl(uri, "-o", str(tmp_path / "2"))
        assert (tmp_path / "1").read_bytes() == (tmp_path / "2").read_bytes()
        found = [entry for entry in front.log() if entry[3] == f"/{uri}"]
        assert [entry[:3] for entry in found] == [
            ["HTTP/2.0", "200", "MISS"],
            ["HTTP/2.0", "200", "HIT"],
        ]


async def test_viewers_are_known_by_their_own_addresses(tmp_path: Path, clip: Path) -> None:
    async with fronted(tmp_path, clip) as front, httpx.AsyncClient() as client:
        await front.playlist("ts")
        for number in (5, 6):
            await front.curl("live/x.m3u8", "--interface", f"127.0.0.{number}")
        answer = await client.get(front.server.api("/v1/clients"))
        addresses = {i["address"] for i in answer.json()["items"] if i["protocol"] == "hls"}
        assert {address.partition(":")[0] for address in addresses} >= {"127.0.0.5", "127.0.0.6"}


async def test_a_part_that_many_wait_for_reaches_all_and_a_segment_is_fetched_once_for_all(
    tmp_path: Path, clip: Path
) -> None:
    async with fronted(tmp_path, clip) as front:
        await front.playlist("ll", 3)
        text = await front.curl("live/x.m3u8?variant=ll")
        playlist = Playlist.parse(text)
        check_low_latency(playlist)
        part, segment = f"live/{playlist.hint}", f"live/{playlist.segments[-1][0]}"
        files = [tmp_path / f"{number}.m4s" for number in range(8)]
        for uri, cached in (part, {"-"}), (segment, {"HIT", "MISS"}):
            async with trio.open_nursery() as nursery:
                for file in files:
                    nursery.start_soon(front.curl, uri, "-o", str(file))
            assert len({file.read_bytes() for file in files}) == 1
            assert files[0].stat().st_size > 100
            found = [entry[1:3] for entry in front.log() if entry[3] == f"/{uri}"]
            assert len(found) == 8
            assert {status for status, _ in found} == {"200"}
            assert {cache for _, cache in found} == cached
            assert [cache for _, cache in found].count("MISS") <= 1


async def test_a_blocking_reload_waits_for_its_part_and_the_future_is_refused(
    tmp_path: Path, clip: Path
) -> None:
    async with fronted(tmp_path, clip) as front:
        playlist = await front.playlist("ll", 3)
        wanted = f"_HLS_msn={playlist.last + 1}&_HLS_part={playlist.trailing_parts}"
        after = Playlist.parse(await front.curl(f"live/x.m3u8?variant=ll&{wanted}"))
        assert (after.last, after.trailing_parts) > (playlist.last, playlist.trailing_parts)
        target = f"live/x.m3u8?variant=ll&_HLS_msn={playlist.last + 100}"
        code = await front.curl(target, "-o", "/dev/null", "-w", "%{http_code}")
        assert code == "400"


async def test_hls_js_plays_with_low_latency_over_http2(tmp_path: Path, clip: Path) -> None:
    async with (
        fronted(tmp_path, clip) as front,
        chromium("--ignore-certificate-errors") as browser,
    ):
        await front.playlist("ll")
        url = front.url("live/x.m3u8?variant=ll")
        await open_hls(browser, front.server, url, lowLatencyMode=True)
        await moves_on(browser, await browser.playing())
        state = await hls_state(browser)
        print(f"behind the server by {state['behind']} ms; hls.js says {state['latency']} s")
        assert state["lowLatency"]
        assert not [fault for fault in state["faults"] if str(fault).startswith("FATAL")]
        reloads = [entry for entry in front.log() if "_HLS_part=" in entry[3]]
        assert len(reloads) > 4
        assert {entry[0] for entry in reloads} == {"HTTP/2.0"}
