"""Registry: which streams there are; where publishers and viewers meet.

Scoped, both ways: leaving `publish` is the unpublish, leaving `subscribe` is the end of watching.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field, replace

import trio

from livetrio.errors import RefusalCode, Refused
from livetrio.logs import get_logger
from livetrio.media.client import Client, Numbers
from livetrio.media.events import Events
from livetrio.media.ring import RingLimits
from livetrio.media.stream import Publication, Stream
from livetrio.media.timestamps import RepairCounts
from livetrio.net.fanout import Pacer
from livetrio.net.scope import Ended, Scope, end_scopes, open_scope
from livetrio.packet import StreamKey

__all__ = ["Registry", "StreamTotals", "Totals", "open_registry"]

log = get_logger(__name__)

_DRAIN_TIMEOUT = 2.0
"""Seconds an ended stream's feeds have for their last flush."""
_MAKING = 10.0
"""Seconds that somebody waits at least for a stream that is made on demand."""


@dataclass(slots=True)
class Totals:
    """Sums over clients that have left, for counters that must never fall."""

    clients: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    jumps: int = 0
    dropped: int = 0

    def add(self, now: Numbers, before: Numbers) -> None:
        """One client more, that did what lies between two readings of its numbers."""
        self.clients += 1
        self.bytes_in += now.bytes_in - before.bytes_in
        self.bytes_out += now.bytes_out - before.bytes_out
        self.jumps += now.jumps - before.jumps
        self.dropped += now.dropped - before.dropped


@dataclass(slots=True)
class StreamTotals:
    """Sums over streams that have ended, for the same reason."""

    streams: int = 0
    packets: int = 0
    bytes: int = 0
    repairs: RepairCounts = field(default_factory=RepairCounts)

    def add(self, stream: Stream) -> None:
        """One stream more."""
        self.streams += 1
        self.packets += stream.packets_in
        self.bytes += stream.bytes_in
        self.repairs.wraps += stream.repairs.wraps
        self.repairs.jumps += stream.repairs.jumps
        self.repairs.backward += stream.repairs.backward


