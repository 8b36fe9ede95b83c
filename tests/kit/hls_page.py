"""hls.js in a Chromium page: the vendored build with the options a user would give it."""

from __future__ import annotations

import json

import trio

from kit.chromium import Browser, Playback
from kit.server import Server

__all__ = ["open_hls", "hls_state", "moves_on"]

_OPEN = """
const [url, options, done] = arguments;
document.body.innerHTML = "<video muted autoplay playsinline></video>";
const video = document.querySelector("video");
window.faults = [];
import("/assets/vendor/hls.js/hls.light.min.mjs").then(({ default: Hls }) => {
  const hls = window.hls = new Hls(options);
  hls.on(Hls.Events.ERROR, (_, data) => {
    const where = data.part?.url ?? data.frag?.url ?? data.url ?? "";
    const what = [data.type, data.details, data.reason, data.response?.code, where];
    window.faults.push((data.fatal ? "FATAL " : "") + what.join(" "));
    if (data.fatal && data.type === Hls.ErrorTypes.MEDIA_ERROR) hls.recoverMediaError();
    if (data.fatal && data.type === Hls.ErrorTypes.NETWORK_ERROR) {
      setTimeout(() => hls.startLoad(), 500);  // as players are told to do
    }
  });
  hls.loadSource(url);
  hls.attachMedia(video);
}).catch((why) => window.faults.push(`FATAL ${why}`));
"""

_STATE = """
return {
  faults: window.faults,
  latency: window.hls ? window.hls.latency : 0,
  behind: window.hls && window.hls.playingDate ? Date.now() - window.hls.playingDate : 0,
  lowLatency: Boolean(window.hls && window.hls.lowLatencyMode),
};
"""


async def open_hls(browser: Browser, server: Server, url: str, **options: object) -> None:
    """Play `url` with hls.js in a page of the server's own (its assets are there).

    options: hls.js's configuration.
    """
    await browser.open(server.web("/docs"))
    settings = {"lowLatencyMode": False, "enableWorker": False, **options}
    await browser.js(_OPEN, url, json.loads(json.dumps(settings)))


async def hls_state(browser: Browser) -> dict[str, object]:
    """Errors so far, hls.js's latency (s) and how far the picture is behind the server (ms)."""
    state: dict[str, object] = await browser.js(_STATE)
    return state


async def moves_on(
    browser: Browser, since: Playback, *, width: int = 0, deadline: float = 40
) -> Playback:
    """Wait until the video has gone on by a second since then, with sound (in that width).

    Raises:
        AssertionError: it has not; with what hls.js said.
    """
    now = None
    with trio.move_on_after(deadline):
        while True:
            now = await browser.playback()
            if (
                now
                and now.time > since.time + 1
                and now.audio > since.audio
                and (not width or now.width == width)
            ):
                return now
            await trio.sleep(0.1)
    raise AssertionError(f"stands still: {now}, {await hls_state(browser)}")
