"""Cancelling a gateway with 50 browsers' worth of peers at any moment leaves nothing behind."""

from __future__ import annotations

import gc
import random
from pathlib import Path

import psutil
import trio
from kit.node import Traces, node_config
from kit.programs import eventually
from kit.rtc_crowd import RtcCrowd

from livetrio.app import serve
from livetrio.config import Config

ROUNDS = 30
VIEWERS = 50
SEED = 20261121
MOST_GROWTH = 12 << 20
"""Bytes of memory that thirty servers and 1,500 peers may leave: what allocators keep."""


async def cancelled_round(config: Config, life: float | None) -> tuple[RtcCrowd, float]:
    """Serve a crowd for `life` seconds, or until all are served, and cancel.

    Returns:
        What the crowd has seen, and how long it lived.
    """
    async with trio.open_nursery() as outside:
        begun = trio.current_time()
        async with trio.open_nursery() as house:
            running = await house.start(serve, config)
            crowd = RtcCrowd(running.addresses["web"].port, running.addresses["webrtc"].port)
            outside.start_soon(crowd.publish)
            for _ in range(VIEWERS):
                outside.start_soon(crowd.watch)
            if life is None:
                await eventually(lambda: crowd.received > 20 * VIEWERS, deadline=60)
            else:
                await trio.sleep(life)
            house.cancel_scope.cancel()
        took = trio.current_time() - begun
        outside.cancel_scope.cancel()
    return crowd, took


async def test_a_cancelled_gateway_leaves_no_task_socket_thread_or_memory(tmp_path: Path) -> None:
    config, chance = node_config(tmp_path, play_wait=30.0), random.Random(SEED)
    # what is made once per process is made, and the allocator has its arenas
    longest = max([(await cancelled_round(config, None))[1] for _ in range(4)])
    gc.collect()
    before, memory = Traces.now(), psutil.Process().memory_info().rss
    crowds = []
    for _ in range(ROUNDS):
        crowd, _ = await cancelled_round(config, chance.uniform(0, longest))
        crowds.append(crowd)
        assert Traces.now() == before
    gc.collect()
    growth = psutil.Process().memory_info().rss - memory
    # the moments were different ones: amid the crowd's arrival, and with everybody served
    connected = sorted(crowd.connected for crowd in crowds)
    print(
        f"connected {connected}, grown by {growth >> 10} KiB in {ROUNDS} x {longest:.1f} s at most"
    )
    assert connected[0] < VIEWERS
    assert connected[-1] == VIEWERS
    assert growth < MOST_GROWTH
