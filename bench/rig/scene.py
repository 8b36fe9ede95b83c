"""One server with its studio and crowd, and what one window of time showed."""

from __future__ import annotations

import contextlib
import os
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from tempfile import TemporaryDirectory

from rig import clip, proc, servers, worker
from rig.worker import Worker

__all__ = ["Plan", "Scene", "Window", "median", "prepared", "staged"]

SETTLE = 4.0
"""Seconds between the last join and a window: two GOPs, so that no join's burst is in it."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What all scenes of one benchmark share."""

    directory: Path
    clip: Path
    seconds: float
    server_cores: set[int] | None
    """None leaves placement to the scheduler."""
    load_cores: set[int] | None
    settings: tuple[str, ...]
    """Further "key=value" lines of livetrio's configuration."""
    read_every: float
    """Seconds between two looks of the crowd at its sockets, 0 to read at once."""


@contextlib.contextmanager
def prepared(
    *, seconds: float, server_core: int | None, settings: Sequence[str], read_every: float
) -> Iterator[Plan]:
    """Encode the clip into a directory that is gone afterwards.

    With `server_core` the server keeps to that core and the load to all others.
    """
    with TemporaryDirectory(prefix="livetrio-bench-") as name:
        directory = Path(name)
        file = directory / "clip.flv"
        clip.encode(file)
        on = None if server_core is None else {server_core}
        off = None if on is None else os.sched_getaffinity(0) - on
        yield Plan(directory, file, seconds, on, off, tuple(settings), read_every)


@dataclass(frozen=True, slots=True)
class Window:
    """What one window showed. Ratios are of one core, times seconds, memory bytes."""

    cpu: float
    """Seconds of CPU the server used in each second."""
    rss: float
    dirty: float
    delay_p50: float
    delay_p95: float
    delay_max: float
    """Of every video frame at every probe; 0 without probes."""
    delivered: float
    """Bytes the average player got, of the bytes published."""
    least: float
    """The same of the player that got least."""
    stalls: float
    lost: float
    longest_gap: float
    late: float
    """The worst lateness of a publisher: if it is not small, the delays say little."""
    crowd_cpu: float
    studio_cpu: float
    others_cpu: float
    """What strangers to this benchmark took meanwhile: it slows all, and not all alike."""

    @property
    def load_cpu(self) -> float:
        """What the load generator took."""
        return self.crowd_cpu + self.studio_cpu


def median(windows: Sequence[Window]) -> Window:
    """Return the window whose every field is the median of that field."""
    return Window(
        *(
            statistics.median(getattr(window, item.name) for window in windows)
            for item in fields(Window)
        )
    )


def _quantile(ordered: Sequence[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


@dataclass(slots=True)
class Scene:
    """A server on the air."""

    server: servers.Server
    plan: Plan
    studio: Worker
    crowd: Worker

    def probe(self, protocol: str, stream: str) -> None:
        """Add a player that measures delay; the first and the last in line differ the most."""
        self.studio.ask("probe", protocol=protocol, name=stream)

    def grow(self, protocol: str, streams: Sequence[str], players: int) -> None:
        """Bring the crowd to `players`, spread evenly over the streams."""
        self.crowd.ask("grow", protocol=protocol, streams=list(streams), to=players)

    def usage(self) -> proc.Usage:
        """Return what the server has used so far, and holds now."""
        return proc.usage(self.server.pid)

    def observe(self) -> Window:
        """Let things settle, then measure one window."""
        time.sleep(SETTLE)
        self.crowd.ask("begin")
        self.studio.ask("begin")
        start, busy, before = time.monotonic(), proc.busy(), self.usage()
        time.sleep(self.plan.seconds)
        after, busy = self.usage(), proc.busy() - busy
        seconds = time.monotonic() - start
        studio = self.studio.ask("end")
        crowd = self.crowd.ask("end")
        delays = sorted(studio["delays"])
        expected = studio["bytes"] or 1
        players = crowd["playing"] or 1
        ours = after.cpu - before.cpu + crowd["cpu"] + studio["cpu"]
        return Window(
            cpu=(after.cpu - before.cpu) / seconds,
            rss=after.rss,
            dirty=after.dirty,
            delay_p50=_quantile(delays, 0.5),
            delay_p95=_quantile(delays, 0.95),
            delay_max=_quantile(delays, 1.0),
            delivered=crowd["bytes"] / players / expected,
            least=crowd["least"] / expected,
            stalls=crowd["stalls"],
            lost=crowd["lost"],
            longest_gap=crowd["longest_gap"],
            late=studio["late"],
            crowd_cpu=crowd["cpu"] / seconds,
            studio_cpu=studio["cpu"] / seconds,
            others_cpu=max(0.0, busy - ours) / seconds,
        )


@contextlib.contextmanager
def staged(name: str, plan: Plan, streams: Sequence[str]) -> Iterator[Scene]:
    """Start a server, its studio publishing `streams`, and an empty crowd."""
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(TemporaryDirectory(prefix=name, dir=plan.directory)))
        # nginx's worker gives up root; its directory must be open to it.
        directory.chmod(0o755)
        server = stack.enter_context(
            servers.running(name, directory, cores=plan.server_cores, settings=plan.settings)
        )
        ports = [str(port) for port in server.address]
        cores = plan.load_cores
        studio = stack.enter_context(worker.worker("studio", *ports, str(plan.clip), cores=cores))
        crowd = stack.enter_context(
            worker.worker("crowd", *ports, str(plan.read_every), cores=cores)
        )
        studio.ask("publish", streams=list(streams))
        time.sleep(SETTLE)
        yield Scene(server, plan, studio, crowd)
