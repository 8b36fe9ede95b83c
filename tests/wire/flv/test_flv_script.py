"""wire/flv/script.py, through the Demuxer every publisher has."""

import pytest
from kit.media import metadata

from livetrio.packet import Codec, Kind
from livetrio.wire import amf0
from livetrio.wire.amf import EcmaArray
from livetrio.wire.flv import SCRIPT, Demuxer
from livetrio.wire.flv.script import MAX_SCRIPT

SET_DATA_FRAME = amf0.encode("@setDataFrame")


@pytest.mark.parametrize(
    "before", [b"", SET_DATA_FRAME, amf0.encode(0, 1) + SET_DATA_FRAME, amf0.encode(7)]
)
def test_metadata_is_announced_without_what_comes_before_it(before):
    demuxer = Demuxer()
    (packet,) = demuxer.feed(SCRIPT, 5, before + metadata())
    assert (packet.config, packet.key, packet.data) == (True, False, metadata())
    assert (packet.dts, packet.pts) == (5_000, 5_000)
    assert (packet.track.kind, packet.track.codec) == (Kind.DATA, Codec.SCRIPT)
    assert demuxer.tracks == {(Kind.DATA, 0): packet.track}


def test_metadata_repeated_a_thousand_times_yields_nothing():
    demuxer = Demuxer()
    (first,) = demuxer.feed(SCRIPT, 0, metadata())
    for _ in range(1_000):
        assert demuxer.feed(SCRIPT, 0, SET_DATA_FRAME + metadata()) == []
    assert demuxer.tracks[Kind.DATA, 0] is first.track
    assert demuxer.dropped == 0


def test_other_metadata_is_another_track():
    demuxer = Demuxer()
    (first,) = demuxer.feed(SCRIPT, 0, metadata())
    (second,) = demuxer.feed(SCRIPT, 0, metadata(1280, 720))
    assert second.config
    assert second.track is not first.track


@pytest.mark.parametrize("first", [b"", metadata()])
def test_timed_data_is_passed_on_as_it_comes(first):
    demuxer = Demuxer()
    demuxer.feed(SCRIPT, 0, first)
    text = amf0.encode("onTextData", EcmaArray(text="hello"))
    (one,) = demuxer.feed(SCRIPT, 40, text)
    (two,) = demuxer.feed(SCRIPT, 80, text)
    assert (one.config, one.key, one.data, two.data) == (False, True, text, text)
    assert one.track is two.track
    assert one.track.config == first


@pytest.mark.parametrize("body", [b"", SET_DATA_FRAME, amf0.encode(0, 1)])
def test_empty_metadata_is_ignored(body):
    demuxer = Demuxer()
    assert demuxer.feed(SCRIPT, 0, body) == []
    assert demuxer.dropped == 0


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"\x05", "without a name"),
        (amf0.encode(1, 2, 3), "without a name"),
        (b"\x02\x00\x0aonMeta", "bytes announced"),
        (metadata()[:-20], "bytes announced"),
        (amf0.encode("onMetaData", "x" * MAX_SCRIPT), f"script data of {MAX_SCRIPT + 18} bytes"),
        (amf0.encode("onMetaData", [None] * 9_000), "more than 8192 values"),
        (amf0.encode("onMetaData") + b"\x0a\x00\x00\x00\x01" * 10_000, "nested deeper"),
        (amf0.encode("onMetaData") + b"\x08\xff\xff\xff\xff", "AMF0"),
    ],
)
def test_script_data_that_cannot_be_read_is_dropped_with_the_reason(body, why):
    demuxer = Demuxer()
    assert demuxer.feed(SCRIPT, 0, body) == []
    assert demuxer.dropped == 1
    assert why in demuxer.last_reason
    assert demuxer.tracks == {}
