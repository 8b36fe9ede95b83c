"""RTMP without sockets: raw clients, cores wired together, inputs cut in all ways."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from typing import Any

from livetrio.wire import amf0
from livetrio.wire.rtmp.chunk_writer import encode_message
from livetrio.wire.rtmp.chunks import ChunkReader, Message
from livetrio.wire.rtmp.client import ClientSession
from livetrio.wire.rtmp.commands import Command, read_command
from livetrio.wire.rtmp.events import ConnectRequested, Event, PlayRequested, PublishRequested
from livetrio.wire.rtmp.messages import MessageType
from livetrio.wire.rtmp.session import ServerSession
from livetrio.wire.rtmp.url import RtmpUrl

HANDSHAKE = b"\x03" + bytes(1536) + bytes(1536)
"""C0, C1 and C2 of a client without a digest."""


def noise(count: int) -> bytes:
    """The same "random" bytes each time."""
    return random.Random(count).randbytes(count)


def fed_three_ways(make: Callable[[], Any], data: bytes) -> list[Any]:
    """What `make().feed` gives for `data`: as a whole, byte by byte, and cut at odd places.

    Asserts that all three are the same, and returns it.
    """

    def fed(cuts: Iterable[bytes]) -> list[Any]:
        parser = make()
        return [item for piece in cuts for item in parser.feed(piece)]

    whole = fed([data])
    assert fed(data[i : i + 1] for i in range(len(data))) == whole
    assert fed(data[i : i + 7] for i in range(0, len(data), 7)) == whole
    return whole


def command(name: str, transaction: float, *values: Any, stream_id: int = 0) -> bytes:
    """A command as chunks of the default size."""
    body = amf0.encode(name, transaction, *values)
    return encode_message(MessageType.COMMAND, 0, stream_id, 3, body, 128)


def connect_command(app: str = "live", tc_url: str = "rtmp://h/live", **more: Any) -> bytes:
    """`connect` with transaction id 1."""
    return command("connect", 1, {"app": app, "tcUrl": tc_url, **more})


class RawClient:
    """Speaks to a server session in messages, and hears what it answers."""

    def __init__(self, session: ServerSession | None = None) -> None:
        self.session = session or ServerSession(random=noise)
        self._reader = ChunkReader()

    def shake(self) -> RawClient:
        """Go through the handshake."""
        assert self.session.feed(HANDSHAKE) == []
        assert len(self.session.take()) == 3073
        return self

    def connect(self, app: str = "live", tc_url: str = "rtmp://h/live", **more: Any) -> RawClient:
        """Be connected."""
        events = self.shake().session.feed(connect_command(app, tc_url, **more))
        assert [type(event) for event in events] == [ConnectRequested]
        self.session.accept_connect()
        self.heard()
        return self

    def create_stream(self) -> int:
        """Create a message stream; its id."""
        assert self.call("createStream", 2, None) == []
        (answer,) = self.commands()
        assert answer.name == "_result"
        return int(answer.argument(0))

    def call(self, name: str, transaction: float, *values: Any, stream_id: int = 0) -> list[Event]:
        """Send a command; returns the events."""
        return self.session.feed(command(name, transaction, *values, stream_id=stream_id))

    def send(
        self, type_id: int, body: bytes, *, stream_id: int = 1, timestamp: int = 0, csid: int = 6
    ) -> list[Event]:
        """Send any message; returns the events."""
        return self.session.feed(encode_message(type_id, timestamp, stream_id, csid, body, 128))

    def publish(self, name: str = "x") -> PublishRequested:
        """Publish on a new stream, and be let."""
        stream_id = self.create_stream()
        (request,) = self.call("publish", 0, None, name, "live", stream_id=stream_id)
        assert isinstance(request, PublishRequested)
        assert self.session.accept(request)
        self.heard()
        return request

    def play(self, name: str = "x") -> PlayRequested:
        """Play on a new stream, and be let."""
        stream_id = self.create_stream()
        (request,) = self.call("play", 0, None, name, stream_id=stream_id)
        assert isinstance(request, PlayRequested)
        assert self.session.accept(request)
        self.heard()
        return request

    def heard(self) -> list[Message]:
        """The messages the server has sent since."""
        return list(self._reader.feed(self.session.take()))

    def commands(self) -> list[Command]:
        """The commands among them."""
        return [
            read_command(message.type_id, message.stream_id, message.body)
            for message in self.heard()
            if message.type_id == MessageType.COMMAND
        ]

    def codes(self) -> list[str]:
        """The status codes among them."""
        infos = [found.argument(0) for found in self.commands()]
        return [info["code"] for info in infos if isinstance(info, dict)]


class Pair:
    """A client core and a server core, and a wire between them."""

    def __init__(
        self,
        url: str = "rtmp://h/live/x",
        *,
        publish: bool = True,
        signed: bool = True,
        cut: int = 0,
    ) -> None:
        """`cut`: bytes per segment; 0 passes on what there is."""
        self.client = ClientSession(
            RtmpUrl.parse(url), publish=publish, signed=signed, random=noise
        )
        self.server = ServerSession(random=noise)
        self.at_client: list[Event] = []
        self.at_server: list[Event] = []
        self._cut = cut

    def run(self) -> None:
        """Carry bytes both ways until nobody has anything to say; yes to every request."""
        while (up := self.client.take()) or (down := self.server.take()):
            if up:
                for piece in self._pieces(up):
                    for event in self.server.feed(piece):
                        self._answer(event)
            else:
                for piece in self._pieces(down):
                    self.at_client += self.client.feed(piece)

    def _answer(self, event: Event) -> None:
        self.at_server.append(event)
        match event:
            case ConnectRequested():
                self.server.accept_connect()
            case PublishRequested() | PlayRequested():
                assert self.server.accept(event)

    def _pieces(self, data: bytes) -> list[bytes]:
        size = self._cut or len(data)
        return [data[i : i + size] for i in range(0, len(data), size)]
