#!/usr/bin/env python3
"""Ingest: what N published streams of 1 Mbit/s cost while nobody watches.

python bench/ingest.py --streams 1,10,50
"""

from __future__ import annotations

import sys
from collections import defaultdict

from rig import options, report, scene
from rig.scene import Window


def main() -> None:
    """Run the benchmark and print its table."""
    parser = options.parser("CPU and memory of published streams without viewers")
    parser.add_argument(
        "--streams", type=options.comma_separated(int), default=[1, 10, 50], metavar="N,N"
    )
    arguments = parser.parse_args()
    results: dict[tuple[int, str], list[Window]] = defaultdict(list)
    with options.prepared(arguments) as plan:
        for round_number in range(1, arguments.rounds + 1):
            for count in arguments.streams:
                for server in options.servers(arguments):
                    names = [f"bench{i}" for i in range(count)]
                    with scene.staged(server, plan, names) as stage:
                        window = stage.observe()
                    results[count, server].append(window)
                    cpu = report.percent(window.cpu)
                    print(f"round {round_number}: {server}, {count}: {cpu}", file=sys.stderr)
    title = "Published streams of 1 Mbit/s, no viewers"
    print(report.heading(title, options.conditions(arguments)))
    rows = []
    for (count, server), windows in sorted(results.items()):
        window = scene.median(windows)
        rows.append(
            [
                server,
                str(count),
                report.percent(window.cpu),
                f"{window.cpu / count * 100:.2f} %",
                f"{window.rss / 2**20:.1f}",
            ]
        )
    print(report.table(["server", "streams", "CPU", "CPU per stream", "RSS MB"], rows))


if __name__ == "__main__":
    sys.exit(options.run(main))
