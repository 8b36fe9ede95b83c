"""Commands: what Centrifugo's clients say, version 2 of their protocol.

Names and numbers are those of client.proto (github.com/centrifugal/protocol); what is for
other kinds of subscriptions (maps, shared polling) is left out and skipped when it comes.
"""
# ruff: noqa: RUF009 - these functions make dataclass fields, as dataclasses.field() does

from __future__ import annotations

from dataclasses import dataclass

from livetrio.wire.centrifuge.schema import flag, integer, message, number, payload, table, text

__all__ = [
    "Command",
    "ConnectRequest",
    "EmulationRequest",
    "HistoryRequest",
    "PingRequest",
    "PresenceRequest",
    "PresenceStatsRequest",
    "PublishRequest",
    "RefreshRequest",
    "RpcRequest",
    "SendRequest",
    "StreamPosition",
    "SubRefreshRequest",
    "SubscribeRequest",
    "UnsubscribeRequest",
]


@dataclass(slots=True)
class SubscribeRequest:
    """Into a channel; in a `ConnectRequest`, what is known of a server-side subscription."""

    channel: str = text(1)
    token: str = text(2)
    recover: bool = flag(3)
    epoch: str = text(6)
    offset: int = number(7)
    data: bytes = payload(8)
    positioned: bool = flag(9)
    recoverable: bool = flag(10)
    join_leave: bool = flag(11)
    delta: str = text(12)
    tf: bytes = payload(13)
    """A filter by tags: not read, only that one is wanted."""
    flag: int = integer(14)
    """1: short numbers for channels may be used; 2: an unrecoverable position is an error."""
    type: int = integer(15, 32)
    """0: an ordinary subscription."""


@dataclass(slots=True)
class ConnectRequest:
    """The first command of a connection."""

    token: str = text(1)
    data: bytes = payload(2)
    subs: dict[str, SubscribeRequest] = table(3, SubscribeRequest)
    name: str = text(4)
    version: str = text(5)
    headers: dict[str, str] = table(6)
    flag: int = integer(7)


@dataclass(slots=True)
class UnsubscribeRequest:
    """Out of a channel."""

    channel: str = text(1)


@dataclass(slots=True)
class PublishRequest:
    """Say something in a channel."""

    channel: str = text(1)
    data: bytes = payload(2)
    type: int = integer(3, 32)
    """0: an ordinary publication."""


@dataclass(slots=True)
class PresenceRequest:
    """Who is here?"""

    channel: str = text(1)


@dataclass(slots=True)
class PresenceStatsRequest:
    """How many are here?"""

    channel: str = text(1)


@dataclass(slots=True)
class StreamPosition:
    """A place in a channel's numbering."""

    offset: int = number(1)
    epoch: str = text(2)


@dataclass(slots=True)
class HistoryRequest:
    """What was said?"""

    channel: str = text(1)
    limit: int = integer(7, 32)
    """0: only the position is wanted; -1: everything."""
    since: StreamPosition | None = message(8, StreamPosition)
    reverse: bool = flag(9)


@dataclass(slots=True)
class PingRequest:
    """A client's own question whether the server is there."""


@dataclass(slots=True)
class SendRequest:
    """A message to the server that is not answered."""

    data: bytes = payload(1)


@dataclass(slots=True)
class RpcRequest:
    """A question to the application."""

    data: bytes = payload(1)
    method: str = text(2)


@dataclass(slots=True)
class RefreshRequest:
    """A new token for the connection."""

    token: str = text(1)


@dataclass(slots=True)
class SubRefreshRequest:
    """A new token for a subscription."""

    channel: str = text(1)
    token: str = text(2)


@dataclass(slots=True)
class Command:
    """From a client; the first request that is there counts. Without any: a pong."""

    id: int = number(1, 32)
    """Comes back in the reply; 0 where none is wanted."""
    connect: ConnectRequest | None = message(4, ConnectRequest)
    subscribe: SubscribeRequest | None = message(5, SubscribeRequest)
    unsubscribe: UnsubscribeRequest | None = message(6, UnsubscribeRequest)
    publish: PublishRequest | None = message(7, PublishRequest)
    presence: PresenceRequest | None = message(8, PresenceRequest)
    presence_stats: PresenceStatsRequest | None = message(9, PresenceStatsRequest)
    history: HistoryRequest | None = message(10, HistoryRequest)
    ping: PingRequest | None = message(11, PingRequest)
    send: SendRequest | None = message(12, SendRequest)
    rpc: RpcRequest | None = message(13, RpcRequest)
    refresh: RefreshRequest | None = message(14, RefreshRequest)
    sub_refresh: SubRefreshRequest | None = message(15, SubRefreshRequest)


@dataclass(slots=True)
class EmulationRequest:
    """Commands for a connection whose transport goes only one way."""

    node: str = text(1)
    session: str = text(2)
    data: bytes = payload(3)
    """Protobuf: delimited commands. JSON: a string of lines."""
