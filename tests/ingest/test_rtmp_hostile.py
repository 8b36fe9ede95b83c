"""Hostile clients at the RTMP port: each is closed with its reason, and harms nobody beside it."""

from __future__ import annotations

import logging
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
import trio
from kit.crowd import Tag
from kit.logs import Line, lines
from kit.node import node, patiently
from kit.rtmp import HANDSHAKE, command, connect_command
from kit.rtmp_peers import (
    Healthy,
    RtmpPeer,
    bystanders,
    clip,
    peer,
    player,
    publisher,
    said,
    said_about,
    shifted,
)

from livetrio.app import Running
from livetrio.wire.rtmp.chunk_writer import encode_message

CONNECTED = HANDSHAKE + connect_command()


def set_chunk_size(value: int, size: int = 4) -> bytes:
    return encode_message(1, 0, 0, 2, value.to_bytes(4, "big")[:size], 128)


def announced(csid: int, length: int, type_id: int = 9) -> bytes:
    """The head of a message, and nothing of the message."""
    return bytes([csid]) + bytes(3) + length.to_bytes(3, "big") + bytes([type_id, 1, 0, 0, 0])


def csid_64_up(csid: int) -> bytes:
    """A whole message of no bytes on a chunk stream with a number of two bytes."""
    return bytes([1]) + (csid - 64).to_bytes(2, "little") + bytes(6) + b"\x09\x01\0\0\0"


BOMBS = {
    "HTTP": (b"GET /live/x.flv HTTP/1.1\r\nHost: h\r\n\r\n", "HTTP"),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500), "TLS hello"),
    "version 0": (b"\x00" + HANDSHAKE[1:], "version"),
    "version 2": (b"\x02" + HANDSHAKE[1:], "version"),
    "RTMPE": (b"\x06" + HANDSHAKE[1:], "RTMPE"),
    "version 255": (b"\xff" + HANDSHAKE[1:], "not RTMP"),
    "noise behind the handshake": (HANDSHAKE + random.Random(1).randbytes(20_000), ""),
    "a type 3 chunk first": (HANDSHAKE + b"\xc3" + bytes(200), "type 3 opens"),
    "many chunk streams": (
        CONNECTED + b"".join(csid_64_up(csid) for csid in range(64, 200)),
        "more than 64 chunk streams",
    ),
    "a long message of nobody": (CONNECTED + announced(5, 0xFFFFFF), "message of 16777215 bytes"),
    "a chunk size of 0": (CONNECTED + set_chunk_size(0), "SetChunkSize to 0"),
    "a chunk size of 2^31": (CONNECTED + set_chunk_size(1 << 31), "SetChunkSize to 2147483648"),
    "half a chunk size": (CONNECTED + set_chunk_size(1, 2), "SetChunkSize of 2 bytes"),
    "publish before connect": (
        HANDSHAKE + command("publish", 2, None, "x", "live", stream_id=1),
        "before connect",
    ),
    "publish before createStream": (
        CONNECTED + command("publish", 2, None, "x", "live", stream_id=1),
        "not created",
    ),
    "connect twice": (CONNECTED + connect_command(), "connect twice"),
    "AMF 70,000 deep": (
        HANDSHAKE + encode_message(20, 0, 0, 3, b"\x0a\0\0\0\1" * 10_000, 128),
        "",
    ),
    "a string of 4 GB": (
        HANDSHAKE + encode_message(20, 0, 0, 3, b"\x0c\xff\xff\xff\xff", 128),
        "",
    ),
    "an aggregate that lies": (
        CONNECTED + encode_message(22, 0, 1, 6, b"\x09\xff\xff\xff" + bytes(20), 128),
        "aggregate",
    ),
    "a name of 64 KB": (
        CONNECTED
        + command("createStream", 2, None)
        + command("publish", 3, None, "a" * 65_000, "live", stream_id=1),
        "address longer than 4096",
    ),
    "an app out of bounds": (HANDSHAKE + connect_command("../etc", "rtmp://h/../etc"), "connect"),
    "an app with line breaks": (HANDSHAKE + connect_command("a", "rtmp://h/a\r\nb"), "connect"),
}


@pytest.mark.parametrize("bomb", BOMBS)
async def test_who_breaks_the_protocol_is_closed_with_the_reason_and_harms_nobody(bomb, caplog):
    caplog.set_level(logging.INFO)
    data, words = BOMBS[bomb]
    async with node() as running, bystanders(running) as healthy, peer(running) as one:
        await one.send(data)
        await healthy.check()
        await one.stream.send_eof()
        await one.hung_up()
        (said,) = said_about(caplog, one)
        assert words in said
        assert "bug" not in caplog.text


