"""The pages in a browser: publish from one, watch in the other, by whatever gets through."""

from __future__ import annotations

from pathlib import Path

import pytest
from kit.browser_media import FAKE_DEVICES, place
from kit.chromium import Browser, chromium
from kit.ffmpeg import publishing
from kit.lossy import Weather, lossy_relay
from kit.node import FREE, node
from kit.programs import eventually

from livetrio.app import Running
from livetrio.config import Address, Endpoint, ListenConfig, WebrtcConfig

GO_LIVE = """
const [app, key] = arguments;
document.getElementById("app").value = app;
document.getElementById("key").value = key;
document.getElementById("name").value = "show";
document.getElementById("size").value = "360";
document.getElementById("form").requestSubmit();
"""
TEXT = "return document.getElementById(arguments[0])?.textContent ?? ''"
BEHIND_A_RELAY = """
const set = RTCPeerConnection.prototype.setRemoteDescription;
RTCPeerConnection.prototype.setRemoteDescription = function ({type, sdp}) {
  sdp = sdp.replaceAll(" %d typ host", " %d typ host");
  sdp = sdp.replace(/^a=candidate:.* tcp .*\\r\\n/gm, "");
  return set.call(this, {type, sdp});
};
window.restarts = 0;
const ask = window.fetch;
window.fetch = async (url, options = {}) => {
  const answer = await ask(url, options);
  if (options.method === "PATCH" && answer.status === 200) window.restarts += 1;
  return answer;
};
"""
NOWHERE = WebrtcConfig(address=Address("127.0.0.1", 0), public_addresses=("127.0.0.2",))
"""The browser is told an address where nobody listens."""


async def shows(browser: Browser, element: str, text: str, *, deadline: float = 40) -> None:
    """Wait until an element of the page has this text in it."""
    said = ""

    async def has() -> bool:
        nonlocal said
        said = await browser.js(TEXT, element)
        return text in said

    try:
        await browser.until(has, deadline=deadline)
    except AssertionError:
        console = "\n".join(await browser.console())
        raise AssertionError(f"#{element} says {said!r}, not {text!r}\n{console}") from None


async def go_live(browser: Browser, server: Running, *, app: str = "live", key: str = "") -> None:
    """Open the publish page and press its button."""
    await browser.open(place(server, "web", "/publish"))

    async def is_ready() -> bool:
        return bool(await browser.js("return !document.getElementById('go').disabled"))

    await browser.until(is_ready)
    await browser.js(GO_LIVE, app, key)


async def test_what_the_publish_page_sends_the_player_page_shows_by_webrtc() -> None:
    async with (
        node() as server,
        chromium(*FAKE_DEVICES) as publisher,
        chromium() as viewer,
    ):
        await go_live(publisher, server)
        await shows(publisher, "state", "Live")
        await viewer.open(place(server, "web", "/player?stream=live/show"))
        await viewer.playing()
        await shows(viewer, "way", "WebRTC")
        await shows(viewer, "facts", " ms")  # the delay, below a second
        await shows(publisher, "facts", "bit/s")
        assert await publisher.console() == []
        assert await viewer.console() == []


async def test_the_publish_page_comes_back_when_its_session_is_ended() -> None:
    async with node() as server, chromium(*FAKE_DEVICES) as browser:
        await go_live(browser, server)
        await shows(browser, "state", "Live")
        ((_, first),) = server.registry.clients()
        await server.registry.end_client(first.id, "an operator")
        await eventually(lambda: any(c.id != first.id for _, c in server.registry.clients()))
        await shows(browser, "state", "Live")


async def test_the_publish_page_restarts_ice_when_its_network_was_away() -> None:
    calm = Weather(loss=0, duplicates=0, jitter=0)
    async with node() as server:
        port = server.addresses["webrtc"].port
        async with (
            lossy_relay(("127.0.0.1", port), calm) as relay,
            chromium(*FAKE_DEVICES) as browser,
        ):
            await browser.prepare(BEHIND_A_RELAY % (port, relay.address[1]))
            await go_live(browser, server)
            await shows(browser, "state", "Live")
            ((key, publisher),) = server.registry.clients()
            stream = server.registry.streams[key]
            relay.weather.loss = 1

            async def restarted() -> bool:
                return bool(await browser.js("return window.restarts"))

            await browser.until(restarted)
            relay.weather.loss = 0
            before = stream.packets_in
            await eventually(lambda: stream.packets_in > before + 100)
            assert [client.id for _, client in server.registry.clients()] == [publisher.id]


async def test_the_publish_page_says_why_it_was_refused_and_goes_live_with_the_key() -> None:
    async with node() as server, chromium(*FAKE_DEVICES) as browser:
        key = await server.keys.get("show")
        await go_live(browser, server, app="keyed", key="wrong")
        await shows(browser, "notice", "refused")
        await go_live(browser, server, app="keyed", key=key)
        await shows(browser, "state", "Live")
        assert [str(stream) for stream in server.registry.streams] == ["keyed/show"]


@pytest.mark.parametrize(("flv", "way"), [(FREE, "HTTP-FLV"), (Endpoint(), "HLS")])
async def test_the_player_falls_back_to_what_gets_through(
    clip: Path, flv: Endpoint, way: str
) -> None:
    none = Endpoint()
    listen = ListenConfig(
        rtmp=FREE, httpflv=flv, hls=FREE, web=FREE, api=none, im=none, goim_tcp=none,
        goim_push=none,
    )  # fmt: skip
    async with node(listen=listen, webrtc=NOWHERE) as server:
        async with publishing(clip, place(server, "rtmp", "/live/x"), loop=True):
            async with chromium() as browser:
                await browser.open(place(server, "web", "/player?stream=live/x"))
                await browser.playing(deadline=60)
                await shows(browser, "way", way)
