"""A WebRTC publisher: what its packets become in the stream, and what it is told in return."""

from __future__ import annotations

import random

import pytest
import trio
import trio.testing
from kit.media import avc_config
from kit.rtp_source import (
    EXTENSIONS,
    FakePeer,
    RtpSource,
    agreed,
    audio_media,
    av1_payloads,
    av1_sequence_header,
    avc_units,
    codec,
    h264_payloads,
    publishing,
    video_media,
    vp8_frame,
    vp8_payloads,
    vp9_frame,
    vp9_payloads,
)

from livetrio.net.beat import Beat
from livetrio.packet import Codec, Kind
from livetrio.webrtc.negotiation_words import Media
from livetrio.webrtc.publisher import Publisher
from livetrio.webrtc.receive_track import ReceivePolicy
from livetrio.wire.nal import join_units
from livetrio.wire.rtp import extensions as ext
from livetrio.wire.rtp.rtcp_feedback import Nack, Pli, Remb
from livetrio.wire.rtp.rtcp_reports import (
    Bye,
    ReceiverReport,
    SenderReport,
    SourceDescription,
)
from livetrio.wire.rtp.twcc import TransportFeedback

H264, OPUS = 102, 111
NO_WISHES = ReceivePolicy(key_frame_interval=0)


def camera(**fields) -> RtpSource:
    return RtpSource(7, H264, **fields)


def microphone(**fields) -> RtpSource:
    return RtpSource(8, OPUS, **fields)


def picture(source: RtpSource, *, key: bool = False, number: int = 0, mtu: int = 20) -> list[bytes]:
    """A frame's packets: a key frame is several, each other one a single packet."""
    return source.frame(h264_payloads(avc_units(key=key, number=number), mtu))


async def test_pictures_and_sound_come_into_the_stream_as_flv_would_carry_them(autojump_clock):
    async with publishing() as rig:
        video, audio = camera(mid="1"), microphone(mid="0")
        rig.peer.receive(picture(video, key=True))
        rig.peer.receive(audio.frame([b"\xfc\x01"], 960))
        await trio.sleep(0.033)
        rig.peer.receive(picture(video, number=1))
        record, key, head, sound, later = rig.packets()
        idr = avc_units(key=True)[2]
        assert (record.config, record.data, record.track.width) == (True, avc_config(64, 64), 64)
        assert (key.data, key.key, key.pts, key.dts) == (join_units([idr]), True, 0, 0)
        assert key.track is record.track is later.track
        assert (head.config, head.track.codec, head.track.channels) == (True, Codec.OPUS, 2)
        assert (sound.data, sound.key) == (b"\xfc\x01", True)
        assert (later.key, later.dts) == (False, 33_333)


async def test_what_came_before_the_stream_was_there_stays_before_what_follows(autojump_clock):
    """A browser's first key frame comes with its last handshake message."""
    for _ in range(20):
        async with publishing() as rig:
            peer, source = FakePeer(rig.peer.scope), camera(mid="1")
            peer.connected.set()
            early = [(data, trio.current_time()) for data in picture(source, key=True)]
            publisher = Publisher(peer, agreed(), rig.publication, beat=Beat())
            before = peer.on_rtp

            async def more(peer=peer, source=source, before=before):
                while peer.on_rtp is before:
                    await trio.lowlevel.checkpoint()
                peer.receive(picture(source, number=1))

            async with trio.open_nursery() as nursery:
                nursery.start_soon(more)
                nursery.start_soon(publisher.run, early)
                await trio.sleep(0.01)
                nursery.cancel_scope.cancel()
            assert [frame.key for frame in rig.frames()] == [True, False]


@pytest.mark.parametrize(
    ("name", "payloads", "size"),
    [
        (Codec.VP8, vp8_payloads(vp8_frame(key=True, size=3000)), (64, 48)),
        (Codec.VP9, vp9_payloads(vp9_frame(key=True, size=3000)), (64, 48)),
        (Codec.AV1, av1_payloads([av1_sequence_header(), b"\x30\x10" + bytes(3000)]), (64, 48)),
        (Codec.H264, h264_payloads(avc_units(key=True)), (64, 64)),
    ],
    ids=lambda value: value.value if isinstance(value, Codec) else "",
)
async def test_each_codec_a_browser_sends_becomes_a_track_with_its_size(
    autojump_clock, name, payloads, size
):
    async with publishing(video_media(name)) as rig:
        rig.peer.receive(RtpSource(7, codec(name).payload_type).frame(payloads))
        config, key = rig.packets()
        assert config.config
        assert key.key
        assert (config.track.codec, config.track.width, config.track.height) == (name, *size)


