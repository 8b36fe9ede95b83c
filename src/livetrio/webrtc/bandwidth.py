"""Bandwidth: what one viewer's network carries, from whatever the viewer reports.

REMB is the viewer's own estimate and costs one packet a second; receiver reports tell its losses
and the round trip; transport-wide feedback, where it was agreed, tells when each packet arrived,
from which the queue before the bottleneck is read. Numbers of that extension are shared by all
viewers of a layout, as the packets are.

Transport-wide feedback is only understood, not asked for: ten to twenty packets a second and
viewer cost more to read than the media cost to send.

An estimate is no measurement. libwebrtc's follows what comes: it says at most half as much again
as that, 0.85 of it after any jitter (its publisher's too: it reads RTP timestamps), and grows by
8 % a second from there. After a still picture it says 5 kbit/s for ten seconds while a megabit
comes. So it counts against what was sent in the same second, and where neither the round trip
nor the losses say otherwise. It speaks of pictures alone; so does all that it is compared with.
"""

from __future__ import annotations

from collections import deque
from statistics import median
from typing import Final

from livetrio.webrtc.round_trip import RoundTrip
from livetrio.webrtc.sending_source import TransportLog
from livetrio.wire.rtp.twcc import TransportFeedback

__all__ = ["Bandwidth"]

_FRESH: Final = 10.0
"""Seconds an estimate is shown, and a loss believed."""
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
"""Seconds over which arrivals, and what is sent, are counted."""
_BASE_WINDOW: Final = 64
"""Feedbacks from which the shortest delay is taken: clocks of viewer and server drift apart."""
_LESS: Final = 0.95
"""Share of what is sent, below which an estimate is too little if queue or losses agree ..."""
_MUCH_LESS: Final = 0.75
"""... and if it alone says so: 0.85 is what is said of a path that carries everything."""
_SLACK: Final = 20_000
"""bit/s: estimates of next to nothing are rough, and there is nothing to be saved."""
_LOSS: Final = 0.08
"""Smoothed share of packets lost that agrees with a low estimate."""
_RECENT: Final = 1.5
"""Seconds in which an estimate has to fall for that to mean something."""
_FALL: Final = 0.8
_RECOVERY: Final = 1.02
"""Growth after a fall that takes it back: a full path makes the estimate fall again and again."""
_SURE: Final = 0.8
"""Seconds for which everything has to say that the path is full."""
_SPACING: Final = 0.1
"""Seconds between two readings of what was sent: who reports ever so often has a window too."""


class Bandwidth:
    """One viewer's."""

    __slots__ = (
        "_arrived",
        "_base",
        "_estimate",
        "_full_since",
        "_grew",
        "_loss",
        "_loss_at",
        "_rembs",
        "_seen",
        "_sent",
        "_suspicion",
        "round_trip",
    )

    def __init__(self) -> None:
        self.round_trip = RoundTrip()
        self._rembs: deque[tuple[float, int]] = deque(maxlen=32)
        self._grew = float("-inf")  # when a REMB was last higher than the one before
        self._suspicion: tuple[float, int] | None = None  # since when, and the REMB that made it
        self._full_since: float | None = None
        self._sent: deque[tuple[float, int]] = deque(maxlen=32)
        self._loss = 0.0
        self._loss_at = float("-inf")
        self._estimate = 0.0
        self._seen = float("-inf")
        self._base: deque[float] = deque(maxlen=_BASE_WINDOW)
        self._arrived: deque[tuple[float, int]] = deque()

    def remb(self, bitrate: int, octets: int, now: float) -> None:
        """The viewer says that it can take so many bit/s.

        Args:
            bitrate: of pictures.
            octets: of pictures it was sent until now, ever.
            now: seconds.
        """
        sent = self._rate(octets, now)
        rembs = self._rembs
        while rembs and rembs[0][0] < now - _RECENT:
            rembs.popleft()
        if rembs and bitrate > rembs[-1][1]:
            self._grew = now
        peak = max((known for _, known in rembs), default=0)
        rembs.append((now, bitrate))
        if self._suspicion is not None and bitrate > _RECOVERY * self._suspicion[1]:
            self._suspicion = None
        elif bitrate < _FALL * peak and peak > _LESS * sent and self._suspicion is None:
            self._suspicion = now, bitrate
        self._judge(sent, now)

    def report(self, fraction_lost: float, now: float) -> None:
        """The share of the packets since the last report that did not arrive, 0 to 1."""
        # What came a second ago counts half: one burst is no congestion.
        old = 0.5 ** (now - self._loss_at) if now - self._loss_at < _FRESH else 0.0
        self._loss = old * self._loss + (1 - old) * fraction_lost
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
        """bit/s as the viewer has it, None while nothing is known."""
        known = []
        if self._rembs and now - self._rembs[-1][0] < _FRESH:
            known.append(float(self._rembs[-1][1]))
        if now - self._seen < _FRESH:
            known.append(self._estimate)
        return min(known, default=None)

    def limit(self, octets: int, now: float) -> float | None:
        """bit/s of pictures that the path carries, where it is full; None where it is not.

        Args:
            octets: of pictures it was sent until now, ever.
            now: seconds.
        """
        self._judge(self._rate(octets, now), now)
        since = self._full_since
        return self.estimate(now) if since is not None and now - since >= _SURE else None

    def _judge(self, sent: float, now: float) -> None:
        if not self._is_full(sent, now):
            self._full_since = None
        elif self._full_since is None:
            self._full_since = now

    def _is_full(self, sent: float, now: float) -> bool:
        estimate = self.estimate(now)
        if estimate is None or estimate > _LESS * sent - _SLACK:
            return False
        trip = self.round_trip
        measured = now - self._seen < _FRESH  # arrivals themselves: no guess
        drained = trip.known and trip.queue < _QUEUE_LOW
        if measured or trip.standing_queue > _QUEUE_HIGH:
            return True
        if self.loss(now) > _LOSS and not drained:
            return True
        if estimate > _MUCH_LESS * sent - _SLACK:
            return False
        if not trip.known:
            return now - self._grew > _WINDOW
        if self._suspicion is None:
            return False
        since, _ = self._suspicion
        if trip.sent > since and drained:
            self._suspicion = None
            return False
        return True

    def _rate(self, octets: int, now: float) -> float:
        """bit/s sent in the last second; 0 where that is not known for a whole one."""
        readings = self._sent
        if not readings or now - readings[-1][0] >= _SPACING:
            readings.append((now, octets))
        while len(readings) > 1 and readings[1][0] <= now - _WINDOW:
            readings.popleft()
        begin, before = readings[0]
        return (octets - before) * 8 / (now - begin) if now - begin >= _WINDOW else 0.0
