"""HLS as players, caches and hostile clients see it, over a real socket."""

from __future__ import annotations

import gzip
import io
from dataclasses import replace

import av
import pytest
import trio
import trio.testing
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from kit.hls import (
    Playlist,
    attributes,
    check_low_latency,
    from_the_beginning,
    hls_port,
    later,
)
from kit.media import avc_track, sample_packets

from livetrio.delivery.hls_options import HlsOptions
from livetrio.packet import Codec, Kind, Packet, StreamKey, Track

SECOND = 1_000_000
PACKETS = list(sample_packets(10.0))
ONE_SECOND = HlsOptions(segment_duration=SECOND)


def upto(seconds: float) -> list[Packet]:
    return [p for p in PACKETS if p.config or p.dts < seconds * SECOND]


def between(begin: float, end: float) -> list[Packet]:
    return [p for p in PACKETS if not p.config and begin * SECOND <= p.dts < end * SECOND]


def decoded(data: bytes, format_: str, kind: str = "video") -> int:
    """How many frames a decoder makes of it."""
    with av.open(io.BytesIO(data), format=format_) as container:
        chosen = {kind: 0}
        return sum(1 for _ in container.decode(**chosen))


async def test_livegos_url_gives_a_playlist_of_transport_streams_that_decode():
    async with hls_port(ONE_SECOND) as port, port.published(upto(5.5)):
        response = await port.get("/live/movie.m3u8")
        assert response.headers["content-type"] == "application/x-mpegURL"
        assert response.headers["cache-control"] == "no-cache"
        assert response.headers["access-control-allow-origin"] == "*"
        playlist = Playlist.parse(response.body.decode())
        assert len(playlist.segments) == 3
        for uri, duration in playlist.segments:
            segment = await port.get(f"/live/{uri}")
            assert segment.headers["content-type"] == "video/mp2ts"
            assert "immutable" in segment.headers["cache-control"]
            assert decoded(segment.body, "mpegts") == 25
            assert duration == pytest.approx(1.0)


async def test_segments_are_numbered_from_one_and_the_number_never_goes_back():
    async with hls_port(ONE_SECOND) as port:
        async with port.published(upto(5.5)):
            first = await port.playlist()
        assert first.sequence == 3
        await trio.testing.wait_all_tasks_blocked(0.01)
        async with port.published(upto(2.5)):
            again = await port.playlist()
        assert again.sequence > first.last
        assert "#EXT-X-DISCONTINUITY" in again.text


async def test_a_player_before_the_first_segment_waits_for_it():
    async with hls_port(ONE_SECOND) as port, port.published(upto(0.5)) as publication:
        async with trio.open_nursery() as nursery:
            got: list[Playlist] = []

            async def ask() -> None:
                got.append(await port.playlist())

            nursery.start_soon(ask)
            await trio.testing.wait_all_tasks_blocked(0.01)
            assert not got
            publication.publish(between(0.5, 1.5))
        assert len(got[0].segments) == 1


@pytest.mark.parametrize("variant", ["fmp4", "ll"])
async def test_fragmented_mp4_decodes_from_its_initialization_segment_on(variant):
    async with hls_port(ONE_SECOND) as port, port.published(upto(0.1)) as publication:
        async with trio.open_nursery() as nursery:

            async def play() -> None:
                playlist = await port.playlist(f"?variant={variant}&_HLS_msn=2")
                (header,) = playlist.maps
                data = (await port.get(f"/live/{header}")).body
                for uri, _ in playlist.segments[:2]:
                    data += (await port.get(f"/live/{uri}")).body
                assert decoded(data, "mp4") == 50
                assert decoded(data, "mp4", "audio") == 93

            nursery.start_soon(play)
            await trio.testing.wait_all_tasks_blocked(0.01)
            publication.publish(between(0.1, 3.5))


async def low_latency(port, publication) -> Playlist:
    """The low-latency variant of a stream at 3.5 s, asked for from its beginning on."""
    await from_the_beginning(port, publication, "?variant=ll", between(0.5, 3.5))
    return await port.playlist("?variant=ll")