async def test_another_picture_size_is_a_new_track_object_announced_before_its_frame(
    autojump_clock,
):
    async with publishing() as rig:
        video = camera()
        rig.peer.receive(picture(video, key=True))
        rig.peer.receive(video.frame(h264_payloads(avc_units(key=True, width=128))))
        first, _, second, key = rig.packets()
        assert (first.track.width, second.track.width) == (64, 128)
        assert second.config
        assert key.track is second.track


async def test_a_publisher_may_change_to_another_agreed_codec_at_a_key_frame(autojump_clock):
    async with publishing(video_media(Codec.H264, Codec.VP8)) as rig:
        video = camera()
        rig.peer.receive(picture(video, key=True))
        video.payload_type = codec(Codec.VP8).payload_type
        rig.peer.receive(video.frame(vp8_payloads(vp8_frame(key=False))))
        rig.peer.receive(video.frame(vp8_payloads(vp8_frame(key=True))))
        codecs = [packet.track.codec for packet in rig.packets()]
        assert codecs == [Codec.H264, Codec.H264, Codec.VP8, Codec.VP8]


async def test_reordered_packets_make_whole_frames_and_nothing_is_asked_for(autojump_clock):
    async with publishing(policy=NO_WISHES) as rig:
        packets = picture(camera(), key=True)
        rig.peer.receive([packets[0], *packets[:0:-1]])
        await trio.sleep(0.2)
        assert [packet.key for packet in rig.frames()] == [True]
        assert rig.peer.words(Nack) == []


async def test_a_lost_packet_is_asked_for_and_its_frame_waits_for_it(autojump_clock):
    async with publishing(policy=NO_WISHES) as rig:
        video = camera()
        first, second = picture(video, key=True), picture(video, number=1)
        rig.peer.receive([*first, *picture(video, number=2)])
        assert len(list(rig.frames())) == 1
        await trio.sleep(0.06)
        (nack,) = rig.peer.words(Nack)
        assert (nack.media_ssrc, nack.lost) == (7, [int.from_bytes(second[0][2:4], "big")])
        rig.peer.receive(second)
        times = [packet.dts for packet in rig.frames()]
        assert times == [pytest.approx(33_333, abs=1), pytest.approx(66_667, abs=1)]
        (track,) = rig.publisher.statistics().tracks
        assert (track.recovered, track.lost, track.nacks) == (1, 0, 1)
        assert rig.publisher.statistics().rtt_ms is not None


async def test_a_packet_that_never_comes_costs_a_key_frame_and_nothing_broken_is_shown(
    autojump_clock,
):
    async with publishing(policy=NO_WISHES) as rig:
        video, audio = camera(), microphone()
        packets = picture(video, key=True)
        rig.peer.receive(packets)
        picture(video, number=1)
        heard = 0
        for number in range(2, 60):
            rig.peer.receive(picture(video, number=number))
            rig.peer.receive(audio.frame([b"\xfc\x01"], 960))
            await trio.sleep(1 / 30)
            heard += 1
        rig.peer.receive(picture(video, key=True, number=60))
        packets = [packet for packet in rig.packets() if not packet.config]
        pictures = [packet for packet in packets if packet.track.kind is Kind.VIDEO]
        assert [packet.key for packet in pictures] == [True, True]
        assert len(packets) - len(pictures) == heard
        words = rig.peer.words()
        assert len([word for word in words if isinstance(word, Nack)]) >= 2
        assert [word.media_ssrc for word in words if isinstance(word, Pli)][:1] == [7]
        (track, _) = rig.publisher.statistics().tracks
        assert (track.lost, track.dropped_frames) == (1, 58)


