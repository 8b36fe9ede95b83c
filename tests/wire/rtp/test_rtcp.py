"""wire/rtp/rtcp.py, rtcp_reports.py and rtcp_feedback.py."""

import contextlib
import struct

import pytest
from aiortc import rtp as aiortc_rtp
from hypothesis import given
from hypothesis import strategies as st

from livetrio.errors import LocalProtocolError, RemoteProtocolError
from livetrio.wire.rtp.rtcp import MAX_NUMBERS, MAX_PACKETS, parse_rtcp
from livetrio.wire.rtp.rtcp_feedback import MAX_LOST, Fir, Nack, Pli, Remb
from livetrio.wire.rtp.rtcp_reports import (
    Bye,
    ReceiverReport,
    ReportBlock,
    SdesChunk,
    SenderReport,
    SourceDescription,
    rtcp_packet,
)

BLOCK = ReportBlock(7, 128, -3, 0x1_0005, 90, 0x1234_5678, 65_536)
WORDS = [
    SenderReport(1, 0xE1_0000_0080_0000, 3, 4, 5),
    SenderReport(1, 2, 3, 4, 5, [BLOCK, BLOCK]),
    ReceiverReport(1),
    ReceiverReport(1, [BLOCK]),
    SourceDescription.of([(1, "me"), (2, "you!"), (3, ""), (4, "a")]),
    SourceDescription([SdesChunk(1, [(1, b"me"), (8, b"\x03xyz")])]),
    SourceDescription([]),
    Bye([1, 2]),
    Bye([1], "over"),
    Bye([], "why"),
    Nack(1, 2, [5, 6, 22, 23]),
    Nack(1, 2, [65_535, 0, 15]),
    Nack(1, 2, []),
    Pli(1, 2),
    Fir(1, [(2, 3), (4, 255)]),
    Remb(1, 250_000, [2, 3]),
    Remb(1, 0, []),
]


@pytest.mark.parametrize("word", WORDS, ids=repr)
def test_what_is_built_is_read_again(word):
    assert parse_rtcp(word.build()) == [word]


@pytest.mark.parametrize("word", WORDS, ids=repr)
def test_aiortc_reads_what_is_built(word):
    (theirs,) = aiortc_rtp.RtcpPacket.parse(word.build())
    if isinstance(theirs, aiortc_rtp.RtcpByePacket):  # it does not keep the reason
        assert theirs.sources == word.ssrcs
    elif isinstance(theirs, aiortc_rtp.RtcpSdesPacket):  # it looks for padding at the end alone
        assert [(c.ssrc, c.items) for c in theirs.chunks[:1]] == [
            (c.ssrc, c.items) for c in word.chunks[:1]
        ]
    else:
        assert bytes(theirs) == word.build()


def test_a_compound_is_read_in_order():
    words = [WORDS[1], WORDS[4], WORDS[10], WORDS[13]]
    assert parse_rtcp(memoryview(b"".join(word.build() for word in words))) == words


def test_types_nobody_needs_are_stepped_over():
    xr = rtcp_packet(207, 0, bytes(8))
    app = rtcp_packet(204, 3, bytes(8))
    sli = rtcp_packet(206, 2, bytes(12))
    pause = rtcp_packet(205, 9, b"")
    other_layer = rtcp_packet(206, 15, bytes(8) + b"GOOG")
    assert parse_rtcp(xr + app + Pli(1, 2).build() + sli + pause + other_layer) == [Pli(1, 2)]


