"""Commands to a message stream, read into the requests and wishes they stand for."""

from __future__ import annotations

import math

from livetrio.errors import RefusalCode, Refused
from livetrio.wire.amf import Value
from livetrio.wire.rtmp.commands import Command, milliseconds, text_of
from livetrio.wire.rtmp.events import (
    ConnectRequested,
    PauseRequested,
    PlayRequested,
    PublishRequested,
    ReceiveAudio,
    ReceiveVideo,
    SeekRequested,
)
from livetrio.wire.rtmp.url import resolve

__all__ = ["Wish", "name_given", "read_wish"]

Wish = (
    PublishRequested | PlayRequested | PauseRequested | SeekRequested | ReceiveAudio | ReceiveVideo
)


def name_given(command: Command) -> Value:
    """What stands where publish, play and play2 have the stream's name; maybe not a string."""
    first = command.argument(0)
    if command.name == "play2":  # NetStreamPlayOptions
        return first.get("streamName") if isinstance(first, dict) else None
    return first


def read_wish(command: Command, connect: ConnectRequested) -> Wish:
    """What a stream command (any of `netstream.step`, but closeStream) wants.

    Args:
        command: the command.
        connect: the `connect` of its connection, which has the first half of the address.

    Raises:
        Refused: BAD_REQUEST; the name is no string, or breaks `names.check_name`.
    """
    stream_id = command.stream_id
    match command.name:
        case "publish" | "play" | "play2":
            name = name_given(command)
            if not isinstance(name, str):
                raise Refused(RefusalCode.BAD_REQUEST, "the stream name is not a string")
            target = resolve(connect.app_as_sent, connect.tc_url, name)
            address = (stream_id, target.app, target.name, target.query)
            if command.name == "publish":
                return PublishRequested(*address, text_of(command.argument(1), 16) or "live")
            if command.name == "play2":
                options = command.arguments[0]
                return PlayRequested(
                    *address, _number(options.get("start"), -2.0), _number(options.get("len"), -1.0)
                )
            reset = command.argument(3)
            return PlayRequested(
                *address,
                _number(command.argument(1), -2.0),
                _number(command.argument(2), -1.0),
                # 0 and false keep the playlist; librtmp leaves it out, others send numbers.
                reset is None or bool(reset),
            )
        case "pause" | "pauseRaw":
            paused, position = command.argument(0), command.argument(1)
            return PauseRequested(stream_id, bool(paused), milliseconds(position))
        case "seek":
            return SeekRequested(stream_id, milliseconds(command.argument(0)))
        case "receiveAudio":
            return ReceiveAudio(stream_id, bool(command.argument(0)))
        case _:
            return ReceiveVideo(stream_id, bool(command.argument(0)))


def _number(value: Value, default: float) -> float:
    if isinstance(value, int | float) and math.isfinite(value):
        return float(value)
    return default
