"""A participant with a seat: it comes, moves, hears, and goes, and the room knows all of it."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from fractions import Fraction

import av
import pytest
import trio
from aiortc.mediastreams import MediaStreamTrack
from kit.engines import until
from kit.node import Traces
from kit.rooms import KEY, command, rooms, user

from livetrio.errors import RefusalCode, Refused
from livetrio.media.registry import open_registry
from livetrio.net.scope import open_scope
from livetrio.packet import Kind, StreamKey
from livetrio.webrtc.participants import Participants
from livetrio.webrtc.rooms.actions import Action
from livetrio.webrtc.rooms.seat import SeatState, Switch

ANNA = user("anna")


def seat_stream(number: int) -> StreamKey:
    return StreamKey(KEY.app, f"{KEY.name}/{number}")


def mix_minus(number: int) -> StreamKey:
    return StreamKey(KEY.app, f"{KEY.name}~{number}")


def sound(number: int, *, loud: bool = True):
    """A hundredth of a second."""
    frame = av.AudioFrame("s16", "mono", 480)
    frame.planes[0].update((b"\x00\x10\x00\xf0" if loud else bytes(4)) * 240)
    frame.sample_rate, frame.pts, frame.time_base = 48_000, number * 480, Fraction(1, 48_000)
    return frame


class Cast:
    """A node's rooms, its registry, and those who take part."""

    def __init__(self, registry, opened, live) -> None:
        self.registry, self.rooms, self.live = registry, opened, live
        self.participants = Participants(registry)

    def sit(self, *tracks, who: str = "dj", **options):
        return self.participants.sit(self.rooms, KEY, *tracks, user=who, **options)

    def seat(self, number: int):
        return self.live.room.state.seats[number]

    def do(self, action: str, **fields) -> None:
        self.rooms.command(KEY, command(action, user("anna"), **fields))


@asynccontextmanager
async def cast(kind: str = "voice", **options):
    async with (
        open_scope("node", "test"),
        open_registry(resume_window=5) as registry,
        rooms() as opened,
    ):
        live = await opened.create(KEY, ANNA, opened.options(kind, seats=4, **options))
        yield Cast(registry, opened, live)


async def test_it_takes_an_empty_seat_publishes_from_there_and_leaves_nothing() -> None:
    await trio.to_thread.run_sync(lambda: None)
    async with cast() as those:
        before = Traces.now()
        async with those.sit(name="DJ") as sitting:
            seat = those.seat(2)
            assert (sitting.seat, seat.user, seat.name, seat.present) == (2, "dj", "DJ", True)
            for number in range(4):
                await sitting.send(sound(number))
            stream = those.registry.streams[seat_stream(2)]
            assert sitting.stream == stream.key
            assert [track.kind for track in stream.tracks] == [Kind.AUDIO]
        assert seat.state is SeatState.EMPTY
        assert sitting.reason == ""
        await until(lambda: not those.registry.streams and Traces.now() == before)


async def test_seats_that_are_applied_for_are_open_to_code_of_this_process() -> None:
    async with cast(free=False) as those, those.sit(seat=3) as sitting:
        assert sitting.seat == 3


async def test_who_is_invited_sits_where_he_is_invited_to() -> None:
    async with cast() as those:
        those.do("invite", user="dj", seat=4)
        async with those.sit() as sitting:
            assert sitting.seat == 4


async def test_the_owner_has_his_seat_already_and_may_wish_for_another() -> None:
    async with cast() as those:
        async with those.sit(who="anna") as sitting:
            assert sitting.seat == 1
        async with those.sit(who="anna", seat=3) as sitting:
            assert sitting.seat == 3
            assert those.seat(1).state is SeatState.EMPTY


