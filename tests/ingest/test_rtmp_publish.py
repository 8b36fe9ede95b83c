"""Publishing over RTMP at the socket: who may, who takes over, and how it ends."""

from __future__ import annotations

import logging
import tracemalloc
from contextlib import suppress

import trio
from kit.control import soon
from kit.node import node, patiently
from kit.rtmp_peers import clip, peer, player, publisher, said_about, shifted

from livetrio.config import AppConfig
from livetrio.packet import StreamKey
from livetrio.wire.rtmp.messages import UserControl

FRAMES = 3
"""Where a clip's frames begin: behind metadata and two headers."""


async def test_publishing_with_a_rooms_key_makes_the_rooms_stream():
    async with node() as running:
        key = await running.keys.get("movie")
        async with publisher(running, key, "keyed") as source:
            assert list(running.registry.streams) == [StreamKey("keyed", "movie")]
            async with player(running, "movie", "keyed") as viewer:
                await source.send_media(clip())
                await viewer.until(lambda: len(viewer.media[1]) == len(clip()))


async def test_clients_are_shown_with_their_url_and_never_with_the_key():
    async with node() as running:
        key = await running.keys.get("movie")
        async with publisher(running, key, "keyed"), player(running, "movie", "keyed"):
            urls = {client.role: client.url for _, client in running.registry.clients()}
    assert urls.keys() == {"publisher", "player"}
    for url in urls.values():
        assert url.startswith("rtmp://")
        assert url.endswith("/keyed/movie")


async def test_publishing_with_a_rooms_name_makes_the_stream_named_by_its_key():
    async with node() as running:
        key = await running.keys.get("movie")
        async with publisher(running, "movie", "keyed"):
            assert list(running.registry.streams) == [StreamKey("keyed", key)]


async def test_an_unknown_key_is_told_to_the_client_and_the_way_out_to_the_log(caplog):
    caplog.set_level(logging.INFO)
    async with node() as running, peer(running) as one:
        await one.connect("keyed")
        await one.create_stream()
        await one.call("publish", None, "guess", "live", stream_id=1)
        await one.status("NetStream.Publish.Denied")
        assert one.descriptions[-1] == "unknown stream key"
        await one.stream.send_eof()
        await one.hung_up()
        (said,) = said_about(caplog, one)
        assert "/control/get" in said
        assert "auth: none" in said
        assert "guess" not in caplog.text


async def test_without_authentication_a_name_is_a_name():
    async with node() as running, publisher(running, "a/b c"):
        assert list(running.registry.streams) == [StreamKey("live", "a/b c")]


async def test_an_application_that_is_not_configured_is_refused_with_the_line_to_add(caplog):
    caplog.set_level(logging.INFO)
    async with node() as running, peer(running) as one:
        await one.connect("vod")
        await one.create_stream()
        await one.call("publish", None, "x", "live", stream_id=1)
        await one.status("NetStream.Publish.Denied")
        await one.stream.send_eof()
        await one.hung_up()
        (said,) = said_about(caplog, one)
        assert "appname: vod" in said


async def test_without_a_key_a_second_publisher_is_refused_and_the_first_goes_on():
    async with node() as running, publisher(running) as first, player(running) as viewer:
        async with peer(running) as second:
            await second.connect()
            await second.create_stream()
            await second.call("publish", None, "x", "live", stream_id=1)
            await second.status("NetStream.Publish.BadName")
            await second.stream.send_eof()
            await second.hung_up()
        await first.send_media(clip())
        await viewer.until(lambda: len(viewer.media[1]) == len(clip()))


async def test_with_the_key_a_second_publisher_takes_over_and_viewers_stay():
    async with node() as running:
        key = await running.keys.get("movie")
        async with (
            publisher(running, key, "keyed") as first,
            player(running, "movie", "keyed") as viewer,
        ):
            await first.send_media(clip())
            await viewer.until(lambda: len(viewer.media[1]) == len(clip()))
            async with publisher(running, key, "keyed") as second:
                await first.hung_up()
                assert first.descriptions[-1] == "another publisher took over"
                await second.send_media(clip())
                await viewer.until(lambda: len(viewer.media[1]) == 2 * len(clip()))
                old, new = viewer.media[1][: len(clip())], viewer.media[1][len(clip()) :]
                assert [tag.body for tag in new] == [tag.body for tag in clip()]
                assert new[FRAMES].timestamp == max(tag.timestamp for tag in old) + 40
                assert not viewer.ended


