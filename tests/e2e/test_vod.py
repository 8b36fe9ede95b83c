"""Stored files with real players: ffmpeg and rtmpdump over RTMP, HTTP-FLV, HTTP and HLS."""

from __future__ import annotations

import json
from pathlib import Path

import m3u8
import pytest
from kit.ffmpeg import make_clip, newer_ffmpeg, packets, record
from kit.programs import find, run
from kit.server import livetrio_server

SERVER = [{"appname": "vod", "play": "films"}, {"appname": "live"}]


@pytest.fixture(scope="session")
def film(tmp_path_factory) -> Path:
    """Nine seconds of H.264 with B-frames and AAC in MP4, a key frame each second."""
    return make_clip(tmp_path_factory.mktemp("films") / "35.mp4", seconds=9)


@pytest.fixture
async def server(tmp_path, film):
    folder = tmp_path / "films"
    folder.mkdir()
    (folder / "35.mp4").symlink_to(film)
    (folder / "out.mp4").symlink_to("/etc/hostname")
    own = folder / "own.mp4"
    own.write_bytes(film.read_bytes())
    flv = ("-v", "error", "-i", str(film), "-c", "copy")
    await run(find("ffmpeg"), *flv, str(folder / "36.flv"))
    await run(find("ffmpeg"), *flv, str(folder / "foreign.ts"))
    cut = ("-movflags", "frag_keyframe+empty_moov")
    await run(find("ffmpeg"), *flv, *cut, str(folder / "cut.mp4"))
    settings = [{**SERVER[0], "play": str(folder)}, SERVER[1]]
    async with livetrio_server(tmp_path, server=settings) as running:
        yield running


async def sums(path: Path) -> dict[str, list[str]]:
    return {
        name: [p.md5 for p in them]
        for name, them in (await packets(path)).items()
        if name[0] in "va"
    }


@pytest.mark.parametrize(
    "name", ["own", "mp4:own", "own.mp4", "36", "flv:36", "cut", "foreign", "foreign.ts"]
)
async def test_ffmpeg_plays_a_file_over_rtmp_frame_by_frame(server, tmp_path, film, name):
    got = await record(server.rtmp(name, app="vod"), tmp_path / "got.flv", seconds=99)
    assert await sums(got) == await sums(film)


async def test_ffmpeg_seeks_over_rtmp(server, tmp_path):
    url = server.rtmp("own", app="vod")
    got = await record(url, tmp_path / "got.flv", seconds=99, options=("-ss", "6"))
    # ffmpeg asks for a little less than 6 s, which may be the key frame before
    assert len((await packets(got))["v:0"]) in (75, 100)


async def test_rtmpdump_starts_in_the_middle(server, tmp_path):
    path = tmp_path / "got.flv"
    url = server.rtmp("mp4:own", app="vod")
    await run(find("rtmpdump"), "-q", "-r", url, "-A", "5", "-o", str(path))
    assert len((await packets(path))["v:0"]) == 100


@pytest.mark.parametrize("name", ["own", "36", "cut", "foreign"])
async def test_ffmpeg_plays_a_file_as_hls_without_an_error(server, tmp_path, film, name):
    url = server.hls(name, app="vod")
    said = await run(find("ffmpeg"), "-v", "warning", "-xerror", "-i", url, "-f", "null", "-")
    assert said == ""
    got = await sums(await record(url, tmp_path / "got.mp4", seconds=99))
    whole = await sums(film)
    assert got["v:0"] == whole["v:0"]
    # ffmpeg's demuxer keeps the very last frame of sound to itself
    assert got["a:0"][:-1] == whole["a:0"][: len(got["a:0"]) - 1]
    assert len(whole["a:0"]) - len(got["a:0"]) in (0, 1)


async def test_ffmpeg_seeks_in_hls(server, tmp_path):
    # Debian's cannot seek in fragmented MP4 over HLS, its own neither
    options = {"exe": newer_ffmpeg(), "options": ("-ss", "7")}
    got = await record(server.hls("own", app="vod"), tmp_path / "got.mp4", seconds=99, **options)
    assert len((await packets(got))["v:0"]) in (50, 75)


@pytest.mark.parametrize("name", ["own", "36", "foreign"])
async def test_ffmpeg_plays_flv_over_http_from_any_second(server, tmp_path, film, name):
    whole = await record(server.flv(name, app="vod"), tmp_path / "whole.flv", seconds=99)
    assert await sums(whole) == await sums(film)
    url = server.flv(name, app="vod") + "?start=6.5"
    late = await record(url, tmp_path / "late.flv", seconds=99)
    assert len((await packets(late))["v:0"]) == 75


async def test_ffprobe_reads_a_movie_by_ranges(server):
    url = server.flv("own", app="vod").replace(".flv", ".mp4")
    about = await run(
        find("ffprobe"), "-v", "error", "-show_entries", "format=duration", "-of", "json", url
    )
    assert float(json.loads(about)["format"]["duration"]) == pytest.approx(9.0, abs=0.1)


async def test_ffmpeg_plays_and_seeks_in_a_transport_stream_by_ranges(server, tmp_path):
    url = server.flv("foreign", app="vod").replace(".flv", ".ts")
    got = await record(url, tmp_path / "got.mp4", seconds=99, options=("-ss", "7"))
    assert len((await packets(got))["v:0"]) in (50, 75)


@pytest.mark.parametrize("suffix", ["flv", "ts"])
async def test_ffmpeg_decodes_both_parts_of_a_file_that_changes_its_size(
    server, tmp_path, film, suffix
):
    big = ("-s", "640x360", "-bf", "0", "-g", "25", "-c:v", "libx264", "-preset", "ultrafast")
    one, two = tmp_path / f"one.{suffix}", tmp_path / f"two.{suffix}"
    source = ("-v", "error", "-i", str(film))
    await run(find("ffmpeg"), *source, "-c", "copy", str(one))
    await run(find("ffmpeg"), *source, *big, "-c:a", "copy", "-output_ts_offset", "9", str(two))
    tags = two.read_bytes()[13:] if suffix == "flv" else two.read_bytes()
    (tmp_path / "films" / f"both.{suffix}").write_bytes(one.read_bytes() + tags)
    url = server.hls("both", app="vod")
    playlist = m3u8.loads(await run(find("curl"), "-s", url), uri=url)
    assert [segment.discontinuity for segment in playlist.segments].count(True) == 1
    # FFmpeg's demuxer overlooks a second initialization segment: one part at a time
    for number, size in enumerate(((320, 180), (640, 360))):
        header = list(dict.fromkeys(s.init_section.absolute_uri for s in playlist.segments))[number]
        urls = [s.absolute_uri for s in playlist.segments if s.init_section.absolute_uri == header]
        part = tmp_path / f"{number}.mp4"
        await run("sh", "-c", 'f=$1; shift; curl -sf "$@" > $f', "sh", str(part), header, *urls)
        said = await run(find("ffmpeg"), "-v", "error", "-xerror", "-i", str(part), "-map", "0:v",
                         "-f", "framemd5", "-")  # fmt: skip
        assert len([line for line in said.splitlines() if line[:1] != "#"]) == 225
        assert f"#dimensions 0: {size[0]}x{size[1]}" in said


async def test_a_link_out_of_the_folder_leads_nowhere(server):
    for name in ("out", "35"):
        url = server.flv(name, app="vod").replace(".flv", ".mp4")
        code = await run(find("curl"), "-s", "-o", "/dev/null", "-w", "%{http_code}", url)
        assert code.strip() == "404"
