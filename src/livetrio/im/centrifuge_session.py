"""CentrifugeSession: one client of Centrifugo's protocol as the hub's member."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Final

import trio

from livetrio.im.centrifuge_carriers import Carrier
from livetrio.im.centrifuge_views import CentrifugeView
from livetrio.im.member import Member
from livetrio.im.words import Goodbye, Sender
from livetrio.net.outbox import Block
from livetrio.wire.centrifuge.codes import DisconnectCode, UnsubscribeCode
from livetrio.wire.centrifuge.replies import Push, Refresh, Reply, Unsubscribe

__all__ = ["CentrifugeSession", "Subscription", "seconds_left", "trio_time"]

_BURST: Final = 250
_SPACE: Final = 0.02
"""Commands: so many at once, and seconds between two of them for ever."""
_PATIENCE: Final = 4 * _BURST * _SPACE
"""Seconds that a client may be ahead of that before it is sent away."""
_MAX_REPLIES: Final = 64 << 10
"""Bytes of replies a client may leave unread before it is no longer read."""


@dataclass(slots=True)
class Subscription:
    """What a session knows of one of its channels."""

    server_side: bool = False
    counts: bool = False
    """Positioned: it may miss nothing unannounced."""
    expires: float = math.inf
    """Trio time."""


class _Held:
    """In place of the outbox until the answer to CONNECT is out: nothing may come before it."""

    __slots__ = ("_waiting", "queued")

    def __init__(self) -> None:
        self._waiting: list[bytes] = []
        self.queued = 0

    def send(self, data: bytes) -> None:
        self._waiting.append(data)
        self.queued += len(data)

    def send_block(self, block: Block) -> None:
        self.send(block.data)

    def release(self) -> bytes:
        """All that has waited."""
        return b"".join(self._waiting)


class _Closed:
    """In place of the outbox when the goodbye is out: nothing may follow it."""

    __slots__ = ()
    queued = 0

    def send(self, data: bytes) -> None:
        pass

    def send_block(self, block: Block) -> None:
        pass


_CLOSED: Final = _Closed()


class CentrifugeSession(Member):
    """Small, as there are many. Waits, pings and expiry are `centrifuge_pulse`'s."""

    __slots__ = (
        "_ahead",
        "_carrier",
        "answered",
        "beat",
        "closed",
        "expires",
        "pinged",
        "subscriptions",
    )

    view: CentrifugeView

    def __init__(self, carrier: Carrier, sender: Sender) -> None:
        held = _Held()
        super().__init__(sender.client, sender, carrier.view, held)
        self._carrier = carrier
        self._ahead = 0.0
        self.beat = 0
        """Kept by the pulse: when it will look at this session."""
        self.closed = False
        """The client has been told the end."""
        self.expires = math.inf
        """Trio time at which its token ends."""
        self.pinged = 0.0
        """Trio time of the last ping; kept by the pulse."""
        self.answered = True
        """Has it been answered?"""
        self.subscriptions: dict[str, Subscription] = {}

    @property
    def session(self) -> str:
        """Where commands are to be sent to; "" for a connection that goes both ways."""
        return self._carrier.session

    @property
    def is_json(self) -> bool:
        """JSON, and not Protobuf?"""
        return self.view.is_json

    def open(self, reply: Reply) -> None:
        """Answer CONNECT; then whatever has come meanwhile."""
        if self.closed:
            return
        held = self.outbox
        self.outbox = self._carrier.connection.outbox
        waiting = held.release() if isinstance(held, _Held) else b""
        self.outbox.send(self.view.reply(reply) + waiting)

    def say(self, reply: Reply) -> None:
        """Send one reply or push."""
        self.outbox.send(self.view.reply(reply))

    def close(self, code: int, reason: str) -> None:
        """Tell the client the end, once. The pulse closes what it does not close itself."""
        if not self.closed:
            self.closed = True
            self.outbox = _CLOSED
            self._carrier.end(code, reason)

    def hang_up(self, reason: str) -> None:
        """End the connection, once all that is queued has gone out."""
        self._carrier.connection.outbox.finish(reason)

    def spend(self, now: float, price: int = 1) -> bool | None:
        """Count a command of this price: True; False if it is one too many now, None if far too
        many (the generic cell rate algorithm: one number is enough)."""
        self._ahead = max(self._ahead, now) + _SPACE * price
        ahead = self._ahead - now
        if ahead > _PATIENCE:
            return None
        return ahead <= _BURST * _SPACE

    async def read(self) -> None:
        """Return when its replies have gone out, if too many of them wait."""
        if self._carrier.connection.outbox.queued > _MAX_REPLIES:
            await self._carrier.connection.outbox.flushed()

    # Subscriptions

    def subscribed(self, channel: str, subscription: Subscription, *, delta: bool = False) -> None:
        """It is in a channel (or about to be: what is `strict` must be so before)."""
        self.subscriptions[channel] = subscription
        self.strict = self.strict or subscription.counts
        if delta:
            self.view = self.view.with_delta(channel)

    def forget(self, channel: str) -> Subscription | None:
        """It is not, or no longer."""
        subscription = self.subscriptions.pop(channel, None)
        self.strict = any(other.counts for other in self.subscriptions.values())
        self.view = self.view.without_delta(channel)
        return subscription

    def on_goodbye(self, goodbye: Goodbye, reason: str) -> None:
        """With the code that tells whether to come again."""
        self.close(goodbye.code, reason)

    def on_removed(self, channel: str, code: int, reason: str) -> None:
        """An unsubscribe push."""
        if self.forget(channel) is not None:
            self.say(Reply(push=Push(channel, unsubscribe=Unsubscribe(code, reason))))

    def on_gap(self, channel: str) -> None:
        """The SDK recovers: by subscribing again, or by connecting again."""
        subscription = self.forget(channel)
        if subscription is None or subscription.server_side:
            code = DisconnectCode.INSUFFICIENT_STATE
            self.close(code.code, code.reason)
        else:
            why = UnsubscribeCode.INSUFFICIENT_STATE
            told = Unsubscribe(why.code, why.reason)
            self.say(Reply(push=Push(channel, unsubscribe=told)))

    def refresh(self, expires: float) -> None:
        """A back end has changed when it expires (Trio time); the client is told."""
        self.expires = expires
        ttl = seconds_left(expires)
        self.say(Reply(push=Push(refresh=Refresh(ttl > 0, ttl))))


def trio_time(unix: float) -> float:
    """A time of Unix (seconds; inf is never) on Trio's clock."""
    return trio.current_time() + unix - time.time()


def seconds_left(expires: float) -> int:
    """Whole seconds until a Trio time, at least one; 0 for never."""
    if math.isinf(expires):
        return 0
    left = min(expires - trio.current_time(), 365 * 86400.0)
    return max(1, math.ceil(left))
