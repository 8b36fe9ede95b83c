"""Participants: frames in, frames out, tracks of aiortc, and an end that leaves nothing."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from fractions import Fraction
from itertools import pairwise

import av
import pytest
import trio
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack
from kit.engines import until
from kit.media import sample_packets
from kit.node import Traces
from kit.relay import KEY, publisher

from livetrio.errors import RefusalCode, Refused
from livetrio.media.registry import open_registry
from livetrio.net.scope import open_scope
from livetrio.packet import Codec, Kind
from livetrio.webrtc.participants import Participants
from livetrio.wire import amf0


@asynccontextmanager
async def cast():
    async with open_scope("node", "test") as root, open_registry(resume_window=0) as registry:
        participants = Participants(registry)
        participants.root, participants.registry = root, registry
        yield participants


def picture(number: int, *, size=(64, 48), grey: int = 128, stamped: bool = True):
    frame = av.VideoFrame(*size, "yuv420p")
    for plane, value in zip(frame.planes, (grey, 128, 128), strict=True):
        plane.update(bytes([value]) * plane.buffer_size)
    if stamped:
        frame.pts, frame.time_base = number, Fraction(1, 30)
    return frame


def sound(number: int, *, rate: int = 44_100, layout: str = "mono", samples: int = 441):
    frame = av.AudioFrame("s16", layout, samples)
    for plane in frame.planes:
        plane.update(b"\x00\x10" * (plane.buffer_size // 2))
    frame.sample_rate, frame.pts, frame.time_base = rate, number * samples, Fraction(1, rate)
    return frame


class TestPublishing:
    @pytest.mark.parametrize("codec", [Codec.H264, Codec.VP8])
    async def test_frames_become_packets_that_another_participant_sees_as_frames(
        self, codec
    ) -> None:
        async with cast() as those, those.publish(KEY, codec=codec) as broadcast:
            for number in range(5):
                await broadcast.send(picture(number, grey=40 * number + 20))
            tracks = broadcast.stream.tracks
            assert [(t.codec, t.width, t.height) for t in tracks] == [(codec, 64, 48)]
            greys = []
            async with those.join(KEY) as watching:
                async for frame in watching.frames(Kind.VIDEO):
                    greys.append(bytes(frame.planes[0])[0])
                    if len(greys) == 5:
                        break
            assert greys == pytest.approx([20, 60, 100, 140, 180], abs=6)

    async def test_sound_of_any_rate_becomes_opus_on_a_steady_clock(self) -> None:
        async with cast() as those, those.publish(KEY) as broadcast, those.join(KEY) as watching:
            packets = watching.packets()
            for number in range(20):
                await broadcast.send(sound(number))
            (track,) = broadcast.stream.tracks
            assert (track.codec, track.channels, track.sample_rate) == (Codec.OPUS, 1, 48_000)
            times = []
            async for packet in packets:
                if not packet.config:
                    times.append(packet.pts)
                if len(times) == 8:
                    break
            steps = {later - earlier for earlier, later in pairwise(times[1:])}
            assert steps == {20_000}

    async def test_another_size_is_a_new_configuration_with_a_key_frame(self) -> None:
        async with cast() as those, those.publish(KEY) as broadcast:
            await broadcast.send(picture(0))
            await broadcast.send(picture(1, size=(65, 33)))
            (track,) = broadcast.stream.tracks
            assert (track.width, track.height) == (64, 32)
            (seen,) = broadcast.stream.track_statistics
            assert seen.keys == 2

    async def test_frames_without_times_get_the_clocks(self) -> None:
        async with cast() as those, those.publish(KEY) as broadcast:
            for _ in range(3):
                await broadcast.send(picture(0, stamped=False))
                await trio.sleep(0.01)
            (seen,) = broadcast.stream.track_statistics
            assert seen.packets == 3

    async def test_a_wish_for_a_key_frame_is_fulfilled(self) -> None:
        async with cast() as those, those.publish(KEY) as broadcast:
            await broadcast.send(picture(0))
            await broadcast.send(picture(1))
            broadcast.stream.request_key_frame()
            await broadcast.send(picture(2))
            assert broadcast.stream.track_statistics[0].keys == 2

    async def test_a_caption_is_timed_data(self) -> None:
        async with cast() as those, those.publish(KEY) as broadcast, those.join(KEY) as watching:
            packets = watching.packets()
            broadcast.caption("good evening")
            packet = await anext(packets)
            assert amf0.decode(packet.data) == ["onTextData", {"text": "good evening"}]

    async def test_pictures_of_no_sense_are_refused_and_the_error_comes_as_it_is(self) -> None:
        async with cast() as those:
            with pytest.raises(Refused, match="a picture of 1 x 48"):
                async with those.publish(KEY) as broadcast:
                    await broadcast.send(picture(0, size=(1, 48)))
            with pytest.raises(Refused, match="vp9 is not encoded here"):
                async with those.publish(KEY, codec=Codec.VP9):
                    pass

    async def test_a_name_that_is_taken_is_refused(self) -> None:
        async with cast() as those, publisher(those.registry):
            with pytest.raises(Refused) as refused:
                async with those.publish(KEY):
                    pass
            assert refused.value.code is RefusalCode.CONFLICT

    async def test_leaving_ends_the_stream_at_once(self) -> None:
        async with cast() as those:
            async with those.publish(KEY) as broadcast:
                await broadcast.send(picture(0))
            await until(lambda: KEY not in those.registry.streams)


class Ticks(MediaStreamTrack):
    """Pictures or sounds as somebody's asyncio code makes them."""

    def __init__(self, kind: str, make, count: int = 10_000) -> None:
        super().__init__()
        self.kind, self.make, self.left, self.number = kind, make, count, 0

    async def recv(self):
        if not self.left:
            raise MediaStreamError
        self.left -= 1
        await asyncio.sleep(0.002)
        self.number += 1
        return self.make(self.number)


