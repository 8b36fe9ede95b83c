"""What an edition lacks for a player, told without decoding."""

from __future__ import annotations

from contextlib import asynccontextmanager

import pytest
import trio
from kit.coded import announce, coded_video
from kit.packets import AUDIO, VIDEO, audio, config, video

from livetrio.media.client import Client
from livetrio.media.needs import has_codec, legacy_audio, needs_no_b, reorders
from livetrio.media.registry import open_registry
from livetrio.net.scope import open_scope
from livetrio.packet import Codec, Kind, Packet, StreamKey, Track


@asynccontextmanager
async def published(packets, protocol="rtmp"):
    async with open_registry() as registry, open_scope("test", "publisher") as scope:
        client = Client("publisher", protocol, scope)
        key = StreamKey("live", "x")
        async with registry.publish(key, client, takeover=False) as publication:
            publication.publish(packets)
            yield publication


def in_order(count, track=VIDEO):
    return [config(track), *(video(40 * n, key=n == 0, track=track) for n in range(count))]


@pytest.mark.parametrize(
    ("packets", "expected"),
    [
        ([], None),
        ([config(AUDIO), audio(0)], None),
        (in_order(3), None),
        (in_order(12), False),
        (coded_video()[:2], True),  # x264 moves the first key frame already
        (coded_video(b_frames=0)[:1], False),  # its SPS says so
        (in_order(1, Track(Kind.VIDEO, Codec.VP8)), False),
        (in_order(1, Track(Kind.VIDEO, Codec.HEVC)), None),
    ],
)
async def test_it_tells_b_frames_as_early_as_can_be(packets, expected):
    async with published(packets) as publication:
        assert reorders(publication.stream) is expected


async def test_it_waits_until_it_can_tell(autojump_clock):
    async with published(in_order(1)) as publication, trio.open_nursery() as nursery:

        async def goes_on():
            await trio.sleep(0.5)
            late = Packet(VIDEO, 80_000, 160_000, b"v")
            publication.publish([late])

        nursery.start_soon(goes_on)
        assert await needs_no_b(publication.stream)
        assert trio.current_time() == pytest.approx(0.5)


async def test_a_stream_that_shows_nothing_is_taken_as_it_is_after_a_while(autojump_clock):
    async with published([]) as publication:
        assert not await needs_no_b(publication.stream, patience=3)
        assert trio.current_time() == pytest.approx(3)


async def test_b_frames_of_other_codecs_are_no_need_for_h264_without():
    hevc = Track(Kind.VIDEO, Codec.HEVC)
    late = Packet(hevc, 0, 80_000, b"v", key=True)
    async with published([announce(hevc), late]) as publication:
        assert not await needs_no_b(publication.stream)


async def test_the_first_track_of_a_kind_counts():
    second = Track(Kind.AUDIO, Codec.OPUS, 1)
    async with published([config(second), config(AUDIO)]) as publication:
        assert has_codec(publication.stream, Kind.AUDIO, Codec.AAC) is True
        assert has_codec(publication.stream, Kind.AUDIO, Codec.OPUS) is False
        assert has_codec(publication.stream, Kind.VIDEO, Codec.H264) is None


@pytest.mark.parametrize(
    ("protocol", "wish", "takes_opus", "expected"),
    [
        ("rtmp", "", False, None),
        ("rtmp", "aac", False, Codec.AAC),
        ("rtmp", "opus", False, Codec.OPUS),
        ("whip", "", False, Codec.AAC),
        ("webrtc", "", False, Codec.AAC),
        ("whip", "", True, None),
        ("whip", "aac", True, Codec.AAC),
        ("whip", "copy", False, None),
        ("whip", "nonsense", False, Codec.AAC),
    ],
)
async def test_old_players_get_aac_of_what_a_browser_publishes(
    protocol, wish, takes_opus, expected
):
    async with published([], protocol) as publication:
        assert legacy_audio(publication.stream, wish, takes_opus=takes_opus) is expected


async def test_what_is_told_is_the_present_publishers(autojump_clock):
    async with open_registry() as registry, open_scope("test", "publisher") as scope:
        key = StreamKey("live", "x")
        first, second = Client("publisher", "rtmp", scope), Client("publisher", "rtmp", scope)
        async with registry.publish(key, first, takeover=False) as publication:
            publication.publish(coded_video())
            assert reorders(publication.stream) is True
        async with registry.publish(key, second, takeover=False) as publication:
            assert reorders(publication.stream) is None
            publication.publish(in_order(12))
            assert reorders(publication.stream) is False
        async with registry.publish(key, first, takeover=False) as publication:
            publication.publish(in_order(3))
            assert reorders(publication.stream) is None
            publication.publish([Packet(VIDEO, 400_000, 480_000, b"v", key=True)])
            assert reorders(publication.stream) is True


async def test_it_does_not_wait_for_a_picture_beside_sound_that_has_gone_on_alone():
    sound = [config(AUDIO), *(audio(20 * n) for n in range(30))]
    async with published(sound) as publication:
        with trio.fail_after(0):  # at once: nothing is waited for
            assert not await needs_no_b(publication.stream)
