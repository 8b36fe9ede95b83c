"""H264Encoder: the stream says what its colours are, as the pictures did."""

from __future__ import annotations

from fractions import Fraction

import av
import pytest
from av.video.frame import VideoFrame
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc

from livetrio.media.transcode.h264 import H264Encoder

BT709 = Colorspace.ITU709, ColorPrimaries.BT709, ColorTrc.BT709
UNKNOWN = 2


def frame(form: str, range_: ColorRange, level: int) -> VideoFrame:
    made = VideoFrame(320, 180, form)
    for plane, value in zip(made.planes, (level, 79, 70), strict=True):
        plane.update(bytes([value]) * plane.buffer_size)
    made.colorspace, made.color_primaries, made.color_trc = BT709
    made.color_range = range_
    made.pts, made.time_base = 0, Fraction(1, 1_000_000)
    return made


def decoded(encoder: H264Encoder, picture: VideoFrame) -> VideoFrame:
    """What a player makes of it."""
    decoder = av.CodecContext.create("h264", "r")
    decoder.extradata = encoder.record
    messages = [*encoder.encode(picture), *encoder.encode(None)]
    data = [av.Packet(message.data) for message in messages]
    found = [shown for packet in [*data, None] for shown in decoder.decode(packet)]
    return found[0]


@pytest.mark.parametrize(
    ("form", "range_", "told"),
    [
        ("yuv420p", ColorRange.MPEG, ColorRange.MPEG),
        ("yuvj420p", ColorRange.JPEG, ColorRange.MPEG),
    ],
)
def test_a_players_colours_are_those_of_the_pictures(form, range_, told):
    source = frame(form, range_, 140)
    before = source.to_ndarray(format="rgb24")[90, 160].astype(int)
    encoder = H264Encoder(320, 180, Fraction(30), 500_000, threads=1, like=source)
    shown = decoded(encoder, source)
    assert (shown.colorspace, shown.color_primaries, shown.color_trc) == BT709
    assert shown.color_range == told
    after = shown.to_ndarray(format="rgb24")[90, 160].astype(int)
    assert abs(after - before).max() <= 4


def test_of_pictures_that_say_nothing_nothing_is_said():
    source = frame("yuv420p", ColorRange.UNSPECIFIED, 140)
    source.colorspace = source.color_primaries = source.color_trc = UNKNOWN
    encoder = H264Encoder(320, 180, Fraction(30), 500_000, threads=1, like=source)
    shown = decoded(encoder, source)
    assert (shown.colorspace, shown.color_range) == (UNKNOWN, ColorRange.UNSPECIFIED)
