"""Real programs as scoped things: leaving the block ends the program and its children."""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import socket
import subprocess
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import trio

__all__ = [
    "Program", "ProgramError", "eventually", "find", "free_port", "free_ports", "listening", "run",
    "running",
]  # fmt: skip

KEPT_LINES = 2000
"""Output lines kept for waiting and for the report of a failure."""
SYSTEM_FOLDERS = "/usr/sbin:/usr/local/sbin"
"""nginx lives there; not on everybody's PATH."""


class ProgramError(AssertionError):
    """A program could not be found, failed, or did not say what was waited for."""


def find(name: str) -> str:
    """Absolute path of a program the e2e session installs; ProgramError names the session."""
    if path := shutil.which(name, path=f"{os.environ.get('PATH', '')}:{SYSTEM_FOLDERS}"):
        return path
    raise ProgramError(f"{name} is not on this machine; `nox -s e2e` installs what e2e needs")


def free_port() -> int:
    """A port of the loopback interface that nobody has, in TCP and UDP.

    Not one of the kernel's choice: between the choice and its use another program's outgoing
    connection may get the same. So one below those, at random, since other tests run too.
    """
    for _ in range(100):
        port = random.randrange(10_240, _first_ephemeral())
        with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
            with suppress(OSError):
                tcp.bind(("127.0.0.1", port))
                udp.bind(("127.0.0.1", port))
                return port
    raise ProgramError("no free port in a hundred tries")


def free_ports(count: int) -> list[int]:
    """So many different ones, for one program's listeners."""
    ports: set[int] = set()
    while len(ports) < count:
        ports.add(free_port())
    return list(ports)


def _first_ephemeral() -> int:
    range_ = Path("/proc/sys/net/ipv4/ip_local_port_range")
    return int(range_.read_text().split()[0]) if range_.exists() else 32_768


async def eventually(holds: Callable[[], object], *, deadline: float = 20) -> None:
    """Wait until something the world will not announce is so; trio.TooSlowError if it is not."""
    with trio.fail_after(deadline):
        while not holds():  # noqa: ASYNC110 - another process sets no trio.Event
            await trio.sleep(0.02)


async def listening(port: int, program: Program, *, deadline: float = 20) -> None:
    """Return once something accepts on this loopback port.

    Raises:
        ProgramError: `program`, who was to listen there, ended.
        trio.TooSlowError: after `deadline` seconds.
    """
    with trio.fail_after(deadline):
        while True:
            with suppress(OSError):
                stream = await trio.open_tcp_stream("127.0.0.1", port)
                await stream.aclose()
                return
            if program.ended:
                argv = program.process.args
                raise ProgramError(f"{argv!r} ended, nobody listens:\n{program.output}")
            await trio.sleep(0.05)


async def run(
    *argv: str,
    deadline: float = 60,
    env: Mapping[str, str] | None = None,
    cwd: str | os.PathLike[str] | None = None,
) -> str:
    """Run to the end and return standard output; ProgramError shows stderr of a failure.

    Whoever does not end in time is killed, with all it started.
    """
    with trio.move_on_after(deadline):
        done = await trio.run_process(
            argv, stdin=subprocess.DEVNULL, capture_stdout=True, capture_stderr=True,
            check=False, env=env, cwd=cwd, start_new_session=True, deliver_cancel=kill_group,
        )  # fmt: skip
        if done.returncode:
            raise ProgramError(f"{argv} exited {done.returncode}:\n{done.stderr.decode()[-4000:]}")
        return done.stdout.decode("utf-8", "replace")
    raise ProgramError(f"{argv} ran longer than {deadline} s")


async def kill_group(process: trio.Process) -> None:
    """Kill a process and its descendants, all in the session that was started with it."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


class Program:
    """A running program: its output lines (stdout and stderr together) and its end."""

    def __init__(self, process: trio.Process) -> None:
        self.process = process
        self.lines: deque[str] = deque(maxlen=KEPT_LINES)
        self._seen = 0  # lines ever read, those dropped from the deque included
        self._news = trio.Event()
        self.ended = False

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def output(self) -> str:
        """The last lines, for a failure's report."""
        return "\n".join(self.lines)

    async def line(self, pattern: str, *, deadline: float = 20) -> re.Match[str]:
        """Wait for a line that matches (lines already read count).

        Raises:
            ProgramError: the program ended, or `deadline` seconds passed, without such a line.
        """
        looked_at = 0
        with trio.move_on_after(deadline):
            while True:
                news = self._news
                unread = min(self._seen - looked_at, len(self.lines))
                for text in list(self.lines)[len(self.lines) - unread :]:
                    if found := re.search(pattern, text):
                        return found
                looked_at = self._seen
                if self.ended:
                    break
                await news.wait()
        how = "ended" if self.ended else f"ran {deadline} s"
        raise ProgramError(f"{self.process.args!r} {how} without {pattern!r}:\n{self.output}")

    async def wait(self, *, deadline: float = 60) -> int:
        """Wait for the end of the program and of its output; its exit code."""
        with trio.move_on_after(deadline):
            code = await self.process.wait()
            while not self.ended:
                await self._news.wait()
            return code
        raise ProgramError(f"{self.process.args!r} ran longer than {deadline} s:\n{self.output}")

    async def stop(self, *, grace: float = 5) -> int:
        """Terminate, and after `grace` seconds kill, the program and all it started."""
        with trio.CancelScope(shield=True):
            with suppress(ProcessLookupError):
                self.process.send_signal(signal.SIGTERM)
            with trio.move_on_after(grace):
                await self.process.wait()
            await kill_group(self.process)  # children of Chromium outlive a clean end
            return await self.process.wait()

    async def _read(self) -> None:
        assert self.process.stdout is not None
        rest = b""
        with suppress(trio.ClosedResourceError):
            async for data in self.process.stdout:
                # ffmpeg ends its progress lines with CR only
                *whole, rest = re.split(rb"[\r\n]+", rest + data)
                self._take(whole)
        self._take([rest] if rest else [])
        self.ended = True
        self._news.set()

    def _take(self, lines: list[bytes]) -> None:
        self.lines.extend(line.decode("utf-8", "replace") for line in lines)
        self._seen += len(lines)
        news, self._news = self._news, trio.Event()
        news.set()


@asynccontextmanager
async def running(
    *argv: str, env: Mapping[str, str] | None = None, cwd: str | os.PathLike[str] | None = None
) -> AsyncIterator[Program]:
    """Start a program in a process group of its own; leaving the block ends the whole group."""
    process = await trio.lowlevel.open_process(
        argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        env=env, cwd=cwd, start_new_session=True,
    )  # fmt: skip
    program = Program(process)
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(program._read)
            try:
                yield program
            finally:
                await program.stop()
                nursery.cancel_scope.cancel()  # a grandchild may still hold the pipe open
                assert process.stdout is not None
                with trio.CancelScope(shield=True):
                    await process.stdout.aclose()
    except BaseExceptionGroup as group:
        # the reader raises nothing: this is the block's own error, wanted as it was raised
        (error,) = group.exceptions
        raise error from None
