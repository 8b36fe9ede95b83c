"""Ten thousand LL-HLS players that wait, over real sockets, when the publisher dies."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from collections.abc import Iterator
from functools import partial

import kit.hls_waiters
import pytest
import trio
import trio.testing
from kit.hls import from_the_beginning, hls_port
from kit.media import sample_packets

SECOND = 1_000_000
PACKETS = list(sample_packets(4.0))
WAITERS = 10_000


@pytest.fixture
def many_files() -> Iterator[None]:
    """As many as this process may ever have: the server's ends of the connections are here."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < WAITERS + 1_000:
        pytest.skip(f"this machine allows a process {hard} files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_ten_thousand_that_wait_are_all_answered_at_the_moment_the_stream_ends(
    many_files: None, mock_clock: trio.testing.MockClock
) -> None:
    mock_clock.rate = 1.0
    async with hls_port() as port, trio.open_nursery() as nursery:
        begun = [p for p in PACKETS if p.config or p.dts < SECOND // 2]
        rest = [p for p in PACKETS if not p.config and p.dts >= SECOND // 2]
        publisher = trio.CancelScope()
        with publisher:
            async with port.published(begun) as publication:
                await from_the_beginning(port, publication, "?variant=ll", rest)
                playlist = await port.playlist("?variant=ll")
                there = "/live/movie.m3u8?variant=ll"
                ahead = f"{there}&_HLS_msn={playlist.last + 2}"
                hinted = f"/live/{playlist.hint}"
                # In the lane and in the connection's task, for a playlist and for a part.
                asked = [there, ahead, "", ahead, there, hinted, "", hinted]
                argv = [sys.executable, kit.hls_waiters.__file__, str(port.port), str(WAITERS)]
                run = partial(trio.run_process, [*argv, *asked], stdout=subprocess.PIPE)
                mock_clock.rate = 0.0  # from here on nothing ends because its time has come
                crowd = await nursery.start(run)
                assert await crowd.stdout.receive_some() == b"waiting\n"
                while len(port.lane) < WAITERS // 2:
                    await trio.testing.wait_all_tasks_blocked(0.05)
                publisher.cancel()
        await trio.testing.wait_all_tasks_blocked(0.1)
        mock_clock.jump(0.5)  # the publisher might have come back until now
        said = b""
        async for piece in crowd.stdout:
            said += piece
        outcome = json.loads(said)
        assert outcome["unanswered"] == 0
        # The stream's last part is hinted at, and may reach some before it is gone.
        statuses = outcome["statuses"]
        assert statuses.keys() <= {"503", "404", "200"}
        assert statuses["503"] == statuses.get("404", 0) + statuses.get("200", 0) == WAITERS // 2
