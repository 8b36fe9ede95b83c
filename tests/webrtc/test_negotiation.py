"""webrtc/negotiation.py: the offers of real publishers, and their answers."""

import pytest
from aiortc.sdp import SessionDescription as AiortcDescription
from kit.sdp import H264, LOCAL, OPUS, PLAY, PUBLISH, answered, edited, offer, part

from livetrio.errors import RefusalCode
from livetrio.packet import Codec, Kind
from livetrio.webrtc.negotiation import (
    NotAcceptable,
    Policy,
    agree_play,
    agree_publish,
    answer,
)
from livetrio.wire.rtp import extensions as ext
from livetrio.wire.sdp.session import parse_sdp

TRACKS = (H264, OPUS)


@pytest.mark.parametrize("name", PUBLISH)
def test_every_publisher_s_offer_is_taken_whole(name):
    agreed = agree_publish(offer(name))
    assert {media.kind for media in agreed.active} == {Kind.VIDEO, Kind.AUDIO}
    assert part(agreed, Kind.VIDEO).codecs[0].codec is Codec.H264
    assert part(agreed, Kind.AUDIO).codecs[0].codec is Codec.OPUS
    assert all(not media.sending and media.track is None for media in agreed.active)
    assert agreed.remote.fingerprints
    assert len(agreed.remote.ufrag) >= 4


@pytest.mark.parametrize("name", PUBLISH)
def test_the_answer_to_a_publisher_has_what_chromium_insists_on(name):
    session = answered(agree_publish(offer(name)))
    assert session.has("ice-lite")
    live = [line for line in session.media if line.port]
    assert session.value("group") == "BUNDLE " + " ".join(line.mid for line in live)
    for line in live:
        assert line.has("rtcp-mux")
        assert line.has("recvonly")
        assert line.value("ice-ufrag") == LOCAL.ufrag
        assert line.value("ice-pwd") == LOCAL.pwd
        assert line.value("fingerprint") == " ".join(LOCAL.fingerprint)
        assert line.value("setup") == ("active" if name == "ffmpeg" else "passive")
    assert tuple(live[0].values("candidate")) == LOCAL.candidates
    assert live[0].has("end-of-candidates")
    assert [line.media for line in session.media] == [
        line.media for line in parse_sdp(offer(name)).media
    ]


@pytest.mark.parametrize("name", [*PUBLISH, *PLAY])
def test_aiortc_reads_our_answer(name):
    agreed = agree_publish(offer(name)) if name in PUBLISH else agree_play(offer(name), TRACKS)
    theirs = AiortcDescription.parse(answer(agreed, LOCAL))
    assert [media.rtp.muxId for media in theirs.media] == [media.mid for media in agreed.media]
    assert theirs.media[0].dtls.fingerprints[0].value == LOCAL.fingerprint[1]


def test_h264_comes_first_and_packetization_mode_1_before_mode_0():
    codecs = part(agree_publish(offer("chromium-publish")), Kind.VIDEO).codecs
    h264 = [
        (codec.fmtp["profile-level-id"], codec.fmtp["packetization-mode"])
        for codec in codecs
        if codec.codec is Codec.H264
    ]
    assert h264 == [
        ("42001f", "1"), ("42e01f", "1"), ("4d001f", "1"),
        ("42001f", "0"), ("42e01f", "0"), ("4d001f", "0"),
    ]  # fmt: skip
    rest = [(codec.codec, codec.payload_type) for codec in codecs[6:]]
    assert rest == [(Codec.VP8, 96), (Codec.VP9, 98), (Codec.VP9, 100), (Codec.AV1, 45)]


def test_what_is_not_agreed_is_known_so_that_it_can_be_dropped():
    agreed = agree_publish(offer("chromium-publish"))
    video, audio = part(agreed, Kind.VIDEO), part(agreed, Kind.AUDIO)
    assert {97, 118, 119, 120} <= video.ignored  # rtx, red, its rtx, ulpfec
    assert {63, 110, 126, 9, 0, 8, 13} == audio.ignored
    assert video.codecs[0].rtx == 103
    answer_types = {int(word) for line in answered(agreed).media for word in line.formats}
    assert not answer_types & (video.ignored | audio.ignored)
    first = video.codecs[0]
    assert video.codec(first.payload_type) is first
    assert video.codec(120) is None


def test_sources_and_extensions_are_agreed():
    video = part(agree_publish(offer("chromium-publish")), Kind.VIDEO)
    assert video.ssrcs == (2834674111,)  # not the one of its retransmissions
    assert video.extensions == {
        ext.ABS_SEND_TIME: 2,
        ext.TRANSPORT_CC: 3,
        ext.MID: 4,
        ext.RID: 10,
        ext.REPAIRED_RID: 11,
    }
    audio = part(agree_publish(offer("chromium-publish")), Kind.AUDIO)
    assert audio.extensions[ext.AUDIO_LEVEL] == 1


