"""WorkerReport: what a mixing worker counted, which it tells the server every second."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from livetrio.media.transcode.pipe import Message, Word

__all__ = ["WorkerReport", "report_message", "report_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerReport:
    """Counts of one worker's life, of all parts together."""

    faults: int = 0
    """Packets and configurations that could not be decoded, of the parts that are still there."""
    late: int = 0
    """Blocks of sound (20 ms) mixed more than a block's length too late, but mixed."""
    left_out: int = 0
    """Milliseconds for which it was so late that nothing was mixed."""
    overflows: int = 0
    """Times that pictures came faster than they were decoded, and were thrown away."""
    underruns: int = 0
    """Times a part's sound ran dry: its packets came too late, or not at all."""
    cuts: int = 0
    """Times some of a part's sound was left out because far too much had come."""
    adjustments: int = 0
    """Blocks that were stretched or squeezed, because a part's clock is not ours."""


def report_message(report: WorkerReport) -> Message:
    """For the pipe."""
    return Message(Word.REPORT, data=json.dumps(asdict(report)).encode())


def report_of(message: Message) -> WorkerReport:
    """What `report_message` was given; it is trusted, it comes from our own process."""
    return WorkerReport(**json.loads(message.data))
