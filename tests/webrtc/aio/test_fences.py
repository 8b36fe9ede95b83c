"""An exception in one peer connection ends that one."""

from __future__ import annotations

import pytest
from kit.engines import engine_stage, publishing_peer, until
from kit.logs import lines

from livetrio.packet import StreamKey

A, B = StreamKey("live", "a"), StreamKey("live", "b")


def fails(*_args) -> None:
    raise ZeroDivisionError("a bug")


def in_a_packets_handler(peer) -> None:
    peer.on_rtp = fails


def in_a_reports_handler(peer) -> None:
    peer.on_rtcp = fails


def in_a_callback_of_its_loop(peer) -> None:
    peer._loop.call_soon(fails)


@pytest.mark.parametrize(
    "break_it", [in_a_packets_handler, in_a_reports_handler, in_a_callback_of_its_loop]
)
async def test_a_bug_in_one_ends_one_and_is_logged(break_it, caplog) -> None:
    async with engine_stage("aiortc") as on:
        async with (
            publishing_peer(on, "/live/a/whip") as first,
            publishing_peer(on, "/live/b/whip"),
        ):
            await until(lambda: {A, B} <= set(on.registry.streams))
            id_ = first.created.headers["Location"].rpartition("/")[2]
            break_it(on.sessions.find(id_).link._peer)
            await until(lambda: len(on.sessions) == 1)
            stream = on.registry.streams[B]
            before = stream.packets_in
            await until(lambda: stream.packets_in > before + 10)
    assert any(line.event.startswith("bug: ") for line in lines(caplog))
