"""Transport-wide congestion control: which packets arrived, and when, in a few bytes.

Source: draft-holmer-rmcat-transport-wide-cc-extensions-01 section 3.1.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from livetrio.errors import RemoteProtocolError
from livetrio.wire.rtp.rtcp_reports import rtcp_packet

__all__ = ["MAX_STATUSES", "TransportFeedback", "build_feedback"]

MAX_STATUSES: Final = 4_096
"""Packets one feedback may speak of, received and sent: four seconds of 10 Mbit/s. The format
could claim 65,535 in sixteen bytes."""

_RTPFB: Final = 205
_HEAD: Final = struct.Struct(">IIHHI")
_TICK_US: Final = 250
_REFERENCE_US: Final = 64_000
_LOST, _SMALL, _LARGE = 0, 1, 2
_MAX_RUN: Final = 0x1FFF
_MAX_SENT: Final = 1_024
"""Statuses in one packet of ours: at most 294 bytes."""
_MAX_DELTAS: Final = 600
"""Bytes of deltas in one packet of ours: with the statuses it fits any path."""


@dataclass(slots=True)
class TransportFeedback:
    """What a receiver says about every packet of a transport, whatever its SSRC."""

    FORMAT = 15

    sender_ssrc: int
    media_ssrc: int
    count: int
    """Of feedback packets sent, modulo 256: a gap means that one was lost."""
    base: int
    """Transport sequence number (16 bits) of the first status."""
    arrivals: list[int | None]
    """Arrival in microseconds of the receiver's clock for base, base + 1, ...; None: not yet.
    The clock wraps: only differences within some hours mean anything."""

    @classmethod
    def parse(cls, sender_ssrc: int, media_ssrc: int, body: bytes) -> TransportFeedback:
        """Read what follows the two SSRCs.

        Raises:
            RemoteProtocolError: it is cut, or speaks of more than MAX_STATUSES packets.
        """
        if len(body) < 8:
            raise RemoteProtocolError("RTCP: a cut transport feedback")
        base, total, reference = struct.unpack_from(">HHI", body)
        if total > MAX_STATUSES:
            raise RemoteProtocolError(f"RTCP: a transport feedback on {total} packets")
        symbols, at = _symbols(body, 8, total)
        # The reference time is a signed 24-bit number.
        now = ((reference >> 8 ^ 0x80_0000) - 0x80_0000) * _REFERENCE_US
        arrivals: list[int | None] = []
        for symbol in symbols:
            if symbol == _LOST:
                arrivals.append(None)
                continue
            size = 1 if symbol == _SMALL else 2
            delta = body[at : at + size]
            if len(delta) < size:
                raise RemoteProtocolError("RTCP: a transport feedback without its deltas")
            now += int.from_bytes(delta, signed=size == 2) * _TICK_US
            arrivals.append(now)
            at += size
        return cls(sender_ssrc, media_ssrc, reference & 0xFF, base, arrivals)


def _symbols(body: bytes, at: int, total: int) -> tuple[Sequence[int], int]:
    """The `total` symbols of the chunks that begin at `at`, and where the deltas begin."""
    symbols: list[int] = []
    while len(symbols) < total:
        if at + 2 > len(body):
            raise RemoteProtocolError("RTCP: a transport feedback without its statuses")
        chunk = body[at] << 8 | body[at + 1]
        at += 2
        if not chunk & 0x8000:
            symbol = chunk >> 13
            if symbol > _LARGE:
                raise RemoteProtocolError("RTCP: a reserved symbol in a transport feedback")
            symbols += [symbol] * min(chunk & _MAX_RUN, total - len(symbols))
            if not chunk & _MAX_RUN:
                raise RemoteProtocolError("RTCP: an empty run in a transport feedback")
        elif not chunk & 0x4000:
            symbols += [chunk >> shift & 1 for shift in range(13, -1, -1)]
        else:
            symbols += [chunk >> shift & 3 for shift in range(12, -1, -2)]
    del symbols[total:]  # the last vector is filled up
    if 3 in symbols:
        raise RemoteProtocolError("RTCP: a reserved symbol in a transport feedback")
    return symbols, at


def build_feedback(
    sender_ssrc: int,
    media_ssrc: int,
    count: int,
    arrivals: Mapping[int, int],
    base: int | None = None,
) -> list[bytes]:
    """Feedback packets that say when what arrived; usually one, none if nothing did.

    Several are made where one cannot say it: too many packets, or 8 s between two of them.

    Args:
        sender_ssrc: our own.
        media_ssrc: any source of the peer.
        count: number of the first of these packets; the next call continues behind the last.
        arrivals: microseconds of any clock that does not go backwards, by *unwrapped* transport
            sequence number.
        base: the first number not yet spoken of, to report losses before the first arrival;
            by default the first arrival. A hole of 1,024 and more is not told.
    """
    packets: list[bytes] = []
    numbers = sorted(arrivals)
    index = 0
    start = base
    while index < len(numbers):
        if start is None or not 0 <= numbers[index] - start < _MAX_SENT:
            start = numbers[index]
        reference = arrivals[numbers[index]] // _REFERENCE_US
        symbols, deltas = _statuses(arrivals, numbers[index:], start, reference)
        index += len(symbols) - symbols.count(_LOST)
        body = _HEAD.pack(
            sender_ssrc,
            media_ssrc,
            start & 0xFFFF,
            len(symbols),
            (reference & 0xFF_FFFF) << 8 | (count + len(packets)) & 0xFF,
        )
        body += _chunks(symbols) + deltas
        body += bytes(-len(body) % 4)
        packets.append(rtcp_packet(_RTPFB, TransportFeedback.FORMAT, body))
        start += len(symbols)
    return packets


def _statuses(
    arrivals: Mapping[int, int], numbers: Sequence[int], start: int, reference: int
) -> tuple[list[int], bytes]:
    """Symbols and deltas from `start` on, of as many `numbers` as one packet can tell."""
    symbols: list[int] = []
    deltas = bytearray()
    last = reference * (_REFERENCE_US // _TICK_US)
    for number in numbers:
        tick = arrivals[number] // _TICK_US
        delta = tick - last
        full = number - start >= _MAX_SENT or len(deltas) >= _MAX_DELTAS
        if full or not -0x8000 <= delta <= 0x7FFF:
            break
        symbols += [_LOST] * (number - start - len(symbols))
        small = 0 <= delta <= 0xFF
        symbols.append(_SMALL if small else _LARGE)
        deltas += delta.to_bytes(1 if small else 2, signed=not small)
        last = tick
    return symbols, bytes(deltas)


def _chunks(symbols: Sequence[int]) -> bytes:
    """Status chunks: a run where it says more than a vector would, else the denser vector."""
    out = bytearray()
    at, end = 0, len(symbols)
    while at < end:
        symbol = symbols[at]
        run = at + 1
        while run < end and symbols[run] == symbol and run - at < _MAX_RUN:
            run += 1
        vector = symbols[at : at + 14]
        one_bit = _LARGE not in vector
        if run - at >= (14 if one_bit else 7) or run == end:
            out += (symbol << 13 | run - at).to_bytes(2)
            at = run
            continue
        width, bits = (14, 1) if one_bit else (7, 2)
        chunk = 2 if one_bit else 3
        vector = symbols[at : at + width]
        for value in vector:
            chunk = chunk << bits | value
        out += (chunk << bits * (width - len(vector))).to_bytes(2)
        at += width
    return bytes(out)