async def test_what_a_replaced_publisher_still_sends_reaches_nobody():
    async with node(override_publisher="always") as running:
        async with publisher(running) as first, player(running) as viewer:
            await first.send_media(clip()[:10])
            await viewer.until(lambda: len(viewer.media[1]) == 10)
            async with publisher(running) as second:
                with suppress(trio.BrokenResourceError):  # it may be closed already
                    await first.send_media(clip()[10:])
                await second.send_media(clip(0.2))
                await viewer.until(lambda: len(viewer.media[1]) >= 10 + len(clip(0.2)))
                assert viewer.bodies()[10:] == [tag.body for tag in clip(0.2)]


async def test_unpublishing_ends_the_viewers_at_once_with_notice_and_end_of_stream(
    autojump_clock,
):
    patiently(autojump_clock)
    async with node(resume_window=1000) as running:
        for goodbye in (
            ("FCUnpublish", None, "x"),
            ("deleteStream", None, 1),
        ):
            async with publisher(running) as source, player(running) as viewer:
                await source.send_media(clip())
                await viewer.until(lambda viewer=viewer: len(viewer.media[1]) == len(clip()))
                began = trio.current_time()
                await source.call(*goodbye)
                await viewer.hung_up()
                assert trio.current_time() - began < 3  # not the resume window
                assert viewer.codes[-2:] == [
                    "NetStream.Play.UnpublishNotify",
                    "NetStream.Play.Stop",
                ]
                assert (UserControl.STREAM_EOF, 1) in viewer.controls
                await source.until(
                    lambda source=source: "NetStream.Unpublish.Success" in source.codes
                )
            assert not running.registry.streams


async def test_viewers_wait_for_a_publisher_that_was_cut_off_and_time_goes_on():
    async with node() as running, publisher(running) as source, player(running) as viewer:
        await source.send_media(clip())
        await viewer.until(lambda: len(viewer.media[1]) == len(clip()))
        await source.stream.aclose()
        stream = running.registry.streams[StreamKey("live", "x")]
        await soon(lambda: stream.publication is None)
        async with publisher(running) as back:
            await back.send_media(shifted(clip(), 7_000_000))
            await viewer.until(lambda: len(viewer.media[1]) == 2 * len(clip()))
            times = [tag.timestamp for tag in viewer.media[1] if tag.type_id != 18]
            assert times == sorted(times)
            assert times[-1] < 2200
            assert viewer.bodies()[len(clip()) :] == [tag.body for tag in clip()]
            assert not viewer.ended


async def test_a_publisher_that_falls_silent_is_gone_after_the_read_timeout(autojump_clock, caplog):
    caplog.set_level(logging.INFO)
    patiently(autojump_clock)
    async with node(read_timeout=10, resume_window=20) as running:
        async with publisher(running) as source, player(running) as viewer:
            await source.send_media(clip())
            await viewer.until(lambda: len(viewer.media[1]) == len(clip()))
            began = trio.current_time()
            await source.hung_up()
            silent = trio.current_time() - began
            assert 10 <= silent <= 13
            assert "no data for 10 s" in said_about(caplog, source)[0]
            assert not viewer.ended
            await viewer.hung_up()
            assert 19 <= trio.current_time() - began - silent <= 22
            assert viewer.codes[-1] == "NetStream.Play.Stop"


async def test_a_publisher_may_stop_and_publish_again_on_its_connection():
    async with node() as running, publisher(running) as source:
        await source.call("closeStream", None, stream_id=1)
        await source.status("NetStream.Unpublish.Success")
        for name in ("y", "z"):
            await source.call("publish", None, name, "live", stream_id=1)
            await source.status("NetStream.Publish.Start")
            assert [key.name for key in running.registry.streams] == [name]
            await source.call("publish", None, False, stream_id=1)
            await source.status("NetStream.Unpublish.Success")


async def test_publishing_and_stopping_for_ever_leaves_nothing_in_memory():
    async with node() as running, publisher(running) as source:

        async def rounds(count: int) -> None:
            for _ in range(count):
                await source.call("closeStream", None, stream_id=1)
                await source.call("publish", None, "x", "live", stream_id=1)
                await source.status("NetStream.Publish.Start")

        await rounds(20)
        tracemalloc.start()
        try:
            await rounds(20)
            before = tracemalloc.take_snapshot()
            await rounds(100)
            growth = tracemalloc.take_snapshot().compare_to(before, "filename")
        finally:
            tracemalloc.stop()
        kept = {str(s.traceback): s.count_diff for s in growth if "contextlib" in str(s.traceback)}
        assert sum(kept.values()) < 50, kept


async def test_an_app_that_is_not_live_takes_nobody_in():
    apps = {"off": AppConfig(name="off", live=False, auth="none")}
    async with node(apps=apps) as running, peer(running) as one:
        await one.connect("off")
        await one.create_stream()
        await one.call("publish", None, "x", "live", stream_id=1)
        await one.status("NetStream.Publish.Denied")
