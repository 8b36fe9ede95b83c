"""The load generator's own parsing: a benchmark that misreads would flatter somebody."""

import itertools
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st

# bench/ is no package: its scripts are run as files, with their own folder on the path.
sys.path.append(str(Path(__file__).resolve().parent.parent / "bench"))

from rig import clip, proc, report, room_media
from rig.flv import FlvClient, TagReader
from rig.hls_playlist import Edge, body_of, edge_of
from rig.im_client import Probe, message
from rig.rtmp import (
    AUDIO,
    COMMAND,
    SET_CHUNK_SIZE,
    VIDEO,
    ChunkReader,
    JoinError,
    Message,
    RtmpClient,
    encode_message,
)

MESSAGES = [
    Message(AUDIO, 0, 1, b"a" * 10),
    Message(VIDEO, 33, 1, b"v" * 9000),
    Message(VIDEO, 0x1000000, 1, b"w" * 300),
    Message(AUDIO, 0x1000001, 1, b""),
]


def in_pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(edges)]


def flv_tag(message: Message) -> bytes:
    time = message.timestamp & 0xFFFFFF
    head = bytes([message.type_id]) + len(message.body).to_bytes(3, "big") + time.to_bytes(3, "big")
    head += bytes([message.timestamp >> 24]) + bytes(3)
    return head + message.body + (len(message.body) + 11).to_bytes(4, "big")


@given(st.lists(st.integers(0, 20_000), max_size=12), st.sampled_from([128, 300, 4096]))
def test_chunks_give_the_same_messages_however_they_are_cut(
    cuts: list[int], chunk_size: int
) -> None:
    announce = Message(SET_CHUNK_SIZE, 0, 0, chunk_size.to_bytes(4, "big"))
    stream = encode_message(2, announce) + b"".join(
        encode_message(4 if message.type_id == AUDIO else 6, message, chunk_size=chunk_size)
        for message in MESSAGES
    )
    reader = ChunkReader()
    got = [message for piece in in_pieces(stream, cuts) for message in reader.feed(piece)]
    assert got == [announce, *MESSAGES]


def test_compressed_chunk_headers_inherit_what_they_leave_out() -> None:
    first = encode_message(6, Message(VIDEO, 100, 1, b"abc"))
    same_length = b"\x86" + (40).to_bytes(3, "big") + b"def"
    same_delta = b"\xc6" + b"ghi"
    assert ChunkReader().feed(first + same_length + same_delta) == [
        Message(VIDEO, 100, 1, b"abc"),
        Message(VIDEO, 140, 1, b"def"),
        Message(VIDEO, 180, 1, b"ghi"),
    ]


@given(st.lists(st.integers(0, 20_000), max_size=12))
def test_flv_gives_the_same_tags_however_it_is_cut(cuts: list[int]) -> None:
    stream = b"FLV\x01\x05\x00\x00\x00\x09" + bytes(4) + b"".join(map(flv_tag, MESSAGES))
    reader = TagReader()
    got = [message for piece in in_pieces(stream, cuts) for message in reader.feed(piece)]
    assert got == [message._replace(stream_id=0) for message in MESSAGES]


def http_body(kind: str, body: bytes) -> bytes:
    match kind:
        case "chunked":
            head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
            pieces = [body[i : i + 700] for i in range(0, len(body), 700)]
            return head + b"".join(b"%x\r\n%s\r\n" % (len(each), each) for each in pieces)
        case "websocket":
            head = b"HTTP/1.1 101 Switching Protocols\r\n\r\n"
            pieces = [body[:5], body[5:200], body[200:]]
            ping = b"\x89\x02hi"
            short = [b"\x82" + bytes([len(each)]) + each for each in pieces[:1]]
            long = [b"\x82\x7e" + len(each).to_bytes(2, "big") + each for each in pieces[1:]]
            return head + ping.join(short + long)
        case _:
            return b"HTTP/1.1 200 OK\r\n\r\n" + body


