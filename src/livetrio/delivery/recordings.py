"""Recordings: what is being recorded, what was, and how long it is kept.

A recorder lives in the scope of its stream. What was recorded is known from the JSON beside each
file, read once at the start; afterwards this list is the truth.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final, NoReturn

import trio

from livetrio.delivery.record import Recorder, RecorderCounts, RecordOptions
from livetrio.delivery.record_formats import RecordFormat
from livetrio.delivery.recording import Recording, load_recordings, remove_recording
from livetrio.errors import RefusalCode, Refused
from livetrio.logs import get_logger
from livetrio.media.needs import legacy_audio
from livetrio.media.registry import Registry
from livetrio.media.renditions import Renditions
from livetrio.media.stream import Stream
from livetrio.net.guard import guarded
from livetrio.net.scope import open_scope
from livetrio.packet import StreamKey

__all__ = ["Recordings", "open_recordings"]

log = get_logger(__name__)

_TIDY_EVERY: Final = 60.0
"""Seconds between two looks for what is too old or too much."""


@dataclass(eq=False)
class _Running:
    """A stream that is being recorded."""

    stream: Stream
    format: RecordFormat
    recorder: Recorder | None = None
    stopped: trio.CancelScope = field(default_factory=trio.CancelScope)
    done: trio.Event = field(default_factory=trio.Event)


class Recordings:
    """Made by `open_recordings`."""

    def __init__(
        self,
        registry: Registry,
        renditions: Renditions,
        options: RecordOptions,
        apps: Mapping[str, RecordFormat],
        known: list[Recording],
    ) -> None:
        self.options = options
        self.counts = RecorderCounts()
        self._registry = registry
        self._renditions = renditions
        self._apps = apps
        self._recordings = {recording.id: recording for recording in known}
        self._running: dict[StreamKey, _Running] = {}
        self._seen: set[Stream] = set()
        self._threads = trio.CapacityLimiter(4)

    @property
    def running(self) -> dict[StreamKey, RecordFormat]:
        """The streams that are being recorded, and as what."""
        return {key: running.format for key, running in self._running.items()}

    def every(self, key: StreamKey | None = None) -> list[Recording]:
        """All recordings (of one stream), the oldest first."""
        known = self._recordings.values()
        found = [r for r in known if key is None or (r.app, r.name) == key]
        return sorted(found, key=lambda recording: recording.start)

    def find(self, id_: str) -> Recording | None:
        """One of them."""
        return self._recordings.get(id_)

    def path(self, recording: Recording) -> Path:
        """Where its file is."""
        return self.options.folder / recording.path

    def start(self, key: StreamKey, format_: RecordFormat) -> None:
        """Record a stream until it ends or `stop` is called.

        Raises:
            Refused: NOT_FOUND, it is not being published; CONFLICT, it is being recorded.
        """
        stream = self._registry.streams.get(key)
        if stream is None or stream.ending:
            raise Refused(RefusalCode.NOT_FOUND, f"stream {key} is not being published")
        if key in self._running:
            raise Refused(RefusalCode.CONFLICT, f"stream {key} is being recorded already")
        running = self._running[key] = _Running(stream, format_)
        stream.scope.nursery.start_soon(partial(self._record, key, running), name="record")

    async def stop(self, key: StreamKey) -> Recording | None:
        """End a stream's recording; returns when its file is whole.

        None: there was nothing to record.

        Raises:
            Refused: NOT_FOUND, it is not being recorded.
        """
        running = self._running.get(key)
        if running is None:
            raise Refused(RefusalCode.NOT_FOUND, f"stream {key} is not being recorded")
        running.stopped.cancel()
        await running.done.wait()
        newest = running.recorder.newest if running.recorder is not None else None
        return newest if newest is not None and newest.size else None

    async def delete(self, recording: Recording) -> None:
        """Delete a finished recording, file and all.

        Raises:
            Refused: CONFLICT, it goes on; UNAVAILABLE, the disk refuses.
        """
        if any(r.recorder and r.recorder.recording is recording for r in self._running.values()):
            raise Refused(RefusalCode.CONFLICT, "this recording goes on")
        job = partial(remove_recording, self.options.folder, recording)
        try:
            await trio.to_thread.run_sync(job, limiter=self._threads)
        except OSError as error:
            raise Refused(RefusalCode.UNAVAILABLE, "cannot be deleted", hint=str(error)) from error
        self._recordings.pop(recording.id, None)

    async def run(self) -> NoReturn:
        """Record what the configuration says, and tidy up, until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._tidy)
            await self._registry.events.follow("stream.", self._look)

    def _look(self) -> None:
        streams = set(self._registry.streams.values())
        self._seen &= streams
        for stream in streams - self._seen:
            format_ = self._apps.get(stream.key.app)
            if stream.ending:
                continue
            self._seen.add(stream)  # one that an operator has stopped is not begun again
            if format_ is not None and stream.key not in self._running:
                self.start(stream.key, format_)

    async def _record(self, key: StreamKey, running: _Running) -> None:
        faults: list[BaseException] = []
        try:
            async with open_scope("recording", running.format, parent=running.stream.scope):
                with guarded(faults.append), running.stopped:
                    # Opus of a browser has no place in FLV and TS that players know.
                    audio = None if running.format == "fmp4" else legacy_audio(running.stream)
                    async with self._renditions.open(running.stream, audio=audio) as edition:
                        running.recorder = Recorder(
                            edition,
                            running.format,
                            self.options,
                            threads=self._threads,
                            counts=self.counts,
                            begun=self._begun,
                            done=self._done,
                        )
                        await running.recorder.run()
        finally:
            if self._running.get(key) is running:
                del self._running[key]
            running.done.set()
            for fault in faults:
                log.error("bug: recording ended", stream=str(key), exc_info=fault)

    def _begun(self, recording: Recording) -> None:
        self._recordings[recording.id] = recording
        self._tell("record.begun", recording)

    def _done(self, recording: Recording) -> None:
        if not recording.size:  # a disk that refused from the first frame on
            self._recordings.pop(recording.id, None)
        self._tell("record.done", recording)

    def _tell(self, type_: str, recording: Recording) -> None:
        log.info(type_, stream=f"{recording.app}/{recording.name}", path=recording.path)
        self._registry.events.publish(
            type_,
            stream=f"{recording.app}/{recording.name}",
            id=recording.id,
            path=recording.path,
            format=recording.format,
            start=recording.start,
            duration=recording.duration,
            size=recording.size,
        )

    async def _tidy(self) -> None:
        while True:
            for recording in self.surplus(time.time()):
                try:
                    await self.delete(recording)
                except Refused as refusal:
                    path, reason = recording.path, refusal.hint or refusal.reason
                    log.warning("recording not deleted", path=path, reason=reason)
                else:
                    log.info("recording deleted: retention", path=recording.path)
            await trio.sleep(_TIDY_EVERY)

    def surplus(self, now: float) -> list[Recording]:
        """Finished recordings that are too old or too much, the oldest first. now: Unix time."""
        going_on = [r.recorder.recording for r in self._running.values() if r.recorder]
        finished = [recording for recording in self.every() if recording not in going_on]
        options = self.options
        total = sum(recording.size for recording in self._recordings.values())
        chosen = []
        for recording in finished:
            ended = recording.start + recording.duration
            too_old = bool(options.keep_time) and ended < now - options.keep_time
            if too_old or (options.keep_size and total > options.keep_size):
                chosen.append(recording)
                total -= recording.size
        return chosen


@asynccontextmanager
async def open_recordings(
    registry: Registry,
    renditions: Renditions,
    options: RecordOptions,
    apps: Mapping[str, RecordFormat],
) -> AsyncIterator[Recordings]:
    """The recordings, with those that an earlier run has left. Somebody has to run them.

    apps: the format in which all streams of an application are recorded.
    """
    job = partial(load_recordings, options.folder)
    known = await trio.to_thread.run_sync(job)
    yield Recordings(registry, renditions, options, apps, known)
