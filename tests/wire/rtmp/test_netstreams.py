"""wire/rtmp/netstreams.py, netstream.py, requests.py, calls.py: what happens on message streams."""

import math

import pytest
from kit.rtmp import RawClient, command

from livetrio.errors import LocalProtocolError, RefusalCode, RemoteProtocolError
from livetrio.wire import amf0
from livetrio.wire.rtmp.chunk_writer import encode_message
from livetrio.wire.rtmp.commands import encode_command
from livetrio.wire.rtmp.events import (
    CloseReason,
    Declined,
    Disconnected,
    MediaReceived,
    PauseRequested,
    PlayRequested,
    PublishRequested,
    ReceiveAudio,
    ReceiveVideo,
    SeekRequested,
    StreamClosed,
    UnknownCommand,
)
from livetrio.wire.rtmp.messages import user_control
from livetrio.wire.rtmp.netstream import STREAM_COMMANDS, StreamState

# -- creating and deleting -------------------------------------------------------------------------


def test_streams_are_numbered_from_1_and_freed_numbers_used_again():
    client = RawClient().connect()
    assert [client.create_stream() for _ in range(3)] == [1, 2, 3]
    assert client.call("deleteStream", 0, None, 2) == []
    assert client.create_stream() == 2
    assert client.create_stream() == 4


def test_a_flood_of_create_stream_is_answered_with_errors():
    client = RawClient().connect()
    assert client.session.feed(command("createStream", 2, None) * 1000) == []
    names = [found.name for found in client.commands()]
    assert names == ["_result"] * 16 + ["_error"] * 984


@pytest.mark.parametrize("stream_id", [7, 0, -1, 1.5, math.nan, math.inf, 1e308, "1", None, [], {}])
def test_deleting_a_stream_that_is_none_does_nothing(stream_id):
    client = RawClient().connect()
    client.publish()
    assert client.call("deleteStream", 0, None, stream_id) == []
    assert client.call("deleteStream", 0, None, 1) == [StreamClosed(1, CloseReason.DELETE_STREAM)]


@pytest.mark.parametrize("name", ["publish", "play", "play2"])
@pytest.mark.parametrize("stream_id", [0, 1, 99])
def test_publish_and_play_on_a_stream_never_created_are_errors(name, stream_id):
    with pytest.raises(RemoteProtocolError, match=f"{name} on message stream {stream_id}"):
        RawClient().connect().call(name, 0, None, "x", stream_id=stream_id)


@pytest.mark.parametrize("name", ["pause", "seek", "closeStream", "receiveAudio"])
def test_other_commands_to_a_stream_never_created_are_ignored(name):
    client = RawClient().connect()
    assert client.call(name, 0, None, True, stream_id=5) == []
    assert client.heard() == []


# -- publish ---------------------------------------------------------------------------------------


def test_publish_asks_and_starts():
    client = RawClient().connect("live?vhost=v", "rtmp://h/live?vhost=v")
    client.create_stream()
    (request,) = client.call("publish", 5, None, "sub/x?token=t", "record", stream_id=1)
    assert isinstance(request, PublishRequested)
    assert (request.stream_id, request.app, request.name) == (1, "live", "sub/x")
    assert request.query == {"vhost": "v", "token": "t"}
    assert request.mode == "record"
    assert client.heard() == []
    assert client.session.accept(request)
    (answer,) = client.commands()
    assert (answer.name, answer.transaction, answer.stream_id) == ("onStatus", 0, 1)
    assert answer.argument(0)["level"] == "status"
    assert answer.argument(0)["code"] == "NetStream.Publish.Start"


@pytest.mark.parametrize("mode", [None, 5.0, ""])
def test_publish_without_a_mode_is_live(mode):
    client = RawClient().connect()
    client.create_stream()
    (request,) = client.call("publish", 5, None, "x", mode, stream_id=1)
    assert request.mode == "live"


def test_a_publishing_name_is_not_in_the_printed_request():
    client = RawClient().connect()
    assert "s3cret" not in repr(client.publish("s3cret?token=s3cret"))


