"""One relay's life: attempt after attempt until it is stopped, its state visible to people."""

from __future__ import annotations

import math
import secrets
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import trio

from livetrio.errors import (
    LivetrioError,
    LocalProtocolError,
    RefusalCode,
    Refused,
    RemoteProtocolError,
)
from livetrio.ingest.backoff import Backoff
from livetrio.ingest.relay_attempt import (
    Attempt,
    Direction,
    EditionOf,
    Meter,
    Outbound,
    State,
    Timeouts,
)
from livetrio.ingest.relay_loops import Loops
from livetrio.ingest.relay_pull import pull
from livetrio.ingest.relay_rtmp import push_rtmp
from livetrio.ingest.relay_url import HttpUrl, RelayUrl, local_key, remote_of, secrets_of, shown
from livetrio.logs import get_logger
from livetrio.media.registry import Registry
from livetrio.net.connection import Connection
from livetrio.net.dial import AddressPolicy, dial
from livetrio.net.guard import guarded
from livetrio.net.outbox import OutboxLimits
from livetrio.net.scope import Scope, open_scope
from livetrio.packet import StreamKey
from livetrio.wire.rtmp.url import RtmpUrl

__all__ = ["Order", "Relay", "RelayInfo", "Surroundings"]

log = get_logger(__name__)

_MAX_ERROR = 200
"""Characters kept of what another server says of itself."""
_HOPELESS = {RefusalCode.BAD_REQUEST, RefusalCode.FORBIDDEN}
"""Refusals that will not change within seconds: the next attempt is as late as it can be."""


@dataclass(frozen=True, slots=True)
class RelayInfo:
    """A relay as operators see it."""

    id: str
    kind: Direction
    app: str
    name: str
    url: str
    """Without credentials, values of parameters and names to publish by."""
    state: State
    """connecting; running: media flow; waiting: for the local stream (push) or for its name to
    be free (pull); failed: the next attempt comes by itself."""
    since: float
    """Unix time of its start, seconds."""
    attempts: int
    last_error: str
    """Why the last attempt ended; stays while the next one runs."""
    bytes: int
    """Media bytes and all else received (pull) or sent (push), over all attempts."""
    jumps: int
    """Times a push target was so slow that it was moved to the newest key frame."""


@dataclass(frozen=True, slots=True)
class Order:
    """What a relay is asked to do."""

    kind: Direction
    key: StreamKey
    url: RelayUrl
    text: str
    """The URL as it was given, for finding it again; never shown."""
    policy: AddressPolicy


@dataclass(frozen=True, slots=True, eq=False)
class Surroundings:
    """What all relays of a node share."""

    registry: Registry
    loops: Loops
    timeouts: Timeouts
    client_tls: Callable[[], ssl.SSLContext]
    published_as: Callable[[StreamKey], Awaitable[StreamKey]]
    """The stream that publishing under this name of ours makes (a secret key makes its room)."""
    backoff: Callable[[], Backoff]
    steady: float
    """Seconds an attempt has to last for the back-off to begin anew."""
    sleep: Callable[[float], Awaitable[object]]
    edition_of: EditionOf
    """What a push sends of a stream: servers out there know AAC, hardly ever Opus."""
    outbound: Mapping[str, Outbound]
    """By URL scheme: what other services speak."""


