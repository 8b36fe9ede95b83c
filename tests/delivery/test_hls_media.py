"""Media as publishers really send it: without key frames, slow, fast, huge, late."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

import av
import pytest
import trio
import trio.testing
from kit.coded import coded_sound, shifted
from kit.hls import HlsPort, Playlist, check_low_latency, hls_port
from kit.media import aac_frame, aac_track, avc_frame, avc_track

from livetrio.delivery.hls_options import HlsOptions
from livetrio.packet import Codec, Kind, Packet, StreamKey

SECOND = 1_000_000
OPTIONS = HlsOptions(segment_duration=SECOND, window=5)
VARIANTS = ("ts", "fmp4", "ll")
_STEP = 4 * SECOND
"""Published at once: less than a ring keeps for those who are late."""


def video(
    fps: float, seconds: float, *, gop: int = 0, begin: float = 0.0, repeat: bool = False
) -> Iterator[Packet]:
    """A picture; gop: frames (0: the first alone is a key frame); repeat: its configuration with
    every frame."""
    track = avc_track()
    begin_at = round(begin * SECOND)
    yield Packet(track, begin_at, begin_at, track.config, config=True)
    for number in range(round(fps * seconds)):
        dts = begin_at + round(number * SECOND / fps)
        key = number % gop == 0 if gop else not number
        if repeat:
            yield Packet(track, dts, dts, track.config, config=True)
        yield Packet(track, dts, dts, avc_frame(key=key, number=number % (gop or 256)), key=key)


def sound(seconds: float, begin: float = 0.0) -> Iterator[Packet]:
    track = aac_track()
    begin_at = round(begin * SECOND)
    yield Packet(track, begin_at, begin_at, track.config, config=True)
    for number in range(round(seconds * 48_000 / 1024)):
        dts = begin_at + number * 1024 * SECOND // 48_000
        yield Packet(track, dts, dts, aac_frame(), key=True)


def merged(*tracks: Iterator[Packet]) -> list[Packet]:
    """By time; configurations before what they configure."""
    packets = [packet for track in tracks for packet in track]
    return sorted(packets, key=lambda packet: packet.dts)


@asynccontextmanager
async def played(packets: Sequence[Packet], variant: str, options: HlsOptions = OPTIONS):
    """A stream, published seconds at a time, that somebody watches from the beginning on."""
    first = [p for p in packets if p.dts < SECOND // 2]
    async with hls_port(options) as port, port.published(first) as publication:
        if {p.track.kind for p in first} != {Kind.VIDEO, Kind.AUDIO}:
            await trio.sleep(1.1)  # the other one might have come
        async with trio.open_nursery() as nursery:
            nursery.start_soon(port.get, f"/live/movie.m3u8?variant={variant}")
            await trio.testing.wait_all_tasks_blocked(0.005)
            end = max(packet.dts for packet in packets)
            for start in range(SECOND // 2, end + 1, _STEP):
                publication.publish([p for p in packets if start <= p.dts < start + _STEP])
                await trio.sleep(0.2)
        yield port, await port.playlist(f"?variant={variant}")


async def frames(port: HlsPort, playlist: Playlist, kind: Kind) -> int:
    """How many a decoder makes of all that is listed, which is of one configuration."""
    data = b"".join([(await port.get(f"/live/{uri}")).body for uri in playlist.maps[-1:]])
    for uri, _ in playlist.segments:
        data += (await port.get(f"/live/{uri}")).body
    format_ = "mp4" if playlist.maps else "mpegts"
    with av.open(io.BytesIO(data), format=format_) as container:
        return sum(1 for _ in container.decode(**{kind.value: 0}))


@pytest.fixture(autouse=True)
def _jumping(autojump_clock):
    autojump_clock.autojump_threshold = 0.01


@pytest.mark.parametrize("variant", VARIANTS)
async def test_without_a_second_key_frame_segments_are_cut_by_time(variant):
    packets = merged(video(25, 25), sound(25))
    async with played(packets, variant) as (_, playlist):
        assert [duration for _, duration in playlist.segments] == pytest.approx([10, 10], abs=0.1)
        assert "#EXT-X-INDEPENDENT-SEGMENTS" not in playlist.tags


@pytest.mark.parametrize("variant", VARIANTS)
async def test_key_frames_alone_make_segments_of_the_wanted_length(variant):
    packets = merged(video(25, 6, gop=1), sound(6))
    async with played(packets, variant) as (port, playlist):
        durations = [duration for _, duration in playlist.segments]
        assert durations == pytest.approx([1.0] * len(durations))
        assert await frames(port, playlist, Kind.VIDEO) == 25 * len(durations)


@pytest.mark.parametrize("variant", VARIANTS)
async def test_one_frame_a_second_is_a_stream_as_well(variant):
    packets = merged(video(1, 12, gop=2), sound(12))
    async with played(packets, variant) as (port, playlist):
        assert {duration for _, duration in playlist.segments} == {2.0}
        assert await frames(port, playlist, Kind.VIDEO) == 2 * len(playlist.segments)
        if variant == "ll":
            assert {part["DURATION"] for part in playlist.parts} == {"1.00000"}


@pytest.mark.parametrize("variant", VARIANTS)
async def test_a_thousand_frames_a_second_are_too(variant):
    packets = list(video(1000, 3.5, gop=500))
    async with played(packets, variant) as (port, playlist):
        assert {duration for _, duration in playlist.segments} == {1.0}
        assert await frames(port, playlist, Kind.VIDEO) >= 1000
        if variant == "ll":
            check_low_latency(playlist)


@pytest.mark.parametrize("variant", VARIANTS)
async def test_a_huge_frame_makes_a_segment_and_no_more_is_held_than_the_window(variant):
    packets = list(video(25, 6, gop=25))
    slice_ = b"\x41" + bytes(range(1, 256)) * 400_000  # 102 MB
    huge = len(slice_).to_bytes(4, "big") + slice_
    packets[61] = replace(packets[61], data=huge)
    options = replace(OPTIONS, segment_size=1 << 20, window=3)
    async with played(packets, variant, options) as (port, playlist):
        sizes = [len((await port.get(f"/live/{uri}")).body) for uri, _ in playlist.segments]
        assert playlist.segments
        assert max(sizes) < 1 << 20 or len(huge) < max(sizes) < 1.2 * len(huge)
        assert port.renditions.size < 120 << 20


@pytest.mark.parametrize("variant", VARIANTS)
async def test_a_picture_alone_needs_no_sound(variant):
    async with played(list(video(25, 6, gop=25)), variant) as (port, playlist):
        assert len(playlist.segments) >= 3
        assert await frames(port, playlist, Kind.VIDEO) == 25 * len(playlist.segments)


@pytest.mark.parametrize("variant", VARIANTS)
async def test_sound_alone_needs_no_picture(variant):
    async with played(list(sound(6)), variant) as (port, playlist):
        assert len(playlist.segments) >= 3
        heard = await frames(port, playlist, Kind.AUDIO)
        assert heard == pytest.approx(
            sum(duration for _, duration in playlist.segments) * 48_000 / 1024, abs=2
        )


@pytest.mark.parametrize("variant", ["ts", "fmp4"])
@pytest.mark.parametrize("late", [Kind.AUDIO, Kind.VIDEO])
async def test_what_starts_thirty_seconds_late_comes_in_with_a_discontinuity(variant, late):
    if late is Kind.AUDIO:
        packets = merged(video(25, 36, gop=25), sound(6, begin=30))
    else:
        packets = merged(sound(36), video(25, 6, gop=25, begin=30))
    async with played(packets, variant, replace(OPTIONS, window=40)) as (port, playlist):
        assert playlist.sequence == 1
        assert playlist.text.count("#EXT-X-DISCONTINUITY\n") == 1
        before, _, _ = playlist.text.partition("#EXT-X-DISCONTINUITY\n")
        assert 29 <= before.count("#EXTINF") <= 32
        newest = replace_segments(playlist, playlist.segments[-2:])
        assert await frames(port, newest, Kind.VIDEO) == 50
        assert await frames(port, newest, Kind.AUDIO) >= 90


@pytest.mark.parametrize("variant", ["ts", "fmp4"])
async def test_a_browsers_sound_that_starts_late_comes_in_with_a_discontinuity(variant):
    late = shifted(coded_sound(Codec.OPUS, seconds=6.0), 6 * SECOND)
    packets = merged(video(25, 12, gop=25), iter(late))
    async with played(packets, variant, replace(OPTIONS, window=40)) as (port, _):
        # Worker threads turn it into AAC for transport streams, and know nothing of this clock:
        # on a busy machine it jumps many times before they have done it.
        for _ in range(5_000):
            playlist = await port.playlist(f"?variant={variant}")
            if sum(duration for _, duration in playlist.segments) > 9.5:
                break
            await trio.testing.wait_all_tasks_blocked(0.01)
            await trio.sleep(0.2)
        assert playlist.sequence == 1
        assert playlist.text.count("#EXT-X-DISCONTINUITY\n") == 1
        before, _, _ = playlist.text.partition("#EXT-X-DISCONTINUITY\n")
        assert 6 <= before.count("#EXTINF") <= 8
        early = replace_segments(playlist, playlist.segments[: before.count("#EXTINF")])
        early = replace(early, maps=playlist.maps[:1])
        late_ones = replace_segments(playlist, playlist.segments[before.count("#EXTINF") :])
        counts = [await frames(port, part, Kind.VIDEO) for part in (early, late_ones)]
        assert counts == [25 * len(early.segments), 25 * len(late_ones.segments)]  # none twice
        assert await frames(port, late_ones, Kind.AUDIO) >= 40 * (len(late_ones.segments) - 1)


def replace_segments(playlist: Playlist, segments: list[tuple[str, float]]) -> Playlist:
    return replace(playlist, segments=segments)


@pytest.mark.parametrize("variant", VARIANTS)
async def test_a_configuration_repeated_with_every_frame_changes_nothing(variant):
    packets = merged(video(25, 6, gop=25, repeat=True), sound(6))
    async with played(packets, variant) as (port, playlist):
        assert "#EXT-X-DISCONTINUITY" not in playlist.text
        assert len(playlist.maps) == (0 if variant == "ts" else 1)
        assert await frames(port, playlist, Kind.VIDEO) == 25 * len(playlist.segments)


@pytest.mark.parametrize("variant", VARIANTS)
async def test_a_step_of_the_publishers_clock_is_a_discontinuity_or_repaired(variant):
    packets = merged(video(25, 4, gop=25), sound(4))
    jumped = merged(video(25, 4, gop=25, begin=100), sound(4, begin=100))
    async with played(packets, variant, replace(OPTIONS, window=20)) as (port, before):
        stream = port.registry.streams[StreamKey("live", "movie")]
        assert stream.publication is not None
        stream.publication.publish(jumped)
        await trio.sleep(0.3)
        playlist = await port.playlist(f"?variant={variant}")
        assert playlist.last > before.last
        target = int(playlist.tags["#EXT-X-TARGETDURATION"])
        assert all(round(duration) <= target for _, duration in playlist.segments)
