"""compose(): a stream like any other, made while somebody needs it, whatever its worker does."""

from __future__ import annotations

import os
import signal
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
import trio
from kit.coded import announce, coded_sound, coded_video, heard, shifted
from kit.programs import eventually

from livetrio.errors import Refused
from livetrio.media.client import Client
from livetrio.media.mix import composer
from livetrio.media.mix.composer import MixOptions, compose
from livetrio.media.mix.scene import Part, Scene, Stage
from livetrio.media.registry import open_registry
from livetrio.net.scope import open_scope
from livetrio.packet import Codec, Kind, StreamKey

ROOM = StreamKey("live", "room")
SMALL = MixOptions(video=True, width=320, height=180, fps=15, linger=0.3)
VOICES = MixOptions(video=False, linger=0.3)


def seat(number: int) -> StreamKey:
    return StreamKey("live", f"room/{number}")


def scene(count: int, *, picture: bool = True, **changes) -> Scene:
    parts = tuple(
        Part(str(n), seat(n), "", sound=True, picture=picture) for n in range(1, count + 1)
    )
    return Scene(parts, **changes)


async def publish(registry, number, *, hertz=440.0, video=True):
    """Sit on a seat: one second of media, again and again."""
    sound = coded_sound(Codec.OPUS, hertz=hertz, seconds=1.0)
    picture = coded_video(frames=25, b_frames=0) if video else ()
    clip = sorted([*sound, *picture], key=lambda packet: (not packet.config, packet.dts))
    async with open_scope("test", f"seat {number}") as scope:
        client = Client("publisher", "whip", scope)
        async with registry.publish(seat(number), client, takeover=False) as publication:
            begun, shift = trio.current_time(), 0
            while True:
                for packet in shifted(clip, shift):
                    await trio.sleep_until(begun + packet.dts / 1e6)
                    publication.publish([packet])
                shift += 1_000_000


@asynccontextmanager
async def watch(registry, key=ROOM):
    async with open_scope("test", "viewer") as scope:
        client = Client("player", "flv", scope)
        async with registry.subscribe(key, client, wait=20) as stream:
            yield stream


def worker_of() -> int:
    """The process id of the worker of the only composition."""
    children = Path("/proc/self/task").glob("*/children")
    return next(
        int(pid)
        for file in children
        for pid in file.read_text().split()
        if "livetrio.media.mix.worker" in Path(f"/proc/{pid}/cmdline").read_text()
    )


def niceness(pid: int) -> list[int]:
    """Of each thread of a process above our own, in the order they were made."""
    tasks = sorted(Path(f"/proc/{pid}/task").iterdir(), key=lambda task: int(task.name))
    stats = [(task / "stat").read_text().rpartition(")")[2].split() for task in tasks]
    return [int(fields[16]) - os.nice(0) for fields in stats]


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def of(packets, kind, track_id=0):
    return [p for p in packets if p.track.kind is kind and p.track.id == track_id]


async def read_until(cursor, enough):
    packets = []
    with trio.fail_after(30):
        while not enough(packets):
            packets += await cursor.read()
    return packets


def tones(packets):
    sound = np.array([value for _, value in heard(packets)])[-48_000:]
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(sound.size))) * 4 / sound.size
    return [
        round(hertz, -1)
        for hertz in np.flatnonzero(spectrum > 0.05)
        if spectrum[hertz] == spectrum[hertz - 20 : hertz + 21].max()
    ]


async def hears(cursor, *hertz, track_id=0):
    """Return once these tones and no others have been heard for a second."""
    sound = []
    with trio.fail_after(60):
        while True:
            fresh = await read_until(cursor, lambda got: len(of(got, Kind.AUDIO, track_id)) > 25)
            sound = [*sound, *of(fresh, Kind.AUDIO, track_id)][-60:]
            track = sound[-1].track
            if tones([announce(track), *sound]) == list(hertz):
                return


def last_picture(packets):
    decoder = av.CodecContext.create("h264", "r")
    picture = None
    for packet in packets:
        if packet.config:
            decoder.extradata = packet.data
        else:
            for frame in decoder.decode(av.Packet(packet.data)):
                picture = frame.to_ndarray()
    return picture


