"""Every bridge between WebRTC and the rest, with real programs at both ends."""

from __future__ import annotations

from pathlib import Path

from kit.browser_media import Watched, place, watch, whep
from kit.chromium import chromium
from kit.ffmpeg import make_clip, newer_ffmpeg, publishing
from kit.node import node
from kit.obs import obs_publishing
from kit.programs import running


def check_steady(watched: Watched, rate: float) -> None:
    """Every picture, and sound that was not made up."""
    assert watched.frames >= 0.9 * rate * watched.time
    assert watched.energy > 0
    assert watched.concealed < 0.05 * watched.samples


async def test_what_ffmpeg_publishes_by_rtmp_is_seen_and_heard_in_a_browser(clip: Path) -> None:
    # the clip has B-frames and AAC: both renditions are needed
    async with node() as server:
        async with (
            publishing(clip, place(server, "rtmp", "/live/x"), loop=True),
            chromium() as browser,
        ):
            await browser.open(place(server, "web", "/blank"))
            await whep(browser, place(server, "web", "/live/x/whep"))
            watched = await watch(browser)
    assert (watched.width, watched.height) == (320, 180)
    check_steady(watched, 25)


async def test_obs_with_its_default_settings_is_seen_and_heard_in_a_browser(clip: Path) -> None:
    async with node() as server:
        async with (
            obs_publishing(place(server, "rtmp", "/live"), "show", clip),
            chromium() as browser,
        ):
            await browser.open(place(server, "web", "/blank"))
            await whep(browser, place(server, "web", "/live/show/whep"))
            watched = await watch(browser, deadline=120)
    assert (watched.width, watched.height) == (640, 360)
    # OBS draws in software here, and skips pictures when it is late
    check_steady(watched, 15)


async def test_what_ffmpeg_publishes_by_whip_is_seen_and_heard_in_a_browser(
    tmp_path: Path,
) -> None:
    encoding = (
        *("-c:v", "libx264", "-preset", "ultrafast", "-profile:v", "baseline", "-bf", "0"),
        *("-g", "25", "-c:a", "libopus", "-ac", "2"),
    )
    clip = make_clip(tmp_path / "clip.mkv", *encoding, newer=True)
    async with node() as server:
        url = place(server, "web", "/live/x/whip")
        argv = ("-nostdin", "-re", "-stream_loop", "-1", "-i", str(clip), "-map", "0", "-c", "copy")
        async with (
            running(newer_ffmpeg(), *argv, "-f", "whip", url) as publisher,
            chromium() as browser,
        ):
            await browser.open(place(server, "web", "/blank"))
            try:
                await whep(browser, place(server, "web", "/live/x/whep"))
                watched = await watch(browser)
            except Exception as error:
                raise AssertionError(publisher.output) from error
    assert (watched.width, watched.height) == (320, 180)
    check_steady(watched, 25)
