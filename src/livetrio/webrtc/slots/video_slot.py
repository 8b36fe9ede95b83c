"""VideoSlot: one picture slot of a room: an SSRC that shows one seat after the other.

The pictures of a seat are packetised once for the slot, under its SSRC, in its time, and by
numbers that go on where those of the seat before ended, so that all viewers share the very same
packets. Refused: to take those of the seat's own WHEP viewers and to write new headers for each
viewer of the room; that costs more than to encrypt them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Final

import trio

from livetrio.media.edition import Edition
from livetrio.packet import US_PER_SECOND, Codec, Kind
from livetrio.webrtc.negotiation_words import SendTrack
from livetrio.webrtc.play_feed import PlayFeed
from livetrio.webrtc.player import can_ask
from livetrio.webrtc.rtp_mux import Origin
from livetrio.webrtc.sending_source import VIDEO_RATE, Layout, ticks
from livetrio.webrtc.slots.room_source import RoomSource
from livetrio.webrtc.slots.shown import Shown
from livetrio.webrtc.slots.slot_place import SlotPlace

__all__ = ["VideoSlot"]

_FIRST: Final = 1 << 14
"""Numbers begin below this, as everywhere (RFC 3711 section 3.3.1)."""
_PROFILE: Final = "42e01f"
"""Constrained Baseline, which every browser offers; it is told nothing truer of seats to come."""

Start = Callable[["VideoSlot", PlayFeed], None]


class VideoSlot:
    """Made by `RoomFeed`. All calls are plain."""

    def __init__(
        self, number: int, ssrc: int, cname: str, bits: Callable[[int], int], start: Start
    ) -> None:
        """
        Args:
            number: from 0 on.
            ssrc: of its packets, whatever it shows.
            cname: of the room.
            bits: a number of that many random bits.
            start: run this feed as a task, and call `ended` after it.
        """
        self.number = number
        self.ssrc = ssrc
        self.shown: Shown | None = None
        self.places: dict[SlotPlace, None] = {}
        """Of all viewers, those it shows nothing to included."""
        self.feeds: dict[Layout, PlayFeed] = {}
        self._cname = cname
        self._bits = bits
        self._start = start
        self._source: RoomSource | None = None
        self._edition: Edition | None = None
        self._time = bits(32)  # RTP time at Trio's time 0
        self._edge = 0  # RTP time, not yet cut to 32 bits, of the newest picture so far

    @property
    def track(self) -> SendTrack:
        """What is announced of it."""
        number = self.number
        return SendTrack(
            Kind.VIDEO,
            Codec.H264,
            self.ssrc,
            self._cname,
            f"slot-{number} video-{number}",
            {"profile-level-id": _PROFILE},
        )

    def show(self, shown: Shown | None, source: RoomSource | None) -> None:
        """Show this seat, and what there is of its media now."""
        edition = source.edition if source is not None else None
        if shown == self.shown and edition is self._edition:
            return
        moved = edition is not self._edition
        self.shown, self._source, self._edition = shown, source, edition
        if moved:
            for place in self.places:
                place.leave()
            for layout in list(self.feeds):
                self._drop(layout)
        for place in list(self.places):
            self.settle(place)

    def enter(self, place: SlotPlace) -> None:
        """One viewer more."""
        self.places[place] = None
        self.settle(place)

    def quit(self, place: SlotPlace) -> None:
        """One fewer."""
        del self.places[place]
        place.leave()
        self._tidy(place.layout)

    def settle(self, place: SlotPlace) -> None:
        """What the viewer wants, or may see, has changed: send it to him, or nothing."""
        edition, shown = self._edition, self.shown
        own = shown is not None and place.user != "" and place.user == shown.user
        if edition is None or shown is None or own or edition.ring.ended or not place.wanted:
            place.leave()
            self._tidy(place.layout)
        else:
            place.join(self._feed(place.layout, edition))

    def ended(self, feed: PlayFeed) -> None:
        """The feed's task has ended: by itself if the slot still shows it."""
        if self.feeds.get(feed.layout) is not feed:
            return
        for place in self.places:
            if place.member is not None and place.member.feed is feed:
                place.leave()
        self._drop(feed.layout)
        if self._source is not None and self._source.edition is self._edition:
            self._source.lost()

    def _feed(self, layout: Layout, edition: Edition) -> PlayFeed:
        feed = self.feeds.get(layout)
        if feed is None:
            source = self._source
            assert source is not None
            feed = self.feeds[layout] = PlayFeed(
                edition,
                layout,
                self._origin(source, edition),
                first=self._next_index(layout),
                asks=lambda: source.stream is not None and can_ask(source.stream),
            )
            self._start(self, feed)
        return feed

    def _origin(self, source: RoomSource, edition: Edition) -> Origin:
        """RTP times that go on where the slot is now, whatever the stream's own are."""
        now = trio.current_time()
        pts = source.clock.pts(now)
        if pts is None:
            pts = edition.newest_dts or 0
        begin = self._time + ticks(round(now * US_PER_SECOND), VIDEO_RATE) - ticks(pts, VIDEO_RATE)
        newest = [
            seen.last_dts
            for seen in edition.track_statistics
            if seen.track.kind is Kind.VIDEO and seen.packets
        ]
        if newest:
            begin = max(begin, self._edge + 1 - ticks(max(newest), VIDEO_RATE))
        return Origin(
            self._cname, self.ssrc, self.ssrc ^ 1, begin, 0, clock=source.clock, lasting=True
        )

    def _next_index(self, layout: Layout) -> int:
        """Where most of its viewers are: they need no numbering of their own then."""
        known = Counter(
            place.next_index
            for place in self.places
            if place.layout == layout and place.next_index is not None
        )
        return max(known, key=known.__getitem__) if known else self._bits(32) % _FIRST

    def _drop(self, layout: Layout) -> None:
        feed = self.feeds.pop(layout)
        feed.stopped.cancel()
        for lane in feed.lanes.values():
            history = lane.source.history
            newest = history.frame(history.next_frame - 1)
            if newest is not None:
                self._edge = max(self._edge, feed.video_time + ticks(newest.pts, VIDEO_RATE))

    def _tidy(self, layout: Layout) -> None:
        feed = self.feeds.get(layout)
        if feed is not None and not feed.viewers:
            self._drop(layout)
