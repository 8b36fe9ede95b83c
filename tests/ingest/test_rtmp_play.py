"""Playing over RTMP at the socket: what a player is sent, and what it may ask for."""

from __future__ import annotations

import gc
import logging

import trio
from kit.control import soon
from kit.media import aac_frame, aac_track, avc_config, avc_frame, avc_track, sample_packets
from kit.node import node, patiently
from kit.rtmp_peers import bystanders, clip, peer, player, publisher, said_about, shifted, tags

from livetrio.packet import Packet, StreamKey
from livetrio.wire.flv import tag_body
from livetrio.wire.rtmp.messages import UserControl

X = StreamKey("live", "x")
HEAD = clip()[:3]
"""Metadata, picture header, sound header."""
FRAMES = clip()[3:]


def bodies(them) -> list[bytes]:
    return [tag.body for tag in them]


def kinds(one, stream_id: int = 1) -> set[int]:
    return {tag.type_id for tag in one.media[stream_id]}


async def has(one, count: int, stream_id: int = 1) -> None:
    await one.until(lambda: len(one.media[stream_id]) >= count)


async def test_a_player_gets_headers_then_the_last_key_frame_on_then_what_comes():
    async with node() as running, publisher(running) as source:
        long = clip(2.6)  # key frames at 0, 1 and 2 seconds
        await source.send_media(long)
        async with player(running, "x") as first:  # everything has arrived when this one plays
            await has(first, 1)
        from_key = [tag for tag in long[3:] if tag.timestamp >= 2000]
        async with player(running) as viewer:
            await has(viewer, 3 + len(from_key))
            assert viewer.bodies() == bodies(HEAD) + bodies(from_key)
            got = viewer.media[1]
            assert [tag.timestamp for tag in got] == [0, 2000, 2000] + [
                tag.timestamp for tag in from_key
            ]
            more = shifted(FRAMES, 3000)
            await source.send_media(more)
            await has(viewer, len(got) + len(more))
            assert viewer.media[1][-len(more) :] == more


async def test_a_player_before_its_publisher_gets_the_whole_stream():
    async with node() as running, peer(running) as viewer:
        await viewer.connect()
        await viewer.create_stream()
        await viewer.call("play", None, "x", stream_id=1)
        async with publisher(running) as source:
            await source.send_media(clip())
            await has(viewer, len(clip()))
            assert viewer.bodies() == bodies(clip())
            assert viewer.codes[-3:] == [
                "NetStream.Play.Reset",
                "NetStream.Play.Start",
                "NetStream.Play.PublishNotify",
            ]
            assert (UserControl.STREAM_BEGIN, 1) in viewer.controls


async def test_a_missing_stream_is_told_within_the_time_players_wait(autojump_clock, caplog):
    caplog.set_level(logging.INFO)
    patiently(autojump_clock)
    async with node(play_wait=5) as running, peer(running) as one:
        await one.connect()
        await one.create_stream()
        began = trio.current_time()
        await one.call("play", None, "nothing", stream_id=1)
        await one.status("NetStream.Play.StreamNotFound")
        assert 5 <= trio.current_time() - began < 6
        await one.stream.send_eof()
        await one.hung_up()
        assert "live/nothing is not being published" in said_about(caplog, one)[0]


async def test_a_thousand_players_of_missing_streams_leave_nothing():
    async with node(play_wait=0.01) as running, bystanders(running) as healthy:

        async def ask(number: int) -> None:
            async with peer(running) as one:
                await one.connect()
                await one.create_stream()
                await one.call("play", None, f"missing-{number}", stream_id=1)
                await one.status("NetStream.Play.StreamNotFound")

        for first in range(0, 1000, 50):
            async with trio.open_nursery() as nursery:
                for number in range(first, first + 50):
                    nursery.start_soon(ask, number)
        await healthy.check()
        assert list(running.registry.streams) == [StreamKey("live", "healthy")]
        assert running.registry._waiting == {}
        gc.collect()
        kept = [o for o in gc.get_objects() if isinstance(o, StreamKey) and "missing" in o.name]
        assert kept == []


