#!/usr/bin/env python3
"""Many small audiences against one large: 50 streams x 20 players, and 1 x 1000.

    python bench/streams.py --shapes 50x20,1x1000

The fixed price of a stream is published alone and taken off, so that "per player" compares
like with like; the total is shown as well.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from typing import NamedTuple

from rig import options, report, scene
from rig.client import PROTOCOLS
from rig.scene import Window


class Shape(NamedTuple):
    """So many streams, each with so many players."""

    streams: int
    players: int

    @classmethod
    def parse(cls, text: str) -> Shape:
        """Read "50x20"."""
        streams, _, players = text.partition("x")
        return cls(int(streams), int(players))


class Result(NamedTuple):
    """The same streams without and with their players."""

    alone: Window
    watched: Window


def main() -> None:
    """Run the benchmark and print its table."""
    parser = options.parser("CPU per player of many small audiences against one large")
    parser.add_argument(
        "--shapes",
        type=options.comma_separated(Shape.parse),
        default=[Shape(50, 20), Shape(1, 1000)],
        metavar="SxP,SxP",
    )
    parser.add_argument("--protocol", choices=PROTOCOLS, default="rtmp")
    arguments = parser.parse_args()
    protocol = arguments.protocol
    if protocol != "rtmp":
        arguments.rival = "none"
    results: dict[tuple[str, Shape], list[Result]] = defaultdict(list)
    with options.prepared(arguments) as plan:
        for round_number in range(1, arguments.rounds + 1):
            for server in options.servers(arguments):
                for shape in arguments.shapes:
                    names = [f"bench{i}" for i in range(shape.streams)]
                    with scene.staged(server, plan, names) as stage:
                        alone = stage.observe()
                        stage.probe(protocol, names[-1])
                        stage.grow(protocol, names, shape.streams * shape.players)
                        stage.probe(protocol, names[-1])
                        result = Result(alone, stage.observe())
                    results[server, shape].append(result)
                    cpu = report.percent(result.watched.cpu)
                    print(
                        f"round {round_number}: {server}, {shape.streams} x {shape.players}: {cpu}",
                        file=sys.stderr,
                    )
    title = f"Many small audiences against one large, {protocol.upper()}"
    print(report.heading(title, options.conditions(arguments)))
    rows = []
    ms = report.milliseconds
    for (server, shape), measured in sorted(results.items()):
        alone = scene.median([result.alone for result in measured])
        watched = scene.median([result.watched for result in measured])
        players = shape.streams * shape.players
        rows.append(
            [
                server,
                f"{shape.streams} x {shape.players}",
                report.percent(watched.cpu),
                report.percent(alone.cpu),
                f"{watched.cpu / players * 1e6:.0f}",
                f"{(watched.cpu - alone.cpu) / players * 1e6:.0f}",
                f"{ms(watched.delay_p50)} / {ms(watched.delay_p95)}",
                f"{watched.stalls:.0f}",
            ]
        )
    columns = [
        "server",
        "streams x players",
        "CPU",
        "of it ingest",
        "us per player and s",
        "net of ingest",
        "added delay p50 / p95, ms",
        "stalls",
    ]
    print(report.table(columns, rows))


if __name__ == "__main__":
    sys.exit(options.run(main))
