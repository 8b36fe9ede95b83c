"""FLV players over HTTP and WebSocket, as a viewer sees them."""

from __future__ import annotations

import json
import socket
import ssl

import pytest
import trio
import trio.testing
import trustme
from kit.flv_port import MOVIE, TRANSPORTS, flv_port, same, watching
from kit.http import OpenGate, get, http_client
from kit.media import aac_frame, aac_track, sample_packets
from kit.node import patiently
from trio_websocket import ConnectionClosed, wrap_client_stream

from livetrio.errors import RefusalCode, Refused
from livetrio.net.outbox import OutboxLimits
from livetrio.net.scope import tree
from livetrio.net.tls import ServerTls
from livetrio.packet import Kind, Packet, StreamKey
from livetrio.wire.nal import join_units

PACKETS = list(sample_packets(2.0))
CONFIGS = [packet for packet in PACKETS if packet.config]
MEDIA = [packet for packet in PACKETS if not packet.config]
GOP_BEGINS = max(i for i, p in enumerate(MEDIA) if p.key and p.track.kind is Kind.VIDEO)
"""Where the cached group of pictures begins in MEDIA."""


class Refusing(OpenGate):
    def __init__(self, refusal: Refused) -> None:
        super().__init__()
        self.refusal = refusal

    async def may_play(self, app, name, query, peer):
        raise self.refusal


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_player_gets_header_configuration_cached_group_and_then_the_live_edge(transport):
    cut = len(MEDIA) - 10
    async with flv_port() as port, port.published([*CONFIGS, *MEDIA[:cut]]) as publication:
        async with watching(port, transport) as player:
            await player.until(cut - GOP_BEGINS)
            assert player.data.startswith(b"FLV\x01\x05\x00\x00\x00\x09\x00\x00\x00\x00")
            assert [p.data for p in player.packets if p.config] == [p.data for p in CONFIGS]
            publication.publish(MEDIA[cut:])
            await player.until(len(MEDIA) - GOP_BEGINS)
            assert same(player.media, MEDIA[GOP_BEGINS:])


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_player_before_its_publisher_gets_the_whole_stream_and_a_proper_end(transport):
    async with flv_port() as port, watching(port, transport, early=True) as player:
        await trio.testing.wait_all_tasks_blocked(0.01)
        async with port.published() as publication:
            await player.accepted()
            publication.publish([*CONFIGS, *MEDIA[:GOP_BEGINS]])
            await player.until(GOP_BEGINS)
            publication.publish(MEDIA[GOP_BEGINS:])
        assert same(await player.to_the_end(), MEDIA)
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert port.registry.streams == {}


async def test_the_response_says_what_it_is_and_that_any_page_may_play_it():
    async with flv_port() as port, port.published(PACKETS), http_client(port.port) as client:
        await client.ask("/live/movie.flv")
        headers = (await client.head()).headers
        assert headers["content-type"] == "video/x-flv"
        assert headers["access-control-allow-origin"] == "*"
        assert headers["cache-control"] == "no-store"
        assert headers["transfer-encoding"] == "chunked"


async def test_a_real_websocket_client_plays():
    async with flv_port() as port, trio.open_nursery() as nursery:
        async with (
            port.published(PACKETS),
            await trio.open_tcp_stream("127.0.0.1", port.port) as stream,
        ):
            client = await wrap_client_stream(nursery, stream, "test", "/live/movie.flv")
            message = await client.get_message()
            assert isinstance(message, bytes)
            assert message.startswith(b"FLV\x01")
            await client.ping()
            port.registry.streams[MOVIE].scope.cancel("over")
            with pytest.raises(ConnectionClosed) as closed:
                await client.get_message()
            assert closed.value.reason.code == 1000