@pytest.mark.parametrize(
    ("code", "status"),
    [
        (RefusalCode.CONFLICT, "NetStream.Publish.BadName"),
        (RefusalCode.NOT_FOUND, "NetStream.Publish.BadName"),
        (RefusalCode.UNAUTHORIZED, "NetStream.Publish.Denied"),
        (RefusalCode.FORBIDDEN, "NetStream.Publish.Denied"),
        (RefusalCode.UNAVAILABLE, "NetStream.Failed"),
    ],
)
def test_a_rejected_publish_is_told_why_and_may_try_again(code, status):
    client = RawClient().connect()
    client.create_stream()
    (request,) = client.call("publish", 0, None, "x", stream_id=1)
    assert client.session.reject(request, code, "because")
    (answer,) = client.commands()
    assert answer.argument(0) == {"level": "error", "code": status, "description": "because"}
    assert client.send(9, b"late") == []
    (again,) = client.call("publish", 0, None, "y", stream_id=1)
    assert client.session.accept(again)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "?token=x",
        "../x",
        "%2e%2e/x",
        "a/../b",
        "a\0b",
        "a\r\nX: y",
        "a%0d%0a",
        "a//b",
        "x" * 257,
        "y" * 60_000,
        1.0,
        True,
        {},
        [],
    ],
)
@pytest.mark.parametrize(
    ("command_name", "status"),
    [("publish", "NetStream.Publish.BadName"), ("play", "NetStream.Play.Failed")],
)
def test_a_name_that_cannot_be_used_is_declined_with_a_status(name, command_name, status):
    client = RawClient().connect()
    client.create_stream()
    (event,) = client.call(command_name, 0, None, name, stream_id=1)
    assert isinstance(event, Declined)
    assert (event.stream_id, event.command) == (1, command_name)
    assert event.reason
    assert client.codes() == [status]
    client.call(command_name, 0, None, "fine", stream_id=1)


@pytest.mark.parametrize("name", [None, False])
def test_publishing_nothing_ends_publishing(name):
    client = RawClient().connect()
    client.create_stream()
    assert client.call("publish", 0, None, name, stream_id=1) == []
    (request,) = client.call("publish", 0, None, "x", stream_id=1)
    client.session.accept(request)
    client.heard()
    assert client.call("publish", 0, None, name, stream_id=1) == [
        StreamClosed(1, CloseReason.UNPUBLISH)
    ]
    assert client.codes() == ["NetStream.Unpublish.Success"]


@pytest.mark.parametrize("second", ["publish", "play", "play2"])
@pytest.mark.parametrize("answered", [True, False])
def test_a_second_use_of_a_publishing_stream_is_declined(second, answered):
    client = RawClient().connect()
    client.create_stream()
    (request,) = client.call("publish", 0, None, "x", stream_id=1)
    if answered:
        client.session.accept(request)
        client.heard()
    (event,) = client.call(second, 0, None, "y", stream_id=1)
    assert isinstance(event, Declined)
    assert "in use (publish" in event.reason
    expected = "NetStream.Publish.BadName" if second == "publish" else "NetStream.Play.Failed"
    assert client.codes() == [expected]
    assert len(client.send(9, b"goes on")) == 1


def test_publish_on_a_playing_stream_is_declined():
    client = RawClient().connect()
    client.play()
    (event,) = client.call("publish", 0, None, "x", stream_id=1)
    assert isinstance(event, Declined)


@pytest.mark.parametrize(
    ("name", "values", "reason", "codes"),
    [
        ("FCUnpublish", ("x",), CloseReason.UNPUBLISH, ["NetStream.Unpublish.Success"] * 2),
        ("deleteStream", (1,), CloseReason.DELETE_STREAM, ["NetStream.Unpublish.Success"]),
    ],
)
def test_publishing_ends_by_a_command_to_the_connection(name, values, reason, codes):
    client = RawClient().connect()
    client.publish("x")
    assert client.call(name, 0, None, *values) == [StreamClosed(1, reason)]
    assert client.codes() == codes
    assert client.send(9, b"late") == []


