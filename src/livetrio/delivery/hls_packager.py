"""Packager: reads one stream's ring at its own pace and fills a window of segments."""

from __future__ import annotations

import secrets
import time

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7

from livetrio.delivery.hls_container import (
    MP4_CODECS,
    TS_CODECS,
    Container,
    Mp4Container,
    TsContainer,
)
from livetrio.delivery.hls_options import HlsOptions
from livetrio.delivery.hls_places import Place
from livetrio.delivery.hls_window import Window, WindowPart
from livetrio.media.edition import Edition
from livetrio.media.ring import EndOfStream
from livetrio.net.fanout import Pacer
from livetrio.packet import US_PER_SECOND, Kind, Packet, Track
from livetrio.wire.m3u8 import Key
from livetrio.wire.segment import Event, Part, SegmentEnd, Segmenter, SegmentLimits, SegmentStart

__all__ = ["Packager"]

_PACE = 0.1
"""Seconds between two looks at the ring where no part waits to be cut: a wake-up costs more
than what it does (see docs/performance.md)."""


class Packager:
    """One rendition in one container.

    Args:
        edition: what to read.
        place: which of its tracks.
        window: where to put the segments.
        low_latency: cut parts, and put each out at once.
        pacer: for waits that cost little.
        begin: decoding time, microseconds: what is before it is not wanted.
    """

    def __init__(
        self,
        edition: Edition,
        place: Place,
        window: Window,
        options: HlsOptions,
        *,
        low_latency: bool,
        pacer: Pacer,
        begin: int | None = None,
    ) -> None:
        self._edition = edition
        self._place = place
        self.outgrown_at: int | None = None
        """After `run`: there is sound that this edition's container does not carry; another
        edition's packager goes on at this decoding time (microseconds)."""
        self._begin_at = begin
        self._outgrown = False
        self._sound: Track | None = None
        self._takes: dict[tuple[Kind, int], bool] = {}
        self._window = window
        self._options = options
        self._parts = low_latency and not options.key_every
        self._pacer = pacer
        ts = window.suffix == TsContainer.suffix
        self._container: Container = TsContainer() if ts else Mp4Container()
        target = options.targets(low_latency=low_latency)[0]
        limits = SegmentLimits(
            target=target,
            longest=options.longest_segment,
            size=options.segment_size,
            part=options.part_duration if self._parts else 0,
        )
        self._segmenter = Segmenter(limits, TS_CODECS if ts else MP4_CODECS)
        self._newest = self._clock = 0.0  # Unix time of media time 0: now, in this segment
        self._is_new = True  # what the window has so far is of an earlier publication
        self._encryption = Encryption(options.key_every) if options.key_every else None

    async def run(self) -> None:
        """Package until the stream ends, the task is cancelled or the edition is `outgrown_at`.

        Raises:
            RemoteProtocolError, LocalProtocolError: the media cannot be packaged.
        """
        cursor = self._edition.ring.cursor()
        jumps = 0
        try:
            while True:
                packets = await cursor.read()
                if cursor.jumps != jumps:  # we stood still for longer than the ring holds
                    jumps = cursor.jumps
                    self._apply(self._segmenter.end())
                self._feed(packets)
                if self.outgrown_at is not None:
                    self._apply(self._segmenter.end())
                    return
                await self._window.tell()
                if not self._parts:
                    await self._pacer.rest(_PACE)
        except EndOfStream:
            self._apply(self._segmenter.end())

    def _feed(self, packets: list[Packet]) -> None:
        times = [packet.dts for packet in packets if not packet.config]
        if times:
            # The newest has only just come; those before it may have waited in the ring.
            self._newest = time.time() - times[-1] / US_PER_SECOND
        for packet in packets:
            track = packet.track
            if self._begin_at is not None and packet.dts < self._begin_at and not packet.config:
                continue
            if track is not self._sound and track.kind is Kind.AUDIO:
                self._sound = track
                self._outgrown = self._place.needed_audio(self._edition.tracks) is not None
            if self._outgrown and self._may_leave(packet):
                self.outgrown_at = packet.dts
                return
            takes = self._takes.get((track.kind, track.id))
            if takes is None:
                takes = self._takes[track.kind, track.id] = self._wants(track)
            if takes:
                self._apply(self._segmenter.feed(packet))

    def _may_leave(self, packet: Packet) -> bool:
        """Another packager can begin here: where a picture can, if there is one."""
        picture = self._place.picture(self._edition.tracks)
        if picture is None:
            return True
        ours = (packet.track.kind, packet.track.id) == (picture.kind, picture.id)
        return ours and packet.key and not packet.config

    def _wants(self, track: Track) -> bool:
        """Is this one of our tracks? Decided once for each: what is first stays first."""
        tracks = self._edition.tracks
        ours = (self._place.picture(tracks), self._place.sound(tracks))
        return any(one is not None and (one.kind, one.id) == (track.kind, track.id) for one in ours)

    def _apply(self, events: list[Event]) -> None:
        window = self._window
        for event in events:
            match event:
                case SegmentStart():
                    self._begin(event)
                case Part():
                    if not window.segments[-1].parts:
                        window.segments[-1].began = self._time(event.start)
                    data = self._container.part(event.samples)
                    window.part_target = self._segmenter.part_target if self._parts else 0
                    window.add_part(WindowPart(data, event.duration, event.independent))
                case SegmentEnd():
                    self._finish(event)

    def _begin(self, event: SegmentStart) -> None:
        header = self._container.begin(event.tracks, discontinuity=event.discontinuity)
        broken = event.discontinuity or self._is_new
        if broken:
            self._clock = self._newest
        self._window.begin(time.time(), discontinuity=broken, header=header)
        self._is_new = False

    def _finish(self, event: SegmentEnd) -> None:
        key = None
        if self._encryption is not None:
            key = self._encryption.apply(self._window)
        window = self._window
        window.finish(event.duration, keep_parts=self._parts, key=key)
        # From here on no segment may be longer than what players were told.
        room = window.target * US_PER_SECOND + US_PER_SECOND // 2 - 1
        self._segmenter.longest = min(self._options.longest_segment, room)

    def _time(self, start: int) -> float:
        return self._clock + start / US_PER_SECOND


class Encryption:
    """AES-128 over whole segments (RFC 8216 section 5.2), with a key that changes."""

    def __init__(self, every: int) -> None:
        self._every = every
        self._left = 0
        self._name = ""
        self._key = b""

    def apply(self, window: Window) -> Key:
        """Encrypt the segment about to be finished in place; says with what."""
        if not self._left:
            self._left = self._every
            self._key = secrets.token_bytes(16)
            self._name = f"{window.prefix}k{secrets.token_hex(8)}.key"
            window.keys[self._name] = self._key
        self._left -= 1
        segment = window.segments[-1]
        vector = segment.number.to_bytes(16, "big")
        cipher = Cipher(algorithms.AES128(self._key), modes.CBC(vector)).encryptor()
        padder = PKCS7(128).padder()
        plain = b"".join([part.data for part in segment.parts])
        padded = padder.update(plain) + padder.finalize()
        duration = sum(part.duration for part in segment.parts)
        segment.parts = [WindowPart(cipher.update(padded) + cipher.finalize(), duration, True)]
        return Key(self._name, vector)
