"""wire/rtmp/connect.py, statuses.py and the session's connect."""

import math

import pytest
from kit.rtmp import HANDSHAKE, RawClient, command, connect_command, noise

from livetrio.errors import LocalProtocolError, RefusalCode, RemoteProtocolError
from livetrio.wire.rtmp.chunks import ChunkReader
from livetrio.wire.rtmp.commands import read_command
from livetrio.wire.rtmp.events import ConnectRequested, Disconnected
from livetrio.wire.rtmp.session import ServerSession

SET_CHUNK_SIZE = bytes.fromhex("02 000000 000004 01 00000000 0000ea60")


def connect(**properties) -> ConnectRequested:
    """The event of a `connect` with these properties."""
    (event,) = RawClient().shake().call("connect", 1, properties)
    assert isinstance(event, ConnectRequested)
    return event


def test_connect_is_an_event_and_not_answered_before_the_shell_does():
    client = RawClient().shake()
    (event,) = client.session.feed(
        connect_command(
            "live?vhost=a", "rtmp://h/live?vhost=b", flashVer="FMLE/3.0", pageUrl="http://p"
        )
    )
    assert event.app == "live"
    assert event.tc_url == "rtmp://h/live?vhost=b"
    assert event.flash_ver == "FMLE/3.0"
    assert event.page_url == "http://p"
    assert event.query == {"vhost": "b"}
    assert not event.enhanced
    assert client.heard() == []


def test_secrets_are_not_in_the_printed_event():
    assert "s3cret" not in repr(connect(app="live?token=s3cret", tcUrl="rtmp://h/live?k=s3cret"))


def test_an_accepted_connect_is_answered_as_livego_does():
    client = RawClient().shake()
    client.session.feed(connect_command(objectEncoding=3))
    client.session.accept_connect()
    sent = client.session.take()
    assert SET_CHUNK_SIZE in sent
    window, bandwidth, result = ChunkReader().feed(sent)
    assert (window.type_id, window.body) == (5, (2_500_000).to_bytes(4, "big"))
    assert (bandwidth.type_id, bandwidth.body) == (6, (2_500_000).to_bytes(4, "big") + b"\2")
    answer = read_command(20, 0, result.body)
    assert (answer.name, answer.transaction) == ("_result", 1)
    assert answer.object == {"fmsVer": "FMS/3,0,1,123", "capabilities": 31}
    assert answer.argument(0) == {
        "level": "status",
        "code": "NetConnection.Connect.Success",
        "description": "Connection succeeded.",
        "objectEncoding": 3,
    }


@pytest.mark.parametrize("encoding", [0, 1, math.nan, "3", None])
def test_any_object_encoding_but_3_is_0(encoding):
    assert connect(app="live", objectEncoding=encoding).object_encoding == 0


@pytest.mark.parametrize(
    ("properties", "fourcc", "multitrack"),
    [
        ({"fourCcList": ["av01", "hvc1"]}, ("av01", "hvc1"), False),
        ({"videoFourCcInfoMap": {"*": 7}}, ("*",), False),
        (
            {"audioFourCcInfoMap": {"Opus": 4}, "fourCcList": ["Opus", 5, "toolong"]},
            ("Opus",),
            False,
        ),
        ({"capsEx": 2}, (), True),
        ({"capsEx": 0xFFFF}, (), True),
        ({"capsEx": 13}, (), False),
        ({"capsEx": math.nan}, (), False),
        ({"capsEx": math.inf}, (), False),
        ({"capsEx": "2"}, (), False),
        (
            {"fourCcList": [f"{i:04}" for i in range(99)]},
            tuple(f"{i:04}" for i in range(32)),
            False,
        ),
    ],
)
def test_enhanced_rtmp_is_noticed_and_answered(properties, fourcc, multitrack):
    client = RawClient().shake()
    (event,) = client.session.feed(connect_command(**properties))
    assert (event.enhanced, event.fourcc, event.multitrack) == (True, fourcc, multitrack)
    client.session.accept_connect()
    (answer,) = client.commands()
    for place in (answer.object, answer.argument(0)):
        assert "hvc1" in place["fourCcList"]
        assert place["videoFourCcInfoMap"]["av01"] == 4
        assert place["audioFourCcInfoMap"]["Opus"] == 4
        assert int(place["capsEx"]) & 2


@pytest.mark.parametrize("properties", [{"fourCcList": "av01"}, {"fourCcList": None}, {}])
def test_other_clients_are_not_told_of_enhanced_rtmp(properties):
    client = RawClient().shake()
    (event,) = client.session.feed(connect_command(**properties))
    assert not event.enhanced
    client.session.accept_connect()
    (answer,) = client.commands()
    assert "capsEx" not in answer.argument(0)


@pytest.mark.parametrize("thing", [None, [], "live", 1.0])
def test_a_connect_without_properties_has_an_empty_app(thing):
    (event,) = RawClient().shake().call("connect", 1, thing)
    assert (event.app, event.tc_url) == ("", "")


