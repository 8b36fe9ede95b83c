"""The gateway engine: negotiation, transport, publisher and players, put together.

For audiences: one port, no task per viewer, packets made once for all. The answer is complete
when it is given (an ICE-lite server has nothing to trickle), and the peer comes to us.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from livetrio.media.edition import Edition
from livetrio.media.stream import Publication, Stream
from livetrio.net.beat import Beat
from livetrio.webrtc.gateway_link import GatewayLink
from livetrio.webrtc.negotiation import (
    Agreed,
    Local,
    Policy,
    SendTrack,
    agree_answer,
    agree_play,
    agree_publish,
    answer,
    offer_play,
)
from livetrio.webrtc.peer import Peer
from livetrio.webrtc.player import Player, Players
from livetrio.webrtc.publisher import Publisher, PublisherStatistics
from livetrio.webrtc.receive_track import ReceivePolicy
from livetrio.webrtc.selection import Selection
from livetrio.webrtc.slots.room_feed import RoomFeed
from livetrio.webrtc.slots.room_sending import RoomSending
from livetrio.webrtc.transport import Transport
from livetrio.webrtc.viewer import ViewerStatistics

__all__ = ["GatewayEngine"]

_EARLY = 512
"""Packets of a publisher kept until its stream is there: a first key frame of half a megabyte."""


class GatewayEngine:
    """Made once per node."""

    name = "gateway"

    def __init__(
        self,
        transport: Transport,
        players: Players,
        beat: Beat,
        *,
        start_bitrate: int = 0,
        key_frame_interval: float = 2.0,
    ) -> None:
        """
        Args:
            transport: where peers are.
            players: the feeds of viewers.
            beat: for feedback to publishers.
            start_bitrate: bit/s that Chromium publishers begin with; 0: what they like.
            key_frame_interval: seconds without a key frame after which a publisher is asked
                for one; 0: only on a viewer's wish.
        """
        self._transport = transport
        self._players = players
        self._beat = beat
        # A viewer's header extensions are left out: the one that matters, transport-wide sequence
        # numbers, makes each viewer report ten to twenty times a second, and reading that costs
        # more than sending the media. REMB and receiver reports say enough once a second.
        self._policy = Policy(start_bitrate=start_bitrate, send_extensions=frozenset())
        self._receiving = ReceivePolicy(key_frame_interval=key_frame_interval)

    @asynccontextmanager
    async def receive(self, offer: str, *, name: str, ip: str) -> AsyncIterator[_Receiving]:
        """As `Engine.receive`."""
        agreed = agree_publish(offer, self._policy)
        async with self._transport.open_peer(agreed.remote, name=name, ip=ip) as peer:
            local = self._local(peer)
            description = answer(agreed, local, self._policy)
            yield _Receiving(peer, local, description, agreed, self._beat, self._receiving)

    @asynccontextmanager
    async def send(
        self,
        offer: str | None,
        stream: Stream,
        edition: Edition,
        selection: Selection,
        *,
        name: str,
        ip: str,
    ) -> AsyncIterator[_Sending]:
        """As `Engine.send`."""
        with self._players.player(stream, edition, selection) as player:
            tracks = player.tracks
            agreed = agree_play(offer, tracks, self._policy) if offer is not None else None
            remote = agreed.remote if agreed is not None else None
            async with self._transport.open_peer(remote, name=name, ip=ip) as peer:
                local = self._local(peer)
                if agreed is not None:
                    description = answer(agreed, local, self._policy)
                else:
                    description = offer_play(local, tracks, self._policy)
                yield _Sending(peer, local, description, agreed, player, tracks)

    @asynccontextmanager
    async def send_room(
        self, offer: str | None, feed: RoomFeed, user: str, *, name: str, ip: str
    ) -> AsyncIterator[RoomSending]:
        """As `Engine.send_room`."""
        tracks = feed.tracks
        agreed = agree_play(offer, tracks, self._policy) if offer is not None else None
        remote = agreed.remote if agreed is not None else None
        async with self._transport.open_peer(remote, name=name, ip=ip) as peer:
            local = self._local(peer)
            if agreed is not None:
                description = answer(agreed, local, self._policy)
            else:
                description = offer_play(local, tracks, self._policy)
            yield RoomSending(peer, local, description, agreed, feed, user, tracks)

    def _local(self, peer: Peer) -> Local:
        ice, transport = peer.local, self._transport
        return Local(ice.ufrag, ice.pwd, transport.fingerprint, transport.candidates)


class _Receiving(GatewayLink):
    """A publisher's peer."""

    def __init__(
        self,
        peer: Peer,
        local: Local,
        description: str,
        agreed: Agreed,
        beat: Beat,
        policy: ReceivePolicy,
    ) -> None:
        super().__init__(peer, local, description, agreed)
        self._beat = beat
        self._receiving = policy
        self._media = agreed
        self._publisher: Publisher | None = None
        self._early: list[tuple[bytes, float]] = []
        peer.on_rtp = self._keep

    async def run(self, publication: Publication) -> None:
        """As `Receiving.run`."""
        publisher = Publisher(
            self._peer, self._media, publication, beat=self._beat, policy=self._receiving
        )
        self._publisher = publisher
        early, self._early = self._early, []
        await publisher.run(early)

    def statistics(self) -> PublisherStatistics | None:
        """What operators are shown of its tracks; None before it publishes."""
        return self._publisher.statistics() if self._publisher is not None else None

    def _keep(self, packet: bytes, arrival: float) -> None:
        """Media come with the last handshake message, and the stream has yet to be opened."""
        if len(self._early) < _EARLY:
            self._early.append((packet, arrival))


class _Sending(GatewayLink):
    """A viewer's peer."""

    def __init__(
        self,
        peer: Peer,
        local: Local,
        description: str,
        agreed: Agreed | None,
        player: Player,
        tracks: list[SendTrack],
    ) -> None:
        super().__init__(peer, local, description, agreed)
        self._player = player
        self._tracks = tracks

    def statistics(self) -> ViewerStatistics | None:
        """What operators are shown of how it is served; None before it is."""
        viewer = self._player.viewer
        return viewer.statistics() if viewer is not None else None

    def accept(self, answer: str) -> None:
        """As `Sending.accept`."""
        agreed = agree_answer(self.description, answer, self._tracks)
        self._agreed = agreed
        self._peer.accept(agreed.remote)

    def select(self, selection: Selection) -> None:
        """As `Sending.select`."""
        self._player.select(selection)

    async def run(self) -> None:
        """As `Sending.run`."""
        assert self._agreed is not None  # who is connected has verified its fingerprint
        await self._player.run(self._peer, self._agreed)

    def jumps(self) -> int:
        """As `GatewayLink.jumps`."""
        viewer = self._player.viewer
        return viewer.switches if viewer is not None else 0