@pytest.mark.parametrize(
    ("only", "flags", "kind"), [("video", 1, Kind.VIDEO), ("audio", 4, Kind.AUDIO)]
)
async def test_one_of_picture_and_sound_is_sent_if_only_one_is_wanted(only, flags, kind):
    async with flv_port() as port, port.published(PACKETS):
        async with watching(port, target=f"/live/movie.flv?only={only}") as player:
            await player.until(10)
            assert player.data[4] == flags
            assert {packet.track.kind for packet in player.packets} == {kind, Kind.DATA}


async def test_the_header_announces_only_what_the_stream_has():
    sound = [packet for packet in PACKETS if packet.track.kind is not Kind.VIDEO]
    async with flv_port() as port, port.published(sound):
        async with watching(port) as player:
            await player.until(5)
            assert player.data[4] == 4


async def test_further_tracks_go_to_those_who_ask_for_them():
    second = aac_track(track_id=1)
    config = Packet(second, 0, 0, second.config, config=True)
    frames = [Packet(second, p.dts, p.pts, aac_frame(), key=True) for p in MEDIA[GOP_BEGINS:]]
    packets = [*CONFIGS, config, *MEDIA[: GOP_BEGINS + 1], *frames]
    async with flv_port() as port, port.published(packets):
        async with watching(port) as player:
            assert {p.track.id for p in await player.until(1)} == {0}
        async with watching(port, target="/live/movie.flv?multitrack=1") as player:
            assert {p.track.id for p in await player.until(1 + len(frames))} == {0, 1}


@pytest.mark.parametrize(
    "target",
    [
        "/",
        "/live",
        "/live.flv",
        "/live/movie",
        "/live/movie.m3u8",
        "/live/.flv",
        "/live/../../etc/passwd.flv",
        "/live/%2e%2e/x.flv",
        "/live/a%00b.flv",
        "/live/a%0d%0aX:1.flv",
        "/live/a%5cb.flv",
        "/live//x.flv",
        "/live/" + "x" * 300 + ".flv",
    ],
)
async def test_a_path_that_names_no_stream_is_400_invalid_path_as_in_livego(target: str):
    async with flv_port(play_wait=0) as port:
        response = await get(port.port, target)
        assert (response.status, response.body) == (400, b"invalid path\n")
        assert port.gate.asked == []


async def test_an_unknown_selection_is_refused():
    async with flv_port() as port, port.published(PACKETS):
        response = await get(port.port, "/live/movie.flv?only=smell")
        assert (response.status, response.body) == (400, b"only must be audio or video\n")


async def test_deeper_paths_and_any_script_are_names():
    key = StreamKey("live", "a/房间 1")
    async with flv_port() as port, port.published(PACKETS, key):
        target = "/live/a/%E6%88%BF%E9%97%B4%201.flv"
        async with watching(port, target=target) as player:
            await player.until(1)


async def test_a_player_waits_for_its_publisher_and_is_then_told_404_as_in_livego(autojump_clock):
    patiently(autojump_clock)
    async with flv_port(play_wait=5.0) as port, http_client(port.port) as client:
        await client.ask("/live/movie.flv")
        response = await client.response()
        assert (response.status, response.body) == (404, b"invalid path\n")
        assert 5 <= trio.current_time() < 6
        async with port.published(PACKETS):  # the connection is good for another try
            await client.ask("/live/movie.flv")
            assert (await client.head()).status == 200


async def test_a_websocket_player_of_nothing_is_told_404_too(autojump_clock):
    patiently(autojump_clock)
    async with flv_port() as port:
        response = await get(port.port, "/live/x.flv", Upgrade="websocket", Connection="Upgrade")
        assert response.status == 404


async def test_head_answers_at_once_what_get_would():
    async with flv_port(play_wait=1000) as port:
        assert (await get(port.port, "/live/movie.flv", "HEAD")).status == 404
        async with port.published(PACKETS):
            response = await get(port.port, "/live/movie.flv", "HEAD")
            assert (response.status, response.headers["content-type"]) == (200, "video/x-flv")
            assert "content-length" not in response.headers  # 0 would mean an empty film
            stream = port.registry.streams[MOVIE]
            assert [client.role for client in stream.clients.values()] == ["publisher"]


