"""The client's side of an RTMP conversation, for relays and the demo: publish or play one stream.

The contract is the server session's: send what `take` returns after making the session, after
each `feed` and after each verb, in order. The server is trusted no more than any peer: what it
sends is bounded and mostly ignored, and a server that never gets to the point is the business of
the shell's deadline on `Ready`.
"""

from __future__ import annotations

import enum
import os
from collections.abc import Callable, Mapping
from typing import Final

from livetrio.errors import LocalProtocolError, RemoteProtocolError
from livetrio.wire import amf0
from livetrio.wire.amf import Value
from livetrio.wire.rtmp import media
from livetrio.wire.rtmp.chunks import MAX_MESSAGE_SIZE, Message
from livetrio.wire.rtmp.commands import Command, encode_command, read_command, text_of
from livetrio.wire.rtmp.connect import capabilities, takes_multitrack
from livetrio.wire.rtmp.events import Disconnected, Ended, Event, MediaReceived, Ready, Rejected
from livetrio.wire.rtmp.handshake import ClientHandshake, RandomBytes
from livetrio.wire.rtmp.link import DEFAULT_WINDOW, Link
from livetrio.wire.rtmp.messages import MessageType, UserControl, read_user_control, user_control
from livetrio.wire.rtmp.url import RtmpUrl

__all__ = ["ClientSession"]

_CSID_CONNECTION: Final = 3
_CSID_STREAM: Final = 8

_BUFFER_MS: Final = 3_000
"""What a player announces to buffer; servers that pace by it send this much ahead."""

_CONNECT: Final = 1
_CREATE_STREAM: Final = 4
"""Transaction ids of the commands whose answers count; those between are not waited for."""


class _State(enum.Enum):
    CONNECTING = "connect was sent"
    CREATING = "createStream was sent"
    STARTING = "publish or play was sent"
    RUNNING = "publishing or playing"
    ENDED = "the stream has ended"
    CLOSED = "closed"


