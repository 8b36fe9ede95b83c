"""AioPeer: one RTCPeerConnection, its asyncio loop and its life, as a Trio scope.

Each has a loop of its own. A callback that raises ends a trio-asyncio loop, and so one peer and
no more; leaving the scope ends whatever aiortc has started, its sockets included. Refused: one
loop for all, which would have to be guarded callback by callback, in code that is not ours.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final, TypeVar

import trio
import trio_asyncio
from aiortc import (
    MediaStreamTrack,
    RTCBundlePolicy,
    RTCConfiguration,
    RTCIceServer,
    RTCPeerConnection,
    RTCRtpReceiver,
    RTCSessionDescription,
)
from aiortc.sdp import candidate_from_sdp

from livetrio.errors import RemoteProtocolError
from livetrio.logs import get_logger
from livetrio.media.client import Numbers
from livetrio.net.guard import guarded
from livetrio.net.scope import Scope, open_scope
from livetrio.packet import Codec, Kind
from livetrio.webrtc.aio.descriptions import reading
from livetrio.webrtc.aio.packet_track import PacketTrack
from livetrio.webrtc.aio.taps import TransportTap

__all__ = ["AioPeer", "Seat", "open_aio_peer"]

log = get_logger(__name__)
T = TypeVar("T")

_GOODBYE: Final = 2.0
"""Seconds for DTLS's goodbye and for giving a TURN allocation back."""
_GATHERING: Final = 8.0
"""Seconds for a description, of which a TURN server may take up its share."""
_EARLY: Final = 512
"""Packets kept until somebody listens."""
_REPORTS: Final = 64
"""Compounds that wait to be sent; more are lost, as datagrams are."""


@dataclass(frozen=True, slots=True)
class Seat:
    """One m-line: what goes through it and which way."""

    kind: Kind
    codecs: tuple[Codec, ...]
    """Allowed, the preferred first."""
    track: PacketTrack | None = None
    """What is sent; None: it is for receiving."""