@pytest.mark.parametrize("cut", [1, 1536])
async def test_a_client_that_leaves_in_the_handshake_is_a_line_in_the_log(cut, caplog):
    caplog.set_level(logging.INFO)
    async with node() as running, peer(running) as one:
        await one.send(HANDSHAKE[:cut])
        await one.stream.send_eof()
        await one.hung_up()
        assert said_about(caplog, one) == ["in the handshake ()"]


@asynccontextmanager
async def kept_healthy(running: Running) -> AsyncIterator[Healthy]:
    """Bystanders that are busy while the test lets time pass."""
    done = trio.Event()

    async def go_on(healthy: Healthy) -> None:
        while not done.is_set():
            await trio.sleep(3)
            await healthy.check()

    async with bystanders(running) as healthy, trio.open_nursery() as nursery:
        nursery.start_soon(go_on, healthy)
        yield healthy
        done.set()


STALLS = {
    "nothing": (b"", "handshake not finished in time"),
    "one byte": (HANDSHAKE[:1], "handshake not finished in time"),
    "half a C1": (HANDSHAKE[:1000], "handshake not finished in time"),
    "1536 bytes": (HANDSHAKE[:1536], "handshake not finished in time"),
    "3072 bytes": (HANDSHAKE[:3072], "handshake not finished in time"),
    "the handshake": (HANDSHAKE, "neither published nor played"),
    "connect": (CONNECTED, "neither published nor played"),
    "createStream": (CONNECTED + command("createStream", 2, None), "neither published nor played"),
    "half a message": (CONNECTED + announced(5, 1000), "neither published nor played"),
}


@pytest.mark.parametrize("stall", STALLS)
async def test_who_stops_talking_is_closed_after_the_read_timeout(stall, autojump_clock, caplog):
    caplog.set_level(logging.INFO)
    patiently(autojump_clock)
    data, words = STALLS[stall]
    async with node(read_timeout=10) as running, kept_healthy(running), peer(running) as one:
        began = trio.current_time()
        await one.send(data)
        await one.hung_up()
        assert trio.current_time() - began < 10 + 2.5
        (said,) = said_about(caplog, one)
        assert words in said


async def test_who_talks_a_byte_a_second_is_closed_at_the_same_time(autojump_clock, caplog):
    caplog.set_level(logging.INFO)
    patiently(autojump_clock)
    async with node(read_timeout=10) as running, kept_healthy(running), peer(running) as one:
        began = trio.current_time()
        async with trio.open_nursery() as nursery:

            async def drip() -> None:
                for byte in HANDSHAKE:
                    await one.send(bytes([byte]))
                    await trio.sleep(1)

            nursery.start_soon(drip)
            await one.hung_up()
            nursery.cancel_scope.cancel()
        assert trio.current_time() - began < 10 + 3
        assert said_about(caplog, one) == ["handshake not finished in time ()"]


NAMES = {
    "parent folder": "../../etc/passwd",
    "encoded parent folder": "%2e%2e/x",
    "NUL": "a\0b",
    "line break": "a\r\nlevel=error forged=yes",
    "4 KB": "a" * 4000,
    "empty": "",
    "backslash": "a\\b",
    "double slash": "a//b",
}


@pytest.mark.parametrize("verb", ["publish", "play"])
@pytest.mark.parametrize("name", NAMES)
async def test_a_name_that_cannot_be_one_is_refused_and_the_client_closed(
    name, verb, autojump_clock, caplog
):
    caplog.set_level(logging.INFO)
    patiently(autojump_clock)
    async with node(read_timeout=10) as running, kept_healthy(running), peer(running) as one:
        await one.connect()
        await one.create_stream()
        await one.call(verb, None, NAMES[name], stream_id=1)
        code = "NetStream.Publish.BadName" if verb == "publish" else "NetStream.Play.Failed"
        await one.status(code)
        assert one.descriptions[-1].startswith("name ")
        await one.hung_up()
        refusal, end = said_about(caplog, one)
        assert refusal.startswith("name ")
        assert "neither published nor played" in end
        assert len(running.registry.streams) == 1
        assert len(caplog.text) < 20_000


@pytest.mark.parametrize(
    "name", ["|;$(reboot)", "直播", "a b", "<script>", "%41", "a?token=secret"]
)
async def test_a_name_that_only_looks_dangerous_is_a_name(name):
    async with node() as running, publisher(running, name) as source:
        async with player(running, name) as viewer:
            await source.send_media(clip())
            await viewer.until(lambda: len(viewer.media[1]) == len(clip()))
        (key,) = running.registry.streams
        assert "secret" not in str(key)


