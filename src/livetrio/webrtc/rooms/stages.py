"""Stages: the composed stream of a room and those of its seats, made while somebody wants them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial

import trio

from livetrio.errors import RefusalCode, Refused
from livetrio.logs import get_logger
from livetrio.media.mix.options import MixOptions
from livetrio.media.mix.scene import Scene, Stage
from livetrio.media.registry import Registry
from livetrio.net.guard import guarded
from livetrio.net.scope import Scope, open_scope
from livetrio.packet import StreamKey

__all__ = ["Compose", "Stages"]

log = get_logger(__name__)

Compose = Callable[[Registry, StreamKey, Stage, MixOptions], Awaitable[None]]
"""Publish a composed stream until nobody needs it (`media.mix.composer.compose`)."""


@dataclass(slots=True, eq=False)
class _Running:
    """One that is being made."""

    stage: Stage
    wanted: bool = True
    """Has somebody asked for it since it was last begun?"""
    scope: Scope | None = field(default=None)


class Stages:
    """Of one room. All calls are plain."""

    def __init__(
        self,
        registry: Registry,
        scope: Scope,
        options: MixOptions,
        compose: Compose,
        scene: Callable[[int], Scene],
        processes: trio.CapacityLimiter,
    ) -> None:
        """
        Args:
            registry: where the streams are wanted, and published.
            scope: the room's.
            options: of all of them.
            compose: what makes one.
            scene: what is on a stage now: 0 is the whole room, n the room without seat n.
            processes: of all rooms of the node; each stream that is made takes one.
        """
        self._registry = registry
        self._scope = scope
        self._options = options
        self._compose = compose
        self._scene = scene
        self._processes = processes
        self._keys: dict[int, StreamKey] = {}
        """Those that are offered."""
        self._running: dict[int, _Running] = {}

    def __len__(self) -> int:
        """How many are being made, each by a process of its own."""
        return len(self._running)

    @contextmanager
    def offered(self, keys: Mapping[int, StreamKey]) -> Iterator[None]:
        """While in the block, whoever wants one of these streams gets it."""
        with ExitStack() as stack:
            for number, key in keys.items():
                start = partial(self.start, number, key)
                stack.enter_context(self._registry.on_demand(key, start))
            self._keys.update(keys)
            stack.callback(self._keys.clear)
            yield

    def start(self, number: int, key: StreamKey) -> None:
        """Make it, if that has not begun. A process is for a room with somebody in it, if only
        for the one seat a mix-minus leaves out; one that is left by all goes on while watched.

        Raises:
            Refused: NOT_FOUND, nobody is here; UNAVAILABLE, there are too many.
        """
        running = self._running.get(number)
        if running is not None:
            running.wanted = True
        elif not self._scope.nursery.cancel_scope.cancel_called:
            if not self._scene(0).parts:
                raise Refused(RefusalCode.NOT_FOUND, "nobody is in the room")
            running = _Running(Stage(self._scene(number)))
            try:
                self._processes.acquire_on_behalf_of_nowait(running)
            except trio.WouldBlock:
                raise Refused(
                    RefusalCode.UNAVAILABLE,
                    "too many streams are being composed",
                    hint="rooms.mix.max",
                ) from None
            self._running[number] = running
            run = partial(self._run, number, key, running)
            self._scope.nursery.start_soon(run, name=f"composed {key}")

    def show(self) -> None:
        """The room has changed; those who waited for the first seat get what they wait for."""
        for number, running in self._running.items():
            running.stage.show(self._scene(number))
        for number, key in self._keys.items():
            if number not in self._running and self._registry.awaited(key):
                with suppress(Refused):  # they wait on, until the room changes again
                    self.start(number, key)

    def end(self, number: int, reason: str) -> None:
        """Stop making one, if it is made."""
        running = self._running.get(number)
        if running is not None and running.scope is not None:
            running.wanted = False
            running.scope.cancel(reason)

    async def _run(self, number: int, key: StreamKey, running: _Running) -> None:
        faults: list[BaseException] = []
        try:
            with guarded(faults.append):
                async with open_scope("stage", str(key), parent=self._scope) as running.scope:
                    while running.wanted:
                        running.wanted = False
                        running.stage.show(self._scene(number))
                        await self._compose(self._registry, key, running.stage, self._options)
        finally:
            del self._running[number]
            self._processes.release_on_behalf_of(running)
            if running.wanted:  # by somebody who came while it ended
                with suppress(Refused):
                    self.start(number, key)
        for fault in faults:
            reason = fault.reason if isinstance(fault, Refused) else repr(fault)
            log.error("a composed stream failed", stream=str(key), reason=reason)
