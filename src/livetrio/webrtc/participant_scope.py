"""The scope that everything of one participant lives in."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from livetrio.net.guard import guarded
from livetrio.net.scope import Scope, open_scope

__all__ = ["participant_scope"]


@asynccontextmanager
async def participant_scope(name: str) -> AsyncIterator[Scope]:
    """A scope whose errors leave it as they are, in no group: the block's own are the caller's."""
    faults: list[BaseException] = []
    with guarded(faults.append):
        async with open_scope("participant", name) as scope:
            yield scope
    if len(faults) == 1:
        raise faults[0]
    if faults:
        raise BaseExceptionGroup(f"participant {name}", faults)
