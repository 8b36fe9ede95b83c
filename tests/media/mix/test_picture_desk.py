"""PictureDesk: real coded pictures of all kinds in, H.264 out; bad input hurts nobody else."""

from __future__ import annotations

import av
import numpy as np
import pytest
from kit.coded import coded_video

from livetrio.media.mix.lanes import announcement, lane_of
from livetrio.media.mix.options import MixOptions
from livetrio.media.mix.picture_desk import PictureDesk
from livetrio.media.mix.scene import Part, Rect, Scene
from livetrio.media.transcode.pipe import Message, Word
from livetrio.packet import Codec, Kind, StreamKey
from livetrio.wire.avc import AvcConfig

WIDTH, HEIGHT = 320, 240
TILE = 38
"""Brightness of a place without a picture."""


def scene(count: int, **changes) -> tuple[Scene, dict[str, int]]:
    parts = tuple(
        Part(str(n), StreamKey("live", str(n)), "", sound=False, picture=True) for n in range(count)
    )
    return Scene(parts, **changes), {part.id: n for n, part in enumerate(parts)}


def desk_for(count: int, **changes) -> PictureDesk:
    desk = PictureDesk(MixOptions(video=True, width=WIDTH, height=HEIGHT, fps=25))
    desk.show(*scene(count, **changes))
    return desk


def said(number, packet):
    lane = lane_of(number, Kind.VIDEO)
    if packet.config:
        return announcement(packet.track, lane)
    word = Word.KEY if packet.key else Word.FRAME
    return Message(word, packet.dts, packet.pts, packet.data, lane)


class Screen:
    """Shows what a desk makes."""

    def __init__(self, desk: PictureDesk) -> None:
        self.desk = desk
        self.wishes: list[int] = []
        self.made: list[Message] = []
        self._decoder = av.CodecContext.create("h264", "r")
        self._decoder.extradata = desk.configuration().data
        self.picture = np.zeros((HEIGHT, WIDTH), np.uint8)

    def compose(self, times=None, *, at: int | None = None):
        pts = len(self.made) * 40_000 if at is None else at
        for message in self.desk.compose(pts, times or {}):
            if message.word is Word.WANT_KEY:
                self.wishes.append(message.lane)
                continue
            self.made.append(message)
            for frame in self._decoder.decode(av.Packet(message.data)):
                self.picture = frame.to_ndarray()[:HEIGHT]
        return self.picture

    def levels(self, *places: tuple[int, int]) -> list[int]:
        """Brightness at places (x, y)."""
        return [int(self.picture[y, x]) for x, y in places]


CENTRES = [(80, 60), (240, 60), (80, 180), (240, 180)]


def grey(packets, index: int) -> int:
    """Brightness of a frame of `coded_video`."""
    return 40 + index % 200


def test_everybody_is_seen_at_his_place_whatever_he_sends():
    screen = Screen(desk_for(4))
    sources = [
        coded_video(frames=10, b_frames=0),
        coded_video(Codec.VP8, frames=60),
        coded_video(frames=100, b_frames=2, size=(640, 360)),
        coded_video(frames=150, b_frames=0, size=(240, 320)),
    ]
    for number, packets in enumerate(sources):
        for packet in packets:
            screen.desk.feed(said(number, packet))
    screen.compose()
    shown = screen.levels(*CENTRES)
    for level, expected in zip(shown, (49, 99, 137, 189), strict=True):
        assert abs(level - expected) <= 4
    assert screen.desk.faults == {}


def test_what_comes_out_is_baseline_in_order_with_a_key_frame_every_two_seconds():
    screen = Screen(desk_for(1))
    for _ in range(110):
        screen.compose()
    assert AvcConfig.parse(screen.desk.configuration().data).profile == 66
    assert all(m.pts == m.dts for m in screen.made)
    assert [m.pts for m in screen.made if m.word is Word.KEY] == [0, 2_000_000, 4_000_000]


