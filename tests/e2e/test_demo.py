"""`livetrio demo` as a newcomer meets it."""

from __future__ import annotations

import sys
from pathlib import Path

from kit.browser_media import FAKE_DEVICES
from kit.chromium import chromium
from kit.ffmpeg import packets, record
from kit.programs import running
from kit.room_page import room_pages


async def test_the_demo_says_where_to_look_and_there_it_plays(tmp_path: Path) -> None:
    argv = (sys.executable, "-m", "livetrio", "demo")
    async with running(*argv, cwd=tmp_path) as demo:
        page = (await demo.line(r"Open this page\s+(\S+)"))[1]
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
        demo.process.terminate()
        assert await demo.wait() == 0, demo.output


async def test_two_windows_of_the_link_that_the_demo_prints_meet(tmp_path: Path) -> None:
    async with running(sys.executable, "-m", "livetrio", "demo", cwd=tmp_path) as demo:
        room = (await demo.line(r"Talk together\s+(\S+)"))[1]
        async with chromium("--lang=en", *FAKE_DEVICES) as browser:
            ann, bob = await room_pages(browser, room, ("#b03030", 440), ("#3030b0", 1320))
            await ann.enter("Ann")
            await bob.enter("Bob")
            assert await bob.names() == {"1": "Ann", "2": "Bob (you)"}
            for page, other, tone in ((ann, "2", 1320), (bob, "1", 440)):
                await page.until(page.seats, lambda seats, other=other: seats[other]["width"] > 0)
                await page.until(lambda page=page: page.hears(440, 1320), {tone}.__eq__)
