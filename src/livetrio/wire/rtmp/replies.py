"""What a server says, in the order and wording that players and encoders wait for.

The sequences are livego's, which are Flash Media Server's; differences are noted where they are.
"""

from __future__ import annotations

from typing import Final

from livetrio.wire import amf0
from livetrio.wire.amf import Value
from livetrio.wire.rtmp import connect, media
from livetrio.wire.rtmp.chunk_writer import encode_message
from livetrio.wire.rtmp.commands import encode_command, status
from livetrio.wire.rtmp.events import ConnectRequested
from livetrio.wire.rtmp.link import DEFAULT_WINDOW, Link
from livetrio.wire.rtmp.messages import MessageType, UserControl, peer_bandwidth, user_control

__all__ = ["Replies", "play_goodbye"]

_Message = tuple[int, bytes, int, int]
"""Type id, body, message stream id, chunk stream id."""

_CSID_CONTROL: Final = 2
_CSID_CONNECTION: Final = 3
_CSID_STREAM: Final = 5


class Replies:
    """Writes a server's commands and statuses onto a link.

    Between `hold` and `connected`, what is said is kept back: a client that pipelines
    createStream behind its connect must not read that answer first.
    """

    def __init__(self, link: Link) -> None:
        self._link = link
        self._held: list[_Message] | None = None

    def hold(self) -> None:
        """Keep back everything until `connected` or `forget`."""
        self._held = []

    def forget(self) -> None:
        """Drop what was kept back, and keep nothing back from here on."""
        self._held = None

    def _say(self, type_id: int, body: bytes, stream_id: int, csid: int) -> None:
        if self._held is not None:
            self._held.append((type_id, body, stream_id, csid))
        else:
            self._link.send(type_id, body, stream_id=stream_id, csid=csid)

    def command(
        self, name: str, *values: Value, transaction: float = 0, stream_id: int = 0
    ) -> None:
        """A command; the first of `values` is its command object."""
        csid = _CSID_STREAM if stream_id else _CSID_CONNECTION
        body = encode_command(name, transaction, *values)
        self._say(MessageType.COMMAND, body, stream_id, csid)

    def result(self, transaction: float, *values: Value) -> None:
        """`_result` of a command that wants one."""
        if transaction:
            self.command("_result", None, *values, transaction=transaction)

    def error(self, transaction: float, code: str, description: str) -> None:
        """`_error` of a command that wants an answer."""
        if transaction:
            information = status("error", code, description)
            self.command("_error", None, information, transaction=transaction)

    def status(self, stream_id: int, level: str, code: str, description: str) -> None:
        """`onStatus` on a stream, or with stream id 0 on the connection."""
        self.command("onStatus", None, status(level, code, description), stream_id=stream_id)

    def notice(self, name: str, code: str, description: str) -> None:
        """A command of that name with an information object, as onFCPublish is."""
        self.command(name, None, status("status", code, description))

    def user_control(self, event: int, stream_id: int) -> None:
        """A user control message about a stream."""
        self._say(*_user_control(event, stream_id))

    def connected(self, request: ConnectRequested) -> None:
        """The answer to an accepted `connect`, then what was kept back."""
        self._link.announce_window(DEFAULT_WINDOW)
        self._link.send(MessageType.SET_PEER_BANDWIDTH, peer_bandwidth(DEFAULT_WINDOW))
        self._link.announce_chunk_size(media.CHUNK_SIZE)
        held, self._held = self._held or [], None
        # Answered even with transaction id 0: nobody sends connect without waiting for it.
        self.command("_result", *connect.result(request), transaction=request.transaction)
        for message in held:
            self._say(*message)

    def not_connected(self, transaction: float, code: str, reason: str) -> None:
        """The answer to a refused `connect`; nothing of what was kept back is said."""
        self.forget()
        self.command("_error", None, status("error", code, reason), transaction=transaction)

    def published(self, stream_id: int) -> None:
        """Publishing has begun."""
        self.status(stream_id, "status", "NetStream.Publish.Start", "Publishing.")

    def unpublished(self, stream_id: int) -> None:
        """Publishing has ended at the publisher's wish."""
        self.status(stream_id, "status", "NetStream.Unpublish.Success", "Unpublished.")

    def playing(self, stream_id: int, *, reset: bool) -> None:
        """Playing begins.

        StreamIsRecorded, which livego sends first, is left out: it makes Flash-style players
        treat a live stream as a file. So are the data messages "|RtmpSampleAccess" and
        "onStatus" (Data.Start), which only Flash read: FFmpeg makes a data track of them.
        """
        self.user_control(UserControl.STREAM_BEGIN, stream_id)
        if reset:
            self.status(stream_id, "status", "NetStream.Play.Reset", "Playlist reset.")
        self.status(stream_id, "status", "NetStream.Play.Start", "Playing.")
        self.status(stream_id, "status", "NetStream.Play.PublishNotify", "Published.")

    def play_ended(self, stream_id: int, reason: str) -> None:
        """Playing ends from our side."""
        for message in _play_end(stream_id, reason):
            self._say(*message)

    def paused(self, stream_id: int, *, paused: bool) -> None:
        """A pause or its end has been carried out."""
        if paused:
            self.status(stream_id, "status", "NetStream.Pause.Notify", "Paused.")
        else:
            self.status(stream_id, "status", "NetStream.Unpause.Notify", "Playing on.")

    def sought(self, stream_id: int, position_ms: int) -> None:
        """A seek has been carried out."""
        self.status(stream_id, "status", "NetStream.Seek.Notify", f"Seeking {position_ms}.")
        self.status(stream_id, "status", "NetStream.Play.Start", "Playing.")


def play_goodbye(stream_id: int, reason: str) -> bytes:
    """What ends playing for every player of one stream id: made once, shared by all."""
    return b"".join(
        encode_message(type_id, 0, on_stream, csid, body, media.CHUNK_SIZE)
        for type_id, body, on_stream, csid in _play_end(stream_id, reason)
    )


def _play_end(stream_id: int, reason: str) -> list[_Message]:
    def on_status(code: str) -> _Message:
        body = encode_command("onStatus", 0, None, status("status", code, reason))
        return MessageType.COMMAND, body, stream_id, _CSID_STREAM

    complete = amf0.encode("onPlayStatus", status("status", "NetStream.Play.Complete", reason))
    return [
        on_status("NetStream.Play.UnpublishNotify"),
        _user_control(UserControl.STREAM_EOF, stream_id),
        (MessageType.DATA, complete, stream_id, _CSID_STREAM),
        on_status("NetStream.Play.Stop"),
    ]


def _user_control(event: int, stream_id: int) -> _Message:
    return MessageType.USER_CONTROL, user_control(event, stream_id), 0, _CSID_CONTROL
