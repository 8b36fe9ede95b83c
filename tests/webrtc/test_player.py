"""Viewers by WebRTC: the same packets for all, from a key frame on, whatever the network does."""

from __future__ import annotations

import itertools
import random
from dataclasses import replace

import pytest
import trio
import trio.testing
from kit.media import avc_sps, avc_track
from kit.webrtc_fakes import (
    OPUS,
    VIDEO,
    Watching,
    interleaved,
    live,
    numbers,
    opus,
    picture,
    pictures,
    staged,
    watching,
)

from livetrio.errors import RefusalCode, Refused
from livetrio.packet import Codec, Kind, Packet, Track
from livetrio.webrtc.player import Players, fmtp_of
from livetrio.webrtc.selection import Selection
from livetrio.webrtc.viewer import Mode
from livetrio.wire.rtp.extensions import TRANSPORT_CC, extension, transport_sequence
from livetrio.wire.rtp.header import parse_rtp
from livetrio.wire.rtp.rtcp_feedback import Nack, Pli
from livetrio.wire.rtp.rtcp_reports import Bye, SenderReport


async def test_a_newcomer_sees_from_the_newest_key_frame_to_the_live_edge(autojump_clock):
    async with staged(pictures(0, 50)) as edition:
        async with watching(Players(numbers()), edition) as watch:
            await live(edition, pictures(50, 20))
            await trio.sleep(1)
            assert watch.peer.frames() == list(range(30, 70))
            assert watch.viewer.mode is Mode.LIVE


async def test_the_first_picture_comes_at_once_and_the_rest_in_bursts_that_fit_a_jitter_buffer(
    autojump_clock,
):
    async with staged(pictures(0, 60, gop=60, size=60_000)) as edition:
        begun = trio.current_time()
        async with watching(Players(numbers()), edition) as watch:
            await trio.sleep(3)
            peer = watch.peer
            assert peer.frames() == list(range(60))
            whole = next(t for t, run in zip(peer.times, peer.runs, strict=True)
                         if parse_rtp(run.packets[-1]).marker)  # fmt: skip
            assert whole - begun < 0.1
            for time in set(peer.times):
                at_once = sum(len(r.packets) for r, t in zip(peer.runs, peer.times, strict=True)
                              if t == time)  # fmt: skip
                assert at_once <= 32
            assert max(peer.times) - begun > 60 / 30 / 5  # not all in one go


async def test_all_viewers_share_the_very_same_runs(autojump_clock):
    async with staged(pictures(0, 3)) as edition:
        players = Players(numbers())
        async with watching(players, edition) as one, watching(players, edition) as two:
            await trio.sleep(1)
            await live(edition, pictures(3, 10))
            assert len(players.feeds) == 1
            for a, b in zip(one.peer.runs[-10:], two.peer.runs[-10:], strict=True):
                assert a is b


async def test_the_first_viewer_starts_the_feed_and_the_last_one_stops_it(autojump_clock):
    async with staged(pictures(0, 3)) as edition:
        players = Players(numbers())
        async with watching(players, edition):
            async with watching(players, edition):
                pass
            assert len(players.feeds) == 1
            assert len(edition.scope.nursery.child_tasks) == 1
        await trio.testing.wait_all_tasks_blocked()
        assert players.feeds == []
        assert not edition.scope.nursery.child_tasks


async def test_without_a_key_frame_in_store_the_publisher_is_asked_and_nothing_broken_is_sent(
    autojump_clock,
):
    async with staged([picture(1), picture(2)], browser=True) as edition:
        async with watching(Players(numbers()), edition) as watch:
            await live(edition, pictures(3, 20))
            assert edition.asked
            assert watch.peer.frames() == []
            await live(edition, pictures(30, 5))
            assert watch.peer.frames() == [30, 31, 32, 33, 34]


