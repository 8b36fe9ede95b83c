#!/usr/bin/env python3
"""Live audience: what it costs to reach N players, livetrio and a rival side by side.

    python bench/live.py --players 100,500,1500 --protocols rtmp,flv

prints CPU, players per core, added delay, memory per player and stalls as a Markdown table.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from statistics import median
from typing import NamedTuple

from rig import options, report, scene
from rig.client import PROTOCOLS
from rig.proc import Usage
from rig.scene import Plan, Scene, Window
from rig.servers import RIVALS
from rig.worker import WorkerError

STREAM = "bench"
UNDER_DELIVERED = 0.9
BUSY = 0.15
"""Of a core, taken by strangers: from here on a row is doubtful."""


class Case(NamedTuple):
    """One row of the table."""

    server: str
    protocol: str
    players: int


class Result(NamedTuple):
    """One window, and what the server held before the crowd came."""

    window: Window
    rest: Usage


def _steps(stage: Scene, protocol: str, audience: list[int]) -> Iterator[tuple[int, Result]]:
    """Grow the audience step by step, one window each; probes are the first and last in line."""
    stage.probe(protocol, STREAM)
    # After the first viewer: what a stream needs once is not the price of a player.
    time.sleep(scene.SETTLE)
    rest = stage.usage()
    for players in audience:
        stage.grow(protocol, [STREAM], players)
        stage.probe(protocol, STREAM)
        yield players, Result(stage.observe(), rest)


class Record(NamedTuple):
    """All that was measured, and what could not be."""

    results: dict[Case, list[Result]]
    failures: list[str]


def _run(plan: Plan, arguments: argparse.Namespace) -> Record:
    """Let the servers take turns: A-B-A-B, so that drift of the machine hits both."""
    record = Record(defaultdict(list), [])
    turns = [
        (server, protocol)
        for protocol in arguments.protocols
        for server in options.servers(arguments)
        if protocol == "rtmp" or server not in RIVALS
    ]
    for round_number in range(1, arguments.rounds + 1):
        for server, protocol in turns:
            turn = f"round {round_number}: {server}, {protocol}"
            try:
                with scene.staged(server, plan, [STREAM]) as stage:
                    for players, result in _steps(stage, protocol, sorted(arguments.players)):
                        record.results[Case(server, protocol, players)].append(result)
                        cpu = report.percent(result.window.cpu)
                        print(f"{turn}, {players}: {cpu}", file=sys.stderr)
            except WorkerError as error:
                # What the other turns measured is still true.
                record.failures.append(f"{turn}: {error}")
    return record


def _row(case: Case, results: list[Result], rival_cpu: float | None) -> list[str]:
    window = scene.median([result.window for result in results])
    rss = median(result.window.rss - result.rest.rss for result in results)
    dirty = median(result.window.dirty - result.rest.dirty for result in results)
    ms = report.milliseconds
    return [
        f"{case.server}, {case.protocol.upper()}",
        str(case.players),
        report.percent(window.cpu),
        f"{window.cpu / case.players * 1e6:.0f}",
        f"{case.players / window.cpu:,.0f}",
        f"{rival_cpu / window.cpu:.2f}" if rival_cpu else "",
        f"{ms(window.delay_p50)} / {ms(window.delay_p95)} / {ms(window.delay_max)}",
        f"{rss / case.players / 1024:.1f} ({dirty / case.players / 1024:.1f})",
        report.percent(window.delivered),
        f"{window.stalls:.0f}",
    ]


def _remarks(results: dict[Case, list[Result]]) -> Iterator[str]:
    """Say whatever makes a number doubtful."""
    for case, windows in results.items():
        window = scene.median([result.window for result in windows])
        who = f"{case.server} {case.protocol} {case.players}"
        if window.lost:
            yield f"{who}: {window.lost:.0f} players were closed by the server"
        if window.least < UNDER_DELIVERED:
            yield f"{who}: one player got only {report.percent(window.least)} of the bytes"
        if window.late > 0.05:
            yield f"{who}: the publisher itself was {window.late * 1000:.0f} ms late once"
        if window.load_cpu > 0.9:
            yield f"{who}: the load took {window.load_cpu:.0%} of its core"
        if window.others_cpu > BUSY:
            yield f"{who}: other programs took {window.others_cpu:.0%} of a core meanwhile"


COLUMNS = [
    "server",
    "players",
    "CPU",
    "CPU us per player and s",
    "players per core",
    "x rival on RTMP",
    "added delay p50 / p95 / max, ms",
    "RSS (private) KB per player",
    "delivered",
    "stalls",
]


def main() -> None:
    """Run the benchmark and print its table."""
    parser = options.parser("CPU, delay and memory of a live audience, side by side")
    parser.add_argument(
        "--players", type=options.comma_separated(int), default=[100, 500, 1500], metavar="N,N"
    )
    parser.add_argument(
        "--protocols",
        type=options.comma_separated(str),
        default=["rtmp", "flv"],
        help=f"of {', '.join(PROTOCOLS)}; nginx-rtmp has RTMP only",
    )
    arguments = parser.parse_args()
    if unknown := set(arguments.protocols) - set(PROTOCOLS):
        parser.error(f"unknown protocols: {', '.join(sorted(unknown))}")
    with options.prepared(arguments) as plan:
        results, failures = _run(plan, arguments)
    title = "One stream of 1 Mbit/s 720p30, many players"
    print(report.heading(title, options.conditions(arguments)))
    cpu = {case: scene.median([r.window for r in rs]).cpu for case, rs in results.items()}
    rows = [
        _row(
            case,
            windows,
            None if case.server in RIVALS else cpu.get(Case(arguments.rival, "rtmp", case.players)),
        )
        for case, windows in sorted(results.items(), key=lambda item: (item[0][1:], item[0][0]))
    ]
    print(report.table(COLUMNS, rows))
    print(report.notes([*failures, *_remarks(results)]))


if __name__ == "__main__":
    sys.exit(options.run(main))
