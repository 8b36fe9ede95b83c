"""Curtain: a publisher's sound waits for its first picture, so that a stream begins with both.

A browser's microphone is there at once, its video encoder half a second to three seconds later.
Who watches in between would be told that the stream has no picture: a page gets an answer
without one, and HLS begins with sound alone and changes its tracks after a segment. So sound
that comes before the first key frame is dropped, all but the newest frame of each track; nobody
could have watched it anyway.
"""

from __future__ import annotations

from typing import Final

from livetrio.packet import Kind, Packet
from livetrio.webrtc.negotiation_words import Agreed

__all__ = ["Curtain"]

_PATIENCE: Final = 3.0
"""Seconds after the first sound: who agreed on a picture and sends none has its camera off."""


class Curtain:
    """Rises once."""

    __slots__ = ("_held", "_until", "_up")

    def __init__(self, agreed: Agreed) -> None:
        kinds = {media.kind for media in agreed.active if media.codecs}
        self._up = len(kinds) < 2
        self._until: float | None = None
        self._held: dict[int, list[Packet]] = {}

    def passed(self, packets: list[Packet], now: float) -> list[Packet]:
        """What goes to the stream now, of one frame and of what was held.

        Args:
            packets: of a frame, its configuration first where that is new.
            now: seconds.
        """
        if self._up:
            return packets
        frame = packets[-1]
        track = frame.track
        if self._until is None:
            self._until = now + _PATIENCE
        if track.kind is not Kind.VIDEO:
            config = Packet(track, frame.dts, frame.dts, track.config, config=True)
            self._held[track.id] = [config, frame]
            if now < self._until:
                return []
            packets = []
        self._up = True
        held = [packet for pair in self._held.values() for packet in pair]
        self._held.clear()
        return held + packets
