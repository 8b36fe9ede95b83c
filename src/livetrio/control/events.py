"""/v1/events: what happens to streams, clients and relays, as JSON text frames of a WebSocket."""

from __future__ import annotations

import json
from dataclasses import asdict

import trio
from quart import websocket

from livetrio.control.context import ControlContext
from livetrio.control.table import Answer, Operation
from livetrio.media.events import Events

__all__ = ["EventsApi"]

_MOST_CHATTER = 100
"""Messages a listener may send; it has nothing to say."""


class EventsApi:
    """The handler of the one WebSocket on the operator's port."""

    def __init__(self, context: ControlContext) -> None:
        self._events: Events = context.registry.events

    def operations(self) -> list[Operation]:
        """For the table."""
        return [
            Operation(
                "/v1/events",
                ("GET",),
                "Events, as they happen (WebSocket)",
                self.listen,
                "v1",
                {101: Answer('text frames: {"type", "at" (Unix seconds), "data"}')},
                "Types: stream.*, client.*, relay.*; `events.lost` tells a listener that reads too "
                "slowly how many it missed. Browsers give their token as ?jwt=.",
                websocket=True,
            )
        ]

    async def listen(self) -> None:
        """WS /v1/events"""
        with self._events.listen() as events:
            await websocket.accept()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._hear, nursery.cancel_scope)
                async for event in events:
                    # A reader that stalls is ended by its connection's outbox.
                    await websocket.send(json.dumps(asdict(event), ensure_ascii=False))
        await websocket.close(1008, "a listener has nothing to say")

    async def _hear(self, finished: trio.CancelScope) -> None:
        """Read, so that the peer's close is seen behind what it said before."""
        for _ in range(_MOST_CHATTER):
            await websocket.receive()
        finished.cancel()
