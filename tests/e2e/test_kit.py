"""The judges judged: each real program does its part against a peer that is not livetrio."""

from __future__ import annotations

import base64
import sys
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

import psutil
import pytest
import trio
from kit.chromium import chromium
from kit.ffmpeg import contiguous, make_clip, newer_ffmpeg, packets, publishing, record, recording
from kit.nginx import nginx_rtmp
from kit.obs import obs_publishing
from kit.pages import FLV_JS, player_page
from kit.programs import ProgramError, eventually, find, free_port, run, running


def state_of(pid: int) -> str:
    with suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status()
    return psutil.STATUS_ZOMBIE


async def test_obs_sends_h264_with_b_frames_and_aac(tmp_path: Path, clip: Path) -> None:
    async with nginx_rtmp(tmp_path) as nginx:
        server, key = nginx.url("key").rsplit("/", 1)
        async with obs_publishing(server, key, clip):
            file = await record(nginx.url("key"), tmp_path / "obs.flv", seconds=4)
    shown = "stream=codec_name:frame=pict_type"
    said = await run(
        find("ffprobe"), "-v", "error", "-show_entries", shown, "-of", "csv", str(file)
    )
    assert "stream,h264" in said
    assert "stream,aac" in said
    assert "frame,B" in said


async def test_nginx_hands_on_unchanged_what_ffmpeg_published(tmp_path: Path, clip: Path) -> None:
    file = tmp_path / "got.flv"
    async with nginx_rtmp(tmp_path) as nginx, trio.open_nursery() as nursery:
        nursery.start_soon(partial(record, nginx.url("x"), file, seconds=2))
        async with publishing(clip, nginx.url("x")) as publisher:
            await publisher.wait()
    sent, got = await packets(clip), await packets(file)
    assert all(contiguous(got[track], sent[track]) for track in sent)


async def test_the_newer_ffmpeg_carries_four_tracks_of_hevc_and_opus(tmp_path: Path) -> None:
    codecs = ("-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=0",
              "-g", "25", "-c:a", "libopus")  # fmt: skip
    clip = make_clip(tmp_path / "many.flv", *codecs, videos=2, audios=2, seconds=2, newer=True)
    exe = newer_ffmpeg()
    url = f"rtmp://127.0.0.1:{free_port()}/live/x"
    async with recording(url, tmp_path / "got.flv", exe=exe, options=("-listen", "1")) as player:
        # ffmpeg as a server does not say when it listens
        for _ in range(50):
            with trio.move_on_after(10):
                async with publishing(clip, url, exe=exe) as publisher:
                    if await publisher.wait() == 0:
                        break
            await trio.sleep(0.2)
        file = await player.finished()
    sent, got = await packets(clip, exe=exe), await packets(file, exe=exe)
    assert len(got) == 4
    assert all(contiguous(got[track], sent[track]) for track in sent)


async def test_chromium_plays_with_flv_js_and_decodes_the_sound(tmp_path: Path, clip: Path) -> None:
    data = base64.b64encode(await trio.Path(clip).read_bytes()).decode()
    async with chromium() as browser:
        await browser.open(player_page(tmp_path, FLV_JS, f"data:video/x-flv;base64,{data}"))
        playback = await browser.playing()
    assert (playback.width, playback.height) == (320, 180)


async def test_a_video_that_does_not_play_is_reported_with_the_console(tmp_path: Path) -> None:
    nobody = f"http://127.0.0.1:{free_port()}/live/x.flv"
    async with chromium() as browser:
        await browser.open(player_page(tmp_path, FLV_JS, nobody))
        with pytest.raises(AssertionError, match="ERR_CONNECTION_REFUSED"):
            await browser.playing(deadline=2)


async def test_a_line_that_never_comes_is_reported_with_what_came() -> None:
    async with running(sys.executable, "-c", "print('hello'); raise SystemExit(3)") as program:
        with pytest.raises(ProgramError, match="hello"):
            await program.line("goodbye")
        assert await program.wait() == 3


async def test_leaving_the_scope_ends_the_grandchildren_too() -> None:
    code = (
        "import subprocess as s; p = s.Popen(['sleep', '60']); print(p.pid, flush=True); p.wait()"
    )
    async with running(sys.executable, "-c", code) as program:
        pid = int((await program.line(r"^(\d+)$"))[1])
    # dead, or a zombie waiting for whoever adopted it
    await eventually(lambda: state_of(pid) == psutil.STATUS_ZOMBIE)


async def test_a_command_out_of_time_is_killed_with_all_it_started(tmp_path: Path) -> None:
    file = tmp_path / "pid"
    with pytest.raises(ProgramError, match="ran longer than"):
        await run("sh", "-c", 'sleep 60 & echo $! > "$0"; wait', str(file), deadline=1)
    pid = int(file.read_text())
    await eventually(lambda: state_of(pid) == psutil.STATUS_ZOMBIE)


async def test_a_run_of_packets_is_contiguous_only_without_gap_or_change(clip: Path) -> None:
    whole = (await packets(clip))["v:0"]
    later = [replace(p, dts=p.dts + 5000, pts=p.pts + 5000) for p in whole]
    assert contiguous(whole, whole)
    assert contiguous(later[10:20], whole)
    assert not contiguous([], whole)
    assert not contiguous(later[10:15] + later[16:20], whole)
    assert not contiguous([*later[10:15], later[14]], whole)
    assert not contiguous([*later[10:14], replace(later[14], md5="0")], whole)
    assert not contiguous([*later[10:14], replace(later[14], pts=later[14].pts + 1)], whole)
