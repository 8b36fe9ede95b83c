"""House: a server, its rooms, and everybody in them; and what one window of it showed."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

from rig import proc
from rig.room_stages import Kind, Stage, staged
from rig.rtc_sdp import Far, Near
from rig.worker import Worker, WorkerError, worker

__all__ = ["House", "Result", "Size", "house"]

_CONNECT: Final = 60.0
"""Seconds."""
_AT_ONCE: Final = 20
"""Listeners that join together."""
_DEEP: Final = 200
"""Listeners that decrypt what they get, at least half as many of more, spread over the line."""


class Size(NamedTuple):
    """Of one run."""

    rooms: int
    seats: int
    audience: int
    """Of each room, beside those with seats."""


class Result(NamedTuple):
    """One window."""

    cpu: float
    """Of a core."""
    rss: float
    """Bytes, all of it; what the server had before anybody came is not taken off."""
    waited: float
    """Of the time, for a core, all threads together."""
    per_second_in: float
    per_second_out: float
    load: dict[str, Any]
    """What the load saw."""


class House:
    """A server, its rooms, and everybody in them."""

    def __init__(self, stage: Stage, load: Worker, kind: Kind, size: Size) -> None:
        self.stage = stage
        self.load = load
        self._kind: Kind = kind
        self._size = size
        self._speakers = self._listeners = 0
        everybody = size.rooms * (size.seats + size.audience)
        self._stride = -(-everybody // _DEEP)

    def fill(self) -> None:
        """Open all rooms; everybody connects before anybody speaks, so that all servers let the
        same people in, however busy they are then."""
        size = self._size
        for room in range(size.rooms):
            self.stage.open(room)
            for seat in range(1, size.seats + 1):
                self.speak(room, seat)
            self._wait()
        if self.stage.needs_media:
            self._play()
        for room in range(size.rooms):
            places = [*range(1, size.seats + 1), *[0] * size.audience]
            for start in range(0, len(places), _AT_ONCE):
                for seat in places[start : start + _AT_ONCE]:
                    self.listen(room, seat)
                self._wait()
        self._play()

    def speak(self, room: int, seat: int) -> int:
        """Publish from a seat; the speaker's number."""
        made = self.load.ask("speakers", count=1, video=self._kind == "video")["made"][0]
        far = self.stage.publish(room, seat, Near(*made["near"]), made["video"], made["audio"])
        self.load.ask("connect", who="speakers", pairs=[(self._speakers, far)])
        self._speakers += 1
        return self._speakers - 1

    def listen(self, room: int, seat: int) -> None:
        """Receive all others of a room."""
        own = room * self._size.seats + seat - 1 if seat else -1
        count = self.stage.sessions(seat)
        deep = self._listeners % self._stride == 0
        made = self.load.ask("listeners", own=[own] * count, deep=deep)["made"]
        if not made:
            return
        fars: list[Far] = self.stage.receive(room, seat, [Near(*one["near"]) for one in made])
        self.load.ask("connect", who="listeners", pairs=list(enumerate(fars, self._listeners)))
        self._listeners += count

    def measure(self, seconds: float) -> Result:
        """One window."""
        pid = self.stage.pid
        before, waited, begun = proc.usage(pid), proc.waited(pid), time.monotonic()
        self.load.ask("begin")
        time.sleep(seconds)
        seen = self.load.ask("end")
        after, took = proc.usage(pid), time.monotonic() - begun
        self.stage.keep()
        return Result(
            cpu=(after.cpu - before.cpu) / took,
            rss=after.rss,
            waited=(proc.waited(pid) - waited) / took,
            per_second_in=seen["sent"] / seen["seconds"],
            per_second_out=seen["packets"] / seen["seconds"],
            load=seen,
        )

    def _play(self) -> None:
        self.load.ask("play", numbers=list(range(self._speakers)))

    def _wait(self) -> None:
        """Until everybody is connected."""
        deadline = time.monotonic() + _CONNECT
        while True:
            now = self.load.ask("connected")
            if now == {"speakers": self._speakers, "listeners": self._listeners}:
                return
            if time.monotonic() > deadline:
                raise WorkerError(f"connected are {now}, of {self._speakers}, {self._listeners}")
            time.sleep(0.02)


@contextmanager
def house(
    name: str,
    kind: Kind,
    size: Size,
    on: set[int] | None,
    settings: Sequence[str],
    read_ms: float = 0.0,
) -> Iterator[House]:
    """A server with rooms full of people, who look at their sockets every so often; 0: at once."""
    off = None if on is None else os.sched_getaffinity(0) - on
    with (
        staged(name, kind, size.seats, on, settings) as stage,
        worker("room_load", str(read_ms), cores=off) as load,
    ):
        yield House(stage, load, kind, size)
