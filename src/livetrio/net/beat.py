"""Beat: many short waits on one timer.

`trio.sleep` ends by a cancellation: a scope, an exception, its way up the stack, some 50 µs each
time. Tasks that wait a few milliseconds hundreds of times a second park here instead, and one
task wakes all whose time has come, on a grid. They then run in one go of the loop, which finds
its caches warm.
"""

from __future__ import annotations

import math

import trio

__all__ = ["Beat"]


class Beat:
    """Somebody has to run it: `nursery.start_soon(beat.run)`; without, nobody wakes."""

    def __init__(self, grid: float = 0.005) -> None:
        """grid: seconds between two beats; waits are rounded up to the next."""
        self._grid = grid
        self._lots: dict[int, trio.lowlevel.ParkingLot] = {}
        self._idle = trio.Event()

    async def wait(self, seconds: float) -> None:
        """Return at the first beat that is at least so many seconds away."""
        beat = math.ceil((trio.current_time() + seconds) / self._grid)
        lot = self._lots.get(beat)
        if lot is None:
            lot = self._lots[beat] = trio.lowlevel.ParkingLot()
            self._idle.set()
        await lot.park()

    async def run(self) -> None:
        """Wake those whose time has come, until cancelled."""
        reached = 0
        while True:
            if not self._lots:
                self._idle = trio.Event()
                await self._idle.wait()
            # A beat that somebody asks for meanwhile is not before the next one of the grid.
            # Beats are counted: the time of one, divided again, may round to the one before.
            beat = max(reached, self._now()) + 1
            await trio.sleep_until(beat * self._grid)
            reached = max(beat, self._now())
            for due in [due for due in self._lots if due <= reached]:
                self._lots.pop(due).unpark_all()

    def _now(self) -> int:
        return math.floor(trio.current_time() / self._grid)
