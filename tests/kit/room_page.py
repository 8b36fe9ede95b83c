"""The room page as its users meet it: pressed, read, listened to."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import trio

from kit.chromium import Browser

__all__ = ["DEVICES", "RoomPage", "room_pages"]

DEVICES = """
// Devices of our own: a camera of one colour, a microphone with one tone.
const [colour, tone] = %s;
const audio = new AudioContext();
navigator.mediaDevices.enumerateDevices = async () => [
  {kind: "videoinput", deviceId: "camera", label: "Colour"},
  {kind: "audioinput", deviceId: "microphone", label: "Tone"},
];
navigator.mediaDevices.getUserMedia = async (wanted) => {
  const tracks = [];
  if (wanted.audio) {
    const oscillator = new OscillatorNode(audio, {frequency: tone});
    const loudness = new GainNode(audio, {gain: 0.3});
    const target = audio.createMediaStreamDestination();
    oscillator.connect(loudness).connect(target);
    oscillator.start();
    tracks.push(...target.stream.getTracks());
  }
  if (wanted.video) {
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [640, 360];
    const pen = canvas.getContext("2d");
    let turn = 0;
    setInterval(() => {
      pen.fillStyle = colour;
      pen.fillRect(0, 0, 640, 360);
      pen.fillStyle = "#fff";
      pen.fillRect((turn = (turn + 4) %% 640), 340, 16, 16);  // a still canvas sends nothing
    }, 66);
    tracks.push(...canvas.captureStream(15).getTracks());
  }
  return new MediaStream(tracks);
};
"""

_SEATS = """
const seats = {};
for (const tile of document.querySelectorAll("#stage .sitting")) {
  const video = tile.querySelector("video");
  const drawn = document.createElement("canvas");
  [drawn.width, drawn.height] = [8, 8];
  let colour = null;
  if (!video.hidden && video.videoWidth) {
    const pen = drawn.getContext("2d");
    pen.drawImage(video, 0, 0, 8, 8);
    colour = [...pen.getImageData(3, 3, 1, 1).data].slice(0, 3);
  }
  seats[tile.dataset.seat] = {
    name: tile.querySelector(".name").textContent, said: tile.getAttribute("aria-label"), colour,
    speaking: tile.classList.contains("speaking"), width: video.videoWidth,
  };
}
return seats;
"""
_HEARD = """
const [tones, done] = arguments;
const context = window.ears ??= new AudioContext();
const tracks = [...document.querySelectorAll("#sounds audio")]
  .flatMap((element) => element.srcObject?.getTracks() ?? []);
const analyser = new AnalyserNode(context, {fftSize: 8192, smoothingTimeConstant: 0});
const sources = tracks.map((track) => {
  const source = context.createMediaStreamSource(new MediaStream([track]));
  source.connect(analyser);
  return source;
});
context.resume().then(() => setTimeout(() => {
  const levels = new Float32Array(analyser.frequencyBinCount);
  analyser.getFloatFrequencyData(levels);
  const at = (tone) => {
    const bin = Math.round((tone * analyser.fftSize) / context.sampleRate);
    return Math.max(...levels.slice(bin - 2, bin + 3));
  };
  for (const source of sources) source.disconnect();
  done(Object.fromEntries(tones.map((tone) => [tone, at(tone)])));
}, 400));
"""
_PRESS = """
const button = document.querySelector(arguments[0]);
if (!button) throw new Error(`there is no ${arguments[0]}`);
const possible = !button.disabled && button.checkVisibility();
if (!possible) throw new Error(`${arguments[0]} cannot be pressed`);
button.click();
"""
_TEXT = """
const element = document.querySelector(arguments[0]);
return element?.checkVisibility() ? element.innerText : "";
"""
_OVERHANG = """
const wide = document.documentElement.clientWidth;
const over = [...document.querySelectorAll("#controls, #controls button, #controls summary")]
  .filter((element) => element.checkVisibility() && element.getBoundingClientRect().right > wide)
  .map((element) => element.dataset.key ?? element.id);
return document.documentElement.scrollWidth > wide ? ["the page", ...over] : over;
"""
_AUDIBLE = -60
"""dB of a tone's bin: what is sent is above -30, what is not sent below -90."""


