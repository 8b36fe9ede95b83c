"""Taps: where encoded media leave an RTCPeerConnection before it would decode them.

aiortc has no public way to read a coded packet: a receiver starts a thread that decodes. So a
receiver is never started here (its public `receive` is replaced by nothing), and what its DTLS
transport has decrypted is taken from there. Every private name of aiortc that this program
touches is in this file, and a test holds them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from aiortc import RTCDtlsTransport, RTCPeerConnection

__all__ = ["TransportTap"]


class _Counted(NamedTuple):
    received: int
    sent: int


class TransportTap:
    """The one transport of a bundled connection, from the first m-line that it has."""

    def __init__(
        self,
        connection: RTCPeerConnection,
        on_rtp: Callable[[bytes], None],
        on_rtcp: Callable[[bytes], None],
    ) -> None:
        """Put the taps in; before the connection is told to connect.

        Args:
            connection: with its transceivers made.
            on_rtp: gets each decrypted RTP packet.
            on_rtcp: gets each decrypted compound; aiortc's senders get it as well.
        """
        self._dtls = _transport(connection)
        self._on_rtp = on_rtp
        self._on_rtcp = on_rtcp
        self._handle_rtcp = self._dtls._handle_rtcp_data
        setattr(self._dtls, "_handle_rtp_data", self._take_rtp)  # noqa: B010 - mypy
        setattr(self._dtls, "_handle_rtcp_data", self._take_rtcp)  # noqa: B010
        for transceiver in connection.getTransceivers():
            setattr(transceiver.receiver, "receive", _receive_nothing)  # noqa: B010

    @property
    def address(self) -> str:
        """The peer's address in use, "ip:port"; "" before there is one."""
        pair = self._dtls.transport._connection._nominated.get(1)
        if pair is None:
            return ""
        host, port = pair.remote_addr[:2]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    def counted(self) -> _Counted:
        """Bytes of all datagrams so far."""
        for entry in self._dtls._get_stats().values():
            return _Counted(entry.bytesReceived, entry.bytesSent)
        return _Counted(0, 0)

    async def send(self, packet: bytes) -> None:
        """Encrypt and send RTP or RTCP, under asyncio.

        Raises:
            ConnectionError: not connected (any more).
        """
        await self._dtls._send_rtp(packet)

    async def _take_rtp(self, data: bytes, arrival_time_ms: int) -> None:  # noqa: ARG002
        self._on_rtp(data)

    async def _take_rtcp(self, data: bytes) -> None:
        self._on_rtcp(data)
        await self._handle_rtcp(data)


async def _receive_nothing(parameters: object) -> None:
    """In place of a decoder's thread."""


def _transport(connection: RTCPeerConnection) -> RTCDtlsTransport:
    return connection.getTransceivers()[0].receiver.transport
