"""ffmpeg publishes, everybody watches: what comes out is what went in, packet for packet."""

from __future__ import annotations

from pathlib import Path

import pytest
from kit.ffmpeg import contiguous, packets, publishing, record
from kit.players import KINDS, playing
from kit.programs import find, run
from kit.server import livetrio_server


@pytest.mark.parametrize("kind", KINDS)
async def test_a_waiting_player_gets_every_packet_unchanged(
    tmp_path: Path, clip: Path, kind: str
) -> None:
    async with (
        livetrio_server(tmp_path) as server,
        playing(kind, server, "x", tmp_path / "got.flv") as player,
        publishing(clip, server.rtmp("x")) as publisher,
    ):
        assert await publisher.wait() == 0
        file = await player.finished()
    sent, got = await packets(clip), await packets(file)
    assert got.keys() == sent.keys()
    for track, whole in sent.items():
        assert contiguous(got[track], whole)
        # at worst the player was late by the time it takes to start, and began at a key frame
        assert len(got[track]) > len(whole) / 2
        assert got[track][-1].md5 == whole[-1].md5


async def test_a_player_in_mid_stream_starts_with_a_key_frame(tmp_path: Path, clip: Path) -> None:
    async with (
        livetrio_server(tmp_path) as server,
        publishing(clip, server.rtmp("x"), loop=True),
    ):
        await record(server.rtmp("x"), tmp_path / "first.flv", seconds=2)
        file = await record(server.flv("x"), tmp_path / "got.flv", seconds=1)
    shown = ("-select_streams", "v", "-show_entries", "packet=flags", "-of", "csv=p=0")
    flags = await run(find("ffprobe"), "-v", "error", *shown, str(file))
    assert flags.startswith("K")


async def test_flv_pushed_over_http_is_played_over_rtmp(tmp_path: Path, clip: Path) -> None:
    options = ("-method", "POST", "-chunked_post", "1")
    async with (
        livetrio_server(tmp_path) as server,
        playing("rtmp", server, "x", tmp_path / "got.flv") as player,
        publishing(clip, server.flv("x"), options=options) as publisher,
    ):
        assert await publisher.wait() == 0
        file = await player.finished()
    sent, got = await packets(clip), await packets(file)
    assert all(contiguous(got[track], sent[track]) for track in sent)


@pytest.mark.parametrize(("only", "track"), [("audio", "a:0"), ("video", "v:0")])
async def test_one_kind_of_track_can_be_asked_for(
    tmp_path: Path, clip: Path, only: str, track: str
) -> None:
    async with (
        livetrio_server(tmp_path) as server,
        publishing(clip, server.rtmp("x"), loop=True),
    ):
        url = f"{server.flv('x')}?only={only}"
        file = await record(url, tmp_path / "got.flv", seconds=1)
    got = await packets(file)
    sent = await packets(clip)
    assert got.keys() == {track}
    assert {packet.md5 for packet in got[track]} <= {packet.md5 for packet in sent[track]}
