"""Edition: packets that somebody watches, the original of a stream or a rendition of it.

A ring, what is known of its tracks, and its feeds. Whoever plays, records or packages reads an
Edition and need not know which it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from livetrio.errors import RefusalCode, Refused
from livetrio.logs import get_logger
from livetrio.media.feed import Feed, Format
from livetrio.media.ring import Ring
from livetrio.net.fanout import Pacer
from livetrio.net.guard import guarded
from livetrio.net.outbox import Outbox
from livetrio.net.scope import Scope, open_scope
from livetrio.packet import Kind, Packet, StreamKey, Track

__all__ = ["Edition", "TrackStatistics"]

log = get_logger(__name__)


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
    judged: int = 0
    """Frames of the present publisher that `reordered` is told by."""
    first_dts: int = 0
    last_dts: int = 0


class Edition:
    """Packets with those who watch them; its scope holds the feeds' pumps.

    Made by `Registry` (as a `Stream`) and by `Renditions`. The scope is open for as long as
    anything is watched; a rendition's lies in that of the edition it is made of.
    """

    def __init__(self, key: StreamKey, scope: Scope, ring: Ring, pacer: Pacer) -> None:
        """key: the stream's, for logs; a rendition has its stream's."""
        self.key = key
        self.scope = scope
        self.ring = ring
        self.pacer = pacer
        self.derived: set[Edition] = set()
        """The renditions that are being made of it."""
        self.ask_key_frame: Callable[[int], None] | None = None
        """Set by whoever makes this rendition and can ask its encoder, or the source's."""
        self._feeds: dict[str, Feed] = {}
        self._tracks: dict[tuple[Kind, int], TrackStatistics] = {}

    @property
    def tracks(self) -> list[Track]:
        """The elementary streams seen so far, in their present configuration."""
        return [seen.track for seen in self._tracks.values()]

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
        """The wire formats somebody watches in, of this edition alone."""
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
            feed = Feed(self.ring, format_, self.pacer, lambda: self.tracks)
            self._feeds[format_.name] = feed
            self.scope.nursery.start_soon(self._run, feed, name=f"feed {format_.name}")
        try:
            with feed.viewer(outbox, ended):
                yield feed
        finally:
            if not feed.viewers and self._feeds.get(format_.name) is feed:
                del self._feeds[format_.name]
                feed.stopped.cancel()

    def request_key_frame(self, track_id: int = 0) -> None:
        """Ask whoever encodes a video track for a key frame; nothing where it takes no wishes.

        May be asked at any time: how often an encoder is really told is its own side's policy.
        """
        if self.ask_key_frame is not None:
            self.ask_key_frame(track_id)

    def accept(self, packets: Sequence[Packet]) -> None:
        """Take in packets whose times are sound: note them, keep them, wake the readers."""
        for packet in packets:
            self._observe(packet)
        self.ring.append(packets)

    async def drained(self) -> None:
        """After the end: return when every feed, those of renditions too, has sent its last."""
        for rendition in list(self.derived):
            await rendition.drained()
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
        seen.judged += 1
        if packet.pts != packet.dts and track.kind is Kind.VIDEO:
            seen.reordered = True
        if packet.key and track.kind is Kind.VIDEO:
            if seen.last_key_dts is not None:
                seen.gop = packet.dts - seen.last_key_dts
            seen.last_key_dts = packet.dts
            seen.keys += 1
