"""VideoTranscoder and the worker around it: no B-frames, key frames where the source has them."""

from __future__ import annotations

import io
from itertools import pairwise

import pytest
from kit.coded import coded_video, seen, shifted

from livetrio.errors import RemoteProtocolError
from livetrio.media.transcode.pipe import (
    HEAD,
    UNDECODABLE,
    Message,
    Unpacker,
    Word,
    pack,
    unpack_head,
)
from livetrio.media.transcode.video import VideoTranscoder
from livetrio.media.transcode.worker import work
from livetrio.packet import Codec, Kind, Packet, Track
from livetrio.wire.avc import AvcConfig, AvcNal
from livetrio.wire.nal import nal_units


def said(packets):
    """Packets as the server tells them to a worker."""
    return [
        Message(Word.CONFIG, data=p.track.codec.value.encode() + b"\0" + p.data)
        if p.config
        else Message(Word.KEY if p.key else Word.FRAME, p.dts, p.pts, p.data)
        for p in packets
    ]


def made(messages, transcoder=None):
    """What a transcoder makes of messages, as packets."""
    transcoder = transcoder or VideoTranscoder(2_000_000)
    track = Track(Kind.VIDEO, Codec.H264)
    out = [m for message in messages for m in transcoder.feed(message)]
    return [
        Packet(track, m.dts, m.pts, m.data, key=m.word is Word.KEY, config=m.word is Word.CONFIG)
        for m in [*out, *transcoder.flush()]
    ]


def frames(packets):
    return [packet for packet in packets if not packet.config]


def test_b_frames_are_gone_and_every_picture_is_shown_at_its_time():
    source = coded_video()
    assert any(packet.pts != packet.dts for packet in source)
    result = made(said(source))
    assert all(packet.pts == packet.dts for packet in result)
    assert [packet.pts for packet in frames(result)] == sorted(p.pts for p in frames(source))
    for before, after in zip(seen(source), seen(result), strict=True):
        assert before[:3] == after[:3]
        assert abs(before[3] - after[3]) <= 2


def test_the_record_is_constrained_baseline_and_its_sps_rules_reordering_out():
    record = AvcConfig.parse(made(said(coded_video()))[0].data)
    assert (record.profile, record.compatibility & 0x40) == (66, 0x40)
    assert record.sps().reorder == 0
    assert record.pps_list


def test_key_frames_are_idr_and_where_the_source_has_them():
    source = coded_video(frames=60, gop=20)
    result = made(said(source))
    keys = [packet for packet in result if packet.key]
    assert [packet.pts for packet in keys] == [p.pts for p in source if p.key]
    for packet in frames(result):
        types = {unit[0] & 0x1F for unit in nal_units(packet.data)}
        assert types == ({AvcNal.IDR} if packet.key else {AvcNal.SLICE})


def test_a_source_without_key_frames_gets_one_every_five_seconds():
    result = made(said(coded_video(frames=300, gop=1000, size=(64, 64))))
    keys = [packet.pts for packet in result if packet.key]
    assert [b - a for a, b in pairwise(keys)] == [5_000_000, 5_000_000]


def test_a_key_frame_that_is_asked_for_comes_at_once_but_not_more_than_once_a_second():
    messages = said(coded_video(frames=100, gop=1000, size=(64, 64)))
    for place in (90, 40, 38, 10):
        messages.insert(place, Message(Word.WANT_KEY))
    keys = [packet.pts // 40_000 for packet in made(messages) if packet.key]
    assert len(keys) == 4  # the first; the two early wishes are put off to second 1 and 2
    assert all(b - a >= 25 for a, b in pairwise(keys))


def test_a_change_of_size_makes_a_new_record_and_loses_no_picture():
    small, large = coded_video(frames=25), coded_video(frames=25, size=(640, 360))
    result = made(said([*small, *shifted(large, 1_200_000)]))
    assert [packet.config for packet in result].count(True) == 2
    sizes = [picture[1:3] for picture in seen(result)]
    assert sizes == [(320, 180)] * 25 + [(640, 360)] * 25


def test_a_picture_of_odd_size_or_other_colours_is_made_to_fit():
    result = made(said(coded_video(Codec.VP8, frames=10, size=(321, 181))))
    assert [picture[1:3] for picture in seen(result)] == [(320, 180)] * 10


def test_vp8_becomes_h264():
    result = made(said(coded_video(Codec.VP8, frames=20)))
    assert len(frames(result)) == 20
    assert result[1].key


def test_a_broken_frame_is_passed_over_and_an_empty_one_too():
    source = said(coded_video())
    source[10] = Message(Word.FRAME, source[10].dts, source[10].pts, b"\0\0\0\1\xff")
    source[12] = Message(Word.FRAME, source[12].dts, source[12].pts, b"")
    assert len(frames(made(source))) >= 46


def test_nothing_but_garbage_is_an_error_in_the_end():
    record = said(coded_video())[0]
    garbage = [Message(Word.FRAME, n, n, b"\0\0\0\1\xff") for n in range(300)]
    with pytest.raises(RemoteProtocolError):
        made([record, *garbage])


@pytest.mark.parametrize("data", [b"script\0", b"aac\0"])
def test_a_configuration_that_makes_no_sense_is_an_error(data):
    with pytest.raises(RemoteProtocolError):
        made([Message(Word.CONFIG, data=data), Message(Word.KEY, 0, 0, b"\0\0\0\1\x65")])


def test_a_worker_serves_until_its_input_ends():
    source = coded_video()
    sink = io.BytesIO()
    assert work(io.BytesIO(b"".join(map(pack, said(source)))), sink, 1_000_000) == 0
    messages = Unpacker().feed(sink.getvalue())
    assert [m.word for m in messages[:2]] == [Word.CONFIG, Word.KEY]
    assert len(messages) == 1 + 50


def test_a_worker_whose_input_breaks_off_ends_quietly():
    assert work(io.BytesIO(pack(Message(Word.FRAME, data=b"abc"))[:-1]), io.BytesIO(), 1) == 0
    assert work(io.BytesIO(b"abc"), io.BytesIO(), 1_000_000) == 0


def test_a_worker_tells_by_its_status_that_the_stream_cannot_be_decoded(capsys):
    source = io.BytesIO(pack(Message(Word.CONFIG, data=b"script\0")))
    assert work(source, io.BytesIO(), 1_000_000) == UNDECODABLE
    assert "cannot be decoded" in capsys.readouterr().err


def test_messages_survive_any_cut_of_their_bytes():
    messages = [Message(Word.KEY, -1, 2, b"abc"), Message(Word.WANT_KEY), Message(Word.FRAME, 3, 4)]
    data = b"".join(map(pack, messages))
    unpacker = Unpacker()
    assert [m for byte in data for m in unpacker.feed(bytes([byte]))] == messages


def test_nonsense_in_a_pipe_is_an_error_before_anything_is_allocated():
    head = pack(Message(Word.FRAME))
    with pytest.raises(RemoteProtocolError):
        unpack_head(b"\xff" + head[1:])
    with pytest.raises(RemoteProtocolError):
        unpack_head(head[: HEAD - 4] + b"\xff\xff\xff\xff")
