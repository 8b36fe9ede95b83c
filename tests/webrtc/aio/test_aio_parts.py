"""The parts of the aiortc engine that need no network: descriptions, tracks, servers, seams."""

from __future__ import annotations

from dataclasses import replace

import pytest
import trio
from aiortc import RTCDtlsTransport, RTCIceGatherer, RTCRtpReceiver
from kit.engines import OPUS, engine_stage, sent
from kit.media import avc_frame, avc_track
from kit.sdp import offer
from kit.webrtc_fakes import opus, pictures, staged

from livetrio.config import TurnConfig
from livetrio.net.dial import AddressPolicy
from livetrio.packet import Codec, Kind, Packet
from livetrio.webrtc.aio import track_feed
from livetrio.webrtc.aio.descriptions import candidate_allowed, cleaned, received, restored
from livetrio.webrtc.aio.packet_track import PacketTrack
from livetrio.webrtc.aio.servers import ice_servers
from livetrio.webrtc.aio.track_feed import TrackFeed
from livetrio.webrtc.negotiation_words import NotAcceptable
from livetrio.webrtc.selection import Selection
from livetrio.webrtc.turn import Turn
from livetrio.wire.nal import annexb_units
from livetrio.wire.sdp.session import parse_sdp


class TestDescriptions:
    @pytest.mark.parametrize(
        ("value", "allowed"),
        [
            ("1 1 udp 2130706431 8.8.8.8 5000 typ host", True),
            ("1 1 UDP 2130706431 2a00::1 5000 typ host", True),
            ("1 1 tcp 1 8.8.8.8 9 typ host tcptype active", False),
            ("1 1 udp 1 0a1b2c3d.local 5000 typ host", False),
            ("1 1 udp 1 internal.example.com 5000 typ host", False),
            ("1 1 udp 1 8.8.8.8 0 typ host", False),
            ("1 1 udp 1 8.8.8.8 70000 typ host", False),
            ("1 1 udp 1 239.1.1.1 5000 typ host", False),
            ("1 2 udp 1 8.8.8.8 5000 typ host", False),
            ("1 1 udp 1 8.8.8.8", False),
            ("", False),
        ],
    )
    def test_checks_go_to_addresses_and_never_to_names(self, value, allowed) -> None:
        assert candidate_allowed(value) is allowed

    def test_a_policy_keeps_checks_off_private_networks(self) -> None:
        for address in ("10.0.0.1", "127.0.0.1", "169.254.169.254", "::1", "fd00::1"):
            value = f"1 1 udp 1 {address} 5000 typ host"
            assert candidate_allowed(value)
            assert not candidate_allowed(value, AddressPolicy.PUBLIC_ONLY)

    def test_the_number_of_candidates_is_bounded(self) -> None:
        many = "".join(f"a=candidate:1 1 udp 1 8.8.8.8 {n} typ host\r\n" for n in range(1, 100))
        text = cleaned(offer("aiortc-play") + many)
        for line in parse_sdp(text).media:
            assert len(list(line.values("candidate"))) == 32

    def test_what_all_m_lines_share_is_written_into_each(self) -> None:
        for line in parse_sdp(cleaned(offer("firefox-publish"))).media:
            assert line.port
            for name in ("ice-ufrag", "ice-pwd", "fingerprint", "setup"):
                assert line.has(name), name

    def test_a_data_channel_is_rejected_and_not_shown(self) -> None:
        text = offer("aiortc-play")
        shown = parse_sdp(cleaned(text))
        assert [line.media for line in shown.media] == ["audio", "video"]
        kinds = [line.media for line in parse_sdp(text).media]
        assert "application" in kinds
        answer = parse_sdp(restored(shown.build(), text))
        assert [line.media for line in answer.media] == kinds
        rejected = next(line for line in answer.media if line.media == "application")
        assert rejected.port == 0
        (group,) = shown.values("group")
        assert rejected.mid not in group.split()

    def test_what_a_peer_sends_is_what_the_answer_leaves_of_its_offer(self) -> None:
        text = offer("aiortc-publish")
        agreed = received(text, text)
        assert {media.kind for media in agreed.active} == {Kind.VIDEO, Kind.AUDIO}
        silent = text.replace("a=sendrecv", "a=recvonly").replace("a=sendonly", "a=recvonly")
        assert received(silent, silent).active == ()


class TestServers:
    async def test_by_default_there_are_none(self) -> None:
        assert await ice_servers(None) == []
        assert await ice_servers(Turn(TurnConfig())) == []

    async def test_aiortc_is_never_left_to_choose_one(self, monkeypatch) -> None:
        def default():
            raise AssertionError("a public STUN server would have been asked")

        monkeypatch.setattr(RTCIceGatherer, "getDefaultIceServers", default)
        async with engine_stage("aiortc") as on:
            created = await on.app.test_client().post(
                "/live/movie/whip",
                data=offer("chromium-publish"),
                headers={"Content-Type": "application/sdp"},
            )
            assert created.status_code == 201, await created.get_data()

    async def test_a_dead_dns_costs_seconds_and_no_session(self, monkeypatch, autojump_clock):
        async def never(*_args, **_kwargs):
            await trio.sleep_forever()

        monkeypatch.setattr(trio.socket, "getaddrinfo", never)
        began = trio.current_time()
        turn = Turn(TurnConfig(urls=("turn:turn.example.com", "stun:stun.example.com"), secret="s"))
        assert await ice_servers(turn) == []
        assert trio.current_time() - began == pytest.approx(4)

    async def test_credentials_are_made_for_ourselves(self) -> None:
        urls = ("turn:127.0.0.1:3478?transport=tcp", "stun:127.0.0.1:3478")
        relay, stun = await ice_servers(Turn(TurnConfig(urls=urls, secret="s")))
        assert (relay.urls, stun.urls) == urls
        assert relay.username
        assert relay.credential
        assert stun.username is None


