"""HLS with real players: ffmpeg, mkvmerge, a playlist parser from PyPI, hls.js in Chromium."""

from __future__ import annotations

import subprocess
from pathlib import Path

import httpx
import m3u8
import pytest
import trio
from kit.chromium import chromium
from kit.ffmpeg import make_clip, newer_ffmpeg, publishing
from kit.hls import Playlist, check_low_latency
from kit.hls_page import hls_state, moves_on, open_hls
from kit.programs import find, run
from kit.server import Server, livetrio_server

VARIANTS = ("ts", "fmp4", "ll")


async def fetch(url: str) -> bytes:
    async with httpx.AsyncClient() as client:
        response = await client.get(url, timeout=30)
        assert response.status_code == 200, (url, response.status_code, response.content[:200])
        return response.content


async def playlist_text(server: Server, variant: str, segments: int = 2) -> str:
    """The playlist as soon as it has so many segments."""
    async with httpx.AsyncClient() as client:
        with trio.fail_after(60):
            while True:
                response = await client.get(f"{server.hls('x')}?variant={variant}", timeout=30)
                if response.status_code == 200:
                    if len(Playlist.parse(response.text).segments) >= segments:
                        return response.text
                else:
                    assert response.text == "no publisher\n"
                await trio.sleep(0.2)


async def decoded(*argv: str, exe: str | None = None) -> str:
    """What ffmpeg has to say about a URL or file that it decodes: nothing, if all is well."""
    # Not its warnings: of a live fMP4 playlist it says that it skips the header it has already.
    quiet = ("-hide_banner", "-nostdin", "-loglevel", "error")
    command = [exe or find("ffmpeg"), *quiet, *argv, "-f", "null", "-"]
    with trio.fail_after(90):
        done = await trio.run_process(
            command, stdin=subprocess.DEVNULL, capture_stderr=True, check=False
        )
    assert done.returncode == 0, done.stderr.decode()
    return done.stderr.decode()


@pytest.mark.parametrize("variant", VARIANTS)
async def test_ffmpeg_decodes_every_variant_without_a_complaint(
    tmp_path: Path, clip: Path, variant: str
) -> None:
    async with (
        livetrio_server(tmp_path, hls={"segment": 1}) as server,
        publishing(clip, server.rtmp("x"), loop=True),
    ):
        await playlist_text(server, variant)
        url = f"{server.hls('x')}?variant={variant}"
        assert await decoded("-i", url, "-t", "4") == ""
        entries = ("-show_entries", "stream=codec_name", "-of", "csv=p=0")
        codecs = await run(find("ffprobe"), "-v", "error", *entries, url)
        assert set(codecs.split()) >= {"h264", "aac"}


