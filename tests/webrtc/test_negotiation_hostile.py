"""webrtc/negotiation.py against offers that make no sense (hostile input, group 40)."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kit.sdp import H264, LOCAL, OPUS, edited, offer, part

from livetrio.errors import RemoteProtocolError
from livetrio.packet import Kind
from livetrio.webrtc.negotiation import (
    NotAcceptable,
    agree_answer,
    agree_play,
    agree_publish,
    answer,
    offer_play,
)
from livetrio.wire.rtp import extensions as ext
from livetrio.wire.sdp.session import parse_sdp

TRACKS = (H264, OPUS)


@pytest.mark.parametrize(
    ("edits", "error"),
    [
        pytest.param([("a=ice-ufrag:aadp\r\n", "")], RemoteProtocolError, id="no ice-ufrag"),
        pytest.param([("a=fingerprint", "a=x-print")], RemoteProtocolError, id="no fingerprint"),
        pytest.param([("sha-256 ", "md5 ")], RemoteProtocolError, id="md5 alone"),
        pytest.param([("a=mid:1", "a=mid:0")], RemoteProtocolError, id="a mid twice"),
        pytest.param([("BUNDLE 0 1", "BUNDLE 0 7")], RemoteProtocolError, id="an unknown mid"),
        pytest.param([("BUNDLE 0 1", "BUNDLE 0")], NotAcceptable, id="half a BUNDLE"),
        pytest.param([("a=group:BUNDLE 0 1\r\n", "")], NotAcceptable, id="no BUNDLE"),
        pytest.param([("a=rtcp-mux\r\n", "")], NotAcceptable, id="no rtcp-mux"),
        pytest.param([("setup:actpass", "setup:holdconn")], NotAcceptable, id="holdconn"),
        pytest.param([("a=setup:actpass\r\n", "")], NotAcceptable, id="no setup"),
        pytest.param([("t=0 0\r\n", "t=0 0\r\na=ice-lite\r\n")], NotAcceptable, id="ICE-lite"),
        pytest.param([("extmap:4 ", "extmap:0 ")], RemoteProtocolError, id="extmap id 0"),
        pytest.param([("extmap:4 ", "extmap:15 ")], RemoteProtocolError, id="extmap id 15"),
        pytest.param([("extmap:13 ", "extmap:2 ")], RemoteProtocolError, id="a clash of ids"),
        pytest.param([("extmap:13 ", "extmap:1 ")], RemoteProtocolError, id="a clash over m-lines"),
        pytest.param([("/90000", "-X/90000"), ("opus/", "X/")], NotAcceptable,
                     id="unknown codecs"),
        pytest.param([("opus/48000", "opus/16000"), ("/90000", "/80000")], NotAcceptable,
                     id="codecs at other clock rates"),
        pytest.param([("UDP/TLS/RTP/SAVPF", "RTP/AVP")], NotAcceptable, id="plain RTP"),
        pytest.param([(":111 ", ":96 "), ("SAVPF 111", "SAVPF 96")], RemoteProtocolError,
                     id="a payload type with two meanings"),
        pytest.param([("\r\n", "\r")], RemoteProtocolError, id="CR only"),
        pytest.param([("a=sendonly", "a=inactive")], NotAcceptable, id="inactive"),
        pytest.param([("m=audio", "m=text"), ("m=video", "m=image")], NotAcceptable,
                     id="no audio or video"),
    ],
)  # fmt: skip
def test_hostile_offers_are_refused(edits, error):
    text = edited("chromium-publish", *edits)
    with pytest.raises(error):
        agree_publish(text)


def test_an_offer_without_m_lines_is_refused():
    with pytest.raises(RemoteProtocolError):
        agree_publish(offer("chromium-publish").partition("m=")[0])


def test_audio_codecs_in_a_video_m_line_are_none():
    with pytest.raises(NotAcceptable):
        agree_publish(edited("obs", ("H264/90000", "opus/48000/2"), ("111 opus", "111 H264")))


def test_extension_ids_of_the_two_byte_form_are_not_agreed():
    video = part(
        agree_publish(edited("chromium-publish", ("extmap:10 ", "extmap:200 "))), Kind.VIDEO
    )
    assert ext.RID not in video.extensions


@given(st.integers(0, 6_000), st.sampled_from(["", " ", "\r\n", "0", "a=", "m=audio 9 X 0\r\n"]))
def test_no_damage_to_an_offer_raises_anything_else(at, damage):
    for name, agree in (
        ("chromium-simulcast", agree_publish),
        ("chromium-play", lambda text: agree_play(text, TRACKS)),
        ("chromium-answer", lambda text: agree_answer(offer_play(LOCAL, TRACKS), text, TRACKS)),
    ):
        text = offer(name)
        place = at % len(text)
        with contextlib.suppress(RemoteProtocolError, NotAcceptable):
            parse_sdp(answer(agree(text[:place] + damage + text[place + 2 :]), LOCAL))
