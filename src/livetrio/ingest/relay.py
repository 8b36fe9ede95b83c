"""Relays: streams pulled from and pushed to other servers, each retried until it is stopped."""

from __future__ import annotations

import functools
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, nullcontext, suppress
from ipaddress import ip_address
from types import MappingProxyType

import trio

from livetrio.errors import RefusalCode, Refused
from livetrio.ingest.backoff import Backoff
from livetrio.ingest.relay_attempt import Direction, EditionOf, Outbound, Timeouts
from livetrio.ingest.relay_life import Order, Relay, RelayInfo, Surroundings
from livetrio.ingest.relay_loops import Loops
from livetrio.ingest.relay_url import local_key, parse_url
from livetrio.logs import get_logger
from livetrio.media.registry import Registry
from livetrio.net.dial import AddressPolicy
from livetrio.net.listen import Address
from livetrio.net.scope import Ended, Scope, end_scopes, open_scope
from livetrio.net.tls import client_tls
from livetrio.packet import StreamKey
from livetrio.wire.names import check_name

__all__ = ["RelayInfo", "Relays", "open_relays"]

log = get_logger(__name__)

MAX_RELAYS = 1000
STEADY = 60.0
"""Seconds an attempt has to last for the next failure to be the first again."""


class Relays:
    """Made by `open_relays`."""

    def __init__(self, scope: Scope, around: Surroundings, loops: Loops) -> None:
        self.scope = scope
        self._around = around
        self._loops = loops
        self._relays: dict[str, Relay] = {}
        self._shut = ""

    def start(
        self, kind: Direction, key: StreamKey, url: str, *, operator: bool = True
    ) -> RelayInfo:
        """Start a relay; it lives until it is stopped, whatever the other end does.

        A stream has one source: a pull replaces the one of the same name. It may have many
        targets: a push replaces only one with the same URL.

        Args:
            kind: "pull" publishes here what is elsewhere, "push" the other way.
            key: the stream's name here.
            url: rtmp:// or rtmps://, to pull also http:// or https:// (HTTP-FLV); whip:// and
                whips:// to push, whep:// and wheps:// to pull, if there is WebRTC.
            operator: somebody trusted asked for it, so it may reach private addresses. False
                for what came from a stream's name or a hook: the public internet only.

        Raises:
            Refused: BAD_REQUEST, the name or the URL cannot be used; FORBIDDEN, that would be
                a loop; TOO_MANY; UNAVAILABLE, after `shut`.
        """
        if self._shut:
            raise Refused(RefusalCode.UNAVAILABLE, self._shut)
        for part in key:
            check_name(part)
        parsed = parse_url(kind, url, self._around.outbound)
        policy = AddressPolicy.ANY if operator else AddressPolicy.PUBLIC_ONLY
        old = [relay for relay in self._of(kind, key) if kind == "pull" or relay.order.text == url]
        if len(self._relays) - len(old) >= MAX_RELAYS:
            raise Refused(RefusalCode.TOO_MANY, f"there are {MAX_RELAYS} relays already")
        relay = Relay(Order(kind, key, parsed, url, policy), self._around)
        self._check_literal(relay, old)
        for other in old:
            self._drop(other, "replaced by another relay")
        self._relays[relay.id] = relay
        self.scope.nursery.start_soon(self._live, relay, old, name=f"relay {relay}")
        info = relay.info()
        log.info("relay started", id=relay.id, kind=kind, stream=str(key), url=info.url)
        self._around.registry.events.publish(
            "relay.started", id=relay.id, kind=kind, stream=str(key), url=info.url
        )
        return info

    async def stop(self, relay_id: str) -> Ended | None:
        """End a relay; returns when all of it is gone. None: there is no such relay."""
        relay = self._relays.get(relay_id)
        if relay is None:
            return None
        self._forget(relay, "stopped")
        while relay.scope is None:  # started a moment ago
            await relay.opened.wait()
        ended = await end_scopes([relay.scope], "stopped")
        await relay.ended.wait()
        return ended

    def shut(self, reason: str) -> None:
        """End all relays, and start none any more: the server is stopping."""
        self._shut = reason
        # One by one: what has opened `scope` runs inside of it, and has goodbyes to say yet.
        for relay in list(self._relays.values()):
            self._drop(relay, reason)

    def retire(self, relay_id: str) -> None:
        """End a push as soon as it has sent what is left of its stream (at once if it sends
        nothing now). Does nothing if there is no such relay."""
        relay = self._relays.get(relay_id)
        if relay is not None and not relay.retire():
            self._drop(relay, "its stream has ended")

    def find(self, kind: Direction, key: StreamKey) -> RelayInfo | None:
        """The relay of that kind for a stream; of several push targets the newest (as livego,
        which knows one per stream)."""
        found = self._of(kind, key)
        return found[-1].info() if found else None

    def list(self) -> list[RelayInfo]:
        """All relays, in the order they were started."""
        return [relay.info() for relay in self._relays.values()]

    def _of(self, kind: Direction, key: StreamKey) -> Sequence[Relay]:
        return [r for r in self._relays.values() if r.order.kind == kind and r.order.key == key]

    def _check_literal(self, relay: Relay, old: Sequence[Relay]) -> None:
        """Refuse a loop that needs no DNS to be seen; the others are found when dialling."""
        key, url = relay.order.key, relay.order.url
        host = "127.0.0.1" if url.host.lower() == "localhost" else url.host
        with suppress(ValueError):
            ip_address(host)
            other = local_key(url)
            if other is not None and self._loops.is_own(host, url.port):
                ends = (other, key) if relay.order.kind == "pull" else (key, other)
                self._loops.add(relay.id, *ends, instead_of=[going.id for going in old])

    def _drop(self, relay: Relay, reason: str) -> None:
        """It is not listed any more, and begins to end."""
        self._forget(relay, reason)
        if relay.scope is not None:
            relay.scope.cancel(reason)

    def _forget(self, relay: Relay, reason: str) -> None:
        del self._relays[relay.id]
        self._loops.remove(relay.id)
        self._around.registry.events.publish(
            "relay.stopped",
            id=relay.id,
            kind=relay.order.kind,
            stream=str(relay.order.key),
            reason=reason,
        )

    async def _live(self, relay: Relay, old: Sequence[Relay]) -> None:
        try:
            async with open_scope("relay", str(relay), parent=self.scope) as scope:
                relay.scope = scope
                relay.opened.set()
                if relay.id not in self._relays:
                    return  # stopped before it could begin
                for other in old:
                    await other.ended.wait()
                await relay.run()
                if relay.id in self._relays:
                    self._drop(relay, "its stream has ended")
        finally:
            self._loops.remove(relay.id)
            relay.ended.set()


