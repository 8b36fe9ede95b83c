"""Debian's Chromium without a window, driven by selenium from a worker thread."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import trio
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service

from kit.programs import find

__all__ = ["Browser", "Playback", "chromium"]

FLAGS = (
    "--headless=new",
    "--no-sandbox",  # Chromium's own needs user namespaces, which containers forbid
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
    # nothing but this machine resolves: a page that asks a CDN is a page that fails here
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
)

STATE = """
const v = document.querySelector(arguments[0]);
const q = v ? v.getVideoPlaybackQuality() : null;
// of a MediaStream Chromium counts no bytes, but says whether sound flows
const sounds = (stream) => stream.getAudioTracks().filter((track) => !track.muted).length;
return v && {time: v.currentTime, width: v.videoWidth, height: v.videoHeight,
  frames: q.totalVideoFrames,
  audio: v.srcObject ? sounds(v.srcObject) : v.webkitAudioDecodedByteCount, paused: v.paused,
  error: v.error && v.error.message};
"""


@dataclass(frozen=True, slots=True)
class Playback:
    """What a <video> element says about itself at one moment."""

    time: float
    """currentTime, seconds."""
    width: int
    """Pixels of the picture as decoded; 0 before the first one."""
    height: int
    frames: int
    """Decoded pictures, ever."""
    audio: int
    """Decoded bytes of sound, ever (Chromium's own counter); of a MediaStream: tracks that flow."""
    paused: bool
    error: str | None


class Browser:
    """One Chromium. All its verbs block in the driver, hence run in a worker thread."""

    def __init__(self, driver: Chrome) -> None:
        self.driver = driver

    async def in_turn(self, command: Callable[[], Any]) -> Any:
        """Run what blocks in the driver."""
        return await trio.to_thread.run_sync(command)

    async def open(self, url: str) -> None:
        """Load a page and wait for its load event."""
        await self.in_turn(partial(self.driver.get, url))

    async def prepare(self, script: str) -> None:
        """Run a script in every page from now on, before the page's own."""
        command = "Page.addScriptToEvaluateOnNewDocument"
        await self.in_turn(partial(self.driver.execute_cdp_cmd, command, {"source": script}))

    async def js(self, script: str, *args: object) -> Any:
        """Run a function body in the page; what it returns, as JSON has it."""
        return await self.in_turn(partial(self.driver.execute_script, script, *args))

    async def until(self, holds: Callable[[], Awaitable[bool]], *, deadline: float = 30) -> None:
        """Wait until something is so in the page; AssertionError if it is not in time."""
        with trio.move_on_after(deadline):
            while not await holds():  # noqa: ASYNC110 - a page sets no trio.Event
                await trio.sleep(0.1)
            return
        raise AssertionError("it never became so")

    async def cdp(self, command: str, **parameters: object) -> Any:
        """A command of the DevTools protocol: "Network.emulateNetworkConditions" ..."""
        return await self.in_turn(partial(self.driver.execute_cdp_cmd, command, parameters))

    async def title(self) -> str:
        return str(await self.js("return document.title"))

    async def console(self) -> list[str]:
        """What the page's console has said since the last call, errors of loading included."""
        entries = await self.in_turn(partial(self.driver.get_log, "browser"))
        return [f"{entry['level']}: {entry['message']}" for entry in entries]

    async def playback(self, selector: str = "video") -> Playback | None:
        """The state of the first element that matches, or None where there is none."""
        state = await self.js(STATE, selector)
        return Playback(**state) if state else None

    async def playing(self, selector: str = "video", *, deadline: float = 30) -> Playback:
        """Wait until the video moves: half a second of time, ten pictures, and sound decoded.

        Raises:
            AssertionError: it did not within `deadline` seconds; with its state and the console.
        """
        first: Playback | None = None
        now: Playback | None = None
        with trio.move_on_after(deadline):
            while True:
                now = await self.playback(selector)
                first = first or (now if now and now.width else None)
                if (
                    first
                    and now
                    and (
                        now.time >= first.time + 0.5
                        and now.frames >= first.frames + 10
                        and now.audio > 0
                    )
                ):
                    return now
                await trio.sleep(0.1)
        raise AssertionError(f"{selector} does not play: {now}\n" + "\n".join(await self.console()))


@asynccontextmanager
async def chromium(*flags: str) -> AsyncIterator[Browser]:
    """A Chromium with a fresh profile; leaving the block ends it and its driver.

    Args:
        flags: more command line flags.
    """
    with tempfile.TemporaryDirectory(prefix="livetrio-chromium-") as profile:
        options = ChromeOptions()
        options.binary_location = find("chromium")
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        for flag in (*FLAGS, f"--user-data-dir={profile}", *flags):
            options.add_argument(flag)
        # a path given here keeps selenium from looking for drivers on the Internet
        service = Service(find("chromedriver"))
        driver = await trio.to_thread.run_sync(lambda: Chrome(options, service))
        try:
            yield Browser(driver)
        finally:
            with trio.CancelScope(shield=True), trio.move_on_after(20):
                await trio.to_thread.run_sync(driver.quit)
