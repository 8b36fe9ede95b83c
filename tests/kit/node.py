"""A whole livetrio inside the test's own process, on free ports of the loopback interface."""

from __future__ import annotations

import os
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, fields, is_dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import trio

from livetrio.app import Running, serve
from livetrio.config import (
    Address,
    AppConfig,
    Config,
    Endpoint,
    ListenConfig,
    StoreConfig,
    WebrtcConfig,
)

__all__ = ["FREE", "Traces", "node", "node_config", "patiently"]

FREE = Endpoint(address=Address("127.0.0.1", 0))


def node_config(folder: Path, **changes: Any) -> Config:
    """Everything on, nothing fixed; the app "live" takes plain names, "keyed" wants room keys.

    Args:
        folder: for `data_dir`.
        changes: fields of Config or of any of its slices, by their plain name (`play_wait=0.1`).
    """
    config = Config(
        listen=ListenConfig(
            **{place.name: FREE for place in fields(ListenConfig) if place.name != "rtmps"}
        ),
        webrtc=WebrtcConfig(address=FREE.address),
        apps={
            "live": AppConfig(name="live", auth="none"),
            "keyed": AppConfig(name="keyed"),
        },
        store=StoreConfig(data_dir=folder / "data"),
    )
    for place in fields(config):
        part = getattr(config, place.name)
        if is_dataclass(part) and not isinstance(part, type):
            mine = {f.name: changes.pop(f.name) for f in fields(part) if f.name in changes}
            config = replace(config, **{place.name: replace(part, **mine)})
    return replace(config, **changes)


@asynccontextmanager
async def node(**changes: Any) -> AsyncIterator[Running]:
    """Serve `node_config(**changes)` in the block; cancelled at its end."""
    with TemporaryDirectory() as folder:
        async with trio.open_nursery() as nursery:
            yield await nursery.start(serve, node_config(Path(folder), **changes))
            nursery.cancel_scope.cancel()


def patiently(clock: trio.testing.MockClock) -> None:
    """Let an autojump clock jump only when sockets have had their say: the loopback interface
    may deliver a moment after a send has returned."""
    clock.autojump_threshold = 0.02


@dataclass(frozen=True)
class Traces:
    """What a process holds: equal before and after, if nothing was left."""

    tasks: int
    files: tuple[str, ...]
    threads: frozenset[str]

    @classmethod
    def now(cls) -> Traces:
        # a worker thread that Trio keeps for the next use has this name; one at work another
        at_work = (t.name for t in threading.enumerate() if not t.name.startswith("Trio thread"))
        return cls(
            trio.lowlevel.current_statistics().tasks_living,
            tuple(sorted(_open_files())),
            frozenset(at_work),
        )


def _open_files() -> list[str]:
    """What the descriptors of this process lead to, without the numbers of sockets."""
    found = []
    for number in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{number}")
        except FileNotFoundError:  # the listing's own
            continue
        found.append(target.partition(":[")[0])
    return found
