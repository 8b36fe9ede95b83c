"""The aiortc engine: sessions over whole peer connections, for where the gateway cannot be.

A server behind a NAT has no port that browsers could come to. Here each peer has sockets of its
own and a full ICE agent, which asks the configured TURN server for an address. H.264, VP8 and
Opus, passed through as they are; one layer of simulcast; no ICE restart. Dearer than the gateway
by the dozen: for tens of viewers, not for audiences.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import trio

from livetrio.errors import RefusalCode, Refused
from livetrio.media.client import Numbers
from livetrio.media.edition import Edition
from livetrio.media.stream import Publication, Stream
from livetrio.net.beat import Beat
from livetrio.net.guard import guarded
from livetrio.net.scope import Scope
from livetrio.webrtc.aio.descriptions import (
    CODECS,
    POLICY,
    candidate_allowed,
    cleaned,
    received,
    restored,
)
from livetrio.webrtc.aio.peer import AioPeer, Seat, open_aio_peer
from livetrio.webrtc.aio.servers import ice_servers
from livetrio.webrtc.aio.track_feed import TrackFeed
from livetrio.webrtc.engine import Attending
from livetrio.webrtc.negotiation import NotAcceptable, SendTrack, agree_play, agree_publish
from livetrio.webrtc.negotiation_words import Agreed
from livetrio.webrtc.player import fmtp_of
from livetrio.webrtc.publisher import Publisher
from livetrio.webrtc.receive_track import ReceivePolicy
from livetrio.webrtc.selection import Selection
from livetrio.webrtc.slots.room_feed import RoomFeed
from livetrio.webrtc.turn import Turn
from livetrio.wire.sdp.fragment import parse_fragment
from livetrio.wire.sdp.session import parse_sdp

__all__ = ["AiortcEngine", "publish", "to_offer"]


class AiortcEngine:
    """Made once per node."""

    name = "aiortc"

    def __init__(
        self,
        beat: Beat,
        turn: Turn | None = None,
        *,
        key_frame_interval: float = 2.0,
        max_peers: int = 200,
    ) -> None:
        """
        Args:
            beat: for feedback to publishers.
            turn: STUN and TURN servers that we may ask ourselves; None: none.
            key_frame_interval: as `GatewayEngine`.
            max_peers: publishers and viewers together; each costs as much as a dozen of the
                gateway's.
        """
        self._places = max_peers
        self._beat = beat
        self._turn = turn
        self._receiving = ReceivePolicy(key_frame_interval=key_frame_interval)

    @asynccontextmanager
    async def receive(self, offer: str, *, name: str, ip: str) -> AsyncIterator[_Receiving]:  # noqa: ARG002
        """As `Engine.receive`."""
        wanted = cleaned(offer)
        medias = agree_publish(wanted, POLICY).media
        seats = [Seat(media.kind, CODECS[media.kind]) for media in medias]
        async with self._peer(name) as peer:
            description = await peer.answer(wanted, seats)
            agreed = received(description, wanted)
            description = restored(description, offer)
            yield _Receiving(peer, description, agreed, self._beat, self._receiving)

    @asynccontextmanager
    async def send(
        self,
        offer: str | None,
        stream: Stream,
        edition: Edition,
        selection: Selection,
        *,
        name: str,
        ip: str,  # noqa: ARG002
    ) -> AsyncIterator[_Sending]:
        """As `Engine.send`."""
        feed = TrackFeed(stream, edition, selection)
        async with self._peer(name) as peer:
            if offer is None:
                description = await peer.offer(to_offer(feed))
            else:
                wanted = cleaned(offer)
                description = restored(await peer.answer(wanted, _to_answer(wanted, feed)), offer)
            yield _Sending(peer, description, feed)

    def send_room(
        self,
        offer: str | None,  # noqa: ARG002
        feed: RoomFeed,  # noqa: ARG002
        user: str,  # noqa: ARG002
        *,
        name: str,  # noqa: ARG002
        ip: str,  # noqa: ARG002
    ) -> AbstractAsyncContextManager[Attending]:
        """As `Engine.send_room`.

        Raises:
            Refused: UNAVAILABLE, always: aiortc encodes and packetises for each peer anew, which
                a room of many cannot afford, and cannot say which m-line is which slot.
        """
        raise Refused(
            RefusalCode.UNAVAILABLE,
            "this server's WebRTC engine has no rooms",
            hint="webrtc.engine: gateway",
        )

    @asynccontextmanager
    async def _peer(self, name: str) -> AsyncIterator[AioPeer]:
        if not self._places:
            raise Refused(RefusalCode.UNAVAILABLE, "no room for one more WebRTC peer")
        self._places -= 1
        try:
            async with open_aio_peer(name, await ice_servers(self._turn)) as peer:
                yield peer
        finally:
            self._places += 1


class _AiortcLink:
    """What the peers of publishers and viewers have in common."""

    def __init__(self, peer: AioPeer, description: str) -> None:
        self._peer = peer
        self._mids = _mids(description)
        self.description = description

    @property
    def connected(self) -> trio.Event:
        return self._peer.connected

    @property
    def scope(self) -> Scope:
        return self._peer.scope

    @property
    def address(self) -> str:
        return self._peer.address

    def numbers(self) -> Numbers:
        return self._peer.numbers()

    def statistics(self) -> None:
        """As `Link.statistics`: aiortc keeps its own, for its own tools."""

    def trickle(self, fragment: str, *, restart: bool) -> str:
        """As `Link.trickle`.

        Raises:
            NotAcceptable: a restart; RFC 9725 section 4.3.3 lets a server not have it.
        """
        found = parse_fragment(fragment)
        if restart:
            raise NotAcceptable("this engine cannot restart ICE: begin a new session")
        for value in found.candidates:
            value = value.removeprefix("candidate:")
            if candidate_allowed(value):
                self._start(self._peer.add_candidate, value, self._mids[0])
        return ""

    def _start(self, call: Callable[..., Awaitable[None]], *arguments: str) -> None:
        """Do what takes a moment, below the peer's scope: its failure ends the peer."""
        self._peer.scope.nursery.start_soon(self._guarded, call, arguments)

    async def _guarded(
        self, call: Callable[..., Awaitable[None]], arguments: Sequence[str]
    ) -> None:
        with guarded(lambda error: self._peer.scope.cancel(str(error))):
            await call(*arguments)


