"""ICE over TCP, passive (RFC 6544): for peers whose network lets no UDP out.

Same port number, same checks; datagrams in RFC 4571 frames. A connection belongs to nobody until
a check on it has proven whose it is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Literal

import trio

from livetrio.errors import RemoteProtocolError
from livetrio.net.connection import Connection
from livetrio.net.outbox import Block, OutboxLimits
from livetrio.webrtc.datagrams import MAX_DATAGRAM
from livetrio.webrtc.paths import shown
from livetrio.wire.rfc4571 import FrameReader, frame, frame_all

if TYPE_CHECKING:
    from livetrio.webrtc.ice import Challenge
    from livetrio.webrtc.peer import Peer

__all__ = ["ICE_TCP_LIMITS", "TcpPath", "serve_ice_tcp"]

ICE_TCP_LIMITS: Final = OutboxLimits(lag=0.5, size=1 << 20, stall=10.0)
"""Half a second behind is the end of real time: then everything but the newest run is dropped."""

Handler = Callable[["TcpPath", bytes], bool]
"""Takes a datagram; True: that was dear, let others have a turn."""


class TcpPath:
    """One accepted connection."""

    __slots__ = ("_connection", "challenge", "heard", "peer", "proven")

    protocol: Literal["tcp"] = "tcp"

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.peer: Peer | None = None
        self.heard = 0.0
        self.proven = True  # by TCP's own handshake
        self.challenge: Challenge | None = None

    @property
    def address(self) -> str:
        return shown(*self.source)

    @property
    def source(self) -> tuple[str, int]:
        return self._connection.peer.partition("%")[0], self._connection.port

    def send(self, datagram: bytes) -> bool:
        self._connection.outbox.send(frame(datagram))
        return True

    def send_run(self, view: memoryview, segment: int) -> int:
        """Queue a run, whole; on a full connection what waits makes room for it."""
        # key_at 0: a viewer may go on at any run, NACK and key frame requests do the rest.
        outbox = self._connection.outbox
        jumps = outbox.jumps
        outbox.send_block(Block(frame_all(view, segment), 0, b"", trio.current_time()))
        return 0 if outbox.jumps > jumps else -(-len(view) // segment)

    def close(self, reason: str) -> None:
        self._connection.outbox.finish(reason)


async def serve_ice_tcp(connection: Connection, handler: Handler, patience: float) -> None:
    """Read one connection to its end.

    Args:
        connection: just accepted.
        handler: what to do with each datagram.
        patience: seconds to prove whose it is.

    Raises:
        RemoteProtocolError: the framing is broken, or nobody's in time.
    """
    path = TcpPath(connection)
    frames = FrameReader(MAX_DATAGRAM)
    owned = False
    try:
        with trio.move_on_after(patience) as deadline:
            while data := await connection.receive():
                for datagram in frames.feed(data):
                    if handler(path, datagram):
                        await trio.lowlevel.checkpoint()
                if path.peer is not None and not owned:
                    owned = True
                    deadline.deadline = float("inf")
        if deadline.cancelled_caught:
            raise RemoteProtocolError("no valid ICE check in time")
    except trio.BrokenResourceError:
        return  # cut: the peer may have other paths, or come back on a new one
    finally:
        if path.peer is not None:
            path.peer.drop_path(path)
