"""Odd media through the whole server: what a publisher sends wrong costs its viewers little."""

from __future__ import annotations

import logging

import pytest
from kit.crowd import Tag
from kit.logs import lines
from kit.media import sample_packets
from kit.node import node
from kit.rtmp_peers import bystanders, clip, player, publisher, shifted, tags

from livetrio.packet import Kind, StreamKey

X = StreamKey("live", "x")
FRAMES = clip()[3:]
PICTURE_HEADER, SOUND_HEADER = clip()[1], clip()[2]


def bodies(them) -> list[bytes]:
    return [tag.body for tag in them]


def of(type_id: int, them) -> list[Tag]:
    return [tag for tag in them if tag.type_id == type_id]


async def has(one, count: int) -> None:
    await one.until(lambda: len(one.media[1]) >= count)


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param(Tag(9, 0, b""), id="an empty video tag"),
        pytest.param(Tag(9, 0, b"\x17"), id="a video tag of one byte"),
        pytest.param(Tag(9, 0, b"\x17\x01\x00\x00"), id="a video tag of four bytes"),
        pytest.param(
            Tag(9, 0, b"\x27\x01\x00\x00\x00\x00\x00\xff\xff\x41\x9a"),
            id="a NAL unit longer than its tag",
        ),
        pytest.param(
            Tag(9, 0, b"\x17\x01\x00\x00\x00\x00\x00\x00\x00"), id="a NAL unit of no bytes"
        ),
        pytest.param(
            Tag(9, 0, b"\x17\x00\x00\x00\x00\x01\x42\xc0\x1f\xff\xe0\x01"),
            id="a configuration without SPS",
        ),
        pytest.param(Tag(9, 0, b"\x80zzzz"), id="a FourCC nobody knows"),
        pytest.param(Tag(8, 0, b""), id="an empty sound tag"),
        pytest.param(Tag(8, 0, b"\xaf\x00\xff"), id="a cut AudioSpecificConfig"),
    ],
)
async def test_a_broken_frame_is_dropped_with_one_line_and_the_stream_goes_on(broken, caplog):
    caplog.set_level(logging.INFO)
    async with node() as running, publisher(running) as source, player(running) as viewer:
        await source.send_media([*clip()[:3], broken, *FRAMES])
        await has(viewer, len(clip()))
        assert viewer.bodies() == bodies(clip())
        (line,) = [line for line in lines(caplog) if line.event == "media dropped"]
        assert line.fields["count"] == "1"
        assert line.fields["reason"]


async def test_many_broken_frames_are_few_lines(caplog):
    caplog.set_level(logging.INFO)
    async with node() as running, publisher(running) as source, player(running) as viewer:
        sent = clip()[:3]
        for tag in FRAMES[:50]:
            sent += [Tag(9, tag.timestamp, b"\x17\x01"), Tag(9, tag.timestamp, b""), tag]
        await source.send_media(sent)
        await has(viewer, 53)
        counts = [line.fields["count"] for line in lines(caplog) if line.event == "media dropped"]
        assert 1 <= len(counts) <= 7


async def test_a_publisher_of_nothing_but_broken_frames_is_sent_away_with_the_reason(caplog):
    caplog.set_level(logging.INFO)
    async with node() as running, bystanders(running) as healthy:
        async with publisher(running) as source:
            await source.send_media([Tag(9, 0, b"\x17\x01")] * 1001)
            await healthy.check()
            await source.stream.send_eof()
            await source.hung_up()
            (line,) = [n for n in lines(caplog) if n.event == "peer broke the protocol"]
            assert line.fields["reason"].startswith("nothing usable in 1000 tags")
            assert line.fields["peer"] == source.address


@pytest.mark.parametrize("sound", [True, False], ids=["with sound", "without sound"])
async def test_without_any_key_frame_players_start_anywhere_in_the_end(sound):
    packets = [
        packet
        for packet in sample_packets(41.0, fps=5, gop=10_000)
        if packet.config or not (packet.key and packet.track.kind is Kind.VIDEO)
        if sound or packet.track.kind is not Kind.AUDIO
    ]
    sent = tags(packets)
    async with node() as running, publisher(running) as source, player(running) as viewer:
        await source.send_media(tag for tag in sent if tag.timestamp < 35_000)
        await viewer.until(lambda: PICTURE_HEADER.body in viewer.bodies())
        await source.send_media(tag for tag in sent if tag.timestamp >= 35_000)
        await viewer.until(lambda: viewer.media[1][-1:] == sent[-1:])
        assert of(9, sent)[-1] in viewer.media[1]
        assert running.registry.streams[X].ring.size < 1 << 20


