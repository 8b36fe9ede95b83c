"""What goes wrong with one viewer, or one packet, goes wrong for nobody else."""

from __future__ import annotations

from dataclasses import replace

import pytest
import trio
import trio.testing
from kit.webrtc_fakes import interleaved, live, numbers, opus, pictures, staged, watching

from livetrio.webrtc.player import Players
from livetrio.webrtc.rtp_mux import RtpMux
from livetrio.webrtc.viewer import Viewer
from livetrio.wire.rtp.rtcp_feedback import Nack
from livetrio.wire.rtp.rtcp_reports import ReceiverReport


def broken(*_):
    raise ValueError("packet is too long")


@pytest.mark.parametrize("what", ["send", "send_rtcp"])
async def test_a_viewer_that_cannot_be_served_ends_alone(autojump_clock, monkeypatch, what):
    async with staged(interleaved(0, 0.1)) as edition:
        players = Players(numbers())
        async with watching(players, edition) as good, trio.open_nursery() as nursery:
            nursery.start_soon(live, edition, interleaved(3, 4))
            async with watching(players, edition) as bad:  # ends here
                await trio.sleep(0.5)
                place = bad.viewer if what == "send" else bad.peer
                monkeypatch.setattr(place, what, broken)
                await trio.sleep(2)
                pytest.fail("it was served all the same")
            assert bad.peer.scope.reason == "a bug of ours"
            await trio.sleep(5)
            (feed,) = players.feeds
            assert list(feed.viewers) == [good.viewer]
    assert good.peer.frames() == list(range(123))


async def test_a_newcomer_that_cannot_be_served_ends_alone(autojump_clock, monkeypatch):
    async with staged(pictures(0, 60, gop=60, size=30_000)) as edition:
        players = Players(numbers())
        async with watching(players, edition) as good:
            async with watching(players, edition) as bad:
                monkeypatch.setattr(bad.viewer, "send", broken)
                await trio.sleep(3)
                pytest.fail("it was served all the same")
            assert bad.peer.scope.reason == "a bug of ours"
            await trio.sleep(3)
    assert good.peer.frames() == list(range(60))


async def test_a_sound_packet_that_no_datagram_holds_is_left_out(autojump_clock):
    async with staged(interleaved(0, 0.1)) as edition:
        async with watching(Players(numbers()), edition) as watch:
            await trio.sleep(1)
            for size in (1_276, 60_001, 70_000):
                huge = replace(opus(6), data=b"\xff" + bytes(size - 1))
                await live(edition, [huge])
            await live(edition, [opus(n) for n in range(10, 15)])
            assert watch.peer.sounds()[-5:] == list(range(10, 15))


async def test_rtcp_that_cannot_be_read_ends_a_viewer_only_where_nothing_else_comes(
    autojump_clock,
):
    async with staged(pictures(0, 3)) as edition:
        async with watching(Players(numbers()), edition) as watch:
            report = ReceiverReport(1, []).build()
            for _ in range(3):
                for _ in range(900):
                    watch.peer.on_rtcp(report[:-1])
                watch.peer.on_rtcp(report)
            assert not watch.peer.scope.reason
            for _ in range(1_001):
                watch.peer.on_rtcp(b"")
            await trio.sleep(1)
    assert "nothing readable" in watch.peer.scope.reason


async def test_numbers_asked_for_again_are_charged_whether_or_not_they_are_there(
    autojump_clock, monkeypatch
):
    """Each costs a look-up, and a datagram names thousands."""
    looked = []
    lookup = Viewer._lookup
    monkeypatch.setattr(Viewer, "_lookup", lambda *args: looked.append(args) or lookup(*args))
    async with staged(pictures(0, 3)) as edition:
        async with watching(Players(numbers()), edition) as watch:
            ssrc = watch.viewer.feed.video_ssrc
            await trio.sleep(1)
            for _ in range(100):
                watch.peer.on_rtcp(nack(ssrc, range(30_000, 30_900)))
            assert 400 <= len(looked) <= 1_600
            before = len(looked)
            await trio.sleep(1)
            for _ in range(100):
                watch.peer.on_rtcp(nack(ssrc, range(30_000, 30_900)))
            assert len(looked) - before <= 1_600


def nack(ssrc: int, lost: range) -> bytes:
    return Nack(1, ssrc, list(lost)).build()


async def test_a_few_viewers_are_sent_a_frame_before_its_publishers_call_returns(autojump_clock):
    async with staged(pictures(0, 5)) as edition:
        async with watching(Players(numbers()), edition) as watch:
            await trio.sleep(1)
            edition.accept(pictures(5, 1))
            assert watch.peer.frames() == list(range(6))


async def test_a_bug_while_a_frame_is_cut_ends_the_viewers_and_not_the_publisher(
    autojump_clock, monkeypatch
):
    async with staged(pictures(0, 5)) as edition:
        async with watching(Players(numbers()), edition) as watch:
            await trio.sleep(1)
            monkeypatch.setattr(RtpMux, "take", broken)
            edition.accept(pictures(5, 1))  # raises nothing
            await trio.sleep(1)
            pytest.fail("nobody was told")
        assert watch.peer.scope.reason


async def test_a_frame_too_large_to_be_sent_at_once_comes_before_those_behind_it(autojump_clock):
    async with staged(pictures(0, 5)) as edition:
        async with watching(Players(numbers()), edition) as watch:
            await trio.sleep(1)
            edition.accept(pictures(5, 1, size=90_000))
            edition.accept(pictures(6, 2))
            assert watch.peer.frames() == list(range(5))
            await trio.sleep(1)
            assert watch.peer.frames() == list(range(8))
