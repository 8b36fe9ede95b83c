"""RoomVoices: the sound slots of one room, in as many payload types as its viewers agreed to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import trio

from livetrio.media.edition import Edition
from livetrio.packet import Codec, Kind, StreamKey
from livetrio.webrtc.negotiation_words import SendTrack
from livetrio.webrtc.peer import Peer
from livetrio.webrtc.sender_report import MediaClock
from livetrio.webrtc.slots.shown import Shown
from livetrio.webrtc.slots.voice_feed import VoiceFeed
from livetrio.webrtc.slots.voice_member import VoiceMember

__all__ = ["RoomVoices"]

Start = Callable[[VoiceFeed, trio.CancelScope], None]


class RoomVoices:
    """Made by `RoomFeed`. All calls are plain."""

    def __init__(
        self,
        ssrcs: Sequence[int],
        cname: str,
        voices: int,
        bits: Callable[[int], int],
        clock: Callable[[StreamKey], MediaClock],
        start: Start,
    ) -> None:
        """
        Args:
            ssrcs: one for each slot.
            cname: of the room.
            voices: how many of the slots everybody is sent.
            bits: a number of that many random bits.
            clock: of a stream that is shown.
            start: run this feed as a task, within this scope.
        """
        self.feeds: dict[int, VoiceFeed] = {}
        """By payload type; those that somebody hears."""
        self._ssrcs = ssrcs
        self._cname = cname
        self._voices = voices
        self._bits = bits
        self._clock = clock
        self._start = start
        self._stops: dict[VoiceFeed, trio.CancelScope] = {}
        self._shown: Sequence[Shown | None] = ()
        self._editions: Mapping[StreamKey, Edition] = {}

    @property
    def count(self) -> int:
        """How many slots."""
        return len(self._ssrcs)

    @property
    def losses(self) -> Counter[str]:
        """Packets that were not sent, by why; of feeds that somebody hears."""
        losses: Counter[str] = Counter()
        for feed in self.feeds.values():
            losses["skipped"] += feed.skipped
            losses["thinned"] += sum(slot.thinned for slot in feed.slots)
            losses["refused"] += sum(slot.refused for slot in feed.slots)
        return losses

    @property
    def tracks(self) -> list[SendTrack]:
        """What is announced of them."""
        return [
            SendTrack(Kind.AUDIO, Codec.OPUS, ssrc, self._cname, f"slot-{number} audio-{number}")
            for number, ssrc in enumerate(self._ssrcs)
        ]

    def arrange(self, shown: Sequence[Shown | None], editions: Mapping[StreamKey, Edition]) -> None:
        """As `VoiceFeed.arrange`, of all of them."""
        self._shown, self._editions = shown, editions
        for feed in self.feeds.values():
            feed.arrange(shown, editions)

    def ended(self, feed: VoiceFeed) -> None:
        """The feed's task has ended, whyever: who hears it hears nothing any more, and is ended
        in turn, while others begin another."""
        for payload_type, known in list(self.feeds.items()):
            if known is feed:
                del self.feeds[payload_type], self._stops[feed]
        for member in list(feed.members):
            member.peer.scope.cancel("the voices of the room have stopped")

    @contextmanager
    def member(
        self, peer: Peer, user: str, payload_type: int, slots: int
    ) -> Iterator[VoiceMember | None]:
        """Send to this peer until the block is left; the first one of a payload type starts its
        feed, the going of the last one stops it.

        Args:
            peer: connected.
            user: who that is.
            payload_type: of Opus; 0: it wants no sound.
            slots: how many of the first ones.
        """
        if not payload_type:
            yield None
            return
        feed = self.feeds.get(payload_type)
        if feed is None:
            feed = self.feeds[payload_type] = VoiceFeed(
                payload_type,
                self._ssrcs,
                self._cname,
                voices=self._voices,
                clock=self._clock,
                first=self._bits(14),
                timestamp=self._bits(32),
            )
            stop = self._stops[feed] = trio.CancelScope()
            feed.arrange(self._shown, self._editions)
            self._start(feed, stop)
        try:
            with feed.member(peer, user, slots=slots) as member:
                yield member
        finally:
            if not feed.members and self.feeds.get(payload_type) is feed:
                del self.feeds[payload_type]
                self._stops.pop(feed).cancel()
