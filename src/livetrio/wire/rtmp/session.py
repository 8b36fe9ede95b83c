"""The server's side of an RTMP conversation: bytes in, events out, verbs to answer them.

The contract: after each `feed` and each verb, send what `take` returns, in order. Who may
publish or play, and where media comes from, is the shell's business. A request is answered once,
whenever the shell likes; if the peer has withdrawn it by then the verb says so, and the
StreamClosed that tells is in the events already returned or comes with the next feed.
"""

from __future__ import annotations

import enum
import os

from livetrio.errors import LocalProtocolError, RefusalCode, Refused, RemoteProtocolError
from livetrio.wire.rtmp import media, statuses
from livetrio.wire.rtmp.calls import CALLS
from livetrio.wire.rtmp.chunks import MAX_MESSAGE_SIZE, Message
from livetrio.wire.rtmp.commands import MAX_COMMAND_SIZE, Command, read_command
from livetrio.wire.rtmp.connect import read_connect
from livetrio.wire.rtmp.events import (
    ConnectRequested,
    Disconnected,
    Event,
    MediaReceived,
    PingAnswered,
    Request,
    UnknownCommand,
)
from livetrio.wire.rtmp.handshake import RandomBytes, ServerHandshake
from livetrio.wire.rtmp.link import Link
from livetrio.wire.rtmp.messages import MessageType, UserControl, read_user_control
from livetrio.wire.rtmp.netstreams import NetStreams
from livetrio.wire.rtmp.replies import Replies

__all__ = ["ServerSession"]


class _State(enum.Enum):
    NEW = "connect is awaited"
    ASKED = "connect is to be answered"
    CONNECTED = "connected"
    CLOSED = "closed"


