"""What real programs sent, recorded on a loopback socket (tests/wire/golden/rtmp-*.bin).

Each file holds one direction of one connection, from C0 or S0 to its end. The clients talked to
this server; nginx-rtmp talked to this client.
"""

from pathlib import Path

import pytest
from kit.rtmp import noise

from livetrio.wire.rtmp.client import ClientSession
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
    StreamClosed,
)
from livetrio.wire.rtmp.session import ServerSession
from livetrio.wire.rtmp.url import RtmpUrl

GOLDEN = Path(__file__).parent.parent / "golden"
CUTS = [1, 1460, 1 << 20]


def served(name: str, cut: int) -> list[Event]:
    """What our server makes of a recorded client; yes to every request."""
    data = (GOLDEN / name).read_bytes()
    session = ServerSession(random=noise)
    events: list[Event] = []
    for start in range(0, len(data), cut):
        for event in session.feed(data[start : start + cut]):
            events.append(event)
            match event:
                case ConnectRequested():
                    session.accept_connect()
                case PublishRequested() | PlayRequested():
                    session.accept(event)
    return events + session.feed(b"")


@pytest.mark.parametrize("cut", CUTS)
def test_ffmpeg_publishes(cut):
    connect, publish, metadata, *media, closed, end = served("rtmp-ffmpeg-5.1-publish.bin", cut)
    assert isinstance(connect, ConnectRequested)
    assert (connect.app, connect.flash_ver) == ("live", "FMLE/3.0 (compatible; Lavf59.27.100)")
    assert isinstance(publish, PublishRequested)
    assert (publish.app, publish.name, publish.query) == ("live", "golden", {"token": "abc"})
    assert isinstance(metadata, MediaReceived)
    assert metadata.body.startswith(b"\x02\x00\x0aonMetaData\x08")
    assert all(isinstance(event, MediaReceived) for event in media)
    video = [e for e in media if e.type_id == 9]
    audio = [e for e in media if e.type_id == 8]
    assert (len(video), len(audio)) == (12, 18)
    assert video[0].body.startswith(b"\x17\x00\x00\x00\x00\x01\x42\xc0")  # AVC sequence header
    # As in the FLV file that the same ffmpeg writes from the same source.
    assert [e.timestamp for e in video] == [0, *range(64, 1064, 100), 964]
    assert audio[0].body.startswith(b"\xaf\x00")
    assert [e.timestamp for e in audio] == [0, *range(0, 1088, 64)]
    assert closed == StreamClosed(1, CloseReason.UNPUBLISH)
    assert end == Disconnected("")


@pytest.mark.parametrize("cut", CUTS)
def test_a_newer_ffmpeg_publishes_hevc_and_opus(cut):
    connect, publish, _, *media, closed, end = served("rtmp-ffmpeg-9.0-publish-enhanced.bin", cut)
    assert isinstance(connect, ConnectRequested)
    assert connect.enhanced
    assert connect.fourcc == ("hvc1", "Opus")
    assert isinstance(publish, PublishRequested)
    bodies = [e.body for e in media if isinstance(e, MediaReceived)]
    assert len(bodies) == len(media) == 35
    assert any(body.startswith(b"\x90hvc1\x01") for body in bodies)
    assert any(body.startswith(b"\x90OpusOpusHead") for body in bodies)
    assert closed == StreamClosed(1, CloseReason.UNPUBLISH)
    assert isinstance(end, Disconnected)


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize(
    ("name", "agent", "start"),
    [
        ("rtmp-ffmpeg-9.0-play.bin", "LNX 9,0,124,2", -2000),
        ("rtmp-rtmpdump-2.4-play.bin", "LNX 10,0,32,18", -1000),
    ],
)
def test_players_play(name, agent, start, cut):
    connect, play, *_, end = served(name, cut)
    assert isinstance(connect, ConnectRequested)
    assert connect.flash_ver == agent
    assert isinstance(play, PlayRequested)
    assert (play.app, play.name, play.start) == ("live", "golden", start)
    assert isinstance(end, Disconnected)


@pytest.mark.parametrize("cut", CUTS)
def test_nginx_rtmp_plays_to_our_client(cut):
    data = (GOLDEN / "rtmp-nginx-rtmp-1.2-server.bin").read_bytes()
    session = ClientSession(RtmpUrl.parse("rtmp://h/live/golden"), publish=False, random=noise)
    events = [
        event
        for start in range(0, len(data), cut)
        for event in session.feed(data[start : start + cut])
    ]
    ready, *media, ended = events
    assert ready == Ready(1)
    assert ended == Ended("end of stream")
    assert len(media) == 67
    assert {e.type_id for e in media if isinstance(e, MediaReceived)} == {8, 9, 18}
