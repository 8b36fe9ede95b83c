"""Member: one connection as the core sees it. Adapters subclass it (with `__slots__`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from livetrio.im.words import Goodbye, Sender, View
from livetrio.net.outbox import Block

if TYPE_CHECKING:
    from livetrio.im.channel import Channel

__all__ = ["Member", "Outlet"]


class Outlet(Protocol):
    """What the core needs of a `net.outbox.Outbox`."""

    @property
    def queued(self) -> int:
        """Bytes waiting because the peer does not take them."""
        ...

    def send(self, data: bytes) -> None:
        """Send what must not be lost. A plain call."""
        ...

    def send_block(self, block: Block) -> None:
        """The same for shared bytes; used while nothing waits."""
        ...


class Member:
    """One connection. Idle ones are many, so it is small: no task, no channel object of its own.

    Adapters override the `on_...` methods; each is a plain call out of the core's own work and
    must neither raise nor wait.
    """

    __slots__ = ("channels", "id", "lost", "outbox", "sender", "strict", "view")

    def __init__(
        self, id_: str, sender: Sender, view: View, outbox: Outlet, *, strict: bool = False
    ) -> None:
        """
        Args:
            id_: of the connection; unique in the hub (a second one with the same id replaces).
            sender: who it is; `sender.client` should be `id_`.
            view: what it is sent.
            outbox: where to.
            strict: it counts offsets (positioned, recoverable): where a publication would have
                to be left out for slowness, `on_gap` is called instead.
        """
        self.id = id_
        self.sender = sender
        self.view = view
        self.outbox = outbox
        self.strict = strict
        self.channels: tuple[Channel, ...] = ()
        """What it has joined; kept by the hub."""
        self.lost: dict[str, int] | None = None
        """By channel: publications left out since the last frame; kept by the hub."""

    def wants(self, op: int) -> bool:  # noqa: ARG002
        """Is this member to be sent direct messages and broadcasts of this (goim) operation?"""
        return True

    def on_goodbye(self, goodbye: Goodbye, reason: str) -> None:
        """The core ends this connection: tell the peer in its protocol and cancel its scope."""
        raise NotImplementedError

    def on_removed(self, channel: str, code: int, reason: str) -> None:
        """The core has taken this member out of a channel (a ban, an operator)."""

    def on_gap(self, channel: str) -> None:
        """A strict member is too slow and has been taken out of the channel, after a complete
        prefix: tell it that its position is not sufficient any more (it may recover)."""