async def test_a_low_latency_playlist_keeps_the_rules_and_its_parts_make_up_the_segments():
    async with hls_port() as port, port.published(upto(0.5)) as publication:
        playlist = await low_latency(port, publication)
        check_low_latency(playlist)
        (header,) = playlist.maps
        init = (await port.get(f"/live/{header}")).body
        parts = [(await port.get(f"/live/{part['URI']}")).body for part in playlist.parts]
        whole = [(await port.get(f"/live/{uri}")).body for uri, _ in playlist.segments]
        assert b"".join(parts).startswith(b"".join(whole))
        assert decoded(init + b"".join(parts), "mp4") >= 3.4 * 25 - 5


async def test_a_blocking_reload_returns_when_its_part_is_there():
    async with hls_port() as port, port.published(upto(0.5)) as publication:
        playlist = await low_latency(port, publication)
        msn, part = playlist.last + 1, playlist.trailing_parts
        async with trio.open_nursery() as nursery:
            got: list[Playlist] = []

            async def ask() -> None:
                got.append(await port.playlist(f"?variant=ll&_HLS_msn={msn}&_HLS_part={part}"))

            nursery.start_soon(ask)
            await trio.testing.wait_all_tasks_blocked(0.01)
            assert not got
            publication.publish(between(3.5, 3.75))
        assert got[0].trailing_parts == part + 1


async def test_the_part_that_is_hinted_at_is_sent_as_soon_as_it_is_there():
    async with hls_port() as port, port.published(upto(0.5)) as publication:
        playlist = await low_latency(port, publication)
        async with trio.open_nursery() as nursery:
            got: list[bytes] = []

            async def ask() -> None:
                got.append((await port.get(f"/live/{playlist.hint}")).body)

            nursery.start_soon(ask)
            await trio.testing.wait_all_tasks_blocked(0.01)
            assert not got
            publication.publish(between(3.5, 3.75))
        assert got[0][4:8] == b"moof"


async def test_a_delta_update_leaves_out_what_the_player_has():
    options = HlsOptions(dvr_window=100 * SECOND)
    async with hls_port(options) as port, port.published(upto(0.5)) as publication:
        await from_the_beginning(port, publication, "?variant=ll", between(0.5, 9.9))
        full = await port.playlist("?variant=ll")
        delta = await port.playlist("?variant=ll&_HLS_skip=YES")
        skipped = int(attributes(delta.tags["#EXT-X-SKIP"])["SKIPPED-SEGMENTS"])
        assert skipped > 0
        assert delta.segments == full.segments[skipped:]


async def test_everybody_who_waits_is_answered_when_the_publisher_dies():
    async with hls_port() as port, trio.open_nursery() as nursery:
        answers: list[int] = []
        async with port.published(upto(0.5)) as publication:
            playlist = await low_latency(port, publication)

            async def ask() -> None:
                query = f"?variant=ll&_HLS_msn={playlist.last + 2}"
                answers.append((await port.get(f"/live/movie.m3u8{query}")).status)

            for _ in range(50):
                nursery.start_soon(ask)
            await trio.testing.wait_all_tasks_blocked(0.05)
            assert not answers
        while len(answers) < 50:
            await trio.testing.wait_all_tasks_blocked(0.01)


async def test_by_default_nothing_stays_when_the_stream_has_ended():
    async with hls_port(ONE_SECOND) as port:
        async with port.published(upto(4.0)):
            await port.playlist()
        while port.registry.streams:
            await trio.testing.wait_all_tasks_blocked(0.01)
        assert (await port.get("/live/movie.m3u8")).status == 403
        assert port.renditions.size == 0


async def test_what_is_kept_after_the_end_is_a_playlist_with_an_end():
    async with hls_port(replace(ONE_SECOND, keep_after_end=True)) as port:
        async with port.published(upto(4.0)):
            await port.playlist()
        while port.registry.streams:
            await trio.testing.wait_all_tasks_blocked(0.01)
        playlist = await port.playlist()
        assert playlist.text.endswith("#EXT-X-ENDLIST\n")
        assert decoded((await port.get(f"/live/{playlist.segments[-1][0]}")).body, "mpegts") == 25


