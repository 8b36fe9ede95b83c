"""RTMP as players get it: packets to shared chunk-stream bytes."""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import cache

from livetrio.media.feed import Format
from livetrio.packet import US_PER_MS, Kind, Packet
from livetrio.wire import flv
from livetrio.wire.rtmp.media import encode_media
from livetrio.wire.rtmp.replies import play_goodbye

__all__ = ["rtmp_format", "takes_opus"]

_OPUS = frozenset({"Opus", "*"})


def takes_opus(fourcc: Collection[str]) -> bool:
    """Does a client that lists these codecs in its `connect` understand Opus?

    "*" in a list or map of enhanced RTMP v2 stands for all that there are. FFmpeg 7 and later
    list "Opus"; what lists nothing is an old player, and gets AAC of a browser's sound.
    """
    return not _OPUS.isdisjoint(fourcc)


@cache
def rtmp_format(
    stream_id: int,
    *,
    audio: bool = True,
    video: bool = True,
    multitrack: bool = False,
    paused: bool = False,
) -> Format:
    """The format of all players that play on message stream `stream_id` and want these kinds.

    Nearly everybody plays on stream 1 and wants all, so nearly everybody shares one feed.
    Those who pause are sent nothing but, when the time comes, the stream's goodbye.
    Cached so that equal wishes give the identical format; the session bounds stream ids.
    """
    if paused:
        return _format(f"{stream_id}/paused", stream_id, frozenset(), multitrack=False)
    kinds = {Kind.DATA} | ({Kind.AUDIO} if audio else set()) | ({Kind.VIDEO} if video else set())
    wishes = [f"{stream_id}"]
    wishes += [] if audio else ["no-audio"]
    wishes += [] if video else ["no-video"]
    wishes += ["multitrack"] if multitrack else []
    return _format("/".join(wishes), stream_id, frozenset(kinds), multitrack=multitrack)


def _format(name: str, stream_id: int, kinds: frozenset[Kind], *, multitrack: bool) -> Format:
    return Format(
        name=f"rtmp/{name}",
        encode=_encoder(stream_id, kinds, multitrack=multitrack),
        goodbye=play_goodbye(stream_id, "The stream has ended."),
    )


def _encoder(
    stream_id: int, kinds: frozenset[Kind], *, multitrack: bool
) -> Callable[[Packet], bytes]:
    def encode(packet: Packet) -> bytes:
        if packet.track.kind not in kinds:
            return b""
        tag = flv.tag_body(packet, multitrack=multitrack)
        if tag is None:
            return b""
        type_id, body = tag
        return encode_media(type_id, packet.dts // US_PER_MS, body, stream_id=stream_id)

    return encode
