"""wire/flv/demux.py and wire/flv/drops.py: what holds for every kind of tag."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kit.media import aac_config, aac_frame, avc_config, sample_packets

from livetrio.errors import RemoteProtocolError
from livetrio.packet import Kind
from livetrio.wire import amf0
from livetrio.wire.flv import AUDIO, SCRIPT, VIDEO, Demuxer, tag_body
from livetrio.wire.flv.drops import MAX_IN_A_ROW

BROKEN = b"\x1f"


def test_a_whole_stream_goes_through_unchanged():
    demuxer = Demuxer()
    found = []
    sent = list(sample_packets(3))
    for packet in sent:
        tag_type, body = tag_body(packet)
        found += demuxer.feed(tag_type, packet.dts // 1000, body)
    assert [(p.track.codec, p.data, p.key, p.config) for p in found] == [
        (p.track.codec, p.data, p.key, p.config) for p in sent
    ]
    assert set(demuxer.tracks) == {(Kind.VIDEO, 0), (Kind.AUDIO, 0), (Kind.DATA, 0)}
    assert (demuxer.dropped, demuxer.last_reason) == (0, "")


def test_times_are_taken_as_they_are():
    demuxer = Demuxer()
    demuxer.feed(AUDIO, 0, b"\xaf\x00" + aac_config())
    times = [0, 2**32 - 1, 5, 3_600_000 * 30]  # wrap, back and hours ahead: others repair that
    found = [demuxer.feed(AUDIO, ms, b"\xaf\x01" + aac_frame())[0].dts for ms in times]
    assert found == [ms * 1000 for ms in times]


def test_an_unknown_tag_type_is_dropped():
    demuxer = Demuxer()
    assert demuxer.feed(10, 0, b"body") == []
    assert demuxer.last_reason == "tag type 10"


def test_a_publisher_that_sends_nothing_usable_is_given_up_with_the_last_reason():
    demuxer = Demuxer()
    for _ in range(MAX_IN_A_ROW):
        demuxer.feed(VIDEO, 0, BROKEN)
    with pytest.raises(RemoteProtocolError, match=r"nothing usable .* video codec id 15"):
        demuxer.feed(VIDEO, 0, BROKEN)


def test_the_tracks_of_one_tag_are_given_up_alike():
    demuxer = Demuxer()
    body = bytes.fromhex("95 11 4f707573") + bytes.fromhex("00000001fc 01000001fc")
    for _ in range(MAX_IN_A_ROW // 2):
        demuxer.feed(AUDIO, 0, body)
    with pytest.raises(RemoteProtocolError, match="nothing usable"):
        demuxer.feed(AUDIO, 0, body)
    assert demuxer.dropped > MAX_IN_A_ROW


def test_metadata_alone_does_not_keep_a_useless_publisher():
    demuxer = Demuxer()
    for number in range(MAX_IN_A_ROW):
        demuxer.feed(VIDEO, 0, BROKEN)
        assert demuxer.feed(SCRIPT, 0, amf0.encode("onMetaData", number))
    with pytest.raises(RemoteProtocolError, match="nothing usable"):
        demuxer.feed(VIDEO, 0, BROKEN)


def test_one_usable_kind_keeps_the_publisher_whatever_the_other_sends():
    demuxer = Demuxer()
    demuxer.feed(AUDIO, 0, b"\xaf\x00" + aac_config())
    for _ in range(3 * MAX_IN_A_ROW):
        demuxer.feed(VIDEO, 0, BROKEN)
        assert demuxer.feed(AUDIO, 0, b"\xaf\x01" + aac_frame())
    assert demuxer.dropped == 3 * MAX_IN_A_ROW


@given(
    st.lists(
        st.tuples(
            st.sampled_from([AUDIO, VIDEO, SCRIPT]),
            st.sampled_from(
                ["", "17", "1700000000", "1701000000", "9c", "af00", "af01", "91", "90"]
            )
            .map(bytes.fromhex)
            .flatmap(lambda head: st.binary(max_size=40).map(lambda tail: head + tail)),
        ),
        max_size=20,
    )
)
def test_garbage_never_gets_out_of_a_demuxer_as_an_error(tags):
    demuxer = Demuxer()
    demuxer.feed(VIDEO, 0, b"\x17\x00\x00\x00\x00" + avc_config())
    for tag_type, body in tags:
        for packet in demuxer.feed(tag_type, 0, body):
            assert packet.data or packet.config
