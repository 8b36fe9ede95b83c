"""Outgoing and Inbox: what a slow worker is not sent, and what it throws away: pictures first."""

from __future__ import annotations

from livetrio.media.mix.inbox import Inbox
from livetrio.media.mix.outgoing import Outgoing
from livetrio.media.transcode.pipe import Message, Word

PICTURE, SOUND = 2, 3
MEGABYTE = bytes(1 << 20)


def frame(lane: int = PICTURE, *, key: bool = False, data: bytes = MEGABYTE) -> Message:
    return Message(Word.KEY if key else Word.FRAME, data=data, lane=lane)


async def test_a_worker_that_takes_is_sent_everything_in_order():
    outgoing = Outgoing()
    sent = [frame(key=True), frame(SOUND, key=True, data=b"s"), frame()]
    for _ in range(100):
        for message in sent:
            outgoing.put(message)
        assert await outgoing.take() == sent
    assert outgoing.dropped == 0


async def test_pictures_that_are_too_many_go_and_the_lane_goes_on_with_a_key_frame():
    outgoing = Outgoing()
    announcement = Message(Word.CONFIG, lane=PICTURE)
    outgoing.put(announcement)
    outgoing.put(frame(SOUND, data=b"s"))
    for number in range(40):
        outgoing.put(frame(key=number == 0))
    outgoing.put(frame())
    fresh = frame(key=True)
    outgoing.put(fresh)
    taken = await outgoing.take()
    assert taken == [announcement, frame(SOUND, data=b"s"), fresh]
    assert outgoing.dropped == 41


async def test_sound_is_bounded_too_and_pictures_do_not_count_against_it():
    outgoing = Outgoing()
    for _ in range(10):
        outgoing.put(frame(key=True))
        outgoing.put(frame(SOUND, key=True, data=bytes(400_000)))
    taken = await outgoing.take()
    assert len([m for m in taken if m.lane == SOUND]) == 2
    assert len([m for m in taken if m.lane == PICTURE]) == 10


def test_an_inbox_that_overflows_keeps_what_is_no_picture_and_says_so():
    inbox = Inbox()
    scene = Message(Word.SCENE, data=b"{}")
    inbox.put(scene)
    for _ in range(16):
        inbox.put(frame())
    assert inbox.take(0) == (scene, True)
    assert inbox.take(0) == (None, False)
    assert inbox.overflows == 1
    inbox.put(frame())
    assert inbox.take(0) == (frame(), False)


def test_an_inbox_counts_messages_as_well_as_bytes():
    inbox = Inbox()
    for _ in range(5000):
        inbox.put(frame(data=b"x"))
    assert inbox.overflows >= 5


def test_nobody_waits_at_an_empty_inbox_for_longer_than_he_said():
    assert Inbox().take(0.0) == (None, False)
    assert Inbox().take(0.001) == (None, False)