class TestTracks:
    async def test_aiortcs_tracks_are_published_as_they_come(self) -> None:
        tracks = Ticks("video", picture), Ticks("audio", sound)
        async with cast() as those, those.publish(KEY, *tracks) as broadcast:
            await until(lambda: len(broadcast.stream.tracks) == 2)
            await until(lambda: all(s.packets > 5 for s in broadcast.stream.track_statistics))
        assert [track.readyState for track in tracks] == ["ended", "ended"]

    async def test_a_track_that_ends_leaves_the_other_going(self) -> None:
        tracks = Ticks("video", picture, count=3), Ticks("audio", sound)
        async with cast() as those, those.publish(KEY, *tracks) as broadcast:
            await until(lambda: tracks[0].left == 0 and tracks[1].number > 30)
            assert those.registry.streams[KEY].publication is not None
            assert broadcast.client.scope.reason == ""

    async def test_a_track_that_fails_ends_its_participant_with_that_error(self) -> None:
        def fails(number):
            raise ZeroDivisionError("a bug in a bot")

        async with cast() as those:
            with pytest.raises(ZeroDivisionError):
                async with those.publish(KEY, Ticks("video", fails)):
                    await trio.sleep_forever()
            async with those.publish(KEY):
                pass

    async def test_a_track_of_coded_packets_is_refused(self) -> None:
        async with cast() as those:
            with pytest.raises(Refused, match="frames"):
                async with those.publish(KEY, Ticks("video", lambda n: av.Packet(b"x"))):
                    await trio.sleep_forever()


class TestWatching:
    async def test_what_rtmp_published_is_seen_and_heard(self) -> None:
        async with cast() as those, publisher(those.registry) as publication:
            publication.publish(list(sample_packets()))
            kinds = set()
            async with those.join(KEY) as watching:
                async for frame in watching.frames():
                    kinds.add(type(frame))
                    if len(kinds) == 2:
                        break
            assert kinds == {av.VideoFrame, av.AudioFrame}

    async def test_the_end_of_the_stream_is_the_end_of_the_frames(self) -> None:
        seen = []
        async with cast() as those, trio.open_nursery() as nursery:

            async def watch() -> None:
                async with those.join(KEY) as watching:
                    seen.extend([frame async for frame in watching.frames(Kind.VIDEO)])
                    seen.append("the end")

            nursery.start_soon(watch)
            async with publisher(those.registry) as publication:
                await until(lambda: len(publication.stream.clients) == 2)
                publication.publish(list(sample_packets()))
                publication.finish()
        assert seen[-1] == "the end"
        assert len(seen) > 1

    async def test_a_stream_that_is_not_there_is_not_found(self, autojump_clock) -> None:
        async with cast() as those:
            with pytest.raises(Refused) as refused:
                async with those.join(KEY, wait=3):
                    pass
            assert refused.value.code is RefusalCode.NOT_FOUND

    async def test_an_operator_may_end_it(self) -> None:
        async with cast() as those, publisher(those.registry):
            async with those.join(KEY, name="ears") as watching:
                assert watching.client.agent == "ears"
                assert f"ears watches {KEY}" in {scope.name for scope in those.root.walk()}

                async def kick() -> None:
                    await those.registry.end_client(watching.client.id, "enough")

                async with trio.open_nursery() as nursery:
                    those.root.nursery.start_soon(kick)
                    async for _ in watching.packets():
                        pass
                    nursery.cancel_scope.cancel()
            assert watching.client.scope.reason == "enough"


async def test_cancelling_in_mid_stream_leaves_nothing() -> None:
    await trio.to_thread.run_sync(lambda: None)
    async with cast() as those:
        before = Traces.now()
        for _ in range(2):
            with trio.CancelScope() as everything:
                tracks = Ticks("video", picture), Ticks("audio", sound)
                async with those.publish(KEY, *tracks), those.join(KEY) as watching:
                    async for _frame in watching.frames():
                        everything.cancel()
            await until(lambda: KEY not in those.registry.streams)
        await until(lambda: Traces.now() == before)
