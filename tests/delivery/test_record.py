"""Recording: files that play, splits, retention, disks that refuse, names that try to escape."""

from __future__ import annotations

import io
import json
import os
import resource
import time
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import av
import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st
from kit.media import avc_track, sample_packets

from livetrio.delivery.record import RecordOptions
from livetrio.delivery.record_formats import make_tape
from livetrio.delivery.record_path import record_path
from livetrio.delivery.recording import Recording, load_recordings
from livetrio.delivery.recordings import Recordings, open_recordings
from livetrio.errors import Refused
from livetrio.media.client import Client
from livetrio.media.registry import Registry, open_registry
from livetrio.media.renditions import Renditions
from livetrio.net.scope import open_scope
from livetrio.packet import Kind, Packet, StreamKey
from livetrio.wire import amf0

KEY = StreamKey("live", "movie")
SECOND = 1_000_000
PACKETS = list(sample_packets(6.0))
DEMUXERS = {"flv": "flv", "fmp4": "mp4", "ts": "mpegts"}


@dataclass(frozen=True)
class Bench:
    registry: Registry
    recordings: Recordings
    folder: Path

    @asynccontextmanager
    async def published(self, packets=(), key: StreamKey = KEY):
        async with open_scope("publisher", str(key)) as scope:
            client = Client("publisher", "rtmp", scope)
            async with self.registry.publish(key, client, takeover=False) as publication:
                publication.publish(list(packets))
                yield publication
                publication.finish()

    async def until(self, condition) -> None:
        """Files are written by threads, whose end no clock of ours sees."""
        with trio.fail_after(10):
            while not condition():  # noqa: ASYNC110
                await trio.sleep(0.005)

    async def record(self, format_: str, key: StreamKey = KEY) -> None:
        """Begin a recording; it follows the stream when this returns."""
        self.recordings.start(key, format_)
        await trio.testing.wait_all_tasks_blocked(0.01)

    async def ended(self) -> None:
        await self.until(lambda: not self.registry.streams and not self.recordings.running)


