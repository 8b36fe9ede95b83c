"""Opus into RTP (RFC 7587): a packet is a payload."""

from __future__ import annotations

from typing import Final

from livetrio.errors import RemoteProtocolError

__all__ = ["OpusPacketizer"]

_MAX_PACKET: Final = 1_275
"""Bytes of the longest frame there is (RFC 6716 section 3.4): 20 ms at 510 kbit/s, which still
passes any Ethernet. RTP cannot cut an Opus packet, and several such frames fit into no datagram."""


class OpusPacketizer:
    """One Opus track."""

    __slots__ = ()

    def configure(self, record: bytes) -> None:
        """See `Packetizer`: RTP has no place for an OpusHead; the answer's fmtp says stereo."""

    def packetize(self, frame: bytes, *, key: bool) -> list[bytes]:  # noqa: ARG002
        """See `Packetizer`. No Opus packet of a live encoder comes near the bound: 60 ms at
        128 kbit/s are 960 bytes.

        Raises:
            RemoteProtocolError: the packet is longer than the room of a datagram.
        """
        if len(frame) > _MAX_PACKET:
            raise RemoteProtocolError(f"Opus: a packet of {len(frame)} bytes")
        return [frame] if frame else []
