"""/metrics for Prometheus: everything is read when it is scraped, nothing is counted twice.

No stream is a label: names come from peers, and one series per name ever seen is how a
monitoring system dies. Streams one by one are at /v1/streams.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import get_args

import trio
from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from quart import request
from quart_trio.wrappers import TrioResponse as Response

from livetrio import __version__
from livetrio.control.context import ControlContext
from livetrio.control.gauges import LAG_BUCKETS
from livetrio.control.table import Answer, Operation
from livetrio.control.view import room_view
from livetrio.delivery.hls_request import Variant

__all__ = ["MetricsApi"]

_CLIENT_COUNTERS = {
    "clients": ("livetrio_clients", "Clients that have come."),
    "bytes_in": ("livetrio_received_bytes", "Bytes received from clients."),
    "bytes_out": ("livetrio_sent_bytes", "Bytes handed to the kernel for clients."),
    "jumps": ("livetrio_jumps", "Moves of a slow client to a newer key frame."),
    "dropped": ("livetrio_dropped_bytes", "Bytes of media that slow clients were not sent."),
}
"""Field of `Totals`: name and help."""
_RECORDER_COUNTERS = {
    "files": ("livetrio_record_files", "Recordings begun."),
    "bytes": ("livetrio_record_bytes", "Bytes written into recordings."),
    "failures": ("livetrio_record_failures", "Times a disk refused to take a recording."),
    "jumps": ("livetrio_record_jumps", "Times a disk was so slow that media were lost."),
}
"""Field of `RecorderCounts`: name and help."""
_SEATS = ("all", "taken", "present")


_OF_ROOMS = {
    "users": "Users who are in a room by media.",
    "viewers": "WebRTC sessions that receive a whole room.",
    "composed": "Streams being composed, each by a process.",
}
"""Field of `room_view`: help."""
_MIX_COUNTERS = {
    "restarts": (
        "livetrio_mix_restarts",
        "Processes that compose a stream and had to be replaced.",
    ),
    "dropped": ("livetrio_mix_dropped_packets", "Packets such a process was too slow to take."),
    "faults": ("livetrio_mix_faults", "Packets that could not be decoded for composing."),
    "late": ("livetrio_mix_late_blocks", "Blocks of 20 ms mixed late."),
    "left_out": ("livetrio_mix_left_out_milliseconds", "Sound that was not mixed, for lateness."),
    "overflows": ("livetrio_mix_overflows", "Times that pictures came too fast to be decoded."),
    "underruns": ("livetrio_mix_underruns", "Times that the sound of a seat ran dry."),
    "cuts": ("livetrio_mix_cuts", "Times that a seat's sound was cut, being too much."),
    "adjustments": ("livetrio_mix_adjustments", "Blocks stretched or squeezed to our clock."),
}
"""Field of `MixStatistics`: name and help."""


class MetricsApi:
    """The handler, with a collector registry of its own."""

    def __init__(self, context: ControlContext) -> None:
        self._collectors = CollectorRegistry()
        self._collectors.register(_Reader(context))
        ProcessCollector(registry=self._collectors)
        PlatformCollector(registry=self._collectors)

    def operations(self) -> list[Operation]:
        """For the table."""
        answers = {200: Answer("metrics", {"type": "string"}, "text/plain")}
        return [
            Operation(
                "/metrics", ("GET", "HEAD"), "Prometheus metrics", self.scrape, "node", answers
            )
        ]

    async def scrape(self) -> Response:
        """GET /metrics"""
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        return Response(encode(self._collectors), content_type=content_type)


class _Reader(Collector):
    def __init__(self, context: ControlContext) -> None:
        self._context = context

    def collect(self) -> Iterator[Metric]:
        yield _gauge("livetrio_info", "This program.", ("version",), [((__version__,), 1)])
        yield from self._streams()
        yield from self._clients()
        yield from self._work()
        yield from self._hls()
        yield from self._rooms()

    def _streams(self) -> Iterator[Metric]:
        registry = self._context.registry
        states = Counter(
            "live" if stream.publication is not None else "waiting"
            for stream in registry.streams.values()
        )
        by_state = [((state,), states[state]) for state in ("live", "waiting")]
        yield _gauge("livetrio_streams", "Streams now.", ("state",), by_state)
        sums = registry.stream_totals()
        ended = registry.ended.streams
        yield _counter("livetrio_streams_ended", "Streams that have ended.", (), [((), ended)])
        yield _counter(
            "livetrio_media_packets", "Packets from publishers.", (), [((), sums.packets)]
        )
        yield _counter("livetrio_media_bytes", "Payload of these.", (), [((), sums.bytes)])
        yield _counter(
            "livetrio_timestamp_repairs",
            "Packets whose times were repaired.",
            ("kind",),
            [
                (("wrap",), sums.repairs.wraps),
                (("jump",), sums.repairs.jumps),
                (("backward",), sums.repairs.backward),
            ],
        )

    def _clients(self) -> Iterator[Metric]:
        registry = self._context.registry
        present = registry.clients()
        now = Counter[tuple[str, str]]((client.role, client.protocol) for _, client in present)
        totals = registry.totals()
        for role, name in (("player", "livetrio_viewers"), ("publisher", "livetrio_publishers")):
            # Protocols seen before stay, with 0: a series that vanishes is not one that fell.
            protocols = sorted({protocol for r, protocol in totals if r == role})
            values = [((protocol,), now[role, protocol]) for protocol in protocols]
            yield _gauge(name, f"Each {role} now.", ("protocol",), values)
        for field, (name, help_) in _CLIENT_COUNTERS.items():
            sums: _Values = [(label, getattr(sum_, field)) for label, sum_ in totals.items()]
            yield _counter(name, help_, ("role", "protocol"), sums)

    def _work(self) -> Iterator[Metric]:
        pacer, lag = self._context.registry.pacer, self._context.gauges.lag
        yield _counter(
            "livetrio_fanout_seconds", "CPU seconds spent sending.", (), [((), pacer.seconds)]
        )
        yield _counter(
            "livetrio_fanout_flushes", "Flushes of all feeds.", (), [((), pacer.flushes)]
        )
        histogram = HistogramMetricFamily(
            "livetrio_event_loop_lag_seconds", "How late the event loop wakes a task."
        )
        bounds = [*map(str, LAG_BUCKETS), "+Inf"]
        buckets = list(zip(bounds, lag.cumulative(), strict=True))
        histogram.add_metric([], buckets, lag.seconds)
        yield histogram
        tasks = trio.lowlevel.current_statistics().tasks_living
        yield _gauge("livetrio_tasks", "Trio tasks now.", (), [((), tasks)])
        recorded = self._context.recorded
        for name, (metric, help_) in _RECORDER_COUNTERS.items():
            yield _counter(metric, help_, (), [((), getattr(recorded, name))])
        states = Counter((relay.kind, relay.state) for relay in self._context.relays.list())
        yield _gauge("livetrio_relays", "Relays now.", ("kind", "state"), sorted(states.items()))

    def _hls(self) -> Iterator[Metric]:
        """Its viewers and what they were sent are among the clients, with protocol "hls"."""
        windows = self._context.hls
        if windows is None:
            return
        made = Counter(place.variant for place in windows.running)
        by_variant = [((variant,), made[variant]) for variant in get_args(Variant)]
        yield _gauge(
            "livetrio_hls_windows", "Windows of segments being made.", ("variant",), by_variant
        )
        held = [((), windows.size)]
        yield _gauge("livetrio_hls_window_bytes", "Bytes of segments held in memory.", (), held)

    def _rooms(self) -> Iterator[Metric]:
        """What composes streams is no part of it: each is a process of its own."""
        rooms, gauges = self._context.rooms, self._context.gauges
        if rooms is None:
            return
        views = [room_view(live, rooms.media(live.key)) for live in rooms]
        kinds = Counter((view["kind"], view["phase"]) for view in views)
        yield _gauge("livetrio_rooms", "Rooms now.", ("kind", "phase"), sorted(kinds.items()))
        seats = [((state,), sum(view["seats"][state] for view in views)) for state in _SEATS]
        yield _gauge("livetrio_room_seats", "Their seats.", ("state",), seats)
        for name, help_ in _OF_ROOMS.items():
            total = sum(view[name] for view in views)
            yield _gauge(f"livetrio_room_{name}", help_, (), [((), total)])
        gauges.tally()
        unsent: _Values = [((why,), count) for why, count in sorted(gauges.voices.totals.items())]
        yield _counter(
            "livetrio_room_unsent_packets", "Packets of sound not sent to rooms.", ("why",), unsent
        )
        mixes = gauges.mixes.totals
        for name, (metric, help_) in _MIX_COUNTERS.items():
            yield _counter(metric, help_, (), [((), mixes[name])])


_Values = Iterable[tuple[tuple[str, ...], float]]


def _gauge(name: str, help_: str, labels: tuple[str, ...], values: _Values) -> Metric:
    family = GaugeMetricFamily(name, help_, labels=labels)
    for label, value in values:
        family.add_metric(label, value)
    return family


def _counter(name: str, help_: str, labels: tuple[str, ...], values: _Values) -> Metric:
    family = CounterMetricFamily(name, help_, labels=labels)
    for label, value in values:
        family.add_metric(label, value)
    return family
