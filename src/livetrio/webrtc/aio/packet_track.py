"""PacketTrack: a track of a stream as aiortc sends it: coded packets, never decoded.

aiortc's senders take an `av.Packet` in place of a frame and put it into RTP as it is.
"""

from __future__ import annotations

import asyncio
from collections import deque
from fractions import Fraction
from typing import Any, Final

import av
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack

from livetrio.errors import RemoteProtocolError
from livetrio.packet import US_PER_SECOND, Codec, Kind, Packet, Track
from livetrio.wire.avc import AvcConfig, AvcNal
from livetrio.wire.nal import nal_units
from livetrio.wire.opus import packet_duration

__all__ = ["PacketTrack"]

_VIDEO_BASE: Final = Fraction(1, 90_000)
_AUDIO_BASE: Final = Fraction(1, 48_000)
_MOST: Final = 300
"""Packets that wait for the network: ten seconds of video, six of sound."""
_SLACK: Final = 30_000
"""Microseconds an Opus packet may be off the grid of samples before time has jumped."""
_START_CODE: Final = b"\x00\x00\x00\x01"
_PARAMETER_SETS: Final = frozenset({AvcNal.SPS, AvcNal.PPS})


class PacketTrack(MediaStreamTrack):
    """Filled by `put` from Trio, emptied by one of aiortc's senders."""

    def __init__(self, kind: Kind, codec: Codec) -> None:
        """
        Args:
            kind: VIDEO or AUDIO.
            codec: H264, VP8 or OPUS; packets of another are not sent.
        """
        super().__init__()
        self.kind = kind.value
        self.codec = codec
        self.dropped = 0
        """Bytes that were not sent because the network was too slow."""
        self.jumps = 0
        """Times that happened."""
        self.sent = 0
        """Bytes of payload handed to aiortc."""
        self._is_video = kind is Kind.VIDEO
        self._queue: deque[av.Packet[Any]] = deque()
        self._news = asyncio.Event()
        self._key_needed = self._is_video
        self._parameter_sets = b""
        self._length_size = 4
        self._track: Track | None = None
        self._next_sample: int | None = None

    def put(self, packet: Packet, time: int) -> None:
        """Queue a frame; never waits.

        Args:
            packet: of the track, not a configuration.
            time: when it is to be shown, microseconds since the beginning.
        """
        if packet.track.codec is not self.codec or self.readyState == "ended":
            return
        if len(self._queue) >= _MOST:
            self._drop()
        if self._key_needed and not packet.key:
            self.dropped += len(packet.data) if self.jumps else 0
            return
        try:
            coded = self._coded(packet, time)
        except RemoteProtocolError:
            self._key_needed = self._is_video
            return
        self._key_needed = False
        self._queue.append(coded)
        self._news.set()

    async def recv(self) -> av.Packet[Any]:
        """For aiortc: the next coded packet."""
        while not self._queue:
            if self.readyState == "ended":
                raise MediaStreamError
            self._news.clear()
            await self._news.wait()
        packet = self._queue.popleft()
        self.sent += packet.size
        return packet

    def stop(self) -> None:
        """End it; whoever waits hears of it."""
        super().stop()
        self._news.set()

    def _drop(self) -> None:
        self.jumps += 1
        self.dropped += sum(packet.size for packet in self._queue)
        self._queue.clear()
        self._key_needed = self._is_video

    def _coded(self, packet: Packet, time: int) -> av.Packet[Any]:
        if not self._is_video:
            return _stamped(packet.data, self._sample(packet.data, time), _AUDIO_BASE)
        data = self._annexb(packet) if self.codec is Codec.H264 else packet.data
        return _stamped(data, time * 90_000 // US_PER_SECOND, _VIDEO_BASE)

    def _annexb(self, packet: Packet) -> bytes:
        if packet.track is not self._track:
            record = AvcConfig.parse(packet.track.config)
            self._track = packet.track
            self._length_size = record.length_size
            sets = (*record.sps_list, *record.pps_list)
            self._parameter_sets = b"".join(_START_CODE + unit for unit in sets)
        units = [
            unit
            for unit in nal_units(packet.data, self._length_size)
            if not (self._parameter_sets and packet.key and unit[0] & 0x1F in _PARAMETER_SETS)
        ]
        body = b"".join(_START_CODE + bytes(unit) for unit in units)
        return self._parameter_sets + body if packet.key else body

    def _sample(self, data: bytes, time: int) -> int:
        """Opus timestamps count samples: one that is a rounding error off makes players conceal."""
        due = time * 48_000 // US_PER_SECOND
        sample = self._next_sample
        if sample is None or abs(sample - due) > _SLACK * 48 // 1_000:
            sample = due
        self._next_sample = sample + packet_duration(data) * 48 // 1_000
        return sample


def _stamped(data: bytes, pts: int, base: Fraction) -> av.Packet[Any]:
    packet = av.Packet(data)
    packet.pts = packet.dts = pts
    packet.time_base = base
    return packet