def test_simulcast_layers_are_accepted():
    agreed = agree_publish(offer("chromium-simulcast"))
    assert part(agreed, Kind.VIDEO).rids == ("q", "h", "f")
    video = answered(agreed).media[1]
    assert list(video.values("rid")) == ["q recv", "h recv", "f recv"]
    assert video.value("simulcast") == "recv q;h;f"


def test_a_data_channel_is_rejected_and_the_rest_lives():
    agreed = agree_publish(offer("chromium-simulcast"))
    session = answered(agreed)
    data = session.media[2]
    assert (data.media, data.port, data.protocol) == ("application", 0, "UDP/DTLS/SCTP")
    assert data.formats == ["webrtc-datachannel"]
    assert session.value("group") == "BUNDLE 0 1"


def test_a_rejected_m_line_may_have_no_mid():
    text = edited("chromium-simulcast", ("a=mid:2\r\n", ""), ("BUNDLE 0 1 2", "BUNDLE 0 1"))
    assert answered(agree_publish(text)).media[2].attributes == []


def test_a_start_bitrate_is_told_for_video_alone():
    session = answered(agree_publish(offer("chromium-publish")), Policy(start_bitrate=2_500_000))
    audio, video = session.media
    assert all("x-google-start-bitrate=2500" in value for value in video.values("fmtp"))
    assert len(list(video.values("fmtp"))) == len(video.formats)
    assert not any("google" in value for value in audio.values("fmtp"))
    assert "google" not in answer(agree_publish(offer("chromium-publish")), LOCAL)


def test_publishers_are_asked_for_stereo():
    audio = answered(agree_publish(offer("chromium-publish"))).media[0]
    assert list(audio.values("fmtp")) == ["111 minptime=10;useinbandfec=1;stereo=1"]


def test_feedback_is_what_both_ends_know():
    video = part(agree_publish(offer("chromium-publish")), Kind.VIDEO)
    assert video.codecs[0].feedback == {
        "nack", "nack pli", "ccm fir", "transport-cc", "goog-remb",
    }  # fmt: skip
    assert part(agree_publish(offer("obs")), Kind.VIDEO).codecs[0].feedback == {
        "nack", "nack pli", "goog-remb",
    }  # fmt: skip


def test_the_order_of_codecs_is_policy():
    agreed = agree_publish(offer("chromium-publish"), Policy(video=(Codec.AV1, Codec.VP8)))
    codecs = part(agreed, Kind.VIDEO).codecs
    assert [codec.codec for codec in codecs] == [Codec.AV1, Codec.VP8]


def test_sendrecv_from_a_publisher_is_answered_recvonly():
    agreed = agree_publish(edited("chromium-publish", ("a=sendonly", "a=sendrecv")))
    assert all(line.has("recvonly") for line in answered(agreed).media)


def test_an_m_line_that_sends_nothing_is_kept_inactive():
    text = offer("chromium-publish").replace("a=sendonly", "a=recvonly", 1)
    agreed = agree_publish(text)
    assert [media.kind for media in agreed.active] == [Kind.VIDEO]
    assert answered(agreed).media[0].has("inactive")


def test_a_publisher_that_sends_nothing_we_take_is_told_what_we_take():
    with pytest.raises(NotAcceptable, match=r"h264, vp8, vp9, av1, opus") as caught:
        agree_publish(edited("obs", ("H264", "H265"), ("opus", "PCMU")))
    assert caught.value.code is RefusalCode.BAD_REQUEST


def test_one_m_line_without_mid_and_bundle_is_one_transport():
    lines = offer("obs").split("m=video")[0].replace("a=group:BUNDLE 0 1\r\n", "")
    session = answered(agree_publish(lines.replace("a=mid:0\r\n", "")))
    assert session.value("group") is None
    assert not session.media[0].has("mid")


def test_an_m_line_the_peer_rejects_itself_is_left_alone():
    text = offer("chromium-publish").replace("m=video 9", "m=video 0")
    agreed = agree_publish(text)
    assert [media.kind for media in agreed.active] == [Kind.AUDIO]
    assert answered(agreed).media[1].port == 0


def test_ffmpeg_wants_us_to_begin_the_handshake():
    agreed = agree_publish(offer("ffmpeg"))
    assert agreed.remote.setup == "passive"
    assert agree_publish(offer("obs")).remote.setup == "active"


def test_ice_options_and_candidates_are_kept():
    remote = agree_publish(offer("obs")).remote
    assert remote.ice_options == {"ice2", "trickle"}
    assert remote.candidates == ("1 1 UDP 2122317823 192.0.2.2 41922 typ host",)
    assert remote.pwd not in repr(remote)
