"""wire/rtp/twcc.py."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from livetrio.errors import RemoteProtocolError
from livetrio.wire.rtp.rtcp import parse_rtcp
from livetrio.wire.rtp.rtcp_reports import rtcp_packet
from livetrio.wire.rtp.twcc import MAX_STATUSES, TransportFeedback, build_feedback


def read(packets: list[bytes]) -> list[TransportFeedback]:
    return [word for packet in packets for word in parse_rtcp(packet)]


def told(packets: list[bytes]) -> dict[int, int]:
    """What feedback says: arrival in us by 16-bit transport sequence number."""
    return {
        (word.base + index) & 0xFFFF: arrival
        for word in read(packets)
        for index, arrival in enumerate(word.arrivals)
        if arrival is not None
    }


def feedback_of(total: int, chunks: str, deltas: bytes = b"", reference: int = 0) -> bytes:
    body = bytes(8) + (0).to_bytes(2) + total.to_bytes(2) + (reference << 8).to_bytes(4)
    body += bytes.fromhex(chunks) + deltas
    return rtcp_packet(205, 15, body + bytes(-len(body) % 4))


def test_a_feedback_written_by_hand_is_read():
    # Base 1; of five packets 1, 2 and 5 arrived: one bit each in one vector, three deltas.
    data = bytes.fromhex("8fcd0006 00000001 00000002 00010005 00000203 b2000408 0c000000")
    (word,) = parse_rtcp(data)
    assert (word.sender_ssrc, word.media_ssrc, word.base, word.count) == (1, 2, 1, 3)
    assert word.arrivals == [129_000, 131_000, None, None, 134_000]


def test_arrivals_are_told_with_a_quarter_of_a_millisecond():
    arrivals = {10: 1_000_000, 11: 1_000_300, 13: 1_250_000, 14: 1_249_000}
    (word,) = read(build_feedback(1, 2, 7, arrivals))
    assert (word.sender_ssrc, word.media_ssrc, word.count, word.base) == (1, 2, 7, 10)
    assert word.arrivals == [1_000_000, 1_000_250, None, 1_250_000, 1_249_000]


def test_losses_before_the_first_arrival_are_told():
    (word,) = read(build_feedback(1, 2, 0, {13: 64_000}, base=10))
    assert (word.base, word.arrivals) == (10, [None, None, None, 64_000])


@pytest.mark.parametrize("base", [20, -5_000])
def test_a_base_that_makes_no_sense_is_not_believed(base):
    (word,) = read(build_feedback(1, 2, 0, {13: 64_000}, base=base))
    assert (word.base, word.arrivals) == (13, [64_000])


def test_nothing_that_arrived_is_nothing_to_tell():
    assert build_feedback(1, 2, 0, {}, base=5) == []


def test_a_hundred_packets_in_a_row_take_one_chunk():
    (packet,) = build_feedback(1, 2, 0, {n: n * 1_000 for n in range(100)})
    assert len(packet) == 20 + 2 + 100 + 2


def test_a_long_silence_begins_a_second_packet():
    arrivals = {0: 0, 1: 10_000_000, 4: 10_000_250}
    first, second = read(build_feedback(1, 2, 255, arrivals))
    assert (first.count, first.base, first.arrivals) == (255, 0, [0])
    assert (second.count, second.base) == (0, 1)
    assert second.arrivals == [10_000_000, None, None, 10_000_250]


def test_many_packets_are_told_in_several_that_fit_any_path():
    arrivals = {n: n * 200_000 for n in range(0, 3_000, 2)}
    packets = build_feedback(1, 2, 0, arrivals)
    assert max(map(len, packets)) <= 1_200
    assert told(packets) == arrivals
    assert [word.count for word in read(packets)] == list(range(len(packets)))


def test_a_gap_wider_than_a_packet_is_left_out():
    packets = build_feedback(1, 2, 0, {0: 0, 60_000: 250})
    assert told(packets) == {0: 0, 60_000: 250}
    assert sum(len(word.arrivals) for word in read(packets)) == 2


def test_a_gap_between_two_packets_is_told():
    arrivals = {n: n * 200_000 for n in range(301)} | {310: 70_000_000}
    words = read(build_feedback(1, 2, 0, arrivals))
    assert words[0].base + len(words[0].arrivals) == words[1].base


@given(
    st.integers(0, 1 << 20),
    st.lists(
        st.tuples(st.integers(1, 40) | st.just(1), st.integers(-90_000, 90_000)), max_size=300
    ),
)
def test_whatever_arrived_is_told(base, steps):
    arrivals = {}
    number, now = base, 500_000_000
    for step, delta in steps:
        number, now = number + step, now + delta // 250 * 250
        arrivals[number] = now
    packets = build_feedback(1, 2, 0, arrivals, base)
    assert told(packets) == {n & 0xFFFF: at for n, at in arrivals.items()}
    assert all(len(packet) <= 1_200 for packet in packets)


def test_the_reference_time_is_signed():
    (word,) = parse_rtcp(feedback_of(1, "2001", b"\0", reference=0xFF_FFFF))
    assert word.arrivals == [-64_000]


def test_deltas_may_go_back():
    (word,) = parse_rtcp(feedback_of(2, "4002", b"\0\4\xff\xff"))
    assert word.arrivals == [1_000, 750]


def test_vectors_are_read_up_to_the_count():
    (word,) = parse_rtcp(feedback_of(3, "bfff", b"\1\1\1"))
    assert word.arrivals == [250, 500, 750]


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(rtcp_packet(205, 15, bytes(12)), id="without its head"),
        pytest.param(feedback_of(65_535, "1fff" * 8 + "0007"), id="65,535 packets"),
        pytest.param(feedback_of(MAX_STATUSES + 1, "1fff"), id="one too many"),
        pytest.param(feedback_of(20, "20052005"), id="without all statuses"),
        pytest.param(feedback_of(9, "0000" * 8), id="empty runs"),
        pytest.param(feedback_of(9, "6009"), id="a run of the reserved symbol"),
        pytest.param(feedback_of(7, "f000"), id="a vector with the reserved symbol"),
        pytest.param(feedback_of(40, "2028"), id="without its deltas"),
        pytest.param(feedback_of(2, "4002", b"\0\1"), id="with a cut delta"),
    ],
)
def test_hostile_feedback_is_refused(data):
    with pytest.raises(RemoteProtocolError, match=r"^RTCP: "):
        parse_rtcp(data)


def test_the_longest_feedback_is_read():
    (word,) = parse_rtcp(feedback_of(MAX_STATUSES, "1fff"))
    assert word.arrivals == [None] * MAX_STATUSES


@given(st.binary(max_size=64))
def test_no_bytes_break_the_reader(body):
    with contextlib.suppress(RemoteProtocolError):
        TransportFeedback.parse(1, 2, body)
