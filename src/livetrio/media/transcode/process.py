"""The server's side of a worker: a process with two pipes that is gone with its block."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Final

import trio

from livetrio.media.transcode.pipe import Message, Unpacker, pack

__all__ = ["VIDEO_WORKER", "Worker", "open_worker"]

_STALL: Final = 10.0
"""Seconds in which a worker must take a frame: it hangs otherwise."""
_READ: Final = 256 << 10
VIDEO_WORKER: Final = "livetrio.media.transcode.worker"
"""The module that makes H.264 of one track; its argument: bits per second."""


class Worker:
    """Made by `open_worker`. One task sends, another receives."""

    def __init__(self, process: trio.Process) -> None:
        self._process = process
        self._unpacker = Unpacker()

    @property
    def pid(self) -> int:
        return self._process.pid

    async def send(self, messages: list[Message]) -> bool:
        """Hand messages over, waiting while the worker is busy; False: it is no more."""
        assert self._process.stdin is not None
        with trio.move_on_after(_STALL):
            try:
                await self._process.stdin.send_all(b"".join(map(pack, messages)))
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return False
            return True
        self._process.kill()
        return False

    async def finish(self) -> None:
        """There will be no more; the worker sends what it has left and ends."""
        assert self._process.stdin is not None
        await self._process.stdin.aclose()

    async def receive(self) -> list[Message] | None:
        """What came next, possibly nothing whole; None at the worker's end.

        Raises:
            RemoteProtocolError: it talks nonsense.
        """
        assert self._process.stdout is not None
        data = await self._process.stdout.receive_some(_READ)
        return self._unpacker.feed(data) if data else None

    async def ended(self) -> int:
        """Its exit status, negative for a signal, once it is gone."""
        with trio.move_on_after(_STALL):
            return await self._process.wait()
        self._process.kill()
        return await self._process.wait()


@asynccontextmanager
async def open_worker(module: str, *arguments: str) -> AsyncIterator[Worker]:
    """Start a worker; leaving the block kills it.

    Args:
        module: what it runs.
        arguments: for its command line, which every user of the machine can read.
    """
    # -P: a file called `av.py` in the current folder is not ours.
    command = [sys.executable, "-P", "-m", module, *arguments]
    run = partial(
        trio.run_process,
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        check=False,
        deliver_cancel=_kill,
    )
    async with trio.open_nursery() as nursery:
        process: trio.Process = await nursery.start(run)
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            async with process.stdin, process.stdout:
                yield Worker(process)
        finally:
            nursery.cancel_scope.cancel()


async def _kill(process: trio.Process) -> None:
    process.kill()
