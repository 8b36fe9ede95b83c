"""What RFC 8216bis asks of a live playlist over its life, and who is answered when."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from itertools import pairwise
from time import time
from urllib.parse import quote

import pytest
import trio
import trio.testing
from kit.hls import (
    HlsPort,
    Playlist,
    attributes,
    check_low_latency,
    from_the_beginning,
    hls_port,
)
from kit.media import aac_track, avc_track, sample_packets

from livetrio.delivery.hls_options import HlsOptions
from livetrio.delivery.hls_window import Window, WindowPart
from livetrio.media.stream import Publication
from livetrio.packet import Kind, Packet, StreamKey

SECOND = 1_000_000
PACKETS = list(sample_packets(10.0))
ONE_SECOND = HlsOptions(segment_duration=SECOND)
LL = "?variant=ll"


def upto(seconds: float) -> list[Packet]:
    return [p for p in PACKETS if p.config or p.dts < seconds * SECOND]


def between(begin: float, end: float) -> list[Packet]:
    return [p for p in PACKETS if not p.config and begin * SECOND <= p.dts < end * SECOND]


async def low_latency(port: HlsPort, publication: Publication, end: float = 3.5) -> Playlist:
    """The low-latency variant of a stream at 3.5 s that was published up to 0.5 s."""
    await from_the_beginning(port, publication, LL, between(0.5, end))
    return await port.playlist(LL)


def with_keys_at(*frames: int, end: int = 500) -> Iterator[Packet]:
    """25 frames a second, key frames where it is said."""
    track = avc_track()
    yield Packet(track, 0, 0, track.config, config=True)
    for number in range(end):
        key = number in frames
        yield Packet(track, number * 40_000, number * 40_000, b"\0\0\0\2\x65\x88", key=key)


async def test_the_target_duration_never_changes_however_uneven_the_key_frames_come(
    autojump_clock,
):
    autojump_clock.autojump_threshold = 0.05
    keys = [0, 30, 55, 70, 130, 200, 201, 330, 350, 400]
    packets = list(with_keys_at(*keys))
    async with hls_port(replace(ONE_SECOND, window=4)) as port, port.published(packets[:2]) as pub:
        await trio.sleep(1.1)
        targets = set()
        for start in range(2, 500, 25):
            pub.publish(packets[start : start + 25])
            await trio.sleep(0.2)
            if start > 60:
                playlist = await port.playlist()
                target = int(playlist.tags["#EXT-X-TARGETDURATION"])
                targets.add(target)
                assert all(round(duration) <= target for _, duration in playlist.segments)
        assert targets == {2}


async def test_key_frames_at_every_change_of_scene_are_cut_at_before_it_is_too_late(
    autojump_clock,
):
    autojump_clock.autojump_threshold = 0.05
    packets = list(with_keys_at(*(n for n in range(500) if n % 50 == 0 or n % 50 == 30)))
    async with hls_port(ONE_SECOND) as port, port.published(packets[:2]) as publication:
        await trio.sleep(1.1)
        publication.publish(packets[2:])
        playlist = await port.playlist()
        assert "#EXT-X-INDEPENDENT-SEGMENTS" in playlist.tags
        assert max(duration for _, duration in playlist.segments) <= 2.0


async def test_segments_that_do_not_begin_with_a_key_frame_are_not_called_independent(
    autojump_clock,
):
    autojump_clock.autojump_threshold = 0.05
    packets = list(with_keys_at(0, end=600))
    async with hls_port(ONE_SECOND) as port, port.published(packets[:2]) as publication:
        await trio.sleep(1.1)
        publication.publish(packets[2:])
        playlist = await port.playlist()
        assert "#EXT-X-INDEPENDENT-SEGMENTS" not in playlist.tags
        assert [duration for _, duration in playlist.segments] == [10.0, 10.0]


async def test_a_part_behind_a_segments_last_means_the_first_one_of_the_next():
    async with hls_port() as port, port.published(upto(0.5)) as publication:
        playlist = await low_latency(port, publication, 3.9)
        msn = playlist.last + 1
        got: list[Playlist] = []

        async def ask() -> None:
            got.append(await port.playlist(f"{LL}&_HLS_msn={msn}&_HLS_part=7"))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            await trio.testing.wait_all_tasks_blocked(0.01)
            publication.publish(between(3.9, 4.1))  # the segment is whole, with five parts
            await trio.testing.wait_all_tasks_blocked(0.02)
            assert not got
            publication.publish(between(4.1, 4.3))
        assert (got[0].last, got[0].trailing_parts) == (msn, 1)


@pytest.mark.parametrize(("ahead", "status"), [(2, None), (3, 400), (1_000_000, 400)])
async def test_a_segment_may_be_asked_for_two_ahead_and_no_more(ahead, status):
    async with hls_port() as port, port.published(upto(0.5)) as publication:
        playlist = await low_latency(port, publication)
        target = f"/live/movie.m3u8{LL}&_HLS_msn={playlist.last + ahead}"
        with trio.move_on_after(0.3) as patience:
            assert (await port.get(target)).status == status
        assert patience.cancelled_caught is (status is None)


async def test_a_part_far_ahead_is_refused_at_once():
    async with hls_port() as port, port.published(upto(0.5)) as publication:
        playlist = await low_latency(port, publication)
        for msn in (playlist.last + 1, playlist.last + 2):
            target = f"/live/movie.m3u8{LL}&_HLS_msn={msn}&_HLS_part=100"
            assert (await port.get(target)).status == 400


async def test_a_directive_for_what_has_long_been_is_answered_with_what_is():
    async with hls_port() as port, port.published(upto(0.5)) as publication:
        await low_latency(port, publication)
        playlist = await port.playlist(f"{LL}&_HLS_msn=0&_HLS_part=50")
        assert playlist.last == 3


async def test_ten_thousand_who_wait_are_told_in_one_go_that_nothing_will_come():
    told: list[int] = []
    window = Window(count=3, rewind=0, target=SECOND, prefix="x-", suffix=".m4s")
    window.part_target = 200_000

    class Waiter:
        def __init__(self, number: int) -> None:
            self.number = number

        def come(self) -> None:
            told.append(self.number)

    for number in range(10_000):
        window.wait(Waiter(number), 1 + number % 2, number % 5)
    window.begin(0.0, discontinuity=False, header=b"")
    window.add_part(WindowPart(b"x", 200_000, True))
    await window.tell()
    assert told == list(range(0, 10_000, 10))  # segment 1, part 0
    await window.end()
    assert sorted(told) == list(range(10_000))


async def test_discontinuities_that_have_left_are_counted_over_a_republish():
    async with hls_port(replace(ONE_SECOND, window=2)) as port:
        for times in range(3):
            async with port.published(upto(5.5)):
                await port.playlist()
                await trio.testing.wait_all_tasks_blocked(0.15)
                playlist = await port.playlist()
                # Each but the first publication began with one, and it has left the playlist.
                passed = int(playlist.tags.get("#EXT-X-DISCONTINUITY-SEQUENCE", "0"))
                assert passed == times
                assert "#EXT-X-DISCONTINUITY\n" not in playlist.text
            while port.registry.streams:
                await trio.testing.wait_all_tasks_blocked(0.01)


async def test_what_was_kept_goes_on_when_the_stream_is_published_again():
    async with hls_port(replace(ONE_SECOND, keep_after_end=True, window=4)) as port:
        async with port.published(upto(4.0)):
            await port.playlist()
        while port.registry.streams:
            await trio.testing.wait_all_tasks_blocked(0.01)
        kept = await port.playlist()
        async with port.published(upto(2.5)):
            again = await port.playlist("?_HLS_msn=6&variant=ts")
            assert "#EXT-X-ENDLIST" not in again.text
            assert again.segments[0] in kept.segments
            before, _, after = again.text.partition("#EXT-X-DISCONTINUITY\n")
            assert kept.segments[-1][0] in before
            assert after.count("#EXTINF") == 2


async def test_of_what_was_kept_plain_players_get_the_plain_variant():
    async with hls_port(replace(ONE_SECOND, keep_after_end=True)) as port:
        async with port.published(upto(0.5)) as publication:
            await low_latency(port, publication)
        while port.registry.streams:
            await trio.testing.wait_all_tasks_blocked(0.01)
        assert all(uri.endswith(".ts") for uri, _ in (await port.playlist()).segments)
        kept = await port.playlist(LL)
        assert all(uri.endswith(".m4s") for uri, _ in kept.segments)
        assert kept.text.endswith("#EXT-X-ENDLIST\n")
        assert "CAN-BLOCK-RELOAD" not in kept.text


@pytest.mark.parametrize("name", ["a/b c", "кино", "50%?x=y&z", 'quo"te', "a;b,c", "x.m3u8"])
async def test_urls_in_playlists_lead_back_whatever_the_streams_name_is(name):
    async with hls_port(ONE_SECOND) as port, port.published(upto(4.0), StreamKey("live", name)):
        playlist = await port.playlist(name=quote(name))
        assert '"' not in playlist.text
        folder = f"/live/{quote(name)}".rpartition("/")[0]
        for uri, _ in playlist.segments:
            assert (await port.get(f"{folder}/{uri}")).status == 200


async def test_encrypted_low_latency_falls_back_to_whole_segments():
    options = HlsOptions(key_every=2)
    async with hls_port(options) as port, port.published(upto(0.5)) as publication:
        playlist = await from_the_beginning(port, publication, LL, between(0.5, 3.5))
        assert not playlist.parts
        assert "#EXT-X-PART-INF" not in playlist.tags
        assert "CAN-BLOCK-RELOAD" not in playlist.text
        key = attributes(playlist.tags["#EXT-X-KEY"])
        assert len((await port.get(f"/live/{key['URI']}")).body) == 16


async def test_no_initialization_segment_ever_has_the_name_of_another():
    seen: dict[str, bytes] = {}
    async with hls_port(ONE_SECOND) as port:
        for width in (64, 128):
            async with port.published(list(sample_packets(0.5, width=width))) as publication:
                packets = [p for p in sample_packets(3, width=width) if p.dts >= 0.5 * SECOND]
                playlist = await from_the_beginning(port, publication, "?variant=fmp4", packets)
                for uri in playlist.maps:
                    assert uri not in seen
                    seen[uri] = (await port.get(f"/live/{uri}")).body
            while port.registry.streams:
                await trio.testing.wait_all_tasks_blocked(0.01)
    assert len(set(seen.values())) == 2


async def test_the_time_of_day_of_a_segment_is_when_it_was_published():
    async with hls_port() as port, port.published(upto(0.5)) as publication:
        begun = time()
        playlist = await low_latency(port, publication)
        dates = [line for line in playlist.text.splitlines() if "DATE-TIME" in line]
        times = [datetime.fromisoformat(line.partition(":")[2]).timestamp() for line in dates]
        # Half a second had come when packaging began; the rest came faster than it was made for.
        assert begun - 1 < times[0] + 0.5 < time()
        assert [b - a for a, b in pairwise(times)] == pytest.approx([1.0] * 3)


def several_sounds(seconds: float) -> list[Packet]:
    other = aac_track(44_100, track_id=1)
    packets = []
    for packet in upto(seconds):
        packets.append(packet)
        if packet.track.kind is Kind.AUDIO:
            data = other.config if packet.config else packet.data
            packets.append(replace(packet, track=other, data=data))
    return packets


async def test_several_sounds_are_offered_as_renditions_of_one_group():
    async with hls_port(ONE_SECOND) as port, port.published(several_sounds(4.0)):
        text = (await port.get("/live/movie.m3u8?token=a")).body.decode()
        lines = text.splitlines()
        first, second = [attributes(line) for line in lines if "EXT-X-MEDIA:" in line]
        assert (first["DEFAULT"], "URI" in first, second["DEFAULT"]) == ("YES", False, "NO")
        (variant,) = [attributes(line) for line in lines if "STREAM-INF" in line]
        assert variant["AUDIO"] == first["GROUP-ID"] == second["GROUP-ID"]
        uris = [second["URI"], lines[-1]]
        assert all("token=a" in uri for uri in uris)
        sound, picture = [
            Playlist.parse((await port.get(f"/live/{uri}")).body.decode()) for uri in uris
        ]
        assert len(sound.segments) == len(picture.segments) == 3
        small = len((await port.get(f"/live/{sound.segments[0][0]}")).body)
        assert small < len((await port.get(f"/live/{picture.segments[0][0]}")).body)


async def test_a_low_latency_playlist_says_where_the_other_renditions_are():
    packets = several_sounds(4.0)
    late = [p for p in packets if not p.config and p.dts >= 0.5 * SECOND]
    early = [p for p in packets if p.config or p.dts < 0.5 * SECOND]
    async with hls_port() as port, port.published(early) as publication:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(port.get, f"/live/movie.m3u8{LL}")
            await trio.testing.wait_all_tasks_blocked(0.01)
            publication.publish(late)
        playlist = await port.playlist(f"{LL}&video=0&token=t")
        check_low_latency(playlist)
        report = attributes(playlist.tags["#EXT-X-RENDITION-REPORT"])
        other = await port.playlist(f"{LL}&audio=1")
        assert (int(report["LAST-MSN"]), int(report["LAST-PART"])) == (
            other.last + 1,
            other.trailing_parts - 1,
        )
        assert report["URI"] == "movie.m3u8?variant=ll&audio=1&token=t"


async def test_a_variant_or_track_that_is_not_there_is_refused():
    async with hls_port(ONE_SECOND) as port, port.published(upto(4.0)):
        for query in ("?audio=0", "?video=3", "?audio=9"):
            assert (await port.get(f"/live/movie.m3u8{query}")).status == 404


async def test_a_stream_that_shows_nothing_is_told_apart_from_none(autojump_clock):
    autojump_clock.autojump_threshold = 0.05
    async with hls_port(ONE_SECOND) as port, port.published(upto(0.5)):
        response = await port.get("/live/movie.m3u8")
        assert (response.status, response.body) == (503, b"no segment yet\n")


async def test_one_address_is_a_bounded_number_of_viewers():
    async with hls_port(ONE_SECOND) as port, port.published(upto(4.0)):
        async with port.client() as client:
            for number in range(300):
                await client.ask(f"/live/movie.m3u8?session={number}")
                assert (await client.response()).status == 200
        assert len(port.sessions) <= 201
