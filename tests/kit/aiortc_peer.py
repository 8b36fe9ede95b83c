"""aiortc's ICE and DTLS transports as somebody else's client, under trio-asyncio."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio
import trio_asyncio
from aiortc import RTCCertificate, RTCDtlsTransport, RTCIceGatherer, RTCIceTransport
from aiortc.rtcdtlstransport import RTCDtlsFingerprint, RTCDtlsParameters
from aiortc.rtcicetransport import RTCIceParameters
from aiortc.sdp import candidate_from_sdp

from livetrio.webrtc.negotiation_words import Remote
from livetrio.webrtc.transport import Transport

__all__ = ["AiortcPeer", "aiortc_peer"]


class AiortcPeer:
    """Media in and out as plain RTP."""

    def __init__(self) -> None:
        self._put, self._get = trio.open_memory_channel[bytes](10_000)
        self._gatherer = RTCIceGatherer(iceServers=[])
        self._ice = RTCIceTransport(self._gatherer)
        certificate = RTCCertificate.generateCertificate()
        self._dtls = RTCDtlsTransport(self._ice, [certificate])
        self._dtls._set_role("client")
        self._dtls._handle_rtp_data = self._take

    @property
    def remote(self) -> Remote:
        """What its SDP would say."""
        ice = self._gatherer.getLocalParameters()
        prints = self._dtls.getLocalParameters().fingerprints
        return Remote(
            ice.usernameFragment, ice.password, tuple((p.algorithm, p.value) for p in prints)
        )

    async def _take(self, data: bytes, arrival_time_ms: int) -> None:
        self._put.send_nowait(data)

    async def connect(self, gateway: Transport, ufrag: str, pwd: str, port: int) -> None:
        """ICE, DTLS and the keys.

        Args:
            port: of the gateway, or of a relay before it.
        """
        await trio_asyncio.aio_as_trio(self._connect)(gateway.fingerprint, ufrag, pwd, port)

    async def _connect(self, fingerprint: tuple[str, str], ufrag: str, pwd: str, port: int) -> None:
        await self._gatherer.gather()
        await self._ice.addRemoteCandidate(
            candidate_from_sdp(f"1 1 udp 2130706431 127.0.0.1 {port} typ host")
        )
        await self._ice.addRemoteCandidate(None)
        await self._ice.start(RTCIceParameters(ufrag, pwd, iceLite=True))
        await self._dtls.start(RTCDtlsParameters([RTCDtlsFingerprint(*fingerprint)]))
        assert self._dtls.state == "connected"

    async def send(self, packet: bytes) -> None:
        """One RTP or RTCP packet."""
        await trio_asyncio.aio_as_trio(self._dtls._send_rtp)(packet)

    async def receive(self) -> bytes:
        """The next RTP packet."""
        return await self._get.receive()

    async def stop(self) -> None:
        """Say goodbye and close everything."""
        await trio_asyncio.aio_as_trio(self._dtls.stop)()
        await trio_asyncio.aio_as_trio(self._ice.stop)()


@asynccontextmanager
async def aiortc_peer() -> AsyncIterator[AiortcPeer]:
    """Stopped at the end of the block."""
    async with trio_asyncio.open_loop():
        peer = AiortcPeer()
        try:
            yield peer
        finally:
            with trio.move_on_after(5, shield=True):
                await peer.stop()
