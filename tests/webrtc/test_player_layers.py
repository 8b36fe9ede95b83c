"""Layers: chosen by number or by what the network carries, changed without a gap."""

from __future__ import annotations

from itertools import pairwise

from kit.webrtc_fakes import (
    VIDEO,
    FakeViewerPeer,
    interleaved,
    live,
    numbers,
    pictures,
    staged,
    watching,
)

from livetrio.packet import Codec, Kind, Packet, Track
from livetrio.webrtc.player import Players
from livetrio.webrtc.selection import Selection
from livetrio.webrtc.viewer import Mode
from livetrio.wire.rtp.rtcp_feedback import Remb
from livetrio.wire.rtp.rtcp_reports import ReceiverReport, ReportBlock


async def test_a_viewer_whose_network_cannot_carry_it_gets_key_frames_alone_and_then_all_again(
    autojump_clock,
):
    async with staged(pictures(0, 1, gop=15, size=4_000)) as edition:
        async with watching(Players(numbers()), edition) as watch:
            ssrc = 0
            shown = []
            for second in range(24):
                await live(edition, interleaved(1 + 30 * second, 1, gop=15, size=4_000))
                ssrc = watch.peer.packets(102)[0].ssrc
                lossy = second < 8
                block = ReportBlock(ssrc, 160 if lossy else 0, 0, 0, 0, 0, 0)
                watch.peer.on_rtcp(ReceiverReport(1, [block]).build())
                watch.peer.on_rtcp(Remb(1, 200_000 if lossy else 5_000_000, [ssrc]).build())
                shown.append(watch.viewer.mode)
            assert Mode.KEYS in shown
            assert shown[-1] is Mode.LIVE
            frames = watch.peer.frames()
            assert watch.peer.missing(102) == []
            assert watch.peer.missing(111) == []
            skipped = [b for a, b in pairwise(frames) if b != a + 1]
            assert skipped
            assert all(number % 15 == 0 for number in skipped)
            assert frames[-1] == 720


LOW = Track(Kind.VIDEO, Codec.H264, id=1, config=VIDEO.config, width=32, height=32)


def layers(first: int, count: int, *, big: int = 4_000, small: int = 500) -> list[Packet]:
    both = pictures(first, count, size=big) + pictures(first, count, size=small, track=LOW)
    return sorted(both, key=lambda packet: packet.dts)


def sizes(peer: FakeViewerPeer) -> list[int]:
    """Packets per picture: six of the big layer's, one of the small one's."""
    found: list[int] = []
    count = 0
    for packet in peer.packets(102):
        count += 1
        if packet.marker:
            found.append(count)
            count = 0
    return found


async def test_a_layer_is_chosen_by_its_number_and_changed_at_a_key_frame_without_a_gap(
    autojump_clock,
):
    async with staged(layers(0, 2)) as edition:
        players = Players(numbers())
        async with watching(players, edition, Selection(video=1)) as watch:
            await live(edition, layers(2, 40))
            assert watch.peer.frames() == list(range(42))
            assert sizes(watch.peer)[-1] == 1
            watch.player.select(Selection(video=0))
            assert edition.asked[-1] == 0
            await live(edition, layers(42, 40))
            assert watch.peer.frames() == list(range(82))
            assert watch.peer.missing(102) == []
            assert sizes(watch.peer)[42:60] == [1] * 18
            assert sizes(watch.peer)[-1] == 4


async def test_what_was_lost_before_a_change_of_layer_is_still_sent_again(autojump_clock):
    async with staged(layers(0, 2)) as edition:
        async with watching(Players(numbers()), edition, Selection(video=1)) as watch:
            await live(edition, layers(2, 20))
            watch.peer.lose = lambda number: True
            await live(edition, layers(22, 3))
            watch.player.select(Selection(video=0))
            await live(edition, layers(25, 10))
            watch.peer.lose = lambda number: False
            await live(edition, layers(35, 10))
            watch.peer.nack(102)
            assert watch.peer.missing(102) == []
            assert watch.peer.frames() == list(range(45))


async def test_the_bandwidth_chooses_the_layer(autojump_clock):
    async with staged(layers(0, 2)) as edition:
        async with watching(Players(numbers()), edition) as watch:
            await live(edition, layers(2, 60))
            assert sizes(watch.peer)[-1] == 4
            for second in range(6):
                ssrc = watch.peer.packets(102)[0].ssrc
                watch.peer.on_rtcp(Remb(1, 300_000, [ssrc]).build())
                await live(edition, layers(62 + 30 * second, 30))
            assert sizes(watch.peer)[-1] == 1
            assert watch.peer.missing(102) == []
