"""What every depacketiser makes of a frame's payloads, and the questions it answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

__all__ = ["Depacketizer", "Frame"]


@dataclass(slots=True, eq=False)
class Frame:
    """One access unit, as `Packet.data` carries it."""

    data: bytes
    """Never empty."""
    key: bool = False
    """A decoder can start here."""
    record: bytes = b""
    """The decoder configuration record, where this frame begins a new configuration: what
    `wire.tracks.track_from_record` reads. Empty otherwise."""
    width: int = 0
    """Pixels, where the frame tells and the record does not (VP8, VP9); else 0."""
    height: int = 0


class Depacketizer(Protocol):
    """One track's RTP payloads to frames; remembers the configuration, and nothing else.

    It is given whole frames: which packets belong together, in which order and whether one is
    missing is known from the RTP headers alone, and asked once for all codecs elsewhere.
    """

    def begins(self, payload: bytes) -> bool:
        """Whether a frame can begin with this (not empty) payload.

        Asked after a loss, of the first packet behind the hole: what cannot begin a frame is the
        rest of one that is lost. Never raises.
        """
        ...

    def frame(self, payloads: Sequence[bytes]) -> Frame | None:
        """The frame that these payloads are: all of its packets, in order, none of them empty.

        None: they are well-formed, but hold nothing to decode (parameter sets alone, padding).

        Raises:
            RemoteProtocolError: they are no frame of this codec.
        """
        ...
