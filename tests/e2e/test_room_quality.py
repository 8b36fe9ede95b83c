"""Which simulcast layer Chromium gets, as member of a room and as viewer of a stream."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import jwt
import pytest
import trio
from kit.browser_media import FAKE_DEVICES, place, whep
from kit.chromium import chromium
from kit.lossy import LossyRelay, Weather, lossy_relay
from kit.node import node
from kit.room_page import RoomPage, room_pages

from livetrio.app import Running
from livetrio.config import ImTokenConfig
from livetrio.webrtc.slots.room_viewer import RoomViewerStatistics
from livetrio.webrtc.viewer import ViewerStatistics

pytestmark = pytest.mark.e2e

SECRET = "what the site signs its tokens with, 32 bytes or more"
RED, GREEN, BLUE = ("#b03030", 440), ("#30b030", 880), ("#3030b0", 1320)
CAMERA = """
// A camera whose picture stands still but for a small square, or is full of confetti.
window.busy = true;
navigator.mediaDevices.getUserMedia = async (wanted) => {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [960, 540];
  const pen = canvas.getContext("2d");
  let turn = 0;
  setInterval(() => {
    pen.fillStyle = "#b03030";
    pen.fillRect(0, 0, 960, 540);
    for (let piece = 0; window.busy && piece < 40; piece++) {
      pen.fillStyle = `hsl(${Math.random() * 360} 80% 50%)`;
      pen.fillRect(Math.random() * 920, Math.random() * 510, 40, 30);
    }
    pen.fillStyle = "#fff";
    pen.fillRect((turn = (turn + 4) % 960), 520, 16, 16);
  }, 66);
  const tracks = wanted.video ? canvas.captureStream(15).getTracks() : [];
  if (wanted.audio) tracks.push(...new AudioContext().createMediaStreamDestination().stream.getTracks());
  return new MediaStream(tracks);
};
"""  # noqa: E501
DETOUR = """
const [port, detour] = %s;
const real = RTCPeerConnection.prototype.setRemoteDescription;
RTCPeerConnection.prototype.setRemoteDescription = function ({type, sdp}) {
  return real.call(this, {type, sdp: sdp.replaceAll(` ${port} typ host`, ` ${detour} typ host`)});
};
"""
"""Media go through a relay."""


class Watching:
    """Two who watch the same seat: the room's audience (bob) and a stream's viewer (carl)."""

    def __init__(self, server: Running, ann: RoomPage, paths: list[LossyRelay]) -> None:
        self.server = server
        self.ann = ann
        self.paths = paths

    def layers(self) -> list[int | None]:
        """What each is sent now; None: no picture."""
        found: dict[str, int | None] = {"bob": None, "carl": None}
        for _, client in self.server.registry.clients():
            match client.statistics():
                case RoomViewerStatistics(slots=slots):
                    shown = [slot.layer for slot in slots if slot.layer is not None]
                    if shown:  # ann is not shown herself
                        found["bob"] = shown[0]
                case ViewerStatistics(layer=layer):
                    found["carl"] = layer
        return list(found.values())

    async def until(self, right: Callable[[list[int | None]], bool], deadline: float) -> float:
        """Wait until the layers are right; how long that took."""
        begun = trio.current_time()
        with trio.move_on_after(deadline):
            while not right(self.layers()):  # noqa: ASYNC110 - estimates have no event
                await trio.sleep(0.05)
            return trio.current_time() - begun
        raise AssertionError(f"after {deadline} s the layers are {self.layers()}")

    async def stays(self, layers: list[int | None], seconds: float) -> None:
        """They are these, all the time."""
        with trio.move_on_after(seconds):
            while True:
                assert self.layers() == layers
                await trio.sleep(0.1)

    async def moves(self, busy: bool) -> None:
        await self.ann.browser.js("window.busy = arguments[0]", busy)


@asynccontextmanager
async def watching() -> AsyncIterator[Watching]:
    calm = [Weather(loss=0, duplicates=0, jitter=0) for _ in range(2)]
    async with (
        node(token=ImTokenConfig(secret=SECRET), guests=True, guest_roles=("host",)) as server,
        lossy_relay(("127.0.0.1", server.addresses["webrtc"].port), calm[0]) as one,
        lossy_relay(("127.0.0.1", server.addresses["webrtc"].port), calm[1]) as two,
        chromium("--lang=en", *FAKE_DEVICES) as browser,
    ):
        url = place(server, "web", "/room?room=live/party&kind=video&free=1")
        ann, bob, carl = await room_pages(browser, url, RED, GREEN, BLUE)
        await ann.browser.prepare(CAMERA)
        port = server.addresses["webrtc"].port
        for page, relay in ((bob, one), (carl, two)):
            await page.browser.prepare(DETOUR % [port, relay.address[1]])
        await ann.enter("Ann")
        await bob.enter("Bob", seat=False)
        await carl.browser.open(place(server, "web", "/blank"))
        proof = jwt.encode({"sub": "carl", "roles": ["moderator"]}, SECRET)
        await whep(carl.browser, place(server, "web", f"/live/party/1/whep?token={proof}"))
        here = Watching(server, ann, [one, two])
        await here.until([0, 0].__eq__, 30)
        yield here


async def test_a_picture_that_stands_still_and_moves_again_keeps_its_layer() -> None:
    async with watching() as here:
        for _ in range(2):
            await here.moves(busy=False)
            await here.stays([0, 0], 10)
            await here.moves(busy=True)
            await here.stays([0, 0], 8)


async def test_too_narrow_a_path_gets_the_small_layer_within_seconds_and_a_wide_one_the_large(
    record_property: Callable[[str, object], None],
) -> None:
    async with watching() as here:
        await trio.sleep(8)  # what estimates take to begin
        for path in here.paths:
            path.weather.width = 600_000
        took = await here.until([1, 1].__eq__, 10)
        print(f"down after {took:.1f} s")
        record_property("down after, s", took)
        await here.stays([1, 1], 3)
        for path in here.paths:
            path.weather.width = 1e9
        took = await here.until([0, 0].__eq__, 60)
        print(f"up again after {took:.1f} s")
