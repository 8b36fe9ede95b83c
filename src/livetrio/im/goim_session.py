"""GoimSession: one goim client as the hub's member, and its answers that need no waiting."""

from __future__ import annotations

import math

from livetrio.errors import RemoteProtocolError
from livetrio.im.goim_views import GoimView
from livetrio.im.member import Member
from livetrio.im.words import Goodbye, Sender
from livetrio.net.connection import Connection
from livetrio.net.websocket import close_frame
from livetrio.wire.goim.frame import Frame, Operation
from livetrio.wire.goim.login import MAX_ACCEPTS, Dialect, Login, operations

__all__ = ["GoimSession"]

_MOVES_BURST, _MOVES_SPACE = 20, 0.5
"""Changes of room: so many at once; seconds between two of them for ever."""
_REPLIES = {
    Operation.SUBSCRIBE: Operation.SUBSCRIBE_REPLY,
    Operation.UNSUBSCRIBE: Operation.UNSUBSCRIBE_REPLY,
}


class GoimSession(Member):
    """Small on purpose: there may be hundreds of thousands that say a word every four minutes."""

    __slots__ = (
        "_connection",
        "_moves_until",
        "_websocket",
        "dialect",
        "expires",
        "room",
        "watched",
    )

    view: GoimView

    def __init__(
        self,
        id_: str,
        sender: Sender,
        view: GoimView,
        connection: Connection,
        login: Login,
        *,
        websocket: bool,
    ) -> None:
        super().__init__(id_, sender, view, connection.outbox)
        self._connection = connection
        self._websocket = websocket
        self._moves_until = 0.0
        self.dialect = login.dialect
        self.watched = login.accepts
        """Operations it accepts from pushes to keys, users and everybody."""
        self.expires = math.inf
        """Unix time at which its token ends: looked at when it beats."""
        self.room = ""
        """The channel of the one room it is in; "" is none."""

    def wants(self, op: int) -> bool:
        """goim's filter; v1 and Bilibili have none."""
        return self.dialect is not Dialect.GOIM or (op or Operation.SEND_MESSAGE_REPLY) in (
            self.watched
        )

    def on_goodbye(self, goodbye: Goodbye, reason: str) -> None:
        """goim has no word for it: the connection closes (a WebSocket with the code)."""
        if self._websocket:
            self.outbox.send(close_frame(goodbye.code, reason))
        self._connection.outbox.finish(f"{goodbye.reason}: {reason}")

    def on_removed(self, channel: str, code: int, reason: str) -> None:  # noqa: ARG002
        """Nor for this: it goes on without a room."""
        if channel == self.room:
            self.room = ""

    def close(self, reason: str) -> None:
        """End the connection without a word, when all that is queued has gone out."""
        self._connection.outbox.finish(reason)

    def may_move(self, now: float) -> bool:
        """Count a change of room (the generic cell rate algorithm: one number is enough)."""
        self._moves_until = max(self._moves_until, now) + _MOVES_SPACE
        return self._moves_until - now <= _MOVES_BURST * _MOVES_SPACE

    async def flushed(self) -> None:
        """Return when its replies have gone out (or it is gone)."""
        await self._connection.outbox.flushed()

    def say(self, frame: Frame) -> None:
        """Send a reply."""
        self.outbox.send(self.view.reply(frame))

    def answer(self, frame: Frame, online: int) -> None:
        """Answer anything but CHANGE_ROOM, as goim's `comet/operation.go` does: the version and
        the sequence are given back, and what has no meaning comes back without its body.

        Args:
            online: how many are in its room, for heartbeats.

        Raises:
            RemoteProtocolError: it wants to hear of more operations than there may be.
        """
        match frame.operation:
            case Operation.HEARTBEAT:
                body = b"" if self.view.name.startswith("goim-v1") else online.to_bytes(4, "big")
                self.say(Frame(frame.version, Operation.HEARTBEAT_REPLY, frame.sequence, body))
            case Operation.SUBSCRIBE | Operation.UNSUBSCRIBE:
                self._watch(frame)
                reply = _REPLIES[Operation(frame.operation)]
                self.say(Frame(frame.version, reply, frame.sequence, frame.body))
            case Operation.SEND_MESSAGE if self.dialect is Dialect.V1:  # v1 echoes it as a reply
                reply = Operation.SEND_MESSAGE_REPLY
                self.say(Frame(frame.version, reply, frame.sequence, frame.body))
            case operation:
                self.say(Frame(frame.version, operation, frame.sequence))

    def _watch(self, frame: Frame) -> None:
        named = operations(frame.body)
        if named is None:
            return  # goim ignores what it cannot read
        if frame.operation == Operation.UNSUBSCRIBE:
            self.watched = self.watched.difference(named)
        else:
            self.watched = self.watched.union(named)
        if len(self.watched) > MAX_ACCEPTS:
            raise RemoteProtocolError(f"goim: subscribes to more than {MAX_ACCEPTS} operations")
