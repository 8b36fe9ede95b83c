"""Relays to and from nginx-rtmp and another livetrio, asked for as livego's users do."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from kit.ffmpeg import packets, publishing, record
from kit.nginx import nginx_rtmp
from kit.programs import free_port
from kit.server import Server, livetrio_server

APP = {"appname": "live", "live": True, "auth": "none"}


async def control(server: Server, what: str, oper: str, name: str, url: str) -> httpx.Response:
    """livego's `/control/pull` or `/control/push`."""
    params = {"oper": oper, "app": "live", "name": name, "url": url}
    async with httpx.AsyncClient() as client:
        return await client.get(server.api(f"/control/{what}"), params=params)


async def check_run_of(clip: Path, file: Path) -> None:
    """What the file has is packets of the clip, unchanged (the clip was looped)."""
    sent, got = await packets(clip), await packets(file)
    for track, whole in sent.items():
        rounds = [packet.md5 for packet in whole] * 2
        part = [packet.md5 for packet in got[track]]
        assert part
        assert any(rounds[i : i + len(part)] == part for i in range(len(whole)))


async def test_a_push_relay_carries_a_stream_to_nginx_until_it_is_stopped(
    tmp_path: Path, clip: Path
) -> None:
    async with (
        livetrio_server(tmp_path) as server,
        nginx_rtmp(tmp_path) as nginx,
        publishing(clip, server.rtmp("x"), loop=True),
    ):
        started = await control(server, "push", "start", "x", nginx.url("copy"))
        assert started.status_code == 200
        await check_run_of(clip, await record(nginx.url("copy"), tmp_path / "got.flv"))
        stopped = await control(server, "push", "stop", "x", nginx.url("copy"))
        assert f"push url stop {nginx.url('copy')} ok" in stopped.json()["data"]
        again = await control(server, "push", "stop", "x", nginx.url("copy"))
        assert "session key[push:live/x] not exist" in again.json()["data"]


async def test_a_pull_relay_brings_a_stream_from_nginx(tmp_path: Path, clip: Path) -> None:
    async with (
        livetrio_server(tmp_path) as server,
        nginx_rtmp(tmp_path) as nginx,
        publishing(clip, nginx.url("there"), loop=True),
    ):
        started = await control(server, "pull", "start", "here", nginx.url("there"))
        assert started.status_code == 200
        await check_run_of(clip, await record(server.rtmp("here"), tmp_path / "got.flv"))


@pytest.mark.parametrize("source", ["rtmp", "http-flv"])
async def test_a_pull_relay_brings_a_stream_from_another_livetrio(
    tmp_path: Path, clip: Path, source: str
) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    async with (
        livetrio_server(here) as server,
        livetrio_server(there) as other,
        publishing(clip, other.rtmp("x"), loop=True),
    ):
        url = other.rtmp("x") if source == "rtmp" else other.flv("x")
        assert (await control(server, "pull", "start", "y", url)).status_code == 200
        await check_run_of(clip, await record(server.flv("y"), tmp_path / "got.flv"))


async def test_static_push_carries_every_stream_of_its_app(tmp_path: Path, clip: Path) -> None:
    async with nginx_rtmp(tmp_path) as nginx:
        apps = [{**APP, "static_push": [f"rtmp://127.0.0.1:{nginx.port}/live"]}]
        async with (
            livetrio_server(tmp_path, server=apps) as server,
            publishing(clip, server.rtmp("one"), loop=True),
        ):
            await check_run_of(clip, await record(nginx.url("one"), tmp_path / "got.flv"))


async def test_a_relay_whose_target_comes_late_gets_there(tmp_path: Path, clip: Path) -> None:
    late = tmp_path / "late"
    late.mkdir()
    port = free_port()
    url = f"rtmp://127.0.0.1:{port}/live/x"
    async with (
        livetrio_server(tmp_path) as server,
        publishing(clip, server.rtmp("x"), loop=True),
    ):
        assert (await control(server, "push", "start", "x", url)).status_code == 200
        async with livetrio_server(late, rtmp_port=port):
            file = await record(url, tmp_path / "got.flv", seconds=2)
            await check_run_of(clip, file)