async def test_a_rewind_window_lists_and_keeps_what_lies_within_it():
    options = replace(ONE_SECOND, dvr_window=6 * SECOND)
    async with hls_port(options) as port, port.published(upto(9.5)):
        playlist = await port.playlist()
        assert len(playlist.segments) == 6
        assert (await port.get(f"/live/{playlist.segments[0][0]}")).status == 200


async def test_memory_is_the_bytes_of_the_window_and_not_more_with_more_viewers():
    async with hls_port(ONE_SECOND) as port, port.published(upto(9.9)):
        playlist = await port.playlist()
        before = port.renditions.size
        sizes = [len((await port.get(f"/live/{uri}")).body) for uri, _ in playlist.segments]
        assert port.renditions.size == before
        assert before < 2.5 * sum(sizes)  # the window, two that linger, and the one begun


async def test_encrypted_segments_open_with_the_key_the_playlist_names_and_keys_change():
    options = replace(ONE_SECOND, key_every=2, window=5)
    async with hls_port(options) as port, port.published(upto(6.5)):
        playlist = await port.playlist()
        keys = [attributes(line) for line in playlist.text.splitlines() if "EXT-X-KEY" in line]
        assert len(keys) >= 2
        opened = []
        for line in playlist.text.splitlines():
            if line.startswith("#EXT-X-KEY"):
                key = attributes(line)
            elif line.endswith(".ts"):
                secret = (await port.get(f"/live/{key['URI']}")).body
                number = playlist.sequence + len(opened)
                vector = number.to_bytes(16, "big")
                body = (await port.get(f"/live/{line}")).body
                cipher = Cipher(algorithms.AES128(secret), modes.CBC(vector)).decryptor()
                plain = cipher.update(body) + cipher.finalize()
                opened.append(decoded(plain[: -plain[-1]], "mpegts"))
        assert opened == [25] * len(playlist.segments)
        no_cache = await port.get(f"/live/{key['URI']}")
        assert no_cache.headers["cache-control"] == "no-cache"


async def test_the_viewers_token_is_carried_on_into_every_url():
    async with hls_port() as port, port.published(upto(0.5)) as publication:
        await low_latency(port, publication)
        playlist = await port.playlist("?variant=ll&token=a%26b")
        uris = [uri for uri, _ in playlist.segments] + playlist.maps + [playlist.hint]
        assert uris
        assert all(uri.endswith("?token=a%26b") for uri in uris)


async def test_several_qualities_are_offered_as_variants_and_each_plays():
    low = avc_track(32, 32, track_id=1)
    packets = []
    for packet in upto(4.0):
        packets.append(packet)
        if packet.track.kind is Kind.VIDEO:
            packets.append(
                replace(packet, track=low, data=low.config if packet.config else packet.data)
            )
    async with hls_port(ONE_SECOND) as port, port.published(packets):
        text = (await port.get("/live/movie.m3u8")).body.decode()
        assert text.count("#EXT-X-STREAM-INF") == 2
        assert "RESOLUTION=32x32" in text
        assert 'CODECS="avc1.42c01f,mp4a.40.2"' in text
        for uri in [line for line in text.splitlines() if not line.startswith("#")]:
            playlist = Playlist.parse((await port.get(f"/live/{uri}")).body.decode())
            assert len(playlist.segments) == 3
        assert (await port.get("/live/movie.m3u8?video=7")).status == 404


async def test_a_stream_of_sound_alone_is_segmented(autojump_clock):
    autojump_clock.autojump_threshold = 0.05
    packets = [p for p in upto(5.0) if p.track.kind is Kind.AUDIO]
    async with hls_port(ONE_SECOND) as port, port.published(packets[:20]) as publication:
        await trio.sleep(1.1)  # there could have been a picture
        publication.publish(packets[20:])
        playlist = await port.playlist()
        data = (await port.get(f"/live/{playlist.segments[0][0]}")).body
        assert decoded(data, "mpegts", "audio") >= 46


