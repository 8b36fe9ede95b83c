"""Gauges: what only regular looking can tell: bit rates, unsteady arrival, the event loop's lag.

One task looks at counters that exist anyway. Refused: clocks and windows in the per-packet path,
which every frame of every stream would pay for so that somebody may look now and then.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from itertools import accumulate
from typing import NoReturn

import trio

from livetrio.control.tally import Tally
from livetrio.media.client import Role
from livetrio.media.mix.composer import MixStatistics
from livetrio.media.registry import Registry
from livetrio.media.stream import Stream
from livetrio.packet import US_PER_MS, Kind, StreamKey
from livetrio.webrtc.rooms.room_service import Rooms

__all__ = ["LAG_BUCKETS", "Gauges", "Lag"]

_BEAT = 0.5
"""Seconds between two looks."""
_BEATS_PER_WINDOW = 10
"""Rates are averages over 5 s, as livego's are."""
_SMOOTHING = 1 / 8
LAG_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
"""Upper bounds in seconds; a last bucket has none."""

_Counter = tuple[object, ...]


@dataclass(slots=True)
class Lag:
    """A histogram of how late the event loop woke a task that had only slept."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(LAG_BUCKETS) + 1))
    seconds: float = 0.0
    """Sum of all lags."""
    last: float = 0.0

    def add(self, seconds: float) -> None:
        """One more observation."""
        self.last = seconds
        self.seconds += seconds
        fits = (number for number, bound in enumerate(LAG_BUCKETS) if seconds <= bound)
        self.counts[next(fits, len(LAG_BUCKETS))] += 1

    def cumulative(self) -> list[int]:
        """Observations up to each bound, then all."""
        return list(accumulate(self.counts))


@dataclass(slots=True)
class _Arrival:
    """How a stream's media time advanced against the wall clock."""

    at: float
    dts: int
    jitter: float = 0.0


class Gauges:
    """Run by one task (`run`); read by plain calls."""

    def __init__(self, registry: Registry, rooms: Rooms | None = None) -> None:
        self._registry = registry
        self._rooms = rooms
        self.mixes = Tally()
        """By field of `MixStatistics`; of all composed streams."""
        self.voices = Tally()
        """Sound of rooms that was not sent over WebRTC, by why (`RoomFeed.losses`)."""
        self._seen: dict[_Counter, int] = {}
        self._rates: dict[_Counter, float] = {}
        self._window_began = 0.0
        self._arrivals: dict[StreamKey, _Arrival] = {}
        self.lag = Lag()

    async def run(self) -> NoReturn:
        """Look for ever."""
        self._window_began = trio.current_time()
        self._count(0.0)
        while True:
            for _ in range(_BEATS_PER_WINDOW):
                due = trio.current_time() + _BEAT
                await trio.sleep_until(due)
                self.lag.add(max(trio.current_time() - due, 0.0))
                self._listen(trio.current_time())
            now = trio.current_time()
            self._count(now - self._window_began)
            self._window_began = now
            self.tally()

    def tally(self) -> None:
        """Look at what rooms and composed streams have counted. Done regularly, since their
        counters end with them, and again by who wants to know it."""
        self.mixes.look(
            {
                client.id: _mix_counts(statistics)
                for _, client in self._registry.clients()
                if isinstance(statistics := client.statistics(), MixStatistics)
            }
        )
        rooms = self._rooms
        carried = [rooms.media(live.key) for live in rooms] if rooms is not None else []
        self.voices.look({media: media.feed.losses for media in carried if media is not None})

    def track_rate(self, stream: Stream, kind: Kind, track_id: int = 0) -> float:
        """Bits per second of one track over the last full window; 0 before there was one."""
        return self._rates.get((stream, kind, track_id), 0.0)

    def client_rate(self, client_id: str) -> float:
        """Bits per second to or from a client, the same way."""
        return self._rates.get((client_id,), 0.0)

    def total_rate(self, role: Role) -> float:
        """Bits per second from all publishers, or to all players, the same way."""
        clients = self._registry.clients()
        return sum(self.client_rate(client.id) for _, client in clients if client.role == role)

    def jitter(self, key: StreamKey) -> float:
        """Seconds by which media arrive ahead of or behind a steady clock, on average.

        RFC 3550 6.4.1's estimator over half-second steps: finer steps would measure the frame
        rate.
        """
        arrival = self._arrivals.get(key)
        return arrival.jitter if arrival is not None else 0.0

    def _listen(self, now: float) -> None:
        before, self._arrivals = self._arrivals, {}
        for key, stream in self._registry.streams.items():
            dts = stream.newest_dts
            if dts is None or stream.publication is None:
                continue
            last = before.get(key)
            if last is None:
                self._arrivals[key] = _Arrival(now, dts)
                continue
            deviation = abs((now - last.at) - (dts - last.dts) / (1000 * US_PER_MS))
            jitter = last.jitter + (deviation - last.jitter) * _SMOOTHING
            self._arrivals[key] = _Arrival(now, dts, jitter)

    def _count(self, seconds: float) -> None:
        counters: dict[_Counter, int] = {}
        for stream in self._registry.streams.values():
            for seen in stream.track_statistics:
                counters[stream, seen.track.kind, seen.track.id] = seen.bytes
        for _, client in self._registry.clients():
            now, then = client.numbers(), client.before
            received, sent = now.bytes_in - then.bytes_in, now.bytes_out - then.bytes_out
            counters[(client.id,)] = received if client.role == "publisher" else sent
        if seconds > 0:
            self._rates = {
                name: (total - self._seen.get(name, 0)) * 8 / seconds
                for name, total in counters.items()
            }
        self._seen = counters


def _mix_counts(statistics: MixStatistics) -> Mapping[str, int]:
    """All but how many are in the scene, which is no counter."""
    names = [field.name for field in fields(statistics) if field.name != "parts"]
    return {name: getattr(statistics, name) for name in names}