@asynccontextmanager
async def open_relays(
    registry: Registry,
    *,
    listeners: Sequence[Address] = (),
    verify_tls: bool = True,
    timeouts: Timeouts | None = None,
    published_as: Callable[[StreamKey], Awaitable[StreamKey]] | None = None,
    backoff: Callable[[], Backoff] = Backoff,
    steady: float = STEADY,
    sleep: Callable[[float], Awaitable[object]] = trio.sleep,
    edition_of: EditionOf = nullcontext,
    outbound: Mapping[str, Outbound] = MappingProxyType({}),
) -> AsyncIterator[Relays]:
    """The relays of a node, with the nursery they live in; leaving the block ends them.

    Args:
        registry: where pulled streams are published and pushed ones are found.
        listeners: where this node serves streams (RTMP, RTMPS, HTTP-FLV), as bound: so that a
            relay onto itself is recognised.
        verify_tls: livego's enable_tls_verify.
        timeouts: deadlines of every attempt.
        published_as: the stream that publishing to us under a name makes, where that is not the
            name itself (access by secret keys); so that a push onto itself is recognised.
        backoff: makes one relay's back-off.
        steady: seconds of success after which the back-off begins anew.
        sleep: how a relay waits for its next attempt.
        edition_of: which edition of a stream is pushed; by default the original.
        outbound: by URL scheme ("whip", "whips", "whep", "wheps"): attempts in protocols that
            other services speak.
    """
    loops = Loops(listeners)

    @functools.cache
    def tls() -> ssl.SSLContext:
        # Reads some 150 certificates: once, and only if needed.
        return client_tls(verify=verify_tls)

    around = Surroundings(
        registry=registry,
        loops=loops,
        timeouts=timeouts or Timeouts(),
        client_tls=tls,
        published_as=published_as or _by_name,
        backoff=backoff,
        steady=steady,
        sleep=sleep,
        edition_of=edition_of,
        outbound=outbound,
    )
    async with open_scope("relays", "relays", aside=True) as scope:
        yield Relays(scope, around, loops)


async def _by_name(key: StreamKey) -> StreamKey:
    return key