async def test_a_picture_of_fifteen_megabytes_arrives_whole():
    huge = Tag(9, 40, b"\x12" + bytes(range(256)) * (15 << 12))
    async with node() as running, bystanders(running) as healthy:
        async with publisher(running) as source, player(running) as viewer:
            await source.send_media([Tag(9, 0, b"\x12small"), huge, Tag(9, 80, b"\x22small")])
            await has(viewer, 3)
            assert viewer.bodies() == [b"\x12small", huge.body, b"\x22small"]
            await healthy.check()


@pytest.mark.parametrize(("type_id", "header"), [(8, SOUND_HEADER), (9, PICTURE_HEADER)])
async def test_sound_alone_and_pictures_alone_are_streams(type_id, header):
    sent = [clip()[0], header, *of(type_id, FRAMES)]
    async with node() as running, publisher(running) as source, player(running) as viewer:
        await source.send_media(sent)
        await has(viewer, len(sent))
        assert viewer.bodies() == bodies(sent)
        async with player(running) as late:
            await has(late, len(sent))
            assert late.bodies() == bodies(sent)


async def test_a_header_before_each_frame_is_passed_on_once():
    sent = clip()[:3]
    for tag in FRAMES:
        header = PICTURE_HEADER if tag.type_id == 9 else SOUND_HEADER
        sent += [header._replace(timestamp=tag.timestamp), tag]
    async with node() as running, publisher(running) as source, player(running) as viewer:
        await source.send_media(sent)
        await has(viewer, len(clip()))
        assert viewer.bodies() == bodies(clip())


async def test_a_change_of_size_reaches_viewers_as_a_header_before_its_key_frame():
    small, large = clip(), tags(sample_packets(1.0, width=320, height=240))
    assert small[1].body != large[1].body
    second = [large[1], *of(9, large[3:])]
    async with node() as running, publisher(running) as source, player(running) as viewer:
        await source.send_media(small)
        await has(viewer, len(small))
        await source.send_media(shifted(second, 1000))
        await has(viewer, len(small) + len(second))
        assert viewer.bodies()[len(small) :] == bodies(second)
        async with player(running) as late:
            await late.until(lambda: late.bodies()[-1:] == [second[-1].body])
            assert large[1].body in late.bodies()
            assert small[1].body not in late.bodies()
        (track,) = [t for t in running.registry.streams[X].tracks if t.kind is Kind.VIDEO]
        assert (track.width, track.height) == (320, 240)


@pytest.mark.parametrize(
    ("first", "then", "gap"),
    [
        pytest.param(0, 5 * 3600_000, 40, id="a jump of hours"),
        pytest.param(5 * 3600_000, 0, 40, id="a step back of hours"),
        pytest.param((1 << 32) - 1000, 0, None, id="the wrap after 49 days"),
    ],
)
async def test_whatever_a_publishers_clock_does_viewers_see_a_steady_one(first, then, gap):
    async with node() as running, publisher(running) as source, player(running) as viewer:
        await source.send_media([*clip()[:3], *shifted(FRAMES, first)])
        await has(viewer, 3 + len(FRAMES))
        await source.send_media(shifted(FRAMES, then))
        await has(viewer, 3 + 2 * len(FRAMES))
        media = viewer.media[1][3:]
        assert [t.body for t in media] == 2 * bodies(FRAMES)
        before, after = media[: len(FRAMES)], media[len(FRAMES) :]
        if gap is None:  # the format has the same 32 bits: as it came
            assert after == FRAMES
        else:
            newest = max(tag.timestamp for tag in before)
            assert after[0].timestamp == newest + gap
            times = [tag.timestamp for tag in of(9, media)]
            assert times == sorted(times)
            assert times[-1] - times[0] < 2100


async def test_metadata_late_in_a_stream_cost_newcomers_no_key_frame():
    minute = tags(sample_packets(61.0, fps=5, gop=5))
    async with node() as running, publisher(running) as source, player(running) as viewer:
        await source.send_media([*minute, minute[0]._replace(timestamp=61_000)])
        newest = minute[-1].timestamp
        await viewer.until(lambda: newest in {tag.timestamp for tag in viewer.media[1]})
        async with player(running) as late:
            await late.until(lambda: 9 in {tag.type_id for tag in late.media[1][3:]})
            pictures = of(9, late.media[1])
            assert pictures[0].body == minute[1].body
            assert pictures[1].timestamp == 60_000
            assert pictures[1].body[0] >> 4 == 1  # a key frame