class RoomPage:
    """One visitor's page."""

    def __init__(self, browser: Browser, url: str) -> None:
        """
        Args:
            browser: with devices, Chromium's fake ones or `DEVICES`.
            url: of the page, with the room in it.
        """
        self.browser = browser
        self.url = url

    async def enter(self, name: str, *, seat: bool = True, deadline: float = 30) -> None:
        """Through the lobby into the room, with a seat or as audience; back when it is shown."""
        await self.browser.open(self.url)
        await self.until(self.has("#lobby:not([hidden]) #name"), bool, deadline=deadline)
        await self.browser.js("document.getElementById('name').value = arguments[0]", name)
        await self.press("#join" if seat else "#watch")
        await self.until(self.has("#controls [data-key=exit]"), bool, deadline=deadline)
        if seat:
            await self.until(self.has(".sitting.own"), bool, deadline=deadline)

    async def screen(self, wide: int) -> None:
        """Another screen for the open page, `wide` pixels of CSS; a phone's where it is narrow."""
        await self.browser.cdp(
            "Emulation.setDeviceMetricsOverride",
            width=wide, height=844, deviceScaleFactor=1, mobile=wide < 600,
        )  # fmt: skip
        await self.until(lambda: self.browser.js("return innerWidth"), wide.__eq__)

    async def overhang(self) -> list[str]:
        """What cannot be seen without moving the page sideways: the page, controls by their key."""
        return [str(name) for name in await self.browser.js(_OVERHANG)]

    async def press(self, selector: str) -> None:
        """Click what a visitor can click; a key of the controls ("microphone") is enough."""
        if selector.replace(" ", "").isalnum():
            selector = f"#controls [data-key='{selector}']"
        await self.browser.js(_PRESS, selector)

    async def act_of_owner(self, act: str) -> None:
        """Choose from the menu of the room's owner: "end", "pk"; and confirm it."""
        await self.browser.js(f"document.querySelector(\"#controls [data-key='{act}']\").click()")
        await self.until(self.has("dialog[open] .primary"), bool)
        await self.press("dialog[open] .primary")

    async def act(self, seat: int, act: str) -> None:
        """Choose from the menu of a seat: "mute-microphone", "kick" ..."""
        await self.browser.js(f"document.querySelector(\"[data-key='{act} {seat}']\").click()")

    def has(self, selector: str) -> Callable[[], Any]:
        """Is there such an element?"""

        async def look() -> bool:
            found = await self.browser.js("return document.querySelector(arguments[0])", selector)
            return bool(found)

        return look

    async def text(self, selector: str) -> str:
        """What an element says; "" if there is none, or nothing to be seen of it."""
        return str(await self.browser.js(_TEXT, selector))

    async def seats(self) -> Mapping[str, Mapping[str, Any]]:
        """What is seen of the seats that are taken, by number: name, said (to those who do not
        see), speaking, colour of the picture, width."""
        found: Mapping[str, Mapping[str, Any]] = await self.browser.js(_SEATS)
        return found

    async def names(self) -> dict[str, str]:
        """Who sits where, as it is seen."""
        return {seat: about["name"] for seat, about in (await self.seats()).items()}

    async def levels(self, *tones: int) -> dict[int, float]:
        """How loud tones (Hz) are in all that this page plays, dB."""
        script = _HEARD.replace("const [tones, done] = arguments;", "const tones = arguments[0];")
        script = f"return new Promise((done) => {{{script}}})"
        heard = await self.browser.js(script, list(tones))
        return {int(tone): -200.0 if level is None else level for tone, level in heard.items()}

    async def hears(self, *tones: int) -> set[int]:
        """Which of them are to be heard."""
        return {tone for tone, level in (await self.levels(*tones)).items() if level > _AUDIBLE}

    async def until(
        self, look: Callable[[], Any], right: Callable[[Any], Any], *, deadline: float = 40
    ) -> Any:
        """Look until what is seen is right; with what was seen last if it never is."""
        seen = None
        with trio.move_on_after(deadline):
            while not right(seen := await look()):  # noqa: ASYNC110 - another program's state
                await trio.sleep(0.1)
            return seen
        said = "\n".join(await self.browser.console())
        notices = [await self.text(where) for where in ("#lobby-notice", "#notice", "#sending")]
        raise AssertionError(f"still {seen!r}\n{notices}\n{said}")


class Window(Browser):
    """One of several windows of one Chromium, as if it were alone: a browser for each visitor
    would be dear. Windows share localStorage but not sessionStorage: each is another visitor."""

    def __init__(self, browser: Browser, handle: str, turn: trio.Lock) -> None:
        super().__init__(browser.driver)
        self._handle = handle
        self._turn = turn

    async def in_turn(self, command: Callable[[], Any]) -> Any:
        """Drive this window while no other one is driven."""

        def drive() -> Any:
            if self.driver.current_window_handle != self._handle:
                self.driver.switch_to.window(self._handle)
            return command()

        async with self._turn:
            return await trio.to_thread.run_sync(drive)


async def room_pages(browser: Browser, url: str, *devices: tuple[str, int]) -> list[RoomPage]:
    """As many visitors as there are devices, (colour, tone in Hz), each in a window of his own."""
    turn = trio.Lock()
    pages = []
    for number, (colour, tone) in enumerate(devices):
        if number:
            await browser.in_turn(lambda: browser.driver.switch_to.new_window("window"))
        handle = await browser.in_turn(lambda: browser.driver.current_window_handle)
        window = Window(browser, handle, turn)
        await window.prepare(DEVICES % json.dumps([colour, tone]))
        pages.append(RoomPage(window, url))
    return pages
