"""/metrics: text that Prometheus parses, counters that never fall, no names from peers."""

from __future__ import annotations

import itertools
from dataclasses import replace

import trio
from kit.control import body_of, control, publishing, watching
from kit.media import sample_packets
from kit.peers import connected
from kit.rooms import site
from prometheus_client.parser import text_string_to_metric_families

from livetrio.control.gauges import LAG_BUCKETS, Gauges
from livetrio.control.operator import operator_app
from livetrio.delivery.hls_options import HlsOptions
from livetrio.delivery.hls_renditions import HlsRenditions
from livetrio.media.client import Client
from livetrio.media.mix.composer import MixStatistics
from livetrio.media.renditions import Renditions
from livetrio.net.scope import open_scope
from livetrio.packet import StreamKey


async def scrape(parts) -> dict[tuple[str, frozenset], float]:
    response = await operator_app(parts.context).test_client().get("/metrics")
    assert response.content_type.startswith("text/plain")
    text = (await response.get_data()).decode()
    return {
        (sample.name, frozenset(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def test_streams_and_clients_are_counted_by_protocol() -> None:
    async with control() as parts, publishing(parts), watching(parts), watching(parts):
        parts.relays.start("pull", StreamKey("live", "x"), "rtmp://h/a/b")
        values = await scrape(parts)
    assert values["livetrio_streams", frozenset({"live"})] == 1
    assert values["livetrio_streams", frozenset({"waiting"})] == 0
    assert values["livetrio_viewers", frozenset({"flv"})] == 2
    assert values["livetrio_publishers", frozenset({"rtmp"})] == 1
    assert values["livetrio_media_packets_total", frozenset()] == 14
    assert values["livetrio_relays", frozenset({"pull", "running"})] == 1
    assert values["process_open_fds", frozenset()] > 3


async def test_rooms_and_their_composed_streams_are_counted() -> None:
    async with control() as parts, site() as on:
        registry, gauges = parts.context.registry, Gauges(parts.context.registry, on.rooms)
        parts = replace(parts, context=replace(parts.context, rooms=on.rooms, gauges=gauges))
        await on.opened("bob")
        await on.publish("talk/2", "bob")
        async with open_scope("mix", "talk") as scope:
            client = Client("publisher", "mix", scope)
            async with registry.publish(StreamKey("live", "talk"), client, takeover=False):
                client.statistics = lambda: MixStatistics(parts=2, restarts=1, underruns=7)
                await scrape(parts)
                scope.cancel("enough")
        values = await scrape(parts)
        listed = await body_of(await operator_app(parts.context).test_client().get("/v1/rooms"))
    none: frozenset[str] = frozenset()
    assert values["livetrio_rooms", frozenset({"video", "open"})] == 1
    assert values["livetrio_room_seats", frozenset({"all"})] == 4
    assert values["livetrio_room_seats", frozenset({"taken"})] == 2
    assert values["livetrio_room_seats", frozenset({"present"})] == 1
    assert values["livetrio_room_users", none] == 1
    assert values["livetrio_room_composed", none] == 0
    # Those of a stream that has ended stay: counters never fall.
    assert values["livetrio_mix_underruns_total", none] == 7
    assert values["livetrio_mix_restarts_total", none] == 1
    (room,) = listed["items"]
    assert (room["app"], room["name"], room["owner"], room["users"]) == ("live", "talk", "anna", 1)
    assert room["seats"] == {"all": 4, "taken": 2, "present": 1}
    assert (room["streams"], room["composed"], room["viewers"], room["pk"]) == (1, 0, 0, None)


async def test_the_windows_of_hls_are_counted_by_variant() -> None:
    async with control() as parts, trio.open_nursery() as nursery:
        windows = HlsRenditions(parts.context.registry, Renditions(), HlsOptions(), ["live"])
        nursery.start_soon(windows.run)
        parts = replace(parts, context=replace(parts.context, hls=windows))
        async with publishing(parts, packets=False) as publication:
            publication.publish(list(sample_packets(1.0)))
            with trio.fail_after(5):
                while not windows.running:  # noqa: ASYNC110 - it announces that to nobody
                    await trio.sleep(0.01)
            values = await scrape(parts)
        nursery.cancel_scope.cancel()
    assert values["livetrio_hls_windows", frozenset({"ts"})] == 1
    assert values["livetrio_hls_windows", frozenset({"ll"})] == 0
    assert ("livetrio_hls_window_bytes", frozenset()) in values


async def test_counters_keep_what_is_gone_and_viewers_fall_to_zero() -> None:
    async with control() as parts, connected() as (ours, _):
        ours.outbox.send(b"handshake")
        async with publishing(parts), watching(parts, connection=ours):
            ours.outbox.send(b"x" * 1000)
            before = await scrape(parts)
        after = await scrape(parts)
    sent = "livetrio_sent_bytes_total", frozenset({"player", "flv"})
    assert before[sent] == after[sent] == 1000
    assert after["livetrio_clients_total", frozenset({"player", "flv"})] == 1
    assert after["livetrio_viewers", frozenset({"flv"})] == 0
    packets = "livetrio_media_packets_total", frozenset()
    assert before[packets] == after[packets] == 14
    assert after["livetrio_streams_ended_total", frozenset()] == 1


async def test_no_counter_falls_over_a_streams_life() -> None:
    async with control() as parts:
        seen = [await scrape(parts)]
        async with publishing(parts), watching(parts):
            seen.append(await scrape(parts))
        seen.append(await scrape(parts))
        async with publishing(parts, "two"):
            seen.append(await scrape(parts))
    for earlier, later in itertools.pairwise(seen):
        for name, value in earlier.items():
            if name[0].endswith("_total"):
                assert later[name] >= value, name


async def test_a_hostile_stream_name_is_nowhere_in_the_text() -> None:
    async with control() as parts, publishing(parts, 'hostile"}\\ name'):
        response = await operator_app(parts.context).test_client().get("/metrics")
        assert b"hostile" not in await response.get_data()


async def test_the_loops_lag_is_a_histogram(autojump_clock) -> None:
    async with control() as parts, trio.open_nursery() as nursery:
        nursery.start_soon(parts.context.gauges.run)
        await trio.sleep(5.1)
        nursery.cancel_scope.cancel()
        values = {}
    lag = parts.context.gauges.lag
    assert lag.cumulative()[-1] == 10
    assert len(lag.cumulative()) == len(LAG_BUCKETS) + 1
    async with control() as parts:
        parts.context.gauges.lag.add(0.003)
        parts.context.gauges.lag.add(99)
        values = await scrape(parts)
    name = "livetrio_event_loop_lag_seconds"
    assert values[f"{name}_bucket", frozenset({"0.0025"})] == 0
    assert values[f"{name}_bucket", frozenset({"0.005"})] == 1
    assert values[f"{name}_bucket", frozenset({"+Inf"})] == 2
    assert values[f"{name}_count", frozenset()] == 2


async def test_unsteady_arrival_is_jitter_and_steady_arrival_is_none(autojump_clock) -> None:
    from kit.packets import audio

    async with control() as parts, trio.open_nursery() as nursery:
        gauges = parts.context.gauges
        nursery.start_soon(gauges.run)
        async with publishing(parts, packets=False) as steady:
            await trio.sleep(0.2)
            for step in range(20):
                steady.publish([audio(step * 500)])
                await trio.sleep(0.5)
            assert gauges.jitter(StreamKey("live", "movie")) < 0.01
            for step in range(20, 40):
                if step % 4 == 0:  # two seconds' worth at once
                    steady.publish([audio(ms) for ms in range(step * 500, step * 500 + 2000, 500)])
                await trio.sleep(0.5)
            assert gauges.jitter(StreamKey("live", "movie")) > 0.4
        nursery.cancel_scope.cancel()
