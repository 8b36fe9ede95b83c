"""Plan: runs in the order to send them, with those who get each, and the sending itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Final, Protocol

import trio

from livetrio.net.guard import guarded
from livetrio.webrtc.datagrams import blame
from livetrio.webrtc.run import Run

if TYPE_CHECKING:
    from livetrio.webrtc.peer import Peer
    from livetrio.webrtc.viewer import Viewer

__all__ = ["PACKETS_PER_HOLD", "Plan", "nowhere", "serve", "serve_many", "weight"]

PACKETS_PER_HOLD: Final = 400
"""Packets sent between two checkpoints: about 2 ms; a busy machine makes it 4."""

Plan = list[tuple[Run, list["Viewer"]]]
"""Runs in the order to send them, with those who get each."""


class Receiver(Protocol):
    """Who is sent runs."""

    peer: Peer
    send: Callable[[Run], object]


def nowhere(run: Run) -> None:
    """Where runs of a plan go whose receiver has left meanwhile."""


def weight(plan: Plan) -> int:
    """Packets to send."""
    return sum([len(run.packets) * len(viewers) for run, viewers in plan])


def serve(run: Run, turns: Iterator[Receiver], budget: int) -> int:
    """One run to each; whoever that fails for is ended, and those behind it get theirs.

    Args:
        run: what is sent.
        turns: to whom; left where the budget ends.
        budget: packets until others should have a turn.

    Returns:
        What is left of the budget; 0 or less: there may be more to do.
    """
    cost = len(run.packets)
    viewer: Receiver | None = None

    def fault(error: BaseException) -> None:
        if viewer is not None:
            blame(viewer.peer, error)

    while True:
        with guarded(fault):  # one guard for all: it goes on where it was left
            for viewer in turns:
                viewer.send(run)
                budget -= cost
                if budget <= 0:
                    return budget
            return budget


async def serve_many(run: Run, viewers: Iterable[Receiver], budget: int) -> int:
    """As `serve`, with a checkpoint whenever the budget is used up; what is left of it."""
    turns = iter(viewers)
    while (budget := serve(run, turns, budget)) <= 0:
        await trio.lowlevel.checkpoint()
        budget = PACKETS_PER_HOLD
    return budget
