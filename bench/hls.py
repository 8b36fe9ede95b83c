#!/usr/bin/env python3
"""HLS: LL-HLS players of one stream, segment fetches beside Quart, and what a window holds.

    python bench/hls.py --players 500,1000,2000

prints CPU, part delivery and requests a second as Markdown tables.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from rig import hls_fetch, options, proc, report, scene, servers, worker
from rig.client import Address
from rig.scene import Plan
from rig.servers import LIVETRIO, Server, free_ports
from rig.worker import Worker, WorkerError

STREAM = "bench"
DEADLINE = 1.5
"""Part durations within which 99 % of the parts should be there."""


class Stage(NamedTuple):
    """A server on the air."""

    server: Server
    port: int
    studio: Worker


@contextlib.contextmanager
def _staged(plan: Plan, settings: tuple[str, ...]) -> Iterator[Stage]:
    """A livetrio with HLS, and one publisher."""
    rtmp, flv, port = free_ports(3)
    settings = (*plan.settings, *settings, f"hls_addr=127.0.0.1:{port}")
    settings += ("server=[{appname: live, live: true, hls: true}]",)
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(TemporaryDirectory(dir=plan.directory)))
        server = stack.enter_context(
            servers.running(
                LIVETRIO,
                directory,
                cores=plan.server_cores,
                settings=settings,
                address=Address(rtmp, flv),
            )
        )
        arguments = (str(rtmp), str(flv), str(plan.clip))
        studio = stack.enter_context(worker.worker("studio", *arguments, cores=plan.load_cores))
        studio.ask("publish", streams=[STREAM])
        time.sleep(scene.SETTLE)
        yield Stage(server, port, studio)


def _watch(stage: Stage, plan: Plan, players: list[int], part: float) -> Iterator[list[str]]:
    """A row for each size of the audience."""
    cores = plan.load_cores
    with worker.worker("hls_crowd", str(stage.port), STREAM, cores=cores) as crowd:
        for count in players:
            crowd.ask("grow", to=count)
            time.sleep(scene.SETTLE)
            crowd.ask("begin")
            begun, before, busy = time.monotonic(), proc.usage(stage.server.pid), proc.busy()
            time.sleep(plan.seconds)
            after, seconds = proc.usage(stage.server.pid), time.monotonic() - begun
            busy = proc.busy() - busy
            crowd_says = crowd.ask("end", sent=stage.studio.ask("sent", name=STREAM)["sent"])
            cpu = (after.cpu - before.cpu) / seconds
            requests = (crowd_says["playlists"] + crowd_says["parts"]) / seconds
            delays = crowd_says["delays"]
            ms = report.milliseconds
            print(f"{count} players: {report.percent(cpu)} {delays}", file=sys.stderr)
            yield [
                str(count),
                ms(part),
                report.percent(cpu),
                f"{requests:,.0f}",
                f"{cpu / requests * 1e6:.1f}",
                " / ".join(ms(delay) for delay in delays),
                f"{delays[2] / part:.2f}",
                report.percent(crowd_says["parts"] / seconds / count * part),
                report.percent(crowd_says["cpu"] / seconds),
                report.percent(
                    max(busy - (after.cpu - before.cpu) - crowd_says["cpu"], 0) / seconds
                ),
                str(crowd_says["lost"])
                + (f" {crowd_says['faults']}" if crowd_says["lost"] else ""),
            ]


COLUMNS = [
    "players",
    "part, ms",
    "CPU of one core",
    "requests/s",
    "CPU us per request",
    "part delivery p50 / p95 / p99 / max, ms",
    f"p99 in parts (goal {DEADLINE})",
    "parts got",
    "load's CPU",
    "all others' CPU",
    "lost",
]


def main() -> None:
    """Run the benchmark and print its tables."""
    parser = options.parser("LL-HLS players of one stream; segments beside Quart; memory")
    parser.add_argument("--players", type=options.comma_separated(int), default=[500, 1000, 2000])
    parser.add_argument("--parts", type=options.comma_separated(int), default=[200, 500],
                        help="durations of a part, ms")  # fmt: skip
    parser.add_argument("--skip", choices=("players", "fetches"), action="append", default=[])
    arguments = parser.parse_args()
    rows: list[list[str]] = []
    failures: list[str] = []
    with options.prepared(arguments) as plan:
        for part in arguments.parts if "players" not in arguments.skip else ():
            try:
                with _staged(plan, (f"hls: {{part: {part}}}".replace(": {", "={", 1),)) as stage:
                    rows += _watch(stage, plan, sorted(arguments.players), part / 1000)
            except WorkerError as error:
                failures.append(f"parts of {part} ms: {error}")
        fetches = []
        if "fetches" not in arguments.skip:
            with _staged(plan, ()) as stage:
                fetches = hls_fetch.compare(stage.server.pid, stage.port, STREAM, plan)
    print(report.heading("LL-HLS: one stream of 1 Mbit/s 720p30", options.conditions(arguments)))
    print(report.table(COLUMNS, rows))
    print(report.notes(failures))
    if fetches:
        print("\n" + report.table(hls_fetch.COLUMNS, fetches))


if __name__ == "__main__":
    sys.exit(options.run(main))
