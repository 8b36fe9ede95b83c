"""A room by slots: seats come, go and change while nobody has to negotiate anything."""

from __future__ import annotations

import itertools
import random
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing
from kit.slots import hall, seat, stream_of
from kit.webrtc_fakes import VIDEO, FakeEdition

from livetrio.errors import RefusalCode, Refused
from livetrio.net.scope import open_scope
from livetrio.packet import Codec, Kind, Track
from livetrio.wire.rtp.rtcp_reports import Bye

WRAP = 1 << 32


def rises(pictures) -> bool:
    """Do their times go on and on?"""
    steps = [(b.timestamp - a.timestamp) % WRAP for a, b in itertools.pairwise(pictures)]
    return all(0 < step < 90_000 * 5 for step in steps)


async def test_everybody_sees_and_hears_all_seats_but_his_own(autojump_clock):
    async with hall() as room, room.publishers(1, 2, 3) as seats:
        room.feed.arrange([seat(1), seat(2), seat(3)], [seat(1), seat(2), seat(3)])
        async with room.receiver("user1") as one, room.receiver() as nobody:
            for _ in range(30):
                for publisher in seats:
                    publisher.publish(1)
                await trio.sleep(0.0333)
            assert one.pictures(0) == []
            assert one.sounds(0) == []
            for slot, number in ((1, 2), (2, 3)):
                assert one.frames(slot) == list(range(number * 1_000, number * 1_000 + 45))
                assert len(one.sounds(slot)) > 45
            for slot in range(3):
                assert nobody.frames(slot)[0] == (slot + 1) * 1_000
            assert nobody.pictures(3) == []


async def test_all_viewers_share_the_very_same_packets_of_a_slot(autojump_clock):
    async with hall() as room, room.publishers(1) as (publisher,):
        room.feed.arrange([seat(1)], [])
        async with room.receiver() as one, room.receiver() as two:
            await trio.sleep(1)
            await publisher.play(5)
            assert len(room.players.feeds) == 1
            assert [
                a is b for a, b in zip(one.peer.runs[-5:], two.peer.runs[-5:], strict=True)
            ] == [True] * 5


