"""RTMP players and relays of what a browser publishes: AAC, unless they know Opus."""

from __future__ import annotations

from contextlib import asynccontextmanager

import pytest
import trio
from kit.coded import coded_sound, coded_video, heard, pitch
from kit.node import node
from kit.rtmp_peers import peer, player

from livetrio.config import RenditionConfig
from livetrio.media.client import Client
from livetrio.media.renditions import Renditions
from livetrio.net.scope import open_scope
from livetrio.packet import Codec, Kind, StreamKey
from livetrio.wire.flv import Demuxer

X = StreamKey("live", "x")
AAC_TAG, ENHANCED = 0xA, 0x9
"""SoundFormat, the upper half of an audio tag's first byte."""


@asynccontextmanager
async def browser(running, protocol="whip"):
    """H.264 without B-frames and Opus, two seconds of it."""
    packets = [*coded_video(b_frames=0), *coded_sound(Codec.OPUS)]
    async with open_scope("test", "publisher") as scope:
        client = Client("publisher", protocol, scope)
        async with running.registry.publish(X, client, takeover=False) as publication:
            publication.publish(sorted(packets, key=lambda packet: packet.dts))
            yield publication


def sound(one):
    return [tag.body for tag in one.media[1] if tag.type_id == 8]


async def formats(one, count=20):
    """What the sound of a player is coded in."""
    await one.until(lambda: len(sound(one)) >= count)
    return {body[0] >> 4 for body in sound(one)}


async def test_an_old_player_hears_a_browser_as_aac():
    async with node() as running, browser(running), player(running) as one:
        assert await formats(one, 40) == {AAC_TAG}
        demuxer = Demuxer()
        packets = [p for tag in one.media[1] for p in demuxer.feed(*tag)]
    played = [p for p in packets if p.track.kind is Kind.AUDIO]
    assert pitch(heard(played)[9600:]) == pytest.approx(440, abs=2)
    assert any(p.track.kind is Kind.VIDEO and p.key for p in packets)


@pytest.mark.parametrize("fourcc", ["Opus", "*"])
async def test_a_player_that_lists_opus_gets_it_as_it_is(fourcc):
    async with node() as running, browser(running):
        async with player(running, fourCcList=["av01", fourcc]) as one:
            assert await formats(one) == {ENHANCED}


async def test_a_player_chooses_by_its_query():
    async with node() as running, browser(running):
        async with player(running, "x?audio=copy") as one:
            assert await formats(one) == {ENHANCED}
        async with player(running, "x?audio=aac", fourCcList=["Opus"]) as one:
            assert await formats(one) == {AAC_TAG}


async def test_opus_that_came_by_rtmp_goes_out_as_it_came():
    async with node() as running, browser(running, "rtmp"), player(running) as one:
        assert await formats(one) == {ENHANCED}


async def test_a_player_whose_rendition_finds_no_room_is_told_why():
    async with node(rendition=RenditionConfig(max_audio=0)) as running, browser(running):
        async with peer(running) as one:
            await one.connect()
            await one.create_stream()
            await one.call("play", None, "x", stream_id=1)
            await one.until(lambda: any("renditions run already" in d for d in one.descriptions))


@pytest.mark.parametrize(("relay_audio", "codec"), [("aac", Codec.AAC), ("copy", Codec.OPUS)])
async def test_relays_push_a_browser_s_sound_as_aac_unless_configured_otherwise(relay_audio, codec):
    renditions = Renditions(RenditionConfig(relay_audio=relay_audio))
    async with node() as running, browser(running) as publication:
        async with renditions.for_relays(publication.stream) as edition:
            with trio.fail_after(10):
                while not any(track.codec is codec for track in edition.tracks):
                    await edition.ring.changed(edition.ring.head)
