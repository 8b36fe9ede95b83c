"""Publishers and viewers meet in the registry; leaving a block is the end of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing
from kit.packets import VIDEO, config, gop, letters, video
from kit.peers import connected, read_exactly

from livetrio.errors import RefusalCode, Refused
from livetrio.media.client import Client
from livetrio.media.feed import Format
from livetrio.media.registry import Registry, open_registry
from livetrio.media.stream import Publication
from livetrio.net.scope import open_scope, tree
from livetrio.packet import Packet, StreamKey

KEY = StreamKey("live", "movie")
FORMAT = Format("test", lambda packet: packet.data, goodbye=b"bye")


@asynccontextmanager
async def publisher(
    registry: Registry, *, takeover: bool = False, key: StreamKey = KEY
) -> AsyncIterator[Publication]:
    async with open_scope("connection", "publisher") as scope:
        client = Client("publisher", "test", scope)
        async with registry.publish(key, client, takeover=takeover) as publication:
            yield publication


@asynccontextmanager
async def player(registry: Registry, *, wait: float = 0.0, key: StreamKey = KEY):
    async with open_scope("connection", "player") as scope:
        async with registry.subscribe(key, Client("player", "test", scope), wait=wait) as stream:
            yield stream


async def test_a_stream_is_there_while_it_is_published_and_gone_after_a_clean_end():
    async with open_registry() as registry:
        async with publisher(registry) as publication:
            publication.publish([config(VIDEO), *gop(0)])
            assert registry.streams[KEY].tracks == [VIDEO, gop(0)[1].track]
            publication.finish()
        await trio.testing.wait_all_tasks_blocked()
        assert registry.streams == {}
        assert tree(registry.scope).children == []


async def test_a_second_publisher_is_refused_and_the_first_unharmed():
    async with open_registry() as registry, publisher(registry) as first:
        with pytest.RaisesGroup(Refused, flatten_subgroups=True) as refused:
            async with publisher(registry):
                pytest.fail("two publishers")
        (error,) = refused.value.exceptions
        assert error.code is RefusalCode.CONFLICT
        first.publish(gop(0))
        assert registry.streams[KEY].packets_in == 6


async def test_who_may_take_over_ends_the_other_and_continues_its_stream():
    async with open_registry() as registry:
        taken = trio.Event()

        async def first(task_status: trio.TaskStatus[Publication]) -> None:
            async with open_scope("connection", "first") as scope:
                client = Client("publisher", "test", scope)
                async with registry.publish(KEY, client, takeover=True) as publication:
                    task_status.started(publication)
                    await trio.sleep_forever()
            assert scope.reason == "another publisher took over"
            taken.set()

        async with trio.open_nursery() as nursery:
            old = await nursery.start(first)
            old.publish(gop(60_000))
            async with publisher(registry, takeover=True) as new:
                await taken.wait()
                old.publish([video(61_000)])  # a straggler: nobody listens to it any more
                new.publish([video(0), video(40, key=True)])
                (stream,) = registry.streams.values()
                cursor = stream.ring.cursor()
                (packet,) = await cursor.read()
                assert (packet.key, packet.dts) == (True, 60_090_000 + 40_000)
                assert stream.publication is new


async def test_two_publishers_at_the_same_moment_make_one_stream():
    results = []

    async def one(registry: Registry) -> None:
        try:
            async with publisher(registry):
                results.append("published")
                await trio.sleep(1)
        except* Refused:
            results.append("refused")

    async with open_registry(resume_window=0) as registry, trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(one, registry)
    assert sorted(results) == ["published"] + ["refused"] * 4


async def test_viewers_stay_while_a_lost_publisher_may_come_back(autojump_clock):
    async with open_registry(resume_window=10) as registry, connected() as (viewer, peer):
        async with publisher(registry) as publication:
            publication.publish([config(VIDEO), *gop(0)])
        stream = registry.streams[KEY]
        assert stream.publication is None
        async with registry.subscribe(KEY, Client("player", "test", viewer.scope, viewer)) as same:
            assert same is stream
            with same.watch(FORMAT, viewer.outbox):
                assert await read_exactly(peer, 10) == b"avcCVavava"
                await trio.sleep(9)
                async with publisher(registry) as publication:
                    # Garbage before the key frame is kept from viewers; time goes on.
                    publication.publish([video(0, data=b"x"), config(VIDEO), *gop(40, 1)])
                    assert await read_exactly(peer, 6) == b"avcCVa"
                    await trio.sleep(60)
                assert registry.streams[KEY] is stream


async def test_a_publisher_that_does_not_come_back_ends_the_stream_and_its_viewers(autojump_clock):
    async with open_registry(resume_window=5) as registry, connected() as (viewer, peer):
        async with publisher(registry) as publication:
            publication.publish(gop(0))
        client = Client("player", "test", viewer.scope, viewer)
        async with registry.subscribe(KEY, client) as stream:
            with stream.watch(FORMAT, viewer.outbox):
                begun = trio.current_time()
                assert await read_exactly(peer, 9) == b"Vavavabye"
                assert 4.9 < trio.current_time() - begun < 5.5
                await trio.sleep_forever()
    assert viewer.scope.reason == "the stream has ended"


async def test_a_returning_publisher_without_key_frames_is_let_through_after_a_while():
    async with open_registry() as registry:
        async with publisher(registry) as publication:
            publication.publish(gop(0))
        stream = registry.streams[KEY]
        async with publisher(registry) as publication:
            for ms in range(0, 6000, 100):
                publication.publish([video(ms)])
            assert letters(stream.ring.read(stream.ring.tail)) == "Vavava" + "v" * 10


async def test_a_player_that_is_early_waits_for_its_publisher(autojump_clock):
    async with open_registry() as registry, trio.open_nursery() as nursery:

        async def play() -> None:
            async with player(registry, wait=5) as stream:
                assert stream.key == KEY

        nursery.start_soon(play)
        await trio.sleep(3)
        async with publisher(registry):
            await trio.testing.wait_all_tasks_blocked()


async def test_a_player_of_nothing_is_told_so_in_time_and_leaves_nothing(autojump_clock):
    async with open_registry() as registry:
        with pytest.RaisesGroup(Refused, flatten_subgroups=True) as refused:
            async with player(registry, wait=5):
                pytest.fail("there is no such stream")
        (error,) = refused.value.exceptions
        assert (error.code, trio.current_time() >= 5) == (RefusalCode.NOT_FOUND, True)
        assert registry._waiting == {}


async def test_ten_thousand_players_of_missing_streams_leave_nothing(autojump_clock):
    async def play(registry: Registry, number: int) -> None:
        try:
            async with player(registry, wait=1, key=StreamKey("live", f"no{number % 3000}")):
                pytest.fail("there is no such stream")
        except* Refused:
            pass

    async with open_registry() as registry:
        async with trio.open_nursery() as nursery:
            for number in range(10_000):
                nursery.start_soon(play, registry, number)
        assert registry._waiting == {}
        assert registry.streams == {}


async def test_the_last_viewer_of_a_format_takes_its_feed_along():
    async with open_registry() as registry, publisher(registry) as publication:
        stream = publication.stream
        async with connected() as (a, _), connected() as (b, _):
            with stream.watch(FORMAT, a.outbox):
                with stream.watch(FORMAT, b.outbox):
                    assert len(stream.feeds) == 1
                assert len(stream.feeds) == 1
                await trio.testing.wait_all_tasks_blocked()
                assert [info.name for info in tree(stream.scope).children] == ["test"]
            assert list(stream.feeds) == []
            await trio.testing.wait_all_tasks_blocked()
            assert tree(stream.scope).children == []


async def test_watching_a_stream_that_has_just_ended_is_refused():
    async with open_registry() as registry:
        async with publisher(registry) as publication:
            stream = publication.stream
            publication.finish()
        await trio.testing.wait_all_tasks_blocked()
        async with connected() as (viewer, _):
            with pytest.raises(Refused, match="has ended"):
                with stream.watch(FORMAT, viewer.outbox):
                    pytest.fail("it is over")


async def test_ending_a_stream_ends_publisher_and_viewers_and_counts_them():
    async with open_registry() as registry, trio.open_nursery() as nursery:

        async def publish(task_status: trio.TaskStatus[None]) -> None:
            async with publisher(registry):
                task_status.started()
                await trio.sleep_forever()

        async def play(task_status: trio.TaskStatus[None]) -> None:
            async with player(registry):
                task_status.started()
                await trio.sleep_forever()

        await nursery.start(publish)
        for _ in range(3):
            await nursery.start(play)
        ended = await registry.end_stream(KEY, "operator")
        assert ended is not None
        assert (ended.scopes, ended.tasks >= 5) == (5, True)
        assert registry.streams == {}
        assert await registry.end_stream(KEY, "operator") is None


async def test_one_client_can_be_ended_by_its_id():
    async with open_registry() as registry, publisher(registry) as publication:
        async with player(registry) as stream:
            (client,) = (c for c in stream.clients.values() if c.role == "player")
            nursery_task = registry.scope.nursery
            nursery_task.start_soon(registry.end_client, client.id, "kicked")
            await trio.sleep_forever()
        assert client.scope.reason == "kicked"
        assert list(stream.clients.values()) == [publication.client]
        assert await registry.end_client("nobody", "kicked") is None


async def test_what_clients_did_is_still_counted_when_they_are_gone():
    async with open_registry() as registry, publisher(registry) as publication:
        publication.publish(gop(0))
        async with connected() as (viewer, peer):
            client = Client("player", "flv", viewer.scope, viewer)
            async with registry.subscribe(KEY, client) as stream:
                with stream.watch(FORMAT, viewer.outbox):
                    await read_exactly(peer, 6)
        totals = registry.past["player", "flv"]
        assert (totals.clients, totals.bytes_out) == (1, 6)


async def test_events_tell_what_happens_to_streams_and_clients():
    async with open_registry() as registry:
        with registry.events.listen() as events:
            async with publisher(registry) as publication:
                publication.finish()
            await trio.testing.wait_all_tasks_blocked()
            seen = [(await anext(events)).type for _ in range(4)]
    assert seen == ["stream.online", "client.opened", "client.closed", "stream.offline"]


async def test_a_listener_that_does_not_listen_loses_events_and_is_told_how_many():
    async with open_registry() as registry:
        with registry.events.listen() as events:
            for number in range(300):
                registry.events.publish("test", number=number)
            for _ in range(256):
                await anext(events)
            registry.events.publish("test", number=-1)
            lost = await anext(events)
            assert (lost.type, lost.data) == ("events.lost", {"count": 44})


async def test_who_follows_events_looks_at_once_and_after_each_of_them(nursery):
    async with open_registry() as registry:
        seen = []
        nursery.start_soon(
            registry.events.follow, "stream.", lambda: seen.append(len(registry.streams))
        )
        await trio.testing.wait_all_tasks_blocked()
        assert seen == [0]
        async with publisher(registry) as publication:
            registry.events.publish("relay.failed")
            await trio.testing.wait_all_tasks_blocked()
            assert seen == [0, 1]  # client.opened and relay.failed are nothing to it
            publication.finish()
        await trio.testing.wait_all_tasks_blocked()
        assert seen == [0, 1, 0]
        nursery.cancel_scope.cancel()


async def test_who_follows_events_looks_after_one_that_a_full_queue_has_lost(nursery):
    async with open_registry() as registry:
        seen = []
        nursery.start_soon(
            registry.events.follow, "stream.", lambda: seen.append(len(registry.streams))
        )
        await trio.testing.wait_all_tasks_blocked()
        for number in range(300):
            registry.events.publish("test", number=number)
        async with publisher(registry):
            await trio.testing.wait_all_tasks_blocked()
            assert seen[-1] == 1
        nursery.cancel_scope.cancel()


async def test_a_client_of_what_is_no_stream_is_listed_counted_and_ended_like_others():
    async with open_registry() as registry, open_scope("connection", "player") as scope:
        client = Client("player", "test", scope)
        key = StreamKey("vod", "film")
        with registry.events.listen() as events, registry.attend(key, client):
            assert list(registry.clients()) == [(key, client)]
            assert registry.streams == {}
            assert registry.totals()["player", "test"].clients == 1
            opened = await anext(events)
            assert (opened.type, opened.data["stream"]) == ("client.opened", "vod/film")
            with trio.move_on_after(0):
                await registry.end_client(client.id, "kicked")
            assert scope.reason == "kicked"
        assert list(registry.clients()) == []
        assert registry.totals()["player", "test"].clients == 1


async def test_statistics_of_tracks_come_from_watching_them():
    async with open_registry() as registry, publisher(registry) as publication:
        publication.publish([config(VIDEO), *gop(0, 50), *gop(2000, 50)])
        publication.publish([Packet(VIDEO, 4_000_000, 4_066_000, b"b")])
        video_track, audio_track = publication.stream.track_statistics
        assert (video_track.keys, video_track.gop, video_track.reordered) == (2, 2_000_000, True)
        assert (audio_track.packets, audio_track.reordered) == (100, False)


async def test_cancelling_the_registry_ends_every_stream():
    async with open_registry() as registry:
        async with publisher(registry) as publication:
            stream = publication.stream
            registry.scope.cancel("shutdown")
            await trio.sleep(0.01)
    assert stream.ring.ended
    assert registry.streams == {}


async def test_draining_says_goodbye_to_publishers_and_viewers_of_every_stream(autojump_clock):
    async with open_registry() as registry, connected() as (viewer, peer):
        async with open_scope("connection", "publisher") as publisher_scope:
            client = Client("publisher", "test", publisher_scope)
            async with registry.publish(KEY, client, takeover=False) as publication:
                publication.publish(gop(0))

                async def watch(task_status: trio.TaskStatus[None]) -> None:
                    async with open_scope("connection", "player") as scope:
                        about = Client("player", "test", scope)
                        async with registry.subscribe(KEY, about) as stream:
                            outbox = viewer.outbox
                            outbox._scope = scope
                            with stream.watch(FORMAT, outbox):
                                task_status.started()
                                await trio.sleep_forever()

                async def drain() -> None:
                    with trio.CancelScope(shield=True), trio.fail_after(5):
                        await registry.drain("server is stopping")

                await registry.scope.nursery.start(watch)
                registry.scope.nursery.start_soon(drain)
                await trio.sleep_forever()
        assert publisher_scope.reason == "server is stopping"
        assert await read_exactly(peer, 9) == b"Vavavabye"
        await trio.testing.wait_all_tasks_blocked()
        assert registry.streams == {}


async def test_a_publisher_never_joins_a_stream_that_has_been_told_to_end():
    for _ in range(30):  # the scheduler's order is random
        async with open_registry() as registry:
            async with publisher(registry) as first:
                dying = first.stream
                first.finish()
            await trio.lowlevel.checkpoint()
            async with publisher(registry) as publication:
                publication.publish(gop(0))
                await trio.testing.wait_all_tasks_blocked()
                assert registry.streams[KEY] is publication.stream
                assert publication.stream is not dying
                assert not publication.stream.ring.ended


async def test_a_format_with_a_bug_ends_its_own_viewers_only(caplog):
    def broken(packet: Packet) -> bytes:
        raise ValueError("oops")

    async with open_registry() as registry, publisher(registry) as publication:
        async with connected() as (a, _), connected() as (b, peer):
            with publication.stream.watch(FORMAT, b.outbox):
                with publication.stream.watch(Format("broken", broken), a.outbox):
                    publication.publish(gop(0))
                    assert await read_exactly(peer, 6) == b"Vavava"
    assert a.scope.reason
    assert "bug: feed ended" in caplog.text


async def test_a_stream_that_is_made_on_demand_is_made_for_the_first_who_wants_it(autojump_clock):
    async with open_registry() as registry, trio.open_nursery() as nursery:
        begun: list[float] = []
        done = trio.Event()

        async def make() -> None:
            await trio.sleep(3)
            async with publisher(registry) as publication:
                publication.finish()
                await done.wait()

        def start() -> None:
            begun.append(trio.current_time())
            nursery.start_soon(make)

        assert not registry.demand(KEY)
        assert await registry.wanted(KEY) is None
        with registry.on_demand(KEY, start):
            assert begun == []
            async with player(registry) as stream:  # does not wait by itself
                assert await registry.wanted(KEY) is stream
                assert registry.demand(KEY)
                assert len(begun) == 1
            done.set()
            await trio.sleep(1)
            assert registry.streams == {}
            with pytest.raises(ValueError, match="somebody else"), registry.on_demand(KEY, start):
                pass
            assert registry.demand(KEY)
            assert len(begun) == 2
        assert not registry.demand(KEY)


async def test_a_stream_that_is_not_made_in_time_is_not_there(autojump_clock):
    async with open_registry() as registry:
        asked: list[None] = []
        with registry.on_demand(KEY, lambda: asked.append(None)):
            begun = trio.current_time()
            async with open_scope("connection", "player") as scope:
                with pytest.raises(Refused):
                    async with registry.subscribe(KEY, Client("player", "test", scope)):
                        pass
            assert await registry.wanted(KEY) is None
            assert trio.current_time() - begun == 20
        assert len(asked) == 2


async def watch(registry: Registry, client: Client, *, wait: float) -> None:
    async with registry.subscribe(KEY, client, wait=wait):
        pytest.fail("there is no such stream")


async def test_there_is_no_stream_while_there_is_nothing_to_make_it_from(autojump_clock):
    def start() -> None:
        raise Refused(RefusalCode.NOT_FOUND, "nobody is in the room")

    async with open_registry() as registry:
        with registry.on_demand(KEY, start):
            assert not registry.demand(KEY)
            assert await registry.wanted(KEY) is None
            begun = trio.current_time()
            async with open_scope("connection", "player") as scope:
                with pytest.raises(Refused, match="is not being published"):
                    await watch(registry, Client("player", "test", scope), wait=3)
            assert trio.current_time() - begun == 3
            assert not registry.awaited(KEY)


async def test_who_wants_a_stream_that_cannot_be_made_now_is_told_why(autojump_clock):
    full = Refused(RefusalCode.UNAVAILABLE, "too many streams are being composed")

    def start() -> None:
        raise full

    async with open_registry() as registry, open_scope("connection", "player") as scope:
        with registry.on_demand(KEY, start):
            with pytest.raises(Refused) as refusal:
                await registry.wanted(KEY)
            assert refusal.value is full
            with pytest.raises(Refused) as refusal:
                await watch(registry, Client("player", "test", scope), wait=3)
            assert refusal.value is full


async def test_who_waited_before_a_stream_could_be_made_has_it_made(autojump_clock):
    async with open_registry() as registry, trio.open_nursery() as nursery:

        async def make() -> None:
            async with publisher(registry):
                await trio.sleep_forever()

        async def wait() -> None:
            async with player(registry, wait=1000):
                nursery.cancel_scope.cancel()

        nursery.start_soon(wait)
        await trio.testing.wait_all_tasks_blocked()
        with registry.on_demand(KEY, lambda: nursery.start_soon(make)):
            await trio.sleep(1)
            raise AssertionError("nobody made it")