async def test_what_is_lost_is_sent_again_under_the_same_number(autojump_clock):
    async with staged(pictures(0, 1)) as edition:
        async with watching(Players(numbers()), edition) as watch:
            dice = random.Random(7)
            watch.peer.lose = lambda number: dice.random() < 0.2
            packets = interleaved(1, 3)
            for start in range(0, len(packets), 8):
                await live(edition, packets[start : start + 8])
                watch.peer.nack(102)
                watch.peer.nack(111)
                await trio.sleep(0.03)
            watch.peer.lose = lambda number: False
            await live(edition, [picture(91)])
            watch.peer.nack(102)
            watch.peer.nack(111)
            # The first packets of all can be lost without anybody knowing that they were.
            assert watch.peer.missing(102) == []
            assert watch.peer.missing(111) == []
            assert watch.viewer.resent > 30


async def test_nobody_is_sent_more_again_than_a_bounded_rate(autojump_clock):
    async with staged(pictures(0, 1)) as edition:
        async with watching(Players(numbers()), edition) as watch:
            await live(edition, pictures(1, 29, size=30_000))
            before = len(watch.peer.runs)
            watch.peer.got = {
                mark: data for at, (mark, data) in enumerate(watch.peer.got.items())
                if at in {0, len(watch.peer.got) - 1}
            }  # fmt: skip
            for _ in range(10):
                watch.peer.nack(102)
                watch.peer.got = dict(list(watch.peer.got.items())[:2])
            again = sum(len(run.packets) for run in watch.peer.runs[before:])
            assert 0 < again <= 400


async def test_a_nack_for_what_was_never_sent_is_not_answered(autojump_clock):
    async with staged(pictures(0, 40)) as edition:
        async with watching(Players(numbers()), edition) as watch:
            await trio.sleep(1)
            before = len(watch.peer.runs)
            first = watch.peer.packets(102)[0]
            last = watch.peer.packets(102)[-1].sequence
            for ssrc in (first.ssrc, first.ssrc ^ 1, 99):
                lost = [first.sequence - 1, last + 1, last + 30_000]
                watch.peer.on_rtcp(Nack(1, ssrc, [n & 0xFFFF for n in lost]).build())
            assert len(watch.peer.runs) == before


async def test_a_pli_reaches_a_publisher_that_can_be_asked_and_a_storm_of_them_is_one(
    autojump_clock,
):
    async with staged(pictures(0, 40), browser=True) as edition:
        async with watching(Players(numbers()), edition) as watch:
            await trio.sleep(2)
            edition.asked.clear()
            ssrc = watch.peer.packets(102)[0].ssrc
            for _ in range(100):
                watch.peer.on_rtcp(Pli(1, ssrc).build())
            assert edition.asked == [0]
            assert watch.viewer.plis == 100


async def test_a_pli_to_a_publisher_that_takes_no_wishes_waits_for_a_key_frame_that_is_near(
    autojump_clock,
):
    async with staged(pictures(0, 1)) as edition:
        async with watching(Players(numbers()), edition) as watch:
            await live(edition, pictures(1, 39))
            watch.peer.on_rtcp(Pli(1, watch.peer.packets(102)[0].ssrc).build())
            await trio.sleep(1)
            await live(edition, pictures(40, 5))
            assert watch.peer.frames() == list(range(45))


async def test_where_the_next_key_frame_is_far_the_newest_pictures_come_once_more_and_only_once(
    autojump_clock,
):
    async with staged(pictures(0, 1, gop=600)) as edition:
        async with watching(Players(numbers()), edition) as watch:
            await live(edition, pictures(1, 90, gop=600))
            ssrc = watch.peer.packets(102)[0].ssrc
            for start in range(91, 151, 10):
                watch.peer.on_rtcp(Pli(1, ssrc).build())
                await live(edition, pictures(start, 10, gop=600))
                await trio.sleep(1 / 30)
            await trio.sleep(1)
            shown = watch.peer.frames()
            assert shown[:91] == list(range(91))
            assert shown[91] == 0
            assert shown[91:] == list(range(151))  # once: to the live edge, and on
            times = [packet.timestamp for packet in watch.peer.packets(102)]
            steps = [b - a & 0xFFFFFFFF for a, b in itertools.pairwise(times)]
            assert max(steps) < 6_000  # never backwards, and hardly a jump
            assert watch.peer.missing(102) == []