class Registry:
    """Made by `open_registry`."""

    def __init__(
        self, scope: Scope, limits: RingLimits, pacer: Pacer, events: Events, resume_window: float
    ) -> None:
        self.scope = scope
        self.events = events
        self.streams: dict[StreamKey, Stream] = {}
        self._others: dict[str, tuple[StreamKey, Client]] = {}
        """Everybody who is connected for what is no live stream, by id."""
        self.past: dict[tuple[str, str], Totals] = {}
        """By (role, protocol)."""
        self.ended = StreamTotals()
        self._limits = limits
        self.pacer = pacer
        self._resume_window = resume_window
        self._waiting: dict[StreamKey, trio.lowlevel.ParkingLot] = {}
        self._makers: dict[StreamKey, Callable[[], None]] = {}

    @contextmanager
    def on_demand(self, key: StreamKey, start: Callable[[], None]) -> Iterator[None]:
        """While in the block, whoever wants this stream and finds it missing has it made.

        start: a plain call that begins with making it, once however often it is called; it
            raises Refused if it cannot: NOT_FOUND, there is nothing to make it from yet (who
            waits for it goes on waiting); anything else is what is said to who wants it.

        Raises:
            ValueError: somebody else makes it already.
        """
        if key in self._makers:
            raise ValueError(f"stream {key} is made by somebody else")
        self._makers[key] = start
        try:
            if self.awaited(key):  # wanted before it could be made: a relay waits for ever
                with suppress(Refused):
                    start()
            yield
        finally:
            del self._makers[key]

    def has(self, key: StreamKey) -> bool:
        """Is this stream there, or made as soon as somebody wants it?"""
        return key in self.streams or key in self._makers

    def awaited(self, key: StreamKey) -> bool:
        """Does somebody wait for this stream, which is not there?"""
        return key in self._waiting

    def demand(self, key: StreamKey) -> bool:
        """Somebody wants this stream: if it can be made and is not there, that begins.

        False: nobody makes it, or there is nothing to make it from yet.

        Raises:
            Refused: it cannot be made now, for any other reason than that.
        """
        start = self._makers.get(key)
        if start is None:
            return False
        stream = self.streams.get(key)
        if stream is None or stream.ending:
            try:
                start()
            except Refused as refusal:
                if refusal.code is not RefusalCode.NOT_FOUND:
                    raise
                return False
        return True

    async def wanted(self, key: StreamKey) -> Stream | None:
        """The stream, waited for if it is made on demand; else None where there is none.

        Raises:
            Refused: it cannot be made now, as `demand` says.
        """
        stream = self.streams.get(key)
        if (stream is None or stream.ending) and self.demand(key):
            with trio.move_on_after(_MAKING):
                await self._published(key)
            stream = self.streams.get(key)
        return stream

    @asynccontextmanager
    async def publish(
        self, key: StreamKey, client: Client, *, takeover: bool
    ) -> AsyncIterator[Publication]:
        """Be the publisher of a stream, new or waiting for its publisher's return.

        takeover: end another publisher that is there (else: be refused).

        Raises:
            Refused: CONFLICT, somebody else publishes.
        """
        while (stream := self.streams.get(key)) is None or stream.ending:
            if stream is not None:  # it has been told to end, and is gone in a moment
                await trio.lowlevel.checkpoint()
                continue
            await self.scope.nursery.start(self._live, key, name=f"stream {key}")
        # From here to the assignment nothing awaits: of two publishers one comes second.
        if (other := stream.publication) is not None:
            if not takeover:
                raise Refused(
                    RefusalCode.CONFLICT,
                    f"stream {key} is being published already",
                    hint="override_publisher: always lets a second publisher take over",
                )
            log.info(
                "publisher taken over", stream=str(key), old=other.client.address, **_who(client)
            )
            other.client.scope.cancel("another publisher took over")
        publication = Publication(stream, client)
        resumed = stream.newest_dts is not None
        stream.publication = publication
        stream.resume_deadline.deadline = float("inf")
        log.info("stream resumed" if resumed else "stream online", stream=str(key), **_who(client))
        self.events.publish("stream.resumed" if resumed else "stream.online", stream=str(key))
        if waiting := self._waiting.pop(key, None):
            waiting.unpark_all()
        try:
            with self._present(stream, client):
                yield publication
        finally:
            if stream.publication is publication:
                stream.publication = None
                window = 0.0 if publication.ended_cleanly else self._resume_window
                stream.resume_deadline.deadline = trio.current_time() + window
                log.info("publisher left", stream=str(key), waits=window, **_who(client))

    @asynccontextmanager
    async def subscribe(
        self, key: StreamKey, client: Client, *, wait: float = 0.0
    ) -> AsyncIterator[Stream]:
        """Watch a stream; a player that is early waits that many seconds for its publisher, and
        longer for one that is made on demand.

        Raises:
            Refused: NOT_FOUND; as `demand` says, if it cannot be made now.
        """
        stream = self.streams.get(key)
        if (stream is None or stream.ending) and self.demand(key):
            stream, wait = None, max(wait, _MAKING)
        if stream is None and wait > 0:
            with trio.move_on_after(wait):
                await self._published(key)
            stream = self.streams.get(key)
        if stream is None:
            raise Refused(RefusalCode.NOT_FOUND, f"stream {key} is not being published")
        with self._present(stream, client):
            yield stream

    @contextmanager
    def attend(self, key: StreamKey, client: Client) -> Iterator[None]:
        """List and count a client of what is no live stream: a stored file, a room as a whole."""
        self._others[client.id] = key, client
        try:
            with self._counted(key, client):
                yield
        finally:
            del self._others[client.id]

    def clients(self) -> Iterator[tuple[StreamKey, Client]]:
        """Everybody connected, with the name of what for."""
        for key, stream in self.streams.items():
            for client in stream.clients.values():
                yield key, client
        yield from self._others.values()

    def totals(self) -> dict[tuple[str, str], Totals]:
        """Sums by (role, protocol) over all clients that there ever were; they never fall."""
        sums = {label: replace(totals) for label, totals in self.past.items()}
        for _, client in self.clients():
            label = client.role, client.protocol
            sums.setdefault(label, Totals()).add(client.numbers(), client.before)
        return sums

    def stream_totals(self) -> StreamTotals:
        """The same over all streams, ended or not."""
        sums = replace(self.ended, repairs=replace(self.ended.repairs))
        for stream in self.streams.values():
            sums.add(stream)
        return sums

    async def end_stream(self, key: StreamKey, reason: str) -> Ended | None:
        """End a stream, its publisher and its viewers; returns when all of it is gone.

        None: there is no such stream.
        """
        stream = self.streams.get(key)
        if stream is None:
            return None
        scopes = {client.scope for client in stream.clients.values()} | {stream.scope}
        log.info("stream ended by an operator", stream=str(key), reason=reason)
        return await end_scopes(scopes, reason)

    async def end_client(self, client_id: str, reason: str) -> Ended | None:
        """End one client; returns when it is gone. None: there is no such client."""
        for key, client in self.clients():
            if client.id == client_id:
                log.info("client ended by an operator", stream=str(key), **_who(client))
                return await end_scopes([client.scope], reason)
        return None

    async def drain(self, reason: str) -> None:
        """End all streams with a goodbye; returns when everybody has heard it. Set a deadline."""
        scopes = {client.scope for _, client in self.clients()}
        for stream in list(self.streams.values()):
            if stream.publication is not None:
                stream.publication.finish()
                stream.publication.client.scope.cancel(reason)
            else:
                stream.resume_deadline.cancel()
        for _, client in self._others.values():
            client.scope.cancel(reason)
        for scope in scopes:
            await scope.wait_closed()

    @contextmanager
    def _present(self, stream: Stream, client: Client) -> Iterator[None]:
        """The client is listed with its stream while it is here."""
        stream.clients[client.id] = client
        try:
            with self._counted(stream.key, client):
                yield
        finally:
            del stream.clients[client.id]

    @contextmanager
    def _counted(self, key: StreamKey, client: Client) -> Iterator[None]:
        """Its coming and going are told, and its numbers are kept when it goes."""
        about = {"stream": str(key), "id": client.id, "role": client.role}
        self.events.publish("client.opened", **about, protocol=client.protocol)
        client.before = client.numbers()  # only what it did here counts here
        try:
            yield
        finally:
            self.past.setdefault((client.role, client.protocol), Totals()).add(
                client.numbers(), client.before
            )
            self.events.publish("client.closed", **about, reason=client.scope.reason or "left")

    async def appears(self, key: StreamKey) -> Stream:
        """The stream, as soon as there is one that will last."""
        while (stream := self.streams.get(key)) is None or stream.ending:
            if stream is not None:  # it has been told to end, and is gone in a moment
                await trio.lowlevel.checkpoint()
            else:
                await self._published(key)
        return stream

    async def _published(self, key: StreamKey) -> None:
        lot = self._waiting.setdefault(key, trio.lowlevel.ParkingLot())
        try:
            await lot.park()
        finally:
            if not lot and self._waiting.get(key) is lot:
                del self._waiting[key]

    async def _live(
        self, key: StreamKey, *, task_status: trio.TaskStatus[Stream] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """A stream's life: until its publisher is gone for longer than the resume window."""
        if (other := self.streams.get(key)) is not None:
            task_status.started(other)
            return
        async with open_scope("stream", str(key), parent=self.scope) as scope:
            stream = Stream(key, scope, self._limits, self.pacer)
            self.streams[key] = stream
            try:
                task_status.started(stream)
                with stream.resume_deadline:
                    await trio.sleep_forever()
            finally:
                # First the name is free, then the viewers get what is left and a goodbye.
                del self.streams[key]
                self.ended.add(stream)
                stream.ring.end()
                reason = scope.reason or "publisher left"
                log.info("stream offline", stream=str(key), reason=reason)
                self.events.publish("stream.offline", stream=str(key), reason=reason)
            with trio.move_on_after(_DRAIN_TIMEOUT):
                await stream.drained()


@asynccontextmanager
async def open_registry(
    *,
    limits: RingLimits | None = None,
    pacer: Pacer | None = None,
    events: Events | None = None,
    resume_window: float = 10.0,
) -> AsyncIterator[Registry]:
    """The registry, with the nursery that all streams live in."""
    async with open_scope("registry", "streams", aside=True) as scope:
        yield Registry(
            scope, limits or RingLimits(), pacer or Pacer(), events or Events(), resume_window
        )


def _who(client: Client) -> dict[str, object]:
    return {"protocol": client.protocol, "peer": client.address, "client": client.id}
