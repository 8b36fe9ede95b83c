"""A WebRTC transport on free loopback ports, for tests of what stands on it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import trio

from kit.ice_client import IceClient
from livetrio.config import Address, WebrtcConfig
from livetrio.net.listen import Caps
from livetrio.webrtc.candidates import bind_sockets
from livetrio.webrtc.certificate import make_certificate
from livetrio.webrtc.peer import Peer
from livetrio.webrtc.run import Run
from livetrio.webrtc.transport import Transport, open_transport

__all__ = ["CERTIFICATE", "Inbox", "address_of", "heard_from", "rtp", "run_of", "transport"]

CERTIFICATE = make_certificate()


@asynccontextmanager
async def transport(host: str = "127.0.0.1", **changes: object) -> AsyncIterator[Transport]:
    """Serve one in the block.

    Args:
        host: to bind.
        changes: fields of WebrtcConfig.
    """
    config = replace(WebrtcConfig(address=Address(host, 0)), **changes)
    with bind_sockets(config.address, ice_tcp=config.ice_tcp) as sockets:
        async with open_transport(config, sockets, CERTIFICATE, caps=Caps(100, 100)) as opened:
            yield opened


class Inbox:
    """What a peer has received, decrypted."""

    def __init__(self, peer: Peer) -> None:
        self._send, self._receive = trio.open_memory_channel[bytes](10_000)
        peer.on_rtp = lambda packet, _: self._send.send_nowait(packet)
        peer.on_rtcp = self._send.send_nowait

    async def get(self) -> bytes:
        """The next RTP or compound RTCP packet."""
        with trio.fail_after(10):
            return await self._receive.receive()


async def heard_from(peer: Peer, client: IceClient) -> None:
    """A media packet of the client gets through."""
    client.sequence = number = client.sequence + 1
    inbox = Inbox(peer)
    client.send_rtp(rtp(number))
    assert await inbox.get() == rtp(number)


def address_of(opened: Transport, host: str = "127.0.0.1") -> tuple[str, int]:
    """Where to send to."""
    return host, opened.port


def rtp(sequence: int, payload: bytes = b"media", *, ssrc: int = 0x1234, kind: int = 96) -> bytes:
    """A plain RTP packet."""
    return (
        bytes((0x80, kind))
        + (sequence & 0xFFFF).to_bytes(2, "big")
        + (sequence * 3000 & 0xFFFFFFFF).to_bytes(4, "big")
        + ssrc.to_bytes(4, "big")
        + payload
    )


def run_of(first: int, count: int = 1, *, size: int = 100, ssrc: int = 0x1234) -> Run:
    """`count` packets from the index `first` on."""
    indexes = list(range(first, first + count))
    return Run([rtp(index, bytes([index & 255]) * size, ssrc=ssrc) for index in indexes], indexes)