class Relay:
    """Made and run by `Relays`."""

    def __init__(self, order: Order, around: Surroundings) -> None:
        self.id = secrets.token_urlsafe(9)
        self.order = order
        self.scope: Scope | None = None
        """Its nursery, once it runs."""
        self.opened = trio.Event()
        self.ended = trio.Event()
        self._around = around
        self._shown = shown(order.url, order.kind, order.key)
        self._meter = Meter(order.kind)
        self._backoff = around.backoff()
        self._state: State = "waiting" if order.kind == "push" else "connecting"
        self._since = time.time()
        self._retired = False
        self._attempts = 0
        self._last_error = ""
        self._faults: list[BaseException] = []
        self._running_since = math.inf  # Trio time, of the present attempt

    def __str__(self) -> str:
        return f"{self.order.kind} {self.order.key}"

    def info(self) -> RelayInfo:
        """How it is now."""
        return RelayInfo(
            id=self.id,
            kind=self.order.kind,
            app=self.order.key.app,
            name=self.order.key.name,
            url=self._shown,
            state=self._state,
            since=self._since,
            attempts=self._attempts,
            last_error=self._last_error,
            bytes=self._meter.bytes,
            jumps=self._meter.jumps,
        )

    def retire(self) -> bool:
        """Let the present attempt be the last; False if it is not even running."""
        self._retired = True
        return self._state == "running"

    async def run(self) -> None:
        """Try until cancelled or retired."""
        while True:
            reason = await self._try()
            if self._retired:
                return
            if trio.current_time() - self._running_since >= self._around.steady:
                self._backoff.reset()
            if not reason:  # our own stream ended: wait for the next one at once
                continue
            self._last_error = reason
            delay = self._delay()
            # A pull whose name is taken waits for that name: nothing has failed.
            self._enter("waiting" if self._is_name_taken() else "failed", retry=round(delay, 1))
            await self._around.sleep(delay)

    async def _try(self) -> str:
        """One attempt; returns why it ended, "" for a push whose stream has ended."""
        self._attempts += 1
        self._faults.clear()
        self._running_since = math.inf
        reason = ""
        with guarded(self._faults.append):
            async with open_scope("attempt", f"attempt {self._attempts}") as scope:
                attempt = Attempt(
                    registry=self._around.registry,
                    key=self.order.key,
                    url=self.order.url,
                    shown=self._shown,
                    scope=scope,
                    timeouts=self._around.timeouts,
                    meter=self._meter,
                    enter=self._enter,
                    dialer=self._dial,
                    edition_of=self._around.edition_of,
                    policy=self.order.policy,
                )
                await self._run(attempt)
            reason = scope.reason
        if self._faults:
            return "; ".join(dict.fromkeys(map(self._explain, self._faults)))
        return reason

    async def _run(self, attempt: Attempt) -> None:
        url = self.order.url
        if isinstance(url, HttpUrl) and (outbound := self._around.outbound.get(url.scheme)):
            await outbound(attempt, url)
        elif self.order.kind == "pull":
            await pull(attempt)
        else:
            await push_rtmp(attempt)

    @asynccontextmanager
    async def _dial(self, url: RelayUrl) -> AsyncIterator[Connection]:
        around, order = self._around, self.order
        remote = remote_of(url)
        ours = local_key(url) if around.loops.has_port(url.port) else None
        if ours is not None and order.kind == "push" and isinstance(url, RtmpUrl):
            ours = await around.published_as(ours)

        def screen(ip: str, port: int) -> None:
            around.loops.remove(self.id)
            if ours is not None and around.loops.is_own(ip, port):
                ends = (ours, order.key) if order.kind == "pull" else (order.key, ours)
                around.loops.add(self.id, *ends)

        async with dial(
            remote,
            policy=order.policy,
            limits=OutboxLimits(stall=around.timeouts.write),
            tls=around.client_tls() if remote.tls else None,
            screen=screen,
            timeout=around.timeouts.dial,
        ) as connection:
            yield connection

    def _enter(self, state: State, **details: object) -> None:
        """The relay has got so far: tell people, once per change."""
        if state == "running":
            self._running_since = trio.current_time()
        if state == self._state and state != "failed":
            return
        self._state = state
        about = {"id": self.id, "kind": self.order.kind, "stream": str(self.order.key)}
        if state in ("failed", "waiting"):
            details["reason"] = self._last_error
        details["url"] = self._shown
        tell = {"failed": log.warning, "connecting": log.debug}.get(state, log.info)
        tell(f"relay {state}", **about, **details)
        self._around.registry.events.publish(f"relay.{state}", **about, **details)

    def _delay(self) -> float:
        if any(isinstance(f, Refused) and f.code in _HOPELESS for f in self._faults):
            return self._backoff.longest
        return self._backoff.next()

    def _is_name_taken(self) -> bool:
        return self.order.kind == "pull" and any(
            isinstance(fault, Refused) and fault.code is RefusalCode.CONFLICT
            for fault in self._faults
        )

    def _explain(self, fault: BaseException) -> str:
        """One line for people, without what must not be shown."""
        match fault:
            case RemoteProtocolError():
                text = f"the other end broke the protocol: {fault}"
            case LocalProtocolError():
                text = self._confess(fault)
            case LivetrioError():  # RelayEnded, Refused ...
                text = str(fault)
            case trio.TooSlowError():
                text = "no connection in time"
            case trio.BrokenResourceError():
                text = f"connection lost: {fault}"
            case OSError():
                text = f"cannot connect: {fault.strerror or fault}"
            case _:
                text = self._confess(fault)
        # What another server says may repeat the name we publish by, or a token.
        for secret in secrets_of(self.order.url, self.order.kind):
            text = text.replace(secret, "…")
        text = "".join(char if char.isprintable() else " " for char in text)
        return text[:_MAX_ERROR]

    def _confess(self, fault: BaseException) -> str:
        log.error("bug: relay attempt ended by an exception", relay=str(self), exc_info=fault)
        return f"internal error ({type(fault).__name__})"
