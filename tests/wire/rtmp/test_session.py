"""wire/rtmp/session.py: bytes, errors, goodbyes; connect and streams have their own modules."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kit.rtmp import HANDSHAKE, Pair, RawClient, command, connect_command, noise

from livetrio.errors import RefusalCode, RemoteProtocolError
from livetrio.wire import amf0
from livetrio.wire.rtmp.chunk_writer import encode_message
from livetrio.wire.rtmp.chunks import ChunkReader
from livetrio.wire.rtmp.events import (
    ConnectRequested,
    Event,
    MediaReceived,
    PingAnswered,
    PlayRequested,
    PublishRequested,
)
from livetrio.wire.rtmp.media import encode_media
from livetrio.wire.rtmp.messages import user_control
from livetrio.wire.rtmp.replies import play_goodbye
from livetrio.wire.rtmp.session import ServerSession

CONVERSATION = (
    HANDSHAKE
    + connect_command()
    + command("releaseStream", 2, None, "x")
    + command("FCPublish", 3, None, "x")
    + command("createStream", 4, None)
    + command("publish", 5, None, "x?token=t", "live", stream_id=1)
    + encode_message(18, 0, 1, 5, amf0.encode("@setDataFrame", "onMetaData", {}), 128)
    + encode_message(9, 0, 1, 6, noise(300), 128)
    + encode_message(8, 10, 1, 4, noise(20), 128)
    + encode_message(4, 0, 0, 2, user_control(7, 99), 128)
    + command("nonsense", 0, None)
    + command("FCUnpublish", 6, None, "x?token=t")
    + command("deleteStream", 7, None, 1)
)


def conversed(pieces: list[bytes]) -> list[str]:
    """What a session makes of the pieces; yes to everything."""
    session = ServerSession(random=noise)
    events: list[Event] = []
    for piece in pieces:
        for event in session.feed(piece):
            events.append(event)
            match event:
                case ConnectRequested():
                    session.accept_connect()
                case PublishRequested():
                    session.accept(event)
        session.take()
    events += session.feed(b"")
    return [repr(event) for event in events]


def test_a_publishers_conversation_is_these_events():
    assert [event.partition("(")[0] for event in conversed([CONVERSATION])] == [
        "ConnectRequested",
        "PublishRequested",
        "MediaReceived",
        "MediaReceived",
        "MediaReceived",
        "PingAnswered",
        "UnknownCommand",
        "StreamClosed",
        "Disconnected",
    ]


def test_byte_by_byte_and_whole_give_the_same_events():
    single = [CONVERSATION[i : i + 1] for i in range(len(CONVERSATION))]
    assert conversed(single) == conversed([CONVERSATION])


@given(st.lists(st.integers(1, len(CONVERSATION) - 1), unique=True, max_size=12).map(sorted))
def test_any_split_gives_the_same_events(cuts):
    edges = [0, *cuts, len(CONVERSATION)]
    pieces = [CONVERSATION[a:b] for a, b in itertools.pairwise(edges)]
    assert conversed(pieces) == conversed([CONVERSATION])


@given(st.integers(0, len(CONVERSATION) - 1), st.binary(min_size=1, max_size=40))
def test_damaged_conversations_raise_only_the_remote_protocol_error(at, damage):
    data = CONVERSATION[:at] + damage + CONVERSATION[at + len(damage) :]
    try:
        conversed([data[i : i + 100] for i in range(0, len(data), 100)])
    except RemoteProtocolError:
        return


@given(
    st.lists(st.tuples(st.integers(0, 255), st.integers(0, 2), st.binary(max_size=60)), max_size=6)
)
def test_random_messages_raise_only_the_remote_protocol_error(messages):
    client = RawClient().connect()
    client.publish()
    try:
        for type_id, stream_id, body in messages:
            client.send(type_id, body, stream_id=stream_id)
    except RemoteProtocolError:
        return


@pytest.mark.parametrize("type_id", [16, 19, 10, 11, 13, 99, 255])
def test_shared_objects_and_unknown_types_are_ignored(type_id):
    client = RawClient().connect()
    assert client.send(type_id, noise(50), stream_id=0) == []


@pytest.mark.parametrize("event", [0, 1, 3, 4, 31, 99])
def test_user_control_events_of_no_use_are_ignored(event):
    client = RawClient().connect()
    body = user_control(event, 1, 0xFFFFFFFF)
    assert client.send(4, body, stream_id=0) == []
    assert client.heard() == []


def test_a_ping_is_sent_and_its_answer_told():
    client = RawClient().connect()
    client.session.ping(1234)
    (ping,) = client.heard()
    assert (ping.type_id, ping.body) == (4, user_control(6, 1234))
    assert client.send(4, user_control(7, 1234), stream_id=0) == [PingAnswered(1234)]


def test_after_an_error_nothing_happens_any_more():
    client = RawClient().connect()
    request = client.publish()
    with pytest.raises(RemoteProtocolError):
        client.session.feed(connect_command())
    assert client.send(9, b"x") == []
    assert client.session.feed(b"") == []
    assert not client.session.accept(request)
    assert not client.session.reject(request, RefusalCode.CONFLICT, "x")
    client.session.end_play(1, "x")
    client.session.ping(1)
    client.session.kick("x")
    assert client.heard() == []


def test_what_was_kept_back_is_not_said_after_an_error():
    client = RawClient().shake()
    with pytest.raises(RemoteProtocolError):
        client.session.feed(connect_command() + command("createStream", 2, None) + b"\xff")
    assert client.heard() == []


def test_a_kick_ends_everything_with_a_reason():
    client = RawClient().connect()
    client.publish("a")
    client.play("b")
    client.create_stream()
    client.session.kick("moderation")
    heard = client.heard()
    codes = [
        amf0.decode(message.body)[-1]["code"] for message in heard if message.type_id in (18, 20)
    ]
    assert codes == [
        "NetStream.Failed",
        "NetStream.Play.UnpublishNotify",
        "NetStream.Play.Complete",
        "NetStream.Play.Stop",
        "NetConnection.Connect.Closed",
    ]
    assert client.send(9, b"x") == []
    client.session.kick("again")
    assert client.heard() == []


def test_a_kick_before_the_client_is_in_says_nothing():
    client = RawClient().shake()
    client.session.feed(connect_command())
    client.session.kick("x")
    assert client.heard() == []
    assert client.call("createStream", 2, None) == []


def test_received_counts_the_bytes_behind_the_handshake():
    client = RawClient().shake()
    sent = connect_command()
    client.session.feed(sent)
    assert client.session.received == len(sent)


def test_shared_bytes_fit_between_the_sessions_own():
    client = RawClient().connect()
    stream_id = client.create_stream()
    (request,) = client.call("play", 0, None, "x", stream_id=stream_id)
    assert isinstance(request, PlayRequested)
    client.session.accept(request)
    client.session.ping(1)
    reader = ChunkReader()
    reader.chunk_size = 60_000
    frame = noise(130_000)
    sent = client.session.take() + encode_media(9, 0x01000000, frame) + play_goodbye(1, "over")
    messages = list(reader.feed(sent))
    assert [m.type_id for m in messages] == [4, 20, 20, 20, 4, 9, 20, 4, 18, 20]
    assert (messages[5].timestamp, messages[5].body) == (0x01000000, frame)
    assert amf0.decode(messages[-1].body)[-1]["code"] == "NetStream.Play.Stop"


def test_the_shared_goodbye_is_the_sessions_own():
    client = RawClient().connect()
    client.play()
    client.session.end_play(1, "over")
    assert client.session.take() == play_goodbye(1, "over")


@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("cut", [0, 1, 1460])
def test_our_own_client_publishes_to_it(signed, cut):
    pair = Pair("rtmp://h/live/x?token=t", signed=signed, cut=cut)
    pair.run()
    pair.client.send_media(18, 0, amf0.encode("onMetaData", {}))
    pair.client.send_media(9, 40, noise(70_000))
    pair.run()
    request = pair.at_server[1]
    assert isinstance(request, PublishRequested)
    assert (request.app, request.name, request.query) == ("live", "x", {"token": "t"})
    assert pair.at_server[2:] == [
        MediaReceived(1, 18, 0, amf0.encode("onMetaData", {})),
        MediaReceived(1, 9, 40, noise(70_000)),
    ]