class ServerSession:
    """One client's conversation, from the first byte of the handshake."""

    def __init__(
        self, *, random: RandomBytes = os.urandom, max_message: int = MAX_MESSAGE_SIZE
    ) -> None:
        """
        Args:
            random: source of the handshake's noise.
            max_message: longest media message accepted, bytes. While nothing is published a
                message may only be as long as a command, so that a peer nobody has checked
                holds no more memory than that.
        """
        self._max_message = max_message
        self._link = Link(ServerHandshake(random), max_message=MAX_COMMAND_SIZE)
        self._replies = Replies(self._link)
        self._state = _State.NEW
        self._events: list[Event] = []
        self._connect: ConnectRequested | None = None
        self._streams: NetStreams | None = None  # from connect on

    @property
    def handshaken(self) -> bool:
        """Whether the handshake is over."""
        return self._link.shaken

    @property
    def received(self) -> int:
        """Bytes received behind the handshake."""
        return self._link.received

    def feed(self, data: bytes) -> list[Event]:
        """Take what the client sent, b"" for the end of it; returns what happened, in order.

        Nothing happens any more after that end, a refused connect, a kick or an error.

        Raises:
            RemoteProtocolError: the client broke the protocol: send what `take` still has (it
                may say why), close, forget the session. Events of this feed are lost with it.
        """
        if self._state is _State.CLOSED:
            return []
        try:
            if data:
                for message in self._link.feed(data):
                    self._on_message(message)
            else:
                self._on_end()
        except RemoteProtocolError:
            self._replies.forget()
            self._state = _State.CLOSED
            raise
        events = self._events.copy()
        self._events.clear()
        return events

    def take(self) -> bytes:
        """Everything to be sent now, in order; b"" if nothing is."""
        return self._link.take()

    # -- verbs ---------------------------------------------------------------------------------

    def accept_connect(self) -> None:
        """Let the client in."""
        request = self._connect_asked()
        if request is not None:
            self._state = _State.CONNECTED
            self._replies.connected(request)

    def reject_connect(self, code: RefusalCode, reason: str) -> None:
        """Tell the client why it may not come in; close the connection after sending that."""
        request = self._connect_asked()
        if request is not None:
            self._state = _State.CLOSED
            self._replies.not_connected(request.transaction, statuses.connect_refusal(code), reason)

    def _connect_asked(self) -> ConnectRequested | None:
        """The `connect` that waits for an answer; None if its client is gone."""
        if self._state is _State.CLOSED:
            return None
        if self._state is not _State.ASKED:
            raise LocalProtocolError(f"connect answered while {self._state.value}")
        return self._connect

    def accept(self, request: Request) -> bool:
        """Answer a request with yes: Publish.Start, Play.Start, Pause.Notify and so on.

        Returns:
            False if the client does not wait for it any more, and nothing is to be done.
        """
        streams = self._live_streams()
        return streams is not None and streams.accept(request)

    def reject(self, request: Request, code: RefusalCode, reason: str) -> bool:
        """Answer a request with no; the client sees RTMP's word for the code, and the reason.

        The connection stays, and the client may ask for something else on the same stream; the
        shell ignores media of that stream that came in the same feed.

        Returns:
            False if the client does not wait for it any more.
        """
        streams = self._live_streams()
        done = streams is not None and streams.reject(request, code, reason)
        self._limit_messages()
        return done

    def end_play(self, stream_id: int, reason: str) -> None:
        """Tell a player that there is no more; nothing happens if it has stopped already."""
        streams = self._live_streams()
        if streams is not None:
            streams.end_play(stream_id, reason)

    def kick(self, reason: str) -> None:
        """Say goodbye for good; close the connection after sending that."""
        if self._streams is not None and self._state is _State.CONNECTED:
            self._streams.end_all(reason)
            self._replies.status(0, "status", "NetConnection.Connect.Closed", reason)
        self._state = _State.CLOSED

    def ping(self, timestamp: int) -> None:
        """Ask for a PingAnswered of this timestamp (milliseconds, modulo 2**32)."""
        if self._state is not _State.CLOSED:
            self._link.ping(timestamp)

    def _live_streams(self) -> NetStreams | None:
        """The streams that verbs are about; None if the client is gone."""
        if self._streams is None:
            raise LocalProtocolError("no client has connected yet")
        return None if self._state is _State.CLOSED else self._streams

    # -- messages ------------------------------------------------------------------------------

    def _on_message(self, message: Message) -> None:
        match message.type_id:
            case MessageType.AUDIO | MessageType.VIDEO:
                if self._streams is not None and self._streams.takes_media(message.stream_id):
                    self._hand_out(message, message.body)
            case MessageType.DATA | MessageType.DATA_AMF3:
                if self._streams is not None and self._streams.takes_media(message.stream_id):
                    self._hand_out(message, media.script_body(message.type_id, message.body))
            case MessageType.AGGREGATE:
                for part in media.split_aggregate(message):
                    self._on_message(part)
            case MessageType.COMMAND | MessageType.COMMAND_AMF3:
                command = read_command(message.type_id, message.stream_id, message.body)
                self._on_command(command)
                self._limit_messages()
            case MessageType.USER_CONTROL:
                event, value = read_user_control(message.body)
                if event == UserControl.PING_RESPONSE:
                    self._events.append(PingAnswered(value))
            case _:  # shared objects (16, 19), and what nobody knows
                pass

    def _hand_out(self, message: Message, body: bytes) -> None:
        type_id = MessageType.DATA if message.type_id == MessageType.DATA_AMF3 else message.type_id
        self._events.append(MediaReceived(message.stream_id, type_id, message.timestamp, body))

    def _limit_messages(self) -> None:
        publishing = self._streams is not None and self._streams.any_takes_media
        self._link.limit(self._max_message if publishing else MAX_COMMAND_SIZE)

    def _on_end(self) -> None:
        if not self._link.shaken:
            reason = "in the handshake"
        elif not self._link.reader.idle:
            reason = "in the middle of a message"
        elif self._state is _State.NEW:
            reason = "before connect"
        else:
            reason = ""
        if self._streams is not None:
            self._streams.disconnected()
        self._events.append(Disconnected(reason))
        self._state = _State.CLOSED

    # -- commands ------------------------------------------------------------------------------

    def _on_command(self, command: Command) -> None:
        name = command.name
        if self._streams is None:
            if name != "connect":
                raise RemoteProtocolError(f"{name!r} before connect")
            self._on_connect(command)
        elif name == "connect":
            raise RemoteProtocolError("connect twice")
        elif name in CALLS:
            CALLS[name](self._replies, self._streams, command)
        elif not self._streams.command(command):
            self._replies.error(
                command.transaction, "NetConnection.Call.Failed", "Unknown command."
            )
            self._events.append(UnknownCommand(name))

    def _on_connect(self, command: Command) -> None:
        try:
            request = read_connect(command)
        except Refused as refused:
            code = statuses.connect_refusal(refused.code)
            self._replies.not_connected(command.transaction, code, refused.reason)
            raise RemoteProtocolError(f"connect: {refused.reason}") from None
        self._connect = request
        self._streams = NetStreams(request, self._replies, self._events.append)
        self._state = _State.ASKED
        self._replies.hold()
        self._events.append(request)
