"""wire/sdp/session.py."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kit.sdp import PLAY, PUBLISH, offer

from livetrio.errors import RemoteProtocolError
from livetrio.wire.sdp.session import (
    MAX_LINES,
    MAX_MEDIA,
    MAX_SIZE,
    MediaDescription,
    SessionDescription,
    parse_sdp,
)

HEAD = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n"


def test_attributes_belong_to_the_session_until_an_m_line_comes():
    session = parse_sdp(
        HEAD + "a=ice-lite\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111 8\r\n"
        "c=IN IP4 0.0.0.0\r\na=mid:0\r\na=rtcp-mux\r\na=ssrc:1 a\r\na=ssrc:2 b\r\n"
    )
    (media,) = session.media
    assert session.attributes == [("ice-lite", "")]
    assert (media.media, media.port, media.protocol) == ("audio", 9, "UDP/TLS/RTP/SAVPF")
    assert (media.formats, media.mid) == (["111", "8"], "0")
    assert media.has("rtcp-mux")
    assert not media.has("ice-lite")
    assert list(media.values("ssrc")) == ["1 a", "2 b"]
    assert (media.value("ssrc"), media.value("x")) == ("1 a", None)


def test_line_feeds_alone_end_lines_and_empty_lines_are_nothing():
    assert parse_sdp("v=0\n\na=x:1\n\n").attributes == [("x", "1")]


def test_values_may_have_colons_and_spaces_in_them():
    assert parse_sdp("v=0\na=fingerprint:sha-256  AA:BB \n").attributes == [
        ("fingerprint", "sha-256  AA:BB")
    ]


def test_the_origin_is_the_first_one_s_alone():
    session = parse_sdp(HEAD + "m=audio 9 X 0\r\no=evil\r\n")
    assert session.origin == "- 1 1 IN IP4 0.0.0.0"


def test_what_was_read_is_written_again():
    session = SessionDescription(origin="- 1 2 IN IP4 0.0.0.0")
    session.add("group", "BUNDLE 0")
    session.media.append(MediaDescription([("mid", "0"), ("rtcp-mux", "")], "audio", 9, "X", ["8"]))
    text = session.build()
    assert text.endswith("m=audio 9 X 8\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\na=rtcp-mux\r\n")
    assert parse_sdp(text) == session


@pytest.mark.parametrize("name", [*PUBLISH, *PLAY])
def test_real_offers_survive_being_written_again(name):
    session = parse_sdp(offer(name))
    assert parse_sdp(session.build()) == session


def test_an_m_line_without_a_mid_has_an_empty_one():
    assert MediaDescription().mid == ""


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="nothing"),
        pytest.param("\r\n", id="an empty line"),
        pytest.param("hello", id="no description"),
        pytest.param("v=1\r\n", id="version 1"),
        pytest.param("a=x\r\nv=0\r\n", id="version not first"),
        pytest.param(HEAD.replace("\r\n", "\r"), id="CR only"),
        pytest.param(HEAD + "v=0\r\n", id="two descriptions"),
        pytest.param(HEAD + "x=1\r\n", id="an unknown type"),
        pytest.param(HEAD + "ab\r\n", id="no type"),
        pytest.param(HEAD + "a\r\n", id="a letter"),
        pytest.param(HEAD + "a=a b:c\r\n", id="an attribute name with a space"),
        pytest.param(HEAD + "a=:c\r\n", id="an attribute without a name"),
        pytest.param(HEAD + "a=x:\0\r\n", id="NUL"),
        pytest.param(HEAD + "a=x:\rm=audio 9 X 0\r\n", id="a CR within a line"),
        pytest.param(HEAD + "a=x:\u2028m=audio 9 X 0\r\n", id="a line separator"),
        pytest.param(HEAD + "m=audio 9 X\r\n", id="an m-line without formats"),
        pytest.param(HEAD + "m=au/dio 9 X 0\r\n", id="an m-line of no token"),
        pytest.param(HEAD + "m=audio 9/2 X 0\r\n", id="two ports"),
        pytest.param(HEAD + "m=audio -1 X 0\r\n", id="a negative port"),
        pytest.param(HEAD + "m=audio 65536 X 0\r\n", id="port 65536"),
        pytest.param(HEAD + f"m=audio {'9' * 5_000} X 0\r\n", id="a port of 5000 digits"),
        pytest.param(HEAD + "m=audio \u0669 X 0\r\n", id="a port of Arabic digits"),
        pytest.param(HEAD + "m=audio 9 X 8 8\r\n", id="a format twice"),
        pytest.param(HEAD + f"m=audio 9 X {' '.join(map(str, range(129)))}\r\n", id="129 formats"),
        pytest.param(HEAD + "m=audio 9 X 0\r\n" * 1_000, id="1000 m-lines"),
        pytest.param(HEAD + "m=audio 9 X 0\r\n" * (MAX_MEDIA + 1), id="one m-line too many"),
        pytest.param(HEAD + "a=x\r\n" * 250_000, id="250,000 lines"),
        pytest.param(HEAD + "\n" * (MAX_LINES + 1), id="empty lines"),
        pytest.param(HEAD + "a=x:" + "y" * 10_000_000, id="10 MB"),
        pytest.param(HEAD + "a=x:" + "y" * MAX_SIZE, id="a little over the limit"),
    ],
)
def test_hostile_descriptions_are_refused(text):
    with pytest.raises(RemoteProtocolError, match=r"^SDP: ") as caught:
        parse_sdp(text)
    assert len(str(caught.value)) < 100


@given(
    st.text(max_size=60)
    | st.lists(
        st.tuples(st.sampled_from("vosmact"), st.text("=:/ 0a\r\u0669\0", max_size=12)),
        max_size=8,
    ).map(lambda lines: "v=0\n" + "\n".join(f"{kind}={value}" for kind, value in lines))
)
def test_no_text_breaks_the_reader(text):
    with contextlib.suppress(RemoteProtocolError):
        session = parse_sdp(text)
        assert parse_sdp(session.build()) == session