async def test_beyond_its_cap_the_engine_has_no_room_and_places_come_back() -> None:
    sdp = {"Content-Type": "application/sdp"}
    async with engine_stage("aiortc") as on:
        on.engine._places = 1

        async def post(name: str):
            http = on.app.test_client()
            path = f"/live/{name}/whip"
            return await http.post(path, data=offer("chromium-publish"), headers=sdp)

        first = await post("a")
        assert first.status_code == 201
        assert (await post("b")).status_code == 503
        await on.app.test_client().delete(first.headers["Location"])
        assert (await post("b")).status_code == 201


async def test_an_ice_restart_is_told_that_a_new_session_is_needed() -> None:
    fragment = "a=ice-ufrag:newu\r\na=ice-pwd:newpasswordnewpassword12\r\n"
    headers = {"Content-Type": "application/trickle-ice-sdpfrag", "If-Match": "*"}
    async with engine_stage("aiortc") as on:
        http = on.app.test_client()
        sdp = {"Content-Type": "application/sdp"}
        created = await http.post("/live/a/whip", data=offer("chromium-publish"), headers=sdp)
        answer = await http.patch(created.headers["Location"], data=fragment, headers=headers)
        assert answer.status_code == 406
        assert b"new session" in await answer.get_data()
        assert len(on.sessions) == 1


class TestPacketTrack:
    async def test_h264_goes_out_with_its_parameter_sets_before_each_key_frame(self) -> None:
        track, video = PacketTrack(Kind.VIDEO, Codec.H264), avc_track()
        for number in range(2):
            data = avc_frame(key=not number)
            track.put(Packet(video, 0, 0, data, key=not number), number * 40_000)
        first, second = track._queue
        kinds = [unit[0] & 0x1F for unit in annexb_units(bytes(first))]
        assert kinds == [7, 8, 5]
        assert [unit[0] & 0x1F for unit in annexb_units(bytes(second))] == [1]
        assert (first.pts, second.pts) == (0, 3_600)

    async def test_it_begins_with_a_key_frame(self) -> None:
        track, video = PacketTrack(Kind.VIDEO, Codec.H264), avc_track()
        track.put(Packet(video, 0, 0, avc_frame(key=False)), 0)
        assert not track._queue

    async def test_who_is_too_slow_loses_what_waits_and_goes_on_with_a_key_frame(self) -> None:
        track = PacketTrack(Kind.VIDEO, Codec.H264)
        for number in range(1, 1_000):
            picture, _ = sent(number if number > 1 else 0)
            track.put(picture, number * 33_333)
        assert len(track._queue) <= 300
        assert track.jumps == 3
        assert track.dropped > 0

    async def test_opus_counts_samples_whatever_the_rounding(self) -> None:
        track = PacketTrack(Kind.AUDIO, Codec.OPUS)
        for number in range(50):
            wobble = (0, 700, -600)[number % 3]
            track.put(Packet(OPUS, 0, 0, b"\xfc\xff\xfe", key=True), number * 20_000 + wobble)
        times = [packet.pts for packet in track._queue]
        assert times == [number * 960 for number in range(50)]

    async def test_another_codec_than_announced_is_not_sent(self) -> None:
        track = PacketTrack(Kind.VIDEO, Codec.VP8)
        track.put(sent(0)[0], 0)
        assert not track._queue


class TestTrackFeed:
    async def test_the_cached_pictures_come_at_four_times_their_pace(self, autojump_clock) -> None:
        async with staged(pictures(0, 61, gop=100)) as edition, trio.open_nursery() as nursery:
            feed = TrackFeed(edition, edition, Selection())
            began = trio.current_time()
            nursery.start_soon(feed.run)
            track = feed.tracks[Kind.VIDEO]
            while len(track._queue) < 61:  # noqa: ASYNC110
                await trio.sleep(0.01)
            assert trio.current_time() - began == pytest.approx(2.0 / 4, abs=0.05)
            nursery.cancel_scope.cancel()

    async def test_what_cannot_be_sent_is_refused_with_the_way_out(self) -> None:
        from kit.media import aac_track

        track = aac_track()
        async with staged([Packet(track, 0, 0, b"x", key=True)]) as edition:
            with pytest.raises(NotAcceptable, match="aac"):
                TrackFeed(edition, edition, Selection())

    async def test_it_ends_with_the_stream(self) -> None:
        async with staged([*pictures(0, 2), opus(0)]) as edition:
            feed = TrackFeed(edition, edition, Selection())
            edition.ring.end()
            assert await feed.run() == "the stream has ended"
            assert set(feed.tracks) == {Kind.VIDEO, Kind.AUDIO}

    async def test_it_ends_when_the_stream_is_not_what_was_announced(self, autojump_clock) -> None:
        async with staged(pictures(0, 2)) as edition:
            feed = TrackFeed(edition, edition, Selection())
            late = pictures(30, 1)[0]
            edition.ring.append([replace(late, pts=late.pts + 66_000)])
            assert await feed.run() == "the stream has changed: it has B-frames now"

    async def test_unreadable_reports_harm_nobody(self) -> None:
        async with staged(pictures(0, 2), browser=True) as edition:
            feed = TrackFeed(edition, edition, Selection())
            feed.receive(b"\xff" * 7)
            assert edition.asked == []


def test_the_private_names_of_aiortc_that_we_lean_on_are_there() -> None:
    names = {"_handle_rtp_data", "_handle_rtcp_data", "_send_rtp", "_get_stats"}
    assert names <= set(dir(RTCDtlsTransport))
    assert callable(RTCRtpReceiver.receive)
    assert track_feed.TrackFeed is TrackFeed
