"""Renditions: made once, shared, stopped when nobody needs them; failures harm nobody else."""

from __future__ import annotations

import os
import signal
import threading
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
import trio.testing
from kit.coded import announce, coded_sound, coded_video, heard, pitch, seen, shifted
from kit.node import Traces

from livetrio.config import RenditionConfig
from livetrio.errors import RefusalCode, Refused
from livetrio.media import rendition_audio
from livetrio.media.client import Client
from livetrio.media.feed import Format
from livetrio.media.registry import open_registry
from livetrio.media.rendition_stage import Claim
from livetrio.media.renditions import Renditions
from livetrio.media.ring import EndOfStream
from livetrio.net.scope import open_scope, tree
from livetrio.packet import Codec, Kind, Packet, StreamKey, Track

X = StreamKey("live", "x")
OPUS, AAC = Codec.OPUS, Codec.AAC


@asynccontextmanager
async def published(packets=(), protocol="rtmp", name="x"):
    """A stream with these packets: (registry, publication)."""
    async with open_registry() as registry, open_scope("test", "publisher") as scope:
        client = Client("publisher", protocol, scope)
        async with registry.publish(X._replace(name=name), client, takeover=False) as publication:
            publication.publish(list(packets))
            yield registry, publication


async def everything(edition):
    """All packets of an edition until it ends."""
    packets = []
    cursor = edition.ring.cursor()
    while True:
        try:
            packets += await cursor.read()
        except EndOfStream:
            return packets


async def first(edition, kind, count):
    """The configuration and so many packets of a kind."""
    found = []
    cursor = edition.ring.cursor()
    with trio.fail_after(60):
        while len(found) < count:
            found += [p for p in await cursor.read() if p.track.kind is kind]
    return found


async def edition_begins(edition):
    await edition.ring.changed(0)


def both():
    return sorted([*coded_video(), *coded_sound()], key=lambda packet: packet.dts)


async def test_sound_is_converted_and_pictures_pass_untouched():
    source = both()
    collected = []
    async with published(source) as (_, publication), trio.open_nursery() as nursery:
        async with Renditions().open(publication.stream, audio=OPUS) as edition:

            async def collect():
                collected.extend(await everything(edition))

            nursery.start_soon(collect)
            await first(edition, Kind.AUDIO, 45)
            assert {track.codec for track in edition.tracks} == {Codec.H264, OPUS}
            edition.ring.end()
    pictures = [p for p in collected if p.track.kind is Kind.VIDEO and not p.config]
    assert pictures == [p for p in source if p.track.kind is Kind.VIDEO and not p.config][25:]
    sound = [p for p in collected if p.track.kind is Kind.AUDIO]
    assert pitch(heard(sound)[9600:]) == pytest.approx(440, abs=2)


async def test_the_end_of_the_stream_is_the_end_of_its_renditions():
    async with published(both()) as (_, publication):
        async with Renditions().open(publication.stream, audio=OPUS) as edition:
            publication.stream.ring.end()
            with trio.fail_after(10):
                packets = await everything(edition)
            assert any(packet.track.codec is OPUS for packet in packets)
            assert edition.ring.end_reason == "the stream has ended"


async def test_sound_begins_where_it_was_wanted_however_long_its_encoder_takes_to_open(monkeypatch):
    may_open = threading.Event()
    real = rendition_audio._open

    def slow(target, bitrate):
        assert may_open.wait(60)
        return real(target, bitrate)

    monkeypatch.setattr(rendition_audio, "_open", slow)
    source = both()
    late = [p for p in shifted(source, 2_000_000) if not p.config]
    async with published(source) as (_, publication):
        async with Renditions().open(publication.stream, audio=OPUS) as edition:
            await trio.testing.wait_all_tasks_blocked(0.01)
            publication.publish(late)  # with newer key frames
            may_open.set()
            pictures = await first(edition, Kind.VIDEO, 70)
    assert next(p.dts for p in pictures if not p.config) == 1_000_000


async def test_all_who_want_the_same_share_one():
    renditions = Renditions()
    async with published(both()) as (_, publication):
        stream = publication.stream
        async with renditions.open(stream, audio=OPUS) as a:
            async with renditions.open(stream, audio=OPUS) as b:
                assert a is b
                assert renditions.running == {"opus": 1}
                assert stream.derived == {a}


