"""Bandwidth: what one viewer's network carries, from whatever the viewer reports.

REMB is the viewer's own estimate and costs one packet a second; receiver reports tell its losses;
transport-wide feedback, where it was agreed, tells when each packet arrived, from which the
queue before the bottleneck is read. Numbers of that extension are shared by all viewers of a
layout, as the packets are.

Transport-wide feedback is only understood, not asked for: ten to twenty packets a second and
viewer cost more to read than the media cost to send.
"""

from __future__ import annotations

from collections import deque
from statistics import median
from typing import Final

from livetrio.webrtc.sending_source import TransportLog
from livetrio.wire.rtp.twcc import TransportFeedback

__all__ = ["Bandwidth"]

_FRESH: Final = 10.0
"""Seconds an estimate is believed."""
_QUEUE_HIGH: Final = 0.080
"""Seconds of standing queue from which the path is taken to be full ..."""
_QUEUE_LOW: Final = 0.040
"""... and up to which it is taken to have room."""
_BACK_OFF: Final = 0.85
_GROWTH: Final = 1.08
"""Per second; what the delay-based half of libwebrtc's estimate does."""
_HEADROOM: Final = 1.5
"""An estimate says nothing beyond this multiple of what did arrive."""
_WINDOW: Final = 1.0
"""Seconds over which arrivals are counted."""
_BASE_WINDOW: Final = 64
"""Feedbacks from which the shortest delay is taken: clocks of viewer and server drift apart."""


class Bandwidth:
    """One viewer's."""

    __slots__ = (
        "_arrived",
        "_base",
        "_estimate",
        "_loss",
        "_loss_at",
        "_remb",
        "_remb_at",
        "_seen",
    )

    def __init__(self) -> None:
        self._remb = 0
        self._remb_at = float("-inf")
        self._loss = 0.0
        self._loss_at = float("-inf")
        self._estimate = 0.0
        self._seen = float("-inf")
        self._base: deque[float] = deque(maxlen=_BASE_WINDOW)
        self._arrived: deque[tuple[float, int]] = deque()

    def remb(self, bitrate: int, now: float) -> None:
        """The viewer says that it can take so many bit/s."""
        self._remb, self._remb_at = bitrate, now

    def report(self, fraction_lost: float, now: float) -> None:
        """The share of the packets since the last report that did not arrive, 0 to 1."""
        # Two thirds of the old: one burst is no congestion.
        fresh = now - self._loss_at < _FRESH
        self._loss = (2 * self._loss + fraction_lost) / 3 if fresh else fraction_lost
        self._loss_at = now

    def feedback(self, feedback: TransportFeedback, log: TransportLog, now: float) -> None:
        """Which packets arrived, and when."""
        delays: list[float] = []
        for number, arrival in enumerate(feedback.arrivals, feedback.base):
            sent = log.sent(number & 0xFFFF) if arrival is not None else None
            if sent is None or arrival is None:
                continue
            delays.append(arrival / 1e6 - sent[0])
            self._arrived.append((now, sent[1]))
        if not delays:
            return
        while self._arrived[0][0] < now - _WINDOW or len(self._arrived) > TransportLog.SIZE:
            self._arrived.popleft()
        # The median: a packet sent again on a NACK arrives late under its old number.
        delay = median(delays)
        self._base.append(delay)
        queue = delay - min(self._base)
        passed = min(now - self._seen, 1.0)
        self._seen = now
        rate = sum(size for _, size in self._arrived) * 8 / _WINDOW
        if queue > _QUEUE_HIGH:
            self._estimate = _BACK_OFF * rate
        elif queue < _QUEUE_LOW:
            self._estimate = min(max(self._estimate, rate) * _GROWTH**passed, _HEADROOM * rate)

    def loss(self, now: float) -> float:
        """Smoothed share of packets lost, 0 while unknown."""
        return self._loss if now - self._loss_at < _FRESH else 0.0

    def estimate(self, now: float) -> float | None:
        """bit/s, None while nothing is known."""
        known = []
        if now - self._remb_at < _FRESH:
            known.append(float(self._remb))
        if now - self._seen < _FRESH:
            known.append(self._estimate)
        return min(known, default=None)