async def test_what_is_lost_of_a_replay_is_sent_again_as_it_was(autojump_clock):
    async with staged(pictures(0, 1, gop=600)) as edition:
        async with watching(Players(numbers()), edition) as watch:
            await live(edition, pictures(1, 90, gop=600))
            watch.peer.on_rtcp(Pli(1, watch.peer.packets(102)[0].ssrc).build())
            watch.peer.lose = lambda number: number % 7 == 0
            await live(edition, pictures(91, 60, gop=600))
            watch.peer.lose = lambda number: False
            await live(edition, pictures(151, 1, gop=600))
            assert watch.peer.missing(102)
            before = list(watch.peer.runs)
            watch.peer.nack(102)
            assert watch.peer.missing(102) == []
            first: dict[int, bytes] = {}
            for run in before:
                first.update(zip(run.indexes, run.packets, strict=True))
            for run in watch.peer.runs[len(before) :]:
                for index, packet in zip(run.indexes, run.packets, strict=True):
                    assert packet == first[index]


async def test_sound_of_a_large_audience_rides_behind_the_pictures_and_none_is_lost(autojump_clock):
    async with staged([*pictures(0, 1), opus(0)]) as edition:
        players = Players(numbers())
        async with trio.open_nursery() as nursery:
            ready: list[Watching] = []

            async def one() -> None:
                async with watching(players, edition) as watch:
                    ready.append(watch)
                    await trio.sleep_forever()

            for _ in range(40):
                nursery.start_soon(one)
            await trio.sleep(1)
            packets = interleaved(1, 2)
            await live(edition, packets)
            await live(edition, [opus(900), opus(901)])
            sent = [p for p in packets if p.track is OPUS]
            riding = [
                run
                for run in ready[0].peer.runs
                if len({parse_rtp(packet).ssrc for packet in run.packets}) == 2
            ]
            assert len(riding) > 40
            for watch in ready:
                assert len(watch.peer.sounds()) >= len(sent) + 1
                assert watch.peer.missing(111) == []
                assert watch.peer.frames() == list(range(61))
            nursery.cancel_scope.cancel()


async def test_a_few_viewers_hear_each_packet_at_once(autojump_clock):
    async with staged([*pictures(0, 1), opus(0)]) as edition:
        async with watching(Players(numbers()), edition) as watch:
            for number in range(1, 5):
                edition.accept([opus(number)])
                await trio.testing.wait_all_tasks_blocked()
                assert watch.peer.sounds() == list(range(1, number + 1))


async def test_reports_align_sound_and_picture_to_the_tick(autojump_clock):
    async with staged([*pictures(0, 1), opus(0)]) as edition:
        async with watching(Players(numbers()), edition) as watch:
            await live(edition, interleaved(1, 3))
            reports = watch.peer.words(SenderReport)
            assert len(reports) >= 4
            by_ssrc: dict[int, list[SenderReport]] = {}
            for report in reports:
                by_ssrc.setdefault(report.ssrc, []).append(report)
            video = watch.peer.packets(102)[0]
            audio = watch.peer.packets(111)[0]
            number = int.from_bytes(audio.payload[1:5], "big")
            for picture_report, sound_report in zip(
                by_ssrc[video.ssrc], by_ssrc[audio.ssrc], strict=True
            ):
                assert picture_report.ntp == sound_report.ntp
                shown = (picture_report.rtp_timestamp - video.timestamp & 0xFFFFFFFF) / 90_000
                heard = (sound_report.rtp_timestamp - audio.timestamp & 0xFFFFFFFF) / 48_000
                assert abs(shown - (heard + number * 0.02)) < 0.0001


async def test_opus_timestamps_count_samples_though_the_source_rounds_to_milliseconds(
    autojump_clock,
):
    packets = [replace(opus(n), dts=round(n * 20.4) * 1000, pts=n * 20_000 + 400 * (n % 2))
               for n in range(20)]  # fmt: skip
    async with staged([opus(0)]) as edition:
        async with watching(Players(numbers()), edition) as watch:
            await live(edition, packets)
            times = [packet.timestamp for packet in watch.peer.packets(111)]
            assert {b - a & 0xFFFFFFFF for a, b in itertools.pairwise(times)} == {960}


