"""HlsOptions: what an operator may decide about HLS. Times in microseconds, as in packets."""

from __future__ import annotations

from dataclasses import dataclass

from livetrio.packet import US_PER_MS, US_PER_SECOND

__all__ = ["HlsOptions"]


@dataclass(frozen=True, slots=True, kw_only=True)
class HlsOptions:
    """The defaults of the first three are livego's."""

    segment_duration: int = 3 * US_PER_SECOND
    """A segment ends at the first key frame after this."""
    window: int = 3
    """Segments in a playlist."""
    keep_after_end: bool = False
    """Keep playlist (then with an end) and segments when the stream has ended."""
    part_duration: int = 200 * US_PER_MS
    """LL-HLS; 0 turns it off."""
    low_latency_segment: int = US_PER_SECOND
    """Segments of the low-latency variant: shorter, so that a viewer starts sooner."""
    low_latency_window: int = 7
    longest_segment: int = 10 * US_PER_SECOND
    """Cut without a key frame after that."""
    segment_size: int = 50 << 20
    """Bytes; likewise."""
    dvr_window: int = 0
    """Viewers may go back so far."""
    idle: int = 60 * US_PER_SECOND
    """A variant that nobody has asked for this long is not made any more."""
    key_every: int = 0
    """AES-128: a new key every so many segments; 0: no encryption."""

    def targets(self, *, low_latency: bool) -> tuple[int, int]:
        """Duration of a segment, and how many are listed."""
        if low_latency:
            return self.low_latency_segment, self.low_latency_window
        return self.segment_duration, self.window
