"""Connection: one accepted (or dialled) byte stream, plain or TLS, with its outbox and scope."""

from __future__ import annotations

import socket
import ssl
from contextlib import suppress

import trio

from livetrio.errors import RemoteProtocolError
from livetrio.net.outbox import Outbox, OutboxLimits, TlsOutbox
from livetrio.net.scope import Scope

__all__ = ["Connection", "TLS_HANDSHAKE_TIMEOUT"]

_READ_SIZE = 65536
TLS_HANDSHAKE_TIMEOUT = 10.0
_GOODBYE_SIZE = 1 << 20
"""Bytes a peer may still send after our goodbye before we stop listening to it."""


class Connection:
    """The only owner of its socket. Receiving awaits; sending is `outbox.send`, a plain call.

    Raises (from receive): trio.BrokenResourceError when the peer is gone.
    """

    __slots__ = (
        "_sock",
        "_tls",
        "outbox",
        "peer",
        "port",
        "received",
        "scope",
        "trusted",
    )

    def __init__(
        self, sock: socket.socket, scope: Scope, limits: OutboxLimits, peer: str, port: int
    ) -> None:
        self._sock = sock
        self._tls: trio.SSLStream[trio.SocketStream] | None = None
        self.scope = scope
        self.outbox = Outbox(sock, scope, limits)
        self.peer = peer
        """IP address, of the real client where a trusted proxy told it."""
        self.port = port
        self.trusted = False
        """Is the socket's other end a trusted proxy?"""
        self.received = 0
        """Bytes of payload read."""

    def __str__(self) -> str:
        return f"[{self.peer}]:{self.port}" if ":" in self.peer else f"{self.peer}:{self.port}"

    @property
    def is_tls(self) -> bool:
        """Is this connection encrypted by us?"""
        return self._tls is not None

    async def start_tls(
        self, context: ssl.SSLContext, limits: OutboxLimits, *, server_hostname: str | None = None
    ) -> None:
        """Do the handshake, as server or (with a hostname) as client; before any other use.

        Raises:
            RemoteProtocolError: the peer did not finish a handshake in time, or not properly.
        """
        stream = trio.SocketStream(trio.socket.from_stdlib_socket(self._sock))
        tls = trio.SSLStream(
            stream,
            context,
            server_side=server_hostname is None,
            server_hostname=server_hostname,
            https_compatible=True,
        )
        try:
            with trio.fail_after(TLS_HANDSHAKE_TIMEOUT):
                await tls.do_handshake()
        except trio.TooSlowError:
            raise RemoteProtocolError("TLS handshake not finished in time") from None
        except trio.BrokenResourceError as error:
            cause = error.__cause__
            reason = cause.reason if isinstance(cause, ssl.SSLError) else cause
            raise RemoteProtocolError(f"TLS handshake failed: {reason}") from error
        self._tls = tls
        self.outbox = TlsOutbox(tls, self.scope, limits)

    async def peek(self, size: int) -> bytes:
        """What has arrived, left where it is; before anything is received, plain or not."""
        while True:
            await trio.lowlevel.wait_readable(self._sock)
            try:
                return self._sock.recv(size, socket.MSG_PEEK)
            except BlockingIOError:
                continue
            except OSError as error:
                raise trio.BrokenResourceError(str(error)) from error

    def skip(self, size: int) -> None:
        """Forget bytes that peek() has shown."""
        self._sock.recv(size)

    async def receive(self, *, eager: bool = False) -> bytes:
        """The next bytes, b"" at the end of the stream.

        eager: there probably are some, for the caller has just waited; so look before waiting.
        """
        # One coroutine and not two: an idle connection holds the frames of all.
        if self._tls is not None:
            data = bytes(await self._tls.receive_some(_READ_SIZE))
            self.received += len(data)
            return data
        if eager:
            with suppress(BlockingIOError):
                return self._recv()
        while True:
            # Waiting first saves the recv that would fail, and is the checkpoint.
            await trio.lowlevel.wait_readable(self._sock)
            with suppress(BlockingIOError):
                return self._recv()

    def fileno(self) -> int:
        """For whoever waits for many connections at once."""
        return self._sock.fileno()

    def receive_nowait(self) -> bytes | None:
        """What has arrived on a plain connection, None if that is nothing, b"" at the end."""
        try:
            return self._recv()
        except BlockingIOError:
            return None

    def _recv(self) -> bytes:
        try:
            data = self._sock.recv(_READ_SIZE)
        except BlockingIOError:
            raise
        except OSError as error:
            raise trio.BrokenResourceError(str(error)) from error
        self.received += len(data)
        return data

    async def say_goodbye(self, deadline: float = 2.0) -> None:
        """Let what is queued reach the peer before the socket closes.

        Closing with unread input makes the kernel send a reset, which can overtake the last
        words (an RTMP status that says why a publisher was refused): so finish the sending
        side and read on a little. Bounded in time and bytes.
        """
        with trio.move_on_after(deadline):
            await self.outbox.flushed()
            try:
                self._sock.shutdown(socket.SHUT_WR)
                read = 0
                while read < _GOODBYE_SIZE:
                    await trio.lowlevel.wait_readable(self._sock)  # below TLS, if there is any
                    with suppress(BlockingIOError):
                        if not (data := self._sock.recv(_READ_SIZE)):
                            return
                        read += len(data)
            except OSError:
                return