async def test_a_wish_that_the_stream_fulfils_already_makes_nothing():
    renditions = Renditions()
    plain = [*coded_video(b_frames=0), *coded_sound()]
    async with published(plain) as (_, publication):
        async with renditions.open(publication.stream, audio=AAC, video="no-b") as edition:
            assert edition is publication.stream
        async with renditions.open(publication.stream) as edition:
            assert edition is publication.stream
    assert renditions.running == {}


async def test_it_goes_on_for_a_while_when_nobody_needs_it_and_then_stops(autojump_clock):
    before = Traces.now()
    renditions = Renditions(linger=10)
    async with published(both()) as (_, publication):
        async with renditions.open(publication.stream, audio=OPUS) as first_edition:
            autojump_clock.autojump_threshold = float("inf")  # a thread is no sleeper
            await edition_begins(first_edition)
            autojump_clock.autojump_threshold = 0
            await trio.sleep(100)
        await trio.sleep(9)
        async with renditions.open(publication.stream, audio=OPUS) as edition:
            assert edition is first_edition
        await trio.sleep(9)
        assert renditions.running == {"opus": 1}
        await trio.sleep(2)
        assert renditions.running == {}
        assert publication.stream.derived == set()
        assert edition.ring.ended
        async with renditions.open(publication.stream, audio=OPUS) as edition:
            assert edition is not first_edition
    assert Traces.now() == before


async def test_viewers_of_a_rendition_are_served_and_told_of_its_end():
    said = []

    class Outbox:
        def send_block(self, block):
            said.append(block.data)

        def send(self, data):
            said.append(data)

    format_ = Format("kinds", lambda packet: packet.track.codec.value.encode(), goodbye=b"bye")
    async with published(both()) as (_, publication):
        async with Renditions().open(publication.stream, audio=OPUS) as edition:
            ended = trio.Event()
            with edition.watch(format_, Outbox(), lambda reason: ended.set()):
                await first(edition, Kind.AUDIO, 40)
                await trio.testing.wait_all_tasks_blocked()
                publication.stream.scope.cancel("test")
                with trio.fail_after(5):
                    await ended.wait()
    assert said[-1] == b"bye"
    assert b"opus" in b"".join(said)
    assert b"aac" not in b"".join(said)


async def test_beyond_the_cap_a_viewer_is_refused_with_the_reason():
    renditions = Renditions(RenditionConfig(max_audio=1))
    async with published(both()) as (_, a), published(both(), name="y") as (_, b):
        async with renditions.open(a.stream, audio=OPUS):
            with pytest.raises(Refused, match="1 audio renditions run already") as refused:
                async with renditions.open(b.stream, audio=OPUS):
                    pass
            assert refused.value.code is RefusalCode.UNAVAILABLE
            assert "rendition.max" in refused.value.hint
        async with renditions.open(b.stream, audio=OPUS):  # the other one only lingered
            pass


async def test_both_wishes_for_pictures_are_one_encoder():
    renditions = Renditions()
    async with published(both()) as (_, publication):
        async with renditions.open(publication.stream, video="no-b") as plain:
            async with renditions.open(publication.stream, video="h264") as other:
                assert plain is other
                assert renditions.running == {"h264": 1}


@asynccontextmanager
async def three_streams():
    async with published(both(), name="a") as (_, a), published(both(), name="b") as (_, b):
        async with published(both(), name="c") as (_, c):
            yield a.stream, b.stream, c.stream


@asynccontextmanager
async def one_place():
    """Three streams, and room for one audio encoder."""
    async with three_streams() as streams:
        yield (Renditions(RenditionConfig(max_audio=1)), *streams)


async def test_who_has_proved_nothing_loses_its_encoder_to_another_address():
    async with one_place() as (renditions, a, b, _):
        flood = Claim("192.0.2.1", lambda: True)
        viewer = Claim("192.0.2.2", lambda: True)
        async with renditions.open(a, audio=OPUS, claim=flood) as lost:
            async with renditions.open(b, audio=OPUS, claim=viewer) as kept:
                await lost.ring.changed(10**9)
                assert lost.ring.end_reason == "the rendition's place was needed"
                assert not kept.ring.ended


async def test_who_is_connected_keeps_its_encoder():
    async with one_place() as (renditions, a, b, _):
        waits = True
        claim = Claim("192.0.2.1", lambda: waits)
        async with renditions.open(a, audio=OPUS, claim=claim):
            waits = False
            with pytest.raises(Refused, match="run already"):
                async with renditions.open(b, audio=OPUS, claim=Claim("192.0.2.2", lambda: True)):
                    pass


