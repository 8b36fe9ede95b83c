"""Publishing FLV by HTTP POST: good files, broken files, silent and vanishing publishers."""

from __future__ import annotations

import logging

import pytest
import trio
import trio.testing
from kit.flv_port import MOVIE, flv_port, same, watching
from kit.http import HttpClient, OpenGate, http_client
from kit.logs import lines
from kit.media import sample_packets
from kit.node import patiently

from livetrio.access.gate import PublishGrant
from livetrio.errors import RefusalCode, Refused
from livetrio.packet import Kind, StreamKey
from livetrio.wire import flv

PACKETS = list(sample_packets(1.0))
MEDIA = [packet for packet in PACKETS if not packet.config]
HEADER = flv.file_header(audio=True, video=True)
FILE = HEADER + b"".join(map(flv.tag, PACKETS))
PATH = "/live/movie.flv"


async def push(client: HttpClient, data: bytes, size: int = 1 << 20) -> None:
    """Send data as chunks of a body that has begun."""
    pieces = [data[start : start + size] for start in range(0, len(data), size)]
    await client.send(b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces))


async def settled() -> None:
    await trio.testing.wait_all_tasks_blocked(0.01)


@pytest.mark.parametrize("size", [1, 7, 1000, 1 << 20])
async def test_a_pushed_file_reaches_the_viewers_whatever_its_chunks(size: int):
    async with flv_port() as port, http_client(port.port) as client:
        async with watching(port, early=True) as player:
            await client.ask(PATH, "POST", Transfer_Encoding="chunked")
            await player.accepted()
            await push(client, FILE, size)
            assert same(await player.until(len(MEDIA)), MEDIA)
            await client.send(b"0\r\n\r\n")
            assert (await client.response()).status == 200
            await player.to_the_end()
        await settled()
        assert port.registry.streams == {}  # a clean end: nobody waits for a return


async def test_a_body_of_known_length_is_as_good_and_the_connection_stays():
    async with flv_port() as port, http_client(port.port) as client:
        for _ in range(2):
            length = str(len(FILE))
            await client.ask(PATH, "POST", Content_Length=length, Expect="100-continue")
            assert (await client.head()).status == 100
            await client.send(FILE[:1000])
            await settled()
            stream = port.registry.streams[MOVIE]
            assert stream.packets_in > 0
            await client.send(FILE[1000:])
            assert (await client.response()).status == 200
            assert stream.packets_in == len(PACKETS)
            await settled()


async def test_a_publisher_without_a_body_is_told_what_is_missing(caplog):
    async with flv_port() as port, http_client(port.port) as client:
        await client.ask(PATH, "POST")
        assert (await client.response()).status == 411
        assert port.gate.asked == []


async def test_permission_is_asked_before_a_byte_of_the_body_is_wanted(caplog):
    class Closed(OpenGate):
        async def may_publish(self, app, name, query, peer):
            await self.may_play(app, name, query, peer)
            raise Refused(RefusalCode.FORBIDDEN, "unknown stream key", hint="auth: none allows it")

    caplog.set_level(logging.INFO)
    async with flv_port(gate=Closed()) as port, http_client(port.port) as client:
        await client.ask(f"{PATH}?token=t", "POST", Content_Length="9", Expect="100-continue")
        response = await client.response()
        assert (response.status, response.body) == (403, b"unknown stream key\n")
        assert await client.rest() == b""
        assert port.gate.asked == [("live", "movie", {"token": "t"}, "127.0.0.1")]
        assert port.registry.streams == {}
    assert lines(caplog)[0].fields["hint"] == "auth: none allows it"


async def test_the_key_of_a_publisher_is_in_no_log_and_no_list(caplog):
    class Keyed(OpenGate):
        async def may_publish(self, app, name, query, peer):
            return PublishGrant(StreamKey(app, "movie"), takeover=True)

    caplog.set_level(logging.DEBUG)
    async with flv_port(gate=Keyed()) as port, http_client(port.port) as client:
        await client.ask("/live/S3CRET.flv", "POST", Content_Length=str(len(FILE)))
        await client.send(FILE[:2000])
        await settled()
        (publisher,) = port.registry.streams[MOVIE].clients.values()
        assert (publisher.role, publisher.protocol) == ("publisher", "flv")
        assert "S3CRET" not in repr(publisher)
    assert "S3CRET" not in caplog.text
    assert all("S3CRET" not in str(line) for line in lines(caplog, at_least=logging.DEBUG))


BROKEN = {
    "no FLV at all": (b"RIFF" + bytes(100), "not an FLV file"),
    "a version to come": (b"FLV\x02\x05\x00\x00\x00\x09" + bytes(100), "not an FLV file"),
    "a lying header size": (b"FLV\x01\x05\xff\xff\xff\xff" + bytes(100), "file header of"),
    "a tag size that lies": (
        HEADER + b"\x09\x00\x00\x01" + bytes(7) + bytes(1) + b"\xee" * 40,
        "sizes before it lie",
    ),
    "an encrypted tag": (HEADER + b"\x29\x00\x00\x01" + bytes(7) + bytes(50), "encrypted"),
}