def test_publishing_ends_by_close_stream_and_the_stream_stays():
    client = RawClient().connect()
    client.publish("x")
    assert client.call("closeStream", 0, None, stream_id=1) == [
        StreamClosed(1, CloseReason.CLOSE_STREAM)
    ]
    assert client.codes() == ["NetStream.Unpublish.Success"]
    assert client.call("closeStream", 0, None, stream_id=1) == []
    assert len(client.call("publish", 0, None, "x", stream_id=1)) == 1


@pytest.mark.parametrize("name", ["other", None, 1.0, {}])
def test_fc_unpublish_of_another_name_ends_nothing(name):
    client = RawClient().connect()
    client.publish("x")
    assert client.call("FCUnpublish", 0, None, name) == []
    assert len(client.send(9, b"goes on")) == 1


def test_a_request_withdrawn_before_the_answer_needs_none():
    client = RawClient().connect()
    client.create_stream()
    request, closed = client.session.feed(
        command("publish", 0, None, "x", stream_id=1) + command("deleteStream", 0, None, 1)
    )
    assert closed == StreamClosed(1, CloseReason.DELETE_STREAM)
    assert not client.session.accept(request)
    assert not client.session.reject(request, RefusalCode.FORBIDDEN, "x")
    assert client.heard() == []


def test_an_answer_does_not_go_to_the_next_stream_of_the_same_number():
    client = RawClient().connect()
    client.create_stream()
    (old,) = client.call("publish", 0, None, "x", stream_id=1)
    client.call("deleteStream", 0, None, 1)
    client.create_stream()
    (new,) = client.call("publish", 0, None, "x", stream_id=1)
    assert not client.session.accept(old)
    assert client.session.accept(new)


def test_answering_twice_is_our_own_error():
    client = RawClient().connect()
    request = client.publish()
    with pytest.raises(LocalProtocolError, match="answered twice"):
        client.session.accept(request)
    with pytest.raises(LocalProtocolError, match="answered twice"):
        client.session.reject(request, RefusalCode.CONFLICT, "x")


def test_the_end_of_the_connection_ends_its_streams_first():
    client = RawClient().connect()
    client.publish("a")
    client.play("b")
    client.create_stream()
    assert client.session.feed(b"") == [
        StreamClosed(1, CloseReason.DISCONNECTED),
        StreamClosed(2, CloseReason.DISCONNECTED),
        Disconnected(""),
    ]


# -- media of a publisher ------------------------------------------------------------------------


def test_media_is_handed_out_with_its_stream_and_time():
    client = RawClient().connect()
    client.publish()
    assert client.send(9, b"video", timestamp=40) == [MediaReceived(1, 9, 40, b"video")]
    assert client.send(8, b"", timestamp=50) == [MediaReceived(1, 8, 50, b"")]


def test_metadata_loses_its_set_data_frame_and_amf3_becomes_amf0():
    client = RawClient().connect()
    client.publish()
    metadata = amf0.encode("onMetaData", {"width": 1.0})
    sent = amf0.encode("@setDataFrame") + metadata
    assert client.send(18, sent) == [MediaReceived(1, 18, 0, metadata)]
    assert client.send(15, b"\0" + sent) == [MediaReceived(1, 18, 0, metadata)]


def test_an_aggregate_is_handed_out_in_its_parts():
    client = RawClient().connect()
    client.publish()
    tag = bytes.fromhex("08 000001 0003e8 00 000000 61 0000000c")
    assert client.send(22, tag + tag, timestamp=7) == [MediaReceived(1, 8, 7, b"a")] * 2


def test_media_behind_an_unanswered_publish_is_handed_out_behind_it():
    client = RawClient().connect()
    client.create_stream()
    request, media = client.session.feed(
        command("publish", 0, None, "x", stream_id=1) + encode_message(9, 0, 1, 6, b"v", 128)
    )
    assert isinstance(request, PublishRequested)
    assert media == MediaReceived(1, 9, 0, b"v")