class _Receiving(_AiortcLink):
    """A publisher's peer."""

    def __init__(
        self,
        peer: AioPeer,
        description: str,
        agreed: Agreed,
        beat: Beat,
        policy: ReceivePolicy,
    ) -> None:
        super().__init__(peer, description)
        self._agreed = agreed
        self._beat = beat
        self._policy = policy

    async def run(self, publication: Publication) -> None:
        """As `Receiving.run`."""
        await publish(self._peer, self._agreed, publication, self._beat, self._policy)


class _Sending(_AiortcLink):
    """A viewer's peer."""

    def __init__(self, peer: AioPeer, description: str, feed: TrackFeed) -> None:
        super().__init__(peer, description)
        self._feed = feed

    def accept(self, answer: str) -> None:
        """As `Sending.accept`."""
        text = cleaned(answer)
        if _mids(text) != self._mids:
            raise NotAcceptable("the answer's m-lines are not those of the offer")
        self._start(self._peer.accept, text)

    def select(self, selection: Selection) -> None:
        """As `Sending.select`."""
        self._feed.choose(selection)

    async def run(self) -> None:
        """As `Sending.run`."""
        self._peer.on_rtcp = self._feed.receive
        self._peer.scope.cancel(await self._feed.run())


def to_offer(feed: TrackFeed) -> list[Seat]:
    """The seats of our own offer."""
    return [Seat(t.kind, (t.codec,), feed.tracks[t.kind]) for t in feed.announced]


async def publish(
    peer: AioPeer, agreed: Agreed, publication: Publication, beat: Beat, policy: ReceivePolicy
) -> None:
    """Publish what a peer sends, until its scope is cancelled."""
    publisher = Publisher(peer, agreed, publication, beat=beat, policy=policy)
    async with trio.open_nursery() as nursery:
        # It runs when the publisher waits for the first time: it listens then.
        nursery.start_soon(_replay, peer)
        await publisher.run()


async def _replay(peer: AioPeer) -> None:
    peer.replay()


def _to_answer(offer: str, feed: TrackFeed) -> list[Seat]:
    """One for each m-line of a viewer's offer."""
    announced = [
        SendTrack(track.kind, track.codec, 0, "", "", fmtp_of(track), track.channels or 2)
        for track in feed.announced
    ]
    return [
        Seat(media.kind, CODECS[media.kind])
        if media.track is None
        else Seat(media.kind, (media.track.codec,), feed.tracks[media.kind])
        for media in agree_play(offer, announced, POLICY).media
    ]


def _mids(text: str) -> list[str]:
    return [line.mid for line in parse_sdp(text).media if line.port]
