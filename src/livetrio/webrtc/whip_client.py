"""WHIP client: a stream of ours, sent to another server's WHIP endpoint (RFC 9725)."""

from __future__ import annotations

import math
from typing import TypeVar

from livetrio.media.client import Client
from livetrio.packet import Codec, Kind
from livetrio.webrtc.aio.descriptions import cleaned
from livetrio.webrtc.aio.engine import to_offer
from livetrio.webrtc.aio.peer import open_aio_peer
from livetrio.webrtc.aio.servers import ice_servers
from livetrio.webrtc.aio.track_feed import TrackFeed
from livetrio.webrtc.editions import Editions, media_known
from livetrio.webrtc.outbound import Attempt, OutboundEnded, Url, within
from livetrio.webrtc.selection import Selection
from livetrio.webrtc.turn import Turn
from livetrio.webrtc.whip_http import posted

__all__ = ["push_whip"]

U = TypeVar("U", bound=Url)

_CARRIED = frozenset({Codec.H264, Codec.VP8})


async def push_whip(
    attempt: Attempt[U], url: U, *, editions: Editions, turn: Turn | None = None
) -> None:
    """Send a stream to a WHIP endpoint; returns when the stream has ended.

    Sound becomes Opus; video that aiortc cannot packetise, or that has B-frames, H.264.

    Args:
        attempt: whose stream.
        url: of the endpoint; its user name is the bearer token.
        editions: renditions for WebRTC.
        turn: servers that we may ask for an address.

    Raises:
        Refused, RemoteProtocolError, OutboundEnded, OSError ...: the target failed.
    """
    client = Client("player", "relay", attempt.scope, url=attempt.shown)
    attempt.enter("waiting")
    async with attempt.registry.subscribe(attempt.key, client, wait=math.inf) as stream:
        await media_known(stream)
        attempt.enter("connecting")
        codecs = {track.codec for track in stream.tracks if track.kind is Kind.VIDEO}
        wish = {} if codecs <= _CARRIED else {"video": "h264"}
        name = f"whip to {attempt.shown}"
        async with (
            editions.for_browser(stream, wish) as edition,
            open_aio_peer(name, await ice_servers(turn)) as peer,
        ):
            feed = TrackFeed(stream, edition, Selection())
            peer.on_rtcp = feed.receive
            async with posted(attempt, url, await peer.offer(to_offer(feed))) as answer:
                await peer.accept(cleaned(answer, attempt.policy))
                with within(attempt.timeouts.handshake, "ICE and DTLS not through in time"):
                    await peer.connected.wait()
                client.endpoint = peer
                attempt.enter("running")
                with attempt.meter.counting(lambda: peer.numbers().bytes_out):
                    reason = await feed.run()
                if stream.ring.ended:
                    return
                raise OutboundEnded(reason)  # the next attempt offers what it is now
        raise OutboundEnded(peer.scope.reason or "the peer has gone")
