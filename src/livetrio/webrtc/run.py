"""Run: RTP packets that go out together, made once and encrypted for each viewer.

All viewers of a format are sent the same packets: same SSRC, same sequence numbers, same header.
So what does not depend on the viewer's key (where the header ends, the address of each packet
in the buffer, the fixed part of the nonce) is worked out once per run; per viewer there remain one
encryption per packet, in place, and one system call. The kernel cuts the buffer into datagrams
(UDP_SEGMENT): hence equal sizes, and only the last packet may be shorter.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from livetrio.errors import LocalProtocolError

__all__ = ["MAX_RUN_BYTES", "MAX_RUN_PACKETS", "GcmPlan", "Run", "header_size", "runs_of"]

MAX_RUN_PACKETS = 64
"""UDP_MAX_SEGMENTS of Linux before 6.9."""
MAX_RUN_BYTES = 60_000
"""Plaintext of one run: with 16 bytes of tag on each of 64 packets below 65,507."""
GCM_TAG = 16

Step = tuple[int, memoryview, bytes, memoryview]
"""SSRC << 48 | index; payload; header (authenticated, not encrypted); where ciphertext and tag
go."""


@dataclass(slots=True, eq=False)
class GcmPlan:
    """What encrypting a run with AES-GCM takes, but for the key."""

    buffer: bytearray
    """All packets one after the other, headers in place; overwritten by each viewer's."""
    view: memoryview
    segment: int
    """Bytes of each datagram but the last."""
    parts: list[tuple[int, int, list[Step]]]
    """(SSRC, lowest index, its packets), by SSRC."""
    only: Step | None = None
    """The same where it is a single packet."""


@dataclass(slots=True, eq=False)
class Run:
    """Whole plaintext RTP packets (header, extensions, payload; no padding needed).

    Immutable once sent. An (SSRC, index) stands for one plaintext, ever: AES-GCM gives away its
    key stream to whoever sees two. Sending the same packet again (NACK) is fine.
    """

    packets: list[bytes]
    """Equal sizes, only the last may be shorter (audio behind video, say)."""
    indexes: list[int]
    """SRTP packet index of each: roll-over counter << 16 | sequence number, as the stream counts
    it. Each viewer's own count starts at 0 with the first packet it is sent; the peer sees to
    that."""
    size: int = field(init=False)
    """Bytes of all packets."""
    gcm: GcmPlan | None = field(init=False, default=None)
    """As `gcm_plan` made it."""

    def __post_init__(self) -> None:
        """
        Raises:
            LocalProtocolError: the packets cannot go out in one segmented send.
        """
        if len(self.packets) == len(self.indexes) == 1:  # sound, and small pictures: most of all
            self.size = len(self.packets[0])
            if self.size <= MAX_RUN_BYTES:
                return
        sizes = [len(packet) for packet in self.packets]
        self.size = sum(sizes)
        first = sizes[0] if sizes else 0
        if (
            not 1 <= len(sizes) <= MAX_RUN_PACKETS
            or self.size > MAX_RUN_BYTES
            or len(self.indexes) != len(sizes)
            or any(size != first for size in sizes[:-1])
            or sizes[-1] > first
        ):
            raise LocalProtocolError(f"not a run: packets of {sizes}, {len(self.indexes)} indexes")

    def gcm_plan(self) -> GcmPlan:
        """How to encrypt it with AES-GCM; made once."""
        if self.gcm is None:
            self.gcm = self._plan() if len(self.packets) > 1 else self._plan_of_one()
        return self.gcm

    def _plan_of_one(self) -> GcmPlan:
        """The same for a single packet: where few share it, planning is a third of the price."""
        packet, index = self.packets[0], self.indexes[0]
        cut = 12 if packet[0] == 0x80 else header_size(packet)
        header = packet[:cut]
        buffer = bytearray(len(packet) + GCM_TAG)
        buffer[:cut] = header
        view = memoryview(buffer)
        ssrc = int.from_bytes(header[8:12], "big")
        step = (ssrc << 48 | index, memoryview(packet)[cut:], header, view[cut:])
        return GcmPlan(buffer, view, len(buffer), [], step)

    def _plan(self) -> GcmPlan:
        buffer = bytearray(self.size + GCM_TAG * len(self.packets))
        view = memoryview(buffer)
        parts: dict[int, tuple[int, int, list[Step]]] = {}
        at = 0
        for packet, index in zip(self.packets, self.indexes, strict=True):
            cut = header_size(packet)
            end = at + len(packet) + GCM_TAG
            header = packet[:cut]
            buffer[at : at + cut] = header
            ssrc = int.from_bytes(packet[8:12], "big")
            step = (ssrc << 48 | index, memoryview(packet)[cut:], header, view[at + cut : end])
            _, lowest, steps = parts.get(ssrc, (ssrc, index, []))
            steps.append(step)
            parts[ssrc] = (ssrc, min(lowest, index), steps)
            at = end
        return GcmPlan(buffer, view, len(self.packets[0]) + GCM_TAG, list(parts.values()))


def header_size(packet: bytes | memoryview) -> int:
    """Bytes of an RTP header with its CSRCs and extension (RFC 3550 sections 5.1, 5.3.1).

    May point behind a malformed packet's end; the caller compares.
    """
    size = 12 + 4 * (packet[0] & 0x0F)
    if packet[0] & 0x10 and len(packet) >= size + 4:
        size += 4 + 4 * (packet[size + 2] << 8 | packet[size + 3])
    return size


def runs_of(packets: Iterable[tuple[bytes, int]]) -> list[Run]:
    """Cut (packet, index) pairs, in order, into as few runs as the rules allow."""
    runs: list[Run] = []
    data: list[bytes] = []
    indexes: list[int] = []
    total = 0
    for packet, index in packets:
        size = len(packet)
        if data and (
            size > len(data[0])
            or len(data[-1]) < len(data[0])
            or len(data) == MAX_RUN_PACKETS
            or total + size > MAX_RUN_BYTES
        ):
            runs.append(Run(data, indexes))
            data, indexes, total = [], [], 0
        data.append(packet)
        indexes.append(index)
        total += size
    if data:
        runs.append(Run(data, indexes))
    return runs
