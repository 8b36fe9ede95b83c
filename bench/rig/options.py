"""The command line that all benchmarks share."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TypeVar

from rig import scene
from rig.scene import Plan
from rig.servers import LIVETRIO, RIVALS, ServerError
from rig.worker import WorkerError

__all__ = ["comma_separated", "conditions", "parser", "prepared", "run", "servers"]

T = TypeVar("T")


def comma_separated(kind: Callable[[str], T]) -> Callable[[str], list[T]]:
    """Return an argparse type for "a,b,c"."""

    def parse(text: str) -> list[T]:
        return [kind(part) for part in text.split(",") if part]

    return parse


def _seconds(text: str) -> float:
    seconds = float(text)
    # nginx-rtmp pings every three minutes and the crowd, which reads nothing, would not answer.
    if not 1 <= seconds <= 120:
        raise argparse.ArgumentTypeError("between 1 and 120 seconds")
    return seconds


def parser(description: str) -> argparse.ArgumentParser:
    """Return a parser with the options every benchmark has."""
    result = argparse.ArgumentParser(
        description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    add = result.add_argument
    add("--seconds", type=_seconds, default=10.0, help="length of one window")
    add("--rounds", type=int, default=2, help="how often each server gets its turn (A-B-A-B)")
    add("--rival", choices=(*RIVALS, "none"), default=RIVALS[0], help="who runs beside livetrio")
    add("--only", choices=(LIVETRIO, *RIVALS), help="run one server alone")
    add("--set", action="append", default=[], metavar="KEY=VALUE", dest="settings",
        help="a further line of livetrio's configuration, e.g. merge_window=100")  # fmt: skip
    add("--read-ms", type=float, default=0.0,
        help="players look for data so often; 0: at once, 40: as if a network away")  # fmt: skip
    add("--no-pin", action="store_true",
        help="do not give the server a core of its own")  # fmt: skip
    return result


def servers(options: argparse.Namespace) -> list[str]:
    """Return the servers to run, in the order of one round."""
    if options.only:
        return [options.only]
    return [LIVETRIO] + ([] if options.rival == "none" else [options.rival])


def prepared(options: argparse.Namespace) -> AbstractContextManager[Plan]:
    """Return the plan the options ask for, with its clip encoded."""
    return scene.prepared(
        seconds=options.seconds,
        server_core=_server_core(options),
        settings=options.settings,
        read_every=options.read_ms / 1000,
    )


def conditions(options: argparse.Namespace) -> str:
    """Return one sentence on how the numbers were got."""
    core = _server_core(options)
    parts = [
        "Loopback",
        "not pinned" if core is None else f"server on core {core}, load on the others",
        "players read at once"
        if not options.read_ms
        else f"players read every {options.read_ms:g} ms",
        f"medians of {options.rounds} rounds of {options.seconds:g} s",
    ]
    if options.settings:
        parts.append(f"livetrio with {', '.join(options.settings)}")
    return "; ".join(parts) + "."


def run(main: Callable[[], None]) -> int:
    """Run a benchmark; return its exit status, with one clear line where it could not be done."""
    # As Ctrl-C does, a polite kill takes the servers, the load and the clip along.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    try:
        main()
    except (ServerError, WorkerError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _server_core(options: argparse.Namespace) -> int | None:
    """Return the core the server is pinned to, None for no pinning."""
    cores = sorted(os.sched_getaffinity(0))
    return None if options.no_pin or len(cores) < 2 else cores[0]