@pytest.mark.parametrize("type_id", [8, 9, 15, 18, 22])
def test_media_of_a_stream_that_does_not_publish_is_ignored(type_id):
    client = RawClient().connect()
    tag = bytes.fromhex("08 000001 0003e8 00 000000 61 0000000c")
    assert client.send(type_id, tag, stream_id=1) == []
    client.play()
    assert client.send(type_id, tag, stream_id=1) == []
    before = RawClient().shake()
    assert before.send(type_id, tag) == []


def test_long_messages_are_for_publishers():
    client = RawClient().connect()
    long = bytes(70_000)
    client.create_stream()
    (request, media) = client.session.feed(
        command("publish", 0, None, "x", stream_id=1) + encode_message(9, 0, 1, 6, long, 128)
    )
    assert media.body == long
    assert client.session.reject(request, RefusalCode.FORBIDDEN, "no")
    with pytest.raises(RemoteProtocolError, match="message of 70000 bytes"):
        client.send(9, long)


def test_a_client_that_publishes_nothing_cannot_make_the_server_hold_much():
    client = RawClient().connect()
    size = 12 + 128 + 15 * 129  # sixteen chunks of a message of 60,000 bytes
    openings = b"".join(
        encode_message(9, 0, 1, csid, bytes(60_000), 128)[:size] for csid in range(4, 60)
    )
    assert client.session.feed(openings[: 32 * size]) == []
    with pytest.raises(RemoteProtocolError, match="more than 65536 bytes of unfinished messages"):
        client.session.feed(openings[32 * size :])


@pytest.mark.parametrize("name", ["closeStream", "deleteStream", "FCUnpublish"])
def test_long_messages_are_refused_again_once_publishing_has_ended(name):
    client = RawClient().connect()
    client.publish("x")
    argument = "x" if name == "FCUnpublish" else 1
    client.call(name, 0, None, argument, stream_id=1)
    with pytest.raises(RemoteProtocolError, match="message of 70000 bytes"):
        client.send(9, bytes(70_000))


# -- play ------------------------------------------------------------------------------------------


def test_play_asks_and_starts_with_what_players_wait_for_and_no_data_of_ours():
    client = RawClient().connect()
    client.create_stream()
    (request,) = client.call("play", 4, None, "x?k=v", -2000, -1, True, stream_id=1)
    assert isinstance(request, PlayRequested)
    assert (request.app, request.name, request.query) == ("live", "x", {"k": "v"})
    assert (request.start, request.duration, request.reset) == (-2000, -1, True)
    assert client.session.accept(request)
    heard = client.heard()
    assert [(m.type_id, m.stream_id) for m in heard] == [
        (4, 0), (20, 1), (20, 1), (20, 1),
    ]  # fmt: skip
    assert heard[0].body == user_control(0, 1)
    assert [amf0.decode(m.body)[-1]["code"] for m in heard if m.type_id == 20] == [
        "NetStream.Play.Reset",
        "NetStream.Play.Start",
        "NetStream.Play.PublishNotify",
    ]


@pytest.mark.parametrize(
    ("values", "start", "duration", "reset"),
    [
        ((), -2, -1, True),
        ((math.nan, math.inf), -2, -1, True),
        ((1e308, 5, 0), 1e308, 5, False),
        ((0, 0, False), 0, 0, False),
        (("0", None, 2), -2, -1, True),
    ],
)
def test_the_numbers_of_play_are_finite_or_defaults(values, start, duration, reset):
    client = RawClient().connect()
    client.create_stream()
    (request,) = client.call("play", 0, None, "x", *values, stream_id=1)
    assert (request.start, request.duration, request.reset) == (start, duration, reset)
    client.session.accept(request)
    assert ("NetStream.Play.Reset" in client.codes()) is reset


def test_play2_is_play_with_named_options():
    client = RawClient().connect()
    client.create_stream()
    options = {"streamName": "x", "start": 3, "len": 5, "transition": "switch"}
    (request,) = client.call("play2", 0, None, options, stream_id=1)
    assert (request.name, request.start, request.duration) == ("x", 3, 5)
    assert client.session.accept(request)


