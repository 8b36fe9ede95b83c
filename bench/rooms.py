#!/usr/bin/env python3
"""Rooms: what seats and listeners cost, how late they hear and see, how fast a seat changes.

    python bench/rooms.py party     # 40 rooms of 4 at 300 kbit/s, everybody sees all others
    python bench/rooms.py voice     # 8 speakers, 1,000 listeners
    python bench/rooms.py change    # seat taken, camera on: seconds to the first picture

prints Markdown tables. Everybody is real: REST, WHIP and WHEP, ICE, DTLS, SRTP in both
directions; every frame bears the time at which it was sent.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator, Sequence
from statistics import median

from rig import options, report
from rig.room_house import Result, Size, house
from rig.room_stages import AUDIO_BRIDGE, ROOMS, STAGES, VIDEO_ROOM, Kind, LivetrioRooms, user
from rig.worker import Worker, WorkerError

SETTLE = 5.0
MUCH = 0.05
"""Of the time, that a server may wait for its core."""
COLUMNS = (
    "server", "rooms", "seats", "listeners", "CPU", "packets/s in", "out", "us per packet",
    "sound p50/p95/p99, ms", "picture", "lost", "RSS MB", "load's CPU",
)  # fmt: skip


def party(arguments: argparse.Namespace, on: set[int] | None) -> None:
    """Many rooms whose people all see and hear each other."""
    size = Size(arguments.rooms, arguments.seats, 0)
    smaller = Size(arguments.janus_rooms or arguments.rooms, arguments.seats, 0)
    sizes = dict.fromkeys(_wanted(arguments, STAGES[:2]), size)
    sizes |= dict.fromkeys(_wanted(arguments, (VIDEO_ROOM,)), smaller)
    title = "Co-host rooms: 300 kbit/s of video at 30 fps and Opus from every seat"
    _compare(title, "video", sizes, arguments, on)


def voice(arguments: argparse.Namespace, on: set[int] | None) -> None:
    """One room with an audience."""
    size = Size(1, arguments.speakers, arguments.listeners)
    smaller = size._replace(audience=arguments.janus_listeners)
    sizes = dict.fromkeys(_wanted(arguments, (ROOMS,)), size)
    sizes |= dict.fromkeys(_wanted(arguments, (VIDEO_ROOM, AUDIO_BRIDGE)), smaller)
    _compare("A voice room: Opus from every speaker", "voice", sizes, arguments, on)


def change(arguments: argparse.Namespace, on: set[int] | None) -> None:
    """Seats that change in a room of four, while the others watch."""
    times: dict[str, list[float]] = {}
    size = Size(1, 4, 0)
    with house(ROOMS, "video", size, on, arguments.settings) as rooms:
        rooms.fill()
        stage = rooms.stage
        assert isinstance(stage, LivetrioRooms)
        who, seat, speaker = user(0, 4), 4, 3
        time.sleep(SETTLE)
        for _ in range(arguments.changes):
            begun = rooms.load.ask("forget")["now"]
            stage.api.seat("room0", who, seat, "mute", medium="camera")
            time.sleep(1.0)
            last = max(_seen(rooms.load.ask("firsts", speaker=speaker)["lasts"]), default=begun)
            times.setdefault("camera off: to the last picture", []).append(max(0.0, last - begun))
            begun = rooms.load.ask("forget")["now"]
            stage.api.seat("room0", who, seat, "unmute", medium="camera")
            times.setdefault("camera on: to the first picture", []).extend(
                first - begun for first in _firsts(rooms.load, speaker, 3)
            )
            rooms.load.ask("stop", numbers=[speaker])
            stage.api.seat("room0", who, seat, "leave")
            time.sleep(0.5)
            begun = rooms.load.ask("forget")["now"]
            speaker = rooms.speak(0, seat)
            rooms.load.ask("play", numbers=[speaker])
            times.setdefault("seat taken, by WHIP: to the first picture", []).extend(
                first - begun for first in _firsts(rooms.load, speaker, 3)
            )
            print(times, file=sys.stderr)
    rows = [
        [what, str(len(found)), *map(report.milliseconds, (median(found), max(found)))]
        for what, found in times.items()
    ]
    how = "One room of four; from before the REST call to each of the three others."
    print(report.heading("Seats that change", how))
    print(report.table(("what", "times", "median, ms", "longest, ms"), rows))


def _seen(times: Sequence[float | None]) -> list[float]:
    return [each for each in times if each is not None]


def _firsts(load: Worker, speaker: int, count: int) -> list[float]:
    """When the first pictures of a speaker came to so many listeners."""
    deadline = time.monotonic() + 10
    while len(found := _seen(load.ask("firsts", speaker=speaker)["firsts"])) < count:
        if time.monotonic() > deadline:
            raise WorkerError(f"{len(found)} of {count} listeners saw speaker {speaker}")
        time.sleep(0.01)
    return found


def _compare(
    title: str,
    kind: Kind,
    sizes: dict[str, Size],
    arguments: argparse.Namespace,
    on: set[int] | None,
) -> None:
    results: dict[str, list[Result]] = {name: [] for name in sizes}
    for number in range(1, arguments.rounds + 1):
        for name, size in sizes.items():
            read_ms = arguments.read_ms
            with house(name, kind, size, on, arguments.settings, read_ms) as rooms:
                rooms.fill()
                time.sleep(SETTLE)
                result = rooms.measure(arguments.seconds)
            results[name].append(result)
            print(f"round {number}: {name}: {result}", file=sys.stderr)
    where = "on a core of its own" if on else "not pinned"
    how = f"Loopback; server {where}; medians of {arguments.rounds} rounds of"
    print(report.heading(title, f"{how} {arguments.seconds:g} s."))
    print(report.table(COLUMNS, [_row(n, sizes[n], found) for n, found in results.items()]))
    print(report.notes(_remarks(results)))


def _row(name: str, size: Size, results: list[Result]) -> list[str]:
    def middle(field: str) -> float:
        return median(getattr(result, field) for result in results)

    cpu, come, gone = middle("cpu"), middle("per_second_in"), middle("per_second_out")
    loads = [result.load for result in results]
    lost = sum(load["lost"] for load in loads)
    delays = [
        "/".join(f"{median(load[kind][at] for load in loads) * 1e3:.1f}" for at in range(3))
        if loads[0][kind][-1]
        else ""
        for kind in ("audio", "video")
    ]
    return [
        name, str(size.rooms), str(size.seats), str(size.rooms * (size.seats + size.audience)),
        report.percent(cpu), f"{come:,.0f}", f"{gone:,.0f}", f"{cpu / (come + gone) * 1e6:.1f}",
        *delays, f"{lost / sum(load['packets'] + lost for load in loads) * 100:.2f} %",
        f"{middle('rss') / 1e6:.0f}",
        report.percent(median(load["cpu"] / load["seconds"] for load in loads)),
    ]  # fmt: skip


def _remarks(results: dict[str, list[Result]]) -> Iterator[str]:
    for name, found in results.items():
        for result in found:
            load = result.load
            if result.waited > MUCH:
                yield f"{name}: its threads waited {result.waited:.0%} of the time for a core"
            if load["late"] > 0.05 or load["cpu"] > 0.9 * load["seconds"]:
                yield f"{name}: the load was up to {load['late'] * 1e3:.0f} ms late"
            if load["heard_themselves"]:
                yield f"{name}: {load['heard_themselves']} frames came back to who sent them"
            if load["failed"]:
                yield f"{name}: {load['failed']} packets could not be decrypted"
            if not load["fewest"]:
                yield f"{name}: somebody received nothing"


def _wanted(arguments: argparse.Namespace, names: Sequence[str]) -> list[str]:
    return [name for name in names if not arguments.only or name in arguments.only]


def main() -> None:
    """Run the benchmark and print its tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    add = parser.add_argument
    add("what", choices=("party", "voice", "change"))
    add("--rooms", type=int, default=40, help="party: how many")
    add("--seats", type=int, default=4, help="party: of each")
    add("--janus-rooms", type=int, default=0, help="party: Janus's; 0: as many")
    add("--speakers", type=int, default=8, help="voice")
    add("--listeners", type=int, default=1_000, help="voice: beside the speakers")
    add("--janus-listeners", type=int, default=100, help="voice: one core cannot mix for many more")
    add("--changes", type=int, default=5, help="change: how often")
    add("--only", action="append", choices=STAGES, help="these servers")
    add("--seconds", type=float, default=10.0, help="length of one window")
    add("--rounds", type=int, default=2, help="how often each server gets its turn")
    add("--set", action="append", default=[], metavar="KEY=VALUE", dest="settings",
        help="a further line of livetrio's configuration")  # fmt: skip
    add(
        "--read-ms",
        type=float,
        default=0.0,
        help="how often listeners look at their sockets, as if a network away; 0: at once",
    )
    add("--no-pin", action="store_true", help="do not give the server a core of its own")
    arguments = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    on = None if arguments.no_pin or len(cores) < 2 else {cores[0]}
    {"party": party, "voice": voice, "change": change}[arguments.what](arguments, on)


if __name__ == "__main__":
    sys.exit(options.run(main))
