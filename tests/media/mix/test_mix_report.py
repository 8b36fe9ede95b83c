"""WorkerReport: what a worker counted comes through the pipe as it was."""

from __future__ import annotations

from livetrio.media.mix.report import WorkerReport, report_message, report_of
from livetrio.media.transcode.pipe import Unpacker, pack


def test_a_report_is_read_as_it_was_written():
    report = WorkerReport(
        faults=1, late=2, left_out=3, overflows=4, underruns=5, cuts=6, adjustments=7
    )
    (message,) = Unpacker().feed(pack(report_message(report)))
    assert report_of(message) == report
