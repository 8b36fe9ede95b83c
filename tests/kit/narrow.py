"""A viewer behind a path of some width, and what its browser reports; in virtual time.

The estimate is made as libwebrtc makes its REMB: 0.85 of what came at any growing delay, 8 % more
each second otherwise, half as much again as what comes at most, nothing for the first seconds.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from livetrio.webrtc.bandwidth import Bandwidth
from livetrio.webrtc.sender_report import ntp_time
from livetrio.wire.rtp.rtcp_reports import ReportBlock

__all__ = ["NarrowPath", "play"]

_STEP = 0.1
_WALL = 1.7e9
"""Seconds since 1970 at the clock's 0."""


@dataclass
class NarrowPath:
    """Queue, bottleneck and the receiver behind it. May be changed while it plays."""

    width: float = math.inf
    """bit/s."""
    buffer: float = 0.5
    """Seconds of queue from which on packets are lost."""
    lost: float = 0.0
    """Share of packets lost, whatever the rate."""
    jitter_every: float = math.inf
    """Seconds between two delays of the publisher's that the estimator takes for a full path."""
    answers: bool = True
    """Do reception reports say when the last sender report came?"""
    delay: float = 0.02
    """Seconds each way."""
    estimate: float = 0.0
    """bit/s, as the next REMB says; 0: none yet."""
    _queue: float = 0.0  # bits
    _arrived: deque[float] = field(default_factory=lambda: deque(maxlen=round(1 / _STEP)))
    _before: float = 0.0  # seconds of queue when the estimate was last updated
    _sent: float = 0.0  # bits since the last report ...
    _missed: float = 0.0  # ... and those of them that were lost

    @property
    def queue(self) -> float:
        """Seconds that what is sent now waits."""
        return self._queue / self.width if self._queue else 0.0

    def carry(self, bits: float) -> None:
        """So much is sent in a step."""
        missed = bits * self.lost
        self._queue += bits - missed
        if not math.isinf(self.width):
            over = max(0.0, self._queue - self.width * (self.buffer + _STEP))
            missed += over
            self._queue -= over
        passed = min(self._queue, self.width * _STEP)
        self._queue -= passed
        self._arrived.append(passed)
        self._sent += bits
        self._missed += missed

    def fraction_lost(self) -> float:
        """Since the last time this was asked."""
        fraction = self._missed / self._sent if self._sent else 0.0
        self._sent = self._missed = 0.0
        return fraction

    def update(self, now: float) -> None:
        """Estimate anew, every 0.2 s."""
        came = sum(self._arrived)
        grown, self._before = self.queue - self._before, self.queue
        late = now % self.jitter_every < 0.2 and now > self.jitter_every
        if grown > 0.015 or late:
            self.estimate = max(5_000.0, min(self.estimate or math.inf, 0.85 * came - 5_000))
        elif now < 5:
            return
        elif not self.estimate:
            self.estimate = came
        elif grown > -0.015 and self.estimate < 1.5 * came + 10_000:
            more = max(1_000.0, self.estimate * (1.08**0.2 - 1))
            self.estimate = min(self.estimate + more, 1.5 * came + 10_000)


Decide = Callable[[Sequence[float], float | None, float, float], int]


def play(
    decide: Decide,
    layers: Sequence[float] | Callable[[float], Sequence[float]],
    path: NarrowPath,
    seconds: float,
    *,
    weather: Callable[[float], None] = lambda now: None,
) -> list[tuple[float, int]]:
    """Send to a viewer; when it was decided for which layer, beginning with the first.

    Args:
        decide: as `Quality.decide`.
        layers: bit/s of each, or what they are at a time.
        path: to the viewer.
        seconds: how long.
        weather: called with the time before each step.
    """
    bandwidth = Bandwidth()
    changes: list[tuple[float, int]] = []
    octets = 0.0
    current, moving = -1, math.inf
    report: tuple[float, float] | None = None  # a sender report: when it left, and came
    told = -math.inf
    for step in range(round(seconds / _STEP)):
        now = step * _STEP
        weather(now)
        rates = list(layers(now) if callable(layers) else layers)
        if step % 10 == 0:
            choice = decide(rates, bandwidth.limit(int(octets), now), bandwidth.loss(now), now)
            if not changes or choice != changes[-1][1]:
                changes.append((now, choice))
                moving = now + (0.4 if current >= 0 else 0.0)  # its next key frame
            report = now, now + path.queue + path.delay
        if now >= moving:
            current, moving = changes[-1][1], math.inf
        rate = rates[current] if 0 <= current < len(rates) else 0.0
        octets += rate * _STEP / 8
        path.carry(rate * _STEP)
        if step % 2 == 0:
            before = path.estimate
            path.update(now)
            if path.estimate and (path.estimate != before or now - told >= 1):
                told = now
                bandwidth.report(path.fraction_lost(), now)
                if report is not None and report[1] <= now and path.answers:
                    left, came = report
                    waited = max(0, round((now - path.delay - came) * 65_536))
                    stamp = ntp_time(_WALL + left) >> 16 & 0xFFFF_FFFF
                    block = ReportBlock(1, 0, 0, 0, 0, stamp, waited)
                    bandwidth.round_trip.answer(block, _WALL + now, now)
                bandwidth.remb(round(path.estimate), int(octets), now)
    return changes
