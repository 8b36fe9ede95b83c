"""The client's side of an RTMP connection: who relays from or to another server, and the demo."""

from __future__ import annotations

from collections.abc import Iterable

from livetrio.ingest.relay_attempt import RelayEnded
from livetrio.net.connection import Connection
from livetrio.packet import US_PER_MS, Packet
from livetrio.wire.flv import tag_body
from livetrio.wire.rtmp.client import ClientSession
from livetrio.wire.rtmp.events import Disconnected, Ended, Event, Ready, Rejected

__all__ = ["RtmpPeer", "complain"]


class RtmpPeer:
    """A client session on its connection."""

    def __init__(self, connection: Connection, session: ClientSession) -> None:
        self.connection = connection
        self.session = session
        self._early: list[Event] = []
        self.flush()

    def flush(self) -> None:
        """Send what the session has to say: after everything done to it."""
        self.connection.outbox.send(self.session.take())

    def send(self, packets: Iterable[Packet]) -> None:
        """Publish packets, all tracks where the server takes them, and send them at once."""
        for packet in packets:
            if (tag := tag_body(packet, multitrack=self.session.multitrack)) is not None:
                type_id, body = tag
                self.session.send_media(type_id, packet.dts // US_PER_MS, body)
        self.flush()

    async def agree(self) -> None:
        """Return when the server lets us play or publish.

        Raises:
            RelayEnded: it does not.
        """
        while True:
            events = await self._receive()
            for index, event in enumerate(events):
                if isinstance(event, Ready):
                    self._early = events[index + 1 :]
                    return
                complain(event)

    async def events(self) -> list[Event]:
        """What comes next."""
        if self._early:
            events, self._early = self._early, []
            return events
        return await self._receive()

    async def listen(self) -> None:
        """Answer the server's pings, hear its refusals and its end; never returns."""
        while True:
            for event in await self.events():
                complain(event)

    async def _receive(self) -> list[Event]:
        events = self.session.feed(await self.connection.receive())
        self.flush()
        return events


def complain(event: Event) -> None:
    """Raise RelayEnded if the event is the end; anything else is of no interest to a relay."""
    match event:
        case Rejected(code=code, description=description):
            raise RelayEnded(f"the server refuses: {code} {description}".rstrip())
        case Ended(reason=reason):
            raise RelayEnded(f"the server ended the stream: {reason}")
        case Disconnected(reason=reason):
            raise RelayEnded(f"the server closed the connection {reason}".rstrip())
        case _:
            pass
