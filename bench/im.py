#!/usr/bin/env python3
"""Messaging: what a room of 10,000, an idle connection and a connect cost.

    python bench/im.py --members 10000 --kinds ws,tcp

prints, as Markdown tables for docs/performance.md: (1) a busy room: how late messages come, socket
writes and messages per second, and what a media stream on the same loop feels of it; (2) the
memory of idle connections and the time to make them.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from rig import options, proc, report, servers, worker
from rig.client import Address
from rig.im_client import KINDS, ImAddress
from rig.scene import Plan
from rig.worker import Worker

PROBES = 10
"""Members that look at what they are sent, spread over the order of joining."""
SETTLE = 3.0
PACE = 120.0
"""Messages a second of the case that measures writes, in which nothing waits to be merged."""


class Case(NamedTuple):
    """A busy room."""

    name: str
    members: int
    rate: float
    """Messages per second."""
    tick: int
    """Longest time between two batches, milliseconds; 0: never wait."""


@dataclass(slots=True)
class Stage:
    """A server with its load."""

    server: servers.Server
    studio: Worker
    crowd: Worker
    media: Worker

    def fill(self, kind: str, members: int) -> None:
        """Let members in, and probes among them: the first and the last in line differ most."""
        for step in range(PROBES):
            self.studio.ask("probe", kind=kind, number=19_000 + step)
            to = (members - PROBES) * (step + 1) // PROBES
            self.crowd.ask("grow", kind=kind, to=to, timeout=150)

    def window(self, seconds: float) -> dict[str, Any]:
        """One window of time."""
        for each in (self.media, self.crowd, self.studio):
            each.ask("begin")
        begun, busy, before = time.monotonic(), proc.busy(), proc.usage(self.server.pid)
        time.sleep(seconds)
        after, busy = proc.usage(self.server.pid), proc.busy() - busy
        took = time.monotonic() - begun
        studio, crowd, media = (each.ask("end") for each in (self.studio, self.crowd, self.media))
        load = studio["cpu"] + crowd["cpu"] + media["cpu"]
        cpu = after.cpu - before.cpu
        return {
            "seconds": took,
            "cpu": cpu,
            "studio": studio,
            "crowd": crowd,
            "frames": sorted(media["delays"]),
            "load": load / took,
            "others": max(0.0, busy - cpu - load) / took,
        }


@contextlib.contextmanager
def staged(plan: Plan, tick: int) -> Iterator[Stage]:
    """A server with a media stream that one player watches, and nobody in its rooms."""
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(TemporaryDirectory(dir=plan.directory)))
        *ports, rtmp_port, http_port = servers.free_ports(5)  # at once: so they differ
        address, live = ImAddress(*ports), Address(rtmp_port, http_port)
        settings = (
            *(f"{key}=127.0.0.1:{port}" for key, port in zip(_KEYS, address, strict=True)),
            f"im={{goim_trust_mid: true, allow_anonymous: true, tick: {tick}}}",
            *plan.settings,
        )
        server = stack.enter_context(
            servers.running(
                "livetrio", directory, cores=plan.server_cores, settings=settings, address=live
            )
        )
        ports = [str(port) for port in address]
        cores = plan.load_cores
        studio = stack.enter_context(worker.worker("im_studio", *ports, cores=cores))
        crowd = stack.enter_context(
            worker.worker("im_crowd", *ports, str(plan.read_every), cores=cores)
        )
        at = [str(port) for port in live]
        media = stack.enter_context(worker.worker("studio", *at, str(plan.clip), cores=cores))
        media.ask("publish", streams=["bench"])
        time.sleep(SETTLE)
        media.ask("probe", protocol="flv", name="bench")
        yield Stage(server, studio, crowd, media)


_KEYS = ("im_addr", "goim_tcp_addr", "goim_push_addr")


def busy_room(plan: Plan, case: Case, kind: str) -> list[str]:
    """One row of the first table."""
    with staged(plan, case.tick) as stage:
        stage.fill(kind, case.members)
        time.sleep(SETTLE)
        quiet = stage.window(plan.seconds / 2)
        stage.studio.ask("talk", rate=case.rate)
        time.sleep(SETTLE)
        busy = stage.window(plan.seconds)
    studio = busy["studio"]
    seconds, cpu = busy["seconds"], busy["cpu"] - quiet["cpu"] / quiet["seconds"] * busy["seconds"]
    writes = studio["writes"] * case.members
    messages = studio["heard"] * case.members
    if busy["crowd"]["lost"]:
        print(f"{case.name}: {busy['crowd']['lost']} members were closed", file=sys.stderr)
    if studio["late"] > 0.05:
        print(f"{case.name}: a push was {studio['late'] * 1e3:.0f} ms late", file=sys.stderr)
    for name in ("load", "others"):
        print(f"{case.name}: {name} took {busy[name]:.0%} of a core", file=sys.stderr)
    ms = report.milliseconds
    frames = [_share(quiet["frames"], 1), _share(busy["frames"], 0.99), _share(busy["frames"], 1)]
    return [
        f"{kind}, {case.name}",
        f"{case.members:,}",
        f"{studio['said'] / seconds:.0f}",
        report.percent(busy["cpu"] / seconds),
        f"{ms(_share(studio['delays'], 0.5))} / {ms(_share(studio['delays'], 0.99))}",
        f"{writes / seconds:,.0f} ({writes / cpu:,.0f})",
        f"{messages / seconds:,.0f} ({messages / cpu:,.0f})",
        f"{messages / max(writes, 1):.1f}",
        " / ".join(map(ms, frames)),
    ]


def idle(plan: Plan, kind: str, members: int) -> list[str]:
    """One row of the second table."""
    with staged(plan, 250) as stage:
        stage.crowd.ask("grow", kind=kind, to=members // 100)  # what is needed once
        time.sleep(SETTLE)
        before = proc.usage(stage.server.pid)
        took = stage.crowd.ask("grow", kind=kind, to=members, timeout=150)["seconds"]
        time.sleep(SETTLE)
        after = proc.usage(stage.server.pid)
    count = members - members // 100
    return [
        kind,
        f"{members:,}",
        f"{(after.rss - before.rss) / count:,.0f}",
        f"{took:.1f} s",
        f"{(after.cpu - before.cpu) / count * 1e6:.0f}",
    ]


def _share(ordered: list[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


BUSY = [
    "room", "members", "messages/s", "CPU", "delivered after p50 / p99, ms",
    "socket writes/s (per CPU-s)", "messages/s to members (per CPU-s)", "messages per write",
    "video frame late: at most while quiet / p99, at most while busy, ms",
]  # fmt: skip
IDLE = ["connections", "count", "RSS each, bytes", "made in", "CPU us each"]


def main() -> None:
    """Run the benchmark and print its tables."""
    parser = options.parser("Delay, throughput, memory and connects of messaging")
    parser.add_argument("--members", type=int, default=10_000)
    parser.add_argument("--kinds", type=options.comma_separated(str), default=["ws", "tcp"],
                        help=f"of {', '.join(KINDS)}")  # fmt: skip
    parser.add_argument("--skip", choices=("busy", "idle"))
    parser.set_defaults(rounds=1)
    arguments = parser.parse_args()
    members = arguments.members
    cases = [
        Case("danmaku", members, 40, 250),
        Case("storm", members, 250, 250),
        Case("no merging", 1000, PACE, 0),
    ]
    rows: list[list[str]] = []
    resting: list[list[str]] = []
    with options.prepared(arguments) as plan:
        for kind in arguments.kinds * arguments.rounds:
            if arguments.skip != "busy":
                rows += [busy_room(plan, case, kind) for case in cases]
            if arguments.skip != "idle":
                resting.append(idle(plan, kind, members))
    arguments.rounds = 1  # each has its rows
    print(f"{proc.machine()}. {options.conditions(arguments)}\n")
    if rows:
        print(report.table(BUSY, rows) + "\n")
    if resting:
        print(report.table(IDLE, resting))


if __name__ == "__main__":
    sys.exit(options.run(main))
