"""SlotPlace: one viewer's place in one picture slot, whichever seat that shows.

Each seat is watched as a stream is watched anywhere else: by a member of its feed. What outlives
a member is the viewer's own numbering of the slot's packets: it goes on without a gap, and no
number is ever used for two packets.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from livetrio.webrtc.allowance import Allowance
from livetrio.webrtc.catch_up import SPEED
from livetrio.webrtc.lane import Lane
from livetrio.webrtc.numbering import Warp
from livetrio.webrtc.peer import Peer
from livetrio.webrtc.play_feed import PlayFeed
from livetrio.webrtc.selection import Selection
from livetrio.webrtc.sending_source import Layout
from livetrio.webrtc.slots.thrift import SlotWish
from livetrio.webrtc.viewer import Viewer

__all__ = ["SlotCounts", "SlotMember", "SlotPlace"]

Prefers = Callable[["SlotPlace", Sequence[float]], int]


@dataclass(slots=True)
class SlotCounts:
    """What happened in a place, over all seats that were shown there."""

    nacks: int = 0
    resent: int = 0
    plis: int = 0
    switches: int = 0
    octets: int = 0
    """Of pictures."""

    def add(self, other: Viewer | SlotCounts) -> None:
        """One member's, or those of a place."""
        self.nacks += other.nacks
        self.resent += other.resent
        self.plis += other.plis
        self.switches += other.switches
        self.octets += other.octets


class SlotMember(Viewer):
    """The place's viewer of one feed. Made by `SlotPlace`."""

    def __init__(self, place: SlotPlace, feed: PlayFeed) -> None:
        super().__init__(
            place.peer, feed, Selection(), resumes=place.next_index, allowance=place.allowance
        )
        self._place = place

    def prefers(self, rates: Sequence[float], now: float) -> int:  # noqa: ARG002
        """As `Viewer.prefers`: the viewer's pictures are judged together, elsewhere."""
        return self._place.prefers(self._place, rates)

    @property
    def edge(self) -> int | None:
        """RTP timestamp of what it was sent last, or later; None: it was sent nothing."""
        lane, stretch = self.lane, self.numbering.present
        if lane is None or stretch is None:
            return None
        history = lane.source.history
        number = history.next_frame - 1
        if self.catch_up is not None:
            number = min(number, self.catch_up.frame)
        frame = history.frame(number)
        if frame is None:
            return None
        at = lane.source.timestamp(frame.pts)
        return at if stretch.warp is None else stretch.warp.timestamp(at)

    def begin(self, lane: Lane, frame: int, now: float, warp: Warp | None = None) -> None:
        """As `Viewer.begin`. Pictures of before now go on where the slot's time is, which has
        shown another seat until now: a player that is led back in time may show nothing."""
        history = lane.source.history
        start, newest = history.frame(frame), history.frame(history.next_frame - 1)
        if self.numbering.begun and start is not None and newest is not None:
            at, edge = lane.source.timestamp, self.edge
            edge = self._place.edge if edge is None else edge
            warp = Warp(at(start.pts), _later(at(newest.pts), edge), SPEED)
        super().begin(lane, frame, now, warp)

    def go_live(self, lane: Lane, index: int) -> None:
        """As `Viewer.go_live`, likewise."""
        stretch = self.numbering.present
        edge = self.edge if stretch is not None and stretch.warp is not None else self._place.edge
        super().go_live(lane, index)
        history = lane.source.history
        key = history.frame(history.newest_key) if history.newest_key is not None else None
        if key is None or edge is None:
            return
        at = lane.source.timestamp(key.pts)
        if _later(at, edge) != at:
            self.numbering.move(lane, index, index + self.numbering.shift, Warp(at, edge, 1))


class SlotPlace:
    """Made by `RoomViewer`; a slot moves it from feed to feed."""

    def __init__(
        self,
        number: int,
        peer: Peer,
        user: str,
        layout: Layout,
        *,
        allowance: Allowance,
        prefers: Prefers,
    ) -> None:
        """
        Args:
            number: of the slot.
            peer: whose place it is.
            user: who that is; "" for nobody known.
            layout: how the slot's pictures are sent to him.
            allowance: what the peer may be sent again, in all slots together.
            prefers: which layer of how many bit/s each, the best first; as many as there are:
                key frames alone.
        """
        self.number = number
        self.peer = peer
        self.user = user
        self.layout = layout
        self.allowance = allowance
        self.prefers = prefers
        self.wish: SlotWish = "auto"
        self.open = True
        """False: the network carries no picture."""
        self.counts = SlotCounts()
        """Of members that are gone."""
        self.member: SlotMember | None = None
        """None while it is sent nothing."""
        self.next_index: int | None = None
        """The index that the next member goes on from; None: nothing was sent yet."""
        self.edge: int | None = None
        """RTP timestamp of the newest picture it was sent, by members that are gone."""
        self._stay = ExitStack()

    @property
    def wanted(self) -> bool:
        """Is there to be a picture in it, if the slot has one?"""
        return self.open and self.wish != "off"

    def join(self, feed: PlayFeed) -> None:
        """Watch this feed, and no other."""
        if self.member is not None:
            if self.member.feed is feed:
                return
            self.leave()
        self.member = member = SlotMember(self, feed)
        self._stay.enter_context(feed.viewer(member))

    def leave(self) -> None:
        """Watch nothing."""
        member, self.member = self.member, None
        if member is None:
            return
        edge = member.edge
        self.edge = self.edge if edge is None else edge
        self._stay.close()
        self.counts.add(member)
        if member.numbering.begun:
            self.next_index = member.next_index


def _later(first: int, second: int | None) -> int:
    """Of two RTP timestamps, which wrap."""
    if second is None or not 0 < (second - first & 0xFFFF_FFFF) < 0x8000_0000:
        return first
    return second