class AioPeer:
    """Made by `open_aio_peer`. To `Publisher` it is a `ReceivingPeer`, to a client an endpoint."""

    def __init__(
        self, scope: Scope, loop: trio_asyncio.BaseTrioEventLoop, connection: RTCPeerConnection
    ) -> None:
        self.scope = scope
        self.connected = trio.Event()
        self.media = trio.Event()
        """Set when the first RTP packet has come."""
        self.last_media = 0.0
        """When the last one came, seconds."""
        self.on_rtp: Callable[[bytes, float], None] = self._keep
        self.on_rtcp: Callable[[bytes], None] = _ignore
        self._loop = loop
        self._connection = connection
        self._tap: TransportTap | None = None
        self._early: deque[tuple[bytes, float]] = deque(maxlen=_EARLY)
        self._seats: Sequence[Seat] = ()
        self._put, self._reports = trio.open_memory_channel[bytes](_REPORTS)
        connection.on("connectionstatechange", self._changed)

    @property
    def address(self) -> str:
        """The peer's address in use, "ip:port"; "" before there is one."""
        return self._tap.address if self._tap is not None else ""

    def numbers(self) -> Numbers:
        """The peer's counters: bytes of its datagrams, and of media it was too slow for."""
        counted = self._tap.counted() if self._tap is not None else (0, 0)
        tracks = [seat.track for seat in self._seats if seat.track is not None]
        jumps, dropped = sum(t.jumps for t in tracks), sum(t.dropped for t in tracks)
        return Numbers(counted[0], counted[1], jumps, dropped, 0)

    async def answer(self, offer: str, seats: Sequence[Seat]) -> str:
        """Our answer, with all our candidates.

        Args:
            offer: `cleaned`.
            seats: one for each of its m-lines.

        Raises:
            NotAcceptable: nothing in common.
            RemoteProtocolError: aiortc cannot read it.
        """
        return await self._within(self._answer, offer, seats)

    async def offer(self, seats: Sequence[Seat]) -> str:
        """Our offer, with all our candidates."""
        return await self._within(self._offer, seats)

    async def accept(self, answer: str) -> None:
        """The peer's answer to our offer, `cleaned`.

        Raises:
            As `answer`.
        """
        await self._within(self._accept, answer)

    async def add_candidate(self, value: str, mid: str) -> None:
        """One more way to the peer: the value of an a=candidate line that is allowed."""
        await self._within(self._add_candidate, value, mid)

    def send_rtcp(self, compound: bytes) -> None:
        """Send one compound packet, or lose it."""
        try:
            self._put.send_nowait(compound)
        except trio.WouldBlock:
            return

    def replay(self) -> None:
        """Give what came before anybody listened to who listens now."""
        early = list(self._early)
        self._early.clear()
        for packet, arrival in early:
            self.on_rtp(packet, arrival)

    async def pump(self) -> None:
        """Send reports; a task of the peer's scope."""
        async for compound in self._reports:
            await self._loop.run_aio_coroutine(self._send(compound))

    async def close(self) -> None:
        """Say goodbye and give everything back; bounded, and not to be cancelled."""
        for seat in self._seats:
            if seat.track is not None:
                seat.track.stop()
        with trio.move_on_after(_GOODBYE, shield=True):
            await self._loop.run_aio_coroutine(self._connection.close())

    async def _within(self, call: Callable[..., Awaitable[T]], *arguments: object) -> T:
        with trio.move_on_after(_GATHERING):
            result: T = await self._loop.run_aio_coroutine(call(*arguments))
            return result
        raise RemoteProtocolError(f"no description within {_GATHERING:g} s")

    async def _answer(self, offer: str, seats: Sequence[Seat]) -> str:
        connection = self._connection
        with reading("the offer"):
            self._take_seats(seats)
            await connection.setRemoteDescription(RTCSessionDescription(offer, "offer"))
            self._listen()
            await connection.setLocalDescription(await connection.createAnswer())
        return str(connection.localDescription.sdp)

    async def _offer(self, seats: Sequence[Seat]) -> str:
        connection = self._connection
        self._take_seats(seats)
        self._listen()
        await connection.setLocalDescription(await connection.createOffer())
        return str(connection.localDescription.sdp)

    async def _accept(self, answer: str) -> None:
        with reading("the answer"):
            await self._connection.setRemoteDescription(RTCSessionDescription(answer, "answer"))

    async def _add_candidate(self, value: str, mid: str) -> None:
        with reading("the candidate"):
            candidate = candidate_from_sdp(value)
            candidate.sdpMid = mid
            await self._connection.addIceCandidate(candidate)

    def _take_seats(self, seats: Sequence[Seat]) -> None:
        self._seats = seats
        for seat in seats:
            direction = "recvonly" if seat.track is None else "sendonly"
            source: MediaStreamTrack | str = seat.track or seat.kind.value
            transceiver = self._connection.addTransceiver(source, direction=direction)
            capabilities = RTCRtpReceiver.getCapabilities(seat.kind.value)
            known = capabilities.codecs if capabilities is not None else []
            names = [f"{seat.kind.value}/{codec.value}" for codec in seat.codecs]
            transceiver.setCodecPreferences(
                [codec for name in names for codec in known if codec.mimeType.lower() == name]
            )

    def _listen(self) -> None:
        self._tap = TransportTap(self._connection, self._take_rtp, self._take_rtcp)

    async def _send(self, compound: bytes) -> None:
        try:
            if self._tap is not None:
                await self._tap.send(compound)
        except ConnectionError:
            return  # it is over, and `_changed` says so

    def _take_rtp(self, packet: bytes) -> None:
        self.last_media = now = trio.current_time()
        self.media.set()
        with guarded(self._blame):
            self.on_rtp(packet, now)

    def _take_rtcp(self, compound: bytes) -> None:
        with guarded(self._blame):
            self.on_rtcp(compound)

    def _keep(self, packet: bytes, arrival: float) -> None:
        self._early.append((packet, arrival))

    def _blame(self, error: BaseException) -> None:
        log.error("bug: peer ended", peer=self.scope.name, exc_info=error)
        self.scope.cancel("internal error")

    def _changed(self) -> None:
        match self._connection.connectionState:
            case "connected":
                self.connected.set()
            case "failed":
                self.scope.cancel("no way to the peer (any more), or a wrong certificate")
            case "closed":
                self.scope.cancel("the peer has gone")


@asynccontextmanager
async def open_aio_peer(name: str, servers: Sequence[RTCIceServer]) -> AsyncIterator[AioPeer]:
    """A peer connection below the current scope; leaving the block closes it.

    Args:
        name: for people: in logs and in the nursery tree.
        servers: STUN and TURN, none by default of anybody's.
    """
    # Given even when it is empty: without one aiortc asks a public server of its own choice.
    configuration = RTCConfiguration(
        iceServers=list(servers), bundlePolicy=RTCBundlePolicy.MAX_BUNDLE
    )
    async with open_scope("peer", name) as scope, trio_asyncio.open_loop() as loop:
        scope.sockets = 1
        peer = AioPeer(scope, loop, await loop.run_aio_coroutine(_made(configuration)))
        try:
            scope.nursery.start_soon(peer.pump, name="reports")
            yield peer
        finally:
            await peer.close()


async def _made(configuration: RTCConfiguration) -> RTCPeerConnection:
    return RTCPeerConnection(configuration)


def _ignore(compound: bytes) -> None:
    """Nobody wants reports."""