async def test_a_key_frame_does_not_wait_behind_holes_before_it(autojump_clock):
    async with publishing(policy=NO_WISHES) as rig:
        video = camera()
        rig.peer.receive(picture(video, key=True))
        key_wanted, waited = False, 0
        for number in range(1, 60):
            packets = picture(video, key=key_wanted, number=number)
            if number % 2 == 0 or key_wanted:  # every other frame is lost, for ever
                rig.peer.receive(packets)
            if key_wanted:
                break
            await trio.sleep(1 / 30)
            key_wanted = bool(rig.peer.words(Pli))
        assert len(list(rig.frames())) == 1
        while not (shown := list(rig.frames())):
            waited += 1
            await trio.sleep(0.01)
        assert shown[0].key
        assert waited < 30  # hundredths of a second; the holes' own patience is 100


async def test_sound_waits_for_the_first_picture_so_that_a_stream_begins_with_both(
    autojump_clock,
):
    async with publishing() as rig:
        video, audio = camera(), microphone()
        rig.peer.receive(audio.frame([b"\xfc\x00"], 960))
        await trio.sleep(2.9)
        rig.peer.receive(audio.frame([b"\xfc\x01"], 960))
        assert rig.packets() == []
        rig.peer.receive(picture(video, key=True))
        rig.peer.receive(audio.frame([b"\xfc\x02"], 960))
        got = rig.packets()
        assert [(p.track.kind, p.config) for p in got] == [
            (Kind.AUDIO, True),
            (Kind.AUDIO, False),
            (Kind.VIDEO, True),
            (Kind.VIDEO, False),
            (Kind.AUDIO, False),
        ]
        assert [p.data for p in got if p.track.kind is Kind.AUDIO][1:] == [b"\xfc\x01", b"\xfc\x02"]


async def test_sound_does_not_wait_for_a_camera_that_is_off_for_longer_than_three_seconds(
    autojump_clock,
):
    async with publishing() as rig:
        audio = microphone()
        rig.peer.receive(audio.frame([b"\xfc\x00"], 960))
        await trio.sleep(3)
        rig.peer.receive(audio.frame([b"\xfc\x01"], 960))
        assert [p.data for p in rig.frames(Kind.AUDIO)] == [b"\xfc\x01"]


async def test_sound_that_cannot_be_asked_for_waits_only_for_a_reordering(autojump_clock):
    async with publishing(audio_media(), policy=NO_WISHES) as rig:
        audio = microphone()
        rig.peer.receive(audio.frame([b"\xfc\x00"], 960))
        audio.frame([b"\xfc\x01"], 960)
        rig.peer.receive(audio.frame([b"\xfc\x02"], 960))
        assert len(list(rig.frames(Kind.AUDIO))) == 1
        await trio.sleep(0.15)
        (late,) = rig.frames(Kind.AUDIO)
        assert (late.data, late.dts) == (b"\xfc\x02", 40_000)
        assert rig.peer.words(Nack) == []


async def test_heavy_loss_duplication_and_jitter_are_survived_in_bounded_memory(autojump_clock):
    """20 % loss both ways, 10 % duplicates, up to 200 ms of delay."""
    chance = random.Random(3)
    async with publishing() as rig:
        video = camera()
        history: dict[int, bytes] = {}
        key_wanted = True
        pending: list[tuple[float, bytes]] = []

        def travel(packet: bytes) -> None:
            pending.extend(
                (trio.current_time() + chance.random() / 5, packet)
                for _ in range(1 + (chance.random() < 0.1))
                if chance.random() >= 0.2
            )

        shown = 0
        for step in range(1500):
            if step % 3 == 0:
                for packet in picture(video, key=key_wanted, number=step % 2):
                    history[int.from_bytes(packet[2:4], "big")] = packet
                    travel(packet)
                key_wanted = False
            await trio.sleep(0.011)
            for word in rig.peer.words():
                if chance.random() < 0.2:
                    continue
                if isinstance(word, Nack):
                    for number in word.lost:
                        travel(history[number])
                elif isinstance(word, Pli):
                    key_wanted = True
            now = trio.current_time()
            pending.sort()
            while pending and pending[0][0] <= now:
                rig.peer.receive([pending.pop(0)[1]])
            shown += len(list(rig.frames()))
        (track,) = rig.publisher.statistics().tracks
        assert shown > 400  # of 500
        assert track.recovered > 50
        assert track.duplicates > 50
        assert len(rig.publisher._sources.tracks[7].buffer) < 200


