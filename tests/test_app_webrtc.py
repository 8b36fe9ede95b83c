"""What app.py puts together for WebRTC: engines, relays, operations; over loopback, in-process."""

from __future__ import annotations

import json

import pytest
import trio
from kit.http import http_client
from kit.node import node
from kit.rtmp_peers import clip, publisher, shifted
from kit.sdp import offer

from livetrio.config import WebrtcConfig
from livetrio.packet import StreamKey


async def post(port: int, path: str, body: bytes, kind: str) -> tuple[int, bytes, dict]:
    async with http_client(port) as client:
        head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\n"
        await client.send(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        response = await client.response()
        return response.status, response.body, response.headers


@pytest.mark.parametrize(("engine", "lite"), [("gateway", True), ("aiortc", False)])
async def test_the_engine_is_the_one_that_is_configured(engine, lite):
    async with node(engine=engine) as running:
        port = running.addresses["web"].port
        text = offer("chromium-publish").encode()
        status, body, _ = await post(port, "/live/x/whip", text, "application/sdp")
        assert status == 201
        assert (b"a=ice-lite" in body) is lite


async def test_a_stream_is_pushed_by_whip_when_the_api_says_so():
    async with node() as there, node() as here, publisher(here) as source:
        await source.send_media(clip(2.0))
        url = f"whip://127.0.0.1:{there.addresses['web'].port}/live/copy/whip"
        asked = {"kind": "push", "app": "live", "name": "x", "url": url}
        api = here.addresses["api"].port
        status, body, _ = await post(
            api, "/v1/relays", json.dumps(asked).encode(), "application/json"
        )
        assert status == 201, body
        with trio.fail_after(20):
            for second in range(2, 200):
                if StreamKey("live", "copy") in there.registry.streams:
                    break
                await source.send_media(shifted(clip(1.0), second * 1000))
                await trio.sleep(0.1)
        assert there.registry.streams[StreamKey("live", "copy")].protocol == "whip"


async def test_with_webrtc_off_there_is_no_whip():
    async with node(webrtc=WebrtcConfig(address=None)) as running:
        port = running.addresses["web"].port
        status, _, _ = await post(port, "/live/x/whip", b"v=0", "application/sdp")
        assert status in (404, 405)
        assert "webrtc" not in running.addresses
