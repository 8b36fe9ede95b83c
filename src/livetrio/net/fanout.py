"""Fanout: one block of bytes to every viewer, by plain calls; Pacer: how often that is worth it.

The price of a viewer is one `send` per flush, so what arrived since the last flush goes out in
one. How long to wait in between adjusts itself: all fan-outs of a node together may spend about
one part in `share + 1` of a core, and within that the sum of their delays is smallest when each
waits in proportion to the square root of its cost. For one fan-out alone that is `share` times the
duration of its last flush; a small audience beside a huge one is still served at once, and
fifty audiences of 20 cost what one of 1,000 does. Refused: `share` x the own duration for each
(fifty small ones then never merge), and one beat for all (the smallest waits for the largest).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import trio

from livetrio.net.beat import Beat
from livetrio.net.outbox import Block, Outbox

__all__ = ["Fanout", "Pacer"]

_SENDS_PER_CHECKPOINT = 200
_WAKE_COST = 60e-6
"""Seconds a flush costs beside its sends: waking the pump, the scheduler, the timer."""
_SMOOTHING = 0.3


class Pacer:
    """Divides the time a node spends on fan-out among its audiences."""

    def __init__(
        self,
        *,
        share: float = 9.0,
        cap: float = 0.35,
        shortest: float = 1e-3,
        beat: Beat | None = None,
    ) -> None:
        """
        Args:
            share: seconds waited per second spent.
            cap: the longest wait, seconds; 0: never wait.
            shortest: waits below it are none: a timer would cost more than the merge saves.
            beat: how to wait cheaply; without one each wait has a timer of its own.
        """
        self._wait = beat.wait if beat is not None else trio.sleep
        self._shortest = shortest
        self._share = share
        self._cap = cap
        self._costs: dict[object, float] = {}  # square roots of seconds per flush
        self._sum = 0.0
        self.flushes = 0
        self.seconds = 0.0
        """CPU seconds spent sending, by all audiences that there were."""

    def window(self, spender: object, spent: float) -> float:
        """Note what a flush cost (CPU seconds); return how long to wait before the next."""
        self.flushes += 1
        self.seconds += spent
        last = self._costs.get(spender, 0.0)
        cost = spent + _WAKE_COST
        if last:
            cost = last * last * (1 - _SMOOTHING) + cost * _SMOOTHING
        root = math.sqrt(cost)
        self._costs[spender] = root
        self._sum += root - last
        window = min(self._cap, self._share * root * self._sum)
        return window if window > self._shortest else 0.0

    async def rest(self, seconds: float) -> None:
        """Wait, as `window` has said."""
        await self._wait(seconds)

    def forget(self, spender: object) -> None:
        """It is gone: an audience, or whatever else shares this time."""
        self._sum -= self._costs.pop(spender, 0.0)
        if not self._costs:
            self._sum = 0.0  # no drift from rounding


class Fanout:
    """The outboxes of all viewers of one feed."""

    def __init__(self, pacer: Pacer) -> None:
        self.pacer = pacer
        self._members: dict[Outbox, Callable[[str], None] | None] = {}
        self.flushes = 0
        self.seconds = 0.0
        """CPU seconds spent sending."""

    def __len__(self) -> int:
        return len(self._members)

    def add(self, outbox: Outbox, ended: Callable[[str], None] | None = None) -> None:
        """From the next block on.

        ended: what the farewell calls for this member, in place of closing its connection.
        """
        self._members[outbox] = ended

    def discard(self, outbox: Outbox) -> None:
        """No further block; what is queued stays queued."""
        self._members.pop(outbox, None)

    async def send(self, block: Block) -> float:
        """Give one block to everybody; return the seconds to wait before the next flush."""
        spent = 0.0
        begun = time.thread_time()
        # A copy: viewers come and go at the checkpoints. One that comes during the loop has
        # been given this block with its history.
        members = list(self._members)
        for start in range(0, len(members), _SENDS_PER_CHECKPOINT):
            if start:
                spent += time.thread_time() - begun
                await trio.lowlevel.checkpoint()
                begun = time.thread_time()
            for outbox in members[start : start + _SENDS_PER_CHECKPOINT]:
                if outbox in self._members:
                    outbox.send_block(block)
        spent += time.thread_time() - begun
        self.flushes += 1
        self.seconds += spent
        return self.pacer.window(self, spent)

    def farewell(self, goodbye: bytes, reason: str) -> None:
        """The feed has ended: send the format's goodbye and close everybody after it."""
        for outbox, ended in list(self._members.items()):
            outbox.send(goodbye)
            (ended or outbox.finish)(reason)
        self._members.clear()

    def close(self) -> None:
        """No longer counts in the division of time."""
        self.pacer.forget(self)
