"""FLV as players get it: packets to tags, wrapped for the three ways that HTTP carries them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Literal

from livetrio.media.feed import Format
from livetrio.net.websocket import NORMAL_CLOSURE, binary_frame
from livetrio.packet import Kind, Packet, Track
from livetrio.wire import flv

__all__ = ["Only", "Transport", "flv_format"]

Only = Literal["all", "audio", "video"]
Transport = Literal["raw", "chunked", "ws"]
"""Until the connection closes (HTTP/1.0); HTTP/1.1 chunks; WebSocket messages."""

_KINDS: dict[Only, frozenset[Kind]] = {
    "all": frozenset(Kind),
    "audio": frozenset({Kind.AUDIO, Kind.DATA}),
    "video": frozenset({Kind.VIDEO, Kind.DATA}),
}


@cache
def flv_format(transport: Transport, only: Only = "all", *, multitrack: bool = False) -> Format:
    """The format of all players that came this way and want this; equal wishes share a feed."""
    kinds = _KINDS[only]
    name = f"flv/{transport}/{only}" + ("/multitrack" if multitrack else "")
    encode, prologue = _encoder(kinds, multitrack=multitrack), _prologue(kinds)
    match transport:
        case "raw":
            return Format(name, encode, prologue=prologue)
        case "chunked":
            return Format(name, encode, _chunk, prologue, goodbye=b"0\r\n\r\n")
        case "ws":
            return Format(name, encode, binary_frame, prologue, goodbye=NORMAL_CLOSURE)


def _encoder(kinds: frozenset[Kind], *, multitrack: bool) -> Callable[[Packet], bytes]:
    def encode(packet: Packet) -> bytes:
        if packet.track.kind not in kinds:
            return b""
        return flv.tag(packet, multitrack=multitrack)

    return encode


def _prologue(kinds: frozenset[Kind]) -> Callable[[Sequence[Track]], bytes]:
    def prologue(tracks: Sequence[Track]) -> bytes:
        there = {track.kind for track in tracks} & kinds
        return flv.file_header(audio=Kind.AUDIO in there, video=Kind.VIDEO in there)

    return prologue


def _chunk(data: bytes) -> bytes:
    """One chunk of a chunked body (RFC 9112 7.1)."""
    return b"%x\r\n%b\r\n" % (len(data), data)
