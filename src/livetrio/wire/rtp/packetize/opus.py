"""Opus into RTP (RFC 7587): a packet is a payload."""

from __future__ import annotations

__all__ = ["OpusPacketizer"]


class OpusPacketizer:
    """One Opus track."""

    __slots__ = ()

    def configure(self, record: bytes) -> None:
        """See `Packetizer`: RTP has no place for an OpusHead; the answer's fmtp says stereo."""

    def packetize(self, frame: bytes, *, key: bool) -> list[bytes]:  # noqa: ARG002
        """See `Packetizer`. No Opus packet of a live encoder comes near the room: 60 ms at
        128 kbit/s are 960 bytes."""
        return [frame] if frame else []