async def test_the_end_of_the_stream_says_goodbye_and_ends_the_peer(autojump_clock):
    async with staged(pictures(0, 3)) as edition:
        async with watching(Players(numbers()), edition) as watch:
            await trio.sleep(1)
            edition.ring.end()
            await trio.testing.wait_all_tasks_blocked()
            (bye,) = watch.peer.words(Bye)
            assert bye.reason == "the stream has ended"
            assert bye.ssrcs == [watch.peer.packets(102)[0].ssrc]
            assert watch.peer.scope.reason == "the stream has ended"


async def test_a_stream_that_changes_its_codec_ends_its_viewers_with_the_reason(autojump_clock):
    async with staged(pictures(0, 3)) as edition:
        async with watching(Players(numbers()), edition) as watch:
            other = Track(Kind.VIDEO, Codec.VP8)
            edition.accept([Packet(other, 0, 0, b"\x00" * 20, key=True)])
            await trio.testing.wait_all_tasks_blocked()
            assert watch.peer.scope.reason == "the stream has changed its codec"


async def test_sound_of_another_codec_is_never_sent_as_opus_and_ends_its_viewers(autojump_clock):
    async with staged([*pictures(0, 1), opus(0)]) as edition:
        async with watching(Players(numbers()), edition) as watch:
            aac = Track(Kind.AUDIO, Codec.AAC)
            await live(edition, [opus(1), opus(2, aac), opus(3)])
            assert watch.peer.sounds() == [1]
            assert watch.peer.scope.reason == "the stream has changed its codec"


async def test_a_publisher_with_b_frames_ends_those_who_cannot_show_them(autojump_clock):
    async with staged([*pictures(0, 3), opus(0)]) as edition:
        async with watching(Players(numbers()), edition) as watch:
            await live(edition, pictures(3, 4))
            late = picture(30, key=True)
            edition.accept([replace(late, pts=late.pts + 66_000), replace(picture(31), dts=0)])
            await live(edition, [picture(32), opus(90)])
            assert watch.peer.frames() == list(range(7))
            assert watch.peer.scope.reason == "the stream has changed: it has B-frames now"
            times = [packet.timestamp for packet in watch.peer.packets(102)]
            assert times == sorted(times)


async def test_b_frames_of_a_publisher_before_this_one_end_nobody(autojump_clock):
    late = picture(0, key=True)
    async with staged([replace(late, pts=late.pts + 66_000), *pictures(30, 3)]) as edition:
        async with watching(Players(numbers()), edition) as watch:
            await live(edition, pictures(33, 4))
            assert watch.peer.frames() == list(range(30, 37))


async def test_who_was_told_of_no_picture_comes_anew_when_there_is_one(autojump_clock):
    async with staged([opus(0)]) as edition:
        players = Players(numbers())
        async with watching(players, edition) as watch:
            async with watching(players, edition, Selection(with_video=False)) as deaf:
                await live(edition, [opus(n) for n in range(1, 60)])
                assert watch.peer.scope.reason == ""
                await live(edition, interleaved(40, 2))
                assert watch.peer.scope.reason == "the stream has changed: it has a picture now"
                assert deaf.peer.scope.reason == ""


async def test_who_was_told_of_no_sound_comes_anew_when_there_is_some(autojump_clock):
    async with staged(pictures(0, 3)) as edition:
        async with watching(Players(numbers()), edition) as watch:
            aac = Track(Kind.AUDIO, Codec.AAC)  # there is a rendition of it
            await live(edition, [*pictures(3, 3), opus(10, aac), *pictures(6, 60)])
            assert watch.peer.scope.reason == "the stream has changed: it has sound now"


async def test_a_new_configuration_goes_in_band_before_its_key_frame(autojump_clock):
    async with staged(pictures(0, 3)) as edition:
        async with watching(Players(numbers()), edition) as watch:
            await trio.sleep(1)
            wide = avc_track(128, 64)
            edition.accept([Packet(wide, 0, 0, wide.config, config=True)])
            await live(edition, pictures(30, 2, track=wide))
            sent = b"".join(packet.payload for packet in watch.peer.packets(102))
            assert avc_sps(128, 64) in sent


