"""How good the pictures of a room are that one viewer gets: by size, by wish, by his network."""

from __future__ import annotations

from dataclasses import replace

import pytest
import trio
from kit.slots import hall, seat
from kit.webrtc_fakes import VIDEO, picture

from livetrio.errors import RefusalCode, Refused
from livetrio.webrtc.slots.thrift import (
    KEYS,
    NOTHING,
    Thrift,
    layer,
    parse_wish,
    starting_layer,
)
from livetrio.wire.rtp.rtcp_feedback import Remb
from livetrio.wire.rtp.rtcp_reports import ReceiverReport, ReportBlock

LAYERS = [1_000_000.0, 400_000.0, 100_000.0]


def test_few_pictures_are_large_and_many_are_small():
    assert [starting_layer("auto", count, 3) for count in (1, 2, 3, 4, 5, 9)] == [0, 0, 1, 1, 2, 2]
    assert [starting_layer("auto", count, 1) for count in (1, 3, 9)] == [0, 0, 0]
    assert [starting_layer(wish, 9, 3) for wish in ("high", "medium", "low")] == [0, 1, 2]
    assert [starting_layer(wish, 1, 2) for wish in ("high", "medium", "low")] == [0, 1, 1]


def test_a_paused_layer_is_replaced_by_a_cheaper_one_and_else_by_a_dearer_one():
    assert layer([3.0, 0.0, 1.0], 1, 0) == 2
    assert layer([3.0, 0.0, 0.0], 1, 0) == 0
    assert layer([0.0, 0.0, 0.0], 1, 0) == 1
    assert layer([3.0, 2.0, 1.0], 0, 2) == 2
    assert layer([3.0, 2.0, 1.0], 1, 2) == 2
    assert layer([3.0, 2.0, 1.0], 0, KEYS) == 3


@pytest.mark.parametrize("word", ["", "HIGH", "huge", None, 3, ["high"]])
def test_a_wish_is_one_of_five_words(word):
    with pytest.raises(Refused) as refused:
        parse_wish(word)
    assert refused.value.code is RefusalCode.BAD_REQUEST
    assert parse_wish("off") == "off"


def levels(thrift: Thrift, slots, limit, loss, seconds: int, begin: int = 0) -> list[int]:
    found = []
    for now in range(begin, begin + seconds):
        thrift.decide(slots, limit, loss, float(now))
        found.append(thrift.level)
    return found


def test_a_narrow_network_loses_layers_then_all_but_key_frames_then_the_pictures():
    slots = [(LAYERS, 0)] * 3
    found = levels(Thrift(), slots, 100_000.0, 0.5, 60)
    assert list(dict.fromkeys(found))[-2:] == [KEYS, NOTHING]
    assert found == sorted(found)


def test_a_network_that_carries_the_cheapest_layers_is_left_with_those():
    slots = [(LAYERS, 0)] * 3
    assert levels(Thrift(), slots, 330_000.0, 0.0, 60)[-1] == 2


def test_no_estimate_alone_takes_more_than_layers():
    # A receiver that gets little says that it can take little: two still pictures are enough.
    assert levels(Thrift(), [([20_000.0], 0)] * 2, 0.0, 0.0, 60) == [0] * 60
    assert levels(Thrift(), [(LAYERS, 0)] * 3, 0.0, 0.0, 60)[-1] == 2


def test_steps_that_would_save_nothing_are_left_out():
    slots = [([300_000.0], 0)] * 3
    found = levels(Thrift(), slots, None, 0.5, 60)
    assert list(dict.fromkeys(found)) == [0, KEYS, NOTHING]


def test_a_network_that_has_recovered_gets_its_pictures_back():
    thrift, slots = Thrift(), [(LAYERS, 0)]
    assert levels(thrift, slots, None, 0.5, 60)[-1] == NOTHING
    assert levels(thrift, slots, None, 0.0, 600, 60)[-1] == 0


def test_nothing_to_send_is_no_trouble():
    assert levels(Thrift(), [], 1.0, 0.0, 10)[-1] == 0


