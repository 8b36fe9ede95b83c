"""WHEP client: a stream of another server's WHEP endpoint, published here."""

from __future__ import annotations

from typing import TypeVar

import trio

from livetrio.errors import RefusalCode, Refused
from livetrio.media.client import Client
from livetrio.net.beat import Beat
from livetrio.packet import Kind
from livetrio.webrtc.aio.descriptions import CODECS, cleaned, received
from livetrio.webrtc.aio.engine import publish
from livetrio.webrtc.aio.peer import AioPeer, Seat, open_aio_peer
from livetrio.webrtc.aio.servers import ice_servers
from livetrio.webrtc.outbound import Attempt, OutboundEnded, Url, within
from livetrio.webrtc.receive_track import ReceivePolicy
from livetrio.webrtc.turn import Turn
from livetrio.webrtc.whip_http import posted

__all__ = ["pull_whep"]

U = TypeVar("U", bound=Url)


async def pull_whep(attempt: Attempt[U], url: U, *, beat: Beat, turn: Turn | None = None) -> None:
    """Publish what a WHEP endpoint sends, until it ends; never returns in peace.

    As with other pulls, the name is taken with the first packet, and left without a goodbye.

    Args:
        attempt: as which stream.
        url: of the endpoint; its user name is the bearer token.
        beat: for feedback.
        turn: servers that we may ask for an address.

    Raises:
        Refused: CONFLICT, somebody else publishes that name.
        Refused, RemoteProtocolError, OutboundEnded, OSError ...: the source failed.
    """
    stream = attempt.registry.streams.get(attempt.key)
    if stream is not None and stream.publication is not None:
        raise Refused(RefusalCode.CONFLICT, f"stream {attempt.key} is being published already")
    attempt.enter("connecting")
    seats = [Seat(kind, CODECS[kind]) for kind in (Kind.VIDEO, Kind.AUDIO)]
    async with (
        open_aio_peer(f"whep from {attempt.shown}", await ice_servers(turn)) as peer,
        posted(attempt, url, await peer.offer(seats)) as answer,
    ):
        wanted = cleaned(answer, attempt.policy)
        agreed = received(wanted, wanted)
        await peer.accept(wanted)
        with within(attempt.timeouts.handshake, "ICE and DTLS not through in time"):
            await peer.connected.wait()
        with within(attempt.timeouts.read, _silence(attempt)):
            await peer.media.wait()
        client = Client("publisher", "whep", attempt.scope, endpoint=peer, url=attempt.shown)
        async with (
            attempt.registry.publish(attempt.key, client, takeover=False) as publication,
            trio.open_nursery() as nursery,
        ):
            attempt.enter("running")
            nursery.start_soon(_watch, attempt, peer, name="silence")
            with attempt.meter.counting(lambda: peer.numbers().bytes_in):
                await publish(peer, agreed, publication, beat, ReceivePolicy())
    raise OutboundEnded(peer.scope.reason or "the source has ended")


async def _watch(attempt: Attempt[U], peer: AioPeer) -> None:
    """A source that falls silent is dialled anew."""
    patience = attempt.timeouts.read
    while (left := peer.last_media + patience - trio.current_time()) > 0:  # noqa: ASYNC110
        await trio.sleep(left)
    raise OutboundEnded(_silence(attempt))


def _silence(attempt: Attempt[U]) -> str:
    return f"no media for {attempt.timeouts.read:g} s"