async def test_what_arrived_when_is_told_every_50_milliseconds(autojump_clock):
    async with publishing() as rig:
        video = camera()
        for number in (0xFFFF, 0x10001):
            value = ext.build_transport_sequence(number)
            extra = [(EXTENSIONS[ext.TRANSPORT_CC], value)]
            rig.peer.receive([video.packet(b"\x41\x9a", extra=extra)])
        await trio.sleep(0.056)
        feedback = rig.peer.words(TransportFeedback)
        assert [(word.base, [a is not None for a in word.arrivals]) for word in feedback] == [
            (0xFFFF, [True, False, True])
        ]
        await trio.sleep(0.1)
        assert rig.peer.words(TransportFeedback) == []


@pytest.mark.parametrize(("packets", "told"), [(1, 10), (10, 20)])
async def test_feedback_comes_twenty_times_a_second_and_half_as_often_for_few_packets(
    autojump_clock, packets, told
):
    async with publishing(policy=NO_WISHES) as rig:
        video, number = camera(), 0
        for turn in range(60):
            for _ in range(packets):
                value = ext.build_transport_sequence(number)
                extra = [(EXTENSIONS[ext.TRANSPORT_CC], value)]
                rig.peer.receive([video.packet(b"\x41\x9a", extra=extra)])
                number += 1
            await trio.sleep(1 / 30)
            if turn == 29:
                rig.peer.words()
        assert abs(len(rig.peer.words(TransportFeedback)) - told) <= 2


async def test_a_receiver_report_a_second_answers_the_sender_reports(autojump_clock):
    async with publishing(policy=NO_WISHES) as rig:
        video = camera(sequence=100)
        rig.peer.receive(picture(video, key=True))
        report = SenderReport(7, 0x1234_5678_9ABC_DEF0, video.timestamp, 3, 300)
        rig.peer.on_rtcp(report.build())
        count = 1.06
        await trio.sleep(count)
        words = rig.peer.words()
        (full,) = [w for w in words if isinstance(w, ReceiverReport) and w.reports]
        (block,) = full.reports
        assert (block.ssrc, block.last_sr, block.fraction_lost) == (7, 0x5678_9ABC, 0)
        assert 0.9 < block.delay / 65536 < 1.1
        assert block.highest_sequence == video.sequence - 1
        assert any(isinstance(word, SourceDescription) and word.chunks for word in words)
        for number in range(4):
            rig.peer.receive(picture(video, number=number))
            picture(video)
        rig.peer.receive(picture(video))
        await trio.sleep(1.0)
        blocks = [w.reports[0] for w in rig.peer.words(ReceiverReport) if w.reports]
        assert blocks[0].fraction_lost == 256 * 4 // 9
        assert blocks[-1].lost == 4


async def test_without_transport_feedback_a_remb_says_how_much_may_come(autojump_clock):
    media = video_media(extensions={})
    async with publishing(media, policy=ReceivePolicy(start_bitrate=500_000)) as rig:
        rig.peer.receive(picture(camera(), key=True))
        await trio.sleep(1.06)
        (remb,) = rig.peer.words(Remb)
        assert remb.ssrcs == [7]
        assert 490_000 < remb.bitrate <= 500_000
    async with publishing() as rig:
        rig.peer.receive(picture(camera(), key=True))
        await trio.sleep(1.06)
        assert rig.peer.words(Remb) == []


async def test_a_viewers_wish_for_a_key_frame_reaches_the_publisher_at_once_and_only_once(
    autojump_clock,
):
    async with publishing(policy=NO_WISHES) as rig:
        stream = rig.publication.stream
        video = camera()
        rig.peer.receive(picture(video, key=True))
        await trio.sleep(0.5)
        for _ in range(1000):
            stream.request_key_frame()
        assert [word.media_ssrc for word in rig.peer.words(Pli)] == [7]
        rig.peer.receive(picture(video, key=True, number=1))
        await trio.sleep(1.0)
        assert rig.peer.words(Pli) == []


async def test_a_key_frame_is_asked_for_now_and_then_for_hls_and_the_gop_cache(autojump_clock):
    async with publishing(policy=ReceivePolicy(key_frame_interval=2.0)) as rig:
        video = camera()
        requests = 0
        for number in range(100):
            asked = bool(rig.peer.words(Pli))
            requests += asked
            rig.peer.receive(picture(video, key=asked or number == 0, number=number))
            await trio.sleep(0.1)
        assert requests == 4
        assert rig.publication.stream.track_statistics[0].keys == 5


