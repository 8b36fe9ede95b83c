"""Run: what may go out in one segmented send."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kit.gateway import rtp

from livetrio.errors import LocalProtocolError
from livetrio.webrtc.run import MAX_RUN_BYTES, MAX_RUN_PACKETS, Run, header_size, runs_of


@given(st.lists(st.sampled_from([0, 5, 100, 1188]), max_size=200))
def test_packets_are_cut_into_runs_that_keep_their_order(sizes):
    packets = [(rtp(number, bytes(size)), number) for number, size in enumerate(sizes)]
    runs = runs_of(packets)
    flat = [pair for run in runs for pair in zip(run.packets, run.indexes, strict=True)]
    assert flat == packets
    for run in runs:
        assert len(run.packets) <= MAX_RUN_PACKETS
        assert run.size == sum(map(len, run.packets)) <= MAX_RUN_BYTES


def test_as_few_runs_as_the_rules_allow():
    sizes = [100, 100, 40, 100, 100, 200]
    runs = runs_of((rtp(number, bytes(size)), number) for number, size in enumerate(sizes))
    assert [len(run.packets) for run in runs] == [3, 2, 1]


@pytest.mark.parametrize("sizes", [[], [5, 6], [6, 5, 6], [5] * 65, [1488] * 41])
def test_other_runs_are_a_bug(sizes):
    packets = [rtp(number, bytes(size)) for number, size in enumerate(sizes)]
    with pytest.raises(LocalProtocolError):
        Run(packets, list(range(len(sizes))))


def test_every_packet_has_an_index():
    with pytest.raises(LocalProtocolError):
        Run([rtp(1)], [1, 2])


@pytest.mark.parametrize(
    ("packet", "size"),
    [
        (rtp(1), 12),
        (b"\x82" + rtp(1)[1:] + bytes(20), 20),
        (b"\x90" + rtp(1, b"")[1:] + b"\xbe\xde\0\2" + bytes(9), 24),
        (b"\x90" + rtp(1, b"")[1:] + b"\xbe\xde", 12),
    ],
)
def test_headers_are_measured_with_sources_and_extension(packet, size):
    assert header_size(packet) == size
