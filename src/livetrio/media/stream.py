"""Stream: what one publisher sends and everybody watches; lives on while it reconnects."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import trio

from livetrio.errors import RefusalCode, Refused
from livetrio.logs import get_logger
from livetrio.media.client import Client
from livetrio.media.feed import Feed, Format
from livetrio.media.ring import Ring, RingLimits
from livetrio.media.timestamps import RepairCounts, TimestampRepair
from livetrio.net.fanout import Pacer
from livetrio.net.guard import guarded
from livetrio.net.outbox import Outbox
from livetrio.net.scope import Scope, open_scope
from livetrio.packet import US_PER_SECOND, Kind, Packet, StreamKey, Track

__all__ = ["Publication", "Stream", "TrackStatistics"]

log = get_logger(__name__)

_RESUME_GATE = 5.0
"""Seconds (of stream time) a returning publisher's packets wait for a key frame."""


@dataclass(slots=True)
class TrackStatistics:
    """What is known of one track by watching it."""

    track: Track
    packets: int = 0
    bytes: int = 0
    keys: int = 0
    last_key_dts: int | None = None
    gop: int = 0
    """Microseconds between the last two key frames."""
    reordered: bool = False
    """Were presentation times seen to differ from decoding times (B-frames)?"""
    first_dts: int = 0
    last_dts: int = 0


class Stream:
    """Made by the Registry only; its scope holds the feeds' pumps."""

    def __init__(self, key: StreamKey, scope: Scope, limits: RingLimits, pacer: Pacer) -> None:
        self.key = key
        self.scope = scope
        self.ring = Ring(limits)
        self.created = time.time()
        self.publication: Publication | None = None
        """The publisher of this moment; None within the resume window."""
        self.clients: dict[str, Client] = {}
        """Everybody connected for this stream, publisher included, by id."""
        self.bytes_in = 0
        self.packets_in = 0
        self.repairs = RepairCounts()
        """What was repaired, over all publications."""
        self.resume_deadline = trio.CancelScope()
        """Ends the stream when its publisher does not come back in time."""
        self._pacer = pacer
        self._feeds: dict[str, Feed] = {}
        self._tracks: dict[tuple[Kind, int], TrackStatistics] = {}

    @property
    def tracks(self) -> list[Track]:
        """The elementary streams seen so far, in their present configuration."""
        return [seen.track for seen in self._tracks.values()]

    @property
    def ending(self) -> bool:
        """Has it been told to end, so that nobody may join it as its publisher any more?"""
        cancelled = self.scope.nursery.cancel_scope.cancel_called
        return self.resume_deadline.cancel_called or cancelled or self.ring.ended

    @property
    def track_statistics(self) -> list[TrackStatistics]:
        """The same with what watching them told."""
        return list(self._tracks.values())

    @property
    def newest_dts(self) -> int | None:
        """Decoding time (us) of the newest packet of all tracks; None before the first."""
        times = [seen.last_dts for seen in self._tracks.values() if seen.packets]
        return max(times) if times else None

    @property
    def feeds(self) -> Sequence[Feed]:
        """The wire formats somebody watches in."""
        return list(self._feeds.values())

    @contextmanager
    def watch(
        self, format_: Format, outbox: Outbox, ended: Callable[[str], None] | None = None
    ) -> Iterator[Feed]:
        """Be a viewer: bytes of this format go to the outbox until the block is left.

        The first viewer of a format starts its feed; the going of the last one stops it.

        Args:
            format_: what to be sent.
            outbox: where to.
            ended: called with the reason when the stream has ended and its goodbye is sent, for
                connections that have more to do; by default the connection is closed then.

        Raises:
            Refused: GONE, the stream ended in between.
        """
        if self.ring.ended:
            raise Refused(RefusalCode.GONE, f"stream {self.key} has ended")
        feed = self._feeds.get(format_.name)
        if feed is None:
            feed = Feed(self.ring, format_, self._pacer, lambda: self.tracks)
            self._feeds[format_.name] = feed
            self.scope.nursery.start_soon(self._run, feed, name=f"feed {format_.name}")
        try:
            with feed.viewer(outbox, ended):
                yield feed
        finally:
            if not feed.viewers and self._feeds.get(format_.name) is feed:
                del self._feeds[format_.name]
                feed.stopped.cancel()

    def accept(self, packets: Sequence[Packet]) -> None:
        """Take in what the publication has repaired: count it, keep it, wake the readers."""
        for packet in packets:
            self.bytes_in += len(packet.data)
            self._observe(packet)
        self.packets_in += len(packets)
        self.ring.append(packets)

    async def drained(self) -> None:
        """After the end: return when every feed has sent what was left."""
        for feed in list(self._feeds.values()):
            await feed.done.wait()

    async def _run(self, feed: Feed) -> None:
        async with open_scope("feed", feed.format.name, parent=self.scope):
            with feed.stopped, guarded(partial(self._blame, feed)):
                await feed.pump()

    def _blame(self, feed: Feed, error: BaseException) -> None:
        """A bug in one format ends that feed; no stream ends another."""
        log.error("bug: feed ended", stream=str(self.key), feed=feed.format.name, exc_info=error)

    def _observe(self, packet: Packet) -> None:
        track = packet.track
        seen = self._tracks.get((track.kind, track.id))
        if seen is None:
            seen = TrackStatistics(track, first_dts=packet.dts)
            self._tracks[track.kind, track.id] = seen
        seen.track = track
        if packet.config:
            return
        seen.packets += 1
        seen.bytes += len(packet.data)
        seen.last_dts = packet.dts
        if packet.pts != packet.dts and track.kind is Kind.VIDEO:
            seen.reordered = True
        if packet.key and track.kind is Kind.VIDEO:
            if seen.last_key_dts is not None:
                seen.gop = packet.dts - seen.last_key_dts
            seen.last_key_dts = packet.dts
            seen.keys += 1


class Publication:
    """One publisher's turn at a stream. Made by `Registry.publish`."""

    def __init__(self, stream: Stream, client: Client) -> None:
        self.stream = stream
        self.client = client
        self.ended_cleanly = False
        newest = stream.newest_dts
        self._repair = TimestampRepair(newest, stream.repairs)
        self._gated = newest is not None and any(t.kind is Kind.VIDEO for t in stream.tracks)
        self._gate_began: int | None = None

    def publish(self, packets: Sequence[Packet]) -> None:
        """Give packets to the stream. Never waits; does nothing after a takeover."""
        if self.stream.publication is not self or not packets:
            return
        if self._gated:
            packets = self._resume(packets)
        if packets:
            repair = self._repair.apply
            self.stream.accept([repair(packet) for packet in packets])

    def finish(self) -> None:
        """The publisher said that it is done: viewers need not wait for its return."""
        self.ended_cleanly = True

    def _resume(self, packets: Sequence[Packet]) -> list[Packet]:
        """Viewers stayed on: what comes before a key frame would show them garbage."""
        passed: list[Packet] = []
        for packet in packets:
            if self._gated and not packet.config:
                if self._gate_began is None:
                    self._gate_began = packet.dts
                waited = packet.dts - self._gate_began
                is_key = packet.key and packet.track.kind is Kind.VIDEO
                self._gated = not is_key and 0 <= waited < _RESUME_GATE * US_PER_SECOND
            if packet.config or not self._gated:
                passed.append(packet)
        return passed
