"""Members of the hub that live in the test: what they were sent is a list."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from livetrio.im.member import Member
from livetrio.im.words import Goodbye, Move, Publication, Sender
from livetrio.net.outbox import Block

__all__ = ["Crate", "LineView", "Listener"]


class LineView:
    """A wire format of JSON lines."""

    name = "lines"

    def __init__(self) -> None:
        self.batches = 0
        """Times a batch was encoded."""

    def batch(self, channel: str, publications: Sequence[Publication]) -> bytes:
        self.batches += 1
        return b"".join(
            _line(
                channel=channel,
                offset=p.offset,
                data=p.data.decode(),
                lane=int(p.lane),
                user=p.sender.user if p.sender else None,
            )
            for p in publications
        )

    def direct(self, publications: Sequence[Publication]) -> bytes:
        return b"".join(_line(direct=p.data.decode(), op=p.op) for p in publications)

    def lost(self, channel: str, count: int) -> bytes:
        return _line(channel=channel, lost=count)

    def moves(self, channel: str, moves: Sequence[Move]) -> bytes:
        return b"".join(_line(channel=channel, joined=m.joined, user=m.sender.user) for m in moves)


class Crate:
    """An outbox whose peer takes everything, until it is told to stall."""

    def __init__(self) -> None:
        self.taken = bytearray()
        self.waiting = bytearray()
        self.stalled = False
        self.writes = 0

    @property
    def queued(self) -> int:
        return len(self.waiting)

    def send(self, data: bytes) -> None:
        self.writes += 1
        (self.waiting if self.stalled else self.taken).extend(data)

    def send_block(self, block: Block) -> None:
        assert not self.waiting
        self.send(block.data)

    def resume(self) -> None:
        """The peer takes all that waits, and what comes."""
        self.stalled = False
        self.taken += self.waiting
        self.waiting.clear()


class Listener(Member):
    """A member that keeps what happened to it."""

    __slots__ = ("crate", "gaps", "goodbyes", "ops", "removed")

    def __init__(
        self,
        id_: str,
        user: str | None = None,
        *,
        view: LineView | None = None,
        strict: bool = False,
        device: str = "",
        ip: str = "",
        roles: Sequence[str] = (),
    ) -> None:
        self.crate = Crate()
        sender = Sender(id_ if user is None else user, id_, device, ip, frozenset(roles))
        super().__init__(id_, sender, view or _VIEW, self.crate, strict=strict)
        self.goodbyes: list[tuple[Goodbye, str]] = []
        self.removed: list[tuple[str, int, str]] = []
        self.gaps: list[str] = []
        self.ops: frozenset[int] | None = None

    def wants(self, op: int) -> bool:
        return self.ops is None or op in self.ops

    def on_goodbye(self, goodbye: Goodbye, reason: str) -> None:
        self.goodbyes.append((goodbye, reason))

    def on_removed(self, channel: str, code: int, reason: str) -> None:
        self.removed.append((channel, code, reason))

    def on_gap(self, channel: str) -> None:
        self.gaps.append(channel)

    @property
    def heard(self) -> list[dict[str, Any]]:
        """Everything that reached the peer, in order."""
        return [json.loads(line) for line in bytes(self.crate.taken).splitlines()]

    @property
    def said(self) -> list[str]:
        """The texts among it."""
        return [line["data"] for line in self.heard if "data" in line]

    @property
    def offsets(self) -> list[int]:
        return [line["offset"] for line in self.heard if line.get("offset")]


_VIEW = LineView()


def _line(**words: object) -> bytes:
    return json.dumps(words).encode() + b"\n"
