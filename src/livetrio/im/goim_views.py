"""Views: how each family of goim clients is written to.

| view | a push | a reply |
|---|---|---|
| goim-tcp | the frames as they are | a frame |
| goim-ws | one message: a RAW frame around them | a message |
| goim-v1-ws | one message: the frames as they are | a message |
| goim-v1-json | a text message each, or one with an array | the same |
| bilibili-… | a message each, or one deflated frame around all | a message |

goim has no word for "you missed some", nor for joins and leaves: those are b"".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from livetrio.im.words import Move, Publication
from livetrio.net.websocket import binary_frame, deflated_binary_frame, text_frame
from livetrio.wire.goim.compressed import deflated
from livetrio.wire.goim.frame import Frame, Operation, Version, encode
from livetrio.wire.goim.json_frame import text_of_frame, text_of_frames
from livetrio.wire.goim.login import Dialect, Login

__all__ = ["GoimView", "goim_view"]

_PUSH_VERSION = 1
_BILIBILI_ACCEPTED = b'{"code":0}'


class GoimView:
    """A wire format of goim's families: pure, shared by all who use it."""

    def __init__(
        self,
        name: str,
        push: Callable[[Sequence[Publication]], bytes],
        message: Callable[[Frame], bytes],
        *,
        accepted: bytes = b"",
    ) -> None:
        """
        Args:
            push: publications as one write.
            message: a reply.
            accepted: the body of the reply to AUTH.
        """
        self.name = name
        self.reply = message
        """The bytes of one reply."""
        self.accepted = accepted
        self._push = push

    def batch(self, channel: str, publications: Sequence[Publication]) -> bytes:  # noqa: ARG002
        """Pushes to a room."""
        return self._push(publications)

    def direct(self, publications: Sequence[Publication]) -> bytes:
        """Pushes to keys, users, everybody."""
        return self._push(publications)

    def lost(self, channel: str, count: int) -> bytes:  # noqa: ARG002
        """No word for it."""
        return b""

    def moves(self, channel: str, moves: Sequence[Move]) -> bytes:  # noqa: ARG002
        """No word for it."""
        return b""


def _push_frame(publication: Publication) -> Frame:
    """What a back end pushes has an operation; what others say is a message."""
    operation = publication.op or Operation.SEND_MESSAGE_REPLY
    return Frame(_PUSH_VERSION, operation, 0, publication.data)


def _run(publications: Sequence[Publication]) -> bytes:
    return b"".join(encode(_push_frame(publication)) for publication in publications)


def _raw(publications: Sequence[Publication]) -> bytes:
    return encode(Frame(_PUSH_VERSION, Operation.RAW, 0, _run(publications)))


def _message(frame: Frame) -> bytes:
    return binary_frame(encode(frame))


def _json(frame: Frame) -> bytes:
    return text_frame(text_of_frame(frame))


def _json_array(frame: Frame) -> bytes:
    return text_frame(text_of_frames([frame]))


def _bilibili_frame(publication: Publication) -> Frame:
    return Frame(Version.JSON, Operation.SEND_MESSAGE_REPLY, 0, publication.data)


def _bilibili(name: str, version: Version, message: Callable[[Frame], bytes]) -> GoimView:
    def push(publications: Sequence[Publication]) -> bytes:
        frames = [_bilibili_frame(publication) for publication in publications]
        if version is Version.JSON:
            return b"".join(message(frame) for frame in frames)
        body = deflated(version, b"".join(encode(frame) for frame in frames))
        return message(Frame(version, Operation.SEND_MESSAGE_REPLY, 0, body))

    return GoimView(name, push, message, accepted=_BILIBILI_ACCEPTED)


_TCP = GoimView("goim-tcp", _run, encode)
_WEBSOCKET = GoimView("goim-ws", lambda all_: binary_frame(_raw(all_)), _message)
_DEFLATED = GoimView("goim-ws-deflate", lambda all_: deflated_binary_frame(_raw(all_)), _message)
_V1_BINARY = GoimView("goim-v1-ws", lambda all_: binary_frame(_run(all_)), _message)
_V1_JSON = GoimView(
    "goim-v1-json", lambda all_: b"".join(_json(_push_frame(one)) for one in all_), _json
)
_V1_ARRAY = GoimView(
    "goim-v1-array", lambda all_: text_frame(text_of_frames(map(_push_frame, all_))), _json_array
)
_BILIBILI = {
    (websocket, version): _bilibili(
        f"bilibili-{'ws' if websocket else 'tcp'}-{version.name.lower()}",
        version,
        _message if websocket else encode,
    )
    for websocket in (False, True)
    for version in (Version.JSON, Version.ZLIB, Version.BROTLI)
}


def goim_view(
    login: Login,
    *,
    websocket: bool,
    deflate: bool = False,
    json: bool = False,
    arrays: bool = False,
) -> GoimView:
    """The view for somebody who has just logged in.

    Args:
        websocket: it is one, and not plain TCP.
        deflate: permessage-deflate was agreed on.
        json: it speaks v1's JSON frames.
        arrays: in arrays.
    """
    if json:
        return _V1_ARRAY if arrays else _V1_JSON
    if login.dialect is Dialect.BILIBILI:
        return _BILIBILI[websocket, Version(login.version)]
    if not websocket:
        return _TCP
    if login.dialect is Dialect.V1:
        return _V1_BINARY
    return _DEFLATED if deflate else _WEBSOCKET
