"""Joins: a protocol, an address and a stream's name become a connected, playing socket."""

from __future__ import annotations

import socket
from typing import NamedTuple, Protocol

from rig.flv import FlvClient
from rig.rtmp import Message, RtmpClient

__all__ = ["APP", "PROTOCOLS", "Address", "Client", "Joining"]

APP = "live"
PROTOCOLS = ("rtmp", "flv", "ws")


class Address(NamedTuple):
    """Where a server listens; http_port is 0 for a server that has none."""

    rtmp_port: int
    http_port: int

    def port_of(self, protocol: str) -> int:
        """Return the port that serves `protocol`."""
        return self.rtmp_port if protocol == "rtmp" else self.http_port


class Client(Protocol):
    """What the protocols' clients have in common."""

    ready: bool

    def feed(self, data: bytes) -> list[Message]: ...
    def take(self) -> bytes: ...


class Joining:
    """A connection on its way to be played from or published to; also a whole one, if fed on.

    The socket connects while blocking (loopback: at once) and does not block from then on.
    """

    def __init__(
        self, protocol: str, address: Address, name: str, *, publish: bool = False
    ) -> None:
        port = address.port_of(protocol)
        host = f"127.0.0.1:{port}"
        if protocol == "rtmp":
            self.client: Client = RtmpClient(host, APP, name, publish=publish)
        else:
            self.client = FlvClient(host, APP, name, websocket=protocol == "ws")
        self.name = name
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=5)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)
        self._send()

    def feed(self, data: bytes) -> list[Message]:
        """Take what arrived, answer it, return the messages in it."""
        messages = self.client.feed(data)
        self._send()
        return messages

    def _send(self) -> None:
        # The few hundred bytes of a join always fit into an empty socket's buffer.
        if out := self.client.take():
            self.socket.send(out)