async def test_a_player_that_pauses_gets_nothing_until_it_goes_on_from_a_key_frame():
    async with node() as running, publisher(running) as source, player(running) as viewer:
        await source.send_media(clip())
        await has(viewer, len(clip()))
        await viewer.call("pause", None, True, 1000, stream_id=1)
        await viewer.status("NetStream.Pause.Notify")
        await source.send_media(shifted(FRAMES, 1000))
        async with player(running) as other:
            newest = 1000 + FRAMES[-1].timestamp
            await other.until(lambda: newest in {tag.timestamp for tag in other.media[1]})
        viewer.media.clear()
        await viewer.call("pause", None, False, 1000, stream_id=1)
        await viewer.status("NetStream.Unpause.Notify")
        await has(viewer, len(clip()))
        assert viewer.bodies() == bodies(HEAD) + bodies(FRAMES)
        assert viewer.media[1][3].timestamp == 1000


async def test_going_on_without_having_paused_sends_nothing_twice():
    async with node() as running, publisher(running) as source, player(running) as viewer:
        await source.send_media(clip())
        await has(viewer, len(clip()))
        for _ in range(100):
            await viewer.call("pause", None, False, 0, stream_id=1)
        await viewer.until(lambda: viewer.codes.count("NetStream.Unpause.Notify") == 100)
        assert len(viewer.media[1]) == len(clip())


async def test_a_paused_player_still_hears_that_the_stream_ends():
    async with node() as running, publisher(running) as source, player(running) as viewer:
        await viewer.call("pause", None, True, 0, stream_id=1)
        await viewer.status("NetStream.Pause.Notify")
        await source.call("deleteStream", None, 1)
        await viewer.hung_up()
        assert viewer.codes[-1] == "NetStream.Play.Stop"
        assert (UserControl.STREAM_EOF, 1) in viewer.controls


async def test_a_player_may_switch_sound_and_picture_off_and_on():
    async with node() as running, publisher(running) as source, player(running) as viewer:
        await source.send_media(clip())
        await has(viewer, len(clip()))
        sounds = [tag for tag in FRAMES if tag.type_id == 8]
        viewer.media.clear()
        await viewer.call("receiveVideo", None, False, stream_id=1)
        await viewer.until(lambda: len(viewer.media[1]) >= 2 + len(sounds))
        assert kinds(viewer) == {8, 18}
        viewer.media.clear()
        await viewer.call("receiveAudio", None, False, stream_id=1)
        await viewer.call("pause", None, False, 0, stream_id=1)  # an answer to wait for
        await viewer.status("NetStream.Unpause.Notify")
        assert kinds(viewer) <= {18}
        viewer.media.clear()
        await viewer.call("receiveVideo", None, True, stream_id=1)
        await has(viewer, 2 + len(FRAMES) - len(sounds))
        assert kinds(viewer) == {9, 18}
        viewer.media.clear()
        await viewer.call("receiveAudio", None, True, stream_id=1)
        await has(viewer, len(clip()))
        assert viewer.bodies() == bodies(clip())


async def test_a_seek_is_answered_and_a_live_stream_stays_where_it_is():
    async with node() as running, publisher(running) as source, player(running) as viewer:
        for position in (0, 5000, float("nan"), -1, 1e308):
            await viewer.call("seek", None, position, stream_id=1)
            await viewer.status("NetStream.Seek.Notify")
        await source.send_media(clip())
        await has(viewer, len(clip()))
        assert viewer.bodies() == bodies(clip())


async def test_any_start_means_live():
    async with node() as running, publisher(running) as source:
        await source.send_media(clip())
        for start in (-2, -1, 0, 1, 1e308, -2000, float("nan"), None, "soon"):
            async with peer(running) as viewer:
                await viewer.connect()
                await viewer.create_stream()
                await viewer.call("play", None, "x", start, stream_id=1)
                await has(viewer, len(clip()))
                assert viewer.bodies() == bodies(clip())


async def test_a_player_that_stops_may_play_again_on_the_same_stream():
    async with node() as running, publisher(running) as source:
        await source.send_media(clip())
        async with publisher(running, "y"), player(running) as viewer:
            await has(viewer, len(clip()))
            for stop, again in (("closeStream", "x"), ("closeStream", "y"), (None, "x")):
                if stop:
                    await viewer.call(stop, None, stream_id=1)
                viewer.media.clear()
                await viewer.call("play", None, again, stream_id=1)
                await viewer.status("NetStream.Play.Start")
                (stream,) = [s for s in running.registry.streams.values() if len(s.clients) == 2]
                assert stream.key.name == again
            await has(viewer, len(clip()))
            assert viewer.bodies() == bodies(clip())


