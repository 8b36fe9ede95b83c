"""A thousand members of every kind, cancelled at random moments: nothing is left of them."""

from __future__ import annotations

import random
from pathlib import Path

import trio
from kit.im_crowd import KINDS, ROOM, ImCrowd
from kit.node import Traces, node, node_config
from kit.programs import eventually

from livetrio.app import Running, serve

MEMBERS = 1000
ROUNDS = 8
SEED = 20261121
LONGEST_LIFE = 3.0
"""Seconds until a round is cancelled, at most: from amid the arrival to well under way."""
OPEN = {"allow_anonymous": True, "goim_trust_mid": True}


async def talk(addresses) -> None:
    """A back end that fills the room: the stalled ones fall behind."""
    text = b"x" * 2000
    request = (
        f"POST /goim/push/room?operation=1000&type=chat&room=crowd HTTP/1.1\r\n"
        f"Host: x\r\nContent-Length: {len(text)}\r\n\r\n"
    ).encode() + text
    assert ROOM == "chat://crowd"
    try:
        async with await trio.open_tcp_stream("127.0.0.1", addresses["goim_push"].port) as stream:
            while True:
                await stream.send_all(request)
                if not await stream.receive_some(65536):
                    return
                await trio.sleep(0.02)
    except (OSError, trio.BrokenResourceError):
        return


def gather(nursery: trio.Nursery, crowd: ImCrowd) -> None:
    """Let everybody in."""
    for number in range(MEMBERS):
        kind = KINDS[number % len(KINDS)]

        async def member(kind: str = kind, number: int = number) -> None:
            await crowd.member(kind, number, stalled=number % 7 == 0)

        nursery.start_soon(member)
    nursery.start_soon(talk, crowd.addresses)


async def test_a_cancelled_server_leaves_nothing(tmp_path: Path) -> None:
    chance = random.Random(SEED)
    config = node_config(tmp_path, **OPEN)
    heard: set[str] = set()
    seen = []

    async def cancelled_round(life: float) -> None:
        async with trio.open_nursery() as outside:
            async with trio.open_nursery() as house:
                running: Running = await house.start(serve, config)
                crowd = ImCrowd(running.addresses)
                gather(outside, crowd)
                await trio.sleep(life)
                seen.append(crowd.here)
                heard.update(kind for kind, count in crowd.received.items() if count)
                house.cancel_scope.cancel()
            outside.cancel_scope.cancel()

    await cancelled_round(LONGEST_LIFE)  # what is made once per process is made
    before = Traces.now()
    for _ in range(ROUNDS):
        await cancelled_round(chance.uniform(0, LONGEST_LIFE))
        assert Traces.now() == before
    assert heard == set(KINDS)
    # the moments were different ones: amid the arrival, and with everybody there
    assert min(seen) < MEMBERS / 2 < max(seen)


async def test_members_that_vanish_at_random_moments_leave_nothing_in_the_server() -> None:
    chance = random.Random(SEED)
    async with node(**OPEN) as running:
        before = Traces.now()
        crowd = ImCrowd(running.addresses)
        async with trio.open_nursery() as nursery:
            for number in range(MEMBERS):

                async def member(number: int = number) -> None:
                    with trio.move_on_after(chance.uniform(0, LONGEST_LIFE)):
                        kind = KINDS[number % len(KINDS)]
                        await crowd.member(kind, number, stalled=number % 7 == 0)

                nursery.start_soon(member)
            nursery.start_soon(talk, running.addresses)
            await trio.sleep(LONGEST_LIFE)
            nursery.cancel_scope.cancel()
        assert set(crowd.received) == set(KINDS)
        await eventually(lambda: Traces.now() == before, deadline=60)