@pytest.mark.parametrize("name", [None, False, True, 17.0, {"x": 1}])
async def test_a_name_that_is_no_text_publishes_nothing(name):
    async with node() as running, bystanders(running), peer(running) as one:
        await one.connect()
        await one.create_stream()
        await one.call("publish", None, name, "live", stream_id=1)
        await one.call("createStream", None)
        await one.until(lambda: len(one.results) >= 3)
        assert "NetStream.Publish.Start" not in one.codes


async def test_asking_for_streams_without_end_gives_a_few():
    async with node() as running, bystanders(running) as healthy, peer(running) as one:
        await one.connect()
        await one.send(said("createStream", 9, None) * 2000)
        await healthy.check()
        last = await one.call("createStream", None)
        await one.until(lambda: last in one.results)
        assert one.codes.count("NetConnection.Call.Failed") == 2000 - 16 + 1


async def test_asking_for_bad_names_without_end_is_few_lines(caplog):
    caplog.set_level(logging.INFO)
    async with node() as running, bystanders(running) as healthy, peer(running) as one:
        await one.connect()
        await one.create_stream()
        await one.send(said("play", 0, None, "..", stream_id=1) * 1000)
        await one.until(lambda: one.codes.count("NetStream.Play.Failed") == 1000)
        await healthy.check()
        assert len(said_about(caplog, one)) <= 10


async def test_what_a_publisher_leaves_unfinished_is_bounded(caplog):
    caplog.set_level(logging.INFO)
    chunk = 4 << 20
    async with node() as running, bystanders(running) as healthy:
        async with publisher(running) as one:
            await one.send(set_chunk_size(chunk))
            with pytest.raises(trio.BrokenResourceError):  # noqa: PT012 - closed amid the sends
                for csid in range(10, 20):
                    await one.send(announced(csid, 0xFFFFFF) + bytes(chunk))
                await one.hung_up()
                raise trio.BrokenResourceError
            await healthy.check()
            (said,) = said_about(caplog, one)
            assert "bytes of unfinished messages" in said


async def test_one_byte_per_segment_is_slow_and_right():
    async with node() as running, bystanders(running), peer(running) as one:
        one.stream.setsockopt(trio.socket.IPPROTO_TCP, trio.socket.TCP_NODELAY, 1)
        for byte in CONNECTED + command("createStream", 2, None):
            await one.send(bytes([byte]))
        await one.until(lambda: one.results.get(2) == 1)


async def test_a_megabyte_in_one_segment_is_all_heard():
    many = [*clip()[:3]]
    for second in range(20):
        many += shifted(clip()[3:], 1000 * second)
    many.append(Tag(9, 20_000, b"\x12" + bytes(1 << 20)))
    async with node() as running, publisher(running) as source, player(running) as viewer:
        await source.send_media(many)
        await viewer.until(lambda: viewer.media[1] and len(viewer.bodies()[-1]) > 1 << 20)


def closed(line: Line, one: RtmpPeer) -> bool:
    return line.event == "connection closed" and line.fields["peer"] == one.address


async def test_a_flood_of_commands_from_one_who_never_reads_is_bounded(caplog):
    caplog.set_level(logging.DEBUG)
    async with node() as running, bystanders(running) as healthy:
        sock = trio.socket.socket()
        sock.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_RCVBUF, 4096)
        await sock.connect(tuple(running.addresses["rtmp"]))
        async with trio.SocketStream(sock) as stream:
            one = RtmpPeer(stream)
            await one.connect()
            flood = said("FCSubscribe", 2, None, "x" * 250) * 1000
            with pytest.raises(trio.BrokenResourceError):  # noqa: PT012 - it is long
                while True:
                    await one.send(flood)
            await healthy.check()
            (line,) = [n for n in lines(caplog, at_least=logging.DEBUG) if closed(n, one)]
            assert "queue is full" in line.fields["reason"] or "stalled" in line.fields["reason"]


async def test_a_storm_of_pauses_ends_that_player_and_no_other(caplog):
    caplog.set_level(logging.INFO)
    async with node() as running, bystanders(running):
        async with publisher(running, "other"), player(running, "other") as viewer:
            with suppress(AssertionError, trio.BrokenResourceError):
                for number in range(2000):
                    await viewer.call("pause", None, number % 2 == 0, 0, stream_id=1)
            await viewer.hung_up()
            assert "too many commands" in str(said_about(caplog, viewer))
