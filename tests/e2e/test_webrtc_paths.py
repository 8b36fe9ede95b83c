"""Ways to the gateway other than the plain one: TURN, TCP, a NAT that forgets, bad weather."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
from kit.browser_media import FAKE_DEVICES, frames_sent, place, watch, whep, whip
from kit.chromium import chromium
from kit.coturn import SECRET, turnserver
from kit.ffmpeg import make_clip, newer_ffmpeg, publishing
from kit.lossy import Weather, lossy_relay
from kit.node import node

from livetrio.app import Running
from livetrio.config import TurnConfig

CALM = Weather(loss=0, duplicates=0, jitter=0)
STORM = Weather()
"""20 % loss, 10 % duplicates, up to 200 ms of delay; each way."""


@pytest.fixture(scope="session")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clip that WebRTC carries as it is: no rendition stands between these tests and the path."""
    encoding = (
        *("-c:v", "libx264", "-preset", "ultrafast", "-bf", "0", "-g", "25", "-b:v", "400k"),
        *("-c:a", "libopus", "-b:a", "64k"),
    )
    return make_clip(tmp_path_factory.mktemp("plain") / "clip.flv", *encoding, newer=True)


def publishing_plain(server: Running, clip: Path):
    codecs = ("-rtmp_enhanced_codecs", "Opus,avc1")
    url = place(server, "rtmp", "/live/x")
    return publishing(clip, url, exe=newer_ffmpeg(), loop=True, options=codecs)


def instead(server: Running, port: int) -> list[tuple[str, str]]:
    """What to rewrite in an answer, so that a relay stands between browser and gateway."""
    return [(f" {server.addresses['webrtc'].port} typ host", f" {port} typ host")]


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_a_browser_that_reaches_nothing_but_a_relay_plays_through_it(
    tmp_path: Path, plain: Path, transport: str
) -> None:
    open_to_us = {"allowed_peer_ip": "127.0.0.1", "allow_loopback_peers": " "}
    async with turnserver(tmp_path, **open_to_us) as (port, _):
        turn = TurnConfig(urls=(f"turn:127.0.0.1:{port}?transport={transport}",), secret=SECRET)
        async with (
            node(turn=turn) as server,
            publishing_plain(server, plain),
            chromium() as browser,
        ):
            await browser.open(place(server, "web", "/blank"))
            told = await browser.js("return (await fetch('/v1/turn?app=live&stream=x')).json()")
            server_ = {
                "urls": told["uris"], "username": told["username"],
                "credential": told["password"],
            }  # fmt: skip
            url = place(server, "web", "/live/x/whep")
            await whep(browser, url, ice_servers=[server_], policy="relay")
            watched = await watch(browser)
    assert watched.pair["local"]["candidateType"] == "relay"
    assert watched.pair["local"]["relayProtocol"] == transport
    assert watched.energy > 0


async def test_a_browser_without_udp_plays_over_tcp(plain: Path) -> None:
    async with (
        node() as server,
        publishing_plain(server, plain),
        chromium() as browser,
    ):
        await browser.open(place(server, "web", "/blank"))
        await whep(browser, place(server, "web", "/live/x/whep"), only="tcp")
        watched = await watch(browser)
    assert watched.pair["remote"]["protocol"] == "tcp"
    assert watched.energy > 0


async def test_a_viewer_whose_address_changes_in_mid_stream_keeps_playing(plain: Path) -> None:
    async with (
        node() as server,
        lossy_relay(("127.0.0.1", server.addresses["webrtc"].port), CALM) as nat,
        publishing_plain(server, plain),
        chromium() as browser,
    ):
        await browser.open(place(server, "web", "/blank"))
        rewrite = instead(server, nat.address[1])
        await whep(browser, place(server, "web", "/live/x/whep"), only="udp", rewrite=rewrite)
        await watch(browser, 3)
        session = await browser.js("return window.session")
        before = {client.address for _, client in server.registry.clients()}
        nat.rebind()
        await watch(browser)
        after = {client.address for _, client in server.registry.clients()}
        assert await browser.js("return window.session") == session
        assert len(before - after) == len(after - before) == 1


async def test_a_viewer_in_bad_weather_still_sees_and_hears(plain: Path) -> None:
    async with (
        node() as server,
        lossy_relay(("127.0.0.1", server.addresses["webrtc"].port), CALM) as relay,
        publishing_plain(server, plain),
        chromium() as browser,
    ):
        await browser.open(place(server, "web", "/blank"))
        rewrite = instead(server, relay.address[1])
        await whep(browser, place(server, "web", "/live/x/whep"), only="udp", rewrite=rewrite)
        await watch(browser, 1)
        relay.weather = STORM
        await trio.sleep(2)
        watched = await watch(browser, freezes=True)
    assert relay.lost > 100
    assert watched.frames > 5 * watched.time
    assert watched.energy > 0


async def test_a_publisher_in_bad_weather_is_still_seen_and_heard() -> None:
    async with (
        node() as server,
        lossy_relay(("127.0.0.1", server.addresses["webrtc"].port), CALM) as relay,
        chromium(*FAKE_DEVICES) as one,
        chromium() as other,
    ):
        for browser in (one, other):
            await browser.open(place(server, "web", "/blank"))
        rewrite = instead(server, relay.address[1])
        await whip(one, place(server, "web", "/live/x/whip"), only="udp", rewrite=rewrite)
        await whep(other, place(server, "web", "/live/x/whep"))
        await watch(other, 1)
        relay.weather = STORM
        await trio.sleep(2)
        before = await frames_sent(one)
        watched = await watch(other, freezes=True)
        sent = await frames_sent(one) - before
    assert relay.lost > 100
    # Chromium itself sends far fewer than on a fair path
    assert watched.frames > 0.7 * sent > 10
    assert watched.energy > 0
