#!/usr/bin/env python3
"""HLS: LL-HLS players of one stream, segment fetches beside Quart, and what a window holds.

    python bench/hls.py --players 500,1000,2000
    python bench/hls.py --players 500 --parts 200 --ways plain,tls,nginx

prints CPU, part delivery and requests a second as Markdown tables: medians of all rounds.
"""

from __future__ import annotations

import contextlib
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from rig import hls_fetch, hls_front, options, proc, report, scene, servers, worker
from rig.client import Address
from rig.hls_front import Way
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
    """Where players go."""
    proxy: int | None
    """Process id of the proxy before it."""
    studio: Worker


class Window(NamedTuple):
    """What one window showed. Shares are of one core, times seconds."""

    cpu: float
    proxy_cpu: float
    requests: float
    """In each second, by all players."""
    per_request: float
    p50: float
    p95: float
    p99: float
    worst: float
    """From when a part's last frame was sent until a player had the part."""
    got: float
    """Parts that the average player got, of those there were."""
    crowd_cpu: float
    others_cpu: float
    lost: int


@contextlib.contextmanager
def _staged(plan: Plan, settings: tuple[str, ...], way: Way = "plain") -> Iterator[Stage]:
    """A livetrio with HLS, what stands before it, and one publisher."""
    rtmp, flv, port = free_ports(3)
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(TemporaryDirectory(dir=plan.directory)))
        settings = (*plan.settings, *settings, *hls_front.settings_for(way, directory, port))
        settings += ("server=[{appname: live, live: true, hls: true}]",)
        server = stack.enter_context(
            servers.running(
                LIVETRIO,
                directory,
                cores=plan.server_cores,
                settings=settings,
                address=Address(rtmp, flv),
            )
        )
        front = stack.enter_context(hls_front.front(way, directory, port, plan.load_cores))
        arguments = (str(rtmp), str(flv), str(plan.clip))
        studio = stack.enter_context(worker.worker("studio", *arguments, cores=plan.load_cores))
        studio.ask("publish", streams=[STREAM])
        time.sleep(scene.SETTLE)
        yield Stage(server, front.port, front.pid, studio)


def _watch(
    stage: Stage, plan: Plan, players: list[int], part: float, way: Way
) -> Iterator[tuple[int, Window]]:
    """A window for each size of the audience."""
    speak = "tls" if way == "tls" else "plain"
    arguments = (str(stage.port), STREAM, speak)
    with worker.worker("hls_crowd", *arguments, cores=plan.load_cores) as crowd:
        for count in players:
            crowd.ask("grow", to=count)
            time.sleep(scene.SETTLE)
            crowd.ask("begin")
            begun, before, busy = time.monotonic(), _used(stage), proc.busy()
            time.sleep(plan.seconds)
            after, seconds = _used(stage), time.monotonic() - begun
            busy = proc.busy() - busy
            crowd_says = crowd.ask("end", sent=stage.studio.ask("sent", name=STREAM)["sent"])
            cpu, proxy = ((now - then) / seconds for now, then in zip(after, before, strict=True))
            requests = (crowd_says["playlists"] + crowd_says["parts"]) / seconds
            used = crowd_says["cpu"] / seconds
            print(f"{way} {count}: {cpu:.3f} {crowd_says['delays']}", file=sys.stderr)
            if crowd_says["lost"]:
                print(f"lost: {crowd_says['faults']}", file=sys.stderr)
            yield (
                count,
                Window(
                    cpu,
                    proxy,
                    requests,
                    cpu / requests,
                    *crowd_says["delays"],
                    crowd_says["parts"] / seconds / count * part,
                    used,
                    max(busy / seconds - cpu - proxy - used, 0.0),
                    crowd_says["lost"],
                ),
            )


def _used(stage: Stage) -> tuple[float, float]:
    """Seconds of CPU so far: livetrio's, the proxy's."""
    proxy = proc.usage(stage.proxy).cpu if stage.proxy is not None else 0.0
    return proc.usage(stage.server.pid).cpu, proxy


def _row(way: Way, part: float, count: int, windows: list[Window]) -> list[str]:
    """The medians of all rounds; players that were lost are added up."""
    median = Window(*map(statistics.median, zip(*windows, strict=True)))
    ms, percent = report.milliseconds, report.percent
    return [
        way,
        str(count),
        ms(part),
        percent(median.cpu),
        percent(median.proxy_cpu),
        f"{median.requests:,.0f}",
        f"{median.per_request * 1e6:.1f}",
        " / ".join(ms(delay) for delay in (median.p50, median.p95, median.p99, median.worst)),
        f"{median.p99 / part:.2f}",
        percent(median.got),
        percent(median.crowd_cpu),
        percent(median.others_cpu),
        str(sum(window.lost for window in windows)),
    ]


COLUMNS = [
    "way",
    "players",
    "part, ms",
    "CPU of one core",
    "proxy's CPU",
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
    parser.add_argument("--ways", type=options.comma_separated(str), default=["plain"],
                        help="of plain, tls, nginx: how players reach livetrio")  # fmt: skip
    parser.add_argument("--skip", choices=("players", "fetches"), action="append", default=[])
    arguments = parser.parse_args()
    if unknown := set(arguments.ways) - set(hls_front.WAYS):
        parser.error(f"there is no way {', '.join(sorted(unknown))}")
    scenes = [(way, part) for part in arguments.parts for way in arguments.ways]
    windows: dict[tuple[Way, int, int], list[Window]] = {}
    failures: list[str] = []
    with options.prepared(arguments) as plan:
        for way, part in scenes * arguments.rounds if "players" not in arguments.skip else ():
            try:
                with _staged(plan, (f"hls={{part: {part}}}",), way) as stage:
                    players = sorted(arguments.players)
                    for count, window in _watch(stage, plan, players, part / 1000, way):
                        windows.setdefault((way, part, count), []).append(window)
            except WorkerError as error:
                failures.append(f"{way}, parts of {part} ms: {error}")
        fetches = []
        if "fetches" not in arguments.skip:
            with _staged(plan, ()) as stage:
                fetches = hls_fetch.compare(stage.server.pid, stage.port, STREAM, plan)
    print(report.heading("LL-HLS: one stream of 1 Mbit/s 720p30", options.conditions(arguments)))
    rows = [_row(way, part / 1000, count, rounds) for (way, part, count), rounds in windows.items()]
    print(report.table(COLUMNS, rows))
    print(report.notes(failures))
    if fetches:
        print("\n" + report.table(hls_fetch.COLUMNS, fetches))


if __name__ == "__main__":
    sys.exit(options.run(main))
