"""A co-host room with real programs: ffmpeg on the seats, Chromium in the audience."""

from __future__ import annotations

import json
import subprocess
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import trio
from kit.browser_media import place
from kit.centrifuge import SECRET, token
from kit.chromium import chromium
from kit.http import http_client
from kit.node import node
from kit.programs import find, run, running

from livetrio.app import Running
from livetrio.config import ImTokenConfig

ROOM = "/v1/rooms/live/talk"
SEATS = {"anna": ("red", 440), "bob": ("blue", 880)}
"""By user: the colour of his picture and the pitch of his voice, Hz."""

_RECEIVE = """
const [url, token] = arguments;
const pc = window.pc = new RTCPeerConnection({bundlePolicy: "max-bundle"});
window.slots = {};
const context = new AudioContext();
pc.ontrack = ({track, streams: [stream]}) => {
  const slot = window.slots[stream.id] ??= {};
  slot[track.kind] = track;
  if (track.kind === "video") {
    const video = slot.element = document.createElement("video");
    video.muted = true;
    video.autoplay = true;
    video.srcObject = new MediaStream([track]);
    document.body.append(video);
  } else {
    new Audio().srcObject = new MediaStream([track]);  // else Chromium decodes nothing
    slot.analyser = new AnalyserNode(context, {fftSize: 4096});
    context.createMediaStreamSource(new MediaStream([track])).connect(slot.analyser);
  }
};
const headers = {Authorization: `Bearer ${token}`};
const offer = await fetch(url, {method: "POST", headers});
if (!offer.ok) throw new Error(await offer.text());
const location = new URL(offer.headers.get("Location"), url).href;
await pc.setRemoteDescription({type: "offer", sdp: await offer.text()});
await pc.setLocalDescription();
const answer = await fetch(location, {method: "PATCH", body: pc.localDescription.sdp,
  headers: {...headers, "Content-Type": "application/sdp"}});
if (!answer.ok) throw new Error(await answer.text());
await context.resume();
"""
_SEEN = """
const seen = {};
for (const [id, slot] of Object.entries(window.slots)) {
  const canvas = new OffscreenCanvas(2, 2).getContext("2d");
  const {element: video, analyser} = slot;
  const now = {frames: 0, red: 0, blue: 0, pitch: 0};
  if (video?.videoWidth) {
    canvas.drawImage(video, 0, 0, 2, 2);
    const [red, , blue] = canvas.getImageData(0, 0, 1, 1).data;
    Object.assign(now, {red, blue, frames: video.getVideoPlaybackQuality().totalVideoFrames});
  }
  if (analyser) {
    const levels = new Float32Array(analyser.frequencyBinCount);
    analyser.getFloatFrequencyData(levels);
    const top = levels.indexOf(Math.max(...levels));
    if (levels[top] > -60) now.pitch = top * analyser.context.sampleRate / analyser.fftSize;
  }
  seen[id] = now;
}
return seen;
"""


class Site:
    """A server with a room of anna and bob."""

    def __init__(self, server: Running) -> None:
        self.server = server

    async def do(self, method: str, path: str, who: str, body: Any = None) -> Any:
        async with http_client(self.server.addresses["web"].port) as client:
            data = json.dumps(body or {}).encode()
            await client.send(
                f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer "
                f"{token(who)}\r\nContent-Type: application/json\r\n"
                f"Content-Length: {len(data)}\r\n\r\n".encode()
                + data
            )
            answer = await client.response()
        assert answer.status < 300, answer.body
        return json.loads(answer.body)

    @asynccontextmanager
    async def seated(self, who: str) -> AsyncIterator[None]:
        """Publish from his seat as OBS would: by RTMP, with the seat's key."""
        key = (await self.do("POST", f"{ROOM}/seats/own/key", who))["key"]
        colour, pitch = SEATS[who]
        sources = (f"color={colour}:s=320x180:r=25", f"sine=f={pitch}:r=48000")
        argv = ["-loglevel", "warning", "-nostdin"]
        for source in sources:
            argv += ["-re", "-f", "lavfi", "-i", source]
        argv += ["-c:v", "libx264", "-preset", "ultrafast", "-bf", "2", "-g", "50"]
        argv += ["-pix_fmt", "yuv420p", "-c:a", "aac", "-f", "flv"]
        async with running(find("ffmpeg"), *argv, place(self.server, "rtmp", f"/live/{key}")):
            yield

    async def present(self, *users: str) -> dict[str, int]:
        """Wait until these are on their seats; the slot of each."""
        with trio.fail_after(60):
            while True:
                state = await self.do("GET", ROOM, "carl")
                seats = {
                    s.get("user"): int(n) for n, s in state["seats"].items() if s.get("present")
                }
                if set(users) <= seats.keys():
                    return {user: state["slots"]["video"].index(seats[user]) for user in users}
                await trio.sleep(0.1)


@asynccontextmanager
async def party() -> AsyncIterator[Site]:
    """Both on the air."""
    settings = {"token": ImTokenConfig(secret=SECRET), "create": "anyone"}
    async with node(**settings) as server, AsyncExitStack() as stack:
        site = Site(server)
        await site.do("POST", "/v1/rooms", "anna", {"room": "talk", "seats": 3, "free": True})
        await site.do("POST", f"{ROOM}/seats/2/take", "bob")
        for who in SEATS:
            await stack.enter_async_context(site.seated(who))
        yield site