@pytest.mark.parametrize("kind", ["plain", "chunked", "websocket"])
@given(cuts=st.lists(st.integers(0, 20_000), max_size=12))
def test_every_http_framing_yields_the_tags_inside(kind: str, cuts: list[int]) -> None:
    body = b"FLV\x01\x05\x00\x00\x00\x09" + bytes(4) + b"".join(map(flv_tag, MESSAGES))
    client = FlvClient("h", "live", "x", websocket=kind == "websocket")
    assert client.take().startswith(b"GET /live/x.flv HTTP/1.1\r\n")
    stream = http_body(kind, body)
    got = [message for piece in in_pieces(stream, cuts) for message in client.feed(piece)]
    assert got == [message._replace(stream_id=0) for message in MESSAGES]


def im_frames(kind: str, batches: list[list[int]]) -> bytes:
    """What a member of a room is sent, a batch per write."""
    data = b""
    for batch in batches:
        body = b"".join(message(at, 0) for at in batch)
        if kind == "tcp":
            data += b"".join(bytes(16) + message(at, 0) for at in batch)
        elif len(body) < 126:
            data += bytes([0x82, len(body)]) + body
        elif len(body) < 1 << 16:
            data += b"\x82\x7e" + len(body).to_bytes(2, "big") + body
        else:
            data += b"\x82\x7f" + len(body).to_bytes(8, "big") + body
    return data


@pytest.mark.parametrize("kind", ["ws", "tcp", "centrifuge"])
@given(cuts=st.lists(st.integers(0, 200_000), max_size=12))
def test_a_probe_of_a_room_finds_every_message_however_they_are_cut(
    kind: str, cuts: list[int]
) -> None:
    batches = [[1], [2, 3, 4], list(range(5, 1500))]
    probe = Probe(kind, SimpleNamespace(socket=None))  # type: ignore[arg-type]
    pieces = in_pieces(im_frames(kind, batches), cuts)
    assert [at for piece in pieces for at in probe.read(piece)] == list(range(1, 1500))
    assert probe.writes == (len(pieces) if kind == "tcp" else len(batches))


def test_a_refused_http_player_is_an_error_not_a_silent_viewer() -> None:
    with pytest.raises(JoinError, match="404"):
        FlvClient("h", "live", "x").feed(b"HTTP/1.1 404 Not Found\r\n\r\n")


def greeted(*, publish: bool) -> RtmpClient:
    client = RtmpClient("h", "live", "x", publish=publish)
    assert len(client.take()) == 1537
    client.feed(b"\x03" + bytes(3072))
    assert b"connect" in client.take()
    return client


def command(*parts: bytes) -> bytes:
    return encode_message(3, Message(COMMAND, 0, 0, b"".join(parts)))


def number(value: int) -> bytes:
    return b"\x00" + {1: b"\x3f\xf0", 4: b"\x40\x10", 7: b"\x40\x1c"}[value] + bytes(6)


RESULT = b"\x02\x00\x07_result"


@pytest.mark.parametrize(
    ("publish", "verb", "status"),
    [(False, b"play", b"NetStream.Play.Start"), (True, b"publish", b"NetStream.Publish.Start")],
)
def test_an_rtmp_join_waits_for_each_answer_and_takes_the_stream_id_given(
    publish: bool, verb: bytes, status: bytes
) -> None:
    client = greeted(publish=publish)
    client.feed(command(RESULT, number(1)))
    assert b"createStream" in client.take()
    client.feed(command(RESULT, number(4), b"\x05", number(7)))
    assert verb in client.take()
    assert client.stream_id == 7
    client.feed(command(b"\x02\x00\x0bonFCPublish", b"\x02\x00", bytes([len(status)]), status))
    assert not client.ready
    client.feed(command(b"\x02\x00\x08onStatus", b"\x02\x00", bytes([len(status)]), status))
    assert client.ready


