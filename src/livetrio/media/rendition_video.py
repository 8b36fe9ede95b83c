"""The video rendition: an edition with its first video track as H.264 without B-frames."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import trio

from livetrio.errors import LivetrioError
from livetrio.logs import get_logger
from livetrio.media.edition import Edition
from livetrio.media.interleave import Interleaver
from livetrio.media.ring import Cursor, EndOfStream
from livetrio.media.transcode.pipe import UNDECODABLE, Message, Word
from livetrio.media.transcode.process import VIDEO_WORKER, Worker, open_worker
from livetrio.packet import Codec, Kind, Packet, Track
from livetrio.wire.tracks import track_from_record

__all__ = ["make_video"]

log = get_logger(__name__)

_STEADY: Final = 60.0
"""Seconds a worker has to last for its death to be the first again."""
_BACKOFF: Final = 1.0
"""Seconds before a dead worker's successor is started."""


async def make_video(bitrate: int, source: Edition, edition: Edition) -> None:
    """Fill an edition until the source ends; a worker that dies has one successor.

    Args:
        bitrate: bits per second at most.
        source: what is read.
        edition: what is filled.

    Raises:
        LivetrioError: the encoder died twice, or the stream cannot be decoded.
    """
    making = _Making(source, edition)
    edition.ask_key_frame = making.want_key
    restarted = False
    while True:
        begun = trio.current_time()
        status = await making.run(bitrate)
        if making.finished:
            return
        if status == UNDECODABLE:
            raise LivetrioError("the video cannot be decoded")
        how = f"by signal {-status}" if status < 0 else f"with status {status}"
        if restarted and trio.current_time() - begun < _STEADY:
            raise LivetrioError(f"the encoder's process ended {how}, twice")
        log.warning("video worker ended", stream=str(source.key), how=how, retry=_BACKOFF)
        restarted = True
        await trio.sleep(_BACKOFF)


class _Making:
    """The two directions of a worker's life, and what outlasts it."""

    def __init__(self, source: Edition, edition: Edition) -> None:
        self.finished = False
        """Has the source ended, and everything gone through?"""
        self._edition = edition
        self._cursor: Cursor = source.ring.cursor()
        self._interleaver = Interleaver()
        self._source_track: Track | None = None
        self._track: Track | None = None  # of what is made
        self._newest = -1  # its last time, microseconds
        self._key_wanted = False
        self._key_awaited = True  # what a fresh decoder cannot use is not sent

    def want_key(self, track_id: int) -> None:  # noqa: ARG002 - there is but one
        """Somebody's decoder has lost its way; goes with the next frame."""
        self._key_wanted = True

    async def run(self, bitrate: int) -> int:
        """One worker's life; its exit status."""
        self._key_awaited = True
        worker_opened = open_worker(VIDEO_WORKER, str(bitrate))
        async with worker_opened as worker, trio.open_nursery() as nursery:
            nursery.start_soon(self._feed, worker, name="to the video worker")
            while (messages := await worker.receive()) is not None:
                self._take(messages)
            status = await worker.ended()
            nursery.cancel_scope.cancel()
        if self.finished:
            self._give(self._interleaver.rest())
        return status

    async def _feed(self, worker: Worker) -> None:
        alive = True
        if self._source_track is not None:
            alive = await worker.send([_announcement(self._source_track)])
        while alive:
            try:
                packets = await self._cursor.read()
            except EndOfStream:
                self.finished = True
                await worker.finish()
                return
            messages, others = self._sort(packets)
            self._give(self._interleaver.pass_by(others))
            alive = not messages or await worker.send(messages)

    def _sort(self, packets: Sequence[Packet]) -> tuple[list[Message], list[Packet]]:
        messages: list[Message] = []
        others: list[Packet] = []
        for packet in packets:
            track = packet.track
            if track.kind is not Kind.VIDEO:
                others.append(packet)
            elif self._source_track is None or track.id == self._source_track.id:
                messages += self._sorted(packet)
        return messages, others

    def _sorted(self, packet: Packet) -> list[Message]:
        messages: list[Message] = []
        if packet.track is not self._source_track:
            self._source_track = packet.track
            self._key_awaited = True
            messages.append(_announcement(packet.track))
        if packet.config or (self._key_awaited and not packet.key):
            return messages
        self._key_awaited = False
        if self._key_wanted:
            self._key_wanted = False
            messages.append(Message(Word.WANT_KEY))
        word = Word.KEY if packet.key else Word.FRAME
        messages.append(Message(word, packet.dts, packet.pts, packet.data))
        return messages

    def _take(self, messages: Sequence[Message]) -> None:
        made: list[Packet] = []
        for message in messages:
            if message.word is Word.CONFIG:
                track_id = self._source_track.id if self._source_track else 0
                track = track_from_record(Codec.H264, message.data, track_id)
                self._track = track
                made.append(Packet(track, message.pts, message.pts, message.data, config=True))
            elif self._track is not None and message.pts > self._newest:
                self._newest = pts = message.pts
                key = message.word is Word.KEY
                made.append(Packet(self._track, pts, pts, message.data, key=key))
        self._give(self._interleaver.merge(made))

    def _give(self, packets: Sequence[Packet]) -> None:
        if packets:
            self._edition.accept(packets)


def _announcement(track: Track) -> Message:
    return Message(Word.CONFIG, data=track.codec.value.encode() + b"\0" + track.config)