def tones(path: Path) -> dict[int, float]:
    """How much below the loudest each user's pitch is in the second half of a file, dB."""
    wave = subprocess.run(
        [find("ffmpeg"), "-loglevel", "error", "-i", path, "-f", "f32le", "-ac", "1",
         "-ar", "48000", "-"],
        check=True, capture_output=True, timeout=60,
    ).stdout  # fmt: skip
    samples = np.frombuffer(wave, np.float32)
    samples = samples[len(samples) // 2 :]
    power = np.abs(np.fft.rfft(samples * np.hanning(len(samples)))) + 1e-9
    pitches = np.fft.rfftfreq(len(samples), 1 / 48_000)
    return {
        pitch: float(20 * np.log10(power[np.abs(pitches - pitch) < 5].max() / power.max()))
        for _, pitch in SEATS.values()
    }


def colours(path: Path) -> tuple[str, str]:
    """Of the left and the right half of the last picture of a file."""
    pixels = subprocess.run(
        [find("ffmpeg"), "-loglevel", "error", "-sseof", "-1", "-i", path, "-frames:v", "1",
         "-vf", "scale=4:2", "-pix_fmt", "rgb24", "-f", "rawvideo", "-"],
        check=True, capture_output=True, timeout=60,
    ).stdout  # fmt: skip
    picture = np.frombuffer(pixels, np.uint8).reshape(2, 4, 3)
    halves = picture.reshape(2, 2, 2, 3).mean(axis=(0, 2))
    left, right = ("red" if red > blue else "blue" for red, _, blue in halves)
    return left, right


async def test_who_watches_the_composed_stream_sees_and_hears_everybody(tmp_path: Path) -> None:
    composed, minus = tmp_path / "composed.flv", tmp_path / "minus.flv"
    async with party() as site:
        await site.present("anna", "bob")
        with trio.fail_after(30):  # their programs do not say how loud they are
            while True:
                if (await site.do("GET", ROOM, "carl"))["speaking"] == [1, 2]:
                    break
                await trio.sleep(0.1)
        bob = await site.do("POST", f"{ROOM}/seats/own/key", "bob")
        for path, target in (
            ("/live/talk.flv", composed),
            (bob["mix_minus"].replace("?", ".flv?"), minus),
        ):
            url = place(site.server, "httpflv", path)
            await run(
                find("ffmpeg"), "-loglevel", "error", "-nostdin", "-t", "6", "-i", url,
                "-c", "copy", str(target), deadline=90,
            )  # fmt: skip
        ended = (await site.do("DELETE", ROOM, "anna"))["ended"]
        assert ended["milliseconds"] < 5_000  # a bound, no measurement
        assert not site.server.registry.streams
    assert set(colours(composed)) == {"red", "blue"}
    assert all(level > -12 for level in tones(composed).values())
    assert tones(minus)[440] > -3
    assert tones(minus)[880] < -40  # his own


async def test_a_room_under_load_is_gone_in_a_second_with_all_that_it_had() -> None:
    async def watch(site: Site, path: str, media: list[int]) -> None:
        with suppress(OSError, trio.BrokenResourceError):
            port = site.server.addresses["httpflv"].port
            async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
                await stream.send_all(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
                while data := await stream.receive_some(65536):
                    media[0] += len(data)
        media[1] += 1

    async with party() as site:
        await site.present("anna", "bob")
        media = [0, 0]
        async with trio.open_nursery() as nursery:
            for number in range(200):
                path = ("/live/talk.flv", "/live/talk/1.flv", "/live/talk/2.flv")[number % 3]
                path += f"?token={token('anna')}"  # seats are for who keeps order
                nursery.start_soon(watch, site, path, media)
            with trio.fail_after(60):
                while media[0] < 5_000_000:  # noqa: ASYNC110 - bytes have no event
                    await trio.sleep(0.1)
            ended = (await site.do("DELETE", ROOM, "anna"))["ended"]
            assert ended["milliseconds"] < 5_000  # a bound, no measurement
            assert (ended["streams"], ended["clients"], ended["processes"]) == (3, 203, 1)
            assert not site.server.registry.streams
        assert media[1] == 200


async def test_a_browser_receives_every_seat_and_a_muted_one_no_more() -> None:
    async with party() as site, chromium("--autoplay-policy=no-user-gesture-required") as browser:
        slots = await site.present("anna", "bob")
        await browser.open(place(site.server, "web", "/blank"))
        await browser.js(_RECEIVE, place(site.server, "web", f"{ROOM}/whep"), token("carl"))
        seen: dict[str, Any] = {}

        async def all_there() -> bool:
            seen.update(await browser.js(_SEEN))
            anna, bob = (seen.get(f"slot-{slots[who]}", {}) for who in SEATS)
            return bool(
                anna.get("red", 0) > 150 > anna.get("blue", 255)
                and bob.get("blue", 0) > 150 > bob.get("red", 255)
                and abs(anna["pitch"] - 440) < 15
                and abs(bob["pitch"] - 880) < 15
            )

        await browser.until(all_there, deadline=60)
        assert set(seen) == {f"slot-{n}" for n in range(4)}
        await site.do("POST", f"{ROOM}/seats/2/mute", "anna", {"medium": "microphone"})
        await site.do("POST", f"{ROOM}/seats/2/mute", "anna", {"medium": "camera"})
        mine = f"slot-{slots['bob']}"

        async def silent() -> bool:
            return not (await browser.js(_SEEN))[mine]["pitch"]

        await browser.until(silent, deadline=10)
        frames = (await browser.js(_SEEN))[mine]["frames"]
        await site.do("POST", f"{ROOM}/seats/any/take", "carl")
        assert (await site.present("carl"))["carl"] == 2  # by what he receives
        assert (await browser.js(_SEEN))[mine]["frames"] - frames < 5
        assert len(list(site.server.registry.clients())) == 3
        ended = (await site.do("DELETE", ROOM, "anna"))["ended"]
        assert ended["milliseconds"] < 5_000  # a bound, no measurement
        assert (ended["streams"], ended["clients"], ended["processes"]) == (2, 3, 0)
        assert list(site.server.registry.clients()) == []