@pytest.mark.parametrize(
    ("action", "seat", "code"),
    [
        ("lock", 2, RefusalCode.CONFLICT),
        ("take", 1, RefusalCode.CONFLICT),
        ("take", 9, RefusalCode.NOT_FOUND),
    ],
)
async def test_a_seat_that_is_not_to_be_had_is_refused(action, seat, code) -> None:
    async with cast() as those:
        if action == "lock":
            those.do("lock", seat=seat)
        with pytest.raises(Refused) as refused:
            async with those.sit(seat=seat):
                pass
        assert refused.value.code is code
        assert not those.registry.streams
        assert those.live.room.state.present == set()


async def test_a_room_that_there_is_not_is_not_found() -> None:
    async with cast() as those:
        with pytest.raises(Refused) as refused:
            async with those.participants.sit(those.rooms, StreamKey("live", "no"), user="dj"):
                pass
        assert refused.value.code is RefusalCode.NOT_FOUND


async def test_it_follows_when_it_is_moved() -> None:
    async with cast() as those, those.sit() as sitting:
        await sitting.send(sound(0))
        those.do("move", seat=2, to=4)
        await until(lambda: seat_stream(4) in those.registry.streams)
        assert (sitting.seat, sitting.stream) == (4, seat_stream(4))
        for number in range(1, 5):
            await sitting.send(sound(number))
        assert those.registry.streams[seat_stream(4)].packets_in > 1
        await until(lambda: seat_stream(2) not in those.registry.streams)


async def test_a_kick_ends_its_block_quietly_and_says_so() -> None:
    async with cast() as those:
        async with those.sit() as sitting:
            those.do("kick", seat=2)
            await trio.sleep_forever()
        assert sitting.reason == "kicked"
        assert sitting.seat == 0
        await until(lambda: not those.registry.streams)


async def test_the_end_of_the_room_is_its_end() -> None:
    async with cast() as those:
        async with those.sit() as sitting:
            await those.rooms.end(KEY, ANNA, "good night")
            await trio.sleep_forever()
        assert sitting.reason == "the room has ended: good night"


async def test_an_operator_who_ends_its_stream_ends_it_and_frees_the_seat() -> None:
    async with cast() as those:
        async with those.sit() as sitting:
            stream = those.registry.streams[seat_stream(2)]
            stream.publication.client.scope.cancel("enough")
            await trio.sleep_forever()
        assert sitting.reason == "enough"
        assert those.seat(2).state is SeatState.EMPTY


async def test_another_publisher_of_the_same_user_takes_over_and_keeps_the_seat() -> None:
    async with cast() as those:
        async with trio.open_nursery() as nursery:

            async def take_over() -> None:
                async with those.participants.publish(seat_stream(2), takeover=True):
                    await trio.sleep_forever()

            async with those.sit() as sitting:
                nursery.start_soon(take_over)
                await trio.sleep_forever()
            assert sitting.reason == "another publisher took over"
            assert those.seat(2).user == "dj"
            assert those.registry.streams[seat_stream(2)].publication is not None
            nursery.cancel_scope.cancel()


async def test_an_error_of_its_code_leaves_the_block_as_it_is_and_frees_the_seat() -> None:
    async with cast() as those:
        with pytest.raises(ZeroDivisionError):
            async with those.sit(), those.sit(who="other"):
                raise ZeroDivisionError("a bug in a bot")
        assert [those.seat(number).state for number in (2, 3)] == [SeatState.EMPTY] * 2
        await until(lambda: not those.registry.streams)