async def test_a_publisher_without_wishes_or_already_gone_is_not_asked(autojump_clock):
    async with publishing() as rig:
        stream, publication = rig.publication.stream, rig.publication
        publication.on_key_frame_request = None
        stream.request_key_frame()
        stream.publication = None
        stream.request_key_frame()
        stream.publication = publication
        assert rig.peer.sent == []


def simulcast() -> tuple[Media, dict[str, RtpSource]]:
    media = video_media(Codec.VP8, rids=("l", "h"))
    names = {"l": 20, "h": 21}
    return media, {rid: RtpSource(ssrc, 96, mid="1", rid=rid) for rid, ssrc in names.items()}


def layer_frame(source: RtpSource, *, key: bool, width: int) -> list[bytes]:
    return source.frame(vp8_payloads(vp8_frame(key=key, width=width)))


async def test_simulcast_layers_are_tracks_and_the_best_one_alive_is_the_first(autojump_clock):
    media, layers = simulcast()
    async with publishing(media, policy=NO_WISHES) as rig:
        rig.peer.receive(layer_frame(layers["l"], key=True, width=320))
        rig.peer.receive(layer_frame(layers["h"], key=True, width=1280))
        await trio.sleep(0.4)
        rig.peer.receive(layer_frame(layers["l"], key=False, width=320))
        rig.peer.receive(layer_frame(layers["h"], key=False, width=1280))
        seen = [(p.track.id, p.track.width, p.config) for p in rig.packets()]
        assert seen == [
            (0, 320, True),
            (0, 320, False),
            (0, 1280, True),
            (0, 1280, False),
            (0, 1280, False),
        ]
        assert [word.media_ssrc for word in rig.peer.words(Pli)] == []
        await trio.sleep(0.06)
        assert [word.media_ssrc for word in rig.peer.words(Pli)] == [20]
        rig.peer.receive(layer_frame(layers["l"], key=True, width=320))
        assert [(p.track.id, p.track.width) for p in rig.packets()] == [(1, 320), (1, 320)]
        ids = {track.rid: track.track_id for track in rig.publisher.statistics().tracks}
        assert ids == {"l": 1, "h": 0}


async def test_when_the_best_layer_pauses_the_next_becomes_the_first_track(autojump_clock):
    media, layers = simulcast()
    async with publishing(media) as rig:
        for rid, width in (("h", 1280), ("l", 320)):
            rig.peer.receive(layer_frame(layers[rid], key=True, width=width))
        rig.packets()
        asked = []
        for _ in range(60):
            asked += [word.media_ssrc for word in rig.peer.words(Pli)]
            key = 20 in asked
            rig.peer.receive(layer_frame(layers["l"], key=key, width=320))
            await trio.sleep(1 / 30)
        last = rig.packets()[-1]
        assert (last.track.id, last.track.width) == (0, 320)
        rig.publication.stream.request_key_frame(0)
        assert [word.media_ssrc for word in rig.peer.words(Pli)] in ([], [20])


async def test_a_wish_for_one_layer_asks_that_layer(autojump_clock):
    media, layers = simulcast()
    async with publishing(media, policy=NO_WISHES) as rig:
        for rid, width in (("h", 1280), ("l", 320)):
            rig.peer.receive(layer_frame(layers[rid], key=True, width=width))
        await trio.sleep(0.5)
        rig.publication.stream.request_key_frame(1)
        assert [word.media_ssrc for word in rig.peer.words(Pli)] == [20]
        rig.publication.stream.request_key_frame(9)
        assert [word.media_ssrc for word in rig.peer.words(Pli)] == [21]


async def test_a_source_that_comes_back_under_a_new_ssrc_goes_on_as_the_same_track(autojump_clock):
    async with publishing() as rig:
        old, new = camera(mid="1"), RtpSource(9, H264, mid="1", sequence=1, timestamp=5)
        rig.peer.receive(picture(old, key=True))
        await trio.sleep(0.1)
        rig.peer.receive(picture(new, key=True, number=1))
        rig.peer.receive(picture(old, number=1))  # a straggler
        assert [(p.track.id, p.key, p.dts) for p in rig.frames()] == [
            (0, True, 0),
            (0, True, 100_000),
        ]
        assert [track.ssrc for track in rig.publisher.statistics().tracks] == [9]


