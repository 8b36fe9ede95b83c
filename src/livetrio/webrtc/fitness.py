"""Fitness: can a packet still go to those who were told what a stream is when they came?

A stream outlives its publisher, and the next one may send sound or pictures that its viewers did
not agree to, or that browsers cannot show. They are ended with the reason then: who comes anew
is given what fits, a rendition for one. Refused: moving them to it as they are. Their SDP has
another codec, other parameters and other clocks, and only a new offer can change those.
"""

from __future__ import annotations

from collections.abc import Iterable, Set
from typing import Final

from livetrio.packet import Codec, Kind, Packet, Track
from livetrio.wire.rtp.packetize import PACKETIZED

__all__ = ["gained", "misfit"]

_CODEC: Final = "the stream has changed its codec"
_ORDER: Final = "the stream has changed: it has B-frames now"
_GAINED: Final = "the stream has changed: it has {} now"


def misfit(packet: Packet, codec: Codec) -> str:
    """Why a packet of a track that was announced in this codec cannot be sent; "": it can."""
    if packet.track.codec is not codec:
        return _CODEC
    if codec is Codec.H264 and packet.pts != packet.dts:
        return _ORDER  # browsers show pictures in the order they come in
    return ""


def gained(tracks: Iterable[Track], lacking: Set[Kind]) -> str:
    """Why somebody who was told of no such kinds should come anew; "": they are still missing.

    Sound of any codec will do: there is a rendition of it.
    """
    for track in tracks:
        audio = track.kind is Kind.AUDIO
        if track.kind in lacking and (audio or track.codec in PACKETIZED):
            return _GAINED.format("sound" if audio else "a picture")
    return ""
