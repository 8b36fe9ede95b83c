"""Stream: what one publisher sends and everybody watches; lives on while it reconnects."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import trio

from livetrio.media.client import Client
from livetrio.media.edition import Edition, TrackStatistics
from livetrio.media.ring import Ring, RingLimits
from livetrio.media.timestamps import RepairCounts, TimestampRepair
from livetrio.net.fanout import Pacer
from livetrio.net.scope import Scope
from livetrio.packet import US_PER_SECOND, Kind, Packet, StreamKey

__all__ = ["Publication", "Stream", "TrackStatistics"]

_RESUME_GATE = 5.0
"""Seconds (of stream time) a returning publisher's packets wait for a key frame."""


class Stream(Edition):
    """The original edition, with its publisher. Made by the Registry only."""

    def __init__(self, key: StreamKey, scope: Scope, limits: RingLimits, pacer: Pacer) -> None:
        super().__init__(key, scope, Ring(limits), pacer)
        self.created = time.time()
        self.publication: Publication | None = None
        """The publisher of this moment; None within the resume window."""
        self.protocol = ""
        """How its publisher came, or the last one that there was (`Client.protocol`)."""
        self.clients: dict[str, Client] = {}
        """Everybody connected for this stream, publisher included, by id."""
        self.bytes_in = 0
        self.packets_in = 0
        self.repairs = RepairCounts()
        """What was repaired, over all publications."""
        self.level_listeners: set[Callable[[int], None]] = set()
        """Called, some 50 times a second, with how loud the sound is in dBov (0 loudest to -127),
        where its publisher says so (RFC 6464)."""
        self.resume_deadline = trio.CancelScope()
        """Ends the stream when its publisher does not come back in time."""

    @property
    def ending(self) -> bool:
        """Has it been told to end, so that nobody may join it as its publisher any more?"""
        cancelled = self.scope.nursery.cancel_scope.cancel_called
        return self.resume_deadline.cancel_called or cancelled or self.ring.ended

    def request_key_frame(self, track_id: int = 0) -> None:
        """Ask the publisher for a key frame of a video track; nothing where it takes no wishes.

        Whoever needs one may ask at any time: how often a publisher is really told is its own
        service's policy.
        """
        publication = self.publication
        if publication is not None and publication.on_key_frame_request is not None:
            publication.on_key_frame_request(track_id)

    def accept(self, packets: Sequence[Packet]) -> None:
        """Take in what the publication has repaired: count it, keep it, wake the readers."""
        self.bytes_in += sum([len(packet.data) for packet in packets])
        self.packets_in += len(packets)
        super().accept(packets)


class Publication:
    """One publisher's turn at a stream. Made by `Registry.publish`."""

    def __init__(self, stream: Stream, client: Client) -> None:
        self.stream = stream
        self.client = client
        stream.protocol = client.protocol
        self.ended_cleanly = False
        self.on_key_frame_request: Callable[[int], None] | None = None
        """Set by a publisher's service that can ask its peer for key frames (RTCP PLI): called
        with the video track's id. RTMP has no word for it."""
        for seen in stream.track_statistics:  # its encoder is another
            seen.reordered, seen.judged = False, 0
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

    def tell_level(self, dbov: int) -> None:
        """The publisher says how loud its sound is: 0 loudest to -127 dBov."""
        if self.stream.publication is self:
            for listener in tuple(self.stream.level_listeners):
                listener(dbov)

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
