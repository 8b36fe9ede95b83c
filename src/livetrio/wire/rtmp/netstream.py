"""One message stream of a server session: what may be asked of it in which state."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Final

from livetrio.wire.rtmp.events import PlayRequested, PublishRequested

__all__ = ["STREAM_COMMANDS", "NetStream", "Step", "StreamState"]


class StreamState(enum.Enum):
    """What a stream is used for."""

    IDLE = "idle"
    PUBLISH_ASKED = "publish asked"
    PUBLISHING = "publishing"
    PLAY_ASKED = "play asked"
    PLAYING = "playing"


class Step(enum.Enum):
    """What a command leads to."""

    ASK = "a request to the shell"
    SWITCH = "the end of what was, and a request to the shell"
    TELL = "a word to the shell"
    CLOSE = "the end of what was"
    REFUSE = "a status"
    IGNORE = "nothing"


def _row(
    idle: Step, publish_asked: Step, publishing: Step, play_asked: Step, playing: Step
) -> dict[StreamState, Step]:
    return dict(
        zip(StreamState, (idle, publish_asked, publishing, play_asked, playing), strict=True)
    )


_PLAY: Final = _row(Step.ASK, Step.REFUSE, Step.REFUSE, Step.SWITCH, Step.SWITCH)
_WHILE_PLAYING: Final = _row(Step.IGNORE, Step.IGNORE, Step.IGNORE, Step.IGNORE, Step.TELL)
_FROM_PLAY_ON: Final = _row(Step.IGNORE, Step.IGNORE, Step.IGNORE, Step.TELL, Step.TELL)

# What does not fit is refused where the peer waits for an answer, and ignored where it may have
# crossed something of ours: a pause that meets our StreamEOF is nobody's fault.
STREAM_COMMANDS: Final[Mapping[str, Mapping[StreamState, Step]]] = {
    "publish": _row(Step.ASK, Step.REFUSE, Step.REFUSE, Step.REFUSE, Step.REFUSE),
    "play": _PLAY,
    "play2": _PLAY,
    "pause": _WHILE_PLAYING,
    "pauseRaw": _WHILE_PLAYING,
    "seek": _WHILE_PLAYING,
    "receiveAudio": _FROM_PLAY_ON,
    "receiveVideo": _FROM_PLAY_ON,
    "closeStream": _row(Step.IGNORE, Step.CLOSE, Step.CLOSE, Step.CLOSE, Step.CLOSE),
}
"""What each command to a stream leads to, by the stream's state."""


class NetStream:
    """A message stream: its state, and the request that put it there."""

    __slots__ = ("id", "name_sent", "request", "state")

    def __init__(self, stream_id: int) -> None:
        self.id = stream_id
        self.state = StreamState.IDLE
        self.request: PublishRequested | PlayRequested | None = None
        self.name_sent = ""
        """The name as it came with publish, which FCUnpublish repeats."""

    @property
    def takes_media(self) -> bool:
        """Whether media on this stream is to be handed out.

        Before the answer too: some encoders do not wait for it, and the shell, which sees the
        request first, does not look at what follows a request it rejected.
        """
        return self.state is StreamState.PUBLISHING or self.state is StreamState.PUBLISH_ASKED

    def reset(self) -> None:
        """Back to IDLE."""
        self.state = StreamState.IDLE
        self.request = None
        self.name_sent = ""
