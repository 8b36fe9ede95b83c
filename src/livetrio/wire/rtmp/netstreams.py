"""All message streams of a server session: who may do what on which, and how it ends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from livetrio.errors import LocalProtocolError, RefusalCode, Refused, RemoteProtocolError
from livetrio.wire.amf import Value
from livetrio.wire.rtmp import statuses
from livetrio.wire.rtmp.commands import Command
from livetrio.wire.rtmp.events import (
    CloseReason,
    ConnectRequested,
    Declined,
    Event,
    PauseRequested,
    PlayRequested,
    PublishRequested,
    Request,
    SeekRequested,
    StreamClosed,
)
from livetrio.wire.rtmp.netstream import STREAM_COMMANDS, NetStream, Step, StreamState
from livetrio.wire.rtmp.replies import Replies
from livetrio.wire.rtmp.requests import name_given, read_wish

__all__ = ["MAX_STREAMS", "NetStreams"]

MAX_STREAMS: Final = 16
"""Most message streams open at once on one connection; encoders and players use one."""


class NetStreams:
    """The message streams that a connected client created."""

    def __init__(
        self, connect: ConnectRequested, replies: Replies, tell: Callable[[Event], None]
    ) -> None:
        self._connect = connect
        self._replies = replies
        self._tell = tell
        self._streams: dict[int, NetStream] = {}

    def takes_media(self, stream_id: int) -> bool:
        """Whether media on this message stream is to be handed out."""
        stream = self._streams.get(stream_id)
        return stream is not None and stream.takes_media

    @property
    def any_takes_media(self) -> bool:
        """Whether something is published, or asked to be."""
        return any(stream.takes_media for stream in self._streams.values())

    # -- what the client says ------------------------------------------------------------------

    def create(self) -> int | None:
        """Open a message stream: its id, the smallest free one; None if there are too many."""
        for stream_id in range(1, MAX_STREAMS + 1):
            if stream_id not in self._streams:
                self._streams[stream_id] = NetStream(stream_id)
                return stream_id
        return None

    def delete(self, stream_id: Value) -> None:
        """Close and forget a stream; nothing happens if there is none of that id."""
        # Compared, not converted: neither NaN nor 1e308 nor 1.5 is anybody's id.
        stream = next((s for s in self._streams.values() if s.id == stream_id), None)
        if stream is not None:
            self._close(stream, CloseReason.DELETE_STREAM)
            del self._streams[stream.id]

    def unpublish(self, name: Value) -> None:
        """Close what was published by this name, as sent."""
        for stream in self._streams.values():
            if stream.takes_media and stream.name_sent == name:
                self._close(stream, CloseReason.UNPUBLISH)

    def command(self, command: Command) -> bool:
        """Carry out a command to a stream; False if it is none.

        Raises:
            RemoteProtocolError: publish or play on a stream that was never created.
        """
        row = STREAM_COMMANDS.get(command.name)
        if row is None:
            return False
        stream = self._streams.get(command.stream_id)
        if stream is not None:
            self._step(stream, row[stream.state], command)
        elif row[StreamState.IDLE] is Step.ASK:
            raise RemoteProtocolError(
                f"{command.name} on message stream {command.stream_id}, which was not created"
            )
        return True

    def _step(self, stream: NetStream, step: Step, command: Command) -> None:
        if command.name in ("publish", "play") and name_given(command) in (None, False):
            # ActionScript's publish(false), publish(null), play(false): stop what you do.
            publish = command.name == "publish"
            self._close(stream, CloseReason.UNPUBLISH if publish else CloseReason.CLOSE_STREAM)
            return
        match step:
            case Step.ASK | Step.TELL:
                self._ask(stream, command)
            case Step.SWITCH:
                self._close(stream, CloseReason.PLAY_AGAIN)
                self._ask(stream, command)
            case Step.CLOSE:
                self._close(stream, CloseReason.CLOSE_STREAM)
            case Step.REFUSE:
                reason = f"the stream is in use ({stream.state.value})"
                self._decline(stream, command, Refused(RefusalCode.CONFLICT, reason))
            case _:  # IGNORE
                pass

    def _ask(self, stream: NetStream, command: Command) -> None:
        try:
            wish = read_wish(command, self._connect)
        except Refused as refused:
            self._decline(stream, command, refused)
            return
        if isinstance(wish, PublishRequested):
            stream.state = StreamState.PUBLISH_ASKED
            stream.name_sent = name_given(command)
            stream.request = wish
        elif isinstance(wish, PlayRequested):
            stream.state = StreamState.PLAY_ASKED
            stream.request = wish
        self._tell(wish)

    def _decline(self, stream: NetStream, command: Command, refused: Refused) -> None:
        code = statuses.refusal(command.name, refused.code)
        self._replies.status(stream.id, "error", code, refused.reason)
        self._tell(Declined(stream.id, command.name, refused.reason))

    def _close(self, stream: NetStream, reason: CloseReason) -> None:
        if stream.state is StreamState.IDLE:
            return
        if stream.state is StreamState.PUBLISHING:
            self._replies.unpublished(stream.id)
        stream.reset()
        self._tell(StreamClosed(stream.id, reason))

    # -- what the shell says -------------------------------------------------------------------

    def accept(self, request: Request) -> bool:
        """See `ServerSession.accept`."""
        stream = self._asker(request)
        if stream is None:
            return False
        match request:
            case PublishRequested():
                stream.state = StreamState.PUBLISHING
                self._replies.published(stream.id)
            case PlayRequested():
                stream.state = StreamState.PLAYING
                self._replies.playing(stream.id, reset=request.reset)
            case PauseRequested():
                self._replies.paused(stream.id, paused=request.paused)
            case _:
                self._replies.sought(stream.id, request.position_ms)
        return True

    def reject(self, request: Request, code: RefusalCode, reason: str) -> bool:
        """See `ServerSession.reject`."""
        stream = self._asker(request)
        if stream is None:
            return False
        kind = _COMMANDS[type(request)]
        self._replies.status(stream.id, "error", statuses.refusal(kind, code), reason)
        if request is stream.request:
            stream.reset()
        return True

    def _asker(self, request: Request) -> NetStream | None:
        """The stream that waits for the answer to `request`; None if it does not any more."""
        stream = self._streams.get(request.stream_id)
        if stream is None:
            return None
        if isinstance(request, PauseRequested | SeekRequested):
            return stream if stream.state is StreamState.PLAYING else None
        if request is not stream.request:
            return None
        if stream.state not in (StreamState.PUBLISH_ASKED, StreamState.PLAY_ASKED):
            raise LocalProtocolError(f"{type(request).__name__} answered twice")
        return stream

    def end_play(self, stream_id: int, reason: str) -> None:
        """See `ServerSession.end_play`."""
        stream = self._streams.get(stream_id)
        if stream is not None and stream.state is StreamState.PLAYING:
            self._replies.play_ended(stream_id, reason)
            stream.reset()

    def end_all(self, reason: str) -> None:
        """End everything that is played or published, telling the client why."""
        for stream in self._streams.values():
            self.end_play(stream.id, reason)
            if stream.state is not StreamState.IDLE:
                self._replies.status(stream.id, "error", "NetStream.Failed", reason)
        self._streams.clear()

    def disconnected(self) -> None:
        """The client is gone: tell the shell of every end that makes."""
        for stream in self._streams.values():
            self._close(stream, CloseReason.DISCONNECTED)
        self._streams.clear()


_COMMANDS: Final[dict[type, str]] = {
    PublishRequested: "publish",
    PlayRequested: "play",
    PauseRequested: "pause",
    SeekRequested: "seek",
}
