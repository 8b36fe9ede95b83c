"""PictureDesk: all parts' coded pictures in, H.264 of the whole out; the worker's second half."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Final

from av.video.frame import PictureType, VideoFrame

from livetrio.media.mix.canvas import Canvas, Tile
from livetrio.media.mix.lanes import announced, lane_of, part_of
from livetrio.media.mix.layout import rectangles
from livetrio.media.mix.options import MixOptions
from livetrio.media.mix.picture_input import PictureInput
from livetrio.media.mix.scene import Scene
from livetrio.media.transcode.h264 import H264Encoder
from livetrio.media.transcode.pipe import Message, Word
from livetrio.packet import US_PER_SECOND, Kind

__all__ = ["PictureDesk"]

_GOP: Final = 2 * US_PER_SECOND
_SHORTEST_GOP: Final = US_PER_SECOND // 2
"""Microseconds between key frames that were asked for."""
_ONE_CORE: Final = 1280 * 720 * 30
"""Pixels a second that one thread of x264 encodes with ease."""
_MOST_THREADS: Final = 4
_MICROSECONDS: Final = Fraction(1, US_PER_SECOND)


class PictureDesk:
    """Without clock or pipe: whoever runs it says when a picture is due."""

    def __init__(self, options: MixOptions) -> None:
        self._canvas = Canvas(options.width, options.height, options.font)
        needed = -(-options.width * options.height * options.fps // _ONE_CORE)
        self._encoder = H264Encoder(
            options.width,
            options.height,
            Fraction(options.fps),
            options.video_bitrate,
            threads=min(needed, os.cpu_count() or 1, _MOST_THREADS),
            preset="superfast",
            like=self._canvas.frame,
        )
        self._inputs: dict[int, PictureInput] = {}
        self._shown: dict[str, int] = {}  # the numbers of the parts that are seen, by id
        self._last_key = -_GOP
        self._key_wanted = False

    @property
    def faults(self) -> dict[int, int]:
        """What could not be decoded, by the number of its part. Any thread may ask."""
        inputs = list(self._inputs.items())  # at once, whatever the other thread does to them
        return {number: each.faults for number, each in inputs if each.faults}

    def configuration(self) -> Message:
        """What announces the track."""
        return Message(Word.CONFIG, data=self._encoder.record)

    def show(self, scene: Scene, numbers: Mapping[str, int]) -> None:
        """Who is seen from now on, and where."""
        placed = rectangles(scene, self._canvas.frame.width, self._canvas.frame.height)
        tiles = [Tile(part.id, box, part.name) for part, box in placed]
        self._shown = {part.id: numbers[part.id] for part, _ in placed if part.picture}
        present = set(numbers.values())
        self._inputs = {n: each for n, each in self._inputs.items() if n in present}
        self._canvas.arrange(tiles, scene.background)

    def feed(self, message: Message) -> None:
        """A message of some part's pictures, or a wish for a key frame of ours."""
        if message.word is Word.WANT_KEY:
            self._key_wanted = True
            return
        number = part_of(message.lane)[0]
        each = self._inputs.setdefault(number, PictureInput())
        match message.word:
            case Word.CONFIG:
                each.begin(announced(message))
            case Word.END:
                each.begin(None)
            case Word.KEY | Word.FRAME:
                key = message.word is Word.KEY
                each.feed(message.pts, message.dts, message.data, key=key)

    def lose(self) -> None:
        """Messages were left out: all parts begin at their next key frames."""
        for each in self._inputs.values():
            each.lose()

    def compose(self, pts: int, times: Mapping[int, int | None]) -> Iterator[Message]:
        """The next picture, and wishes for key frames.

        Args:
            pts: its time, microseconds.
            times: what each part's clock says of its sound that is heard now, by number.
        """
        pictures: dict[str, VideoFrame | None] = {}
        for id_, number in self._shown.items():
            each = self._inputs.get(number)
            pictures[id_] = each.picture(times.get(number)) if each is not None else None
        self._canvas.show(pictures)
        frame = self._canvas.frame
        frame.pts, frame.time_base = pts, _MICROSECONDS
        frame.pict_type = PictureType.I if self._is_key(pts) else PictureType.NONE
        yield from self._encoder.encode(frame)
        for number, each in self._inputs.items():
            if each.wants_key:
                each.wants_key = False
                yield Message(Word.WANT_KEY, lane=lane_of(number, Kind.VIDEO))

    def _is_key(self, pts: int) -> bool:
        since = pts - self._last_key
        key = since >= _GOP or (self._key_wanted and since >= _SHORTEST_GOP)
        if key:
            self._last_key, self._key_wanted = pts, False
        return key
