"""Stored files over RTMP: played by name at the pace of their clock, with pause and seek."""

from __future__ import annotations

from contextlib import asynccontextmanager

import pytest
import trio
from kit.media import sample_packets
from kit.mp4 import movie
from kit.node import node, patiently
from kit.programs import eventually
from kit.rtmp_peers import peer, player, publisher

from livetrio.config import AppConfig
from livetrio.packet import Kind
from livetrio.wire.flv import AUDIO, VIDEO, file_header, tag
from livetrio.wire.rtmp.messages import UserControl

PACKETS = list(sample_packets(12.0))
FRAMES = [p for p in PACKETS if not p.config]
LEAD = 3_000


@asynccontextmanager
async def stored(folder, *, live: bool = False):
    (folder / "35.mp4").write_bytes(movie(PACKETS))
    flv = file_header(audio=True, video=True) + b"".join(map(tag, PACKETS))
    (folder / "films").mkdir()
    (folder / "films" / "a.flv").write_bytes(flv)
    (folder / "broken.mp4").write_bytes(b"no movie at all")
    vod = AppConfig(name="vod", live=live, auth="none", play=folder)
    async with node(apps={"vod": vod, "live": AppConfig(name="live", auth="none")}) as running:
        yield running


def frames(one, kind: int = VIDEO) -> list:
    """The frames one was sent, without configuration."""
    return [t for t in one.media[1] if t.type_id == kind and t.body[1] == 1]


def newest(one) -> int:
    return max((t.timestamp for t in one.media[1]), default=-1)


@pytest.mark.parametrize(
    "name", ["35", "35.mp4", "mp4:35", "films/a", "flv:films/a", "films/a.flv"]
)
async def test_a_file_is_played_by_name_from_its_beginning_to_its_end(
    tmp_path, autojump_clock, name
):
    patiently(autojump_clock)
    async with stored(tmp_path) as running, player(running, name, "vod") as one:
        assert (UserControl.STREAM_IS_RECORDED, 1) in one.controls or await recorded(one)
        await one.hung_up()
        sound = [p for p in FRAMES if p.track.kind is Kind.AUDIO]
        assert [t.body[5:] for t in frames(one)] == [
            p.data for p in FRAMES if p.track.kind is Kind.VIDEO
        ]
        assert len(frames(one, AUDIO)) == len(sound)
        assert b"duration" in one.media[1][0].body
        assert "NetStream.Play.Stop" in one.codes


async def recorded(one) -> bool:
    await one.until(lambda: (UserControl.STREAM_IS_RECORDED, 1) in one.controls)
    return True


async def test_a_file_comes_at_the_pace_of_its_clock_and_a_little_ahead(tmp_path, autojump_clock):
    patiently(autojump_clock)
    async with stored(tmp_path) as running:
        began = trio.current_time()
        async with player(running, "35", "vod") as one:
            await one.until(lambda: newest(one) >= LEAD - 100)
            assert trio.current_time() - began < 1.5
            await one.hung_up()
            assert 8.5 <= trio.current_time() - began <= 11.5


async def test_a_paused_player_is_sent_nothing_and_goes_on_where_it_was(tmp_path, autojump_clock):
    patiently(autojump_clock)
    async with stored(tmp_path) as running, player(running, "35", "vod") as one:
        await one.until(lambda: newest(one) >= LEAD)
        await one.call("pause", None, True, 1_000, stream_id=1)
        await one.status("NetStream.Pause.Notify")
        before = newest(one)
        with trio.move_on_after(30):
            await one.listen()
        assert newest(one) == before
        await one.call("pause", None, False, 1_000, stream_id=1)
        await one.status("NetStream.Unpause.Notify")
        await one.hung_up()
        assert [t.body[5:] for t in frames(one)] == [
            p.data for p in FRAMES if p.track.kind is Kind.VIDEO
        ]


@pytest.mark.parametrize("paused", [False, True])
async def test_a_seek_goes_to_the_key_frame_before_a_position(tmp_path, autojump_clock, paused):
    patiently(autojump_clock)
    async with stored(tmp_path) as running, player(running, "35", "vod") as one:
        await one.until(lambda: newest(one) >= 1_000)
        if paused:
            await one.call("pause", None, True, 1_000, stream_id=1)
            await one.status("NetStream.Pause.Notify")
        await one.call("seek", None, 8_500.0, stream_id=1)
        await one.status("NetStream.Seek.Notify")
        one.media[1].clear()
        if paused:
            await one.call("pause", None, False, 8_500, stream_id=1)
        await one.until(lambda: frames(one))
        assert frames(one)[0].timestamp == 8_000
        assert frames(one)[0].body[0] == 0x17
        await one.call("seek", None, 0.0, stream_id=1)
        await one.status("NetStream.Seek.Notify")
        one.media[1].clear()
        await one.until(lambda: frames(one))
        assert frames(one)[0].timestamp == 0