def test_a_key_frame_that_is_asked_for_comes_but_not_more_than_twice_a_second():
    screen = Screen(desk_for(1))
    for number in range(40):
        if 5 <= number <= 20:
            screen.desk.feed(Message(Word.WANT_KEY))
        screen.compose()
    keys = [m.pts // 40_000 for m in screen.made if m.word is Word.KEY]
    assert keys == [0, 13, 26]


def test_a_part_without_a_stream_is_a_tile_and_without_a_picture_too():
    screen = Screen(desk_for(2))
    for packet in coded_video(frames=100, b_frames=0):
        screen.desk.feed(said(0, packet))
    screen.compose()
    assert abs(screen.levels((80, 120))[0] - 139) <= 3
    assert abs(screen.levels((240, 120))[0] - TILE) <= 3
    screen.desk.feed(Message(Word.END, lane=lane_of(0, Kind.VIDEO)))
    screen.compose()
    assert abs(screen.levels((80, 120))[0] - TILE) <= 3


def test_a_camera_that_is_turned_off_is_not_shown_any_more():
    screen = Screen(desk_for(1))
    for packet in coded_video(frames=100, b_frames=0):
        screen.desk.feed(said(0, packet))
    screen.compose()
    parts = tuple(Part(**{**_fields(p), "picture": False}) for p in scene(1)[0].parts)
    screen.desk.show(Scene(parts), {"0": 0})
    screen.compose()
    assert abs(screen.levels((160, 120))[0] - TILE) <= 3


def _fields(part):
    return {name: getattr(part, name) for name in Part.__slots__}


def test_garbage_of_one_is_counted_and_the_others_are_seen():
    screen = Screen(desk_for(2))
    good = coded_video(frames=50, b_frames=0)
    for number, packet in enumerate(good):
        screen.desk.feed(said(0, packet))
        message = said(1, packet)
        if not packet.config:
            message.data = b"\0\0\0\1\xff" * (number % 7)
        screen.desk.feed(message)
    screen.compose()
    assert abs(screen.levels((80, 120))[0] - 89) <= 3
    assert screen.desk.faults[1] > 10
    assert screen.wishes == [lane_of(1, Kind.VIDEO)]
    # It comes to its senses.
    for packet in good:
        screen.desk.feed(said(1, packet))
    screen.compose()
    assert abs(screen.levels((240, 120))[0] - 89) <= 3


@pytest.mark.parametrize("data", [b"script 0 0\0", b"aac 0 0\0", b"h264 0 0\0\xff\xff"])
def test_a_configuration_that_makes_no_sense_is_a_tile(data):
    screen = Screen(desk_for(1))
    packets = coded_video(frames=5, b_frames=0)
    screen.desk.feed(Message(Word.CONFIG, data=data, lane=lane_of(0, Kind.VIDEO)))
    for packet in packets[1:]:
        screen.desk.feed(said(0, packet))
    screen.compose()
    assert abs(screen.levels((160, 120))[0] - TILE) <= 3
    assert screen.desk.faults


def test_a_phone_that_is_turned_and_another_codec_are_shown_at_once():
    screen = Screen(desk_for(1))
    sources = (
        coded_video(frames=20, b_frames=0, size=(320, 180)),
        coded_video(frames=60, b_frames=0, size=(180, 320)),
        coded_video(Codec.VP8, frames=110),
    )
    for packets, level in zip(sources, (59, 99, 149), strict=True):
        for packet in packets:
            screen.desk.feed(said(0, packet))
        screen.compose()
        assert abs(screen.levels((160, 120))[0] - level) <= 4


def test_a_picture_waits_for_its_sound():
    screen = Screen(desk_for(1))
    packets = coded_video(frames=30, b_frames=0)
    shown = []
    for index, packet in enumerate(packets):
        screen.desk.feed(said(0, packet))
        if packet.config:
            continue
        # The sound that is heard is 80 ms behind what came.
        screen.compose({0: packet.pts - 80_000})
        shown.append(screen.levels((160, 120))[0] - grey(packets, index - 1))
    assert all(-3.5 <= behind <= -0.5 for behind in shown[5:])


def test_sound_of_another_clock_holds_no_picture_up():
    screen = Screen(desk_for(1))
    for packet in coded_video(frames=30, b_frames=0):
        screen.desk.feed(said(0, packet))
    for time in (None, -(10**12), 10**12):
        screen.compose({0: time})
        assert abs(screen.levels((160, 120))[0] - 69) <= 3


def test_after_a_loss_nothing_is_decoded_before_a_key_frame_and_one_is_asked_for():
    screen = Screen(desk_for(1))
    packets = coded_video(frames=50, b_frames=0, gop=25)
    for packet in packets[:11]:
        screen.desk.feed(said(0, packet))
    screen.compose()
    screen.desk.lose()
    for packet in packets[15:25]:
        screen.desk.feed(said(0, packet))
    screen.compose()
    assert abs(screen.levels((160, 120))[0] - 49) <= 3
    assert screen.wishes == [lane_of(0, Kind.VIDEO)]
    for packet in packets[25:]:
        screen.desk.feed(said(0, packet))
    screen.compose()
    assert abs(screen.levels((160, 120))[0] - 89) <= 3


def test_of_rectangles_that_cover_one_another_the_higher_is_seen_whichever_changes():
    parts = (
        Part("0", StreamKey("a", "0"), "", False, True, rect=Rect(0.25, 0.25, 0.5, 0.5, z=1)),
        Part("1", StreamKey("a", "1"), "", False, True, rect=Rect(0, 0, 1, 1)),
    )
    screen = Screen(desk_for(0))
    screen.desk.show(Scene(parts, "custom"), {"0": 0, "1": 1})
    upper, lower = coded_video(frames=100, b_frames=0), coded_video(frames=150, b_frames=0)
    for packet in upper:
        screen.desk.feed(said(0, packet))
    for packet in lower:
        screen.desk.feed(said(1, packet))
        if packet.key:
            screen.compose()
    screen.compose()
    middle, corner = screen.levels((160, 120), (10, 10))
    assert abs(middle - 139) <= 3
    assert abs(corner - 189) <= 3
