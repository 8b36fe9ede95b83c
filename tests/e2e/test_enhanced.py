"""Enhanced RTMP with a new ffmpeg at both ends: new codecs, and many tracks."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from kit.ffmpeg import contiguous, make_clip, newer_ffmpeg, packets, publishing, recording
from kit.server import livetrio_server

HEVC = ("-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=none", "-g", "25")
AV1 = ("-c:v", "libsvtav1", "-preset", "10", "-g", "25")
VP9 = ("-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-g", "25")
H264 = ("-c:v", "libx264", "-preset", "ultrafast", "-bf", "2", "-g", "25")
OPUS = ("-c:a", "libopus")
FLAC = ("-c:a", "flac")
AC3 = ("-c:a", "ac3")
AAC = ("-c:a", "aac")

FOURCCS = "hvc1,av01,vp09,avc1,Opus,fLaC,ac-3,mp4a"


async def through_livetrio(folder: Path, clip: Path, *, flv: bool, query: str = "") -> None:
    """Publish the clip over enhanced RTMP and check that a player gets its packets unchanged."""
    exe = newer_ffmpeg()
    codecs = ("-rtmp_enhanced_codecs", FOURCCS)
    async with livetrio_server(folder) as server:
        url, says = (server.flv("x") + query, ()) if flv else (server.rtmp("x"), codecs)
        async with (
            recording(url, folder / "got.flv", exe=exe, options=says) as player,
            publishing(clip, server.rtmp("x"), exe=exe, options=codecs) as publisher,
        ):
            assert await publisher.wait() == 0
            file = await player.finished()
    sent, got = await packets(clip, exe=exe), await packets(file, exe=exe)
    assert got.keys() == sent.keys()
    assert all(contiguous(got[track], sent[track]) for track in sent)


@pytest.mark.parametrize("flv", [False, True], ids=["rtmp", "http-flv"])
@pytest.mark.parametrize(
    "encoding",
    [(*HEVC, *OPUS), (*AV1, *OPUS), (*VP9, *FLAC), (*HEVC, *AAC), (*H264, *AC3)],
    ids=["hevc-opus", "av1-opus", "vp9-flac", "hevc-aac", "h264-ac3"],
)
async def test_a_codec_of_enhanced_rtmp_passes_unchanged(
    tmp_path: Path, encoding: tuple[str, ...], flv: bool
) -> None:
    clip = make_clip(tmp_path / "clip.flv", *encoding, seconds=2, newer=True)
    await through_livetrio(tmp_path, clip, flv=flv)


async def test_a_player_that_asks_for_all_tracks_gets_them(tmp_path: Path) -> None:
    # over HTTP, by asking in the address: ffmpeg's connect announces no multitrack ("capsEx")
    encoding = (*H264, *AAC)
    clip = make_clip(tmp_path / "c.flv", *encoding, videos=2, audios=2, seconds=2, newer=True)
    await through_livetrio(tmp_path, clip, flv=True, query="?multitrack=1")


async def test_all_tracks_pass_a_relay_which_announces_multitrack(tmp_path: Path) -> None:
    encoding = (*H264, *AAC)
    clip = make_clip(tmp_path / "c.flv", *encoding, videos=2, audios=2, seconds=4, newer=True)
    here, there, exe = tmp_path / "here", tmp_path / "there", newer_ffmpeg()
    here.mkdir()
    there.mkdir()
    async with livetrio_server(here) as server, livetrio_server(there) as other:
        relay = {"oper": "start", "app": "live", "name": "x", "url": other.rtmp("x")}
        async with httpx.AsyncClient() as client:
            assert (await client.get(server.api("/control/pull"), params=relay)).status_code == 200
        async with (
            recording(f"{server.flv('x')}?multitrack=1", tmp_path / "got.flv", exe=exe) as player,
            publishing(clip, other.rtmp("x"), exe=exe) as publisher,
        ):
            assert await publisher.wait() == 0
            file = await player.finished()
    sent, got = await packets(clip, exe=exe), await packets(file, exe=exe)
    assert got.keys() == sent.keys()
    assert all(contiguous(got[track], sent[track]) for track in sent)


async def test_a_legacy_player_gets_the_first_track_of_each_kind(tmp_path: Path) -> None:
    encoding = (*H264, *AAC)
    clip = make_clip(tmp_path / "c.flv", *encoding, videos=2, audios=2, seconds=2, newer=True)
    exe = newer_ffmpeg()
    async with (
        livetrio_server(tmp_path) as server,
        recording(server.rtmp("x"), tmp_path / "got.flv") as player,
        publishing(clip, server.rtmp("x"), exe=exe) as publisher,
    ):
        assert await publisher.wait() == 0
        file = await player.finished()
    sent, got = await packets(clip, exe=exe), await packets(file)
    assert got.keys() == {"v:0", "a:0"}
    assert all(contiguous(got[track], sent[track]) for track in got)