async def test_the_gate_is_asked_with_all_it_may_need_and_its_answer_is_the_stream():
    class Renaming(OpenGate):
        async def may_play(self, app, name, query, peer):
            await super().may_play(app, name, query, peer)
            return MOVIE

    async with flv_port(gate=Renaming()) as port, port.published(PACKETS):
        async with watching(port, target="/live/other.flv?token=t&only=audio") as player:
            await player.until(1)
        query = {"token": "t", "only": "audio"}
        assert port.gate.asked == [("live", "other", query, "127.0.0.1")]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_a_refused_player_is_told_why_and_sees_nothing(method: str):
    gate = Refusing(Refused(RefusalCode.FORBIDDEN, "members only", hint="h"))
    async with flv_port(gate=gate) as port, port.published(PACKETS):
        response = await get(port.port, "/live/movie.flv", method)
        assert response.status == 403
        assert response.body == (b"members only\n" if method == "GET" else b"")


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_over_tls_the_same_bytes_arrive_and_the_same_end(transport: str, tmp_path):
    authority = trustme.CA()
    pair = authority.issue_cert("localhost")
    pair.cert_chain_pems[0].write_to_path(tmp_path / "crt")
    pair.private_key_pem.write_to_path(tmp_path / "key")
    context = ssl.create_default_context()
    authority.configure_trust(context)
    async with flv_port(tls=ServerTls(tmp_path / "crt", tmp_path / "key")) as port:
        async with watching(port, transport, early=True, tls=context) as player:
            async with port.published() as publication:
                await player.accepted()
                publication.publish([*CONFIGS, *MEDIA[:GOP_BEGINS]])
                await player.until(GOP_BEGINS)
                publication.publish(MEDIA[GOP_BEGINS:])
            assert same(await player.to_the_end(), MEDIA)


async def test_players_may_be_on_any_page():
    async with flv_port() as port, port.published(PACKETS):
        async with watching(port, "ws", Origin="https://any.example") as player:
            await player.until(1)


async def test_pages_of_other_origins_are_refused_where_that_is_wanted():
    async with flv_port(allows_origin=lambda origin: origin == "https://a") as port:
        async with port.published(PACKETS), watching(port, "ws", Origin="https://a"):
            with pytest.raises(AssertionError, match="403"):
                async with watching(port, "ws", Origin="https://b"):
                    pass


async def test_viewers_of_one_format_share_a_feed_that_goes_with_the_last_of_them():
    async with flv_port() as port, port.published(PACKETS):
        stream = port.registry.streams[MOVIE]
        async with watching(port), watching(port), watching(port, "ws"):
            counts = {feed.format.name: feed.viewers for feed in stream.feeds}
            assert counts == {"flv/chunked/all": 2, "flv/ws/all": 1}
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert stream.feeds == []
        assert tree(stream.scope).children == []
        assert [client.role for client in stream.clients.values()] == ["publisher"]


async def test_a_viewer_is_listed_with_what_it_said_but_not_its_token():
    async with flv_port() as port, port.published(PACKETS):
        headers = {"User-Agent": "VLC/3 " + "x" * 1000}
        async with watching(port, "ws", "/live/movie.flv?token=secret", **headers) as player:
            await player.until(10)
            (viewer,) = [client for _, client in port.registry.clients() if client.role == "player"]
            assert (viewer.protocol, viewer.url) == ("ws-flv", "/live/movie.flv")
            assert viewer.agent == ("VLC/3 " + "x" * 1000)[:256]
            assert viewer.numbers().bytes_out >= len(player.data)


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_viewer_that_leaves_at_any_moment_leaves_nothing_and_harms_nobody(transport):
    async with flv_port() as port, port.published(CONFIGS) as publication:
        async with watching(port) as witness:
            async with watching(port, transport):
                pass  # while it waits for the first key frame
            async with watching(port, transport):
                publication.publish(MEDIA[:50])
            async with watching(port, transport) as player:
                await player.until(1)
                # Not even a proper close: a reset.
                linger = b"\x01\0\0\0\0\0\0\0"
                player.client.stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            publication.publish(MEDIA[50:])
            assert same(await witness.until(len(MEDIA)), MEDIA)
            await trio.testing.wait_all_tasks_blocked(0.01)
            players = [c for _, c in port.registry.clients() if c.role == "player"]
            assert len(players) == 1


