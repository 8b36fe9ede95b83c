"""`livetrio demo` as a newcomer meets it."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

from kit.chromium import chromium
from kit.ffmpeg import packets, record
from kit.programs import running


async def test_the_demo_says_where_to_look_and_there_it_plays(tmp_path: Path) -> None:
    argv = (sys.executable, "-m", "livetrio", "demo")
    async with running(*argv, cwd=tmp_path) as demo:
        page = (await demo.line(r"Open this page\s+(\S+)"))[1]
        room = (await demo.line(r"Talk together\s+(\S+)"))[1]
        rtmp = (await demo.line(r"Watch as RTMP\s+(\S+)"))[1]
        flv = (await demo.line(r"Watch as HTTP-FLV\s+(\S+)"))[1]
        await demo.line(r"Server\s+rtmp://\S+/live$")
        await demo.line(r"Stream Key\s+\w{48}$")
        for url, file in ((rtmp, tmp_path / "rtmp.flv"), (flv, tmp_path / "http.flv")):
            assert len(await packets(await record(url, file, seconds=1))) == 2
        async with chromium() as browser:
            await browser.open(page)
            playback = await browser.playing()
            assert playback.width > 0
            await browser.open(room)
            shown = "return document.querySelector('#lobby').checkVisibility()"
            await browser.until(partial(browser.js, shown))
        demo.process.terminate()
        assert await demo.wait() == 0, demo.output
