"""webrtc/negotiation.py: what viewers are sent, by their offer or by ours."""

from dataclasses import replace

import pytest
from kit.sdp import H264, LOCAL, OPUS, PLAY, answered, edited, offer, part

from livetrio.errors import RemoteProtocolError
from livetrio.packet import Codec, Kind
from livetrio.webrtc.negotiation import (
    NotAcceptable,
    Policy,
    SendTrack,
    agree_answer,
    agree_play,
    offer_play,
)
from livetrio.wire.rtp import extensions as ext
from livetrio.wire.sdp.session import parse_sdp

TRACKS = (H264, OPUS)


@pytest.mark.parametrize("name", PLAY)
def test_every_viewer_gets_both_tracks(name):
    agreed = agree_play(offer(name), TRACKS)
    assert [media.track for media in agreed.active if media.kind is Kind.VIDEO] == [H264]
    assert [media.track for media in agreed.active if media.kind is Kind.AUDIO] == [OPUS]
    assert all(len(media.codecs) == 1 and media.sending for media in agreed.active)
    for line in answered(agreed).media:
        if line.port:
            assert line.has("sendonly")
            track = OPUS if line.media == "audio" else H264
            assert line.value("msid") == track.msid
            assert f"{track.ssrc} cname:{track.cname}" in list(line.values("ssrc"))


@pytest.mark.parametrize(
    ("offered", "stream", "chosen"),
    [
        (["42e01f", "4d001f", "64001f"], "64001f", "64001f"),
        (["42e01f", "4d001f", "640c1f"], "64001f", "640c1f"),
        (["42e01f", "4d001f", "64001f"], "4d401f", "4d001f"),
        (["42e01f", "64001f"], "4d401f", "64001f"),  # High covers Main
        (["42e01f", "4d001f"], "64001f", "4d001f"),  # the largest there is
        (["42e01f"], "640028", "42e01f"),  # decodes it in practice
        (["42001f", "42e01f"], "42c01f", "42e01f"),  # constrained
        (["42001f", "42e01f"], "42001f", "42001f"),
        (["42e00a", "42e01f"], "42e01f", "42e01f"),  # the level, where there is a choice
        (["58001f", "64001f"], "4d001f", "58001f"),  # Extended counts as Main
        (["f4001f", "64001f"], "f4001f", "f4001f"),
        (["nonsense", "4d001f"], "4d001f", "4d001f"),
        (["", "64001f"], "42e01f", ""),  # no profile: Baseline
    ],
)
def test_the_h264_payload_type_that_fits_best_is_chosen(offered, stream, chosen):
    lines = [
        "v=0", "a=fingerprint:sha-1 " + ":".join(["AB"] * 20), "a=ice-ufrag:abcd",
        "a=ice-pwd:" + "p" * 22, "a=setup:actpass",
        "m=video 9 UDP/TLS/RTP/SAVPF " + " ".join(str(96 + n) for n in range(len(offered))),
        "a=recvonly", "a=rtcp-mux",
    ]  # fmt: skip
    for number, profile in enumerate(offered, 96):
        given_profile = f";profile-level-id={profile}" if profile else ""
        lines += [
            f"a=rtpmap:{number} H264/90000",
            f"a=fmtp:{number} packetization-mode=1{given_profile}",
        ]
    track = replace(H264, fmtp={"profile-level-id": stream})
    (media,) = agree_play("\r\n".join(lines), [track]).media
    assert media.codecs[0].fmtp.get("profile-level-id", "") == chosen


def test_a_stream_in_high_4_4_4_is_not_sent_to_who_did_not_ask_for_it():
    track = replace(H264, fmtp={"profile-level-id": "f4001f"})
    with pytest.raises(NotAcceptable, match=r"h264 \(profile-level-id=f4001f\), .*=640c1f\)"):
        agree_play(offer("safari-play"), [track])
    assert agree_play(offer("chromium-play"), [track, OPUS]).media[1].track is track