def test_padding_of_the_last_packet_is_taken_off():
    body = Nack(1, 2, [3]).build()[4:] + b"\0\0\0\4"
    assert parse_rtcp(b"\xa1\xcd" + (len(body) // 4).to_bytes(2) + body) == [Nack(1, 2, [3])]


def test_profile_extensions_of_reports_are_ignored():
    report = ReceiverReport(1, [BLOCK])
    assert parse_rtcp(rtcp_packet(201, 1, report.build()[4:] + b"more")) == [report]


def test_the_loss_of_a_report_is_held_in_its_field():
    block = ReportBlock(7, 300, 1 << 30, 1 << 40, 1 << 40, 0, 1 << 40)
    (report,) = parse_rtcp(ReceiverReport(1, [block]).build())
    assert report.reports == [ReportBlock(7, 255, 0x7F_FFFF, 0, 0xFFFF_FFFF, 0, 0xFFFF_FFFF)]


def test_the_middle_of_a_sender_reports_time_is_what_receivers_repeat():
    assert SenderReport(1, 0x1111_2222_3333_4444, 0, 0, 0).middle == 0x2222_3333


def test_cnames_are_found():
    description = SourceDescription([SdesChunk(1, [(2, b"x"), (1, b"me")]), SdesChunk(2, [])])
    assert [chunk.cname for chunk in description.chunks] == ["me", ""]


def test_a_cut_reason_of_a_bye_is_shortened():
    assert parse_rtcp(rtcp_packet(203, 1, b"\0\0\0\1\xffab\0")) == [Bye([1], "ab\0")]


def test_a_nack_of_numbers_far_apart_asks_for_each():
    (nack,) = parse_rtcp(Nack(1, 2, [9, 100, 50, 51]).build())
    assert nack.lost == [9, 100, 50, 51]


@given(st.lists(st.integers(0, 65_535), max_size=200))
def test_every_number_of_a_nack_arrives(lost):
    (nack,) = parse_rtcp(Nack(1, 2, lost).build())
    assert set(nack.lost) == set(lost)


@given(st.integers(0, (1 << 63) - 1))
def test_a_bitrate_loses_only_its_last_digits(bitrate):
    (remb,) = parse_rtcp(Remb(1, bitrate, [2]).build())
    assert 0 <= bitrate - remb.bitrate <= bitrate >> 17


def remb_of(mantissa: int, exponent: int, count: int = 1, ssrcs: int = 1) -> bytes:
    rate = exponent << 18 | mantissa
    return rtcp_packet(
        206, 15, bytes(8) + b"REMB" + bytes((count,)) + rate.to_bytes(3) + bytes(4 * ssrcs)
    )


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"\x80\xc8\x00", id="a cut header"),
        pytest.param(b"\x40\xc8\x00\x00", id="version 1"),
        pytest.param(b"\x80\xc8\x00\x06" + bytes(20), id="longer than its datagram"),
        pytest.param(b"\x80\xc8\xff\xff" + bytes(400), id="256 KiB announced"),
        pytest.param(b"\x80\xcc\x00\x00" * (MAX_PACKETS + 1), id="a compound of empty packets"),
        pytest.param(Pli(1, 2).build() + b"\0", id="a byte behind"),
        pytest.param(Pli(1, 2).build() + bytes(4), id="zeros behind"),
        pytest.param(b"\xa0\xcc\x00\x00", id="padding of an empty packet"),
        pytest.param(b"\xa0\xcc\x00\x01\0\0\0\0", id="padding 0"),
        pytest.param(b"\xa0\xcc\x00\x01\0\0\0\5", id="padding over the packet"),
        pytest.param(rtcp_packet(200, 0, bytes(16)), id="a cut sender report"),
        pytest.param(rtcp_packet(200, 2, bytes(44)), id="a sender report of missing blocks"),
        pytest.param(rtcp_packet(201, 0, b""), id="an empty receiver report"),
        pytest.param(rtcp_packet(201, 31, bytes(28)), id="a report of 31 missing blocks"),
        pytest.param(rtcp_packet(202, 1, b""), id="a description of nobody"),
        pytest.param(rtcp_packet(202, 1, bytes(4) + b"\1\2me"), id="a chunk without an end"),
        pytest.param(rtcp_packet(202, 1, bytes(4) + b"\1\xffme"), id="an item that is cut"),
        pytest.param(rtcp_packet(202, 1, bytes(4) + b"\1\1a\1"), id="an item without length"),
        pytest.param(rtcp_packet(203, 2, bytes(4)), id="a BYE of a missing source"),
        pytest.param(rtcp_packet(205, 1, bytes(4)), id="feedback without its SSRCs"),
        pytest.param(b"\xa1\xcd\x00\x03" + bytes(11) + b"\2", id="a cut NACK"),
        pytest.param(rtcp_packet(205, 1, bytes(8) + b"\0\0\xff\xff" * 6_000), id="NACK of 100,000"),
        pytest.param(rtcp_packet(206, 4, bytes(12)), id="a cut FIR"),
        pytest.param(rtcp_packet(206, 15, bytes(8) + b"REMB"), id="a cut REMB"),
        pytest.param(remb_of(1, 1, count=255), id="a REMB of missing sources"),
        pytest.param(remb_of(0x3FFFF, 63), id="a REMB of 81 bits"),
        pytest.param(remb_of(1, 63), id="a REMB of 64 bits"),
    ],
)
def test_hostile_datagrams_are_refused(data):
    with pytest.raises(RemoteProtocolError, match=r"^RTCP: "):
        parse_rtcp(data)


def test_the_largest_nack_is_read():
    pairs = MAX_LOST // 17
    (nack,) = parse_rtcp(rtcp_packet(205, 1, bytes(8) + b"\0\0\xff\xff" * pairs))
    assert len(nack.lost) == 17 * pairs


@pytest.mark.parametrize(
    "word",
    [
        rtcp_packet(205, 1, bytes(8) + b"\0\0\xff\xff" * 120),
        rtcp_packet(205, 15, bytes(8) + b"\0\0\x10\0" + bytes(4) + b"\x10\0\0\0"),
    ],
    ids=["NACKs", "transport-wide feedbacks"],
)
def test_few_bytes_that_name_many_packets_meet_a_bound_in_all(word):
    (one,) = parse_rtcp(word)
    each = len(one.lost if isinstance(one, Nack) else one.arrivals)
    fit = MAX_NUMBERS // each
    assert len(parse_rtcp(word * fit)) == fit
    with pytest.raises(RemoteProtocolError, match=r"numbers in a datagram"):
        parse_rtcp(word * (fit + 1))


def test_transport_wide_feedback_is_stepped_over_where_nobody_asked_for_it():
    word = rtcp_packet(205, 15, bytes(8) + b"\0\0\xff\xff" + bytes(4) + b"\xff\xff\0\0")
    assert parse_rtcp(word * 30 + Pli(1, 2).build(), transport=False) == [Pli(1, 2)]


def test_our_own_mistakes_do_not_reach_the_wire():
    with pytest.raises(LocalProtocolError):
        rtcp_packet(200, 32, b"")
    with pytest.raises(LocalProtocolError):
        rtcp_packet(200, 0, b"abc")


@given(
    st.lists(
        st.builds(
            lambda head, kind, body: struct.pack(">BBH", head, kind, len(body) // 4) + body,
            st.integers(0x80, 0xBF),
            st.sampled_from((200, 201, 202, 203, 204, 205, 206, 207)),
            st.binary(max_size=64).map(lambda body: body[: len(body) & ~3]),
        ),
        max_size=4,
    ).map(b"".join)
    | st.binary(max_size=64)
)
def test_no_bytes_break_the_reader(data):
    with contextlib.suppress(RemoteProtocolError):
        parse_rtcp(data)