async def test_a_deleted_stream_plays_no_more_and_its_number_is_free_again():
    async with node() as running, publisher(running) as source, player(running) as viewer:
        await viewer.call("deleteStream", None, 1)
        assert await viewer.create_stream() == 1
        await source.send_media(clip())
        async with player(running) as other:
            await has(other, len(clip()))
        await viewer.call("play", None, "x", stream_id=1)
        await has(viewer, len(clip()))
        assert viewer.bodies() == bodies(clip())


async def test_play2_switches_to_another_stream():
    async with node() as running, publisher(running) as source, publisher(running, "y"):
        async with player(running, "y") as viewer:
            await source.send_media(clip())
            options = {"oldStreamName": "y", "streamName": "x", "transition": "switch"}
            await viewer.call("play2", None, options, stream_id=1)
            await has(viewer, len(clip()))
            assert viewer.bodies() == bodies(clip())


async def test_two_streams_play_on_one_connection_and_the_end_of_one_is_not_the_others():
    async with (
        node() as running,
        publisher(running, "a") as a,
        publisher(running, "b") as b,
        player(running, "a") as viewer,
    ):
        assert await viewer.play("b") == 2
        await a.send_media(clip())
        await b.send_media(clip(0.4))
        await has(viewer, len(clip()), 1)
        await has(viewer, len(clip(0.4)), 2)
        assert viewer.bodies(1) == bodies(clip())
        assert viewer.bodies(2) == bodies(clip(0.4))
        await a.call("deleteStream", None, 1)
        await viewer.until(lambda: (UserControl.STREAM_EOF, 1) in viewer.controls)
        more = shifted(FRAMES, 400)
        await b.send_media(more)
        await has(viewer, len(clip(0.4)) + len(more), 2)
        await viewer.call("play", None, "b", stream_id=1)  # the free one is good for another
        await has(viewer, len(clip()) + 3, 1)
        await b.call("deleteStream", None, 1)
        await viewer.hung_up()
        assert {(UserControl.STREAM_EOF, 1), (UserControl.STREAM_EOF, 2)} <= set(viewer.controls)


async def test_who_publishes_and_plays_on_one_connection_goes_on_publishing_when_the_other_ends():
    async with node() as running, publisher(running, "me") as me, publisher(running, "you") as you:
        assert await me.play("you") == 2
        await you.send_media(clip())
        await has(me, len(clip()), 2)
        await you.call("deleteStream", None, 1)
        await me.until(lambda: (UserControl.STREAM_EOF, 2) in me.controls)
        await me.send_media(clip())
        async with player(running, "me") as viewer:
            await has(viewer, len(clip()))
            assert viewer.bodies() == bodies(clip())
        await soon(lambda: len(list(running.registry.clients())) == 1)
        assert [key.name for key in running.registry.streams] == ["me"]


async def test_who_plays_itself_on_one_connection_hears_itself():
    async with node() as running, publisher(running) as me:
        await me.send_media(clip())
        assert await me.play("x") == 2
        await has(me, len(clip()), 2)
        assert me.bodies(2) == bodies(clip())


def two_tracks() -> list[Packet]:
    """A clip with a second, bigger picture and a second sound."""
    packets = []
    second, sound = avc_track(128, 96, 1), aac_track(track_id=1)
    announced = False
    for packet in sample_packets(1.0):
        packets.append(packet)
        if packet.config:
            continue
        if not announced:
            packets += [Packet(t, 0, 0, t.config, config=True) for t in (second, sound)]
            announced = True
        if packet.track.kind is second.kind:
            data = avc_frame(key=packet.key, width=128, height=96)
            packets.append(Packet(second, packet.dts, packet.dts, data, key=packet.key))
        else:
            packets.append(Packet(sound, packet.dts, packet.dts, aac_frame(), key=True))
    return packets


async def test_who_announces_multitrack_gets_all_tracks_and_others_the_first():
    packets = two_tracks()
    sent = []
    for packet in packets:
        tag = tag_body(packet, multitrack=True)
        assert tag is not None
        sent.append((tag[0], packet.dts // 1000, tag[1]))
    first = tags(packet for packet in packets if packet.track.id == 0)
    async with (
        node() as running,
        publisher(running) as source,
        player(running) as old,
        player(running, "x", capsEx=2, fourCcList=["*"]) as new,
    ):
        await source.send_media(sent)
        await has(old, len(first))
        await has(new, len(sent))
        assert old.bodies() == bodies(first)
        assert sorted(new.bodies()) == sorted(body for _, _, body in sent)
        assert {track.id for track in running.registry.streams[X].tracks} == {0, 1}
    assert avc_config() in bodies(first)[1]
