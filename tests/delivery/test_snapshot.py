"""Snapshots: the newest key frame as a JPEG, decoded once."""

from __future__ import annotations

import io
from contextlib import asynccontextmanager

import av
import pytest
import trio
from kit.http import OpenGate, get, serving
from kit.media import avc_frame, avc_track, sample_packets

import livetrio.delivery.snapshot as snapshot
from livetrio.media.client import Client
from livetrio.media.registry import open_registry
from livetrio.net.scope import open_scope
from livetrio.packet import Kind, Packet, StreamKey

KEY = StreamKey("live", "movie")


@asynccontextmanager
async def published(packets):
    async with open_scope("test", "publisher") as scope, open_registry(resume_window=0) as registry:
        client = Client("publisher", "rtmp", scope)
        async with registry.publish(KEY, client, takeover=False) as publication:
            publication.publish(list(packets))
            async with serving(*snapshot.Snapshots(registry, OpenGate()).routes()) as port:
                yield port, publication


def size(data: bytes) -> tuple[int, int]:
    with av.open(io.BytesIO(data)) as container:
        (frame,) = container.decode(video=0)
        return frame.width, frame.height


async def test_the_last_key_frame_is_sent_as_a_jpeg():
    async with published(sample_packets(2.0, width=128, height=96)) as (port, _):
        response = await get(port, "/live/movie.jpg")
        assert response.headers["content-type"] == "image/jpeg"
        assert size(response.body) == (128, 96)


async def test_a_width_may_be_asked_for_and_the_height_follows():
    async with published(sample_packets(2.0, width=128, height=96)) as (port, _):
        assert size((await get(port, "/live/movie.jpg?width=64")).body) == (64, 48)


async def test_however_many_ask_a_key_frame_is_decoded_once(monkeypatch):
    decoded = []
    real = snapshot.jpeg
    monkeypatch.setattr(snapshot, "jpeg", lambda *how: decoded.append(how) or real(*how))
    async with published(sample_packets(2.0)) as (port, publication):
        async with trio.open_nursery() as nursery:
            for _ in range(10):
                nursery.start_soon(get, port, "/live/movie.jpg")
        assert len(decoded) == 1
        publication.publish([p for p in sample_packets(4.0) if p.dts >= 2_000_000])
        await get(port, "/live/movie.jpg")
        assert len(decoded) == 2


@pytest.mark.parametrize("query", ["width=x", "width=-2", "width=99999", "width=9" * 50])
async def test_a_width_that_makes_no_sense_is_refused(query):
    async with published(sample_packets(1.0)) as (port, _):
        assert (await get(port, f"/live/movie.jpg?{query}")).status == 400


async def test_without_a_stream_or_a_picture_the_answer_is_not_found():
    sound = [p for p in sample_packets(1.0) if p.track.kind is Kind.AUDIO]
    async with published(sound) as (port, _):
        assert (await get(port, "/live/nobody.jpg")).status == 404
        assert (await get(port, "/live/movie.jpg")).status == 404


async def test_a_key_frame_that_cannot_be_decoded_is_said_and_harms_nobody():
    track = avc_track()
    packets = [Packet(track, 0, 0, track.config, config=True)]
    async with published([*packets, Packet(track, 0, 0, b"\0\0\0\2\x65\xff", key=True)]) as (
        port,
        publication,
    ):
        assert (await get(port, "/live/movie.jpg")).status == 503
        publication.publish([Packet(track, 40_000, 40_000, avc_frame(key=True), key=True)])
        assert (await get(port, "/live/movie.jpg")).status == 200
