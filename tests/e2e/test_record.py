"""Recording in a server of its own: what ffmpeg publishes is in the files, whatever happens."""

from __future__ import annotations

import json
import os
import re
import signal
from pathlib import Path

import pytest
import trio
from kit.ffmpeg import packets, publishing
from kit.programs import eventually, find, run
from kit.server import Server, livetrio_server

FORMATS = {"flv": ".flv", "fmp4": ".mp4", "ts": ".ts"}


def recording_apps(format_: str) -> list[dict]:
    return [{"appname": "live", "auth": "none", "record": format_}]


async def decoded(path: Path) -> float:
    """Decode all of a file without an error line; its length in seconds."""
    said = await run(find("ffmpeg"), "-v", "warning", "-xerror", "-i", str(path), "-f", "null", "-")
    assert said == ""
    about = await run(
        find("ffprobe"), "-v", "error", "-show_entries", "format=duration:packet=pts_time",
        "-select_streams", "v", "-of", "json", str(path),
    )  # fmt: skip
    times = [float(p["pts_time"]) for p in json.loads(about)["packets"] if "pts_time" in p]
    return max(times) - min(times)


def files(server: Server, suffix: str, *, least: int = 0) -> list[Path]:
    found = (server.folder / "data" / "recordings").rglob(f"*{suffix}")
    return [path for path in found if path.stat().st_size > least]


@pytest.mark.parametrize("format_", FORMATS)
async def test_what_is_published_is_in_the_file(tmp_path, clip, format_):
    async with livetrio_server(tmp_path, server=recording_apps(format_)) as server:
        async with publishing(clip, server.rtmp("x")) as program:
            await program.wait()
        await server.program.line("record.done")
        (path,) = files(server, FORMATS[format_])
        assert await decoded(path) == pytest.approx(4.0, abs=0.2)
        if format_ != "ts":  # there the frames are in Annex B and ADTS
            taken, given = await packets(path), await packets(clip)
            for track in ("v:0", "a:0"):
                assert [p.md5 for p in taken[track]] == [p.md5 for p in given[track]]


@pytest.mark.parametrize("format_", FORMATS)
async def test_a_clip_and_a_past_interval_decode_while_the_recording_goes_on(
    tmp_path, clip, format_
):
    async with livetrio_server(tmp_path, server=recording_apps(format_)) as server:
        async with publishing(clip, server.rtmp("x"), loop=True):
            await eventually(lambda: files(server, FORMATS[format_], least=500_000), deadline=30)
            listed = await run(find("curl"), "-s", server.api("/v1/recordings"))
            (one,) = json.loads(listed)["recordings"]
            interval = f"from={one['start'] + 1.5}&to={one['start'] + 3.5}"
            got = tmp_path / "clip.mp4"
            url = server.api(f"/v1/streams/live/x/clip?{interval}")
            await run(find("curl"), "-sf", "-o", str(got), url)
            assert await decoded(got) == pytest.approx(3.0, abs=0.1)
            past = server.hls("x").replace(".m3u8", f"/timeshift.m3u8?{interval}")
            said = await run(
                find("ffmpeg"), "-v", "warning", "-xerror", "-i", past, "-f", "null", "-"
            )
            assert said == ""


@pytest.mark.parametrize("format_", FORMATS)
async def test_after_kill_9_in_the_middle_the_file_plays_and_is_known_again(
    tmp_path, clip, format_
):
    async with livetrio_server(tmp_path, server=recording_apps(format_)) as server:
        async with publishing(clip, server.rtmp("x"), loop=True):
            await eventually(lambda: files(server, FORMATS[format_], least=300_000), deadline=30)
            os.kill(server.program.pid, signal.SIGKILL)
            await server.program.wait()
    (path,) = files(server, FORMATS[format_])
    assert await decoded(path) > 2.0
    async with livetrio_server(tmp_path, server=recording_apps(format_)) as server:
        listed = await run(find("curl"), "-s", server.api("/v1/recordings"))
        (one,) = json.loads(listed)["recordings"]
        assert one["size"] == path.stat().st_size
        assert not one["finished"]


async def test_a_full_disk_is_noticed_and_the_stream_goes_on(tmp_path, clip):
    # the kernel's own refusal: no file longer than so many blocks of 1,024 bytes
    async with livetrio_server(tmp_path, server=recording_apps("fmp4")) as server:
        await run("prlimit", f"--pid={server.program.pid}", "--fsize=200000")
        async with publishing(clip, server.rtmp("x"), loop=True):
            await server.program.line("recording failed, to be tried again")
            await server.program.line("record.done")
            count = await run(find("curl"), "-s", server.api("/v1/streams"))
            assert json.loads(count)["total"] == 1
            (path,) = files(server, ".mp4", least=1)
            assert path.stat().st_size <= 200_000
            assert await decoded(path) > 0.5
            metrics = await run(find("curl"), "-s", server.api("/metrics"))
            assert re.search(r"^livetrio_record_failures_total [1-9]", metrics, re.MULTILINE)


async def test_a_folder_that_cannot_be_made_is_noticed_and_the_stream_goes_on(tmp_path, clip):
    settings = {"server": recording_apps("flv"), "record": {"dir": "/proc/livetrio"}}
    async with livetrio_server(tmp_path, **settings) as server:
        async with publishing(clip, server.rtmp("x"), loop=True) as program:
            await server.program.line("recording failed, to be tried again")
            with trio.move_on_after(1):
                await program.wait()
                raise AssertionError("the publisher was let down")