async def test_two_cameras_and_two_microphones_are_four_tracks(autojump_clock):
    medias = [
        audio_media("a"),
        audio_media("b"),
        video_media(mid="c"),
        video_media(mid="d", ssrcs=(31,)),
    ]
    async with publishing(*medias) as rig:
        rig.peer.receive(picture(RtpSource(30, H264, mid="c"), key=True))
        rig.peer.receive(picture(RtpSource(31, H264), key=True))
        rig.peer.receive(RtpSource(1, OPUS, mid="a").frame([b"\xfc\x01"]))
        rig.peer.receive(RtpSource(2, OPUS, mid="b").frame([b"\xfc\x01"]))
        assert [(t.kind, t.id) for t in rig.publication.stream.tracks] == [
            (Kind.VIDEO, 0),
            (Kind.VIDEO, 1),
            (Kind.AUDIO, 0),
            (Kind.AUDIO, 1),
        ]


async def test_redundancy_repair_and_unknown_sources_are_ignored_and_counted(autojump_clock):
    media, layers = simulcast()
    async with publishing(audio_media(), media) as rig:
        layers["l"].elements[-1] = (EXTENSIONS[ext.REPAIRED_RID], b"l")
        unknown_rid = RtpSource(5, 96, mid="1", rid="x")
        for packets in (
            layers["l"].frame([b"\x00\x01" + vp8_payloads(vp8_frame(key=True))[0]]),
            unknown_rid.frame(vp8_payloads(vp8_frame(key=True))),
            RtpSource(6, 97, mid="1").frame([b""]),  # RTX without its two bytes
            RtpSource(6, 97, mid="1").frame([b"\x00"]),
            RtpSource(6, 63, mid="0").frame([b"\x6f\x00\x01"]),  # RED
            RtpSource(6, 96, mid="7").frame([b"\x10"]),  # a mid that nobody agreed to
            RtpSource(6, 96).frame([b"\x10"]),  # a layer without a name
        ):
            rig.peer.receive(packets)
        assert rig.packets() == []
        assert rig.publisher.statistics().ignored == 7
        rig.peer.receive(layer_frame(layers["h"], key=True, width=64))
        layers["h"].payload_type = 97
        rig.peer.receive(layers["h"].frame([b"\x10"]))
        assert rig.publisher.statistics().ignored == 8


async def test_the_level_of_a_microphone_is_kept_and_told(autojump_clock):
    async with publishing() as rig:
        audio = microphone()
        told: list[int] = []
        rig.publication.stream.level_listeners.add(told.append)
        level = (EXTENSIONS[ext.AUDIO_LEVEL], ext.build_audio_level(30, voice=True))
        rig.peer.receive([audio.packet(b"\xfc\x01", extra=[level])])
        dbov, voice, at = rig.publisher.levels["0"]
        assert (dbov, voice, at) == (-30, True, trio.current_time())
        rig.peer.receive([audio.packet(b"\xfc\x01")])
        assert rig.publisher.levels["0"].dbov == -30
        assert told == [-30]


async def test_sender_reports_bring_picture_and_sound_together(autojump_clock):
    async with publishing(policy=NO_WISHES) as rig:
        video, audio = camera(timestamp=0), microphone(timestamp=0)
        rig.peer.receive(audio.frame([b"\xfc\x00"], 960))
        await trio.sleep(0.1)
        rig.peer.receive(picture(video, key=True))
        wall = 3_900_000_000 << 32
        rig.peer.on_rtcp(SenderReport(7, wall, 0, 1, 1).build())
        rig.peer.on_rtcp(SenderReport(8, wall, 0, 1, 1).build())
        rig.packets()
        for _ in range(90):
            await trio.sleep(1 / 30)
            rig.peer.receive(picture(video))
        times = [packet.dts for packet in rig.frames()]
        assert times[0] > 130_000
        assert times[-1] == 3_000 * 90 * 1_000_000 // 90_000
        assert times == sorted(times)


