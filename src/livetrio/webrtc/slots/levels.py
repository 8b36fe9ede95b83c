"""Levels: how loud the seats of one room are, said by their publishers or measured by us.

Browsers send the level of each packet (RFC 6464), which costs nothing to read. Where none has
come for a second, as from OBS, a participant in Python, or a browser without the extension, the
stream's sound is decoded in worker threads, until one comes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import trio

from livetrio.logs import get_logger
from livetrio.media.registry import Registry
from livetrio.media.ring import EndOfStream
from livetrio.media.stream import Stream
from livetrio.net.guard import guarded
from livetrio.packet import Kind, Packet, StreamKey

if TYPE_CHECKING:
    from livetrio.webrtc.slots.level_meter import LevelMeter

__all__ = ["Levels"]

log = get_logger(__name__)

_PATIENCE: Final = 1.0
"""Seconds without a level of the publisher's own from which on it is measured."""
_SPACING: Final = 0.015
"""Seconds between two levels that are told of one seat, at least: 50 a second and some jitter."""
_BATCH: Final = 0.1
"""Seconds of sound that are decoded at once: a trip to a thread costs as much as that."""
_MOST: Final = 25
"""Packets decoded at once; what a thread that was late has missed is gone, and so is its level."""


@dataclass(slots=True, eq=False)
class _Voice:
    """One seat that is followed."""

    seat: int
    key: StreamKey
    stopped: trio.CancelScope
    said: float = -math.inf
    """When its publisher last said how loud it is."""


class Levels:
    """One per room."""

    def __init__(
        self,
        registry: Registry,
        heard: Callable[[int, float], None],
        *,
        threads: trio.CapacityLimiter,
    ) -> None:
        """
        Args:
            registry: where the seats' streams are.
            heard: called with (seat, dBov: -127.0 to 0.0), a plain call, at most 66/s per seat.
            threads: for decoding where a publisher sends no levels; one limiter for the node.
        """
        self._registry = registry
        self._heard = heard
        self._threads = threads
        self._voices: dict[int, _Voice] = {}
        self._nursery: trio.Nursery | None = None

    def follow(self, seats: Mapping[int, StreamKey]) -> None:
        """These seats from now on, and no others. Plain, idempotent. Leave muted seats out.

        Their streams need not exist yet, and may come again.
        """
        for seat, voice in list(self._voices.items()):
            if seats.get(seat) != voice.key:
                voice.stopped.cancel()
                del self._voices[seat]
        for seat, key in seats.items():
            if seat not in self._voices:
                self._voices[seat] = voice = _Voice(seat, key, trio.CancelScope())
                self._start(voice)

    async def run(self) -> None:
        """Until cancelled."""
        try:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                for voice in self._voices.values():
                    self._start(voice)
                await trio.sleep_forever()
        finally:
            self._nursery = None

    def _start(self, voice: _Voice) -> None:
        if self._nursery is not None:
            self._nursery.start_soon(self._listen, voice, name=f"level {voice.key}")

    async def _listen(self, voice: _Voice) -> None:
        def said(dbov: int) -> None:
            now = trio.current_time()
            if now - voice.said >= _SPACING and not voice.stopped.cancel_called:
                voice.said = now
                self._heard(voice.seat, float(dbov))

        with voice.stopped:
            while True:
                stream = await self._registry.appears(voice.key)
                stream.level_listeners.add(said)
                try:
                    with guarded(_blame):
                        await self._attend(voice, stream)
                finally:
                    stream.level_listeners.discard(said)
                await self._registry.pacer.rest(_BATCH)  # it ends, and its name is free in a moment

    async def _attend(self, voice: _Voice, stream: Stream) -> None:
        """Measure whenever the publisher of this stream does not say, until it ends."""
        while not stream.ring.ended:
            await self._registry.pacer.rest(_PATIENCE)
            if trio.current_time() - voice.said >= _PATIENCE and _has_sound(stream):
                await self._measure(voice, stream)

    async def _measure(self, voice: _Voice, stream: Stream) -> None:
        begun = trio.current_time()
        cursor = stream.ring.cursor(live=True)
        meter = await trio.to_thread.run_sync(_open, limiter=self._threads)
        track: int | None = None
        while voice.said < begun:
            await self._registry.pacer.rest(_BATCH)
            try:
                packets = await cursor.read()
            except EndOfStream:
                return
            sound = [packet for packet in packets if _is_sound(packet)]
            if not sound:
                continue
            track = sound[0].track.id if track is None else track
            sound = [packet for packet in sound if packet.track.id == track][-_MOST:]
            level = await trio.to_thread.run_sync(meter.level, sound, limiter=self._threads)
            if level is not None and voice.said < begun and not voice.stopped.cancel_called:
                self._heard(voice.seat, level)


def _open() -> LevelMeter:
    """In a thread: importing FFmpeg takes a tenth of a second the first time."""
    from livetrio.webrtc.slots.level_meter import LevelMeter

    return LevelMeter()


def _has_sound(stream: Stream) -> bool:
    return any(track.kind is Kind.AUDIO for track in stream.tracks)


def _is_sound(packet: Packet) -> bool:
    return packet.track.kind is Kind.AUDIO and not packet.config


def _blame(error: BaseException) -> None:
    """A bug in one seat's level is no end of the room."""
    log.error("bug: level lost", exc_info=error)