async def test_a_viewer_that_leaves_while_it_waits_for_a_publisher_leaves_nothing(autojump_clock):
    patiently(autojump_clock)
    async with flv_port() as port:
        async with http_client(port.port) as client:
            await client.ask("/live/movie.flv")
            await trio.sleep(1)
        await trio.sleep(20)
        assert (list(port.registry.clients()), port.registry.streams) == ([], {})


async def test_a_viewer_that_never_reads_costs_bounded_memory_and_delays_nobody():
    limits = OutboxLimits(lag=1e9, size=1 << 20)
    track = CONFIGS[1].track
    async with flv_port(limits=limits) as port, port.published(PACKETS) as publication:
        async with watching(port), watching(port) as witness:
            for number in range(200):
                dts = 2_000_000 + number * 40_000
                frame = join_units([b"\x65" + bytes(100_000)])
                publication.publish([Packet(track, dts, dts, frame, key=number % 10 == 0)])
                await witness.until(len(MEDIA) - GOP_BEGINS + number + 1)
                queued = [client.numbers().queued for _, client in port.registry.clients()]
                assert max(queued) < (1 << 20) + 300_000
            jumps = [client.numbers().jumps for _, client in port.registry.clients()]
            assert sorted(jumps)[:2] == [0, 0]
            assert max(jumps) > 0


async def test_viewers_stay_on_while_the_publisher_is_away():
    async with flv_port() as port, watching(port, early=True) as player:
        async with port.published() as first:
            await player.accepted()
            first.publish(PACKETS)
            count = len(await player.until(len(MEDIA) - GOP_BEGINS))
            first.client.scope.cancel("line broken")
            await trio.sleep_forever()
        async with port.published(PACKETS):
            packets = await player.until(count + len(MEDIA))
            times = [packet.dts for packet in packets if packet.track.kind is Kind.VIDEO]
            assert times == sorted(times)


async def test_a_kicked_viewer_is_gone():
    async with flv_port() as port, port.published(PACKETS), watching(port) as player:
        await player.until(1)
        (viewer,) = [c for _, c in port.registry.clients() if c.role == "player"]
        assert await port.registry.end_client(viewer.id, "kicked") is not None
        await player.client.rest()


async def test_the_list_of_streams_is_livegos():
    async with flv_port() as port:
        response = await get(port.port, "/streams")
        assert response.body == b'{"publishers":null,"players":null}'
        assert response.headers["content-type"] == "application/json"
        async with port.published(PACKETS) as publication, watching(port) as player:
            await player.until(1)
            answer = json.loads((await get(port.port, "/streams")).body)
            assert answer["publishers"] == [{"key": "live/movie", "id": publication.client.id}]
            (viewer,) = answer["players"]
            assert (viewer["key"], len(viewer["id"])) == ("live/movie", 16)


async def test_the_list_of_streams_leaves_out_what_only_one_seat_may_play():
    async with flv_port() as port, port.published(PACKETS, StreamKey("live", "party~1")):
        response = await get(port.port, "/streams")
        assert response.body == b'{"publishers":null,"players":null}'


async def test_flash_may_play_from_anywhere():
    async with flv_port() as port:
        for target in ("/crossdomain.xml", "/live/crossdomain.xml"):
            response = await get(port.port, target)
            assert b'<allow-access-from domain="*"/>' in response.body
            assert response.headers["content-type"] == "application/xml"