async def test_a_slot_that_changes_its_seat_goes_on_with_a_key_frame_in_number_and_in_time(
    autojump_clock,
):
    async with hall() as room, room.publishers(1, 2) as (first, second):
        room.feed.arrange([seat(1)], [])
        async with room.receiver() as viewer:
            await first.play(10)
            room.feed.arrange([seat(2)], [])
            await trio.testing.wait_all_tasks_blocked()
            await trio.sleep(0.02)
            assert viewer.frames(0)[-1] >= 2_000  # the first picture is there at once
            await trio.sleep(1)
            await second.play(20)
            room.feed.arrange([seat(1)], [])
            await trio.sleep(1)
            await first.play(10)
            pictures = viewer.pictures(0)
            changes = [
                (a.number // 1_000, b) for a, b in itertools.pairwise(pictures)
                if a.number // 1_000 != b.number // 1_000
            ]  # fmt: skip
            assert [was for was, _ in changes] == [1, 2]
            assert all(now.key for _, now in changes)
            assert rises(pictures)


async def test_after_a_change_the_live_pictures_are_shared_again(autojump_clock):
    async with hall() as room, room.publishers(1, 2) as (first, second):
        room.feed.arrange([seat(1)], [])
        async with room.receiver() as one, room.receiver() as two:
            await first.play(10)
            room.feed.arrange([seat(2)], [])
            await second.play(30)
            assert one.peer.runs[-1] is two.peer.runs[-1]


async def test_without_a_key_frame_in_store_the_new_seat_is_asked_for_one(autojump_clock):
    async with hall() as room, room.publisher(1, wishes=True) as publisher:
        publisher.next = 1
        publisher.publish(3)
        room.feed.arrange([seat(1)], [])
        async with room.receiver() as viewer:
            await publisher.play(5)
            assert publisher.asked
            assert viewer.pictures(0) == []
            publisher.next = 30
            await publisher.play(3)
            assert viewer.frames(0) == [1_030, 1_031, 1_032]


async def test_a_seat_may_be_shown_before_its_stream_is_there(autojump_clock):
    async with hall() as room:
        room.feed.arrange([seat(1)], [seat(1)])
        async with room.receiver() as viewer:
            await trio.sleep(30)
            async with room.publisher(1) as publisher:
                await publisher.play(40)
                assert viewer.frames(0)[0] == 1_000
                assert viewer.sounds(0)


async def test_a_stream_that_ends_and_begins_again_is_followed_without_a_leak(autojump_clock):
    async with hall() as room:
        room.feed.arrange([seat(1)], [seat(1)])
        async with room.receiver() as viewer:
            for life in range(5):
                async with room.publisher(1) as publisher:
                    publisher.next = 30 * life
                    await publisher.play(20)
                    assert len(room.players.feeds) == 1
                    publisher.publication.finish()
                await trio.sleep(0.1)
                assert room.players.feeds == []
            assert len(viewer.frames(0)) == 100
            assert rises(viewer.pictures(0))
            assert viewer.peer.words(Bye) == []
        assert room.renditions.open_now == 0


async def test_a_publisher_that_takes_over_goes_on_in_the_slot(autojump_clock):
    async with hall(resume_window=10) as room:
        room.feed.arrange([seat(1)], [])
        async with room.receiver() as viewer, room.publisher(1) as old:
            await old.play(10)
            async with room.publisher(1) as new:
                new.next = 30
                await new.play(10)
                assert viewer.frames(0) == [*range(1_000, 1_010), *range(1_030, 1_040)]
                assert rises(viewer.pictures(0))


async def test_another_codec_is_replaced_by_a_rendition_of_it(autojump_clock):
    vp8 = Track(Kind.VIDEO, Codec.VP8, width=64, height=48)
    async with hall(resume_window=10) as room, room.publisher(1) as publisher:
        room.feed.arrange([seat(1)], [seat(1)])
        publisher.publish(15)
        async with room.receiver() as viewer:
            await publisher.play(10)
            assert room.renditions.opened == [(None, None)]
            await publisher.play(20, track=vp8)
            await trio.sleep(3)
            assert room.renditions.opened[-1] == (None, "h264")
            assert viewer.frames(0)[-1] <= 1_024


async def test_a_picture_that_could_not_be_coded_anew_leaves_the_sound(autojump_clock):
    vp8 = Track(Kind.VIDEO, Codec.VP8, width=64, height=48)
    async with hall() as room, room.publisher(1) as publisher:
        opened = room.renditions.open

        def refuse(stream, *, audio=None, video=None, claim=None):
            if video is not None:
                raise Refused(RefusalCode.UNAVAILABLE, "no room for one more encoder")
            return opened(stream, audio=audio, video=video, claim=claim)

        room.renditions.open = refuse
        room.feed.arrange([seat(1)], [seat(1)])
        async with room.receiver() as viewer:
            await publisher.play(60, track=vp8)
            assert viewer.pictures(0) == []
            assert viewer.sounds(0)


async def test_an_encoder_that_dies_again_and_again_is_begun_once_a_second_at_most(autojump_clock):
    async with hall() as room, room.publishers(1) as (publisher,):
        opened: list[float] = []

        @asynccontextmanager
        async def crash(stream, *, audio=None, video=None, claim=None):
            opened.append(trio.current_time())
            async with open_scope("rendition", "short-lived") as scope:
                edition = FakeEdition(scope)
                edition.accept(publisher.packets(2))
                scope.nursery.start_soon(end, edition)
                yield edition

        async def end(edition):
            await trio.sleep(0.01)
            edition.ring.end("the encoder has crashed")

        room.renditions.open = crash
        room.feed.arrange([seat(1)], [seat(1)])
        async with room.receiver() as viewer:
            await trio.sleep(10)
            assert 5 <= len(opened) <= 11
            assert viewer.peer.scope.reason == ""


async def test_a_muted_seat_vanishes_at_once_and_returns_at_once(autojump_clock):
    async with hall() as room, room.publishers(1) as (publisher,):
        room.feed.arrange([seat(1)], [seat(1)])
        async with room.receiver() as viewer:
            await publisher.play(30)
            room.feed.arrange([None], [None])
            before = len(viewer.frames(0)), len(viewer.sounds(0))
            await publisher.play(30)
            assert (len(viewer.frames(0)), len(viewer.sounds(0))) == before
            assert room.players.feeds == []
            room.feed.arrange([seat(1)], [seat(1)])
            await publisher.play(10)
            assert len(viewer.frames(0)) > before[0]
            assert len(viewer.sounds(0)) > before[1]
            assert rises(viewer.pictures(0))


async def test_what_nobody_shows_any_more_is_closed_after_a_while(autojump_clock):
    async with hall() as room, room.publishers(1):
        room.feed.arrange([seat(1)], [])
        await trio.testing.wait_all_tasks_blocked()
        assert room.renditions.open_now == 1
        room.feed.arrange([None], [])
        await trio.sleep(10)
        assert room.renditions.open_now == 1
        await trio.sleep(10)
        assert room.renditions.open_now == 0


async def test_who_takes_a_seat_is_no_longer_sent_it(autojump_clock):
    async with hall() as room, room.publishers(1) as (publisher,):
        room.feed.arrange([seat(1, "ann")], [])
        async with room.receiver("bob") as viewer:
            await publisher.play(10)
            room.feed.arrange([seat(1, "bob")], [])
            before = viewer.frames(0)
            await publisher.play(10)
            assert viewer.frames(0) == before
            room.feed.arrange([seat(1, "ann")], [])
            await publisher.play(10)
            assert len(viewer.frames(0)) > len(before)
            assert rises(viewer.pictures(0))


async def test_viewers_with_other_payload_types_have_their_own_packets(autojump_clock):
    async with hall() as room, room.publishers(1) as (publisher,):
        room.feed.arrange([seat(1)], [])
        async with room.receiver() as one, room.receiver(type_=126) as two:
            await publisher.play(10)
            assert one.frames(0) == two.frames(0)
            assert len(room.players.feeds) == 2
        await trio.testing.wait_all_tasks_blocked()
        assert room.players.feeds == []


async def test_a_viewer_with_fewer_m_lines_gets_the_first_slots(autojump_clock):
    async with hall() as room, room.publishers(1, 2) as seats:
        room.feed.arrange([seat(1), seat(2)], [seat(1), seat(2)])
        tracks = room.feed.tracks
        few = [tracks[0], tracks[4]]
        async with room.receiver(tracks=few) as viewer:
            for publisher in seats:
                await publisher.play(5)
            assert viewer.frames(0)
            assert viewer.sounds(0)
            assert viewer.pictures(1) == []
            assert viewer.sounds(1) == []


async def test_a_viewer_without_pictures_only_hears(autojump_clock):
    async with hall() as room, room.publishers(1) as (publisher,):
        room.feed.arrange([seat(1)], [seat(1)])
        async with room.receiver(tracks=room.feed.tracks[4:]) as viewer:
            await publisher.play(60)
            assert viewer.sounds(0)
            assert room.players.feeds == []


async def test_the_end_of_the_room_ends_its_sessions_and_leaves_nothing(autojump_clock):
    async with hall() as room, room.publishers(1, 2):
        room.feed.arrange([seat(1), seat(2)], [seat(1), seat(2)])
        async with room.receiver() as one, room.receiver("user1") as two:
            await trio.sleep(1)
            room.scope.cancel("it is late")
            await room.feed.done.wait()
            assert one.peer.scope.reason == two.peer.scope.reason == "room live/party has ended"
            await trio.sleep_forever()
        with trio.CancelScope(shield=True):
            await trio.testing.wait_all_tasks_blocked()
        assert room.players.feeds == []
        assert room.feed.viewers == {}
        assert room.renditions.open_now == 0
        with pytest.raises(Refused) as refused, room.feed.guest(room.scope):
            pass
        assert refused.value.code is RefusalCode.GONE


async def test_random_changes_never_use_a_number_twice_nor_run_backwards(autojump_clock):
    # Which number stands for which plaintext is watched by the fake peer itself.
    dice = random.Random(11)
    async with hall(video=2, audio=2) as room, room.publishers(1, 2, 3) as seats:
        async with room.receiver("user1") as one, room.receiver() as two:
            for _ in range(60):
                video = [dice.choice([None, *map(seat, (1, 2, 3))]) for _ in range(2)]
                room.feed.arrange(video, video)
                if dice.random() < 0.3:
                    one.viewer.wish({dice.randrange(2): dice.choice(["off", "auto", "low"])})
                for _ in range(dice.randrange(1, 8)):
                    for publisher in seats:
                        publisher.publish(1)
                    await trio.sleep(dice.choice([0.0, 0.01, 0.0333]))
            for viewer in (one, two):
                for slot in (0, 1):
                    assert rises(viewer.pictures(slot))
                    assert all(
                        b.key for a, b in itertools.pairwise(viewer.pictures(slot))
                        if a.number // 1_000 != b.number // 1_000
                    )  # fmt: skip


def test_the_tracks_say_which_slot_they_are(autojump_clock):
    async def main() -> None:
        async with hall(video=2, audio=3) as room:
            msids = [track.msid.split()[0] for track in room.feed.tracks]
            assert msids == ["slot-0", "slot-1", "slot-0", "slot-1", "slot-2"]
            assert len({track.msid for track in room.feed.tracks}) == 5
            assert len({track.ssrc for track in room.feed.tracks}) == 5
            assert {track.codec for track in room.feed.tracks} == {Codec.H264, Codec.OPUS}

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


async def test_the_order_of_seats_and_their_streams_may_change_at_any_time(autojump_clock):
    async with hall() as room, room.publishers(1, 2) as seats:
        room.feed.arrange([seat(1), seat(2)], [])
        async with room.receiver() as viewer:
            await trio.sleep(1)
            room.feed.arrange([seat(2), seat(1)], [])
            await trio.sleep(1)
            for publisher in seats:
                publisher.publish(5)
            await trio.sleep(1)
            assert viewer.frames(0)[-1] == 2_019
            assert viewer.frames(1)[-1] == 1_019
            assert stream_of(1).name == "party/1"
            assert VIDEO.codec is Codec.H264