async def test_requests_without_end_from_one_address_take_its_own_encoders_and_not_at_once(
    autojump_clock,
):
    async with three_streams() as (a, b, c):
        renditions = Renditions(RenditionConfig(max_audio=2))
        flood, viewer = Claim("192.0.2.1", lambda: True), Claim("192.0.2.2", lambda: True)
        autojump_clock.autojump_threshold = float("inf")  # a thread is no sleeper
        async with renditions.open(a, audio=OPUS, claim=flood) as first_of_flood:
            async with renditions.open(b, audio=OPUS, claim=viewer) as kept:
                with pytest.raises(Refused, match="run already"):
                    async with renditions.open(c, audio=OPUS, claim=flood):
                        pass
                autojump_clock.jump(4)
                async with renditions.open(c, audio=OPUS, claim=flood):
                    await first_of_flood.ring.changed(10**9)
                    assert not kept.ring.ended


async def test_sound_that_cannot_be_decoded_ends_the_rendition_and_not_the_stream():
    track = Track(Kind.AUDIO, AAC, config=b"\x11\x90", sample_rate=48_000, channels=2)
    garbage = [Packet(track, n, n, b"\xff\xf1garb", key=True) for n in range(0, 10**6, 10_000)]
    renditions = Renditions()
    async with published([announce(track), *garbage]) as (_, publication):
        async with renditions.open(publication.stream, audio=OPUS) as edition:
            with trio.fail_after(5):
                await everything(edition)
            assert "cannot be decoded" in edition.ring.end_reason
        with pytest.raises(Refused, match="cannot be decoded"):  # for a while, not at once again
            async with renditions.open(publication.stream, audio=OPUS):
                pass
        assert not publication.stream.ring.ended


async def test_nothing_can_be_made_of_a_stream_that_has_ended():
    async with published(both()) as (_, publication):
        publication.stream.ring.end()
        with pytest.raises(Refused, match="has ended"):
            async with Renditions().open(publication.stream, audio=OPUS):
                pass


async def test_a_publisher_that_comes_back_with_other_sound_is_still_heard():
    async with published(coded_sound(seconds=0.5)) as (_, publication):
        async with Renditions().open(publication.stream, audio=OPUS) as edition:
            await first(edition, Kind.AUDIO, 20)
            publication.publish(shifted(coded_sound(rate=44_100, channels=1), 600_000))
            cursor = edition.ring.cursor(live=True)
            with trio.fail_after(10):
                packets = await cursor.read()
                while not any(packet.track.channels == 1 for packet in packets):
                    packets = await cursor.read()
            assert [track.channels for track in edition.tracks] == [1]


async def test_b_frames_are_taken_out_by_a_process_that_goes_with_the_block():
    before = Traces.now()
    async with published(both()) as (registry, publication):
        async with Renditions().open(publication.stream, video="no-b") as edition:
            packets = await first(edition, Kind.VIDEO, 20)
            assert all(p.pts == p.dts for p in packets)
            assert [p.key for p in packets[:2]] == [False, True]
            assert len(seen(packets)) >= 19
            assert any(track.codec is AAC for track in edition.tracks)
            assert "rendition" in str(tree(registry.scope))
            await registry.end_stream(X, "test")
    assert Traces.now() == before
    assert_no_children()


async def test_no_b_and_opus_together_are_one_behind_the_other_and_shared():
    renditions = Renditions()
    async with published(both()) as (_, publication):
        async with renditions.open(publication.stream, audio=OPUS, video="no-b") as edition:
            async with renditions.open(publication.stream, video="no-b") as video_only:
                assert edition in video_only.derived
                assert renditions.running == {"h264": 1, "opus": 1}
            await first(edition, Kind.VIDEO, 20)
            assert {track.codec for track in edition.tracks} == {Codec.H264, OPUS}
            assert all(s.reordered is False for s in edition.track_statistics)


async def test_vp8_becomes_h264_for_those_who_need_it():
    async with published(coded_video(Codec.VP8)) as (_, publication):
        async with Renditions().open(publication.stream, video="h264") as edition:
            await first(edition, Kind.VIDEO, 20)
            assert [track.codec for track in edition.tracks] == [Codec.H264]


def children():
    """Process ids of this process's children, whichever of its threads has started them."""
    files = Path(f"/proc/{os.getpid()}/task").glob("*/children")
    return [int(pid) for file in files for pid in file.read_text().split()]


def assert_no_children():
    assert children() == []


