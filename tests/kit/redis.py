"""A real redis-server, alone on a free port of the loopback interface, keeping nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from kit.programs import Program, find, listening, running

__all__ = ["redis_server"]


@asynccontextmanager
async def redis_server(port: int, *, password: str = "") -> AsyncIterator[Program]:
    """Run it in the block; it answers when the block begins.

    The port is the caller's (`free_port()`), so that a server can come back where one was.
    """
    options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    if password:
        options += ["--requirepass", password]
    async with running(find("redis-server"), *options) as program:
        await listening(port, program)
        yield program
