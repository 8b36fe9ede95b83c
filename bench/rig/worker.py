"""How the benchmark speaks to its studio and crowd: one JSON object a line, each one answered."""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

__all__ = ["Answer", "Worker", "WorkerError", "listen", "pinned", "worker"]

Answer = dict[str, Any]
BENCH = Path(__file__).resolve().parent.parent


class WorkerError(Exception):
    """A worker ended, failed, or did not answer in time; the message says which."""


@contextlib.contextmanager
def pinned(cores: set[int] | None) -> Iterator[None]:
    """Let what is started inside inherit an affinity; None leaves it to the scheduler."""
    before = os.sched_getaffinity(0)
    if cores:
        os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


class Worker:
    """The benchmark's side of one worker process."""

    def __init__(self, name: str, process: subprocess.Popen[bytes]) -> None:
        self.name = name
        self.pid = process.pid
        self._process = process

    def ask(self, do: str, *, timeout: float = 120.0, **arguments: object) -> Answer:
        """Send one request and return its answer; raise WorkerError when none comes."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        try:
            stdin.write(json.dumps({"do": do, **arguments}).encode() + b"\n")
            stdin.flush()
        except BrokenPipeError as error:
            raise WorkerError(f"the {self.name} has ended") from error
        if not select.select([stdout], [], [], timeout)[0]:
            raise WorkerError(f"the {self.name} did not answer {do!r} in {timeout:.0f} s")
        line = stdout.readline()
        if not line:
            raise WorkerError(f"the {self.name} ended during {do!r}")
        answer: Answer = json.loads(line)
        if "error" in answer:
            raise WorkerError(f"the {self.name}: {answer['error']}")
        return answer


@contextlib.contextmanager
def worker(module: str, *arguments: str, cores: set[int] | None) -> Iterator[Worker]:
    """Run `rig.{module}` as a process of its own; it is gone when the block is left."""
    with contextlib.ExitStack() as stack:
        # A worker that ended early has said so already; closing its pipe must not say it again.
        stack.enter_context(contextlib.suppress(BrokenPipeError))
        with pinned(cores):
            process = subprocess.Popen(
                [sys.executable, "-m", f"rig.{module}", *arguments],
                cwd=BENCH,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )
        stack.enter_context(process)
        stack.callback(process.kill)
        yield Worker(module, process)


def listen(handle: Callable[[str, Answer], Answer]) -> bool:
    """In a worker: answer the requests that stdin holds; return False when the asker is gone.

    Called when stdin is readable. Requests are answered before the next one is sent, so one
    read never holds half a line.
    """
    line = os.read(0, 1 << 20)
    if not line:
        return False
    request = json.loads(line)
    answer = handle(request.pop("do"), request)
    os.write(1, json.dumps(answer).encode() + b"\n")
    return True
