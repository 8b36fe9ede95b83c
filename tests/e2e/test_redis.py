"""Room keys in a real Redis, and what happens to live streams when it dies."""

from __future__ import annotations

import sys
from pathlib import Path

import httpx
from kit.ffmpeg import packets, publishing, record
from kit.programs import find, free_port, run, running
from kit.redis import redis_server
from kit.server import LISTENED, Server, livetrio_server


async def ask(server: Server, path: str) -> httpx.Response:
    async with httpx.AsyncClient(timeout=30) as client:
        return await client.get(server.api(path))


async def in_redis(port: int, name: str) -> str:
    return (await run(find("redis-cli"), "-p", str(port), "get", name)).strip()


async def test_keys_live_in_redis_in_livegos_layout_and_publish(tmp_path: Path, clip: Path) -> None:
    port = free_port()
    settings = {"redis_addr": f"127.0.0.1:{port}", "rtmp_noauth": False}
    async with redis_server(port), livetrio_server(tmp_path, **settings) as server:
        key = (await ask(server, "/control/get?room=movie")).json()["data"]
        assert await in_redis(port, "movie") == key
        assert await in_redis(port, key) == "movie"
        async with publishing(clip, server.rtmp(key), loop=True):
            file = await record(server.rtmp("movie"), tmp_path / "got.flv", seconds=1)
            assert len(await packets(file)) == 2


async def test_without_redis_new_keys_fail_clearly_and_live_streams_go_on(
    tmp_path: Path, clip: Path
) -> None:
    port = free_port()
    settings = {"redis_addr": f"127.0.0.1:{port}", "rtmp_noauth": False}
    async with redis_server(port) as redis, livetrio_server(tmp_path, **settings) as server:
        key = (await ask(server, "/control/get?room=movie")).json()["data"]
        async with publishing(clip, server.rtmp(key), loop=True):
            await record(server.rtmp("movie"), tmp_path / "before.flv", seconds=1)
            redis.process.kill()
            await redis.wait()
            answer = await ask(server, "/control/get?room=other")
            assert answer.status_code >= 400
            assert "redis" in answer.text.lower()
            file = await record(server.rtmp("movie"), tmp_path / "after.flv", seconds=2)
            assert len(await packets(file)) == 2
            async with publishing(clip, server.rtmp("unknown")) as refused:
                assert await refused.wait() != 0
            # it comes back by itself when Redis does
            async with redis_server(port):
                assert (await ask(server, "/control/get?room=other")).status_code == 200


async def test_a_server_whose_redis_is_not_there_does_not_start_and_says_why(
    tmp_path: Path,
) -> None:
    address = f"127.0.0.1:{free_port()}"
    listeners = [f"--{name}_addr=127.0.0.1:0" for name in LISTENED]
    argv = (sys.executable, "-m", "livetrio", "serve", *listeners, f"--redis_addr={address}")
    async with running(*argv, cwd=tmp_path) as program:
        assert await program.wait() == 1
        (line,) = (line for line in program.lines if "cannot start" in line)
        assert f"Redis at {address} is not available" in line