async def test_the_room_is_one_stream_with_everybodys_sound_and_picture(nursery):
    async with open_registry() as registry:
        nursery.start_soon(lambda: publish(registry, 1, hertz=440))
        nursery.start_soon(lambda: publish(registry, 2, hertz=1000))
        # The third one never comes.
        nursery.start_soon(compose, registry, ROOM, Stage(scene(3)), SMALL)
        async with watch(registry) as stream:
            cursor = stream.ring.cursor()
            packets = await read_until(cursor, lambda got: len(of(got, Kind.VIDEO)) > 30)
            await hears(cursor, 440, 1000)
            await hears(cursor, 440, 1000, track_id=1)
        tracks = {(t.codec, t.id) for t in stream.tracks}
        assert tracks == {(Codec.H264, 0), (Codec.AAC, 0), (Codec.OPUS, 1)}
        pictures = of(packets, Kind.VIDEO)
        assert all(packet.pts == packet.dts for packet in pictures)
        shown = last_picture(pictures)
        assert shown[40, 80] >= 39
        assert shown[40, 240] >= 39
        assert abs(int(shown[140, 160]) - 38) <= 3
        nursery.cancel_scope.cancel()


async def test_it_ends_when_nobody_watches_and_its_name_is_free(nursery):
    async with open_registry() as registry:
        ended = trio.Event()

        async def composing():
            await compose(registry, ROOM, Stage(scene(1, picture=False)), VOICES)
            ended.set()

        nursery.start_soon(composing)
        async with watch(registry) as stream:
            await read_until(stream.ring.cursor(), lambda got: got)
            pid = worker_of()
            await trio.sleep(1.0)  # much longer than it lingers
            assert not ended.is_set()
        with trio.fail_after(10):
            await ended.wait()
        await eventually(lambda: ROOM not in registry.streams)
        assert not is_running(pid)


async def test_a_recording_needs_it_and_a_packager_does_not(nursery):
    async with open_registry() as registry:
        nursery.start_soon(compose, registry, ROOM, Stage(scene(1, picture=False)), VOICES)
        async with watch(registry) as stream:
            pass
        async with open_scope("recording", "fmp4", parent=stream.scope):
            await trio.sleep(1.0)
            assert not stream.ending
        async with open_scope("hls", "ts", parent=stream.scope):
            await eventually(lambda: stream.ending)


async def test_somebody_else_may_publish_that_name_and_then_it_is_refused(nursery):
    async with open_registry() as registry, open_scope("test", "other") as scope:
        async with registry.publish(ROOM, Client("publisher", "rtmp", scope), takeover=False):
            with pytest.raises(Refused):
                await compose(registry, ROOM, Stage(), VOICES)


async def test_a_worker_that_is_killed_again_and_again_has_successors_and_viewers_stay(nursery):
    async with open_registry() as registry:
        nursery.start_soon(lambda: publish(registry, 1))
        nursery.start_soon(compose, registry, ROOM, Stage(scene(1)), SMALL)
        async with watch(registry) as stream:
            cursor = stream.ring.cursor()
            publisher = next(c for c in stream.clients.values() if c.role == "publisher")
            packets, killed = [], set()
            for _ in range(3):
                packets += await read_until(
                    cursor, lambda got: len(of(got, Kind.VIDEO)) > 20 and of(got, Kind.AUDIO)
                )
                killed.add(pid := worker_of())
                os.kill(pid, signal.SIGKILL)
                await eventually(lambda pid=pid: not is_running(pid))
            packets += await read_until(cursor, lambda got: len(of(got, Kind.AUDIO, 1)) > 10)
            assert publisher.statistics().restarts == 3
            assert len(killed) == 3
            assert not stream.ending
            for kind, track_id in ((Kind.VIDEO, 0), (Kind.AUDIO, 0), (Kind.AUDIO, 1)):
                times = [p.dts for p in of(packets, kind, track_id) if not p.config]
                assert times == sorted(times)
            assert stream.repairs.jumps == 0
            await hears(cursor, 440)
        nursery.cancel_scope.cancel()


class Mute:
    """A worker that says so much as soon as it is there, and never again."""

    def __init__(self, words: int) -> None:
        self._words = words

    async def send(self, messages) -> bool:
        return True

    async def receive(self):
        if self._words == 0:
            await trio.sleep_forever()
        self._words -= 1
        return []


@pytest.mark.parametrize(
    ("words", "lives"),
    [(0, [10.2]), (3, [2.7, 2.9, 3.3, 4.1, 4.5, 4.5])],
    ids=["as it starts", "at work"],
)
async def test_a_worker_that_hangs_is_ended_soon_and_its_successor_not_late(
    words, lives, monkeypatch, nursery, autojump_clock
):
    begun = []

    @asynccontextmanager
    async def open_mute(*arguments):
        begun.append(trio.current_time())
        yield Mute(words)

    monkeypatch.setattr(composer, "open_worker", open_mute)
    async with open_registry() as registry:
        nursery.start_soon(compose, registry, ROOM, Stage(scene(1)), SMALL)
        async with watch(registry):
            await trio.sleep(sum(lives) + 0.1)
            assert [b - a for a, b in pairwise(begun)] == pytest.approx(lives, abs=0.001)
        nursery.cancel_scope.cancel()


