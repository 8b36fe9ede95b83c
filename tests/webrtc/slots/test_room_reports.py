"""What viewers of a room report, ask for and are told: by slot, and never for another one."""

from __future__ import annotations

import pytest
import trio
from kit.slots import hall, seat

from livetrio.wire.rtp.rtcp_feedback import Fir, Nack, Pli
from livetrio.wire.rtp.rtcp_reports import SenderReport

WRAP = 1 << 32


def apart(one: int, other: int) -> int:
    """Of two RTP timestamps, which wrap."""
    return (one - other + WRAP // 2) % WRAP - WRAP // 2


async def test_sound_and_picture_of_a_seat_are_reported_on_one_line(autojump_clock):
    async with hall() as room, room.publishers(1) as (publisher,):
        room.feed.arrange([seat(1)], [seat(1)])
        async with room.receiver() as viewer:
            await publisher.play(100)
            reports = {report.ssrc: report for report in viewer.peer.words(SenderReport)}
            video, audio = (reports[viewer.ssrc(0, sound=sound)] for sound in (False, True))
            # Stream time at the moment of each report, from a packet whose time is known.
            shown = viewer.pictures(0)[-1]
            pts = shown.number * 33_333 / 1e6
            video_at = pts + apart(video.rtp_timestamp, shown.timestamp) / 90_000
            ssrc = viewer.ssrc(0, sound=True)
            index = max(i for known, i in viewer.peer.got if known == ssrc)
            packet = viewer.peer.got[ssrc, index]
            number, stamp = int.from_bytes(packet[13:17]), int.from_bytes(packet[4:8])
            audio_at = number / 50 + apart(audio.rtp_timestamp, stamp) / 48_000
            between = (video.ntp - audio.ntp) / 2**32
            assert video_at - audio_at == pytest.approx(between, abs=0.005)


async def test_a_lost_packet_is_sent_again_in_its_slot_alone(autojump_clock):
    async with hall() as room, room.publishers(1, 2) as seats:
        room.feed.arrange([seat(1), seat(2)], [])
        async with room.receiver() as viewer:
            await trio.sleep(1)
            before = len(viewer.peer.runs)
            lost = max(i for ssrc, i in viewer.peer.got if ssrc == viewer.ssrc(0))
            kept = viewer.peer.got.pop((viewer.ssrc(0), lost))
            for ssrc in (viewer.ssrc(1) ^ 0x5555, 0):  # of nobody
                viewer.peer.on_rtcp(Nack(1, ssrc, [lost & 0xFFFF]).build())
            assert len(viewer.peer.runs) == before
            viewer.peer.on_rtcp(Nack(1, viewer.ssrc(0), [lost & 0xFFFF]).build())
            assert viewer.peer.got[viewer.ssrc(0), lost] == kept
            # A number that only the other slot has had, or none at all.
            for number in (lost + 1, lost + 20_000):
                viewer.peer.on_rtcp(Nack(1, viewer.ssrc(0), [number & 0xFFFF]).build())
            assert len(viewer.peer.runs) == before + 1
            assert len(seats) == 2


async def test_what_is_sent_again_is_bounded_over_all_slots_together(autojump_clock):
    async with hall() as room, room.publishers(1, 2) as seats:
        room.feed.arrange([seat(1), seat(2)], [])
        async with room.receiver() as viewer:
            for publisher in seats:
                publisher.publish(15, size=30_000)
            await trio.sleep(2)
            before = len(viewer.peer.runs)
            asked = [(ssrc, i & 0xFFFF) for ssrc, i in viewer.peer.got]
            for slot in (0, 1):
                ssrc = viewer.ssrc(slot)
                viewer.peer.on_rtcp(Nack(1, ssrc, [n for s, n in asked if s == ssrc]).build())
            again = sum(len(run.packets) for run in viewer.peer.runs[before:])
            assert 0 < again <= 400


async def test_a_wish_for_a_key_frame_reaches_the_seat_in_that_slot_and_no_other(autojump_clock):
    async with hall() as room:
        async with room.publisher(1, wishes=True) as one, room.publisher(2, wishes=True) as two:
            one.publish(15)
            two.publish(15)
            room.feed.arrange([seat(1), seat(2)], [])
            async with room.receiver() as viewer:
                await trio.sleep(2)
                one.asked.clear()
                two.asked.clear()
                viewer.peer.on_rtcp(Pli(1, 0x1234).build())
                assert (one.asked, two.asked) == ([], [])
                viewer.peer.on_rtcp(Pli(1, viewer.ssrc(1)).build())
                assert (one.asked, two.asked) == ([], [0])
                requests = [(viewer.ssrc(0), 1), (viewer.ssrc(0), 2), (0x1234, 3)]
                viewer.peer.on_rtcp(Fir(1, requests).build())
                assert (one.asked, two.asked) == ([0], [0])


async def test_a_flood_of_unreadable_reports_ends_that_viewer_alone(autojump_clock):
    async with hall() as room, room.publishers(1) as (publisher,):
        room.feed.arrange([seat(1)], [])
        async with room.receiver() as good:
            async with room.receiver() as bad:
                for _ in range(1_002):
                    bad.peer.on_rtcp(b"\x80")
                assert "nothing readable" in bad.peer.scope.reason
                await trio.sleep_forever()
            await publisher.play(5)
            assert good.frames(0)[-1] == 1_019
