"""Serve a Quart application on a listener of ours: hypercorn speaks HTTP, `net` has the sockets.

hypercorn's own Trio server sends inside a shielded scope without a deadline, so that one client
which stops reading makes the whole program uncancellable. Here its protocol objects (bytes <->
ASGI) run in the connection that `net.listen` guards: caps, PROXY headers, certificates that
reload and slow-reader limits are those of all other ports, the connection is in the nursery
tree, and cancelling ends it at once. Refused: `TCP_USER_TIMEOUT` on hypercorn's sockets, which
only bounds how long the shutdown hangs, and cuts slow but honest clients off.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config
from hypercorn.events import Closed, Event, RawData, Updated
from hypercorn.protocol import ProtocolWrapper
from hypercorn.trio.task_group import TaskGroup
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ConnectionState
from quart_trio import QuartTrio

from livetrio.net.connection import Connection
from livetrio.net.listen import Address, Listener, serve_listener

__all__ = ["serve_app"]

_IDLE = 15.0
"""Seconds a connection may wait for a request (or finish sending its head)."""
_PING_INTERVAL = 20.0
"""Seconds between pings on WebSockets: what does not answer is closed by TCP in the end."""
_MAX_HEAD = 16 << 10
_MAX_MESSAGE = 4 << 10
"""Bytes of a WebSocket message; nothing on these ports listens to long ones."""


async def serve_app(
    app: QuartTrio,
    listener: Listener,
    *,
    task_status: trio.TaskStatus[Address] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve until cancelled; started() gives the bound address.

    Cancelling closes the listener and every connection at once, whatever their peers do. After
    `listener.accepting` was cancelled it returns with the end of the last connection.
    """
    await serve_listener(listener, _Shell(app, _hypercorn_config()), task_status=task_status)


def _hypercorn_config() -> Config:
    config = Config()
    config.accesslog = None
    config.errorlog = logging.getLogger("hypercorn.error")  # ends in our own handler
    config.include_server_header = False
    config.h11_max_incomplete_size = _MAX_HEAD
    config.websocket_max_message_size = _MAX_MESSAGE
    config.websocket_ping_interval = _PING_INTERVAL
    return config


@dataclass(frozen=True)
class _Shell:
    """A `net.listen` handler: call it with a connection."""

    app: QuartTrio
    config: Config

    async def __call__(self, connection: Connection) -> None:
        with trio.CancelScope() as everything:
            async with TaskGroup() as group:
                await _Conversation(self, connection, group).run()
                # Whoever still works on an answer works for nobody: Quart would cancel it too.
                everything.cancel()


class _Conversation:
    """One connection: bytes in, bytes out, and the clock on its silence."""

    def __init__(self, shell: _Shell, connection: Connection, group: TaskGroup) -> None:
        self._connection = connection
        self._done = trio.CancelScope()
        self._silence = trio.CancelScope()
        self._protocol = ProtocolWrapper(
            ASGIWrapper(shell.app),
            shell.config,
            WorkerContext(None),
            group,
            ConnectionState({}),
            connection.is_tls,
            (connection.peer, connection.port),
            None,
            self._send,
        )

    async def run(self) -> None:
        """Until either side has closed."""
        with self._done:
            self._set_idle(True)
            with self._silence:
                await self._read()
            # Handlers learn that their peer has gone, and end by themselves.
            await self._protocol.handle(Closed())

    async def _read(self) -> None:
        while True:
            try:
                data = await self._connection.receive()
            except trio.BrokenResourceError:
                return
            await self._protocol.handle(RawData(data))
            if not data:
                return

    async def _send(self, event: Event) -> None:
        match event:
            case RawData(data=data):
                self._connection.outbox.send(data)
                # Not shielded, and the outbox gives a peer up that takes nothing.
                await self._connection.outbox.flushed()
            case Closed():
                self._done.cancel()
            case Updated(idle=idle):
                self._set_idle(idle)

    def _set_idle(self, idle: bool) -> None:
        self._silence.deadline = trio.current_time() + _IDLE if idle else float("inf")
