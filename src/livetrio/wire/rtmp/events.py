"""What a session tells its shell: requests to answer, media, and things that have ended."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

__all__ = [
    "CloseReason",
    "ConnectRequested",
    "Declined",
    "Disconnected",
    "Ended",
    "Event",
    "MediaReceived",
    "PauseRequested",
    "PingAnswered",
    "PlayRequested",
    "PublishRequested",
    "Ready",
    "ReceiveAudio",
    "ReceiveVideo",
    "Rejected",
    "Request",
    "SeekRequested",
    "StreamClosed",
    "UnknownCommand",
]


class CloseReason(enum.Enum):
    """How a peer ended what it did on a stream."""

    UNPUBLISH = "unpublish"
    """FCUnpublish, or publish with false or null for a name."""
    CLOSE_STREAM = "closeStream"
    """Also play with false for a name."""
    DELETE_STREAM = "deleteStream"
    PLAY_AGAIN = "play again"
    """The player plays something else on the same stream; a PlayRequested follows."""
    DISCONNECTED = "disconnected"


@dataclass(slots=True)
class ConnectRequested:
    """`connect`: answer with `accept_connect` or `reject_connect`."""

    app: str
    """First path segment of the address, percent-decoded and checked; may be empty, when the
    stream name must bring it."""
    tc_url: str = field(repr=False)  # it may have a token
    flash_ver: str
    page_url: str
    query: dict[str, str] = field(repr=False)
    """Parameters of app and tcUrl, vhost among them; secrets may be too."""
    enhanced: bool = False
    """The client speaks of Enhanced RTMP (fourCcList, FourCcInfoMap or capsEx)."""
    multitrack: bool = False
    """capsEx has the multitrack bit."""
    fourcc: tuple[str, ...] = ()
    """Codecs named by the client; "*" is any."""
    object_encoding: float = 0.0
    transaction: float = field(default=1.0, repr=False)
    app_as_sent: str = field(default="", repr=False)


@dataclass(slots=True, eq=False)
class PublishRequested:
    """`publish`: answer with `accept` or `reject`."""

    stream_id: int
    app: str
    name: str = field(repr=False)  # it may be a secret key
    query: dict[str, str] = field(repr=False)
    mode: str = "live"
    """"live", "record" or "append", as the client says."""


@dataclass(slots=True, eq=False)
class PlayRequested:
    """`play` or `play2`: answer with `accept` or `reject`."""

    stream_id: int
    app: str
    name: str
    query: dict[str, str] = field(repr=False)
    start: float = -2.0
    """As sent, finite. Negative means live; the specification counts seconds, but FFmpeg
    (-2000) and librtmp (-1000) think in milliseconds."""
    duration: float = -1.0
    """As sent, finite; negative means to the end."""
    reset: bool = True
    """Forget an earlier playlist."""


@dataclass(slots=True, eq=False)
class PauseRequested:
    """`pause`: answer with `accept` once it is done."""

    stream_id: int
    paused: bool
    position_ms: int


@dataclass(slots=True, eq=False)
class SeekRequested:
    """`seek`: answer with `accept` or `reject`."""

    stream_id: int
    position_ms: int


Request = PublishRequested | PlayRequested | PauseRequested | SeekRequested


@dataclass(slots=True)
class ReceiveAudio:
    """The player switches audio on or off."""

    stream_id: int
    enabled: bool


@dataclass(slots=True)
class ReceiveVideo:
    """The player switches video on or off."""

    stream_id: int
    enabled: bool


@dataclass(slots=True)
class MediaReceived:
    """An FLV tag body from a publisher, or from the server one plays from."""

    stream_id: int
    type_id: int
    """8 audio, 9 video, 18 data: AMF0, without "@setDataFrame"."""
    timestamp: int
    """Milliseconds, modulo 2**32, as sent."""
    body: bytes


@dataclass(slots=True)
class StreamClosed:
    """The peer ended publishing or playing, or withdrew its request to."""

    stream_id: int
    reason: CloseReason


@dataclass(slots=True)
class Declined:
    """The session itself refused a request, and said so to the peer: for the log."""

    stream_id: int
    command: str
    reason: str


@dataclass(slots=True)
class UnknownCommand:
    """A command nobody knows was refused: for the log."""

    name: str


@dataclass(slots=True)
class PingAnswered:
    """The peer answered a ping that carried this timestamp (32 bits)."""

    timestamp: int


@dataclass(slots=True)
class Disconnected:
    """The peer's bytes have ended; StreamClosed of all open streams came before."""

    reason: str
    """Where that happened, if not between two messages of an established session."""


@dataclass(slots=True)
class Ready:
    """Client only: the server lets us publish, or plays."""

    stream_id: int


@dataclass(slots=True)
class Rejected:
    """Client only: the server said no, with one of RTMP's status codes."""

    code: str
    description: str


@dataclass(slots=True)
class Ended:
    """Client only: the server ended the stream."""

    reason: str


Event = (
    ConnectRequested
    | PublishRequested
    | PlayRequested
    | PauseRequested
    | SeekRequested
    | ReceiveAudio
    | ReceiveVideo
    | MediaReceived
    | StreamClosed
    | Declined
    | UnknownCommand
    | PingAnswered
    | Disconnected
    | Ready
    | Rejected
    | Ended
)
