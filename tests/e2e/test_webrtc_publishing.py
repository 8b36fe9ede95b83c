"""A browser publishes by WHIP; ffmpeg and ffprobe watch by everything else."""

from __future__ import annotations

import pytest
import trio_asyncio
from kit.aiortc_media import aiortc_player, aiortc_publisher
from kit.browser_media import FAKE_DEVICES, place, watch, whep, whip
from kit.chromium import chromium
from kit.ffmpeg import newer_ffmpeg
from kit.node import node
from kit.programs import eventually, find, running

from livetrio.packet import Kind

SECONDS = 4


async def decoded(url: str, *, exe: str | None = None, seconds: float = SECONDS) -> str:
    """Decode a few seconds of `url` as its player would; what ffmpeg says of it, errors too."""
    argv = ("-hide_banner", "-nostdin", "-i", url, "-t", str(seconds), "-f", "null", "-")
    async with running(exe or find("ffmpeg"), *argv) as program:
        code = await program.wait(deadline=60)
        assert code == 0, program.output
        return program.output


async def test_a_browser_is_seen_by_rtmp_http_flv_and_hls_players() -> None:
    async with node() as server, chromium(*FAKE_DEVICES) as browser:
        await browser.open(place(server, "web", "/blank"))
        await whip(browser, place(server, "web", "/live/x/whip"), codec="video/H264")
        for url in (
            place(server, "rtmp", "/live/x"),
            place(server, "httpflv", "/live/x.flv"),
            place(server, "hls", "/live/x.m3u8"),
        ):
            said = await decoded(url)
            assert "Video: h264" in said, said
            assert "Audio: aac" in said, said
            assert "320x180" in said, said
            assert "error" not in said.lower(), said


@pytest.mark.parametrize(
    ("codec", "path"),
    [
        ("VP9", "/live/x.flv?audio=opus"),
        ("AV1", "/live/x.flv?audio=opus"),
        ("H264", "/live/x.flv?audio=opus"),
        ("VP8", "/live/x.m3u8?variant=fmp4"),  # ffmpeg reads no VP8 in FLV
        ("VP9", "/live/x.m3u8?variant=fmp4"),
        ("AV1", "/live/x.m3u8?variant=fmp4"),
    ],
)
async def test_what_a_browser_encodes_goes_out_as_it_is(codec: str, path: str) -> None:
    async with node() as server, chromium(*FAKE_DEVICES) as browser:
        await browser.open(place(server, "web", "/blank"))
        await whip(browser, place(server, "web", "/live/x/whip"), codec=f"video/{codec}")
        said = await decoded(place(server, "httpflv", path), exe=newer_ffmpeg())
    assert f"Video: {codec.lower()}" in said, said
    assert "Audio: opus" in said, said
    assert "320x180" in said, said
    assert "error" not in said.lower(), said


@pytest.mark.parametrize("codec", ["VP8", "VP9", "AV1", "H264"])
async def test_one_browser_is_seen_and_heard_by_another(codec: str) -> None:
    async with (
        node() as server,
        chromium(*FAKE_DEVICES) as one,
        chromium() as other,
    ):
        for browser in (one, other):
            await browser.open(place(server, "web", "/blank"))
        await whip(one, place(server, "web", "/live/x/whip"), codec=f"video/{codec}")
        await whep(other, place(server, "web", "/live/x/whep"))
        watched = await watch(other)
    assert (watched.width, watched.height) == (320, 180)
    assert watched.frames > 10 * watched.time
    assert watched.energy > 0


async def test_the_layers_of_simulcast_are_tracks_that_viewers_choose_among() -> None:
    async with (
        node() as server,
        chromium(*FAKE_DEVICES) as one,
        chromium() as other,
    ):
        for browser in (one, other):
            await browser.open(place(server, "web", "/blank"))
        url = place(server, "web", "/live/x/whip")
        layers = ("l", "m", "h")  # Chromium sends three from 960 x 540 on
        await whip(one, url, codec="video/VP8", layers=layers, size=(960, 540))
        stream = server.registry.streams

        def widths() -> set[int]:
            found = [track for each in stream.values() for track in each.tracks]
            return {track.width for track in found if track.kind is Kind.VIDEO}

        await eventually(lambda: widths() >= {240, 480, 960}, deadline=40)
        await whep(other, place(server, "web", "/live/x/whep?layer=2"))
        watched = await watch(other, 3)
        assert (watched.width, watched.height) == (240, 135)
        layer = await other.js("return window.links.match(/<([^>]+layer)>/)[1]")
        script = "return (await fetch(arguments[0], {method: 'POST', body: arguments[1]})).status"
        assert await other.js(script, layer, '{"encodingId": "0"}') == 200

        async def is_wide() -> bool:
            return (await watch(other, 0.5, freezes=True)).width == 960

        await other.until(is_wide)


async def test_what_aiortc_publishes_aiortc_watches() -> None:
    async with node() as server, trio_asyncio.open_loop():
        async with (
            aiortc_publisher(place(server, "web", "/live/x/whip")),
            aiortc_player(place(server, "web", "/live/x/whep")) as received,
        ):
            await eventually(lambda: received.pictures > 60 and received.samples > 200_000)
    assert len(received.shades) > 20
    assert received.loudest > 4_000
