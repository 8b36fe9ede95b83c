"""Cast and Follower: the worker is sent what it needs of each part, from where it can begin."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager

import pytest
import trio
from kit.packets import audio, config, video
from trio.testing import wait_all_tasks_blocked

from livetrio.media.client import Client
from livetrio.media.mix.cast import Cast
from livetrio.media.mix.lanes import lane_of
from livetrio.media.mix.outgoing import Outgoing
from livetrio.media.mix.scene import Part, Scene, Stage
from livetrio.media.registry import open_registry
from livetrio.media.transcode.pipe import Word
from livetrio.net.scope import open_scope
from livetrio.packet import Codec, Kind, StreamKey, Track

A, B = StreamKey("live", "room/1"), StreamKey("live", "room/2")
PICTURE = Track(Kind.VIDEO, Codec.VP8)
SOUND = Track(Kind.AUDIO, Codec.OPUS, config=b"OpusHead")


def part(key=A, id_="1", *, sound=True, picture=True) -> Part:
    return Part(id_, key, "", sound=sound, picture=picture)


def v(ms, *, key=False):
    return video(ms, key=key, track=PICTURE)


def a(ms):
    return audio(ms, track=SOUND)


class Company:
    """A cast with the messages that it sends."""

    def __init__(self, registry, stage, outgoing, cast) -> None:
        self.registry = registry
        self.stage = stage
        self.cast = cast
        self._outgoing = outgoing

    async def said(self) -> str:
        """What was sent since the last call, short: S scene, C announcement, E end, K and F
        pictures, a sound; with the number of its part."""
        await wait_all_tasks_blocked()
        short = ""
        with trio.move_on_after(0):
            for message in await self._outgoing.take():
                number, is_sound = divmod(message.lane, 2)
                letter = {
                    Word.SCENE: "S",
                    Word.CONFIG: "C",
                    Word.END: "E",
                    Word.KEY: "a" if is_sound else "K",
                    Word.FRAME: "F",
                }[message.word]
                short += letter if letter == "S" else f"{letter}{number}"
        return short


@asynccontextmanager
async def company(*parts):
    async with open_registry() as registry, trio.open_nursery() as nursery:
        stage, outgoing = Stage(Scene(parts)), Outgoing()
        cast = Cast(registry, outgoing)
        nursery.start_soon(cast.run, stage)
        yield Company(registry, stage, outgoing, cast)
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def published(registry, key=A, packets=(), *, wishes=None, finish=True):
    async with open_scope("test", str(key)) as scope:
        client = Client("publisher", "whip", scope)
        async with registry.publish(key, client, takeover=False) as publication:
            if wishes is not None:
                publication.on_key_frame_request = wishes.append
            if finish:
                publication.finish()
            publication.publish([config(PICTURE), config(SOUND), *packets])
            yield publication


async def test_a_stream_that_is_there_begins_with_its_cached_pictures_and_live_sound():
    async with company() as here:
        async with published(here.registry, packets=[v(0, key=True), a(5), v(40), v(80)]) as pub:
            here.stage.show(Scene((part(),)))
            assert await here.said() == "SSC0K0F0F0"
            pub.publish([a(90), v(120)])
            assert await here.said() == "C0a0F0"


async def test_a_stream_that_comes_later_is_followed_and_its_end_is_told_and_it_may_come_again():
    async with company(part()) as here:
        assert await here.said() == "S"
        for _ in range(2):
            async with published(here.registry) as pub:
                await wait_all_tasks_blocked()
                pub.publish([v(0), v(40, key=True), v(80), a(90)])
                assert await here.said() == "C0K0F0C0a0"
            with trio.fail_after(5):
                while A in here.registry.streams:  # noqa: ASYNC110 - the registry's own task
                    await trio.sleep(0.01)
            assert sorted(await here.said()) == sorted("E0E0")


async def test_who_can_be_asked_for_a_key_frame_is_asked_when_there_is_none():
    wishes = []
    async with company(part()) as here:
        async with published(here.registry, wishes=wishes) as pub:
            await wait_all_tasks_blocked()
            assert wishes == [0]
            pub.publish([v(0)])
            assert await here.said() == "SC0"
            pub.publish([v(40, key=True)])
            assert await here.said() == "K0"
            here.cast.ask_key_frame(0)
            here.cast.ask_key_frame(7)
            assert wishes == [0, 0]


async def test_a_long_group_of_pictures_is_not_decoded_where_a_key_frame_can_be_had():
    wishes = []
    long = [v(0, key=True), *(v(40 * n) for n in range(1, 200))]
    async with company() as here:
        async with published(here.registry, packets=long, wishes=wishes):
            here.stage.show(Scene((part(),)))
            assert await here.said() == "SS"
            assert wishes == [0]
    async with company() as here:
        async with published(here.registry, packets=long):  # an encoder that takes no wishes
            here.stage.show(Scene((part(),)))
            assert (await here.said()).startswith("SSC0K0F0F0")


@pytest.mark.parametrize("kind", ["sound", "picture"])
async def test_what_is_not_wanted_is_not_sent_and_is_there_again_when_it_is(kind):
    async with company(part()) as here, published(here.registry, packets=[v(0, key=True)]) as pub:
        await here.said()
        pub.publish([a(10)])
        assert await here.said() == "C0a0"
        here.stage.show(Scene((part(**{kind: False}),)))
        assert await here.said() == "SE0"
        pub.publish([v(40), a(50)])
        assert await here.said() == ("a0" if kind == "picture" else "F0")
        here.stage.show(Scene((part(),)))
        assert await here.said() == "S"
        pub.publish([v(80), a(90)])
        assert await here.said() == ("C0K0F0F0a0" if kind == "picture" else "F0C0a0")


async def test_a_new_track_is_announced_and_its_pictures_begin_with_a_key_frame():
    other = Track(Kind.VIDEO, Codec.H264, config=b"avcC")
    async with company(part()) as here, published(here.registry, packets=[v(0, key=True)]) as pub:
        await here.said()
        pub.publish([video(40, track=other), video(80, track=other, key=True), v(120)])
        assert await here.said() == "C0K0C0"


async def test_of_several_tracks_only_the_first_is_sent():
    layer = Track(Kind.VIDEO, Codec.VP8, 1)
    async with company(part()) as here, published(here.registry, packets=[v(0, key=True)]) as pub:
        await here.said()
        pub.publish([video(40, track=layer, key=True), v(40)])
        assert await here.said() == "F0"


async def test_who_takes_a_place_never_gets_the_number_of_who_has_just_left_it():
    async with company(part()) as here:
        assert await here.said() == "S"
        for number in range(1, 200):
            key = B if number % 2 else A
            here.stage.show(Scene((part(key),)))
            await wait_all_tasks_blocked()
            (scene,) = await here._outgoing.take()
            assert json.loads(scene.data)["numbers"] == {"1": number % 64}


async def test_more_parts_than_a_room_has_seats_are_left_out():
    parts = tuple(part(StreamKey("live", str(n)), str(n)) for n in range(100))
    async with company(*parts) as here:
        await wait_all_tasks_blocked()
        (scene,) = await here._outgoing.take()
        value = json.loads(scene.data)
        assert len(value["numbers"]) == len(value["scene"]["parts"]) == 32


def test_lanes_of_parts_are_their_own():
    lanes = [lane_of(number, kind) for number in range(64) for kind in (Kind.VIDEO, Kind.AUDIO)]
    assert sorted(set(lanes)) == list(range(128))