async def test_a_codec_that_cannot_be_in_ts_comes_as_fmp4_to_plain_players(autojump_clock):
    autojump_clock.autojump_threshold = 0.05
    vp9 = Track(Kind.VIDEO, Codec.VP9, config=bytes((1, 0, 0, 0, 0, 31, 0x82, 2, 2, 2, 0, 0)))
    packets = [Packet(vp9, 0, 0, vp9.config, config=True)]
    packets += [
        Packet(vp9, t, t, b"\x82frame", key=t % SECOND == 0) for t in range(0, 4 * SECOND, 40_000)
    ]
    async with hls_port(ONE_SECOND) as port, port.published(packets[:20]) as publication:
        await trio.sleep(1.1)  # there could have been sound
        publication.publish(packets[20:])
        playlist = await port.playlist()
        assert playlist.maps
        assert b"vp09" in (await port.get(f"/live/{playlist.maps[0]}")).body


async def test_viewers_are_counted_once_and_a_kicked_one_stays_out():
    async with hls_port(ONE_SECOND) as port, port.published(upto(4.0)):
        for _ in range(3):
            await port.playlist()
            await port.playlist("?session=tv")
        await trio.testing.wait_all_tasks_blocked(0.01)
        viewers = [c for _, c in port.registry.clients() if c.role == "player"]
        assert len(viewers) == 2
        assert {client.protocol for client in viewers} == {"hls"}
        assert all(client.numbers().bytes_out > 500 for client in viewers)
        await port.registry.end_client(viewers[0].id, "kicked")
        statuses = {(await port.get(f"/live/movie.m3u8{q}")).status for q in ("", "?session=tv")}
        assert statuses == {200, 403}


async def test_a_viewer_that_asks_no_more_is_gone_after_a_while(autojump_clock):
    async with hls_port(ONE_SECOND) as port:
        autojump_clock.autojump_threshold = 0.05
        async with port.published(upto(4.0)):
            await port.playlist()
            assert len(port.sessions) == 1
            await trio.sleep(31)
            assert len(port.sessions) == 0


async def test_a_variant_nobody_asks_for_is_not_made_any_more(autojump_clock):
    async with hls_port(ONE_SECOND) as port:
        autojump_clock.autojump_threshold = 0.05
        async with port.published(upto(0.5)) as publication:
            await from_the_beginning(port, publication, "?variant=ll", between(0.5, 4.0))
            assert [place.variant for place in port.renditions.running] == ["ts", "ll"]
            await trio.sleep(61)
            assert [place.variant for place in port.renditions.running] == ["ts"]
            again = await from_the_beginning(port, publication, "?variant=ll", between(4.0, 6.0))
            assert again.segments


async def test_long_playlists_are_compressed_for_those_who_can_read_it():
    options = replace(ONE_SECOND, dvr_window=100 * SECOND, window=10)
    async with hls_port(options) as port, port.published(upto(9.9)):
        await port.playlist()
        packets = later(upto(9.9), 9.9)
        for round_ in range(4):
            stream = port.registry.streams[StreamKey("live", "movie")]
            stream.publication.publish(later(packets, 9.9 * round_))
        await trio.testing.wait_all_tasks_blocked(0.15)
        plain = await port.get("/live/movie.m3u8")
        packed = await port.get("/live/movie.m3u8", **{"Accept-Encoding": "gzip, br"})
        assert packed.headers["content-encoding"] == "gzip"
        assert gzip.decompress(packed.body) == plain.body
        assert len(packed.body) < len(plain.body) / 2


async def test_a_new_configuration_comes_with_a_new_initialization_segment_and_a_discontinuity():
    other = avc_track(128, 64)
    packets = [Packet(other, 2 * SECOND, 2 * SECOND, other.config, config=True)]
    packets += [
        replace(p, track=other) if p.track.kind is Kind.VIDEO else p for p in between(2.0, 5.0)
    ]
    async with hls_port(replace(ONE_SECOND, window=6)) as port, port.published(upto(0.1)) as pub:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(port.playlist, "?variant=fmp4")
            await trio.testing.wait_all_tasks_blocked(0.01)
            pub.publish([*between(0.1, 2.0), *packets])
        playlist = await port.playlist("?variant=fmp4&_HLS_msn=3")
        assert len(playlist.maps) == 2
        assert "#EXT-X-DISCONTINUITY\n" in playlist.text
