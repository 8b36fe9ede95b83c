"""Engine: what the sessions ask of a WebRTC implementation, gateway or aiortc alike.

An engine turns an offer into a link: a peer below a scope, its answer, and a coroutine that
moves media. Everything that is the same for both (who may, how many, which stream, how long)
is in `webrtc.sessions`; everything a browser could tell apart is in here.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import Protocol

import trio

from livetrio.media.client import Numbers
from livetrio.media.edition import Edition
from livetrio.media.stream import Publication, Stream
from livetrio.net.scope import Scope
from livetrio.webrtc.selection import Selection
from livetrio.webrtc.slots.room_feed import RoomFeed
from livetrio.webrtc.slots.thrift import SlotWish

__all__ = ["Attending", "Engine", "Link", "Receiving", "Sending"]


class Link(Protocol):
    """One peer's transport, from the answer to its end."""

    @property
    def description(self) -> str:
        """Our SDP: the answer, or the offer where the peer sent none."""

    @property
    def connected(self) -> trio.Event:
        """Set when ICE and DTLS are through and the peer's fingerprint is verified."""

    @property
    def scope(self) -> Scope:
        """Where all of it lives; it is cancelled, with a reason, when the peer is gone."""

    @property
    def address(self) -> str:
        """The peer's address in use, "ip:port"; "" before there is one."""

    def numbers(self) -> Numbers:
        """The peer's counters."""

    def statistics(self) -> object | None:
        """What operators are shown beside the counters, a dataclass; None before there is any."""

    def trickle(self, fragment: str, *, restart: bool) -> str:
        """Take in an SDP fragment (RFC 8840).

        Args:
            fragment: candidates and, for a restart, the peer's new credentials.
            restart: begin a new ICE generation (RFC 9725 4.3.3).

        Returns:
            The fragment to answer a restart with, our new credentials in it; else "".

        Raises:
            RemoteProtocolError: it cannot be read, or is of another ICE generation.
        """


class Receiving(Link, Protocol):
    """The peer of a publisher."""

    async def run(self, publication: Publication) -> None:
        """Move media from the peer to the stream, until the peer is gone."""


class Sending(Link, Protocol):
    """The peer of a viewer."""

    def accept(self, answer: str) -> None:
        """The peer's answer to our offer.

        Raises:
            RemoteProtocolError: it cannot be read.
            NotAcceptable: nothing in it that we could send.
        """

    def select(self, selection: Selection) -> None:
        """The viewer wants another layer or track from now on."""

    async def run(self) -> None:
        """Move media from the source to the peer, until either is gone."""


class Attending(Sending, Protocol):
    """The peer of somebody who receives a room."""

    def wish(self, wishes: Mapping[int, SlotWish]) -> None:
        """How large the viewer shows which picture slots from now on.

        Raises:
            Refused: BAD_REQUEST, it has no such slot.
        """


class Engine(Protocol):
    """Made once per node; links are made and ended one by one."""

    @property
    def name(self) -> str:
        """ "gateway" or "aiortc"."""

    def receive(self, offer: str, *, name: str, ip: str) -> AbstractAsyncContextManager[Receiving]:
        """A publisher's peer, below the current scope.

        Args:
            offer: SDP.
            name: for people: in logs and in the nursery tree.
            ip: of who asks, to count it for.

        Raises:
            RemoteProtocolError: the offer cannot be read.
            NotAcceptable: there is nothing in it that we take.
            Refused: TOO_MANY or UNAVAILABLE, no room for one more peer.
        """

    def send(
        self,
        offer: str | None,
        stream: Stream,
        edition: Edition,
        selection: Selection,
        *,
        name: str,
        ip: str,
    ) -> AbstractAsyncContextManager[Sending]:
        """A viewer's peer, below the current scope.

        Args:
            offer: None makes us offer.
            stream: whose publisher is asked for key frames.
            edition: of that stream, in codecs that WebRTC has.
            selection: the layer and tracks the viewer asked for.
            name: as above.
            ip: likewise.

        Raises:
            As `receive`.
        """

    def send_room(
        self, offer: str | None, feed: RoomFeed, user: str, *, name: str, ip: str
    ) -> AbstractAsyncContextManager[Attending]:
        """The peer of somebody who receives a room, below the current scope.

        Args:
            offer: None makes us offer.
            feed: of the room.
            user: who it is, to be sent everybody but himself; "" for nobody known.
            name: as above.
            ip: likewise.

        Raises:
            As `receive`, and Refused: GONE, the room has ended; UNAVAILABLE, this engine cannot.
        """
