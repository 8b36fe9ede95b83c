"""A full room ends at any moment, or its server does: nothing of it is left."""

from __future__ import annotations

import random
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import trio
from kit.centrifuge import SECRET
from kit.crowd import Tag, tags_of
from kit.node import Traces, node_config
from kit.programs import eventually
from kit.room_crowd import USERS, RoomCrowd
from kit.room_media import MIX, ROOM, RoomSite, room_server
from kit.server import Server

from livetrio.app import Running, serve
from livetrio.config import ImTokenConfig
from livetrio.config.rooms import MixConfig

pytestmark = pytest.mark.e2e

SEED = 20261121
ENDS = 3
"""Rooms that are ended while people still come."""
CANCELS = 8
SOON = 5.0
"""Seconds: a machine with other things to do; what it takes alone is printed."""
HERE = f"/v1/rooms/{ROOM}"


@pytest.fixture(scope="module")
def tags(clip: Path) -> list[Tag]:
    return tags_of(clip)


def workers(pid: int) -> list[psutil.Process]:
    """Processes that a server has started."""
    return psutil.Process(pid).children(recursive=True)


def scopes(tree: dict[str, Any]) -> Iterator[tuple[str, int]]:
    """Kind and tasks of each, but for connections of those who ask."""
    if tree["kind"] != "connection":
        yield tree["kind"], tree["tasks"]
        for child in tree["children"]:
            yield from scopes(child)


async def left(site: RoomSite) -> dict[str, Any]:
    """All that a room could leave in a server."""
    return {
        "scopes": sorted(scopes(await site.do("GET", "/v1/tree", ""))),
        "streams": (await site.do("GET", "/v1/streams", ""))["items"],
        "clients": (await site.do("GET", "/v1/clients", ""))["items"],
        "channels": (await site.do("GET", "/v1/im/rooms", ""))["items"],
        "members": (await site.do("GET", "/v1/im/members", ""))["items"],
        "processes": workers(site.server.program.pid),
        "room": (await site.ask("GET", HERE, "anna")).status,
    }


async def test_a_full_room_that_is_deleted_leaves_nothing_and_the_answer_counts_what_there_was(
    tmp_path: Path, tags: list[Tag], record_property: Callable[[str, object], None]
) -> None:
    chance, times = random.Random(SEED), []

    async def ended(site: RoomSite, life: float | None) -> tuple[RoomCrowd, dict[str, Any], float]:
        """A room's life; the crowd is gone with it."""
        crowd = RoomCrowd(site, tags)
        begun = trio.current_time()
        with trio.fail_after(120):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(crowd.run)
                if life is None:
                    await eventually(lambda: crowd.flows, deadline=60)
                else:
                    await trio.sleep(life)
                took = trio.current_time() - begun
                with trio.fail_after(SOON):
                    found = (await site.do("DELETE", HERE, USERS[0]))["ended"]
                    await eventually(lambda: crowd.unsubscribed == crowd.subscribed)
                    if life is None:  # else some come only now, and wait for what has ended
                        await eventually(lambda: not crowd.connected)
                nursery.cancel_scope.cancel()
        times.append(found["milliseconds"])
        return crowd, found, took

    async with room_server(tmp_path, rooms={"open_seats": True}) as site:
        before = await left(site)
        crowd, found, longest = await ended(site, None)
        print(found)
        # four seats, the composed stream and a mix-minus; who publishes, watches and composes
        assert (found["streams"], found["processes"]) == (6, 2)
        assert found["clients"] == 4 + 3 * crowd.viewers + 1 + found["processes"]
        assert crowd.unsubscribed == crowd.listeners
        assert crowd.heard.count("room.ended") == crowd.listeners
        for round_ in range(1 + ENDS):
            if round_:
                await ended(site, chance.uniform(0.2, longest))
            await eventually(lambda: not workers(site.server.program.pid), deadline=SOON)
            after = await left(site)
            with trio.move_on_after(SOON):  # connections that were but asking
                while after != before:
                    await trio.sleep(0.1)
                    after = await left(site)
            assert after == before
        # the name is free, and nobody has a seat but who opens it
        await site.room("dora", seats=4)
        seats = (await site.do("GET", HERE, "dora"))["seats"]
        assert {seat.get("user") for seat in seats.values()} == {"dora", None}
        record_property("milliseconds to end a room", times)
        print("ended in", times, "ms")


async def test_a_server_that_is_cancelled_with_a_full_room_leaves_no_task_process_file_or_thread(
    tmp_path: Path, tags: list[Tag], record_property: Callable[[str, object], None]
) -> None:
    mix = MixConfig(**MIX)
    config = node_config(
        tmp_path,
        token=ImTokenConfig(secret=SECRET),
        create="anyone",
        open_seats=True,
        mix=mix,
        play_wait=30.0,
    )
    chance, times, composed = random.Random(SEED), [], 0

    async def cancelled(life: float | None) -> float:
        """How long it took until all flowed, if nothing else is asked for."""
        nonlocal composed
        begun = trio.current_time()
        async with trio.open_nursery() as outside:
            async with trio.open_nursery() as house:
                running: Running = await house.start(serve, config)
                ports = {name: address.port for name, address in running.addresses.items()}
                crowd = RoomCrowd(RoomSite(Server(None, tmp_path, ports)), tags)
                outside.start_soon(crowd.run)
                if life is None:
                    await eventually(lambda: crowd.flows, deadline=60)
                else:
                    await trio.sleep(life)
                took = trio.current_time() - begun
                composed += bool(workers(psutil.Process().pid))
                house.cancel_scope.cancel()
                begun = trio.current_time()
            times.append(trio.current_time() - begun)
            outside.cancel_scope.cancel()
        return took

    longest = await cancelled(None)  # what is made once per process is made
    before = Traces.now()
    assert workers(psutil.Process().pid) == []
    for _ in range(CANCELS):
        await cancelled(chance.uniform(0, longest))
        assert Traces.now() == before
        assert workers(psutil.Process().pid) == []
    record_property("seconds to cancel, longest", max(times))
    print(f"cancelled {len(times)} times within {longest:.1f} s, {composed} of them composing:")
    print("seconds:", " ".join(f"{each:.3f}" for each in sorted(times)))
    assert composed > 1
    assert max(times) < SOON


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
async def test_a_server_with_a_full_room_that_is_told_to_stop_or_killed_leaves_no_process(
    tmp_path: Path, tags: list[Tag], number: signal.Signals
) -> None:
    async with (
        room_server(tmp_path, grace_period=2, rooms={"open_seats": True}) as site,
        trio.open_nursery() as nursery,
    ):
        crowd = RoomCrowd(site, tags)
        nursery.start_soon(crowd.run)
        await eventually(lambda: crowd.flows, deadline=60)
        program = site.server.program
        children = workers(program.pid)
        assert children
        program.process.send_signal(number)
        assert await program.wait(deadline=20) == (0 if number == signal.SIGTERM else -number)
        # nobody waits for those of a killed one: what ended is a zombie, or is gone
        await eventually(lambda: not any(map(lives, children)), deadline=SOON)
        nursery.cancel_scope.cancel()


def lives(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
