"""FLV players of what a browser publishes get AAC, and choose by their query."""

from __future__ import annotations

import pytest
from kit.coded import coded_sound, coded_video
from kit.flv_port import MOVIE, TRANSPORTS, flv_port, watching

from livetrio.config import RenditionConfig
from livetrio.media.renditions import Renditions
from livetrio.packet import Codec, Kind


def packets():
    both = [*coded_video(b_frames=0), *coded_sound(Codec.OPUS)]
    return sorted(both, key=lambda packet: packet.dts)


async def heard(player):
    """The codec of the sound."""
    while True:
        sound = {p.track.codec for p in player.packets if p.track.kind is Kind.AUDIO}
        if sound:
            return sound
        assert await player.more()


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_browser_is_heard_as_aac(transport):
    async with flv_port() as port, port.published(packets()):
        port.registry.streams[MOVIE].protocol = "whip"
        async with watching(port, transport) as player:
            assert await heard(player) == {Codec.AAC}
        async with watching(port, transport, "/live/movie.flv?audio=copy") as player:
            assert await heard(player) == {Codec.OPUS}


async def test_opus_of_other_publishers_is_converted_only_on_demand():
    async with flv_port() as port, port.published(packets()):
        async with watching(port) as player:
            assert await heard(player) == {Codec.OPUS}
        async with watching(port, target="/live/movie.flv?audio=aac") as player:
            assert await heard(player) == {Codec.AAC}


async def test_without_room_for_a_rendition_the_answer_is_503_with_the_reason():
    none = Renditions(RenditionConfig(max_audio=0))
    async with flv_port(renditions=none) as port, port.published(packets()):
        with pytest.raises(AssertionError, match="503"):
            async with watching(port, target="/live/movie.flv?audio=aac"):
                pass
