"""Views: how Centrifugo's clients are written to; one per encoding and transport.

| view | a batch |
|---|---|
| centrifuge-json | one text message, a line per publication |
| centrifuge-protobuf | one binary message, delimited pushes |
| centrifuge-stream-json, -protobuf | the same in an HTTP body (a chunk of it, in HTTP/1.1) |
| centrifuge-sse | an event per publication |

SDKs take frames with many replies, so that merging a busy room's tick costs nobody anything.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Final

from livetrio.im.words import Move, Publication, Sender
from livetrio.net.websocket import (
    binary_frame,
    deflated_binary_frame,
    deflated_text_frame,
    text_frame,
)
from livetrio.wire.centrifuge import replies as wire
from livetrio.wire.centrifuge.fossil import create_delta
from livetrio.wire.centrifuge.json_codec import (
    as_json,
    encode_lines,
    encode_reply,
    json_payload,
    payload_text,
)
from livetrio.wire.centrifuge.protobuf_codec import encode_delimited
from livetrio.wire.centrifuge.replies import Push, Reply

__all__ = [
    "CentrifugeView",
    "client_info",
    "sse_view",
    "stream_view",
    "websocket_view",
]

_Frame = Callable[[Sequence[Reply]], bytes]
_VARIANTS: Final = 1024
LOST_TAG: Final = "lost"


class CentrifugeView:
    """A wire format: pure, shared by all who use it."""

    __slots__ = ("_deltas", "_frame", "is_json", "name")

    def __init__(
        self,
        name: str,
        frame: _Frame,
        *,
        is_json: bool,
        deltas: frozenset[str] = frozenset(),
    ) -> None:
        """
        Args:
            frame: replies as one write.
            deltas: channels whose publications come as fossil deltas.
        """
        self.name = name
        self.is_json = is_json
        self._frame = frame
        self._deltas = deltas

    def reply(self, *replies: Reply) -> bytes:
        """Replies to one client."""
        return self._frame(replies)

    def with_delta(self, channel: str) -> CentrifugeView:
        """The same for those who also want deltas in this channel; one object for all of them."""
        return _variant(self, self._deltas | {channel})

    def without_delta(self, channel: str) -> CentrifugeView:
        """The same without deltas in this channel."""
        return _variant(self, self._deltas - {channel}) if channel in self._deltas else self

    def publications(
        self, channel: str, publications: Sequence[Publication]
    ) -> list[wire.Publication]:
        """As they stand in a push or a result.

        With deltas, the first one is whole and the others are what has changed since the one
        before: what stands together needs nothing that was sent earlier, so it is right for
        everybody. Refused: a delta from the last batch. Who was spared counters for being slow,
        or has come in between, has another text to start from, and each would need bytes of his
        own.
        """
        if channel not in self._deltas:
            return [_publication(publication, publication.data) for publication in publications]
        found = []
        before = b""
        for publication in publications:
            data = as_json(publication.data).encode() if self.is_json else publication.data
            found.append(self._delta(publication, before, data))
            before = data
        return found

    def batch(self, channel: str, publications: Sequence[Publication]) -> bytes:
        """Publications of one channel."""
        pushes = self.publications(channel, publications)
        return self._frame([Reply(push=Push(channel, pub=pub)) for pub in pushes])

    def direct(self, publications: Sequence[Publication]) -> bytes:
        """Messages to the connection itself."""
        return self._frame(
            [
                Reply(push=Push(message=wire.Message(publication.data)))
                for publication in publications
            ]
        )

    def lost(self, channel: str, count: int) -> bytes:
        """The protocol has no word for it: an unnumbered publication, told by its tag."""
        data = json_payload({"type": "lost", "count": count})
        if channel in self._deltas and self.is_json:
            data = payload_text(data)
        pub = wire.Publication(data, tags={LOST_TAG: str(count)})
        return self._frame([Reply(push=Push(channel, pub=pub))])

    def moves(self, channel: str, moves: Sequence[Move]) -> bytes:
        """Joins and leaves."""
        return self._frame([Reply(push=_move(channel, move)) for move in moves])

    def _delta(self, publication: Publication, before: bytes, data: bytes) -> wire.Publication:
        delta = create_delta(before, data)
        if delta is not None and self.is_json and not _is_text(delta):
            delta = None  # cut in the middle of a character: a JSON string cannot hold it
        told = data if delta is None else delta
        message = _publication(publication, payload_text(told) if self.is_json else told)
        message.delta = delta is not None
        return message


@functools.lru_cache(maxsize=_VARIANTS)
def _variant(view: CentrifugeView, deltas: frozenset[str]) -> CentrifugeView:
    """One object per set of channels. One that was forgotten and made again is encoded for
    twice, and that is all."""
    name = view.name.removesuffix("+delta")
    return CentrifugeView(
        f"{name}+delta" if deltas else name, view._frame, is_json=view.is_json, deltas=deltas
    )


def client_info(sender: Sender) -> wire.ClientInfo:
    """Somebody, as others may see him."""
    return wire.ClientInfo(sender.user, sender.client, sender.info)


def _publication(publication: Publication, data: bytes) -> wire.Publication:
    sender = publication.sender
    return wire.Publication(
        data,
        client_info(sender) if sender is not None else None,
        publication.offset,
        dict(publication.tags),
        time=publication.time,
    )


def _move(channel: str, move: Move) -> Push:
    info = client_info(move.sender)
    if move.joined:
        return Push(channel, join=wire.Join(info))
    return Push(channel, leave=wire.Leave(info))


def _is_text(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _lines(replies: Sequence[Reply]) -> bytes:
    return (encode_lines(replies) + "\n").encode()


def _events(replies: Sequence[Reply]) -> bytes:
    return "".join([f"data: {encode_reply(reply)}\n\n" for reply in replies]).encode()


def _chunked(body: _Frame) -> _Frame:
    """In a chunk of an HTTP/1.1 body (RFC 9112 section 7.1)."""

    def frame(replies: Sequence[Reply]) -> bytes:
        data = body(replies)
        return b"%x\r\n%b\r\n" % (len(data), data) if data else b""

    return frame


_WEBSOCKET: Final = {
    (False, False): CentrifugeView(
        "centrifuge-json", lambda replies: text_frame(encode_lines(replies)), is_json=True
    ),
    (False, True): CentrifugeView(
        "centrifuge-json-deflate",
        lambda replies: deflated_text_frame(encode_lines(replies)),
        is_json=True,
    ),
    (True, False): CentrifugeView(
        "centrifuge-protobuf",
        lambda replies: binary_frame(encode_delimited(replies)),
        is_json=False,
    ),
    (True, True): CentrifugeView(
        "centrifuge-protobuf-deflate",
        lambda replies: deflated_binary_frame(encode_delimited(replies)),
        is_json=False,
    ),
}
_STREAM: Final = {
    (False, False): CentrifugeView("centrifuge-stream-json", _lines, is_json=True),
    (False, True): CentrifugeView("centrifuge-stream-json", _chunked(_lines), is_json=True),
    (True, False): CentrifugeView("centrifuge-stream-protobuf", encode_delimited, is_json=False),
    (True, True): CentrifugeView(
        "centrifuge-stream-protobuf", _chunked(encode_delimited), is_json=False
    ),
}
_SSE: Final = {
    False: CentrifugeView("centrifuge-sse", _events, is_json=True),
    True: CentrifugeView("centrifuge-sse", _chunked(_events), is_json=True),
}


def websocket_view(*, protobuf: bool, deflate: bool) -> CentrifugeView:
    """deflate: permessage-deflate was agreed on."""
    return _WEBSOCKET[protobuf, deflate]


def stream_view(*, protobuf: bool, chunked: bool) -> CentrifugeView:
    """chunked: the body goes in chunks."""
    return _STREAM[protobuf, chunked]


def sse_view(*, chunked: bool) -> CentrifugeView:
    """chunked: the body goes in chunks."""
    return _SSE[chunked]
