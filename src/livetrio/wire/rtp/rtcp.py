"""RTCP datagrams: a compound, or a reduced-size packet, to a list of words.

Source: RFC 3550 section 6.1, RFC 5506 (a datagram need not begin with a report).
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Final

from livetrio.errors import RemoteProtocolError
from livetrio.wire.rtp.rtcp_feedback import Fir, Nack, Pli, Remb
from livetrio.wire.rtp.rtcp_reports import Bye, ReceiverReport, SenderReport, SourceDescription
from livetrio.wire.rtp.twcc import MAX_STATUSES, TransportFeedback

__all__ = ["MAX_NUMBERS", "MAX_PACKETS", "RtcpPacket", "parse_rtcp"]

RtcpPacket = (
    SenderReport
    | ReceiverReport
    | SourceDescription
    | Bye
    | Nack
    | Pli
    | Fir
    | Remb
    | TransportFeedback
)

MAX_PACKETS: Final = 64
"""In one datagram; browsers send up to ten."""
MAX_NUMBERS: Final = MAX_STATUSES
"""Sequence numbers that all NACKs and transport-wide feedbacks of a datagram may name together."""

_REPORTS: Final[dict[int, Callable[[bytes, int], RtcpPacket]]] = {
    200: SenderReport.parse,
    201: ReceiverReport.parse,
    202: SourceDescription.parse,
    203: Bye.parse,
}
"""By packet type."""
_FEEDBACK: Final[dict[tuple[int, int], Callable[[int, int, bytes], RtcpPacket | None]]] = {
    (205, Nack.FORMAT): Nack.parse,
    (205, TransportFeedback.FORMAT): TransportFeedback.parse,
    (206, Pli.FORMAT): Pli.parse,
    (206, Fir.FORMAT): Fir.parse,
    (206, Remb.FORMAT): Remb.parse,
}
"""By packet type and format."""
_RTPFB: Final = 205
_TRANSPORT_FEEDBACK: Final = (_RTPFB, TransportFeedback.FORMAT)
_SSRCS: Final = struct.Struct(">II")


def parse_rtcp(data: bytes | memoryview, *, transport: bool = True) -> list[RtcpPacket]:
    """Read one decrypted datagram. Types nobody here needs (XR, APP, SLI, ...) are stepped over.

    Args:
        data: the datagram.
        transport: is transport-wide feedback of interest? Else it is stepped over, too: sixteen
            bytes of it speak of thousands of packets.

    Raises:
        RemoteProtocolError: a packet is cut, of another version, or says more than its size
            allows, or all of them name more than MAX_NUMBERS packets; the whole datagram is then
            worth nothing.
    """
    data = bytes(data)
    at, end = 0, len(data)
    if not end:
        raise RemoteProtocolError("RTCP: an empty datagram")
    packets: list[RtcpPacket] = []
    numbers = 0
    for _ in range(MAX_PACKETS):
        if at + 4 > end:
            raise RemoteProtocolError("RTCP: a cut header")
        first, packet_type = data[at], data[at + 1]
        if first >> 6 != 2:
            raise RemoteProtocolError(f"RTCP: version {first >> 6}")
        start = at + 4
        at = start + 4 * (data[at + 2] << 8 | data[at + 3])
        if at > end:
            raise RemoteProtocolError("RTCP: a packet longer than its datagram")
        body = data[start:at]
        if first & 0x20:
            body = _unpadded(body)
        packet = None
        if transport or (packet_type, first & 0x1F) != _TRANSPORT_FEEDBACK:
            packet = _parse_one(packet_type, first & 0x1F, body)
        if packet is not None:
            packets.append(packet)
            if packet_type == _RTPFB:
                numbers += _numbers(packet)
                if numbers > MAX_NUMBERS:
                    raise RemoteProtocolError(
                        f"RTCP: more than {MAX_NUMBERS} numbers in a datagram"
                    )
        if at == end:
            return packets
    raise RemoteProtocolError(f"RTCP: more than {MAX_PACKETS} packets in a datagram")


def _numbers(packet: RtcpPacket) -> int:
    if isinstance(packet, Nack):
        return len(packet.lost)
    return len(packet.arrivals) if isinstance(packet, TransportFeedback) else 0


def _unpadded(body: bytes) -> bytes:
    padding = body[-1] if body else 0
    if not 0 < padding <= len(body):
        raise RemoteProtocolError(f"RTCP: {padding} bytes of padding in {len(body)}")
    return body[:-padding]


def _parse_one(packet_type: int, count: int, body: bytes) -> RtcpPacket | None:
    report = _REPORTS.get(packet_type)
    if report is not None:
        return report(body, count)
    feedback = _FEEDBACK.get((packet_type, count))
    if feedback is None:
        return None
    if len(body) < _SSRCS.size:
        raise RemoteProtocolError("RTCP: feedback without its SSRCs")
    sender_ssrc, media_ssrc = _SSRCS.unpack_from(body)
    return feedback(sender_ssrc, media_ssrc, body[_SSRCS.size :])
