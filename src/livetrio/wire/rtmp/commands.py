"""RTMP's commands: a name, a transaction id, an object and arguments in AMF (section 7.2)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from livetrio.errors import RemoteProtocolError
from livetrio.wire import amf0
from livetrio.wire.amf import Value
from livetrio.wire.rtmp.messages import MessageType

__all__ = [
    "MAX_COMMAND_SIZE",
    "Command",
    "encode_command",
    "milliseconds",
    "read_command",
    "status",
    "text_of",
]

MAX_COMMAND_SIZE: Final = 64 * 1024
"""Longest command read, bytes: connect with all of Enhanced RTMP and a long token takes 3,000."""

_MAX_ARGUMENTS: Final = 8
_MAX_NAME: Final = 128


@dataclass(slots=True)
class Command:
    """A command as received."""

    name: str
    transaction: float
    """0 where no answer is wanted."""
    stream_id: int
    """The message stream it came on; 0 is the connection."""
    object: Value
    arguments: list[Value]

    def argument(self, index: int) -> Value:
        """The argument at `index`, None if it was left out."""
        return self.arguments[index] if index < len(self.arguments) else None


def read_command(type_id: int, stream_id: int, body: bytes) -> Command:
    """Read the body of a COMMAND or COMMAND_AMF3 message.

    The latter is one byte of format followed by AMF0 values, any of which may switch to AMF3;
    the byte is skipped whatever it says, as every server does. What follows the eighth argument
    is not read.

    Raises:
        RemoteProtocolError: no AMF, no name, too long, or a transaction id that is negative or
            not finite.
    """
    if len(body) > MAX_COMMAND_SIZE:
        raise RemoteProtocolError(f"command of {len(body)} bytes, more than {MAX_COMMAND_SIZE}")
    if type_id == MessageType.COMMAND_AMF3:
        body = body[1:]
    match amf0.decode(body, count=3 + _MAX_ARGUMENTS):
        case [str(name), *rest] if len(name) <= _MAX_NAME:
            pass
        case _:
            raise RemoteProtocolError("command without a name")
    # closeStream of old players comes without a transaction id, or with null.
    transaction = rest[0] if rest and isinstance(rest[0], int | float) else 0.0
    if not 0 <= transaction < math.inf:
        raise RemoteProtocolError(f"transaction id {transaction} of a command")
    return Command(name, transaction, stream_id, rest[1] if len(rest) > 1 else None, rest[2:])


def encode_command(name: str, transaction: float, *values: Value) -> bytes:
    """The body of a COMMAND message; the first of `values` is the command object."""
    return amf0.encode(name, transaction, *values)


def status(level: str, code: str, description: str, **more: Value) -> dict[str, Value]:
    """An information object, as in onStatus: level is "status", "warning" or "error"."""
    return {"level": level, "code": code, "description": description, **more}


def text_of(value: Value, limit: int = 1024) -> str:
    """`value` if it is a string, cut to `limit` characters; "" otherwise."""
    return value[:limit] if isinstance(value, str) else ""


def milliseconds(value: Value) -> int:
    """A position as sent by a player, made a sane number of milliseconds (0 to 2**31 - 1)."""
    if not isinstance(value, int | float) or not value > 0:  # NaN is not
        return 0
    return int(min(value, 2**31 - 1))
