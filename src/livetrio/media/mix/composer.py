"""compose(): publishes a composed stream for as long as somebody needs it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Final, NoReturn

import trio

from livetrio.errors import Refused, RemoteProtocolError
from livetrio.logs import get_logger
from livetrio.media.client import Client
from livetrio.media.mix.cast import Cast
from livetrio.media.mix.lanes import AAC, OPUS, PICTURE, SOUND_RECORDS, part_of
from livetrio.media.mix.options import MixOptions
from livetrio.media.mix.outgoing import Outgoing
from livetrio.media.mix.report import WorkerReport, report_of
from livetrio.media.mix.scene import Stage
from livetrio.media.registry import Registry
from livetrio.media.stream import Publication, Stream
from livetrio.media.transcode.pipe import Message, Word
from livetrio.media.transcode.process import Worker, open_worker
from livetrio.net.guard import guarded
from livetrio.net.scope import open_scope
from livetrio.packet import Codec, Packet, StreamKey, Track
from livetrio.wire.tracks import track_from_record

__all__ = ["MixOptions", "MixStatistics", "compose"]

log = get_logger(__name__)

_MODULE: Final = "livetrio.media.mix.worker"
_FIRST_BACKOFF: Final = 0.2
_LONGEST_BACKOFF: Final = 2.0
"""Seconds before a dead worker's successor is started, doubling in between ..."""
_STEADY: Final = 10.0
"""... until one has lasted for so long."""
_PACE: Final = 0.01
"""Seconds in which packets gather; the worker looks for them every 20 ms."""
_SLOW_START: Final = 10.0
"""Seconds after which a worker from which nothing has come is taken to hang; a start takes one
second, and many on a machine that is busy."""
_SILENCE: Final = 2.5
"""The same once something has come: there is sound to be sent every 20 ms."""
_TRACKS: Final = {PICTURE: (Codec.H264, 0), AAC: (Codec.AAC, 0), OPUS: (Codec.OPUS, 1)}
"""By the worker's lane: the codec, and the track's id. RTMP and FLV send tracks with id 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MixStatistics(WorkerReport):
    """What is known of a composition, for operators. What its worker counts begins anew with
    each worker."""

    parts: int = 0
    """In the scene now."""
    restarts: int = 0
    """Workers that ended and had a successor."""
    dropped: int = 0
    """Packets that the present worker was not sent, because it stood still."""


async def compose(registry: Registry, key: StreamKey, stage: Stage, options: MixOptions) -> None:
    """Publish the composed stream until nobody has needed it for `linger` seconds.

    A worker process decodes, mixes, lays out and encodes; one that dies is started again, with
    a back-off of 0.2 to 2 s, and the stream and its viewers stay. Cancelled, or ended by an
    operator, it ends the stream and the worker at once.

    Raises:
        Refused: CONFLICT, somebody else publishes that stream.
    """
    refused: Refused | None = None
    async with open_scope("mix", str(key)) as scope:
        client = Client("publisher", "mix", scope)
        try:
            async with registry.publish(key, client, takeover=False) as publication:
                publication.finish()  # whenever this ends there is nobody who would come back
                composition = _Composition(registry, publication, stage, options)
                client.statistics = composition.statistics
                publication.on_key_frame_request = composition.want_key
                composition.announce()
                scope.nursery.start_soon(composition.run, name="mixing")
                await _unneeded(publication.stream, client, options.linger)
                scope.cancel("nobody watches")
        except Refused as error:
            refused = error  # out of the nursery's block it would come as a group
    if refused is not None:
        raise refused


class _Composition:
    """One worker after the other, and what outlasts them."""

    def __init__(
        self, registry: Registry, publication: Publication, stage: Stage, options: MixOptions
    ) -> None:
        self._registry = registry
        self._publication = publication
        self._stage = stage
        self._options = options
        # Not Trio's clock: the worker reads the same one, and goes on where another ended.
        self._began = time.monotonic()
        self._tracks: dict[int, Track] = {}
        self._outgoing = Outgoing()
        self._restarts = 0
        self._report = WorkerReport()

    def statistics(self) -> MixStatistics:
        """The counters now."""
        return MixStatistics(
            parts=len(self._stage.scene.parts),
            restarts=self._restarts,
            dropped=self._outgoing.dropped,
            **asdict(self._report),
        )

    def announce(self) -> None:
        """Say what sound there will be: who watches first has to choose before any has come."""
        messages = [
            Message(Word.CONFIG, data=record, lane=lane) for lane, record in SOUND_RECORDS.items()
        ]
        self._publication.publish([self._announced(message) for message in messages])

    def want_key(self, track_id: int) -> None:  # noqa: ARG002 - there is but one
        """Some viewer needs a key frame."""
        self._outgoing.put(Message(Word.WANT_KEY))

    async def run(self) -> NoReturn:
        """Keep a worker at work until cancelled."""
        backoff = _FIRST_BACKOFF
        while True:
            begun = trio.current_time()
            how = "by an error"
            with guarded(self._blame):
                how = await self._live()
            if trio.current_time() - begun >= _STEADY:
                backoff = _FIRST_BACKOFF
            self._restarts += 1
            key = str(self._publication.stream.key)
            log.warning("mixing worker ended", stream=key, how=how, retry=backoff)
            await trio.sleep(backoff)
            backoff = min(2 * backoff, _LONGEST_BACKOFF)

    async def _live(self) -> str:
        """One worker's life; how it ended."""
        self._outgoing = outgoing = Outgoing()
        self._report = WorkerReport()
        arguments = self._options.to_json(), repr(self._began)
        async with open_worker(_MODULE, *arguments) as worker, trio.open_nursery() as nursery:
            cast = Cast(self._registry, outgoing)
            nursery.start_soon(cast.run, self._stage, name="cast")
            nursery.start_soon(self._send, worker, outgoing, name="to the mixing worker")
            how = await self._receive(worker, cast)
            nursery.cancel_scope.cancel()
        return how

    async def _send(self, worker: Worker, outgoing: Outgoing) -> None:
        while await worker.send(await outgoing.take()):
            await self._registry.pacer.rest(_PACE)

    async def _receive(self, worker: Worker, cast: Cast) -> str:
        """Publish what the worker makes until it ends; how it ended."""
        silence = _SLOW_START
        while True:
            messages: list[Message] | None = []
            with trio.move_on_after(silence) as patience:
                try:
                    messages = await worker.receive()
                except RemoteProtocolError as error:
                    return str(error)
            if patience.cancelled_caught:
                return f"it made nothing for {silence:g} s"
            if messages is None:
                status = await worker.ended()
                return f"by signal {-status}" if status < 0 else f"with status {status}"
            self._take(messages, cast)
            silence = _SILENCE

    def _take(self, messages: Sequence[Message], cast: Cast) -> None:
        made: list[Packet] = []
        for message in messages:
            match message.word:
                case Word.CONFIG:
                    made.append(self._announced(message))
                case Word.KEY | Word.FRAME:
                    track = self._tracks[message.lane]
                    is_key = message.word is Word.KEY
                    pts = message.pts
                    made.append(Packet(track, pts, pts, message.data, key=is_key))
                case Word.WANT_KEY:
                    cast.ask_key_frame(part_of(message.lane)[0])
                case Word.REPORT:
                    self._report = report_of(message)
        self._publication.publish(made)

    def _announced(self, message: Message) -> Packet:
        """A track; that of the worker before, where nothing has changed."""
        track = self._tracks.get(message.lane)
        if track is None or track.config != message.data:
            codec, track_id = _TRACKS[message.lane]
            track = self._tracks[message.lane] = track_from_record(codec, message.data, track_id)
        return Packet(track, message.pts, message.pts, track.config, config=True)

    def _blame(self, error: BaseException) -> None:
        key = str(self._publication.stream.key)
        log.error("bug: mixing worker lost", stream=key, exc_info=error)


async def _unneeded(stream: Stream, own: Client, linger: float) -> None:
    """Return when for so many seconds nobody was there but its publisher."""
    needed = trio.current_time()
    while True:
        now = trio.current_time()
        if _is_needed(stream, own):
            needed = now
        elif now - needed >= linger:
            return
        await trio.sleep(min(max(linger / 4, 0.02), 1.0))


def _is_needed(stream: Stream, own: Client) -> bool:
    """Is there a viewer, a relay, a recorder? The standing packagers of HLS are none of them;
    who watches by HLS is a client. Recorders are not, but have a scope below the stream."""
    recorded = any(scope.kind == "recording" for scope in stream.scope.children)
    return recorded or any(client is not own for client in stream.clients.values())
