"""H.264 out of RTP (RFC 6184): single NAL units, STAP-A and FU-A to length-prefixed units.

Parameter sets leave the frames and become the AVC configuration record, as FLV and MP4 want
them. Access unit delimiters and filler go, since they say nothing in a container; SEI stays
(captions, time codes). STAP-B, MTAP and FU-B belong to interleaved mode, which no answer of ours
agrees to.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Sequence
from typing import Final

from livetrio.errors import RemoteProtocolError
from livetrio.wire.avc import AvcConfig, AvcNal
from livetrio.wire.bits import BitReader
from livetrio.wire.nal import unescape
from livetrio.wire.rtp.depacketize.frame import Frame

__all__ = ["H264Depacketizer"]

_STAP_A: Final = 24
_FU_A: Final = 28
_FU_START: Final = 0x80
_FU_END: Final = 0x40
_END_OF_STREAM: Final = 11
_DROPPED: Final = frozenset({AvcNal.AUD, AvcNal.FILLER, AvcNal.END_OF_SEQUENCE, _END_OF_STREAM})
_MAX_SPS: Final = 31
"""What a configuration record can hold; no encoder sends two."""
_MAX_PPS_ID: Final = 254
"""Of 255 allowed, so that a record holds all of them."""
_MAX_PARAMETER_SET: Final = 4096
"""Bytes. x264 needs 30; every newcomer is sent them."""


class H264Depacketizer:
    """One H.264 track."""

    __slots__ = ("_pps", "_record", "_sps")

    def __init__(self, sprop_parameter_sets: str = "") -> None:
        """sprop_parameter_sets: of the SDP (RFC 6184 section 8.1); what cannot be read is left."""
        self._sps: list[bytes] = []
        self._pps: dict[int, bytes] = {}
        self._record = b""
        units = [unit for unit in map(_decoded, sprop_parameter_sets.split(",")) if unit]
        try:
            self._learn(units)
        except RemoteProtocolError:
            self._sps, self._pps = [], {}  # they come in band too, or not at all

    def begins(self, payload: bytes) -> bool:
        """See `Depacketizer`. A later slice of the same picture is told by first_mb_in_slice."""
        kind = payload[0] & 0x1F
        if kind == _FU_A:
            if len(payload) < 3 or not payload[1] & _FU_START:
                return False
            kind, first = payload[1] & 0x1F, payload[2]
        elif kind == _STAP_A:
            if len(payload) < 5:
                return False
            kind, first = payload[3] & 0x1F, payload[4]
        elif len(payload) > 1:
            first = payload[1]
        else:
            return False
        if AvcNal.SLICE <= kind <= AvcNal.IDR:
            return first >= 0x80  # ue(v) of 0 is the single bit 1
        return AvcNal.SEI <= kind <= AvcNal.AUD

    def frame(self, payloads: Sequence[bytes]) -> Frame | None:
        """See `Depacketizer`. A key frame is one with an IDR slice.

        Raises:
            RemoteProtocolError: also for a picture that comes before its parameter sets.
        """
        parts: list[bytes] = []
        sets: list[bytes] = []
        picture = key = False
        for unit in _units(payloads):
            kind = unit[0] & 0x1F
            if AvcNal.SLICE <= kind <= AvcNal.IDR:
                picture = True
                key = key or kind == AvcNal.IDR
            elif kind == AvcNal.SPS or kind == AvcNal.PPS:
                sets.append(unit)
                continue
            elif kind in _DROPPED:
                continue
            parts += (len(unit).to_bytes(4, "big"), unit)
        if sets:
            self._learn(sets)
        if not picture:
            return None
        if not self._sps or not self._pps:
            raise RemoteProtocolError("H.264: a picture before its parameter sets")
        frame = Frame(b"".join(parts), key)
        if sets or not self._record:
            record = AvcConfig.build(self._sps, list(self._pps.values()))
            if record != self._record:
                self._record = frame.record = record
        return frame

    def _learn(self, units: Sequence[bytes]) -> None:
        """Take in parameter sets. An SPS begins a new sequence: what was known before it goes."""
        if any(len(unit) > _MAX_PARAMETER_SET for unit in units):
            raise RemoteProtocolError("H.264: a parameter set over 4096 bytes")
        new_sps = [unit for unit in units if unit[0] & 0x1F == AvcNal.SPS]
        new_pps = {_pps_id(unit): unit for unit in units if unit[0] & 0x1F == AvcNal.PPS}
        if new_sps:
            new_sps = list(dict.fromkeys(new_sps))
            AvcConfig.build(new_sps[:_MAX_SPS], [])  # raises where the first cannot be read
            self._sps = new_sps[:_MAX_SPS]
            if new_pps:
                self._pps = {}
        self._pps |= new_pps


def _units(payloads: Sequence[bytes]) -> Iterator[bytes]:
    """The NAL units, each whole and with at least its header byte."""
    fragments: list[bytes] = []
    for payload in payloads:
        kind = payload[0] & 0x1F
        if kind == _FU_A:
            if len(payload) < 3:
                raise RemoteProtocolError("H.264: a FU-A without a fragment")
            flags = payload[1]
            if flags & _FU_START:
                if fragments or flags & _FU_END:  # one fragment is no fragment (section 5.8)
                    raise RemoteProtocolError("H.264: a FU-A starts where it must not")
                fragments = [bytes((payload[0] & 0xE0 | flags & 0x1F,))]
            elif not fragments:
                raise RemoteProtocolError("H.264: a FU-A without its start")
            fragments.append(payload[2:])
            if flags & _FU_END:
                yield b"".join(fragments)
                fragments = []
            continue
        if fragments:
            raise RemoteProtocolError("H.264: a FU-A without its end")
        if kind == _STAP_A:
            yield from _aggregated(payload)
        elif 0 < kind < _STAP_A:
            yield payload
        else:
            raise RemoteProtocolError(f"H.264: a packet of type {kind}")
    if fragments:
        raise RemoteProtocolError("H.264: a FU-A without its end")


def _aggregated(payload: bytes) -> Iterator[bytes]:
    """The units of a STAP-A (RFC 6184 section 5.7.1)."""
    pos, end = 1, len(payload)
    while pos < end:
        start = pos + 2
        pos = start + int.from_bytes(payload[pos:start], "big")
        if start >= pos or pos > end:
            raise RemoteProtocolError("H.264: the units of a STAP-A do not add up")
        if not 0 < payload[start] & 0x1F < _STAP_A:
            raise RemoteProtocolError("H.264: an aggregate inside of a STAP-A")
        yield payload[start:pos]


def _pps_id(unit: bytes) -> int:
    """pic_parameter_set_id (H.264 section 7.3.2.2)."""
    number = BitReader(unescape(unit[1:16])).ue()
    if number > _MAX_PPS_ID:
        raise RemoteProtocolError(f"H.264: a PPS of number {number}")
    return number


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text.strip())
    except (binascii.Error, ValueError):
        return b""
