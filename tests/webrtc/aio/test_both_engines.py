"""WHIP and WHEP over either engine: the same requests, the same answers, the same media."""

from __future__ import annotations

import pytest
import trio
from kit.control import soon
from kit.engines import ENGINES, SDP, engine_stage, publishing_peer, watching_peer
from kit.node import Traces
from kit.sdp import offer

from livetrio.packet import Codec, StreamKey
from livetrio.wire.rtp.header import parse_rtp

KEY = StreamKey("live", "movie")
FRAGMENT = {"Content-Type": "application/trickle-ice-sdpfrag"}

pytestmark = pytest.mark.parametrize("engine", ENGINES)


async def until(condition) -> None:
    with trio.fail_after(20):
        while not condition():  # noqa: ASYNC110
            await trio.sleep(0.01)


def seen(on, codecs) -> bool:
    stream = on.registry.streams.get(KEY)
    return stream is not None and {t.codec for t in stream.tracks if t.config or True} == codecs


async def test_what_one_peer_publishes_is_a_stream_and_what_another_watches(engine) -> None:
    async with engine_stage(engine) as on, publishing_peer(on):
        await until(lambda: seen(on, {Codec.H264, Codec.OPUS}))
        stream = on.registry.streams[KEY]
        publisher = next(iter(stream.clients.values()))
        assert publisher.protocol == "whip"
        assert publisher.numbers().bytes_in > 0
        assert ":" in publisher.address
        async with watching_peer(on) as viewer:
            got = set()
            viewer.on_rtp = lambda data, arrival: got.add(parse_rtp(data).ssrc)
            await until(lambda: len(got) == 2)
            client = next(c for c in stream.clients.values() if c.role == "player")
            assert client.numbers().bytes_out > 0
            gone = await on.app.test_client().delete(viewer.created.headers["Location"])
            assert gone.status_code == 200
            await viewer.scope.wait_closed()
        await until(lambda: client.id not in stream.clients)
