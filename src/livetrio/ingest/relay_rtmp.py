"""RTMP as a relay's source (we play) and as its target (we publish)."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

import trio

from livetrio.ingest.relay_attempt import Attempt, within
from livetrio.ingest.rtmp_peer import RtmpPeer, complain
from livetrio.media.client import Client
from livetrio.media.ring import Cursor, EndOfStream
from livetrio.net.connection import Connection
from livetrio.packet import Packet
from livetrio.wire.flv import Demuxer
from livetrio.wire.rtmp.client import ClientSession
from livetrio.wire.rtmp.events import MediaReceived
from livetrio.wire.rtmp.url import RtmpUrl

__all__ = ["RtmpSource", "open_rtmp_source", "push_rtmp"]

_PIECE: Final = 256 << 10
"""Bytes handed to the outbox at once."""


@asynccontextmanager
async def open_rtmp_source(attempt: Attempt) -> AsyncIterator[tuple[Connection, RtmpSource]]:
    """Connect and play.

    Raises:
        RelayEnded: the server refuses, or takes too long to agree.
        RemoteProtocolError: it does not speak RTMP as it should.
    """
    assert isinstance(attempt.url, RtmpUrl)
    async with attempt.dial() as connection:
        peer = RtmpPeer(connection, ClientSession(attempt.url, publish=False))
        with within(attempt.timeouts.handshake, "the server did not let us play in time"):
            await peer.agree()
        yield connection, RtmpSource(peer)


class RtmpSource:
    """What a server plays to us, as packets."""

    def __init__(self, peer: RtmpPeer) -> None:
        self._peer = peer
        self._demuxer = Demuxer()

    async def read(self) -> list[Packet]:
        """The packets that came with the next bytes; may be empty.

        Raises:
            RelayEnded: the server ended the stream, or the connection.
            RemoteProtocolError: it broke the protocol.
        """
        packets: list[Packet] = []
        for event in await self._peer.events():
            match event:
                case MediaReceived(type_id=type_id, timestamp=timestamp, body=body):
                    packets += self._demuxer.feed(type_id, timestamp, body)
                case _:
                    complain(event)
        return packets


async def push_rtmp(attempt: Attempt) -> None:
    """Send a stream of ours to a server; returns when that stream has ended.

    The relay is a viewer with a pace of its own: it reads the ring by a cursor, hands on when
    the target has taken what it was given before, and is moved to the newest key frame when it
    was too slow. The publisher never waits for it.

    Raises:
        RelayEnded, RemoteProtocolError, OSError ...: the target failed.
    """
    assert isinstance(attempt.url, RtmpUrl)
    client = Client("player", "relay", attempt.scope, url=attempt.shown)
    attempt.enter("waiting")
    async with (
        attempt.registry.subscribe(attempt.key, client, wait=math.inf) as stream,
        attempt.edition_of(stream) as edition,
    ):
        attempt.enter("connecting")
        async with attempt.dial() as connection:
            client.connection = connection
            peer = RtmpPeer(connection, ClientSession(attempt.url, publish=True))
            with within(attempt.timeouts.handshake, "the server did not let us publish in time"):
                await peer.agree()
            attempt.enter("running")
            try:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(peer.listen, name="relay replies")
                    await _send(attempt, peer, edition.ring.cursor())
                    nursery.cancel_scope.cancel()
            finally:
                # A plain call, so it works for one that is being cancelled as well.
                peer.session.finish()
                peer.flush()
            await connection.say_goodbye()


async def _send(attempt: Attempt, peer: RtmpPeer, cursor: Cursor) -> None:
    jumps = attempt.meter.jumps
    while True:
        try:
            packets = await cursor.read()
        except EndOfStream:
            return
        attempt.meter.jumps = jumps + cursor.jumps
        for piece in _pieces(packets):
            peer.send(piece)
            await peer.connection.outbox.flushed()


def _pieces(packets: Sequence[Packet]) -> list[list[Packet]]:
    """The same packets, in pieces of about a quarter of a megabyte."""
    pieces: list[list[Packet]] = [[]]
    size = 0
    for packet in packets:
        if size >= _PIECE:
            pieces.append([])
            size = 0
        pieces[-1].append(packet)
        size += len(packet.data)
    return pieces