async def test_a_peer_whose_sources_all_said_goodbye_has_ended_cleanly(autojump_clock):
    async with publishing() as rig:
        rig.peer.receive(picture(camera(), key=True))
        rig.peer.receive(microphone().frame([b"\xfc\x01"]))
        rig.peer.on_rtcp(Bye([7, 8, 99]).build())
        await trio.sleep(0.2)
        assert rig.publication.stream.publication is rig.publication
        rig.peer.scope.cancel("DTLS: closed")
        await trio.testing.wait_all_tasks_blocked()
    assert rig.publication.ended_cleanly
    assert rig.publication.on_key_frame_request is None


@pytest.mark.parametrize("later", ["nothing", "sound"])
async def test_who_goes_without_all_goodbyes_may_come_back(autojump_clock, later):
    async with publishing() as rig:
        audio = microphone()
        rig.peer.receive(picture(camera(), key=True))
        rig.peer.receive(audio.frame([b"\xfc\x01"]))
        rig.peer.on_rtcp(Bye([7, 8] if later == "sound" else [7]).build())
        if later == "sound":  # a camera that is switched off and on keeps its SSRC
            rig.peer.receive(audio.frame([b"\xfc\x01"]))
        rig.peer.scope.cancel("gone")
    assert not rig.publication.ended_cleanly


async def test_a_goodbye_of_foreign_sources_means_nothing(autojump_clock):
    async with publishing() as rig:
        rig.peer.on_rtcp(Bye([1, 2, 3]).build())
        rig.peer.scope.cancel("gone")
    assert not rig.publication.ended_cleanly


async def test_a_layer_that_says_goodbye_gives_its_place_to_the_next_at_once(autojump_clock):
    media, layers = simulcast()
    async with publishing(media) as rig:
        for rid, width in (("h", 1280), ("l", 320)):
            rig.peer.receive(layer_frame(layers[rid], key=True, width=width))
        rig.packets()
        rig.peer.on_rtcp(Bye([21]).build())
        rig.peer.receive(layer_frame(layers["l"], key=False, width=320))
        rig.peer.receive(layer_frame(layers["l"], key=True, width=320))
        assert [(p.track.id, p.config) for p in rig.packets()] == [(0, True), (0, False)]


async def test_of_two_sources_with_one_ssrc_the_first_is_heard(autojump_clock):
    async with publishing() as rig:
        rig.peer.receive(picture(camera(mid="1"), key=True))
        rig.peer.receive(RtpSource(7, OPUS, mid="0").frame([b"\xfc\x01"]))
        assert [track.kind for track in rig.publication.stream.tracks] == [Kind.VIDEO]
        assert rig.publisher.statistics().ignored == 1


async def test_a_packet_as_large_as_udp_allows_is_a_packet(autojump_clock):
    async with publishing(video_media(Codec.VP8)) as rig:
        (payload,) = vp8_payloads(vp8_frame(key=True, size=60_000), mtu=65_000)
        rig.peer.receive(RtpSource(7, 96).frame([payload]))
        assert [len(packet.data) for packet in rig.frames()] == [60_010]


def bad_packets() -> list[bytes]:
    """Hostile input group 45, below SRTP."""
    good = camera().packet(b"\x41\x9a")
    return [
        b"",
        good[:11],
        b"\x00" + good[1:],
        b"\x40" + good[1:],
        b"\x8f" + good[1:],  # 15 CSRCs
        b"\x90" + good[1:12] + b"\xbe\xde\xff\xff",
        b"\x90" + good[1:12],
        b"\xa0" + good[1:12] + b"\x00",
        b"\xa0" + good[1:12] + b"\x02",
        b"\xa0" + good[1:12] + b"\xff" * 20,
    ]


@pytest.mark.parametrize("packet", bad_packets(), ids=range(len(bad_packets())))
async def test_a_packet_that_is_no_rtp_is_counted_and_harms_nothing(autojump_clock, packet):
    async with publishing() as rig:
        video = camera()
        rig.peer.receive(picture(video, key=True))
        rig.peer.receive([packet])
        rig.peer.receive(picture(video, number=1))
        assert len(list(rig.frames())) == 2
        statistics = rig.publisher.statistics()
        assert statistics.malformed == 1
        assert statistics.reason.startswith("RTP:")