def layered(number: int, seat_: int, *, key: bool):
    """A frame of three layers."""
    for id_, (width, size) in enumerate(((640, 4_000), (320, 1_000), (160, 200))):
        track = replace(VIDEO, width=width, height=width // 2, id=id_)
        yield picture(seat_ * 1_000 + number, key=key, size=size, track=track)


async def play(publishers, first: int, seconds: float) -> int:
    for number in range(first, first + round(seconds * 30)):
        for publisher in publishers:
            frames = layered(number, publisher.number, key=number % 15 == 0)
            publisher.publication.publish(list(frames))
        await trio.sleep(1 / 30)
    return first + round(seconds * 30)


async def test_the_layer_of_a_slot_follows_how_many_are_shown_and_what_the_viewer_wishes(
    autojump_clock,
):
    async with hall() as room, room.publisher(1) as one, room.publisher(2) as two:
        async with room.publisher(3) as three:
            everybody = [one, two, three]
            at = await play(everybody, 0, 1)
            room.feed.arrange([seat(1), seat(2)], [])
            async with room.receiver() as viewer:
                at = await play(everybody, at, 3)

                def shown() -> list[int | None]:
                    return [slot.layer for slot in viewer.viewer.statistics().slots]

                assert shown() == [0, 0, None, None]
                room.feed.arrange([seat(1), seat(2), seat(3)], [])
                at = await play(everybody, at, 3)
                assert shown() == [1, 1, 1, None]
                viewer.viewer.wish({0: "high", 1: "low", 2: "off"})
                at = await play(everybody, at, 3)
                assert shown() == [0, 2, None, None]
                viewer.viewer.wish({2: "auto"})
                at = await play(everybody, at, 3)
                assert shown() == [0, 2, 1, None]
                for slot in range(3):
                    viewer.pictures(slot)  # none is missing


async def test_a_slot_that_is_not_there_cannot_be_wished_for(autojump_clock):
    async with hall() as room, room.receiver(tracks=None) as viewer:
        for number in (4, -1, 99):
            with pytest.raises(Refused) as refused:
                viewer.viewer.wish({0: "off", number: "high"})
            assert refused.value.code is RefusalCode.BAD_REQUEST
        assert {slot.wish for slot in viewer.viewer.statistics().slots} == {"auto"}


async def test_too_narrow_a_network_is_left_with_sound_alone_which_does_not_suffer(autojump_clock):
    async with hall() as room, room.publishers(1, 2) as seats:
        room.feed.arrange([seat(1), seat(2)], [seat(1), seat(2)])
        async with room.receiver() as poor, room.receiver() as rich:

            async def publish() -> None:
                while True:
                    for publisher in seats:
                        publisher.publish(1)
                    await trio.sleep(1 / 30)

            room.scope.nursery.start_soon(publish)
            for _ in range(30):
                reports = [ReportBlock(poor.ssrc(slot), 128, 0, 0, 0, 0, 0) for slot in (0, 1)]
                poor.peer.on_rtcp(ReceiverReport(1, reports).build())
                await trio.sleep(1)
            assert poor.viewer.statistics().level == NOTHING
            assert {slot.mode for slot in poor.viewer.statistics().slots} == {"off"}
            before = len(poor.frames(0)), len(poor.sounds(0))
            await trio.sleep(2)
            assert len(poor.frames(0)) == before[0]
            assert len(poor.sounds(0)) >= before[1] + 95
            assert rich.viewer.statistics().level == 0
            await trio.sleep(120)
            assert poor.viewer.statistics().level == 0
            assert len(poor.frames(0)) > before[0]


async def test_what_the_network_carries_is_shared_by_all_pictures(autojump_clock):
    async with hall() as room, room.publisher(1) as one, room.publisher(2) as two:
        everybody = [one, two]
        at = await play(everybody, 0, 1)
        room.feed.arrange([seat(1), seat(2)], [])
        async with room.receiver() as viewer:
            for _ in range(6):
                # One picture of the best layer (about 960 kbit/s) would fit, two do not.
                viewer.peer.on_rtcp(Remb(1, 1_200_000, [viewer.ssrc(0), viewer.ssrc(1)]).build())
                at = await play(everybody, at, 1)
            assert [slot.layer for slot in viewer.viewer.statistics().slots][:2] == [1, 1]