def test_a_refused_rtmp_join_is_an_error() -> None:
    client = greeted(publish=False)
    with pytest.raises(JoinError, match="_error"):
        client.feed(command(b"\x02\x00\x06_error", number(1)))


def test_a_frame_is_recognised_by_the_serial_it_was_stamped_with(tmp_path: Path) -> None:
    file = tmp_path / "clip.flv"
    clip.encode(file)
    source = clip.load(file)
    video = [frame for frame in source.frames if frame.type_id == VIDEO]
    audio = next(frame for frame in source.frames if frame.type_id == AUDIO)
    assert len(video) == clip.SECONDS * clip.FRAMES_PER_SECOND
    assert [frame.ms for frame in source.frames] == sorted(frame.ms for frame in source.frames)
    assert abs(source.bitrate / clip.BITRATE - 1) < 0.1
    assert clip.serial_of(video[3].stamped(0xABCDE)) == 0xABCDE
    assert len(video[3].stamped(1)) == len(video[3].body)
    assert audio.stamped(1) == audio.body
    assert clip.serial_of(audio.body) is None


def test_the_usage_of_this_very_process_is_plausible() -> None:
    usage = proc.usage(os.getpid())
    assert usage.cpu > 0
    assert usage.rss >= usage.dirty > 1_000_000


def test_a_table_is_markdown() -> None:
    assert report.table(["a", "b"], [["x", "1"]]) == "| a | b |\n| --- | ---: |\n| x | 1 |"


def test_the_live_edge_of_a_playlist_is_the_part_that_comes_next() -> None:
    text = (
        '#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:7\n#EXT-X-PART:DURATION=1,URI="7.0"\n#EXTINF:1,\n7\n'
        '#EXT-X-PART:DURATION=1,URI="8.0"\n#EXT-X-PRELOAD-HINT:TYPE=PART,URI="8.1"\n'
    )
    assert edge_of(text) == Edge(8, 1, "8.1")


def test_a_response_is_whole_when_its_length_says_so() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n"
    assert body_of(head[:-1]) is None
    assert body_of(head) == (len(head), len(head) + 3)
    with pytest.raises(ValueError, match="404"):
        body_of(b"HTTP/1.1 404 Not Found\r\n\r\n")


@given(number=st.integers(0, 100), key=st.booleans(), padding=st.integers(0, 40))
def test_a_frame_of_a_room_tells_who_sent_it_when_its_last_packet_has_come(
    number: int, key: bool, padding: int
) -> None:
    mark = room_media.stamp(7, 123_456_789)
    payloads = list(room_media.picture(number, mark, key=key))
    packets = [rtp(102, payload) for payload in payloads]
    packets[-1] = rtp(102, payloads[-1], marker=True, padding=padding)
    *rest, last = map(room_media.stamp_of, packets)
    assert rest == [None] * len(rest)
    assert last == room_media.Stamp(7, 123_456_789, key)


def test_a_sound_of_a_room_decodes_and_tells_who_sent_it() -> None:
    sounds = room_media.encode_sounds()
    mark = room_media.stamp(0xABCD, 5)
    opus = room_media.sound(sounds, 3, mark)
    assert room_media.stamp_of(rtp(111, opus, padding=9)) == room_media.Stamp(0xABCD, 5, True)
    decoder = av.CodecContext.create("libopus", "r")
    decoder.sample_rate, decoder.layout = 48_000, "mono"
    (frame,) = decoder.decode(av.Packet(opus))
    assert frame.samples == 960


def rtp(kind: int, payload: bytes, *, marker: bool = False, padding: int = 0) -> bytes:
    first = 0x90 | 0x20 * bool(padding)
    head = bytes([first, kind | 0x80 * marker]) + bytes(10) + b"\xbe\xde\x00\x01" + bytes(4)
    return head + payload + (bytes(padding - 1) + bytes([padding]) if padding else b"")


def test_three_of_eight_people_speak_at_a_time() -> None:
    for now in range(40):
        assert sum(room_media.level(who, now) < 60 for who in range(8)) == 3
