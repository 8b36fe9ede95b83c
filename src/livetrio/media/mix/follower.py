"""Follower: reads one part's stream, as it appears, ends and comes again, for the mixing worker."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from livetrio.media.mix.lanes import announcement, lane_of
from livetrio.media.mix.outgoing import Outgoing
from livetrio.media.mix.scene import Part
from livetrio.media.ring import EndOfStream
from livetrio.media.stream import Stream
from livetrio.media.transcode.pipe import Message, Word
from livetrio.packet import US_PER_SECOND, Kind, Packet, Track

__all__ = ["Follower"]

_LONG_GOP: Final = 3 * US_PER_SECOND
"""Microseconds of pictures that are better asked for anew than decoded all at once."""


class _Lane:
    """One kind of media of the part."""

    __slots__ = ("kind", "lane", "track", "track_id", "waits", "wanted")

    def __init__(self, kind: Kind, lane: int) -> None:
        self.kind = kind
        self.lane = lane
        self.wanted = False
        self.track: Track | None = None  # as it was announced; None: nothing is
        self.track_id = -1  # of several tracks the one that is taken; -1: not known yet
        self.waits = False  # for a key frame


class Follower:
    """Sound is followed from the live edge on, a picture from where it can be decoded."""

    def __init__(
        self,
        part: Part,
        number: int,
        outgoing: Outgoing,
        present: Callable[[], Awaitable[Stream]],
    ) -> None:
        """
        Args:
            part: what is followed; its stream never changes.
            number: of its lanes.
            outgoing: where all goes.
            present: waits for the stream and returns it.
        """
        self.number = number
        self._outgoing = outgoing
        self._present = present
        self._stream: Stream | None = None
        self._sound = _Lane(Kind.AUDIO, lane_of(number, Kind.AUDIO))
        self._picture = _Lane(Kind.VIDEO, lane_of(number, Kind.VIDEO))
        self._lanes = {lane.kind: lane for lane in (self._sound, self._picture)}
        self._is_behind = False  # the picture has to begin with what is cached
        self.want(part)

    def want(self, part: Part) -> None:
        """What of the part is needed from now on; the rest is not sent."""
        self._switch(self._sound, wanted=part.sound)
        if part.picture and not self._picture.wanted:
            self._is_behind = True
        self._switch(self._picture, wanted=part.picture)

    def ask_key_frame(self) -> None:
        """The worker cannot decode the picture any more."""
        if self._stream is not None and self._picture.wanted:
            self._stream.request_key_frame(max(self._picture.track_id, 0))

    async def run(self) -> None:
        """Follow until cancelled."""
        while True:
            stream = self._stream = await self._present()
            self._is_behind = self._picture.wanted
            cursor = stream.ring.cursor(live=True)
            self._feed(stream, [])
            try:
                while True:
                    self._feed(stream, await cursor.read())
            except EndOfStream:
                self._stream = None
                for lane in self._lanes.values():
                    self._end(lane)

    def _switch(self, lane: _Lane, *, wanted: bool) -> None:
        if lane.wanted and not wanted:
            self._end(lane)
        lane.wanted = wanted

    def _end(self, lane: _Lane) -> None:
        if lane.track is not None:
            self._outgoing.put(Message(Word.END, lane=lane.lane))
        lane.track, lane.track_id = None, -1

    def _feed(self, stream: Stream, packets: Sequence[Packet]) -> None:
        """Send what is wanted of packets just read; up to the ring's head, all are."""
        if self._is_behind:
            packets = [packet for packet in packets if packet.track.kind is not Kind.VIDEO]
            self._catch_up(stream)
            self._is_behind = False
        for packet in packets:
            lane = self._lanes.get(packet.track.kind)
            if lane is not None and lane.wanted:
                self._pass(lane, packet)

    def _catch_up(self, stream: Stream) -> None:
        """Begin with the cached group of pictures, or with the next one."""
        lane = self._picture
        publication = stream.publication
        askable = publication is not None and publication.on_key_frame_request is not None
        begin, _ = stream.ring.start()
        cached = [p for p in stream.ring.read(begin) if p.track.kind is Kind.VIDEO]
        lane.waits = True
        if cached and not (askable and cached[-1].dts - cached[0].dts > _LONG_GOP):
            for packet in cached:
                self._pass(lane, packet)
        if lane.waits:
            stream.request_key_frame(max(lane.track_id, 0))

    def _pass(self, lane: _Lane, packet: Packet) -> None:
        track = packet.track
        if lane.track_id < 0:
            lane.track_id = track.id
        if track.id != lane.track_id or packet.config:
            return
        if track is not lane.track:
            lane.track = track
            lane.waits = True
            self._outgoing.put(announcement(track, lane.lane))
        if lane.waits and not packet.key:
            return
        lane.waits = False
        word = Word.KEY if packet.key else Word.FRAME
        self._outgoing.put(Message(word, packet.dts, packet.pts, packet.data, lane.lane))
