#!/usr/bin/env python3
"""WebRTC audience: what a viewer costs livetrio's gateway, Debian's Janus and plain aiortc.

    python bench/webrtc.py --viewers 500 --janus-viewers 150

prints CPU per packet, viewers per core, memory, joins and holds of the loop as a Markdown table.
All viewers are real: ICE, DTLS, and every SRTP packet is decrypted by libsrtp.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import NamedTuple, Protocol

from rig import options, proc, report
from rig.rtc_janus import JanusStreaming, janus_streaming
from rig.rtc_sdp import Near, answer, far_end, offer
from rig.worker import Answer, Worker, WorkerError, worker

SETTLE = 4.0
AT_ONCE = 25
"""Viewers that join together."""
CONNECT = 60.0
COLUMNS = (
    "server",
    "viewers",
    "CPU",
    "us per packet and viewer",
    "viewers per core",
    "packets lost",
    "join, ms of CPU",
    "RSS KB per viewer",
    "longest hold, ms",
)


class Result(NamedTuple):
    """One window, and the joins before it. CPU in seconds."""

    cpu: float
    """Per second."""
    packet: float
    per_core: float
    lost: float
    """Of the packets sent."""
    join: float
    rss: float
    """Bytes per viewer."""
    hold: float
    """0 where it cannot be seen."""
    crowd_cpu: float
    profiles: str


class Stage(Protocol):
    """A server that viewers can be let in to."""

    pid: int

    def join(self, crowd: Worker, numbers: Sequence[int], nears: Sequence[Near]) -> None: ...
    def play(self) -> None: ...
    def begin(self) -> None: ...
    def hold(self) -> float: ...


class Offered:
    """livetrio and aiortc: viewers offer, the server answers."""

    def __init__(self, server: Worker) -> None:
        self.pid = server.pid
        self._server = server

    def join(self, crowd: Worker, numbers: Sequence[int], nears: Sequence[Near]) -> None:
        answers = self._server.ask("answer", offers=[offer(near) for near in nears])["answers"]
        pairs = [(n, far_end(sdp)) for n, sdp in zip(numbers, answers, strict=True)]
        crowd.ask("connect", pairs=pairs)

    def play(self) -> None:
        self._server.ask("play")

    def begin(self) -> None:
        self._server.ask("begin")

    def hold(self) -> float:
        return float(self._server.ask("end").get("longest_hold", 0.0))


class Offering:
    """Janus offers."""

    def __init__(self, server: JanusStreaming, feeder: Worker) -> None:
        self.pid = server.pid
        self._server = server
        self._feeder = feeder

    def join(self, crowd: Worker, numbers: Sequence[int], nears: Sequence[Near]) -> None:
        pairs = []
        for number, near in zip(numbers, nears, strict=True):
            handle, sdp = self._server.watch()
            self._server.start(handle, answer(near, sdp))
            pairs.append((number, far_end(sdp)))
        crowd.ask("connect", pairs=pairs)

    def play(self) -> None:
        self._feeder.ask("play")

    def begin(self) -> None:
        self._server.keep()

    def hold(self) -> float:
        return 0.0


@contextlib.contextmanager
def staged(name: str, on: set[int] | None, off: set[int] | None) -> Iterator[Stage]:
    """Run a server until the block is left."""
    with contextlib.ExitStack() as stack:
        enter = stack.enter_context
        if name == "janus":
            server = enter(janus_streaming(Path(enter(TemporaryDirectory(prefix="janus-"))), on))
            ports = str(server.audio), str(server.video)
            yield Offering(server, enter(worker("rtc_feeder", *ports, cores=off)))
        else:
            module = {"livetrio": "rtc_gateway", "aiortc": "rtc_aiortc"}[name]
            yield Offered(enter(worker(module, cores=on)))


def _connected(crowd: Worker, count: int) -> Answer:
    deadline = time.monotonic() + CONNECT
    while True:
        totals = crowd.ask("end")
        if totals["connected"] >= count:
            return totals
        if time.monotonic() > deadline:
            raise WorkerError(f"{totals['connected']} of {count} viewers connected")
        time.sleep(0.02)


def run(name: str, viewers: int, seconds: float, on: set[int] | None) -> Result:
    """Let viewers join a stream that stands still, start it, and measure one window."""
    off = None if on is None else os.sched_getaffinity(0) - on
    with staged(name, on, off) as stage, worker("rtc_crowd", cores=off) as crowd:
        nears = [Near(*near) for near in crowd.ask("create", count=viewers)["viewers"]]
        # After the first viewer: what a stream needs once is not the price of a viewer.
        stage.join(crowd, [0], nears[:1])
        _connected(crowd, 1)
        before = proc.usage(stage.pid)
        for start in range(1, viewers, AT_ONCE):
            numbers = range(start, min(start + AT_ONCE, viewers))
            stage.join(crowd, numbers, nears[start : start + AT_ONCE])
            _connected(crowd, numbers.stop)
        joined = proc.usage(stage.pid)
        stage.play()
        time.sleep(SETTLE)
        crowd.ask("begin")
        stage.begin()
        begun, start_usage = time.monotonic(), proc.usage(stage.pid)
        time.sleep(seconds)
        end_usage, seconds = proc.usage(stage.pid), time.monotonic() - begun
        totals = crowd.ask("end")
        cpu = end_usage.cpu - start_usage.cpu
        others = max(viewers - 1, 1)
        packets = totals["packets"] or 1
        return Result(
            cpu=cpu / seconds,
            packet=cpu / packets,
            per_core=viewers * seconds / cpu,
            lost=max(0, totals["lost"]) / (packets + max(0, totals["lost"])),
            join=(joined.cpu - before.cpu) / others,
            rss=(end_usage.rss - before.rss) / others,
            hold=stage.hold(),
            crowd_cpu=totals["cpu"] / seconds,
            profiles=", ".join(totals["profiles"]),
        )


def _row(name: str, viewers: int, results: list[Result]) -> list[str]:
    middle = {field: median(getattr(r, field) for r in results) for field in Result._fields[:-1]}
    return [
        name,
        str(viewers),
        report.percent(middle["cpu"]),
        f"{middle['packet'] * 1e6:.1f}",
        f"{middle['per_core']:,.0f}",
        f"{middle['lost'] * 100:.2f} %",
        f"{middle['join'] * 1e3:.1f}",
        f"{middle['rss'] / 1024:.0f}",
        report.milliseconds(max(r.hold for r in results)) if middle["hold"] else "",
    ]


def main() -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    add = parser.add_argument
    add("--viewers", type=int, default=500, help="of livetrio")
    add("--janus-viewers", type=int, default=150, help="one core cannot serve many more")
    add("--aiortc-viewers", type=int, default=40, help="likewise")
    add("--seconds", type=float, default=10.0, help="length of one window")
    add("--rounds", type=int, default=2, help="how often each server gets its turn")
    add("--no-pin", action="store_true", help="do not give the server a core of its own")
    arguments = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    on = None if arguments.no_pin or len(cores) < 2 else {cores[0]}
    audiences = {
        name: count
        for name, count in (
            ("livetrio", arguments.viewers),
            ("janus", arguments.janus_viewers),
            ("aiortc", arguments.aiortc_viewers),
        )
        if count
    }
    results: dict[str, list[Result]] = defaultdict(list)
    for number in range(1, arguments.rounds + 1):
        for name, count in audiences.items():
            result = run(name, count, arguments.seconds, on)
            results[name].append(result)
            print(f"round {number}: {name}: {result}", file=sys.stderr)
    how = (
        f"Loopback; server {'on a core of its own' if on else 'not pinned'}; 1 Mbit/s 720p30 H.264 "
        f"and Opus at 64 kbit/s; every packet decrypted; medians of {arguments.rounds} rounds of "
        f"{arguments.seconds:g} s."
    )
    print(report.heading("One stream, many viewers by WebRTC", how))
    print(report.table(COLUMNS, [_row(n, audiences[n], rs) for n, rs in results.items()]))
    remarks = [f"{n}: {rs[-1].profiles}" for n, rs in results.items()]
    remarks += [
        f"{n}: the load took {r.crowd_cpu:.0%} of its core"
        for n, rs in results.items()
        for r in rs
        if r.crowd_cpu > 0.9
    ]
    print(report.notes(remarks))


if __name__ == "__main__":
    sys.exit(options.run(main))
