"""Lane: one video layer of a layout, and the viewers that are in it.

Almost all viewers share its numbering, and their packets with it. One that came from another
lane, or is sent key frames alone, continues a numbering of its own, since a receiver takes a gap
for loss: its packets are copies with another sequence number, slower and correct.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from livetrio.packet import US_PER_SECOND
from livetrio.webrtc.run import Run, runs_of
from livetrio.webrtc.sending_source import SendingSource

if TYPE_CHECKING:
    from livetrio.webrtc.viewer import Viewer

__all__ = ["BURST", "Lane", "cut", "renumbered"]

BURST: Final = 32
"""Packets of one frame that leave at once; a key frame of more is sent in several runs."""
_RATE_WINDOW: Final = 2 * US_PER_SECOND


class Lane:
    """Made for each video track of the edition, as its first packet comes."""

    __slots__ = ("_bytes", "_since", "members", "rate", "source")

    def __init__(self, source: SendingSource) -> None:
        self.source = source
        self.members: dict[Viewer, None] = {}
        """Viewers at the live edge; a dict for its order."""
        self.rate = 0.0
        """bit/s of the layer, without RTP; 0 while unknown or paused."""
        self._bytes = 0
        self._since: int | None = None

    def measure(self, size: int, pts: int) -> None:
        """A frame of `size` bytes came at stream time `pts` (us)."""
        if self._since is None or not 0 <= pts - self._since < 2 * _RATE_WINDOW:
            self._since, self._bytes = pts, 0
        self._bytes += size
        passed = pts - self._since
        if passed >= _RATE_WINDOW or not self.rate:
            self.rate = self._bytes * 8 * US_PER_SECOND / max(passed, US_PER_SECOND)
        if passed >= _RATE_WINDOW:
            self._since, self._bytes = pts, 0


def cut(packets: Sequence[bytes], first: int, tail: tuple[bytes, int] | None = None) -> list[Run]:
    """Runs of one frame's packets.

    Args:
        packets: in order.
        first: index of the first one.
        tail: an audio packet and its index, to ride as the last and shorter one.
    """
    if tail is None and (
        len(packets) == 1 or (len(packets) == 2 and len(packets[0]) >= len(packets[1]))
    ):
        return [Run(list(packets), list(range(first, first + len(packets))))]
    pairs = list(zip(packets, range(first, first + len(packets)), strict=True))
    runs = [
        run
        for start in range(0, len(pairs), BURST)
        for run in runs_of(pairs[start : start + BURST])
    ]
    if tail is not None:
        last = runs.pop()
        runs += runs_of([*zip(last.packets, last.indexes, strict=True), tail])
    return runs


def renumbered(packet: bytes, index: int) -> bytes:
    """The packet under the sequence number of another index."""
    return packet[:2] + (index & 0xFFFF).to_bytes(2, "big") + packet[4:]
