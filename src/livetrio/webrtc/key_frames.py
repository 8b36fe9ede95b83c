"""Key frame wishes: when one SSRC is really asked for a key frame (PLI).

Viewers that join or lose packets, a loss on the way here, a layer that changes its place, and
HLS and the GOP cache (which need one now and then) all wish for the same picture. However many
ask, and however often, the publisher is asked once per `spacing`, and no more once it came.
"""

from __future__ import annotations

__all__ = ["KeyFrameWish"]


class KeyFrameWish:
    """One SSRC's."""

    __slots__ = ("_asked", "_came", "_interval", "_spacing", "_wanted", "sent")

    def __init__(self, interval: float, spacing: float, now: float) -> None:
        """
        Args:
            interval: seconds without a key frame after which one is asked for; 0: never.
            spacing: least seconds between two requests.
            now: seconds.
        """
        self._interval = interval
        self._spacing = spacing
        self._wanted = False
        self._asked = now  # a source begins with a key frame by itself: give it time
        self._came = now
        self.sent = 0
        """Requests sent."""

    def want(self) -> None:
        """Somebody needs one."""
        self._wanted = True

    def came(self, now: float) -> None:
        """A key frame is there, and good for everybody who asked."""
        self._wanted = False
        self._came = now

    def due(self, now: float) -> bool:
        """Send a request now? Taken for sent if so."""
        overdue = self._interval > 0 and now - self._came >= self._interval
        if not (self._wanted or overdue) or now - self._asked < self._spacing:
            return False
        self._asked = now
        self.sent += 1
        return True