@pytest.mark.parametrize("options", [None, {}, "x", {"streamName": 1}])
def test_play2_without_a_name_is_declined(options):
    client = RawClient().connect()
    client.create_stream()
    (event,) = client.call("play2", 0, None, options, stream_id=1)
    assert isinstance(event, Declined)
    assert client.codes() == ["NetStream.Play.Failed"]


@pytest.mark.parametrize(
    ("code", "status"),
    [
        (RefusalCode.NOT_FOUND, "NetStream.Play.StreamNotFound"),
        (RefusalCode.GONE, "NetStream.Play.StreamNotFound"),
        (RefusalCode.FORBIDDEN, "NetStream.Play.Failed"),
    ],
)
def test_a_rejected_play_is_told_why(code, status):
    client = RawClient().connect()
    client.create_stream()
    (request,) = client.call("play", 0, None, "x", stream_id=1)
    assert client.session.reject(request, code, "because")
    assert client.codes() == [status]


@pytest.mark.parametrize("answered", [True, False])
def test_play_again_ends_what_was_played(answered):
    client = RawClient().connect()
    client.create_stream()
    (first,) = client.call("play", 0, None, "a", stream_id=1)
    if answered:
        client.session.accept(first)
    closed, second = client.call("play", 0, None, "b", stream_id=1)
    assert closed == StreamClosed(1, CloseReason.PLAY_AGAIN)
    assert not client.session.accept(first)
    assert client.session.accept(second)


@pytest.mark.parametrize("name", [None, False])
def test_playing_nothing_ends_playing(name):
    client = RawClient().connect()
    client.play()
    assert client.call("play", 0, None, name, stream_id=1) == [
        StreamClosed(1, CloseReason.CLOSE_STREAM)
    ]


def test_pause_and_its_end_are_told_and_acknowledged():
    client = RawClient().connect()
    client.play()
    for name, paused, code in (
        ("pause", True, "NetStream.Pause.Notify"),
        ("pauseRaw", False, "NetStream.Unpause.Notify"),
    ):
        (request,) = client.call(name, 0, None, paused, 1500, stream_id=1)
        assert isinstance(request, PauseRequested)
        assert (request.paused, request.position_ms) == (paused, 1500)
        assert client.session.accept(request)
        assert client.codes() == [code]


def test_seek_is_told_and_answered_either_way():
    client = RawClient().connect()
    client.play()
    (request,) = client.call("seek", 0, None, math.nan, stream_id=1)
    assert isinstance(request, SeekRequested)
    assert request.position_ms == 0
    assert client.session.accept(request)
    assert client.codes() == ["NetStream.Seek.Notify", "NetStream.Play.Start"]
    assert client.session.reject(request, RefusalCode.BAD_REQUEST, "this is live")
    assert client.codes() == ["NetStream.Seek.Failed"]
    assert client.call("pause", 0, None, True, stream_id=1)  # it plays on


def test_a_pause_can_be_rejected():
    client = RawClient().connect()
    client.play()
    (request,) = client.call("pause", 0, None, True, stream_id=1)
    assert client.session.reject(request, RefusalCode.BAD_REQUEST, "no")
    assert client.codes() == ["NetStream.Failed"]


@pytest.mark.parametrize("name", ["pause", "seek"])
def test_a_pause_or_seek_of_a_player_that_has_stopped_is_not_answered(name):
    client = RawClient().connect()
    client.play()
    (request,) = client.call(name, 0, None, True, 0, stream_id=1)
    client.call("closeStream", 0, None, stream_id=1)
    assert not client.session.accept(request)
    assert client.call(name, 0, None, True, 0, stream_id=1) == []
    assert client.heard() == []


def test_a_storm_of_pauses_is_as_many_requests():
    client = RawClient().connect()
    client.play()
    storm = b"".join(command("pause", 0, None, bool(i % 2), stream_id=1) for i in range(500))
    assert len(client.session.feed(storm)) == 500
    assert client.heard() == []