async def test_a_worker_that_stands_still_leaves_out_what_is_late_and_goes_on(nursery):
    async with open_registry() as registry:
        nursery.start_soon(lambda: publish(registry, 1))
        nursery.start_soon(compose, registry, ROOM, Stage(scene(1)), SMALL)
        async with watch(registry) as stream:
            cursor = stream.ring.cursor()
            await read_until(cursor, lambda got: len(of(got, Kind.AUDIO)) > 10)
            pid = worker_of()
            os.kill(pid, signal.SIGSTOP)
            await trio.sleep(0.5)
            os.kill(pid, signal.SIGCONT)
            packets = await read_until(cursor, lambda got: len(of(got, Kind.AUDIO, 1)) > 50)
            times = [p.dts for p in of(packets, Kind.AUDIO, 1) if not p.config]
            assert max(b - a for a, b in pairwise(times)) > 200_000  # it is left out, not made up
            await hears(cursor, 440)
        nursery.cancel_scope.cancel()


async def test_pictures_give_way_to_sound_and_sound_to_nobody(nursery):
    async with open_registry() as registry:
        nursery.start_soon(compose, registry, ROOM, Stage(scene(1)), SMALL)
        async with watch(registry) as stream:
            await read_until(stream.ring.cursor(), lambda got: of(got, Kind.VIDEO))
            first, *others = niceness(worker_of())
            assert first == 0
            assert 5 in others
        nursery.cancel_scope.cancel()


async def test_operators_see_what_jitter_and_lateness_did_to_the_sound(nursery):
    async with open_registry() as registry, trio.open_nursery() as seats:
        seats.start_soon(lambda: publish(registry, 1, video=False))
        nursery.start_soon(compose, registry, ROOM, Stage(scene(1, picture=False)), VOICES)
        async with watch(registry) as stream:
            cursor = stream.ring.cursor()
            publisher = next(c for c in stream.clients.values() if c.role == "publisher")
            await hears(cursor, 440)
            assert publisher.statistics().parts == 1
            dry = publisher.statistics().underruns
            os.kill(pid := worker_of(), signal.SIGSTOP)
            await trio.sleep(0.5)
            os.kill(pid, signal.SIGCONT)
            seats.cancel_scope.cancel()  # and the sound runs dry
            with trio.fail_after(30):
                while not (publisher.statistics().underruns > dry):
                    await cursor.read()
            assert publisher.statistics().left_out > 200
        nursery.cancel_scope.cancel()


async def test_cancelled_it_leaves_no_process_no_stream_and_no_task(nursery):
    async with open_registry() as registry:
        life = trio.CancelScope()

        async def composing():
            with life:
                await compose(registry, ROOM, Stage(scene(2)), SMALL)

        nursery.start_soon(composing)
        async with watch(registry) as stream:
            await read_until(stream.ring.cursor(), lambda got: got)
            pid = worker_of()
            life.cancel()
            await eventually(lambda: ROOM not in registry.streams and not is_running(pid))
        assert not [task for task in nursery.child_tasks if "compos" in task.name]


async def test_the_scene_changes_while_it_is_watched(nursery):
    async with open_registry() as registry:
        nursery.start_soon(lambda: publish(registry, 1, hertz=440, video=False))
        nursery.start_soon(lambda: publish(registry, 2, hertz=1000, video=False))
        stage = Stage(scene(1, picture=False))
        nursery.start_soon(compose, registry, ROOM, stage, VOICES)
        async with watch(registry) as stream:
            cursor = stream.ring.cursor()
            await hears(cursor, 440)
            stage.show(scene(2, picture=False))
            await hears(cursor, 440, 1000)
            stage.show(Scene(scene(2, picture=False).parts[1:]))
            await hears(cursor, 1000)
        nursery.cancel_scope.cancel()


async def test_a_viewers_wish_for_a_key_frame_is_fulfilled(nursery):
    async with open_registry() as registry:
        nursery.start_soon(compose, registry, ROOM, Stage(scene(1)), SMALL)
        async with watch(registry) as stream:
            cursor = stream.ring.cursor()
            await read_until(cursor, lambda got: len(of(got, Kind.VIDEO)) > 15)
            stream.request_key_frame()
            packets = await read_until(cursor, lambda got: any(p.key for p in of(got, Kind.VIDEO)))
            assert len(of(packets, Kind.VIDEO)) < 20  # not only after two seconds
        nursery.cancel_scope.cancel()
