"""Rerun: what a viewer gets that has lost its picture, where no publisher can be asked for a key.

RTMP has no word for it, so the next key frame comes when it comes. Where that is soon the viewer
waits. Else it is sent the pictures since the newest key frame once more, and only once for each
of those, at the pace of catching up: a wish costs its sender one packet and us all of them. Their
times go on from where the viewer is, since a player that is led back in time may show nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from livetrio.packet import US_PER_SECOND
from livetrio.webrtc.catch_up import SPEED
from livetrio.webrtc.lane import Lane
from livetrio.webrtc.numbering import Warp
from livetrio.webrtc.viewer import Viewer

__all__ = ["rerun"]

_NEAR: Final = 3 * US_PER_SECOND
"""Microseconds that a viewer waits for a key frame without a picture."""


def rerun(viewer: Viewer, lane: Lane, gaps: Iterable[int], now: float) -> bool:
    """Begin one if it is due; call it for viewers at the live edge.

    Args:
        viewer: who asks.
        lane: what it watches.
        gaps: microseconds between the last key frames of that track, as far as they are known.
        now: seconds.
    """
    history = lane.source.history
    key, newest = history.newest_key, history.frame(history.next_frame - 1)
    start = history.frame(key) if key is not None else None
    if key is None or start is None or newest is None or viewer.replayed == (lane, key):
        return False
    if any(abs(start.pts + gap - newest.pts) <= _NEAR for gap in gaps if gap):
        return False
    viewer.replayed = lane, key
    at = lane.source.timestamp
    viewer.begin(lane, key, now, Warp(at(start.pts), at(newest.pts), SPEED))
    return True