async def test_a_part_may_be_asked_for(tmp_path, autojump_clock):
    patiently(autojump_clock)
    async with stored(tmp_path) as running, peer(running) as one:
        await one.connect("vod")
        await one.create_stream()
        await one.call("play", None, "35", 5_000.0, 2_000.0, stream_id=1)
        await one.hung_up()
        times = [t.timestamp for t in frames(one)]
        assert (times[0], times[-1]) == (5_000, 6_960)


async def test_a_player_may_leave_out_a_kind(tmp_path, autojump_clock):
    patiently(autojump_clock)
    async with stored(tmp_path) as running, player(running, "35", "vod") as one:
        await one.call("receiveVideo", None, False, stream_id=1)
        await one.until(lambda: newest(one) >= 6_000)
        await one.call("receiveVideo", None, True, stream_id=1)
        await one.call("receiveAudio", None, False, stream_id=1)
        await one.hung_up()
        assert 25 < len(frames(one)) < 12 * 25
        assert 25 < len(frames(one, AUDIO)) < 12 * 46


@pytest.mark.parametrize("name", ["nothing", "../35", "%2e%2e/35"])
async def test_what_is_not_there_is_not_found(tmp_path, name):
    async with stored(tmp_path) as running, peer(running) as one:
        await one.connect("vod")
        await one.create_stream()
        await one.call("play", None, name, stream_id=1)
        await one.until(lambda: any("NetStream.Play" in code for code in one.codes))
        assert one.codes[-1] in {"NetStream.Play.StreamNotFound", "NetStream.Play.Failed"}


async def test_a_file_that_cannot_be_played_is_said_to_be_so(tmp_path):
    async with stored(tmp_path) as running, peer(running) as one:
        await one.connect("vod")
        await one.create_stream()
        await one.call("play", None, "broken", stream_id=1)
        await one.until(lambda: "NetStream.Play.Failed" in one.codes)


async def test_nobody_publishes_to_an_application_of_files(tmp_path):
    async with stored(tmp_path) as running, peer(running) as one:
        await one.connect("vod")
        await one.create_stream()
        await one.call("publish", None, "x", "live", stream_id=1)
        await one.until(lambda: "NetStream.Publish.Denied" in one.codes)


async def test_where_both_are_a_live_stream_comes_first_and_a_file_before_waiting(
    tmp_path, autojump_clock
):
    patiently(autojump_clock)
    async with stored(tmp_path, live=True) as running:
        async with player(running, "35", "vod") as one:
            await one.until(lambda: newest(one) >= 1_000)
        async with publisher(running, "35", "vod") as source:
            await source.send_media([t for t in one.media[1] if t.timestamp < 2_000])
            async with player(running, "35", "vod") as viewer:
                await viewer.until(lambda: frames(viewer))
                assert (UserControl.STREAM_IS_RECORDED, 1) not in viewer.controls


async def test_two_files_are_played_at_once_and_the_end_of_one_is_not_that_of_the_other(
    tmp_path, autojump_clock
):
    patiently(autojump_clock)
    async with stored(tmp_path) as running, player(running, "35", "vod") as one:
        assert await one.create_stream() == 2
        await one.call("play", None, "35", 0.0, 1_000.0, stream_id=2)
        await one.status("NetStream.Play.Stop")
        assert not one.ended
        await one.hung_up()
        assert newest(one) >= 11_900


async def test_a_player_that_stops_or_leaves_closes_the_file(tmp_path):
    async with stored(tmp_path) as running:
        async with player(running, "35", "vod") as one:
            await one.call("closeStream", None, stream_id=1)
            await one.call("play", None, "films/a", stream_id=1)
            await one.until(lambda: frames(one))
        with trio.fail_after(10):
            while open_files(tmp_path):  # noqa: ASYNC110
                await trio.sleep(0.01)


async def test_who_plays_a_file_is_listed_and_can_be_ended(tmp_path):
    async with stored(tmp_path) as running, player(running, "35", "vod") as one:
        await one.until(lambda: frames(one))
        ((key, viewer),) = running.registry.clients()
        assert (str(key), viewer.role, viewer.protocol) == ("vod/35", "player", "rtmp")
        assert viewer.url.endswith("/vod/35")
        assert viewer.numbers().bytes_out > 1_000
        await running.registry.end_client(viewer.id, "kicked")
        await one.hung_up()
        assert list(running.registry.clients()) == []
        assert running.registry.totals()["player", "rtmp"].clients == 1


async def test_who_stops_playing_a_file_is_listed_no_more(tmp_path):
    async with stored(tmp_path) as running, player(running, "35", "vod") as one:
        await one.until(lambda: frames(one))
        await one.call("closeStream", None, stream_id=1)
        await eventually(lambda: not list(running.registry.clients()))


def open_files(folder) -> list[str]:
    import os

    found = []
    for number in os.listdir("/proc/self/fd"):
        try:
            path = os.readlink(f"/proc/self/fd/{number}")
        except FileNotFoundError:
            continue
        if path.startswith(str(folder)):
            found.append(path)
    return found
