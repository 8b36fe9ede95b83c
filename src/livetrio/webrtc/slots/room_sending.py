"""RoomSending: the gateway's peer of somebody who receives a room."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import trio

from livetrio.errors import RefusalCode, Refused
from livetrio.webrtc.gateway_link import GatewayLink
from livetrio.webrtc.negotiation import agree_answer
from livetrio.webrtc.negotiation_words import Agreed, Local, SendTrack
from livetrio.webrtc.peer import Peer
from livetrio.webrtc.selection import Selection
from livetrio.webrtc.slots.room_feed import RoomFeed
from livetrio.webrtc.slots.room_viewer import RoomViewer, RoomViewerStatistics
from livetrio.webrtc.slots.thrift import SlotWish

__all__ = ["RoomSending"]


class RoomSending(GatewayLink):
    """Made by `GatewayEngine.send_room`."""

    def __init__(
        self,
        peer: Peer,
        local: Local,
        description: str,
        agreed: Agreed | None,
        feed: RoomFeed,
        user: str,
        tracks: Sequence[SendTrack],
    ) -> None:
        super().__init__(peer, local, description, agreed)
        self._feed = feed
        self._user = user
        self._tracks = tracks
        self._viewer: RoomViewer | None = None

    def statistics(self) -> RoomViewerStatistics | None:
        """What operators are shown of how it is served; None before it is."""
        return self._viewer.statistics() if self._viewer is not None else None

    def accept(self, answer: str) -> None:
        """As `Sending.accept`."""
        agreed = agree_answer(self.description, answer, self._tracks)
        self._agreed = agreed
        self._peer.accept(agreed.remote)

    def select(self, selection: Selection) -> None:  # noqa: ARG002
        """As `Sending.select`; a room has several pictures, so it is not understood.

        Raises:
            Refused: CONFLICT.
        """
        raise Refused(RefusalCode.CONFLICT, "a room has slots to choose, not tracks")

    def wish(self, wishes: Mapping[int, SlotWish]) -> None:
        """As `Attending.wish`.

        Raises:
            Refused: BAD_REQUEST; CONFLICT, it is not connected yet.
        """
        if self._viewer is None:
            raise Refused(RefusalCode.CONFLICT, "the session is not connected yet")
        self._viewer.wish(wishes)

    async def run(self) -> None:
        """As `Sending.run`."""
        await self._peer.connected.wait()
        assert self._agreed is not None  # who is connected has verified its fingerprint
        with self._feed.viewer(self._peer, self._user, self._agreed) as self._viewer:
            await trio.sleep_forever()

    def jumps(self) -> int:
        """As `GatewayLink.jumps`."""
        return self._viewer.switches if self._viewer is not None else 0
