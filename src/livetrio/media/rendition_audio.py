"""The audio rendition: an edition with its first audio track in another codec."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from typing import Final, Protocol

import trio

from livetrio.media.edition import Edition
from livetrio.media.needs import is_one_sound
from livetrio.media.ring import EndOfStream
from livetrio.packet import US_PER_MS, Codec, Kind, Packet

__all__ = ["make_audio"]

_PIECE: Final = 100
"""Packets given to a thread at once, about two seconds of sound: what a cancellation waits for
is some ten milliseconds."""
_GATHER: Final = 80 * US_PER_MS
"""Microseconds of stream time that sound gathers before it goes to a thread. A trip there and
back costs nearly as much CPU as a frame itself: with five frames a trip that is a tenth of all,
for a delay of four. Refused: no thread at all; a hundred streams' sound would fill the loop."""


class _Transcoder(Protocol):
    def feed(self, packets: Sequence[Packet]) -> list[Packet]: ...


async def make_audio(
    target: Codec, bitrate: int, threads: trio.CapacityLimiter, source: Edition, edition: Edition
) -> None:
    """Fill an edition until the source ends.

    Pictures and all else that is not sound goes on at once. Sound of the live edge comes a few
    hundredths of a second behind, which players' buffers level out.

    Raises:
        RemoteProtocolError: the publisher's sound cannot be decoded.
        Refused: UNAVAILABLE, there is no decoder for it.
    """
    cursor = source.ring.cursor()  # of now: opening takes its time, and a key frame may come
    transcoder = await trio.to_thread.run_sync(_open, target, bitrate, limiter=threads)
    edition.ask_key_frame = source.request_key_frame
    sorter = _Sorter(target, _ready(target, source))
    waiting: list[Packet] = []

    async def convert(others: list[Packet]) -> list[Packet]:
        sound = waiting.copy()
        waiting.clear()
        made = await trio.to_thread.run_sync(transcoder.feed, sound, limiter=threads)
        # Each list keeps its own order: a configuration's time says little.
        return list(heapq.merge(others, made, key=_dts))

    while True:
        try:
            packets = await cursor.read()
        except EndOfStream:
            break
        for start in range(0, len(packets), _PIECE):
            piece = packets[start : start + _PIECE]
            sound, others = sorter.sort(piece)
            waiting += sound
            gathered = piece[-1].dts - waiting[0].dts if waiting else 0
            if gathered >= _GATHER or len(waiting) >= _PIECE:
                others = await convert(others)
            if others:
                edition.accept(others)
    if waiting:
        edition.accept(await convert([]))


class _Sorter:
    """Tells the sound to be converted from what passes by."""

    def __init__(self, target: Codec, ready: int) -> None:
        self._target = target
        self._ready = ready  # the id of the only track that goes on, and needs no conversion; or -1
        self._chosen = -1  # the id of the track that is converted: the first that comes

    def sort(self, packets: Sequence[Packet]) -> tuple[list[Packet], list[Packet]]:
        sound: list[Packet] = []
        others: list[Packet] = []
        for packet in packets:
            track = packet.track
            if track.kind is not Kind.AUDIO:
                others.append(packet)
                continue
            if self._ready >= 0:
                if track.id == self._ready:
                    others.append(packet)
                continue
            if self._chosen < 0:
                self._chosen = track.id
            if track.id == self._chosen:
                sound.append(packet)
            elif track.codec is self._target:
                others.append(packet)
        return sound, others


def _ready(target: Codec, source: Edition) -> int:
    """The id of a track that has the source's sound in that codec already; -1 if there is none."""
    if is_one_sound(source):
        for track in source.tracks:
            if track.kind is Kind.AUDIO and track.codec is target:
                return track.id
    return -1


def _dts(packet: Packet) -> int:
    return packet.dts


def _open(target: Codec, bitrate: int) -> _Transcoder:
    """In a thread: importing FFmpeg takes a tenth of a second the first time."""
    from livetrio.media.transcode.audio import AudioTranscoder

    return AudioTranscoder(target, bitrate)
