"""Renditions: other editions of a stream, made once on demand and shared by all who want them.

Each is one stage with one subject, sound or picture, that reads an edition and writes another;
wishes for both are two stages one behind the other. A stage lives in the scope of the edition
that it reads, so the end of a stream is the end of all that is made of it. Refused: one stage
for both; two viewers that differ in their sound would then cost two video encoders.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import Final, Literal
from weakref import WeakKeyDictionary

import trio

from livetrio.config.schema import RenditionConfig
from livetrio.errors import LivetrioError, RefusalCode, Refused
from livetrio.logs import get_logger
from livetrio.media.edition import Edition
from livetrio.media.needs import has_codec, legacy_audio, reorders
from livetrio.media.rendition_audio import make_audio
from livetrio.media.rendition_stage import Claim, Stage, dispensable
from livetrio.media.rendition_video import make_video
from livetrio.media.ring import Ring
from livetrio.media.stream import Stream
from livetrio.net.guard import guarded
from livetrio.net.scope import open_scope
from livetrio.packet import Codec, Kind

__all__ = ["Renditions", "VideoWish"]

log = get_logger(__name__)

VideoWish = Literal["no-b", "h264"]
"""What is to become H.264 without B-frames: H.264 that has them, or whatever is not so yet."""

_REMEMBERED: Final = 30.0
"""Seconds for which a rendition that failed is refused: its viewers come back at once."""
_THREADS: Final = 4
"""At work on sound at a time; each batch takes about a millisecond."""
_LINGER: Final = 10.0
"""Seconds; viewers reload, and an encoder starts slowly."""
_DRAIN_TIMEOUT: Final = 2.0
"""Seconds the feeds of a rendition that has ended have for their last flush."""


class Renditions:
    """All renditions of a node. It holds no task: each lives below its stream."""

    def __init__(self, config: RenditionConfig | None = None, *, linger: float = _LINGER) -> None:
        """
        Args:
            config: bit rates and caps.
            linger: seconds a rendition goes on for nobody.
        """
        self._config = config or RenditionConfig()
        self._linger = linger
        self._stages: dict[tuple[Edition, str], Stage] = {}
        self._failed: WeakKeyDictionary[Edition, dict[str, tuple[float, str]]]
        self._failed = WeakKeyDictionary()
        self._threads = trio.CapacityLimiter(_THREADS)

    @property
    def running(self) -> dict[str, int]:
        """How many there are, by what they make: "opus", "aac", "h264"."""
        counts: dict[str, int] = {}
        for _, name in self._stages:
            counts[name] = counts.get(name, 0) + 1
        return counts

    @asynccontextmanager
    async def open(
        self,
        source: Edition,
        *,
        audio: Codec | None = None,
        video: VideoWish | None = None,
        claim: Claim | None = None,
    ) -> AsyncIterator[Edition]:
        """An edition with the wanted sound and picture, for as long as the block is not left.

        What the source fulfils already costs nothing: with every wish fulfilled it is the
        source itself. Otherwise the rendition begins where newcomers of the source would (its
        cached group of pictures), and ends with it; if it fails, its ring ends with the reason
        and the source is untouched.

        Args:
            source: a stream (or any edition of one).
            audio: AAC or OPUS, 48 kHz, mono or stereo; only the first audio track is converted,
                further ones stay only where they are coded so already.
            video: only the first video track is converted, others are left out.
            claim: who asks; by default somebody who need prove nothing.

        Raises:
            Refused: UNAVAILABLE, too many renditions already, or this one failed a moment ago;
                GONE, the stream has ended.
        """
        # One of its own for each block: who opens twice, holds twice.
        claim = replace(claim) if claim is not None else Claim()
        async with AsyncExitStack() as stack:
            edition = source
            if video is not None and not _is_fulfilled(edition, video):
                # One name for both wishes: what is made is the same.
                stage = self._stage(edition, Kind.VIDEO, Codec.H264, claim)
                edition = await stack.enter_async_context(stage)
            if audio is not None and not has_codec(edition, Kind.AUDIO, audio):
                stage = self._stage(edition, Kind.AUDIO, audio, claim)
                edition = await stack.enter_async_context(stage)
            yield edition

    def for_relays(self, stream: Stream) -> AbstractAsyncContextManager[Edition]:
        """What push relays send: with AAC where a browser publishes, unless configured otherwise.

        Raises:
            As `open`.
        """
        copied = self._config.relay_audio == "copy"
        return self.open(stream, audio=None if copied else legacy_audio(stream))

    @asynccontextmanager
    async def _stage(
        self, source: Edition, kind: Kind, codec: Codec, claim: Claim
    ) -> AsyncIterator[Edition]:
        name = codec.value
        stage = self._stages.get((source, name))
        if stage is None or stage.life.cancel_called:
            self._check(source, kind, name, claim.peer)
            stage = Stage(kind, name, self._maker(name))
            self._stages[source, name] = stage
            task = partial(self._run, source, stage)
            source.scope.nursery.start_soon(task, name=f"rendition {name}")
        with stage.used(claim, self._linger):
            await stage.opened.wait()
            if stage.edition is None:
                raise _gone(source)
            yield stage.edition

    def _check(self, source: Edition, kind: Kind, name: str, peer: str) -> None:
        """May one more be made?"""
        if source.ring.ended:
            raise _gone(source)
        until, reason = self._failed.get(source, {}).get(name, (0.0, ""))
        if trio.current_time() < until:
            raise Refused(RefusalCode.UNAVAILABLE, f"the {name} rendition failed: {reason}")
        others = [stage for stage in self._stages.values() if stage.kind is kind]
        most = self._config.max if kind is Kind.VIDEO else self._config.max_audio
        if len(others) < most:
            return
        victim = dispensable(others, peer)
        if victim is not None:
            victim.evicted = True
            victim.life.cancel()
            return
        raise Refused(
            RefusalCode.UNAVAILABLE,
            f"this needs the {name} rendition, and {most} {kind.value} renditions run already",
            hint="rendition.max allows more video, rendition.max_audio more audio renditions",
        )

    def _maker(self, name: str) -> Callable[[Edition, Edition], Awaitable[None]]:
        match name:
            case "opus":
                bitrate = self._config.opus_bitrate
                return partial(make_audio, Codec.OPUS, bitrate, self._threads)
            case "aac":
                return partial(make_audio, Codec.AAC, self._config.aac_bitrate, self._threads)
            case "h264":
                return partial(make_video, self._config.video_bitrate)
            case _:
                raise ValueError(f"no rendition makes {name}")

    async def _run(self, source: Edition, stage: Stage) -> None:
        """A stage's life. It begins and ends in the scope of what it reads."""
        faults: list[BaseException] = []
        try:
            async with open_scope("rendition", stage.name, parent=source.scope) as scope:
                edition = Edition(source.key, scope, Ring(source.ring.limits), source.pacer)
                source.derived.add(edition)
                stage.edition = edition
                stage.opened.set()
                log.info("rendition started", stream=str(source.key), makes=stage.name)
                try:
                    with stage.life, guarded(faults.append):
                        await stage.make(source, edition)
                finally:
                    self._forget(source, stage)
                    edition.ring.end(self._explain(source, stage, faults))
                with trio.move_on_after(_DRAIN_TIMEOUT):
                    await edition.drained()
        finally:
            if stage.edition is not None:
                source.derived.discard(stage.edition)
            self._forget(source, stage)
            stage.opened.set()

    def _forget(self, source: Edition, stage: Stage) -> None:
        if self._stages.get((source, stage.name)) is stage:
            del self._stages[source, stage.name]

    def _explain(self, source: Edition, stage: Stage, faults: list[BaseException]) -> str:
        """Log the end of a rendition; the reason its viewers are told."""
        about = {"stream": str(source.key), "makes": stage.name}
        if not faults:
            log.info("rendition ended", **about, evicted=stage.evicted)
            return "the rendition's place was needed" if stage.evicted else ""
        fault = faults[0]
        if isinstance(fault, LivetrioError):
            reason = str(fault)
            log.warning("rendition failed", **about, reason=reason)
        else:
            reason = f"internal error ({type(fault).__name__})"
            log.error("bug: rendition failed", **about, exc_info=fault)
        until = trio.current_time() + _REMEMBERED
        self._failed.setdefault(source, {})[stage.name] = until, reason
        return f"the {stage.name} rendition failed: {reason}"


def _is_fulfilled(edition: Edition, wish: VideoWish) -> bool:
    is_h264 = has_codec(edition, Kind.VIDEO, Codec.H264)
    if wish == "h264":
        return bool(is_h264) and not reorders(edition)
    return is_h264 is False or reorders(edition) is False


def _gone(source: Edition) -> Refused:
    return Refused(RefusalCode.GONE, f"stream {source.key} has ended")
