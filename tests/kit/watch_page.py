"""`chromium PAGE` of the walkthroughs: opens a page or file, says how its video plays."""

from __future__ import annotations

import sys
from pathlib import Path

import trio

# run as a script, not by pytest; and this folder is a package: its `http` is not the library's
sys.path[0] = str(Path(__file__).parent.parent)

from kit.chromium import chromium  # noqa: E402


async def watch(page: str) -> None:
    """Print `playing 320x180 with sound` once the page's video moves; AssertionError if not."""
    url = page if "://" in page else Path(page).resolve().as_uri()  # noqa: ASYNC240 - a script
    async with chromium() as browser:
        await browser.open(url)
        playback = await browser.playing()
        print(f"playing {playback.width}x{playback.height} with sound")


if __name__ == "__main__":
    trio.run(watch, sys.argv[1])