def test_properties_of_wrong_types_count_as_missing():
    event = connect(app=1.0, tcUrl=False, flashVer=[], pageUrl={})
    assert (event.app, event.tc_url, event.flash_ver, event.page_url) == ("", "", "", "")


def test_long_properties_are_cut():
    assert len(connect(app="live", flashVer="x" * 5000).flash_ver) == 1024


@pytest.mark.parametrize(
    ("code", "status"),
    [
        (RefusalCode.NOT_FOUND, "NetConnection.Connect.InvalidApp"),
        (RefusalCode.FORBIDDEN, "NetConnection.Connect.Rejected"),
        (RefusalCode.TOO_MANY, "NetConnection.Connect.Rejected"),
    ],
)
def test_a_rejected_connect_is_told_why_and_nothing_happens_any_more(code, status):
    client = RawClient().shake()
    client.session.feed(connect_command() + command("createStream", 2, None))
    client.session.reject_connect(code, "not you")
    (answer,) = client.commands()
    assert (answer.name, answer.transaction) == ("_error", 1)
    assert answer.argument(0) == {"level": "error", "code": status, "description": "not you"}
    assert client.call("createStream", 3, None) == []
    assert client.session.feed(b"") == []
    assert client.heard() == []


@pytest.mark.parametrize(
    ("app", "tc_url"),
    [
        ("..", "rtmp://h/.."),
        ("%2e%2e", ""),
        ("a\0", ""),
        ("a\r\nb", "rtmp://h"),
        ("x" * 60_000, ""),
        ("x", "rtmp://h/" + "y" * 60_000),
    ],
)
def test_an_app_that_cannot_be_used_is_an_error_and_the_client_is_told(app, tc_url):
    client = RawClient().shake()
    with pytest.raises(RemoteProtocolError, match="connect: "):
        client.session.feed(connect_command(app, tc_url))
    (answer,) = client.commands()
    assert answer.name == "_error"
    assert answer.argument(0)["code"] == "NetConnection.Connect.Rejected"


def test_answers_to_commands_behind_connect_wait_for_its_own():
    client = RawClient().shake()
    events = client.session.feed(
        connect_command()
        + command("releaseStream", 2, None, "x")
        + command("createStream", 3, None)
        + command("publish", 0, None, "x", stream_id=1)
    )
    assert [type(event).__name__ for event in events] == ["ConnectRequested", "PublishRequested"]
    assert client.heard() == []
    client.session.accept_connect()
    assert client.session.accept(events[1])
    assert [(found.name, found.transaction) for found in client.commands()] == [
        ("_result", 1),
        ("_result", 2),
        ("_result", 3),
        ("onStatus", 0),
    ]


def test_connect_with_transaction_id_0_is_answered_all_the_same():
    client = RawClient().shake()
    client.call("connect", 0, {"app": "live"})
    client.session.accept_connect()
    assert [(found.name, found.transaction) for found in client.commands()] == [("_result", 0)]


def test_connect_twice_is_an_error():
    client = RawClient().connect()
    with pytest.raises(RemoteProtocolError, match="connect twice"):
        client.session.feed(connect_command())
    client = RawClient().shake()
    with pytest.raises(RemoteProtocolError, match="connect twice"):
        client.session.feed(connect_command() * 2)


@pytest.mark.parametrize("name", ["publish", "play", "createStream", "nonsense", "_result"])
def test_anything_before_connect_is_an_error(name):
    with pytest.raises(RemoteProtocolError, match=f"'{name}' before connect"):
        RawClient().shake().call(name, 1, None, "x", stream_id=1)


def test_verbs_at_the_wrong_time_are_our_own_error():
    session = ServerSession()
    with pytest.raises(LocalProtocolError, match="connect is awaited"):
        session.accept_connect()
    with pytest.raises(LocalProtocolError, match="no client has connected"):
        session.end_play(1, "x")
    client = RawClient().connect()
    with pytest.raises(LocalProtocolError, match="answered while connected"):
        client.session.reject_connect(RefusalCode.FORBIDDEN, "late")


def test_answering_connect_after_the_client_left_does_nothing():
    client = RawClient().shake()
    client.session.feed(connect_command())
    assert client.session.feed(b"") == [Disconnected("")]
    client.session.accept_connect()
    client.session.reject_connect(RefusalCode.FORBIDDEN, "x")
    assert client.heard() == []


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (b"", "in the handshake"),
        (HANDSHAKE[:1], "in the handshake"),
        (HANDSHAKE[:1536], "in the handshake"),
        (HANDSHAKE[:3072], "in the handshake"),
        (HANDSHAKE, "before connect"),
        (HANDSHAKE + connect_command()[:40], "in the middle of a message"),
        (HANDSHAKE + connect_command(), ""),
    ],
)
def test_the_end_says_where_it_came(sent, reason):
    session = ServerSession(random=noise)
    if sent:
        session.feed(sent)
    assert session.handshaken is (len(sent) >= 3073)
    assert session.feed(b"")[-1] == Disconnected(reason)
    assert session.feed(b"") == []
