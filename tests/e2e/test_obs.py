"""OBS with its default x264 settings publishes; people watch."""

from __future__ import annotations

from pathlib import Path

from kit.chromium import chromium
from kit.ffmpeg import packets, record
from kit.obs import obs_publishing
from kit.pages import FLV_JS, player_page
from kit.programs import find, run
from kit.server import livetrio_server


async def test_obs_publishes_and_is_seen_over_rtmp_http_and_in_a_page(
    tmp_path: Path, clip: Path
) -> None:
    async with livetrio_server(tmp_path) as server:
        service = server.rtmp("").rstrip("/")
        async with obs_publishing(service, "show", clip):
            over_rtmp = await record(server.rtmp("show"), tmp_path / "rtmp.flv", seconds=3)
            over_http = await record(server.flv("show"), tmp_path / "http.flv", seconds=3)
            async with chromium() as browser:
                await browser.open(player_page(tmp_path, FLV_JS, server.flv("show")))
                playback = await browser.playing()
    assert (playback.width, playback.height) == (640, 360)
    for file in (over_rtmp, over_http):
        assert all(len(of_track) > 50 for of_track in (await packets(file)).values())
        shown = "stream=codec_name:frame=pict_type"
        argv = ("-v", "error", "-show_entries", shown, "-of", "csv", str(file))
        said = await run(find("ffprobe"), *argv)
        assert "stream,h264" in said
        assert "stream,aac" in said
        assert "frame,B" in said
