"""The worker's threads: one that meets a bug takes the process with it."""

from __future__ import annotations

import subprocess
import sys
import time

import trio

from livetrio.media.mix.options import MixOptions

BROKEN = """
from livetrio.media.mix import picture_desk, worker

def compose(*_):
    raise RuntimeError("a bug")

picture_desk.PictureDesk.compose = compose
worker.main()
"""


async def test_a_worker_whose_pictures_meet_a_bug_says_so_and_ends():
    options = MixOptions(video=True, width=320, height=180, fps=15).to_json()
    command = [sys.executable, "-P", "-c", BROKEN, options, repr(time.monotonic())]
    streams = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with trio.fail_after(30):
        process = await trio.lowlevel.open_process(command, **streams)
        assert process.stdin is not None  # open: that its input ended is not why it does
        said = b""
        async with process.stdin, process.stdout, process.stderr:
            async for data in process.stderr:
                said += data
            assert await process.wait() == 1
    assert b"RuntimeError: a bug" in said
