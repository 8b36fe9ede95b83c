"""A composed stream has its sound as AAC and as Opus: every kind of player is given one."""

from __future__ import annotations

from contextlib import asynccontextmanager

import pytest
import trio
from kit.coded import coded_sound, coded_video

from livetrio.delivery.hls_places import places_of
from livetrio.media.client import Client
from livetrio.media.needs import is_one_sound, legacy_audio
from livetrio.media.registry import open_registry
from livetrio.media.renditions import Renditions
from livetrio.net.scope import open_scope
from livetrio.packet import Codec, Kind, Packet, StreamKey, Track
from livetrio.webrtc.editions import Editions
from livetrio.wire.flv import tag


def second(packets):
    """The same sound as a further track."""
    first = packets[0].track
    track = Track(first.kind, first.codec, 1, first.config, channels=2, sample_rate=48_000)
    return [Packet(track, p.dts, p.pts, p.data, p.key, p.config) for p in packets]


def media():
    sound = [*coded_sound(Codec.AAC, seconds=1.0), *second(coded_sound(Codec.OPUS, seconds=1.0))]
    picture = coded_video(frames=25, b_frames=0)
    return sorted([*picture, *sound], key=lambda packet: (not packet.config, packet.dts))


@asynccontextmanager
async def published(protocol):
    async with open_registry() as registry, open_scope("test", "publisher") as scope:
        client = Client("publisher", protocol, scope)
        key = StreamKey("live", "room")
        async with registry.publish(key, client, takeover=False) as publication:
            publication.publish(media())
            yield publication.stream


async def sound_of(edition, count):
    found = []
    cursor = edition.ring.cursor()
    with trio.fail_after(20):
        while len(found) < count:
            found += [p for p in await cursor.read() if p.track.kind is Kind.AUDIO]
    return found


async def test_a_browser_gets_the_opus_that_is_there_bit_by_bit():
    async with published("mix") as stream:
        assert is_one_sound(stream)
        async with Editions(Renditions()).for_browser(stream, {}) as edition:
            sound = await sound_of(edition, 40)
            assert {p.track.codec for p in sound} == {Codec.OPUS}
            made = {p.data for p in second(coded_sound(Codec.OPUS, seconds=1.0))}
            assert {p.data for p in sound} <= made
            assert [t.codec for t in edition.tracks if t.kind is Kind.AUDIO] == [Codec.OPUS]


async def test_of_two_sounds_that_are_not_the_same_a_browser_gets_the_first_one_converted():
    async with published("rtmp") as stream:
        assert not is_one_sound(stream)
        async with Editions(Renditions()).for_browser(stream, {}) as edition:
            sound = await sound_of(edition, 80)
            assert {p.track.id for p in sound} == {0, 1}


async def test_rtmp_and_flv_players_get_the_aac_and_nothing_is_converted():
    async with published("mix") as stream:
        assert legacy_audio(stream) is None
        sent = [p for p in media() if p.track.kind is Kind.AUDIO and tag(p)]
        assert {p.track.codec for p in sent} == {Codec.AAC}


@pytest.mark.parametrize("variant", ["ts", "fmp4"])
async def test_hls_has_one_window_with_the_aac_in_it(variant):
    async with published("mix") as stream:
        places = places_of(stream, variant)
        assert len(places) == 1
        assert places[0].sound(stream.tracks).codec is Codec.AAC
        assert places[0].needed_audio(stream.tracks) is None