class ClientSession:
    """One conversation with a server, from C0 on."""

    def __init__(
        self,
        url: RtmpUrl,
        *,
        publish: bool,
        signed: bool = True,
        random: RandomBytes = os.urandom,
        max_message: int = MAX_MESSAGE_SIZE,
    ) -> None:
        """
        Args:
            url: the stream.
            publish: publish it; otherwise play it.
            signed: send a C1 with a digest, which every server known takes (see
                `ClientHandshake`).
            random: source of the handshake's noise.
            max_message: longest message accepted, bytes.
        """
        self._url = url
        self._publish = publish
        handshake = ClientHandshake(random, signed=signed)
        self._link = Link(handshake, max_message=max_message)
        self._link.send_raw(handshake.start)
        self._state = _State.CONNECTING
        self._introduced = False
        self._stream_id = 0
        self._events: list[Event] = []
        self.multitrack = False
        """The server says that it understands several tracks of a kind; known once Ready."""

    @property
    def received(self) -> int:
        """Bytes received behind the handshake."""
        return self._link.received

    def feed(self, data: bytes) -> list[Event]:
        """Take what the server sent, b"" for the end of it; returns what happened, in order.

        Raises:
            RemoteProtocolError: the server broke the protocol; close. Events of this feed are
                lost with it.
        """
        if self._state is _State.CLOSED:
            return []
        if not data:
            self._state = _State.CLOSED
            return [Disconnected("" if self._link.shaken else "in the handshake")]
        try:
            for message in self._link.feed(data):
                self._on_message(message)
            if self._link.shaken and not self._introduced:
                self._introduced = True
                self._send_connect()
        except RemoteProtocolError:
            self._state = _State.CLOSED
            raise
        events = self._events.copy()
        self._events.clear()
        return events

    def take(self) -> bytes:
        """Everything to be sent now, in order; b"" if nothing is."""
        return self._link.take()

    # -- verbs ---------------------------------------------------------------------------------

    def send_media(self, type_id: int, timestamp: int, body: bytes) -> None:
        """Publish one FLV tag body; nothing is sent any more once the server ended the stream.

        Args:
            type_id: 8 audio, 9 video, 18 data (metadata gets its "@setDataFrame" here).
            timestamp: milliseconds, taken modulo 2**32.
            body: the tag's body.

        Raises:
            LocalProtocolError: the stream is not (yet) published.
        """
        if self._state in (_State.ENDED, _State.CLOSED):
            return
        if not self._publish or self._state is not _State.RUNNING:
            raise LocalProtocolError(f"media sent while {self._state.value}")
        if type_id == MessageType.DATA and body.startswith(media.ON_META_DATA):
            body = media.SET_DATA_FRAME + body
        self._link.send_raw(media.encode_media(type_id, timestamp, body, stream_id=self._stream_id))

    def finish(self) -> None:
        """Say goodbye: unpublish or stop playing. Nothing happens before or after the stream."""
        if self._state is _State.RUNNING:
            if self._publish:
                self._command("FCUnpublish", 0, None, self._url.stream)
            self._command("deleteStream", 0, None, self._stream_id)
            self._state = _State.ENDED

    # -- messages ------------------------------------------------------------------------------

    def _on_message(self, message: Message) -> None:
        match message.type_id:
            case MessageType.AUDIO | MessageType.VIDEO:
                self._on_media(message, message.body)
            case MessageType.DATA | MessageType.DATA_AMF3:
                body = media.script_body(message.type_id, message.body)
                if not body.startswith(_SERVERS_OWN):
                    self._on_media(message, body)
            case MessageType.AGGREGATE:
                for part in media.split_aggregate(message):
                    self._on_message(part)
            case MessageType.COMMAND | MessageType.COMMAND_AMF3:
                command = read_command(message.type_id, message.stream_id, message.body)
                handler = _HANDLERS.get(command.name)
                if handler is not None:
                    handler(self, command)
            case MessageType.USER_CONTROL:
                event, value = read_user_control(message.body)
                if event == UserControl.STREAM_EOF and value == self._stream_id:
                    self._end("end of stream")
            case _:
                pass

    def _on_media(self, message: Message, body: bytes) -> None:
        if self._publish or message.stream_id != self._stream_id:
            return
        if self._state is _State.STARTING:
            # Servers exist that let media say that playing has begun.
            if message.type_id not in (MessageType.AUDIO, MessageType.VIDEO):
                return
            self._start()
        if self._state is _State.RUNNING:
            type_id = message.type_id
            if type_id == MessageType.DATA_AMF3:
                type_id = MessageType.DATA
            self._events.append(MediaReceived(self._stream_id, type_id, message.timestamp, body))

    def _start(self) -> None:
        self._state = _State.RUNNING
        self._events.append(Ready(self._stream_id))

    def _end(self, reason: str) -> None:
        if self._state is _State.RUNNING or self._state is _State.STARTING:
            self._state = _State.ENDED
            self._events.append(Ended(reason))

    def _reject(self, information: Value) -> None:
        if self._state not in (_State.ENDED, _State.CLOSED):
            self._state = _State.ENDED
            details = information if isinstance(information, dict) else {}
            code, description = details.get("code"), details.get("description")
            self._events.append(Rejected(text_of(code, 128), text_of(description)))

    # -- what the server answers ---------------------------------------------------------------

    def _on_result(self, command: Command) -> None:
        if self._state is _State.CONNECTING and command.transaction == _CONNECT:
            self._state = _State.CREATING
            self.multitrack = any(map(takes_multitrack, (command.object, command.argument(0))))
            self._send_create()
        elif self._state is _State.CREATING and command.transaction == _CREATE_STREAM:
            stream_id = command.argument(0)
            if not isinstance(stream_id, int | float) or not 0 < stream_id < 2**31:
                raise RemoteProtocolError(f"createStream answered with {stream_id!r:.40}")
            self._stream_id = int(stream_id)
            self._state = _State.STARTING
            self._send_start()

    def _on_error(self, command: Command) -> None:
        if (self._state is _State.CONNECTING and command.transaction == _CONNECT) or (
            self._state is _State.CREATING and command.transaction == _CREATE_STREAM
        ):
            self._reject(command.argument(0))

    def _on_status(self, command: Command) -> None:
        information = command.argument(0)
        if not isinstance(information, dict):
            return
        code = text_of(information.get("code"), 128)
        if information.get("level") == "error":
            self._reject(information)
        elif code in _STARTS and self._state is _State.STARTING:
            self._start()
        elif code in _ENDS:
            self._end(code)

    def _on_close(self, _: Command) -> None:
        self._end("close")

    # -- what we say ---------------------------------------------------------------------------

    def _command(self, name: str, transaction: float, *values: Value, stream_id: int = 0) -> None:
        self._link.send(
            MessageType.COMMAND,
            encode_command(name, transaction, *values),
            stream_id=stream_id,
            csid=_CSID_STREAM if stream_id else _CSID_CONNECTION,
        )

    def _send_connect(self) -> None:
        properties: dict[str, Value] = {
            "app": self._url.app,
            "type": "nonprivate",
            "flashVer": "FMLE/3.0 (compatible; livetrio)" if self._publish else "LNX 9,0,124,2",
            "tcUrl": self._url.tc_url,
        }
        if not self._publish:
            # What a Flash Player that can do everything says.
            properties |= {
                "fpad": False,
                "capabilities": 15,
                "audioCodecs": 0x0FFF,
                "videoCodecs": 0x00FF,
                "videoFunction": 1,
            }
        self._command("connect", _CONNECT, properties | capabilities())

    def _send_create(self) -> None:
        self._link.announce_chunk_size(media.CHUNK_SIZE)
        if self._publish:
            self._command("releaseStream", 2, None, self._url.stream)
            self._command("FCPublish", 3, None, self._url.stream)
        else:
            self._link.announce_window(DEFAULT_WINDOW)
        self._command("createStream", _CREATE_STREAM, None)

    def _send_start(self) -> None:
        if self._publish:
            self._command("publish", 5, None, self._url.stream, "live", stream_id=self._stream_id)
            return
        # -2: live, or recorded where nothing is live.
        self._command("play", 5, None, self._url.stream, -2, stream_id=self._stream_id)
        self._link.send(
            MessageType.USER_CONTROL,
            user_control(UserControl.SET_BUFFER_LENGTH, self._stream_id, _BUFFER_MS),
        )


_SERVERS_OWN: Final = tuple(
    amf0.encode(name) for name in ("|RtmpSampleAccess", "onStatus", "onPlayStatus")
)
"""Data messages that are the server's words to its player and no part of the stream."""

_STARTS: Final = frozenset({"NetStream.Publish.Start", "NetStream.Play.Start"})
_ENDS: Final = frozenset(
    {
        "NetStream.Play.Stop",
        "NetStream.Play.Complete",
        "NetStream.Play.UnpublishNotify",
        "NetStream.Unpublish.Success",
        "NetConnection.Connect.Closed",
    }
)

_HANDLERS: Final[Mapping[str, Callable[[ClientSession, Command], None]]] = {
    "_result": ClientSession._on_result,
    "_error": ClientSession._on_error,
    "onStatus": ClientSession._on_status,
    "close": ClientSession._on_close,
}
