"""Pulse: pings, missing pongs and expiry, for all sessions of the node by one task.

Sessions lie in a wheel of one bucket per second. Refused: a timer per connection, which costs a
cancel scope and two wake-ups for each of a hundred thousand that nearly always live.
"""

from __future__ import annotations

import math
import random
from typing import Final

import trio

from livetrio.im.centrifuge_policy import CentrifugePolicy
from livetrio.im.centrifuge_session import CentrifugeSession
from livetrio.im.hub import Hub
from livetrio.logs import get_logger
from livetrio.wire.centrifuge.codes import DisconnectCode, UnsubscribeCode
from livetrio.wire.centrifuge.replies import Push, Reply, Unsubscribe

__all__ = ["Pulse"]

log = get_logger(__name__)

_SLICE: Final = 200
"""Sessions looked at before others on this loop run."""


class Pulse:
    """Somebody has to run it: `nursery.start_soon(pulse.run)`."""

    def __init__(self, hub: Hub, policy: CentrifugePolicy) -> None:
        self._hub = hub
        self._policy = policy
        self._wheel: dict[int, dict[CentrifugeSession, None]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._wheel.values()))

    def add(self, session: CentrifugeSession) -> None:
        """Look after it. Its first ping comes at a random time, so that those who have all come
        at once are not all pinged at once."""
        wait = self._policy.ping * random.uniform(0.5, 1.0)
        session.pinged = trio.current_time() + wait - self._policy.ping
        self._place(session)

    def discard(self, session: CentrifugeSession) -> None:
        """It has ended. In pairs with `add`."""
        bucket = self._wheel.get(session.beat)
        session.beat = 0
        if bucket is not None:
            bucket.pop(session, None)

    def hasten(self, session: CentrifugeSession) -> None:
        """When something of it expires has changed."""
        if session.beat:
            self.discard(session)
            self._place(session)

    async def run(self) -> None:
        """Look after all, until cancelled."""
        reached = math.floor(trio.current_time())
        while True:
            await trio.sleep_until(reached + 1)
            now = trio.current_time()
            reached = math.floor(now)
            for second in [second for second in self._wheel if second <= reached]:
                for index, session in enumerate(self._wheel.pop(second)):
                    if index % _SLICE == _SLICE - 1:
                        await trio.lowlevel.checkpoint()
                    if session.beat == second:  # it may have gone meanwhile
                        self._look(session, now)

    def _place(self, session: CentrifugeSession) -> None:
        when = session.pinged + (self._policy.ping if session.answered else self._policy.pong)
        ends = [session.expires, *(one.expires for one in session.subscriptions.values())]
        when = min(when, *(end + self._policy.expired_close_delay for end in ends))
        session.beat = max(math.ceil(when), math.floor(trio.current_time()) + 1)
        self._wheel.setdefault(session.beat, {})[session] = None

    def _look(self, session: CentrifugeSession, now: float) -> None:
        policy = self._policy
        if session.closed:  # it has been told, and does not go
            session.hang_up("closed")
            return
        if not session.answered and now >= session.pinged + policy.pong:
            _end(session, DisconnectCode.NO_PONG)
        elif now >= session.expires + policy.expired_close_delay:
            _end(session, DisconnectCode.EXPIRED)
        else:
            self._end_subscriptions(session, now - policy.expired_close_delay)
            if now >= session.pinged + policy.ping:
                session.pinged, session.answered = now, False
                session.say(Reply())
        self._place(session)

    def _end_subscriptions(self, session: CentrifugeSession, ended: float) -> None:
        for channel, subscription in list(session.subscriptions.items()):
            if subscription.expires > ended:
                continue
            self._hub.leave(session, channel)
            session.forget(channel)
            if subscription.server_side:
                _end(session, DisconnectCode.SUBSCRIPTION_EXPIRED)
                return
            why = UnsubscribeCode.EXPIRED
            told = Unsubscribe(why.code, why.reason)
            session.say(Reply(push=Push(channel, unsubscribe=told)))


def _end(session: CentrifugeSession, code: DisconnectCode) -> None:
    log.info("connection ended", user=session.sender.user, reason=code.reason)
    session.close(code.code, code.reason)
