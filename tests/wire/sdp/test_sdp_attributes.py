"""wire/sdp/attributes.py, transport.py and fragment.py."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kit.sdp import offer

from livetrio.errors import RemoteProtocolError
from livetrio.wire.sdp import attributes, transport
from livetrio.wire.sdp.fragment import Fragment, build_fragment, parse_fragment
from livetrio.wire.sdp.session import MediaDescription, Section, SessionDescription, parse_sdp

PWD = "p" * 22
SHA1 = ":".join(["AB"] * 20)


def media(*lines: str, formats: str = "96 97") -> MediaDescription:
    """An m-line with these attributes, each as "name:value"."""
    text = "".join(f"a={line}\r\n" for line in lines)
    return parse_sdp(f"v=0\r\nm=video 9 UDP/TLS/RTP/SAVPF {formats}\r\n{text}").media[0]


def session(*lines: str, mids: str = "") -> SessionDescription:
    text = "".join(f"a={line}\r\n" for line in lines)
    text += "".join(f"m=audio 9 X 0\r\na=mid:{mid}\r\n" for mid in mids)
    return parse_sdp(f"v=0\r\n{text}")


NOTHING = Section()


def test_codecs_are_listed_in_the_order_of_the_m_line():
    line = media("rtpmap:97 opus/48000/2", "rtpmap:96 H264/90000", "rtpmap:99 VP8/90000")
    assert list(attributes.rtpmaps(line).items()) == [
        (96, attributes.RtpMap("h264", 90_000, 1)),
        (97, attributes.RtpMap("opus", 48_000, 2)),
    ]


def test_format_parameters_are_read_in_every_spelling():
    line = media("fmtp:96 Profile-ID=0; x ;;y = 1", "fmtp:96 z=a=b", "fmtp:97")
    assert attributes.fmtps(line) == {
        96: {"profile-id": "0", "x": "", "y": "1", "z": "a=b"},
        97: {},
    }
    assert attributes.fmtp_text({"a": "1", "b": ""}) == "a=1;b"


def test_feedback_may_be_meant_for_all_payload_types():
    line = media("rtcp-fb:96 nack  pli", "rtcp-fb:96 nack", "rtcp-fb:* ccm fir", "rtcp-fb")
    assert attributes.feedback(line) == {"96": {"nack pli", "nack"}, "*": {"ccm fir"}, "": {""}}


@pytest.mark.parametrize(
    ("own", "outer", "both"),
    [
        ([], [], (True, True)),
        (["sendonly"], [], (True, False)),
        (["recvonly"], ["sendonly"], (False, True)),
        ([], ["inactive"], (False, False)),
        (["sendrecv"], ["inactive"], (True, True)),
    ],
)
def test_an_m_line_s_direction_is_its_own_or_the_session_s(own, outer, both):
    assert attributes.directions(media(*own), session(*outer)) == both


def test_extension_ids_are_found_with_and_without_a_direction():
    line = media("extmap:2/recvonly urn:b", "extmap:3 urn:c with arguments")
    assert attributes.extmaps(line, session("extmap:1 urn:a")) == {
        1: "urn:a",
        2: "urn:b",
        3: "urn:c",
    }


@pytest.mark.parametrize(
    "value",
    ["0 urn:a", "15 urn:a", "256 urn:a", "4352 urn:a", "1", "", "x urn:a", "1 urn:b", "-1 urn:a"],
)
def test_extension_ids_that_clash_or_cannot_be_are_refused(value):
    with pytest.raises(RemoteProtocolError):
        attributes.extmaps(media("extmap:1 urn:a", f"extmap:{value}"), NOTHING)


def test_ids_that_ask_for_another_are_read():
    assert attributes.extmaps(media("extmap:4096 urn:a"), NOTHING) == {4096: "urn:a"}


@pytest.mark.parametrize(
    ("lines", "rids"),
    [
        ([], ()),
        (["rid:a send"], ()),
        (["simulcast:send a;b", "rid:a send", "rid:b send pt=96;max-width=10"], ("a", "b")),
        (["simulcast:send b,c;~a recv d", "rid:a send", "rid:b send", "rid:d recv"], ("b", "a")),
        (["simulcast:recv a", "rid:a recv"], ()),
        (["simulcast:recv a send b", "rid:a recv", "rid:b send"], ("b",)),
        (["simulcast:send a;b", "rid:a send", "rid:b recv", "rid"], ("a",)),
        (["simulcast:send"], ()),
    ],
)
def test_layers_are_those_both_lines_speak_of(lines, rids):
    assert attributes.send_rids(media(*lines)) == rids


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param([f"simulcast:send {';'.join(f'r{n}' for n in range(1_000))}"], id="layers"),
        pytest.param(["simulcast:send a", *(f"rid:r{n} send" for n in range(1_000))], id="rids"),
        pytest.param(["simulcast:send a;a"], id="a name twice"),
        pytest.param(["simulcast:send a;"], id="an empty name"),
        pytest.param(["simulcast:send a;b/c"], id="a name of other characters"),
        pytest.param([f"simulcast:send {'a' * 256}"], id="a name of 256 characters"),
    ],
)
def test_hostile_layer_lists_are_refused(lines):
    with pytest.raises(RemoteProtocolError):
        attributes.send_rids(media(*lines))


def test_sources_are_told_from_their_repair():
    line = media(
        "ssrc-group:FID 1 2", "ssrc-group:SIM 1 3", "ssrc-group:FEC-FR 3 4", "ssrc-group",
        "ssrc:1 cname:a", "ssrc:1 msid:a b", "ssrc:2 cname:a", "ssrc:4294967295",
    )  # fmt: skip
    assert attributes.ssrcs(line) == (1, 2, 0xFFFF_FFFF)
    assert attributes.repair_ssrcs(line) == {2, 4}


@pytest.mark.parametrize(
    ("reader", "line"),
    [
        (attributes.rtpmaps, "rtpmap:128 x/90000"),
        (attributes.rtpmaps, "rtpmap:96 /90000"),
        (attributes.rtpmaps, "rtpmap:96 x"),
        (attributes.rtpmaps, "rtpmap:96 x/9000000000"),
        (attributes.rtpmaps, "rtpmap:96 x/90000/999"),
        (attributes.rtpmaps, "rtpmap:96 a/1\r\na=rtpmap:96 b/1"),
        (attributes.fmtps, "fmtp:x a=b"),
        (attributes.ssrcs, "ssrc:4294967296 cname:x"),
        (attributes.ssrcs, "ssrc:"),
        (attributes.ssrcs, "\r\na=".join(f"ssrc:{n} x" for n in range(65))),
        (attributes.repair_ssrcs, "ssrc-group:FID 1 x"),
    ],
)
def test_hostile_attributes_are_refused(reader, line):
    with pytest.raises(RemoteProtocolError):
        reader(media(line))


@pytest.mark.parametrize("formats", ["x", "128", "9" * 5_000])
def test_formats_that_are_no_payload_types_are_refused(formats):
    with pytest.raises(RemoteProtocolError):
        attributes.payload_types(media(formats=formats))


def test_a_bundle_is_the_first_group_of_that_name():
    assert transport.bundle(session("group:LS 0 1", "group:BUNDLE 1 0", mids="01")) == ("1", "0")
    assert transport.bundle(session("group:LS 0 1", mids="01")) == ()
    assert transport.bundle(session("group", mids="0")) == ()


@pytest.mark.parametrize(
    ("group", "mids"),
    [("BUNDLE 0 2", "01"), ("BUNDLE 0 0", "01"), ("BUNDLE 0", "00"), ("BUNDLE 0", "/0")],
)
def test_a_bundle_that_does_not_fit_the_m_lines_is_refused(group, mids):
    with pytest.raises(RemoteProtocolError):
        transport.bundle(session(f"group:{group}", mids=mids))


def test_credentials_are_those_of_the_first_section_that_has_any():
    first = media(f"ice-ufrag:abcd\r\na=ice-pwd:{PWD}")
    second = media(f"ice-ufrag:efgh\r\na=ice-pwd:{PWD}")
    assert transport.ice_credentials(NOTHING, first, second) == ("abcd", PWD)
    assert transport.ice_credentials(NOTHING) is None


@pytest.mark.parametrize(
    ("ufrag", "pwd"),
    [("abc", PWD), ("a" * 257, PWD), ("ab c", PWD), ("abcd", "p" * 21), ("abcd", "p" * 257),
     ("abcd", ""), ("", PWD), ("abcd", PWD + ":")],
)  # fmt: skip
def test_credentials_that_are_none_are_refused(ufrag, pwd):
    with pytest.raises(RemoteProtocolError):
        transport.ice_credentials(media(f"ice-ufrag:{ufrag}", f"ice-pwd:{pwd}"))


def test_fingerprints_of_trusted_functions_are_kept():
    line = media(f"fingerprint:SHA-1 {SHA1.lower()}", "fingerprint:md5 AA:BB")
    assert transport.fingerprints(NOTHING, line) == (("sha-1", SHA1),)
    assert transport.fingerprints(NOTHING) == ()


@pytest.mark.parametrize(
    "value",
    ["sha-1", f"sha-1 {SHA1}:AB", "sha-1 " + SHA1.replace("AB", "AG", 1), "sha-1 " + SHA1[:-1],
     "sha-256 " + SHA1, "sha-1 " + SHA1.replace(":", "-")],
)  # fmt: skip
def test_fingerprints_that_are_none_are_refused(value):
    with pytest.raises(RemoteProtocolError):
        transport.fingerprints(media(f"fingerprint:{value}"))


def test_more_fingerprints_than_functions_are_refused():
    with pytest.raises(RemoteProtocolError):
        transport.fingerprints(media(*[f"fingerprint:sha-1 {SHA1}"] * 17))


def test_candidates_of_all_sections_are_listed_up_to_a_limit():
    assert transport.candidates(media("candidate:1 1 udp"), media("candidate:2")) == (
        "1 1 udp",
        "2",
    )
    with pytest.raises(RemoteProtocolError):
        transport.candidates(media(*["candidate:1"] * 129))


def test_a_trickled_fragment_is_read():
    # RFC 9725, figure 5
    text = (
        "a=group:BUNDLE 0 1\r\n"
        "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\n"
        "a=mid:0\r\n"
        "a=ice-ufrag:EsAw\r\n"
        "a=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\r\n"
        "a=candidate:1387637174 1 udp 2122260223 192.0.2.1 61764 typ host generation 0\r\n"
        "a=candidate:3471623853 1 udp 2122194687 198.51.100.2 61765 typ host generation 0\r\n"
        "a=end-of-candidates\r\n"
    )
    assert parse_fragment(text) == Fragment(
        "EsAw",
        "P2uYro0UCOQ4zxjKXaWCBui1",
        (
            "1387637174 1 udp 2122260223 192.0.2.1 61764 typ host generation 0",
            "3471623853 1 udp 2122194687 198.51.100.2 61765 typ host generation 0",
        ),
        ("0",),
        True,
    )


def test_a_fragment_may_say_next_to_nothing():
    assert parse_fragment("") == Fragment("", "", (), (), False)


def test_our_fragment_is_read_again():
    text = build_fragment("abcd", PWD, ["1 1 udp 1 192.0.2.1 8189 typ host"], "audio0")
    assert parse_fragment(text) == Fragment(
        "abcd", PWD, ("1 1 udp 1 192.0.2.1 8189 typ host",), ("audio0",), True
    )


@pytest.mark.parametrize(
    "text",
    ["v=0\r\n", "a=ice-ufrag:abcd\r\n", "hello", "m=audio\r\n", "a=x\r\n" * 5_000,
     "a=candidate:1\r\n" * 200, "a=x:" + "y" * 70_000],
)  # fmt: skip
def test_hostile_fragments_are_refused(text):
    with pytest.raises(RemoteProtocolError):
        parse_fragment(text)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(
                ["rtpmap", "fmtp", "rtcp-fb", "extmap", "rid", "simulcast", "ssrc", "ssrc-group",
                 "ice-ufrag", "ice-pwd", "fingerprint", "candidate", "mid", "group"]
            ),
            st.text("0194ab /;=,~:*\u0669", max_size=12)
            | st.sampled_from(["BUNDLE 0", "send a;b", "a send", "FID 1 2", "sha-1 AB", "96 x/1"]),
        ),
        max_size=6,
    )
)  # fmt: skip
def test_no_attributes_break_the_readers(lines):
    line = MediaDescription(list(lines), "audio", 9, "X", ["96", "97"])
    whole = SessionDescription(list(lines), media=[line])
    for read in (
        attributes.rtpmaps, attributes.fmtps, attributes.feedback, attributes.send_rids,
        attributes.ssrcs, attributes.repair_ssrcs, transport.ice_credentials,
        transport.fingerprints, transport.candidates,
    ):  # fmt: skip
        with contextlib.suppress(RemoteProtocolError):
            read(line)
    with contextlib.suppress(RemoteProtocolError):
        attributes.extmaps(line, whole)
    with contextlib.suppress(RemoteProtocolError):
        transport.bundle(whole)


@given(st.integers(0, 5_800), st.sampled_from(["", " ", "\r\n", "0", ":", "a=", "9" * 30]))
def test_no_damage_to_a_real_offer_breaks_the_readers(at, damage):
    text = offer("chromium-publish")
    with contextlib.suppress(RemoteProtocolError):
        whole = parse_sdp(text[:at] + damage + text[at + 3 :])
        transport.bundle(whole)
        for line in whole.media:
            attributes.rtpmaps(line)
            attributes.extmaps(line, whole)
            transport.ice_credentials(line, whole)
            transport.fingerprints(line, whole)