async def test_garbage_in_a_frame_costs_only_that_frame(autojump_clock):
    async with staged(pictures(0, 3)) as edition:
        async with watching(Players(numbers()), edition) as watch:
            await trio.sleep(1)
            edition.accept([replace(picture(3), data=b"\x00\x00\x09\x09")])
            await live(edition, pictures(30, 2))
            assert watch.peer.frames() == [0, 1, 2, 30, 31]


async def test_the_transport_wide_numbers_run_through_sound_and_picture(autojump_clock):
    async with staged([*pictures(0, 1), opus(0)]) as edition:
        async with watching(Players(numbers()), edition, extensions={TRANSPORT_CC: 3}) as watch:
            await trio.sleep(0.5)
            await live(edition, interleaved(1, 1))
            seen = []
            for packet in watch.peer.packets(102) + watch.peer.packets(111):
                value = extension(packet, 3)
                assert value is not None
                seen.append(transport_sequence(value))
            assert len(set(seen)) == len(seen)


async def test_two_layouts_are_two_feeds_of_one_clock(autojump_clock):
    async with staged(pictures(0, 3)) as edition:
        players = Players(numbers())
        async with watching(players, edition) as plain:
            async with watching(players, edition, extensions={TRANSPORT_CC: 3}) as extended:
                await trio.sleep(1)
                assert len(players.feeds) == 2
                one, two = plain.peer.packets(102), extended.peer.packets(102)
                assert [p.timestamp for p in one] == [p.timestamp for p in two]
                assert [p.payload for p in one] == [p.payload for p in two]


async def test_sound_or_picture_alone_is_a_choice(autojump_clock):
    async with staged([*pictures(0, 3), opus(0)]) as edition:
        players = Players(numbers())
        with players.player(edition, edition, Selection(with_audio=False)) as player:
            assert [track.kind for track in player.tracks] == [Kind.VIDEO]
        async with watching(players, edition, Selection(with_video=False)) as watch:
            await live(edition, [opus(1), opus(2)])
            assert watch.peer.sounds() == [1, 2]
            assert watch.peer.packets(102) == []


async def test_what_cannot_be_sent_is_refused_with_what_there_is(autojump_clock):
    aac = Track(Kind.AUDIO, Codec.AAC)
    async with staged([Packet(aac, 0, 0, b"x", key=True)]) as edition:
        with pytest.raises(Refused, match="there is aac") as refused:
            with Players(numbers()).player(edition, edition, Selection()):
                pass
        assert refused.value.code is RefusalCode.UNAVAILABLE


async def test_a_stream_that_has_ended_is_gone(autojump_clock):
    async with staged(pictures(0, 3)) as edition:
        edition.ring.end()
        with pytest.raises(Refused, match="has ended"):
            with Players(numbers()).player(edition, edition, Selection()):
                pass


async def test_cancelled_viewers_leave_nothing_behind(autojump_clock):
    async with staged(pictures(0, 20)) as edition:
        players = Players(numbers())
        dice = random.Random(3)

        async def one() -> None:
            with trio.move_on_after(dice.random()):
                async with watching(players, edition):
                    await trio.sleep_forever()

        async with trio.open_nursery() as nursery:
            for _ in range(50):
                nursery.start_soon(one)
            await live(edition, pictures(20, 30))
        await trio.testing.wait_all_tasks_blocked()
        assert players.feeds == []
        assert not edition.scope.nursery.child_tasks


def test_format_parameters_say_what_a_track_is():
    assert fmtp_of(VIDEO) == {"profile-level-id": "42c01f"}
    assert fmtp_of(OPUS) == {}
    assert fmtp_of(Track(Kind.VIDEO, Codec.VP9, config=b"\x01\0\0\0\x02" + bytes(7))) == {
        "profile-id": "2"
    }
    assert fmtp_of(Track(Kind.VIDEO, Codec.AV1, config=b"\x81\x24\0\0")) == {"profile": "1"}
