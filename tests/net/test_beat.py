"""Many short waits on one timer."""

from __future__ import annotations

import trio
import trio.testing

from livetrio.net.beat import Beat


async def test_a_wait_ends_at_the_first_beat_that_is_late_enough(autojump_clock):
    beat = Beat(grid=0.1)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(beat.run)
        begun = trio.current_time()
        await beat.wait(0.25)
        assert 0.25 <= trio.current_time() - begun <= 0.351
        nursery.cancel_scope.cancel()


async def test_those_who_wait_for_the_same_beat_wake_together_and_others_do_not(autojump_clock):
    beat = Beat(grid=0.1)
    woken = []

    async def one(seconds: float) -> None:
        await beat.wait(seconds)
        woken.append((seconds, trio.current_time()))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(beat.run)
        async with trio.open_nursery() as waiting:
            for seconds in (0.02, 0.05, 0.3, 0.05):
                waiting.start_soon(one, seconds)
        nursery.cancel_scope.cancel()
    times = dict(woken)
    assert times[0.02] == times[0.05] < times[0.3]


async def test_nothing_runs_while_nobody_waits(autojump_clock):
    beat = Beat()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(beat.run)
        await beat.wait(0.01)
        await trio.testing.wait_all_tasks_blocked()
        statistics = trio.lowlevel.current_statistics()
        assert statistics.seconds_to_next_deadline == float("inf")
        nursery.cancel_scope.cancel()


async def test_a_wait_that_is_cancelled_leaves_the_others_alone(autojump_clock):
    beat = Beat(grid=0.1)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(beat.run)
        with trio.move_on_after(0.05):
            await beat.wait(1)
        await beat.wait(0.1)
        nursery.cancel_scope.cancel()


async def test_time_goes_on_wherever_a_beat_rounds_to(autojump_clock):
    beat = Beat()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(beat.run)
        for _ in range(1000):  # some of whose times, divided by the grid, are the beat before
            begun = trio.current_time()
            await beat.wait(0.001)
            assert trio.current_time() - begun < 0.011
        nursery.cancel_scope.cancel()


async def test_no_grid_makes_the_timer_spin_by_its_rounding(autojump_clock):
    for grid in (0.005, 0.1, 0.3, 1 / 3):
        beat = Beat(grid)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(beat.run)
            for number in range(50):
                begun = trio.current_time()
                await beat.wait(0.007 * number)
                assert trio.current_time() - begun <= 0.007 * number + 2 * grid
            nursery.cancel_scope.cancel()