def test_h264_is_never_sent_in_packetization_mode_0():
    with pytest.raises(NotAcceptable):
        agree_play(edited("pion-play", ("packetization-mode=1", "packetization-mode=0")), TRACKS)


def test_the_refusal_names_what_is_there_and_what_is_offered():
    with pytest.raises(NotAcceptable, match=r"video is h264 .* only take vp8, h265") as caught:
        agree_play(edited("pion-play", ("H264/", "H265/")), TRACKS)
    assert "vp9 (profile-id=0)" in caught.value.reason
    with pytest.raises(NotAcceptable, match=r"the audio is opus, .* only take g722, pcmu"):
        agree_play(edited("pion-play", ("opus/", "ISAC/"), ("a=rtpmap:111 ISAC/48000/2\r\n", "")),
                   [OPUS])  # fmt: skip


@pytest.mark.parametrize(
    ("codec", "fmtp"),
    [
        (Codec.VP8, {}),
        (Codec.VP9, {}),
        (Codec.VP9, {"profile-id": "2"}),
        (Codec.AV1, {"profile": "0"}),
        (Codec.AV1, {"profile": "1"}),
    ],
)
def test_the_other_codecs_are_matched_by_profile(codec, fmtp):
    track = SendTrack(Kind.VIDEO, codec, 1, "c", "s v", fmtp)
    video = part(agree_play(offer("chromium-play"), [track]), Kind.VIDEO)
    assert video.codecs[0].codec is codec
    for key in ("profile-id", "profile"):
        assert video.codecs[0].fmtp.get(key, "0") == fmtp.get(key, "0")


def test_a_profile_nobody_offers_is_refused():
    with pytest.raises(NotAcceptable):
        agree_play(
            offer("pion-play"),
            [SendTrack(Kind.VIDEO, Codec.VP9, 1, "c", "s v", {"profile-id": "1"})],
        )


def test_stereo_is_told_and_mono_is_not():
    text = offer("chromium-play")
    stereo = answered(agree_play(text, TRACKS)).media[0]
    mono = answered(agree_play(text, [H264, replace(OPUS, channels=1)])).media[0]
    assert stereo.value("fmtp") == "111 minptime=10;useinbandfec=1;stereo=1;sprop-stereo=1"
    assert mono.value("fmtp") == "111 minptime=10;useinbandfec=1"


def test_sendrecv_from_a_viewer_is_answered_sendonly():
    agreed = agree_play(edited("chromium-play", ("a=recvonly", "a=sendrecv")), TRACKS)
    assert all(line.has("sendonly") for line in answered(agreed).media)


def test_a_stream_without_sound_leaves_the_audio_m_line_inactive():
    agreed = agree_play(offer("chromium-play"), [H264])
    assert [media.track for media in agreed.active] == [H264]
    audio = answered(agreed).media[0]
    assert (audio.port, audio.has("inactive"), audio.has("ssrc")) == (9, True, False)


def test_tracks_fill_the_m_lines_of_their_kind_in_order():
    whole = offer("chromium-play")
    video = whole[whole.index("m=video") :]
    more = [video.replace("a=mid:1", f"a=mid:{mid}") for mid in (2, 3)]
    text = (whole + "".join(more)).replace("BUNDLE 0 1", "BUNDLE 0 1 2 3")
    second = replace(H264, ssrc=0x3333, msid="other video")
    agreed = agree_play(text, [H264, second, OPUS])
    assert [media.track for media in agreed.media] == [OPUS, H264, second, None]
    assert [line.has("inactive") for line in answered(agreed).media] == [False, False, False, True]


def test_an_offer_that_only_sends_is_refused_to_a_viewer():
    with pytest.raises(NotAcceptable, match=r"none of video \(h264\), audio \(opus\)"):
        agree_play(edited("chromium-play", ("a=recvonly", "a=sendonly")), TRACKS)
    with pytest.raises(NotAcceptable, match=r"none of \(\)"):
        agree_play(offer("chromium-play"), [])


