"""Debian's Coturn with the project's own configuration, on free loopback ports."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from kit.programs import Program, free_port, listening, running

__all__ = ["CONFIGURATION", "SECRET", "configuration", "turnserver"]

CONFIGURATION = Path(__file__).parents[2] / "turn" / "coturn.conf"
SECRET = "a secret of these tests"


def configuration(folder: Path, port: int, **changes: str) -> Path:
    """turn/coturn.conf as an operator would fill it in, for loopback.

    Args:
        folder: where to write it.
        port: to listen on.
        changes: options by name, "_" for "-"; "" leaves the option out.
    """
    text = CONFIGURATION.read_text("utf-8")
    changes = {
        "listening-port": str(port),
        "static-auth-secret": SECRET,
        "cert": "",
        "pkey": "",
        "tls-listening-port": "",
        "pidfile": str(folder / "turnserver.pid"),
    } | {name.replace("_", "-"): value for name, value in changes.items()}
    for name, value in changes.items():
        line = f"{name}={value}" if value else f"#{name}"
        text, count = re.subn(rf"(?m)^#?{name}(=.*)?$", line, text)
        if not count:
            text += f"\n{line}\n"
    path = folder / "turnserver.conf"
    path.write_text(text + "\nno-tls\nno-dtls\n", "utf-8")
    return path


@asynccontextmanager
async def turnserver(folder: Path, **changes: str) -> AsyncIterator[tuple[int, Program]]:
    """Serve in the block; gives its port."""
    port = free_port()
    path = configuration(folder, port, **changes)
    argv = ["turnserver", "-c", str(path), "-L", "127.0.0.1", "-L", "::1"]
    argv += ["-E", "127.0.0.1", "-E", "::1", "--userdb", str(folder / "turn.db")]
    async with running(*argv) as program:
        await listening(port, program)
        await program.line("SQLite DB connection success")  # UDP is bound after TCP, before this
        yield port, program
