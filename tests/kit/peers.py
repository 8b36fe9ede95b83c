"""Connections over real sockets, without a listener."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from livetrio.net.connection import Connection
from livetrio.net.outbox import OutboxLimits
from livetrio.net.scope import open_scope

__all__ = ["connected", "listening", "read_exactly"]


@asynccontextmanager
async def connected(
    *, limits: OutboxLimits | None = None, buffer: int = 4096
) -> AsyncIterator[tuple[Connection, socket.socket]]:
    """Our connection and the peer's plain socket, with small kernel buffers."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        for sock in (ours, theirs):
            sock.setblocking(False)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffer)
        async with open_scope("connection", "test") as scope:
            scope.sockets = 1
            yield Connection(ours, scope, limits or OutboxLimits(), "192.0.2.1", 4242), theirs


async def read_exactly(sock: socket.socket, size: int) -> bytes:
    """So many bytes from a peer's socket."""
    data = b""
    with trio.fail_after(10):
        while len(data) < size:
            await trio.lowlevel.wait_readable(sock)
            chunk = sock.recv(size - len(data))
            if not chunk:
                raise EOFError(f"ended after {len(data)} of {size} bytes")
            data += chunk
    return data


@asynccontextmanager
async def listening(listener, handler) -> AsyncIterator[int]:
    """A served listener; gives its port."""
    from livetrio.net.listen import serve_listener

    async with open_scope("server", "test") as scope:
        address = await scope.nursery.start(serve_listener, listener, handler)
        yield address.port
