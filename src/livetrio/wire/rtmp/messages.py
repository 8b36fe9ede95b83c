"""RTMP's message types, and the bodies of its control messages (RTMP 1.0, sections 5.4, 6.2, 7.1).

SetChunkSize and Abort are read by `chunks`, which they steer; commands are in `commands`, audio,
video and data in `media`.
"""

from __future__ import annotations

import struct
from typing import Final

from livetrio.errors import RemoteProtocolError

__all__ = [
    "LIMIT_DYNAMIC",
    "MessageType",
    "UserControl",
    "peer_bandwidth",
    "read_u32",
    "read_user_control",
    "u32",
    "user_control",
]


class MessageType:
    """The type ids of messages."""

    SET_CHUNK_SIZE: Final = 1
    ABORT: Final = 2
    ACKNOWLEDGEMENT: Final = 3
    USER_CONTROL: Final = 4
    WINDOW_ACK_SIZE: Final = 5
    SET_PEER_BANDWIDTH: Final = 6
    AUDIO: Final = 8
    VIDEO: Final = 9
    DATA_AMF3: Final = 15
    COMMAND_AMF3: Final = 17
    DATA: Final = 18
    COMMAND: Final = 20
    AGGREGATE: Final = 22


class UserControl:
    """The event types of user control messages (section 7.1.7)."""

    STREAM_BEGIN: Final = 0
    STREAM_EOF: Final = 1
    STREAM_DRY: Final = 2
    SET_BUFFER_LENGTH: Final = 3
    STREAM_IS_RECORDED: Final = 4
    PING_REQUEST: Final = 6
    PING_RESPONSE: Final = 7


LIMIT_DYNAMIC: Final = 2
"""SetPeerBandwidth's limit type: hard if the last one was hard, otherwise ignored (5.4.5)."""


def u32(value: int) -> bytes:
    """The body of SetChunkSize, Abort, Acknowledgement and WindowAckSize."""
    return (value & 0xFFFF_FFFF).to_bytes(4, "big")


def peer_bandwidth(window: int, limit_type: int = LIMIT_DYNAMIC) -> bytes:
    """The body of SetPeerBandwidth; `window` in bytes."""
    return struct.pack(">IB", window, limit_type)


def user_control(event: int, *values: int) -> bytes:
    """The body of a user control message: an event type and its 32-bit values."""
    return struct.pack(f">H{len(values)}I", event, *values)


def read_u32(body: bytes, what: str) -> int:
    """The number a control message consists of; bytes behind it are ignored.

    Raises:
        RemoteProtocolError: there are less than 4 bytes.
    """
    if len(body) < 4:
        raise RemoteProtocolError(f"{what} of {len(body)} bytes instead of 4")
    return int.from_bytes(body[:4], "big")


def read_user_control(body: bytes) -> tuple[int, int]:
    """The event type and its first value of a user control message.

    An event this server has no use for (SetBufferLength, Flash's undocumented ones of other
    lengths) may lack the value, which then reads as 0.

    Raises:
        RemoteProtocolError: no whole event type, or a ping without its timestamp.
    """
    if len(body) < 2:
        raise RemoteProtocolError(f"user control message of {len(body)} bytes")
    event = int.from_bytes(body[:2], "big")
    if event in (UserControl.PING_REQUEST, UserControl.PING_RESPONSE):
        return event, read_u32(body[2:], "ping")
    return event, int.from_bytes(body[2:6], "big")
