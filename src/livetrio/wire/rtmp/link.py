"""What both ends of an RTMP connection do alike: handshake, chunks, acknowledgements, pings."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from livetrio.wire.rtmp.chunk_writer import encode_message
from livetrio.wire.rtmp.chunks import (
    DEFAULT_CHUNK_SIZE,
    ChunkReader,
    Message,
)
from livetrio.wire.rtmp.handshake import ClientHandshake, ServerHandshake
from livetrio.wire.rtmp.messages import (
    MessageType,
    UserControl,
    read_u32,
    read_user_control,
    u32,
    user_control,
)

__all__ = ["DEFAULT_WINDOW", "Link"]

DEFAULT_WINDOW: Final = 2_500_000
"""Bytes after which the receiver acknowledges; what livego, Flash Media Server and FFmpeg use."""

_CSID_CONTROL: Final = 2


class Link:
    """Turns bytes into the messages a session has to think about, and queues what it says.

    Acknowledgements carry the total received, modulo 2**32 (section 5.4.3), not what came since
    the last one. A peer that never acknowledges is not held back: TCP already does that.
    """

    def __init__(self, handshake: ServerHandshake | ClientHandshake, *, max_message: int) -> None:
        self.reader = ChunkReader(max_message=max_message, max_pending=max_message)
        self.received = 0
        """Bytes of chunk stream received."""
        self.acknowledged = 0
        """The last total the peer acknowledged, modulo 2**32."""
        self._handshake: ServerHandshake | ClientHandshake | None = handshake
        self._out: list[bytes] = []
        self._chunk_size = DEFAULT_CHUNK_SIZE
        self._window_in = DEFAULT_WINDOW
        self._window_out = 0  # as last announced by us
        self._acked = 0  # the total we acknowledged last

    @property
    def shaken(self) -> bool:
        """Whether the handshake is over."""
        return self._handshake is None

    def feed(self, data: bytes) -> Iterator[Message]:
        """Take what the peer sent; yields commands, media and user control, in order.

        To be exhausted before the next feed (see `ChunkReader.feed`).

        Raises:
            RemoteProtocolError: the peer broke the protocol.
        """
        if (handshake := self._handshake) is not None:
            self._out.append(handshake.feed(data))
            if not handshake.done:
                return
            data = handshake.rest
            self._handshake = None  # a player lives for hours, and has no use for its buffers
        self.received += len(data)
        for message in self.reader.feed(data):
            if message.type_id > 7 or not self._control(message):
                yield message
        # Once per feed at most: a window of 1 must not make us send more than we receive.
        if self.received - self._acked >= self._window_in:
            self._acked = self.received
            self.send(MessageType.ACKNOWLEDGEMENT, u32(self.received))

    def limit(self, max_message: int) -> None:
        """From the next message on, accept at most so many bytes in it, and in all unfinished."""
        self.reader.max_message = self.reader.max_pending = max_message

    def take(self) -> bytes:
        """Everything to be sent to the peer now, in order."""
        out = b"".join(self._out)
        self._out.clear()
        return out

    def send(
        self, type_id: int, body: bytes, *, stream_id: int = 0, csid: int = _CSID_CONTROL
    ) -> None:
        """Queue one message."""
        self._out.append(encode_message(type_id, 0, stream_id, csid, body, self._chunk_size))

    def send_raw(self, data: bytes) -> None:
        """Queue bytes that are already encoded."""
        self._out.append(data)

    def announce_chunk_size(self, size: int) -> None:
        """Tell the peer the size of our chunks from here on."""
        self.send(MessageType.SET_CHUNK_SIZE, u32(size))
        self._chunk_size = size

    def announce_window(self, size: int) -> None:
        """Tell the peer how often to acknowledge, in bytes."""
        self.send(MessageType.WINDOW_ACK_SIZE, u32(size))
        self._window_out = size

    def ping(self, timestamp: int) -> None:
        """Ask for a PING_RESPONSE with this timestamp (milliseconds, modulo 2**32)."""
        body = user_control(UserControl.PING_REQUEST, timestamp & 0xFFFF_FFFF)
        self.send(MessageType.USER_CONTROL, body)

    def _control(self, message: Message) -> bool:
        """Act on a control message; False if the session has to see it."""
        body = message.body
        match message.type_id:
            case MessageType.ACKNOWLEDGEMENT:
                self.acknowledged = read_u32(body, "Acknowledgement")
            case MessageType.WINDOW_ACK_SIZE:
                # 0 asks for nothing sensible and is taken for "as you like".
                self._window_in = read_u32(body, "WindowAckSize") or DEFAULT_WINDOW
            case MessageType.SET_PEER_BANDWIDTH:
                window = read_u32(body, "SetPeerBandwidth")
                if window != self._window_out:  # to be answered so, section 5.4.5
                    self.announce_window(window)
            case MessageType.USER_CONTROL:
                event, value = read_user_control(body)
                if event != UserControl.PING_REQUEST:
                    return False
                self.send(MessageType.USER_CONTROL, user_control(UserControl.PING_RESPONSE, value))
            case _:  # 0 and 7 mean nothing
                pass
        return True
