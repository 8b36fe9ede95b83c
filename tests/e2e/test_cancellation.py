"""Cancelling a busy server at any moment leaves nothing behind: 200 viewers, 50 times."""

from __future__ import annotations

import os
import random
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import trio
from kit.crowd import Crowd, Tag, tags_of
from kit.ffmpeg import publishing, recording
from kit.programs import eventually
from kit.server import livetrio_server

from livetrio.app import serve
from livetrio.config import (
    AccessConfig,
    Address,
    Config,
    Endpoint,
    ListenConfig,
    MediaConfig,
    StoreConfig,
)

ROUNDS = 50
VIEWERS = 200
SEED = 20261121
LONGEST_LIFE = 1.0
"""Seconds until a round's server is cancelled, at most: from amid its start to well under way."""


@dataclass(frozen=True)
class Traces:
    """What a process holds: equal before and after, if nothing was left."""

    tasks: int
    files: int
    threads: frozenset[str]
    temporary: frozenset[str]


def traces(temporary: Path) -> Traces:
    # a worker thread that Trio keeps for the next use has this name; one at work another
    at_work = (t.name for t in threading.enumerate() if not t.name.startswith("Trio thread"))
    return Traces(
        trio.lowlevel.current_statistics().tasks_living,
        len(os.listdir("/proc/self/fd")),
        frozenset(at_work),
        frozenset(os.listdir(temporary)),
    )


def everything_on(folder: Path) -> Config:
    """Every listener, on a free port of the loopback interface; any name may publish."""
    free = Endpoint(address=Address("127.0.0.1", 0))
    return Config(
        listen=ListenConfig(rtmp=free, httpflv=free, web=free, api=free),
        access=AccessConfig(rtmp_noauth=True),
        store=StoreConfig(data_dir=folder / "data"),
        media=MediaConfig(play_wait=30.0),
    )


@dataclass(frozen=True)
class Round:
    """One server's life."""

    clients: int
    """Publisher and viewers served at its end."""
    took: float
    """Seconds from the cancellation until all was over."""
    received: dict[str, int]
    """Bytes, by kind of viewer."""


async def cancelled_round(config: Config, tags: list[Tag], life: float) -> Round:
    """Serve a crowd for `life` seconds and cancel."""
    async with trio.open_nursery() as outside:
        async with trio.open_nursery() as house:
            running = await house.start(serve, config)
            ports = [running.addresses[name].port for name in ("rtmp", "httpflv")]
            crowd = Crowd(*ports)
            outside.start_soon(crowd.publish, tags)
            for number in range(VIEWERS):
                kinds = (crowd.watch_rtmp, crowd.watch_flv, crowd.watch_ws_flv)
                watch = kinds[number % len(kinds)]
                outside.start_soon(
                    lambda watch=watch, number=number: watch(stalled=number % 7 == 0)
                )
            await trio.sleep(life)
            clients = len(list(running.registry.clients()))
            house.cancel_scope.cancel()
            begun = time.perf_counter()
        took = time.perf_counter() - begun
        outside.cancel_scope.cancel()
    return Round(clients, took, crowd.received)


async def test_a_cancelled_server_leaves_no_task_socket_thread_or_temporary_file(
    tmp_path: Path,
    clip: Path,
    monkeypatch: pytest.MonkeyPatch,
    record_property: Callable[[str, object], None],
) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    config, tags = everything_on(tmp_path), tags_of(clip)
    chance = random.Random(SEED)
    await cancelled_round(config, tags, LONGEST_LIFE)  # what is made once per process is made
    before, kept = traces(temporary), sorted(os.listdir(tmp_path / "data"))
    rounds = []
    for _ in range(ROUNDS):
        rounds.append(await cancelled_round(config, tags, chance.uniform(0, LONGEST_LIFE)))
        assert traces(temporary) == before
        assert sorted(os.listdir(tmp_path / "data")) == kept
    # the moments were different ones: amid the crowd's arrival, and with everybody served
    clients = sorted(one.clients for one in rounds)
    assert clients[0] < VIEWERS < clients[-1]
    for kind in ("rtmp", "http-flv", "ws-flv"):
        assert any(one.received.get(kind, 0) for one in rounds)
    times = sorted(one.took for one in rounds)
    record_property("seconds to cancel, longest", times[-1])
    print(f"cancelled {ROUNDS} times with {clients[0]} to {clients[-1]} clients:")
    print(f"longest {times[-1]:.3f} s, median {times[ROUNDS // 2]:.3f} s")
    assert times[-1] < 10


async def test_sigterm_says_goodbye_and_ends_within_the_grace_period(
    tmp_path: Path, clip: Path
) -> None:
    async with livetrio_server(tmp_path, grace_period=5) as server:
        async with (
            recording(server.rtmp("x"), tmp_path / "rtmp.flv") as over_rtmp,
            recording(server.flv("x"), tmp_path / "http.flv") as over_http,
            publishing(clip, server.rtmp("x"), loop=True),
        ):
            for player in (over_rtmp, over_http):
                await eventually(lambda path=player.path: path.exists() and path.stat().st_size)
            server.program.process.terminate()
            assert await server.program.wait(deadline=20) == 0
            for player in (over_rtmp, over_http):
                assert (await trio.Path(await player.finished()).stat()).st_size > 0