@pytest.mark.parametrize(
    "payload",
    [b"", b"\x00", b"\x7c", b"\x7c\x05", b"\x7c\x05\x00", b"\x78\x78\x78", b"\x78\x00\x03\x78\x00"],
)
async def test_a_broken_frame_costs_no_more_than_a_key_frame(autojump_clock, payload):
    async with publishing(policy=NO_WISHES) as rig:
        video = camera()
        rig.peer.receive(picture(video, key=True))
        rig.peer.receive(video.frame([payload]))
        rig.peer.receive(picture(video, key=True, number=1))
        rig.peer.receive(picture(video, number=1))
        assert [packet.key for packet in rig.frames()] == [True, True, False]
        assert not rig.peer.scope.reason


async def test_a_peer_that_sends_nothing_but_garbage_is_ended(autojump_clock):
    async with publishing() as rig:
        rig.peer.receive([b"\x80\x66"] * 1001)
        rig.peer.on_rtcp(b"\x81")
        assert rig.peer.scope.reason.startswith("nothing readable in 1000 packets: RTP")


async def test_rtcp_that_cannot_be_read_is_counted(autojump_clock):
    async with publishing() as rig:
        for compound in (b"", b"\x80\xc8\xff\xff", b"\x81\xcb\x00\x00", b"\x00\xc8\x00\x00"):
            rig.peer.on_rtcp(compound)
        rig.peer.on_rtcp(Pli(1, 2).build())
        assert rig.publisher.statistics().malformed == 4


async def test_a_single_packet_from_far_away_is_nothing_and_two_are_a_restart(autojump_clock):
    async with publishing(policy=NO_WISHES) as rig:
        video = camera(sequence=1000)
        rig.peer.receive(picture(video, key=True))
        video.sequence = 40_000
        rig.peer.receive(picture(video, number=1))
        video.sequence = 1000 + len(picture(camera(), key=True))
        rig.peer.receive(picture(video, number=1))
        assert [packet.key for packet in rig.frames()] == [True, False]
        video.sequence = 20_000
        rig.peer.receive(picture(video, key=True)[-1:])
        rig.peer.receive(picture(video, key=True))
        rig.peer.receive(picture(video, key=True))
        assert [packet.key for packet in rig.frames()] == [True, True]
        await trio.sleep(1.1)
        (track,) = rig.publisher.statistics().tracks
        assert track.lost == 0
        assert rig.peer.words(Nack) == []


async def test_a_hole_too_long_to_fill_costs_a_key_frame_at_once(autojump_clock):
    async with publishing(policy=NO_WISHES) as rig:
        video = camera(sequence=1000)
        rig.peer.receive(picture(video, key=True))
        await trio.sleep(0.5)
        video.sequence += 600
        rig.peer.receive(picture(video, number=1))
        await trio.sleep(0.06)
        assert [word.media_ssrc for word in rig.peer.words(Pli)] == [7]
        rig.peer.receive(picture(video, key=True, number=1))
        assert [packet.key for packet in rig.frames()] == [True, True]
        (track,) = rig.publisher.statistics().tracks
        assert track.lost == 600


async def test_sources_that_change_their_ssrc_with_every_packet_cost_nothing_lasting(
    autojump_clock,
):
    async with publishing() as rig:
        for ssrc in range(5000):
            rig.peer.receive(RtpSource(ssrc, H264, mid="1").frame([b"\x41\x9a"]))
        assert len(rig.publisher.statistics().tracks) == 1


async def test_requests_of_any_number_are_cut_into_datagrams_that_pass_everywhere(autojump_clock):
    medias = [video_media(mid=str(i), ssrcs=(i,)) for i in range(1, 9)]
    async with publishing(*medias, policy=NO_WISHES) as rig:
        sources = [RtpSource(i, H264) for i in range(1, 9)]
        lost = []
        for number in range(50 * 20):  # one in twenty: each has a field of its own in the NACK
            for source in sources:
                packet = source.packet(b"\x41\x9a")
                if number % 20 == 1:
                    lost.append(packet)
                else:
                    rig.peer.receive([packet])
        await trio.sleep(0.06)
        assert max(map(len, rig.peer.sent)) <= 1_200
        asked = [number for nack in rig.peer.words(Nack) for number in nack.lost]
        assert len(asked) == len(lost) == 8 * 50