def test_extensions_of_a_viewer_are_those_we_can_send():
    video = part(agree_play(offer("safari-play"), TRACKS), Kind.VIDEO)
    assert video.extensions == {ext.ABS_SEND_TIME: 2, ext.TRANSPORT_CC: 4, ext.MID: 9}
    policy = Policy(send_extensions=frozenset({ext.MID}))
    video = part(agree_play(offer("safari-play"), TRACKS, policy), Kind.VIDEO)
    assert video.extensions == {ext.MID: 9}


@pytest.mark.parametrize("name", ["chromium-answer", "aiortc-answer"])
def test_answers_to_our_own_offer_are_understood(name):
    text = offer_play(LOCAL, TRACKS)
    agreed = agree_answer(text, offer(name), TRACKS)
    assert [media.track for media in agreed.active] == [H264, OPUS]
    assert [media.codecs[0].payload_type for media in agreed.active] == [97, 98]
    assert agreed.active[0].extensions[ext.MID] == 3
    assert agreed.remote.setup == "active"


def test_our_offer_says_what_an_answer_can_be_made_of():
    session = parse_sdp(offer_play(LOCAL, TRACKS))
    video, audio = session.media
    assert session.value("group") == "BUNDLE 0 1"
    assert [value.partition(" ")[2] for value in video.values("fmtp")] == [
        "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=64001f",
        "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f",
    ]
    assert list(audio.values("rtpmap")) == ["98 opus/48000/2"]
    assert tuple(video.values("candidate")) == LOCAL.candidates
    assert video.value("setup") == audio.value("setup") == "actpass"


def test_vp9_is_offered_with_its_profile():
    track = SendTrack(Kind.VIDEO, Codec.VP9, 1, "c", "s v", {"profile-id": "2"})
    video, audio = parse_sdp(offer_play(LOCAL, [track, replace(OPUS, channels=1)])).media
    assert list(video.values("rtpmap")) == ["96 VP9/90000"]
    assert video.value("fmtp") == "96 profile-id=2"
    assert audio.value("fmtp") == "97 minptime=10;useinbandfec=1"


def reply(*edits: tuple[str, str]) -> str:
    return edited("chromium-answer", *edits)


def test_a_viewer_may_take_one_track_alone():
    text = offer("chromium-answer").replace("m=audio 9", "m=audio 0")
    agreed = agree_answer(offer_play(LOCAL, TRACKS), text, TRACKS)
    assert [media.track for media in agreed.active] == [H264]


@pytest.mark.parametrize(
    ("text", "error"),
    [
        pytest.param(reply(("m=audio", "m=video")), RemoteProtocolError, id="other m-lines"),
        pytest.param(reply(("a=mid:0", "a=mid:5"), ("BUNDLE 0", "BUNDLE 5")), RemoteProtocolError,
                     id="another mid"),
        pytest.param(reply(("a=recvonly", "a=inactive")), NotAcceptable, id="nothing taken"),
        pytest.param(reply(("setup:active", "setup:actpass")), NotAcceptable, id="no role taken"),
        pytest.param(reply((" 97", " 101"), (":97", ":101")), NotAcceptable, id="other formats"),
    ],
)  # fmt: skip
def test_answers_that_do_not_fit_our_offer_are_refused(text, error):
    with pytest.raises(error):
        agree_answer(offer_play(LOCAL, TRACKS), text, TRACKS)


def test_an_answer_s_extensions_count_where_they_are_ours():
    text = reply(("a=extmap:1 http", "a=extmap:9 http"))
    agreed = agree_answer(offer_play(LOCAL, TRACKS), text, TRACKS)
    assert agreed.media[0].extensions == {ext.ABS_SEND_TIME: 2, ext.MID: 3}
