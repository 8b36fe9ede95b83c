"""CPU and memory of a server, all its processes and threads, as the kernel counts them."""

from __future__ import annotations

import os
import platform
import time
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

__all__ = ["Usage", "busy", "machine", "usage", "waited"]

_PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Usage:
    """What a process tree has used so far, and holds now."""

    cpu: float
    """Seconds on a core, user and system. Loopback's receiving half runs in the sender's call
    and is in it, unless the kernel was built with IRQ_TIME_ACCOUNTING."""
    rss: int
    """Bytes resident, shared pages counted in each process."""
    dirty: int
    """Bytes resident that are its own and written to; unlike PSS, this does not change with what
    other processes happen to map."""


def _tree(pid: int) -> list[int]:
    """Return the process and all below it (nginx works in a child of its master)."""
    pids = [pid]
    for task in (_PROC / str(pid) / "task").iterdir():
        for child in (task / "children").read_text().split():
            pids += _tree(int(child))
    return pids


def _cpu_ns(pid: int) -> int:
    """Return the exact run time of all threads: schedstat's first field, not clock ticks."""
    tasks = (_PROC / str(pid) / "task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks)


def _rollup(pid: int) -> dict[str, int]:
    lines = (_PROC / str(pid) / "smaps_rollup").read_text().splitlines()[1:]
    return {name: int(rest.split()[0]) * 1024 for name, rest in (s.split(":") for s in lines)}


def usage(pid: int) -> Usage:
    """Read the usage of a process and all below it."""
    pids = _tree(pid)
    memory = [_rollup(each) for each in pids]
    return Usage(
        cpu=sum(map(_cpu_ns, pids)) / 1e9,
        rss=sum(each["Rss"] for each in memory),
        dirty=sum(each["Private_Dirty"] for each in memory),
    )


def waited(pid: int) -> float:
    """Return the seconds for which threads of the process could have run, had its cores been free.
    Processes below it are not counted."""
    tasks = (_PROC / str(pid) / "task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[1]) for task in tasks) / 1e9


def busy() -> float:
    """Return the seconds on cores that the whole machine has used so far."""
    fields = (_PROC / "stat").read_text().splitlines()[0].split()[1:]
    user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, fields[:8])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def machine() -> str:
    """Return one line that says what the numbers were measured on."""
    names = [
        line.partition(":")[2].strip()
        for line in (_PROC / "cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    model = names[0] if names else platform.machine()
    return (
        f"{model}, {os.cpu_count()} cores, Linux {platform.release()}, "
        f"Python {platform.python_version()}, Trio {version('trio')}, "
        f"{time.strftime('%Y-%m-%d')}"
    )