def test_audio_and_video_can_be_switched_off_while_play_is_asked():
    client = RawClient().connect()
    client.create_stream()
    client.call("play", 0, None, "x", stream_id=1)
    assert client.call("receiveAudio", 0, None, False, stream_id=1) == [ReceiveAudio(1, False)]
    assert client.call("receiveVideo", 0, None, True, stream_id=1) == [ReceiveVideo(1, True)]


def test_the_end_of_playing_is_told_in_every_way_players_look_for():
    client = RawClient().connect()
    client.play()
    client.session.end_play(1, "over")
    heard = client.heard()
    assert [m.type_id for m in heard] == [20, 4, 18, 20]
    assert heard[1].body == user_control(1, 1)
    infos = [amf0.decode(m.body)[-1] for m in heard if m.type_id != 4]
    assert [info["code"] for info in infos] == [
        "NetStream.Play.UnpublishNotify",
        "NetStream.Play.Complete",
        "NetStream.Play.Stop",
    ]
    assert {info["description"] for info in infos} == {"over"}
    client.session.end_play(1, "again")
    client.session.end_play(9, "never")
    assert client.heard() == []


# -- commands the server answers by itself ---------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["releaseStream", "FCPublish", "FCUnpublish", "FCSubscribe", "FCUnsubscribe", "_checkbw",
     "checkBandwidth", "getStreamLength", "initStream"],
)  # fmt: skip
@pytest.mark.parametrize("transaction", [0, 7])
def test_what_clients_ask_for_out_of_habit_is_answered(name, transaction):
    client = RawClient().connect()
    assert client.call(name, transaction, None, "x") == []
    answers = client.commands()
    if transaction:
        assert (answers[0].name, answers[0].transaction) == ("_result", 7)
        answers = answers[1:]
    notices = {
        "FCPublish": ("onFCPublish", "NetStream.Publish.Start"),
        "FCUnpublish": ("onFCUnpublish", "NetStream.Unpublish.Success"),
        "FCSubscribe": ("onFCSubscribe", "NetStream.Play.Start"),
    }
    expected = [notices[name]] if name in notices else []
    assert [(found.name, found.argument(0)["code"]) for found in answers] == expected


def test_the_length_of_a_live_stream_is_0():
    client = RawClient().connect()
    client.call("getStreamLength", 3, None, "x")
    (answer,) = client.commands()
    assert answer.argument(0) == 0


@pytest.mark.parametrize("name", ["_result", "_error", "onStatus"])
def test_answers_to_what_was_never_asked_are_ignored(name):
    client = RawClient().connect()
    assert client.call(name, 3, None, {"level": "error"}) == []
    assert client.heard() == []


def test_an_unknown_command_is_reported_and_answered_if_it_wants_an_answer():
    client = RawClient().connect()
    assert client.call("fooBar", 3, None) == [UnknownCommand("fooBar")]
    (answer,) = client.commands()
    assert (answer.name, answer.transaction) == ("_error", 3)
    assert answer.argument(0)["code"] == "NetConnection.Call.Failed"
    assert client.call("fooBar", 0, None) == [UnknownCommand("fooBar")]
    assert client.heard() == []


@pytest.mark.parametrize("name", [*STREAM_COMMANDS, "createStream", "deleteStream", "FCPublish"])
@pytest.mark.parametrize("state", [StreamState.IDLE, StreamState.PUBLISHING, StreamState.PLAYING])
@pytest.mark.parametrize("values", [(), (None,), (math.nan,) * 4, ({},) * 4, ("x" * 60_000,)])
def test_every_command_with_any_arguments_is_survived_in_every_state(name, state, values):
    client = RawClient().connect()
    match state:
        case StreamState.PUBLISHING:
            client.publish()
        case StreamState.PLAYING:
            client.play()
        case _:
            client.create_stream()
    client.call(name, 3, None, *values, stream_id=1)
    client.session.feed(
        encode_message(17, 0, 1, 3, b"\0" + encode_command(name, 3, None, *values), 128)
    )
    client.heard()
    assert client.session.feed(b"")[-1] == Disconnected("")