@pytest.mark.parametrize(
    ("encoding", "codec"),
    [
        (("-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "keyint=25:log-level=none"),
         "hevc"),
        (("-c:v", "libaom-av1", "-cpu-used", "8", "-usage", "realtime", "-g", "25"), "av1"),
        (("-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-g", "25"), "vp9"),
    ],
)  # fmt: skip
async def test_newer_codecs_decode_as_well(
    tmp_path: Path, encoding: tuple[str, ...], codec: str
) -> None:
    clip = make_clip(tmp_path / "clip.mp4", *encoding, "-c:a", "aac", seconds=4, newer=True)
    async with (
        livetrio_server(tmp_path, hls={"segment": 1}) as server,
        publishing(clip, server.rtmp("x"), exe=newer_ffmpeg(), loop=True),
    ):
        for variant in ("ts", "fmp4") if codec == "hevc" else ("fmp4",):
            await playlist_text(server, variant)
            url = f"{server.hls('x')}?variant={variant}"
            assert await decoded("-i", url, "-t", "3", exe=newer_ffmpeg()) == ""
            shown = await run(find("ffprobe"), "-v", "error", "-show_entries",
                              "stream=codec_name", "-of", "csv=p=0", url)  # fmt: skip
            assert codec in shown.split()


@pytest.mark.parametrize("variant", VARIANTS)
async def test_another_parser_reads_our_playlists_as_we_mean_them(
    tmp_path: Path, clip: Path, variant: str
) -> None:
    async with (
        livetrio_server(tmp_path, hls={"segment": 1}) as server,
        publishing(clip, server.rtmp("x"), loop=True),
    ):
        text = await playlist_text(server, variant)
    ours, theirs = Playlist.parse(text), m3u8.loads(text)
    whole = [segment for segment in theirs.segments if segment.uri]
    assert [(s.uri, s.duration) for s in whole] == ours.segments
    assert theirs.media_sequence == ours.sequence
    assert theirs.target_duration == int(ours.tags["#EXT-X-TARGETDURATION"])
    assert all(segment.program_date_time for segment in whole)
    if variant == "ll":
        check_low_latency(ours)
        parts = [part for segment in theirs.segments for part in segment.parts]
        assert [part.uri for part in parts] == [part["URI"] for part in ours.parts]
        assert theirs.preload_hint.uri == ours.hint
        assert theirs.server_control.can_block_reload == "YES"


@pytest.mark.parametrize("variant", ["fmp4", "ll"])
async def test_an_independent_reader_finds_every_frame_in_our_mp4(
    tmp_path: Path, clip: Path, variant: str
) -> None:
    async with (
        livetrio_server(tmp_path, hls={"segment": 1}) as server,
        publishing(clip, server.rtmp("x"), loop=True),
    ):
        playlist = Playlist.parse(await playlist_text(server, variant))
        base = server.hls("x").rpartition("/")[0]
        data = await fetch(f"{base}/{playlist.maps[0]}")
        for uri, _ in playlist.segments[:2]:
            data += await fetch(f"{base}/{uri}")
    file = tmp_path / "got.mp4"
    file.write_bytes(data)
    # Ends with 1 if there is a single warning.
    await run(find("mkvmerge"), "-q", "-o", str(tmp_path / "got.mkv"), str(file))
    assert await decoded("-i", str(tmp_path / "got.mkv")) == ""
    shown = await run(find("ffprobe"), "-v", "error", "-count_packets", "-select_streams", "v",
                      "-show_entries", "stream=nb_read_packets", "-of", "csv=p=0",
                      str(tmp_path / "got.mkv"))  # fmt: skip
    wanted = sum(round(duration * 25) for _, duration in playlist.segments[:2])
    assert int(shown) == wanted


@pytest.mark.parametrize("variant", VARIANTS)
async def test_hls_js_plays_on_across_a_republish_with_another_picture(
    tmp_path: Path, clip: Path, variant: str
) -> None:
    other = make_clip(
        tmp_path / "other.flv",
        *("-vf", "scale=640:360", "-c:v", "libx264", "-preset", "ultrafast", "-g", "25"),
        *("-profile:v", "high", "-c:a", "aac", "-ar", "44100"),
    )
    async with livetrio_server(tmp_path, hls={"segment": 1}) as server, chromium() as browser:
        async with publishing(clip, server.rtmp("x"), loop=True):
            await playlist_text(server, variant)
            url = f"{server.hls('x')}?variant={variant}"
            await open_hls(browser, server, url, lowLatencyMode=variant == "ll")
            playing = await browser.playing()
            assert playing.width == 320
        async with publishing(other, server.rtmp("x"), loop=True):
            now = await moves_on(browser, playing, width=640)
            await moves_on(browser, now)


async def test_hls_js_plays_on_across_a_change_of_codec(tmp_path: Path, clip: Path) -> None:
    other = make_clip(
        tmp_path / "other.mp4",
        *("-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-g", "25"),
        *("-vf", "scale=640:360", "-c:a", "aac"),
        newer=True,
    )
    async with livetrio_server(tmp_path, hls={"segment": 1}) as server, chromium() as browser:
        async with publishing(clip, server.rtmp("x"), loop=True):
            await playlist_text(server, "fmp4")
            await open_hls(browser, server, f"{server.hls('x')}?variant=fmp4")
            playing = await browser.playing()
        async with publishing(other, server.rtmp("x"), exe=newer_ffmpeg(), loop=True):
            await moves_on(browser, playing, width=640)


async def test_low_latency_in_hls_js_is_low(tmp_path: Path, clip: Path) -> None:
    async with (
        livetrio_server(tmp_path) as server,
        publishing(clip, server.rtmp("x"), loop=True),
        chromium() as browser,
    ):
        await playlist_text(server, "ll")
        url = f"{server.hls('x')}?variant=ll"
        await open_hls(browser, server, url, lowLatencyMode=True)
        await moves_on(browser, await browser.playing())
        state = await hls_state(browser)
        print(f"behind the server by {state['behind']} ms; hls.js says {state['latency']} s")
        assert state["lowLatency"]
        assert not [fault for fault in state["faults"] if str(fault).startswith("FATAL")]
