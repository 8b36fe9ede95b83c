"""Stage: one rendition that is being made, who holds it, and which one may go for another.

Encoders are few, and a request that has proved nothing starts one: an answer names its
parameters. So places are held by claims, and those that are pending are worth less.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

import trio

from livetrio.media.edition import Edition
from livetrio.packet import Kind

__all__ = ["Claim", "Stage", "dispensable"]

_GRACE: Final = 3.0
"""Seconds an address that has proved nothing keeps an encoder before it may exchange it."""


@dataclass(frozen=True, slots=True, eq=False)
class Claim:
    """Who wants a rendition. Anonymous requests start encoders, and are many: one that has
    proved nothing yet loses its encoder to another's."""

    peer: str = ""
    """Address, as `access.throttle.one_peer` gives it; "" for ourselves."""
    pending: Callable[[], bool] = lambda: False
    """Has it still to prove that it is there to watch?"""


@dataclass(eq=False)
class Stage:
    """One rendition that is being made."""

    kind: Kind
    name: str
    make: Callable[[Edition, Edition], Awaitable[None]]
    claims: set[Claim] = field(default_factory=set)
    begun: float = field(default_factory=trio.current_time)
    evicted: bool = False
    edition: Edition | None = None
    opened: trio.Event = field(default_factory=trio.Event)
    life: trio.CancelScope = field(default_factory=trio.CancelScope)
    """Its deadline is the end of the linger."""

    @contextmanager
    def used(self, claim: Claim, linger: float) -> Iterator[None]:
        self.claims.add(claim)
        self.life.deadline = float("inf")
        try:
            yield
        finally:
            self.claims.discard(claim)
            if not self.claims:
                self.life.deadline = trio.current_time() + linger

    @property
    def pending(self) -> bool:
        """Has nobody proved to be there for it?"""
        return all(claim.pending() for claim in self.claims)

    def pending_of(self, peer: str) -> bool:
        """Is it held by that address alone, which has proved nothing?"""
        holders = {claim.peer for claim in self.claims}
        return holders == {peer} and self.pending


def dispensable(stages: Sequence[Stage], peer: str) -> Stage | None:
    """Which one may go for what this address wants; None: all of them are needed.

    What only lingers goes first, then the oldest that nobody has connected for. Who holds such a
    one already makes room at its own cost, and not at once: requests without end from one
    address start an encoder now and then, and take none from anybody else.
    """
    free = [stage for stage in stages if not stage.life.cancel_called]
    idle = [stage for stage in free if not stage.claims]
    if idle:
        return idle[0]
    own = [stage for stage in free if stage.pending_of(peer)]
    if own:
        oldest = min(own, key=lambda stage: stage.begun)
        return oldest if trio.current_time() - oldest.begun >= _GRACE else None
    return min((s for s in free if s.pending), key=lambda stage: stage.begun, default=None)