async def test_a_worker_that_is_killed_has_a_successor_which_begins_at_a_key_frame():
    clip = coded_video(frames=50)
    async with published(clip) as (_, publication):
        async with Renditions().open(publication.stream, video="no-b") as edition:
            await first(edition, Kind.VIDEO, 20)
            for pid in children():
                os.kill(pid, signal.SIGKILL)
            cursor = edition.ring.cursor(live=True)
            frames, keys = [], set()
            with trio.fail_after(60):
                for number in range(1, 1000):  # from the middle of a group on
                    live = shifted(clip[5:], number * 2_000_000)
                    keys |= {packet.pts for packet in live if packet.key}
                    publication.publish(live)
                    with trio.move_on_after(0.3):
                        while len(frames) < 10:
                            new = [p for p in await cursor.read() if p.dts >= 2_200_000]
                            frames += [p for p in new if not p.config]
                        break
            assert frames[0].key
            assert frames[0].pts in keys
            assert not edition.ring.ended
    assert_no_children()


async def test_a_worker_that_dies_again_and_again_is_given_up_and_viewers_are_told():
    clip = coded_video(frames=50)
    async with published(clip) as (_, publication):
        async with Renditions().open(publication.stream, video="no-b") as edition:
            with trio.fail_after(60):
                while not edition.ring.ended:
                    for pid in children():
                        os.kill(pid, signal.SIGKILL)
                    await trio.sleep(0.05)
            assert "by signal 9, twice" in edition.ring.end_reason
        assert not publication.stream.ring.ended
    assert_no_children()


@pytest.mark.parametrize("wishes", [{"audio": OPUS}, {"video": "no-b"}])
async def test_cancelled_at_any_moment_nothing_is_left(wishes):
    before = Traces.now()
    for number in range(8):
        with trio.move_on_after(number * 0.02):
            async with published(both()) as (_, publication):
                async with Renditions().open(publication.stream, **wishes):
                    await trio.sleep_forever()
    assert Traces.now() == before
    assert_no_children()


async def test_further_tracks_of_sound_stay_only_where_they_are_coded_so_already():
    def second(codec, number):
        track = coded_sound(codec)[0].track
        other = Track(Kind.AUDIO, codec, number, track.config, sample_rate=48_000, channels=2)
        return [announce(other), Packet(other, 900_000, 900_000, b"x" * 9, key=True)]

    packets = [*coded_sound(seconds=1), *second(AAC, 1), *second(OPUS, 2)]
    async with published(packets) as (_, publication):
        async with Renditions().open(publication.stream, audio=OPUS) as edition:
            publication.publish(shifted(coded_sound(seconds=1)[1:], 1_000_000))
            await first(edition, Kind.AUDIO, 20)
            assert {(track.id, track.codec) for track in edition.tracks} == {(0, OPUS), (2, OPUS)}


async def test_a_wish_for_a_key_frame_reaches_whoever_encodes():
    wishes = []
    clip = coded_video(frames=60, gop=1000)
    async with published(clip) as (_, publication):
        publication.on_key_frame_request = wishes.append
        async with Renditions().open(publication.stream, audio=OPUS) as edition:
            with trio.fail_after(10):
                while not edition.ring.head:
                    await edition.ring.changed(0)
            edition.request_key_frame()
            assert wishes == [0]
        async with Renditions().open(publication.stream, video="no-b", audio=OPUS) as edition:
            await first(edition, Kind.VIDEO, 50)
            edition.request_key_frame()
            publication.publish(shifted(clip[5:], 2_400_000))  # none of the source's own in it
            late = await first(edition, Kind.VIDEO, 100)
            assert [p.pts > 2_000_000 for p in late if p.key] == [False, True]
            assert wishes == [0]  # this encoder is ours


async def test_video_that_cannot_be_decoded_is_not_tried_twice():
    track = Track(Kind.VIDEO, Codec.SCRIPT)
    frame = Packet(track, 0, 0, b"x", key=True)
    async with published([announce(track), frame]) as (_, publication):
        async with Renditions().open(publication.stream, video="h264") as edition:
            with trio.fail_after(30):
                await everything(edition)
            assert "cannot be decoded" in edition.ring.end_reason


async def test_the_end_of_the_stream_lets_out_all_pictures_that_were_on_their_way():
    async with published(both()) as (_, publication):
        async with Renditions().open(publication.stream, video="no-b") as edition:
            publication.stream.ring.end()
            with trio.fail_after(30):
                packets = await everything(edition)
    frames = [p for p in packets if p.track.kind is Kind.VIDEO and not p.config]
    assert len(frames) == 25  # the newest group of pictures
    assert packets[-1].dts >= frames[-1].dts
