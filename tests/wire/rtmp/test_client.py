"""wire/rtmp/client.py, against our own server and against hostile ones."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kit.rtmp import Pair, command, noise

from livetrio.errors import LocalProtocolError, RefusalCode, RemoteProtocolError
from livetrio.wire import amf0
from livetrio.wire.amf import EcmaArray
from livetrio.wire.rtmp.chunk_writer import encode_message
from livetrio.wire.rtmp.chunks import ChunkReader
from livetrio.wire.rtmp.client import ClientSession
from livetrio.wire.rtmp.commands import Command, read_command, status
from livetrio.wire.rtmp.events import (
    CloseReason,
    ConnectRequested,
    Disconnected,
    Ended,
    Event,
    MediaReceived,
    PlayRequested,
    PublishRequested,
    Ready,
    Rejected,
    StreamClosed,
)
from livetrio.wire.rtmp.handshake import ServerHandshake
from livetrio.wire.rtmp.media import encode_media
from livetrio.wire.rtmp.messages import u32, user_control
from livetrio.wire.rtmp.url import RtmpUrl

METADATA = amf0.encode("onMetaData", EcmaArray(width=640.0))


class RawServer:
    """Speaks to a client session in messages, and hears what it says."""

    def __init__(self, *, publish: bool, url: str = "rtmp://h/live/x?k=v", **options) -> None:
        self.session = ClientSession(RtmpUrl.parse(url), publish=publish, random=noise, **options)
        self._reader = ChunkReader()
        handshake = ServerHandshake(noise)
        assert self.session.feed(handshake.feed(self.session.take())) == []
        handshake.feed(self.session.take())
        assert handshake.done
        self._glued = handshake.rest

    def heard(self) -> list[Command]:
        """The commands the client has sent since."""
        data, self._glued = self._glued + self.session.take(), b""
        return [
            read_command(m.type_id, m.stream_id, m.body)
            for m in self._reader.feed(data)
            if m.type_id == 20
        ]

    def say(self, name: str, transaction: float, *values, stream_id: int = 0) -> list[Event]:
        return self.session.feed(command(name, transaction, *values, stream_id=stream_id))

    def status(self, code: str, level: str = "status", **more) -> list[Event]:
        return self.say("onStatus", 0, None, status(level, code, "words", **more), stream_id=1)

    def send(self, type_id: int, body: bytes, *, stream_id: int = 1) -> list[Event]:
        return self.session.feed(encode_message(type_id, 40, stream_id, 6, body, 128))

    def begin(self):
        """Let it connect and create a stream."""
        self.say("_result", 1, {}, status("status", "NetConnection.Connect.Success", ""))
        self.say("_result", 4, None, 1)
        self.heard()
        return self

    def run(self):
        """Let it publish or play."""
        self.begin()
        assert self.status("NetStream.Publish.Start") == [Ready(1)]
        return self


def test_publishing_goes_through_every_step():
    server = RawServer(publish=True)
    (connect,) = server.heard()
    assert (connect.name, connect.transaction) == ("connect", 1)
    assert connect.object["app"] == "live"
    assert connect.object["tcUrl"] == "rtmp://h/live"
    assert connect.object["type"] == "nonprivate"
    assert "hvc1" in connect.object["fourCcList"]
    assert int(connect.object["capsEx"]) & 2
    assert server.say("_result", 1, {}, {}) == []
    assert [(c.name, c.argument(0)) for c in server.heard()] == [
        ("releaseStream", "x?k=v"),
        ("FCPublish", "x?k=v"),
        ("createStream", None),
    ]
    assert server.say("_result", 4, None, 1) == []
    (publish,) = server.heard()
    assert (publish.name, publish.stream_id) == ("publish", 1)
    assert publish.arguments == ["x?k=v", "live"]
    assert server.status("NetStream.Publish.Start") == [Ready(1)]
    assert server.status("NetStream.Publish.Start") == []


def test_playing_goes_through_every_step():
    server = RawServer(publish=False)
    (connect,) = server.heard()
    assert connect.object["videoFunction"] == 1
    server.say("_result", 1, {}, {})
    assert [c.name for c in server.heard()] == ["createStream"]
    server.say("_result", 4, None, 1)
    (play,) = server.heard()
    assert (play.name, play.stream_id, play.arguments) == ("play", 1, ["x?k=v", -2])
    assert server.status("NetStream.Play.Reset") == []
    assert server.status("NetStream.Play.Start") == [Ready(1)]
    assert server.send(9, b"v") == [MediaReceived(1, 9, 40, b"v")]
    assert server.send(18, METADATA) == [MediaReceived(1, 18, 40, METADATA)]
    assert server.send(15, b"\0" + METADATA) == [MediaReceived(1, 18, 40, METADATA)]


def test_media_says_that_playing_has_begun_where_the_server_does_not():
    server = RawServer(publish=False).begin()
    assert server.send(18, METADATA) == []
    assert server.send(8, b"a") == [Ready(1), MediaReceived(1, 8, 40, b"a")]


@pytest.mark.parametrize("name", ["|RtmpSampleAccess", "onStatus", "onPlayStatus"])
def test_the_servers_words_to_its_player_are_no_part_of_the_stream(name):
    assert RawServer(publish=False).run().send(18, amf0.encode(name, {})) == []


def test_an_aggregate_from_the_server_is_taken_apart():
    server = RawServer(publish=False).run()
    tag = bytes.fromhex("08 000001 0003e8 00 000000 61 0000000c")
    assert server.send(22, tag) == [MediaReceived(1, 8, 40, b"a")]


@pytest.mark.parametrize("stream_id", [0, 2])
def test_media_of_another_stream_is_ignored(stream_id):
    server = RawServer(publish=False).run()
    assert server.send(9, b"v", stream_id=stream_id) == []


def test_a_publisher_ignores_media():
    assert RawServer(publish=True).run().send(9, b"v") == []


def test_media_before_the_stream_is_ignored():
    assert RawServer(publish=False).send(9, b"v", stream_id=0) == []


# -- ends and refusals -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "code",
    [
        "NetStream.Play.Stop",
        "NetStream.Play.Complete",
        "NetStream.Play.UnpublishNotify",
        "NetStream.Unpublish.Success",
        "NetConnection.Connect.Closed",
    ],
)
def test_the_servers_end_is_told_once(code):
    server = RawServer(publish=False).run()
    assert server.status(code) == [Ended(code)]
    assert server.status(code) == []
    assert server.send(4, user_control(1, 1), stream_id=0) == []
    assert server.send(9, b"late") == []
    assert server.status("NetStream.Failed", "error") == []


def test_an_end_of_stream_event_is_an_end_if_it_is_of_our_stream():
    server = RawServer(publish=False).run()
    assert server.send(4, user_control(0, 1), stream_id=0) == []
    assert server.send(4, user_control(1, 2), stream_id=0) == []
    assert server.send(4, user_control(1, 1), stream_id=0) == [Ended("end of stream")]


def test_close_is_an_end():
    assert RawServer(publish=True).run().say("close", 0, None) == [Ended("close")]


def test_an_end_before_the_stream_is_none():
    server = RawServer(publish=True)
    assert server.say("close", 0, None) == []
    assert server.say("_result", 1, {}, {}) == []


@pytest.mark.parametrize("steps", [0, 1])
def test_an_error_to_connect_or_create_stream_is_a_rejection(steps):
    server = RawServer(publish=True)
    if steps:
        server.say("_result", 1, {}, {})
    transaction = (1, 4)[steps]
    assert server.say("_error", 99, None, {}) == []
    assert server.say("_error", transaction, None, status("error", "A.B", "c")) == [
        Rejected("A.B", "c")
    ]
    assert server.say("_result", transaction, {}, {}) == []
    assert server.say("_error", transaction, None, {}) == []


@pytest.mark.parametrize("information", [None, "text", 1.0, [], {}, {"code": 1, "description": {}}])
def test_a_rejection_without_a_sensible_reason_is_one(information):
    assert RawServer(publish=True).say("_error", 1, None, information) == [Rejected("", "")]


def test_errors_to_what_is_not_waited_for_are_ignored():
    server = RawServer(publish=True)
    server.say("_result", 1, {}, {})
    assert server.say("_error", 2, None, status("error", "NetConnection.Call.Failed", "x")) == []
    assert server.say("_error", 3, None, status("error", "NetConnection.Call.Failed", "x")) == []
    server.say("_result", 4, None, 1)
    assert server.say("_error", 4, None, {}) == []
    assert server.status("NetStream.Publish.Start") == [Ready(1)]


def test_a_status_of_level_error_is_a_rejection():
    server = RawServer(publish=True).begin()
    assert server.status("NetStream.Publish.BadName", "error") == [
        Rejected("NetStream.Publish.BadName", "words")
    ]
    server.session.send_media(9, 0, b"x")
    server.session.finish()
    assert server.session.take() == b""


def test_words_of_a_server_are_cut():
    (event,) = RawServer(publish=True).say(
        "_error", 1, None, status("error", "c" * 9000, "d" * 9000)
    )
    assert isinstance(event, Rejected)
    assert (len(event.code), len(event.description)) == (128, 1024)


@pytest.mark.parametrize("shaken", [True, False])
def test_the_end_of_the_connection_is_told_once(shaken):
    if shaken:
        session = RawServer(publish=True).run().session
    else:
        session = ClientSession(RtmpUrl.parse("rtmp://h/a/b"), publish=True)
    assert session.feed(b"") == [Disconnected("" if shaken else "in the handshake")]
    assert session.feed(b"") == []
    assert session.feed(b"x") == []
    session.take()
    session.send_media(9, 0, b"x")
    session.finish()
    assert session.take() == b""


# -- publishing ------------------------------------------------------------------------------------


def test_media_goes_out_as_shared_bytes_do_and_metadata_gets_its_command():
    server = RawServer(publish=True).run()
    server.session.send_media(18, 0, METADATA)
    server.session.send_media(18, 5, amf0.encode("onTextData", {}))
    server.session.send_media(9, 40, noise(100_000))
    assert server.session.take() == (
        encode_media(18, 0, amf0.encode("@setDataFrame") + METADATA)
        + encode_media(18, 5, amf0.encode("onTextData", {}))
        + encode_media(9, 40, noise(100_000))
    )


def test_media_before_the_server_agrees_is_our_own_error():
    server = RawServer(publish=True).begin()
    with pytest.raises(LocalProtocolError, match="publish or play was sent"):
        server.session.send_media(9, 0, b"x")


def test_a_player_sends_no_media():
    server = RawServer(publish=False).run()
    with pytest.raises(LocalProtocolError, match="media sent while"):
        server.session.send_media(9, 0, b"x")


@pytest.mark.parametrize("publish", [True, False])
def test_finishing_says_goodbye_once(publish):
    server = RawServer(publish=publish).run()
    server.session.finish()
    server.session.finish()
    goodbye = [("FCUnpublish", ["x?k=v"])] if publish else []
    assert [(c.name, c.arguments) for c in server.heard()] == [*goodbye, ("deleteStream", [1.0])]


def test_finishing_before_the_stream_says_nothing():
    server = RawServer(publish=True).begin()
    server.session.finish()
    assert server.heard() == []


# -- hostile servers -------------------------------------------------------------------------------


@pytest.mark.parametrize("stream_id", [None, "1", math.nan, math.inf, 0, -1, 2**31, 1e308, {}])
def test_a_senseless_stream_id_is_an_error(stream_id):
    server = RawServer(publish=True)
    server.say("_result", 1, {}, {})
    with pytest.raises(RemoteProtocolError, match="createStream answered with"):
        server.say("_result", 4, None, stream_id)
    assert server.say("_result", 4, None, 1) == []


@pytest.mark.parametrize("information", [None, 1.0, "x", [], {}, {"code": 1}, {"level": None}])
def test_an_endless_stream_of_statuses_is_ignored(information):
    server = RawServer(publish=True).begin()
    assert server.session.feed(command("onStatus", 0, None, information, stream_id=1) * 500) == []
    assert server.session.take() == b""


def test_unknown_commands_and_messages_are_ignored():
    server = RawServer(publish=False).run()
    assert server.say("onBWDone", 0, None) == []
    assert server.send(99, b"x") == []


def test_pings_and_windows_are_answered():
    server = RawServer(publish=False).run()
    server.session.take()
    server.send(4, user_control(6, 77), stream_id=0)
    server.send(5, u32(1), stream_id=0)
    messages = list(ChunkReader().feed(server.session.take()))
    assert messages[0].body == user_control(7, 77)
    assert messages[1].type_id == 3


def test_giant_messages_are_an_error():
    server = RawServer(publish=False, max_message=1000)
    with pytest.raises(RemoteProtocolError, match="message of 1001 bytes"):
        server.send(9, bytes(1001))


def test_amf3_bombs_are_an_error():
    server = RawServer(publish=False).run()
    with pytest.raises(RemoteProtocolError, match="nested deeper"):
        server.send(17, b"\0\x02\0\1x\0" + bytes(8) + b"\x11" + b"\x09\x03\x01" * 9000)


@given(
    st.lists(st.tuples(st.integers(0, 255), st.integers(0, 2), st.binary(max_size=60)), max_size=6)
)
def test_random_messages_raise_only_the_remote_protocol_error(messages):
    server = RawServer(publish=False).run()
    try:
        for type_id, stream_id, body in messages:
            server.send(type_id, body, stream_id=stream_id)
    except RemoteProtocolError:
        return


@given(st.binary(max_size=60))
def test_garbage_raises_only_the_remote_protocol_error(data):
    session = ClientSession(RtmpUrl.parse("rtmp://h/a/b"), publish=True, random=noise)
    try:
        session.feed(b"\x03" + data + bytes(3072))
        session.feed(data)
    except RemoteProtocolError:
        return


# -- with our own server -------------------------------------------------------------------------


@pytest.mark.parametrize("cut", [0, 1])
def test_playing_from_our_own_server(cut):
    pair = Pair("rtmp://h/live/x", publish=False, cut=cut)
    pair.run()
    assert [type(event) for event in pair.at_server] == [ConnectRequested, PlayRequested]
    assert pair.at_server[0].multitrack
    assert pair.at_client == [Ready(1)]
    assert pair.client.feed(encode_media(9, 40, noise(70_000))) == [
        MediaReceived(1, 9, 40, noise(70_000))
    ]
    pair.server.end_play(1, "over")
    pair.run()
    assert pair.at_client[1:] == [Ended("NetStream.Play.UnpublishNotify")]


def test_our_own_servers_refusal_arrives():
    pair = Pair("rtmp://h/live/x", publish=True)
    pair.server.accept = lambda request: pair.server.reject(  # type: ignore[method-assign]
        request, RefusalCode.FORBIDDEN, "unknown stream key"
    )
    pair.run()
    assert pair.at_client == [Rejected("NetStream.Publish.Denied", "unknown stream key")]


def test_an_unusable_name_is_refused_by_our_own_server():
    pair = Pair("rtmp://h/live/%2e%2e", publish=True)
    pair.run()
    (event,) = pair.at_client
    assert isinstance(event, Rejected)
    assert event.code == "NetStream.Publish.BadName"


def test_finishing_is_understood_by_our_own_server():
    pair = Pair("rtmp://h/live/x")
    pair.run()
    pair.client.finish()
    pair.run()
    assert isinstance(pair.at_server[1], PublishRequested)
    assert pair.at_server[2:] == [StreamClosed(1, CloseReason.UNPUBLISH)]
    assert pair.server.feed(b"") == [Disconnected("")]
    assert pair.client.received > 0


@pytest.mark.parametrize(
    ("properties", "information", "expected"),
    [
        ({"capsEx": 6}, {}, True),
        ({}, {"capsEx": 2.0}, True),
        ({"capsEx": 4}, {"capsEx": math.nan}, False),
        (None, "no object", False),
        ({"capsEx": "2"}, {}, False),
    ],
)
def test_a_server_that_takes_several_tracks_is_known_by_its_capabilities(
    properties, information, expected
):
    server = RawServer(publish=True)
    assert not server.session.multitrack
    server.say("_result", 1, properties, information)
    assert server.session.multitrack is expected
