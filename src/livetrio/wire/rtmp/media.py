"""RTMP's media messages: what is sent to players, and what publishers send made uniform."""

from __future__ import annotations

from typing import Final

from livetrio.errors import RemoteProtocolError
from livetrio.wire import amf0
from livetrio.wire.rtmp.chunk_writer import encode_message
from livetrio.wire.rtmp.chunks import Message
from livetrio.wire.rtmp.messages import MessageType

__all__ = [
    "CHUNK_SIZE",
    "MAX_SCRIPT_SIZE",
    "ON_META_DATA",
    "SET_DATA_FRAME",
    "encode_media",
    "script_body",
    "split_aggregate",
]

CHUNK_SIZE: Final = 60_000
"""The chunk size our side announces, as FFmpeg does: nearly every frame is one chunk."""

MAX_SCRIPT_SIZE: Final = 1024 * 1024
"""Longest data message in AMF3 that is converted, bytes."""

SET_DATA_FRAME: Final = amf0.encode("@setDataFrame")
"""What a publisher puts before metadata that a server is to keep for newcomers."""

ON_META_DATA: Final = amf0.encode("onMetaData")
"""How metadata begins."""

_CSID_AUDIO: Final = 4
_CSID_OTHER: Final = 6

_TAG_HEADER: Final = 11
_TAG_TYPES: Final = (MessageType.AUDIO, MessageType.VIDEO, MessageType.DATA)


def encode_media(
    type_id: int,
    timestamp_ms: int,
    body: bytes,
    *,
    stream_id: int = 1,
    chunk_size: int = CHUNK_SIZE,
) -> bytes:
    """One audio (8), video (9) or data (18) message, ready for the socket of any player.

    The bytes depend on nothing that differs between players of one stream id, so they are made
    once and shared (see `chunk_writer.encode_message`).

    Args:
        type_id: message type.
        timestamp_ms: milliseconds, taken modulo 2**32.
        body: an FLV tag's body.
        stream_id: the message stream the player plays on; the first one created is 1.
        chunk_size: as announced to the player.
    """
    csid = _CSID_AUDIO if type_id == MessageType.AUDIO else _CSID_OTHER
    return encode_message(type_id, timestamp_ms, stream_id, csid, body, chunk_size)


def script_body(type_id: int, body: bytes) -> bytes:
    """The body of a data message as an FLV script tag has it: AMF0, without "@setDataFrame".

    Raises:
        RemoteProtocolError: the message is in AMF3 and cannot be read.
    """
    if type_id == MessageType.DATA_AMF3:
        if len(body) > MAX_SCRIPT_SIZE:
            raise RemoteProtocolError(f"AMF3 data of {len(body)} bytes")
        # As with commands: a byte of format, then AMF0 that may switch to AMF3.
        body = amf0.encode(*amf0.decode(body[1:]))
    return body.removeprefix(SET_DATA_FRAME)


def split_aggregate(message: Message) -> list[Message]:
    """The audio, video and data messages inside an AGGREGATE message (section 7.1.6).

    It is a run of FLV tags. Their timestamps count from the first one's, which stands for the
    aggregate's own. The length behind each tag is not compared with anything: encoders disagree
    on whether it counts the header, and the last is often missing.

    Raises:
        RemoteProtocolError: a tag is cut or is of another type (aggregates do not nest).
    """
    body = message.body
    found: list[Message] = []
    offset: int | None = None
    pos = 0
    while pos < len(body):
        start = pos + _TAG_HEADER
        if start > len(body):
            raise RemoteProtocolError("aggregate message: tag header is cut")
        type_id = body[pos]
        if type_id not in _TAG_TYPES:
            raise RemoteProtocolError(f"aggregate message: tag of type {type_id}")
        stop = start + int.from_bytes(body[pos + 1 : pos + 4], "big")
        if stop > len(body):
            raise RemoteProtocolError("aggregate message: tag is longer than the message")
        time = int.from_bytes(body[pos + 4 : pos + 7], "big") | body[pos + 7] << 24
        if offset is None:
            offset = message.timestamp - time
        timestamp = (time + offset) & 0xFFFF_FFFF
        found.append(Message(type_id, timestamp, message.stream_id, body[start:stop]))
        pos = stop + 4
    return found
