"""The demo's picture and sound, as FLV bytes: a test card with a burned-in clock, and a tone.

PyAV encodes; no ffmpeg program is needed. The wheels' FFmpeg has no text filter, so the clock is
drawn as seven-segment digits, straight into the luma plane.
"""

from __future__ import annotations

import io
import math
from array import array
from collections.abc import Iterator
from fractions import Fraction

import av
import av.filter
from av.audio.frame import AudioFrame
from av.video.frame import PictureType, VideoFrame

__all__ = ["FPS", "demo_flv"]

WIDTH, HEIGHT, FPS = 1280, 720, 25
SAMPLE_RATE = 48_000
_TONE_HZ = 440
_BEEP_HZ = 1000
_VIDEO_BITRATE = 1_500_000
_AUDIO_BITRATE = 96_000

# Segments of a digit, as on a pocket calculator: a top, b and c right, d bottom, e and f left,
# g middle.
_SEGMENTS = {
    "0": "abcdef",
    "1": "bc",
    "2": "abged",
    "3": "abgcd",
    "4": "fgbc",
    "5": "afgcd",
    "6": "afgedc",
    "7": "abc",
    "8": "abcdefg",
    "9": "abcdfg",
}
_DIGIT_WIDTH, _DIGIT_HEIGHT, _STROKE = 72, 132, 16
_WHITE = 235
_ADVANCE = {":": 2 * _STROKE, ".": 2 * _STROKE}
"""Pixels to the next character, where it is not a digit's."""
_CLOCK_WIDTH = sum(_ADVANCE.get(char, _DIGIT_WIDTH + _STROKE) for char in "00:00:00.000")
_CLOCK_X, _CLOCK_Y = (WIDTH - _CLOCK_WIDTH) // 2, (HEIGHT - _DIGIT_HEIGHT) // 2


def demo_flv(start: float) -> Iterator[bytes]:
    """FLV bytes, one piece per video frame, without end; run it in a thread, it encodes.

    start: Unix time of the first frame, seconds; the burned-in clock goes on from there.
    The first piece begins with the FLV file header.
    """
    sink = _Sink()
    with av.open(
        sink, "w", format="flv", options={"flvflags": "no_duration_filesize"}
    ) as container:
        video = container.add_stream("libx264", rate=FPS)
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        video.bit_rate = _VIDEO_BITRATE
        video.gop_size = FPS
        video.options = {"preset": "superfast", "tune": "zerolatency", "profile": "main"}
        audio = container.add_stream("aac", rate=SAMPLE_RATE)
        audio.bit_rate = _AUDIO_BITRATE
        audio.layout = "stereo"
        card = _test_card()
        samples = SAMPLE_RATE // FPS
        for number in range(1 << 60):
            frame = next(card)
            _draw_clock(frame, start + number / FPS)
            frame.pts, frame.time_base = number, Fraction(1, FPS)
            frame.pict_type = PictureType.NONE  # the card's own "I" would force key frames
            for packet in video.encode(frame):
                container.mux(packet)
            for packet in audio.encode(_tone(number * samples, samples)):
                container.mux(packet)
            yield sink.taken()


class _Sink(io.RawIOBase):
    """Where the muxer writes; what it wrote is taken away after each frame."""

    def __init__(self) -> None:
        self._data = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        piece = bytes(data)  # type: ignore[call-overload]
        self._data += piece
        return len(piece)

    def taken(self) -> bytes:
        data = bytes(self._data)
        self._data.clear()
        return data


def _test_card() -> Iterator[VideoFrame]:
    graph = av.filter.Graph()
    source = graph.add("testsrc2", f"size={WIDTH}x{HEIGHT}:rate={FPS}")
    pixels = graph.add("format", "pix_fmts=yuv420p")
    plate = graph.add(
        "drawbox",
        f"x={_CLOCK_X - _STROKE}:y={_CLOCK_Y - _STROKE}:w={_CLOCK_WIDTH + _STROKE}"
        f":h={_DIGIT_HEIGHT + 2 * _STROKE}:color=black:t=fill",
    )
    sink = graph.add("buffersink")
    source.link_to(pixels)
    pixels.link_to(plate)
    plate.link_to(sink)
    graph.configure()
    while True:
        frame = graph.pull()
        assert isinstance(frame, VideoFrame)
        yield frame


def _draw_clock(frame: VideoFrame, now: float) -> None:
    """HH:MM:SS.mmm in UTC, white, on the black plate that the test card has for it."""
    milliseconds = int(now * 1000)
    seconds = milliseconds // 1000
    text = (
        f"{seconds // 3600 % 24:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
        f".{milliseconds % 1000:03}"
    )
    plane = frame.planes[0]
    pitch = plane.line_size
    luma = bytearray(plane)

    def fill(x: int, y: int, width: int, height: int) -> None:
        row = bytes([_WHITE]) * width
        for line in range(y, y + height):
            luma[line * pitch + x : line * pitch + x + width] = row

    x, y = _CLOCK_X, _CLOCK_Y
    half = (_DIGIT_HEIGHT - _STROKE) // 2
    strokes = {
        "a": (0, 0, _DIGIT_WIDTH, _STROKE),
        "g": (0, half, _DIGIT_WIDTH, _STROKE),
        "d": (0, _DIGIT_HEIGHT - _STROKE, _DIGIT_WIDTH, _STROKE),
        "f": (0, 0, _STROKE, half + _STROKE),
        "b": (_DIGIT_WIDTH - _STROKE, 0, _STROKE, half + _STROKE),
        "e": (0, half, _STROKE, half + _STROKE),
        "c": (_DIGIT_WIDTH - _STROKE, half, _STROKE, half + _STROKE),
    }
    for char in text:
        if char in _SEGMENTS:
            for segment in _SEGMENTS[char]:
                left, top, stroke_width, stroke_height = strokes[segment]
                fill(x + left, y + top, stroke_width, stroke_height)
        else:
            fill(x, y + _DIGIT_HEIGHT - _STROKE, _STROKE, _STROKE)
            if char == ":":
                fill(x, y + half // 2, _STROKE, _STROKE)
        x += _ADVANCE.get(char, _DIGIT_WIDTH + _STROKE)
    plane.update(bytes(luma))


def _tone(first: int, count: int) -> AudioFrame:
    """A soft tone; in the first tenth of each second a higher one, to judge lip sync by."""
    values = array("f")
    for number in range(first, first + count):
        pitch = _BEEP_HZ if number % SAMPLE_RATE < SAMPLE_RATE // 10 else _TONE_HZ
        values.append(0.1 * math.sin(2 * math.pi * pitch * number / SAMPLE_RATE))
    frame = AudioFrame(format="fltp", layout="stereo", samples=count)
    for plane in frame.planes:
        plane.update(values.tobytes())
    frame.sample_rate = SAMPLE_RATE
    frame.pts, frame.time_base = first, Fraction(1, SAMPLE_RATE)
    return frame
