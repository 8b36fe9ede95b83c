"""Ticker: one task that delivers for all channels, each as often as its audience allows.

A quiet channel is served at once; a busy one waits between two ticks, up to the pacer's cap
(0.25 s), and what comes meanwhile goes out in one batch. Deliveries under way take turns, with
a checkpoint every millisecond, so that a room of 10,000 holds up neither a room of two nor a
live stream.
Refused: a task per room, which wakes, sleeps and is kept for every room that there is.
"""

from __future__ import annotations

import heapq
import math
import time
from collections import deque
from collections.abc import Callable, Iterable
from functools import partial
from itertools import count, islice

import trio

from livetrio.im.channel import Channel
from livetrio.im.delivery import Delivery, tell_directly
from livetrio.im.member import Member
from livetrio.im.options import HubLimits
from livetrio.im.words import Publication
from livetrio.logs import get_logger
from livetrio.net.fanout import Pacer
from livetrio.net.guard import guarded

__all__ = ["Ticker"]

log = get_logger(__name__)

_SLICE = 200
_TURN = 1e-3
"""Sends between two checkpoints, and CPU seconds: a send costs 5 to 20 us, by how cold the caches
are, and a media packet passes several checkpoints on its way."""
_PIECE = 50
"""Sends between two looks at the clock."""
_STARTS = 50
"""Deliveries begun between two checkpoints; each encodes."""


class Ticker:
    """Somebody has to run it: `nursery.start_soon(ticker.run)`."""

    def __init__(
        self,
        pacer: Pacer,
        limits: HubLimits,
        *,
        gap: Callable[[Member, Channel], None],
        slow: Callable[[Member], None],
        ripen: Callable[[Channel, float], None],
    ) -> None:
        """
        Args:
            pacer: how long a channel waits after a delivery; forgets those that fall quiet.
            gap: what becomes of a strict member that cannot be sent everything.
            slow: what becomes of one that cannot even be sent what it must be.
            ripen: called with a channel and the time before each cut, to queue what was merged.
        """
        self._pacer = pacer
        self._limits = limits
        self._gap = gap
        self._slow = slow
        self._ripen = ripen
        self._due: list[tuple[float, int, Channel]] = []
        self._serial = count()
        self._wake = trio.Event()
        self._under_way: deque[Delivery] = deque()
        self.deliveries = 0
        """Batches given to all members of a channel."""
        self.sends = 0
        """Members they were given to, in sum."""

    def touch(self, channel: Channel) -> None:
        """There is something to deliver."""
        if not channel.delivering:
            self.at(channel, channel.flush_at)

    def at(self, channel: Channel, when: float) -> None:
        """Look at this channel at a Trio time, if not earlier."""
        if when < channel.scheduled:
            channel.scheduled = when
            heapq.heappush(self._due, (when, next(self._serial), channel))
            if when <= self._due[0][0]:
                self._wake.set()

    async def run(self) -> None:
        """Deliver, until cancelled."""
        while True:
            self._begin(trio.current_time())
            if self._under_way:
                self._advance()
                await trio.lowlevel.checkpoint()
                continue
            self._wake = trio.Event()
            with trio.move_on_at(self._due[0][0] if self._due else math.inf):
                await self._wake.wait()

    async def broadcast(
        self, members: Iterable[Member], publication: Publication, speed: float
    ) -> int:
        """A direct message to all of these, in slices; returns how many wanted it.

        speed: members per second; 0: no bound. Runs in the caller's task.
        """
        told = 0
        everybody = iter(members)
        size = min(_SLICE, max(1, int(speed / 10))) if speed > 0 else _SLICE
        while some := list(islice(everybody, size)):
            told += tell_directly(some, publication, self._limits, self._slow)
            if speed > 0:
                await trio.sleep(len(some) / speed)
            else:
                await trio.lowlevel.checkpoint()
        return told

    def _begin(self, now: float) -> None:
        """Cut what is due."""
        for _ in range(_STARTS):
            if not self._due or self._due[0][0] > now:
                return
            when, _, channel = heapq.heappop(self._due)
            if when != channel.scheduled:
                continue  # it was moved forward
            channel.scheduled = math.inf
            if channel.delivering:
                continue  # looked at again when that is done
            if channel.flush_at > now:
                self.at(channel, channel.flush_at)
                continue
            self._ripen(channel, now)
            if channel.busy:
                cut = channel.cut(now)
                channel.delivering = True
                delivery = Delivery(channel, cut, self._limits, gap=self._gap, slow=self._slow)
                delivery.begun = now
                self._under_way.append(delivery)
            else:
                self._pacer.forget(channel)  # quiet: no part in the division of time

    def _advance(self) -> None:
        """Some sends, for those whose turn it is."""
        left = _SLICE
        now = time.thread_time()
        ends = now + _TURN
        while self._under_way and left > 0 and now < ends:
            delivery = self._under_way.popleft()
            piece = min(left, _PIECE)
            sent = -1
            with guarded(partial(_blame, delivery.channel)):
                sent = delivery.step(piece)
            if sent < 0:
                delivery.give_up()
                sent = 0
            before, now = now, time.thread_time()
            delivery.spent += now - before
            self.sends += sent
            if delivery.done:
                self._finish(delivery)
            else:
                self._under_way.append(delivery)
            left -= sent + 1

    def _finish(self, delivery: Delivery) -> None:
        """When is the next? Counted from the beginning of this one, so that the cap bounds the
        time from batch to batch; but others get a third of the core, whatever it costs."""
        self.deliveries += 1
        channel, spent = delivery.channel, delivery.spent
        channel.delivering = False
        now, window = trio.current_time(), self._pacer.window(channel, spent)
        channel.flush_at = max(delivery.begun + window, now + spent / 2) if window else now
        self.at(channel, channel.flush_at)


def _blame(channel: Channel, error: BaseException) -> None:
    """A view that cannot encode a publication costs that batch, not the server."""
    log.error("a batch could not be delivered", channel=channel.name, exc_info=error)