async def test_it_hears_the_room_without_itself_wherever_it_sits() -> None:
    async with cast() as those, trio.open_nursery() as nursery:
        wanted = []

        async def mix(key: StreamKey) -> None:
            async with those.participants.publish(key) as broadcast:
                for number in range(10_000):
                    await broadcast.send(sound(number))
                    await trio.sleep(0.005)

        def start(key: StreamKey) -> None:
            wanted.append(key)
            nursery.start_soon(mix, key)

        with (
            those.registry.on_demand(mix_minus(2), lambda: start(mix_minus(2))),
            those.registry.on_demand(mix_minus(3), lambda: start(mix_minus(3))),
        ):
            async with those.sit() as sitting:
                assert wanted == []  # nobody mixes what nobody hears
                async with sitting.hear() as frames:
                    assert isinstance(await anext(frames), av.AudioFrame)
                    those.do("move", seat=2, to=3)
                    with trio.fail_after(20):
                        while wanted != [mix_minus(2), mix_minus(3)]:
                            await anext(frames)
                        before = those.registry.streams.get(mix_minus(2))
                        await until(lambda: mix_minus(3) in those.registry.streams)
                        await anext(frames)
                        assert before is None or len(before.clients) == 1
                await until(lambda: len(those.registry.streams[mix_minus(3)].clients) == 1)
        nursery.cancel_scope.cancel()


async def test_it_hears_one_seat_again_when_that_comes_back() -> None:
    async with cast() as those, those.sit() as sitting, sitting.hear(seat=1) as frames:
        for _ in range(2):
            async with those.participants.publish(seat_stream(1)) as broadcast:
                for number in range(10):
                    await broadcast.send(sound(number))
                with trio.fail_after(20):
                    frame = await anext(frames)
                assert frame.sample_rate == 48_000


class Tone(MediaStreamTrack):
    """Sound as somebody's asyncio code makes it."""

    kind = "audio"

    def __init__(self) -> None:
        super().__init__()
        self.number = 0

    async def recv(self):
        await asyncio.sleep(0.002)
        self.number += 1
        return sound(self.number)


async def test_aiortcs_tracks_play_on_through_a_move_and_stop_with_the_block() -> None:
    track = Tone()
    async with cast() as those:
        async with those.sit(track) as sitting:
            await until(lambda: those.registry.streams[seat_stream(2)].packets_in > 3)
            those.do("move", seat=2, to=3)
            await until(lambda: seat_stream(3) in those.registry.streams)
            await until(lambda: those.registry.streams[seat_stream(3)].packets_in > 3)
            assert track.readyState == "live"
            assert sitting.reason == ""
        assert track.readyState == "ended"


async def test_it_shows_pictures_from_a_seat_with_a_camera() -> None:
    async with cast("video") as those, those.sit(camera=True) as sitting:
        picture = av.VideoFrame(64, 48, "yuv420p")
        await sitting.send(picture)
        (track,) = those.registry.streams[seat_stream(2)].tracks
        assert (track.kind, track.width, track.height) == (Kind.VIDEO, 64, 48)


async def test_a_seat_that_cannot_be_given_back_is_freed_when_its_user_is_missed() -> None:
    async with cast() as those:
        async with those.sit() as sitting:

            def wave() -> None:
                for number in range(1_000):
                    sitting.do(Action.LOWER if number % 2 else Action.RAISE)

            with pytest.raises(Refused) as refused:
                wave()
            assert refused.value.code is RefusalCode.TOO_MANY
        assert not those.seat(2).present
        assert those.seat(2).until < float("inf")


@pytest.mark.parametrize(("camera", "switch"), [(False, Switch.OFF), (True, Switch.ON)])
async def test_the_room_shows_whether_it_has_a_camera(camera, switch) -> None:
    async with cast("video") as those, those.sit(camera=camera):
        assert those.seat(2).camera is switch


async def test_it_knows_who_else_speaks_and_whether_it_is_heard() -> None:
    async with cast() as those, those.sit() as sitting, those.sit(who="anna"):
        for _ in range(4):
            for seat in (1, 2):
                those.rooms.find(KEY).heard(seat, -20.0)
            await trio.sleep(0.05)
        await until(lambda: those.live.speaking.told == (1, 2))
        assert sitting.speaking == (1,)
        assert not sitting.muted
        those.do("mute", seat=2)
        assert sitting.muted


async def test_it_gives_commands_as_its_user() -> None:
    async with cast() as those, those.sit() as sitting:
        (event,) = sitting.do(Action.RAISE)
        assert (event.type, those.seat(2).hand) == ("seat.hand", True)