@pytest.mark.parametrize("name", BROKEN)
async def test_a_broken_file_is_refused_with_the_reason_and_harms_nobody_else(name: str, caplog):
    data, reason = BROKEN[name]
    other = StreamKey("live", "other")
    async with flv_port() as port, port.published(PACKETS, other) as publication:
        async with watching(port, target="/live/other.flv") as player:
            await player.until(len(MEDIA))
            async with http_client(port.port) as client:
                await client.ask(PATH, "POST", Transfer_Encoding="chunked")
                await push(client, data)
                response = await client.response()
                assert response.status == 400
                assert reason in response.body.decode()
                assert await client.rest() == b""
            publication.publish(MEDIA[:1])
            await player.until(len(MEDIA) + 1)
    (line,) = lines(caplog, at_least=logging.WARNING)
    assert line.event == "peer broke the protocol"
    assert reason in line.fields["reason"]


async def test_previous_tag_sizes_that_lie_are_nobodys_concern():
    tags = [flv.tag(packet) for packet in PACKETS]
    data = HEADER + b"".join(tag[:-4] + b"\xde\xad\xbe\xef" for tag in tags)
    async with flv_port() as port, watching(port, early=True) as player:
        async with http_client(port.port) as client:
            await client.ask(PATH, "POST", Content_Length=str(len(data)))
            await player.accepted()
            await client.send(data)
            assert same(await player.until(len(MEDIA)), MEDIA)


async def test_a_publisher_that_falls_silent_is_told_408_and_its_stream_waits(
    autojump_clock, caplog
):
    patiently(autojump_clock)
    async with flv_port(read_timeout=8.0, resume_window=10.0) as port:
        async with http_client(port.port) as client:
            await client.ask(PATH, "POST", Transfer_Encoding="chunked")
            await push(client, FILE[:3000])
            assert (await client.response()).status == 408
            assert 8 <= trio.current_time() <= 11
            assert await client.rest() == b""
        assert port.registry.streams[MOVIE].publication is None
        await trio.sleep(11)
        assert port.registry.streams == {}
    assert "no data for 8 s" in [line.fields.get("reason") for line in lines(caplog)]


async def test_a_slow_publisher_is_not_a_silent_one(autojump_clock):
    patiently(autojump_clock)
    async with flv_port(read_timeout=8.0) as port, http_client(port.port) as client:
        await client.ask(PATH, "POST", Content_Length=str(len(FILE)))
        step = len(FILE) // 10
        for start in range(0, len(FILE), step):
            await client.send(FILE[start : start + step])
            await trio.sleep(6)
        assert (await client.response()).status == 200


async def test_viewers_wait_for_the_return_of_a_publisher_that_vanished(caplog):
    async with flv_port() as port, watching(port, early=True) as player:
        async with http_client(port.port) as client:
            await client.ask(PATH, "POST", Transfer_Encoding="chunked")
            await player.accepted()
            await push(client, FILE[: len(FILE) // 2])
            await settled()
        await settled()
        assert port.registry.streams[MOVIE].publication is None
        seen = len(player.media)
        async with http_client(port.port) as client:
            await client.ask(PATH, "POST", Transfer_Encoding="chunked")
            await push(client, FILE)
            await player.until(seen + len(MEDIA))
        times = [p.dts for p in player.media if p.track.kind is Kind.VIDEO]
        assert times == sorted(times)


@pytest.mark.parametrize("takeover", [True, False])
async def test_a_second_publisher_takes_over_or_is_refused_as_the_gate_says(takeover: bool):
    async with flv_port(gate=OpenGate(takeover=takeover)) as port:
        async with http_client(port.port) as first, http_client(port.port) as second:
            await first.ask(PATH, "POST", Transfer_Encoding="chunked")
            await push(first, FILE)
            await settled()
            await second.ask(PATH, "POST", Transfer_Encoding="chunked")
            if takeover:
                assert await first.rest() == b""
                await push(second, FILE)
                await second.send(b"0\r\n\r\n")
                assert (await second.response()).status == 200
            else:
                assert (await second.response()).status == 409
                await first.send(b"0\r\n\r\n")
                assert (await first.response()).status == 200


@pytest.mark.parametrize("path", ["/live.flv", "/live/../x.flv", "/live/a%00b.flv"])
async def test_a_path_that_names_no_stream_is_invalid(path: str):
    async with flv_port() as port, http_client(port.port) as client:
        await client.ask(path, "POST", Content_Length="5")
        assert (await client.response()).status == 400
        assert port.gate.asked == []
