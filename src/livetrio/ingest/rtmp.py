"""RTMP: one conversation, told from top to bottom: it may publish, or play, or both."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import trio

from livetrio.errors import Refused, RemoteProtocolError
from livetrio.ingest.rtmp_streams import MessageStreams, RtmpHost, is_news
from livetrio.logs import get_logger
from livetrio.net.beat import Beat
from livetrio.net.connection import Connection
from livetrio.net.fanout import Pacer
from livetrio.wire.rtmp.events import (
    ConnectRequested,
    Declined,
    Disconnected,
    Event,
    MediaReceived,
    PauseRequested,
    PlayRequested,
    PublishRequested,
    ReceiveAudio,
    ReceiveVideo,
    SeekRequested,
    StreamClosed,
    UnknownCommand,
)
from livetrio.wire.rtmp.session import ServerSession

__all__ = ["RtmpService", "reading_pacer"]

log = get_logger(__name__)

_COMMAND_BURST = 1000
_COMMAND_RATE = 20.0
"""Commands a client may send: so many at once, so many a second for ever."""
_LONGEST_PAUSE = 0.04
_SHORTEST_PAUSE = 0.01
"""Seconds a publisher's input gathers before it is read, when there are many: at most a frame's
time at 25 fps; and none at all where the timer would cost more than it saves."""


def reading_pacer(beat: Beat | None) -> Pacer:
    """What divides the time spent on reading among all publishers of a node."""
    return Pacer(cap=_LONGEST_PAUSE, shortest=_SHORTEST_PAUSE, beat=beat)


@dataclass(frozen=True, slots=True)
class RtmpService(RtmpHost):
    """What every RTMP connection needs. Its `serve` is the listener's handler."""

    pacer: Pacer = field(default_factory=lambda: reading_pacer(None))
    """Divides the time spent on reading among all publishers: many are read less often."""

    async def serve(self, connection: Connection) -> None:
        """Hold one conversation until either side ends it."""
        await _Conversation(self, connection).run()


class _Conversation:
    def __init__(self, service: RtmpService, connection: Connection) -> None:
        self._service = service
        self._connection = connection
        self._session = ServerSession()
        self._streams = MessageStreams(service, connection, self._session)
        self._declined = 0
        self._patience = trio.CancelScope()
        self._pause = 0.0
        self._commands = 0
        self._begun = trio.current_time()

    async def run(self) -> None:
        self._be_patient()
        try:
            with self._patience:
                while await self._exchange():
                    pass
            if self._patience.cancelled_caught:
                raise RemoteProtocolError(self._impatience())
        except trio.Cancelled:
            if self._streams.publishing:
                self._session.kick(self._connection.scope.reason or "closed by the server")
                self._streams.reply()
            raise
        except RemoteProtocolError:
            self._streams.reply()  # it may say why
            raise
        finally:
            self._service.pacer.forget(self)
            await self._streams.aclose()

    async def _exchange(self) -> bool:
        """One read, and all that follows from it; False at the end."""
        streams, pacer = self._streams, self._service.pacer
        if self._pause:
            await pacer.rest(self._pause)
        data = await self._connection.receive(eager=self._pause > 0)
        begun = time.thread_time()
        for event in self._session.feed(data):
            if type(event) is MediaReceived:
                streams.take(event)
            else:
                streams.flush()
                self._count_command()
                await self._handle(event)
                await trio.lowlevel.checkpoint()  # thousands of commands fit into one read
                begun = time.thread_time()  # what others did meanwhile is not ours
        streams.flush()
        streams.reply()
        streams.rejoin()
        spent = time.thread_time() - begun
        self._pause = pacer.window(self, spent) if streams.publishing else 0.0
        return bool(data)

    def _count_command(self) -> None:
        """Each may cost a feed of its own; people and players ask for a few in a minute."""
        self._commands += 1
        age = trio.current_time() - self._begun
        if self._commands > _COMMAND_BURST + _COMMAND_RATE * age:
            raise RemoteProtocolError("too many commands")

    async def _handle(self, event: Event) -> None:
        streams = self._streams
        match event:
            case ConnectRequested():
                streams.client = event
                self._session.accept_connect()
            case PublishRequested():
                with self._answered(event):
                    await streams.publish(event)
                self._be_patient()
            case PlayRequested():
                self._patience.deadline = float("inf")  # now it is us who make the client wait
                with self._answered(event):
                    await streams.play(event)
                self._be_patient()
            case PauseRequested():
                streams.pause(event)
            case SeekRequested():
                streams.seek(event)
            case ReceiveAudio() | ReceiveVideo():
                streams.switch(event)
            case StreamClosed(stream_id=stream_id, reason=reason):
                await streams.close(stream_id, reason)
                if not streams.publishing:
                    self._service.pacer.forget(self)
                self._be_patient()
            case Declined(command=command, reason=reason):
                self._note_decline(command, reason)
            case UnknownCommand(name=name):
                log.debug("unknown command", peer=str(self._connection), command=name)
            case Disconnected(reason=reason) if reason:
                log.info("peer left", peer=str(self._connection), reason=reason)
            case _:
                pass
        streams.reply()

    @contextmanager
    def _answered(self, request: PublishRequested | PlayRequested) -> Iterator[None]:
        """A refusal reaches the client as its request's status; then the guard logs and closes."""
        try:
            yield
        except Refused as refused:
            self._session.reject(request, refused.code, refused.reason)
            self._streams.reply()
            raise

    def _be_patient(self) -> None:
        """A client that neither publishes nor plays has a while to come to the point."""
        patience = float("inf") if self._streams.busy else self._service.read_timeout
        self._patience.deadline = trio.current_time() + patience

    def _note_decline(self, command: str, reason: str) -> None:
        """The session said no by itself. A peer that goes on asking is no flood of lines."""
        self._declined += 1
        if is_news(self._declined - 1, self._declined):
            log.warning(
                "declined",
                peer=str(self._connection),
                command=command,
                reason=reason,
                count=self._declined,
            )

    def _impatience(self) -> str:
        if not self._session.handshaken:
            return "handshake not finished in time"
        return "neither published nor played anything in time"