@asynccontextmanager
async def bench(folder: Path, apps=None, **options):
    """A registry whose streams can be recorded, without waits between writes."""
    chosen = RecordOptions(folder=folder, **{"pace": 0.0, "retry": 0.01, **options})
    async with (
        open_scope("test", "record"),
        open_registry(resume_window=0.0) as registry,
        open_recordings(registry, Renditions(), chosen, apps or {}) as recordings,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(recordings.run)
        await trio.testing.wait_all_tasks_blocked()
        yield Bench(registry, recordings, folder)
        nursery.cancel_scope.cancel()


def frames(path: Path, format_: str, kind: str = "video") -> int:
    chosen = {kind: 0}
    with av.open(str(path), format=DEMUXERS[format_]) as container:
        return sum(1 for _ in container.decode(**chosen))


def metadata(data: bytes) -> dict:
    """What the first tag of an FLV file says."""
    size = int.from_bytes(data[14:17], "big")
    name, about = amf0.decode(data[24 : 24 + size], limit=10_000)
    assert name == "onMetaData"
    return about


def media(begin: float, end: float) -> list[Packet]:
    return [p for p in PACKETS if not p.config and begin * SECOND <= p.dts < end * SECOND]


CONFIGS = [p for p in PACKETS if p.config]


@pytest.mark.parametrize("format_", DEMUXERS)
async def test_everything_from_the_first_key_frame_on_is_in_the_file(tmp_path, format_):
    async with bench(tmp_path) as b:
        async with b.published([*CONFIGS, *media(0, 1)]) as publication:
            await b.record(format_)
            publication.publish(media(1, 6))
        await b.ended()
        (recording,) = b.recordings.every()
        path = b.recordings.path(recording)
        assert frames(path, format_) == 150
        assert frames(path, format_, "audio") >= 280
        assert recording.finished
        assert recording.size == path.stat().st_size
        assert recording.duration == pytest.approx(6.0, abs=0.1)
        assert recording.codecs == ["h264", "aac"]


@pytest.mark.parametrize("format_", DEMUXERS)
async def test_the_times_of_a_file_begin_at_its_beginning(tmp_path, format_):
    async with bench(tmp_path) as b:
        async with b.published(CONFIGS) as publication:
            publication.publish(media(0, 3))
            await b.record(format_)
            publication.publish(media(3, 6))
        await b.ended()
        (recording,) = b.recordings.every()
        with av.open(str(b.recordings.path(recording)), format=DEMUXERS[format_]) as container:
            first = next(p for p in container.demux(video=0) if p.size)
            assert first.is_keyframe
            wanted = 3.0 if format_ == "ts" else 0.0  # live from TS means the stream's own clock
            assert float(first.dts * first.time_base) == pytest.approx(wanted, abs=1.05)


@pytest.mark.parametrize("format_", DEMUXERS)
async def test_what_came_while_the_recorder_rested_is_in_the_file_when_the_stream_ends(
    tmp_path, format_
):
    async with bench(tmp_path, pace=60.0) as b:
        async with b.published([*CONFIGS, *media(0, 1)]) as publication:
            await b.record(format_)
            publication.publish(media(1, 6))
        await b.ended()
        (recording,) = b.recordings.every()
        assert frames(b.recordings.path(recording), format_) == 150


async def test_an_flv_file_gets_its_duration_and_an_index_that_points_at_key_frames(tmp_path):
    async with bench(tmp_path) as b:
        async with b.published([*CONFIGS, *media(0, 5)]):
            await b.record("flv")
        await b.ended()
        data = b.recordings.path(b.recordings.every()[0]).read_bytes()
        about = metadata(data)
        assert about["duration"] == pytest.approx(0.96, abs=0.1)
        assert about["filesize"] == len(data)
        offsets = about["keyframes"]["filepositions"]
        assert len(offsets) == len(about["keyframes"]["times"]) >= 1
        for offset in map(int, offsets):
            assert data[offset] == 9  # a video tag
            assert data[offset + 11] == 0x17  # AVC, key frame


@pytest.mark.parametrize("format_", ["ts", "fmp4"])
def test_sound_alone_costs_no_table_and_no_fragment_for_each_frame(format_):
    sounds = [p for p in PACKETS if p.track.kind is Kind.AUDIO and p.dts < 5 * SECOND]
    tape = make_tape(format_)
    pieces = [*tape.feed(sounds), *tape.end()]
    file = tape.open(pieces[0])
    data = file.head + b"".join(file.add(piece) for piece in pieces)
    assert 5 <= len(pieces) <= 6
    marks = data.count(b"livetrix") if format_ == "ts" else data.count(b"moof")
    assert marks == len(pieces)


def test_sound_alone_in_flv_has_a_place_in_the_index_once_a_second():
    sounds = [p for p in PACKETS if p.track.kind is Kind.AUDIO and p.dts < 5 * SECOND]
    tape = make_tape("flv")
    pieces = [*tape.feed(sounds), *tape.end()]
    file = tape.open(pieces[1])
    for piece in pieces[1:]:
        file.add(piece)
    ((_, patch),) = file.patches(5 * SECOND, 1 << 30)
    times = metadata(file.head[:13] + patch)["keyframes"]["times"]
    assert len(times) == 5
    assert all(after - one >= 1 for one, after in pairwise(times))


async def test_an_index_of_a_very_long_recording_still_fits(tmp_path):
    track = avc_track()
    async with bench(tmp_path) as b:
        async with b.published([Packet(track, 0, 0, track.config, config=True)]) as publication:
            b.recordings.start(KEY, "flv")
            for start in range(0, 5_000, 500):
                publication.publish(
                    [
                        Packet(track, t * 1000, t * 1000, b"\0\0\0\1e", key=True)
                        for t in range(start, start + 500)
                    ]
                )
                await b.until(lambda: b.recordings.every())
                await trio.sleep(0.01)
        await b.ended()
        data = b.recordings.path(b.recordings.every()[0]).read_bytes()
        about = metadata(data)
        assert 1_000 <= len(about["keyframes"]["times"]) <= 2_000
        assert data[int(about["keyframes"]["filepositions"][-1])] == 9


@pytest.mark.parametrize("format_", DEMUXERS)
async def test_a_recording_is_split_at_key_frames_and_nothing_is_lost_between(tmp_path, format_):
    async with bench(tmp_path, split_time=2.0) as b:
        async with b.published([*CONFIGS, *media(0, 0.5)]) as publication:
            await b.record(format_)
            publication.publish(media(0.5, 6))
        await b.ended()
        every = b.recordings.every()
        assert len(every) == 3
        assert sum(frames(b.recordings.path(r), format_) for r in every) == 150


async def test_a_recording_is_split_by_size(tmp_path):
    async with bench(tmp_path, split_size=1_000) as b:
        async with b.published([*CONFIGS, *media(0, 0.5)]) as publication:
            await b.record("ts")
            publication.publish(media(0.5, 6))
        await b.ended()
        assert len(b.recordings.every()) >= 4


async def test_a_new_configuration_begins_a_new_mp4_file(tmp_path):
    other = avc_track(128, 64)
    changed = [replace(p, track=other) if p.track.kind is Kind.VIDEO else p for p in media(2, 4)]
    async with bench(tmp_path) as b:
        async with b.published([*CONFIGS, *media(0, 0.5)]) as publication:
            await b.record("fmp4")
            publication.publish(media(0.5, 2))
            publication.publish([Packet(other, 0, 0, other.config, config=True), *changed])
        await b.ended()
        sizes = []
        for recording in b.recordings.every():
            with av.open(str(b.recordings.path(recording))) as container:
                sizes.append(container.streams.video[0].codec_context.width)
        assert sizes == [64, 128]


async def test_an_app_that_is_configured_so_records_all_its_streams(tmp_path):
    async with bench(tmp_path, {"live": "flv"}) as b:
        async with b.published([*CONFIGS, *media(0, 2)]):
            async with b.published([*CONFIGS, *media(0, 2)], StreamKey("other", "x")):
                await b.until(lambda: b.recordings.every())
        await b.ended()
        (recording,) = b.recordings.every()
        assert (recording.app, recording.name, recording.format) == ("live", "movie", "flv")


async def test_a_recording_that_is_stopped_is_whole_and_not_begun_again(tmp_path):
    async with bench(tmp_path, {"live": "fmp4"}) as b:
        async with b.published([*CONFIGS, *media(0, 3)]) as publication:
            await b.until(lambda: b.recordings.running)
            await trio.testing.wait_all_tasks_blocked(0.01)
            publication.publish(media(3, 5))
            await b.until(lambda: b.recordings.every())
            stopped = await b.recordings.stop(KEY)
            assert stopped.finished
            publication.publish(media(5, 6))
            b.registry.events.publish("stream.online")
            await trio.testing.wait_all_tasks_blocked(0.01)
            assert not b.recordings.running
            with pytest.raises(Refused):
                await b.recordings.stop(KEY)


async def test_only_what_is_live_and_not_recorded_yet_can_be_begun(tmp_path):
    async with bench(tmp_path) as b:
        with pytest.raises(Refused, match="not being published"):
            b.recordings.start(KEY, "flv")
        async with b.published(CONFIGS):
            b.recordings.start(KEY, "flv")
            with pytest.raises(Refused, match="already"):
                b.recordings.start(KEY, "ts")


async def test_recordings_of_an_earlier_run_are_found_again_and_junk_is_passed_over(tmp_path):
    async with bench(tmp_path) as b:
        async with b.published([*CONFIGS, *media(0, 2)]):
            await b.record("ts")
        await b.ended()
        ids = [r.id for r in b.recordings.every()]
    (tmp_path / "x.json").write_text('{"app": 1}')
    (tmp_path / "y.json").write_text("[")
    stolen = Recording("a", "b", "../../etc/passwd", "flv", 0.0)
    fields = {name: getattr(stolen, name) for name in stolen.__slots__}
    (tmp_path / "z.json").write_text(json.dumps(fields))
    assert [r.id for r in load_recordings(tmp_path)] == ids


async def test_old_recordings_go_and_the_oldest_when_there_is_too_much(tmp_path):
    async with bench(tmp_path, keep_time=100.0, keep_size=2_500) as b:
        for start, size in ((0.0, 10), (1_000.0, 2_000), (1_001.0, 2_000), (1_002.0, 400)):
            one = Recording("live", "x", f"{start}.flv", "flv", start, 1.0, size, [], True)
            b.recordings._recordings[one.id] = one
        assert [r.start for r in b.recordings.surplus(1_050.0)] == [0.0, 1_000.0]


async def test_a_deleted_recording_leaves_no_file_and_no_empty_folder(tmp_path):
    async with bench(tmp_path) as b:
        async with b.published([*CONFIGS, *media(0, 2)]) as publication:
            await b.record("ts")
            publication.publish(media(2, 4))
            await b.until(lambda: b.recordings.every())
            with pytest.raises(Refused, match="goes on"):
                await b.recordings.delete(b.recordings.every()[0])
        await b.ended()
        await b.recordings.delete(b.recordings.every()[0])
        assert list(tmp_path.iterdir()) == []
        assert b.recordings.every() == []


@contextmanager
def files_no_longer_than(size: int):
    """The kernel refuses as a full disk does: it takes a part of a write, then nothing."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_a_disk_that_refuses_is_tried_again_and_the_stream_goes_on(tmp_path, monkeypatch):
    free = os.statvfs(tmp_path)
    full = os.statvfs_result((*free[:4], 0, *free[5:]))
    monkeypatch.setattr("livetrio.delivery.record_file.os.statvfs", lambda _: full)
    async with bench(tmp_path) as b:
        async with b.published([*CONFIGS, *media(0, 1)]) as publication:
            b.recordings.start(KEY, "flv")
            for second in range(1, 4):
                publication.publish(media(second, second + 1))
                await b.until(lambda second=second: b.recordings.counts.failures >= second)
            assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
            monkeypatch.undo()
            for second in range(4, 6):
                publication.publish(media(second, second + 1))
                await trio.sleep(0.05)
            await b.until(lambda: b.recordings.every())
        await b.ended()
        (recording,) = b.recordings.every()
        assert frames(b.recordings.path(recording), "flv") >= 25


@pytest.mark.parametrize("format_", DEMUXERS)
async def test_what_a_full_disk_took_of_a_batch_is_taken_back_and_the_file_plays(tmp_path, format_):
    # room for the head of an FLV file with its index, and some frames
    room = {"flv": 39_000, "fmp4": 3_500, "ts": 10_000}[format_]
    async with bench(tmp_path) as b:
        async with b.published([*CONFIGS, *media(0, 1.5)]) as publication:
            with files_no_longer_than(room):
                await b.record(format_)
                publication.publish(media(1.5, 2.1))
                await b.until(lambda: b.recordings.every() and b.recordings.every()[0].duration)
                publication.publish(media(2.1, 4))
                await b.until(lambda: b.recordings.counts.failures)
            await b.until(lambda: b.recordings.every() and b.recordings.every()[0].finished)
            publication.publish(media(4, 6))
        await b.ended()
        first = b.recordings.every()[0]
        path = b.recordings.path(first)
        assert first.size == path.stat().st_size <= room
        assert 1 <= frames(path, format_) < 100
        if format_ == "flv":
            about = metadata(path.read_bytes())
            assert about["filesize"] == first.size
            assert max(about["keyframes"]["filepositions"]) < first.size


HUGE = (100 << 20).to_bytes(4, "big") + b"\x41" + bytes((100 << 20) - 1)
BROKEN = [p for p in media(3, 4) if p.track.kind is Kind.VIDEO and not p.key][3]


@pytest.mark.parametrize("format_", DEMUXERS)
async def test_a_frame_of_a_hundred_megabytes_harms_neither_stream_nor_file(tmp_path, format_):
    async with bench(tmp_path) as b:
        async with b.published([*CONFIGS, *media(0, 1)]) as publication:
            await b.record(format_)
            publication.publish(media(1, 3))
            await b.until(lambda: b.recordings.counts.bytes > 1_000)
            publication.publish([replace(BROKEN, data=HUGE)])
            publication.publish([p for p in media(3, 6) if p is not BROKEN])
            # more than the ring of a stream holds: the recorder is told that something is missing
            await b.until(lambda: b.recordings.counts.jumps == 1)
            assert b.registry.streams
        await b.ended()
        assert sum(recording.size for recording in b.recordings.every()) < 1 << 20
        first = b.recordings.path(b.recordings.every()[0])
        assert frames(first, format_) >= 50  # what came before it
        assert all(recording.finished for recording in b.recordings.every())


@pytest.mark.parametrize("format_", DEMUXERS)
def test_a_frame_of_a_hundred_megabytes_is_written_or_left_out_whole(format_):
    packets = [replace(p, data=HUGE) if p is BROKEN else p for p in PACKETS]
    tape = make_tape(format_)
    pieces = [*tape.feed(packets), *tape.end()]
    begin = next(number for number, piece in enumerate(pieces) if piece.begins)
    file = tape.open(pieces[begin])
    size = len(file.head) + sum(len(file.add(piece)) for piece in pieces[begin:])
    if format_ == "flv":  # a tag has 16 MB at most
        assert size < 1 << 20
    else:
        assert 100 << 20 < size < 105 << 20


async def test_a_file_that_never_got_a_frame_is_not_kept(tmp_path):
    async with bench(tmp_path) as b:
        async with b.published([*CONFIGS, *media(0, 1.5)]) as publication:
            with files_no_longer_than(36_600):  # the head alone
                await b.record("flv")
                publication.publish(media(1.5, 2.5))
                await b.until(lambda: b.recordings.counts.failures)
                await b.until(lambda: not b.recordings.every())
                assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


async def test_a_folder_that_cannot_be_written_harms_nobody(tmp_path):
    (tmp_path / "file").write_text("in the way")
    async with bench(tmp_path / "file" / "recordings") as b:
        async with b.published([*CONFIGS, *media(0, 1)]) as publication:
            b.recordings.start(KEY, "flv")
            publication.publish(media(1, 3))
            await b.until(lambda: b.recordings.counts.failures)
            assert not b.registry.streams[KEY].ending
            assert b.recordings.every() == []


async def test_a_recording_begins_when_its_first_frame_was_there_not_when_it_was_written(tmp_path):
    async with bench(tmp_path) as b:
        async with b.published([*CONFIGS, *media(0, 1.96)]):  # a key frame at 1 s
            now = time.time()
            await b.record("flv")
            await b.until(lambda: b.recordings.every())
            assert b.recordings.every()[0].start == pytest.approx(now - 0.96, abs=0.5)


async def test_cancelling_everything_finishes_the_file_and_leaves_nothing_open(tmp_path):
    before = len(os.listdir("/proc/self/fd"))
    with trio.CancelScope() as root:
        async with bench(tmp_path) as b:
            async with b.published([*CONFIGS, *media(0, 3)]):
                await b.record("fmp4")
                root.cancel()
                await trio.lowlevel.checkpoint()
    (recording,) = load_recordings(tmp_path)
    assert recording.finished
    assert frames(tmp_path / recording.path, "fmp4") >= 25
    assert len(os.listdir("/proc/self/fd")) <= before + 1


async def test_up_to_the_last_fragment_a_file_plays_although_nobody_finished_it(tmp_path):
    async with bench(tmp_path) as b:
        async with b.published([*CONFIGS, *media(0, 0.5)]) as publication:
            await b.record("fmp4")
            publication.publish(media(0.5, 6))
            await b.until(lambda: b.recordings.counts.bytes > 3_000)
            (recording,) = b.recordings.every()
            data = b.recordings.path(recording).read_bytes()
        with av.open(io.BytesIO(data[:-100]), format="mp4") as container:
            assert sum(1 for _ in container.decode(video=0)) >= 100


@pytest.mark.parametrize(
    "name",
    [
        *("../../etc/passwd", "..", ".", "a/../../b", "a\x00b", "C:\\x", "%2e%2e/x", "~root"),
        *("直播间", "x" * 5_000, "a\r\nb", "$(id)", "-rf", ".hidden"),
    ],
)
def test_no_name_of_a_stream_leads_out_of_the_folder(name, tmp_path):
    path = (tmp_path / record_path("{app}/{name}_{unix}", StreamKey(name, name), 0)).resolve()
    assert path.is_relative_to(tmp_path)
    assert path.parent.parent == tmp_path
    assert len(path.name.encode()) < 250


@given(st.text(min_size=1), st.text(min_size=1))
def test_whatever_it_is_called_it_stays_two_levels_deep(app, name):
    path = record_path("{app}/{name}", StreamKey(app, name), 0)
    assert len(path.parts) == 2
    assert ".." not in path.parts
    assert "\0" not in str(path)


def test_a_template_may_have_the_date_and_a_percent_sign_in_a_name_is_no_code():
    path = record_path("%Y/{app}-{name}", StreamKey("live", "100%Y"), 86_400 * 200)
    assert path == Path("1970/live-100%25Y")
