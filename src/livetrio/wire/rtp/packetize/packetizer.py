"""What every packetiser does, and how all of them cut: into slices of one size.

Equal packets are what UDP_SEGMENT wants: one system call then sends a whole frame, of which only
the last packet may be shorter. It costs no byte more than full packets and a short rest.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Protocol

__all__ = ["ROOM", "Packetizer", "slices"]

ROOM: Final = 1_160
"""Bytes of payload in a packet of 1200, behind an RTP header with extension (20 bytes) and before
the SRTP tag (16): what browsers send themselves, and what passes PPPoE, VPNs and TURN."""


class Packetizer(Protocol):
    """One track's frames to RTP payloads; remembers the configuration and counts pictures."""

    def configure(self, record: bytes) -> None:
        """Take in a decoder configuration record (`Track.config`), empty where there is none.

        Raises:
            RemoteProtocolError: it cannot be read.
        """
        ...

    def packetize(self, frame: bytes, *, key: bool) -> list[bytes]:
        """The payloads of one frame (`Packet.data`), none longer than the room; maybe none.

        Raises:
            RemoteProtocolError: the frame is not one of this codec.
        """
        ...


def slices(size: int, room: int) -> Iterator[tuple[int, int]]:
    """(start, end) of as few slices of at most `room` bytes as there can be, all of one size
    except for the last, which may be shorter; none of nothing."""
    if not size:
        return
    count = -(-size // room)
    step = -(-size // count)
    for start in range(0, size, step):
        yield start, min(start + step, size)
