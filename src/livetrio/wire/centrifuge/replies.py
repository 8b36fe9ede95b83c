"""Replies: what Centrifugo's clients are told, version 2 of their protocol.

Names and numbers are those of client.proto (github.com/centrifugal/protocol); what is for
other kinds of subscriptions (maps, shared polling) is left out and skipped when it comes.
"""
# ruff: noqa: RUF009 - these functions make dataclass fields, as dataclasses.field() does

from __future__ import annotations

from dataclasses import dataclass

from livetrio.wire.centrifuge.schema import (
    flag,
    integer,
    message,
    messages,
    number,
    payload,
    table,
    text,
)

__all__ = [
    "ClientInfo",
    "ConnectResult",
    "Disconnect",
    "Error",
    "HistoryResult",
    "Join",
    "Leave",
    "Message",
    "PingResult",
    "PresenceResult",
    "PresenceStatsResult",
    "Publication",
    "PublishResult",
    "Push",
    "Refresh",
    "RefreshResult",
    "Reply",
    "RpcResult",
    "SubRefreshResult",
    "Subscribe",
    "SubscribeResult",
    "Unsubscribe",
    "UnsubscribeResult",
]


@dataclass(slots=True)
class Error:
    """Why a command was not done."""

    code: int = number(1, 32)
    message: str = text(2)
    temporary: bool = flag(3)


@dataclass(slots=True)
class ClientInfo:
    """Somebody in a channel."""

    user: str = text(1)
    client: str = text(2)
    conn_info: bytes = payload(3)
    chan_info: bytes = payload(4)


@dataclass(slots=True)
class Publication:
    """Something said in a channel."""

    data: bytes = payload(4)
    info: ClientInfo | None = message(5, ClientInfo)
    offset: int = number(6)
    tags: dict[str, str] = table(7)
    delta: bool = flag(8)
    """`data` is a fossil delta from the publication before."""
    time: int = integer(9)
    """Unix time, milliseconds."""


@dataclass(slots=True)
class SubscribeResult:
    """In a channel."""

    expires: bool = flag(1)
    ttl: int = number(2, 32)
    """Seconds."""
    recoverable: bool = flag(3)
    epoch: str = text(6)
    publications: list[Publication] = messages(7, Publication)
    recovered: bool = flag(8)
    offset: int = number(9)
    positioned: bool = flag(10)
    data: bytes = payload(11)
    was_recovering: bool = flag(12)
    delta: bool = flag(13)


@dataclass(slots=True)
class ConnectResult:
    """Connected."""

    client: str = text(1)
    version: str = text(2)
    expires: bool = flag(3)
    ttl: int = number(4, 32)
    """Seconds."""
    data: bytes = payload(5)
    subs: dict[str, SubscribeResult] = table(6, SubscribeResult)
    ping: int = number(7, 32)
    """Seconds between two pings of the server."""
    pong: bool = flag(8)
    """Are they to be answered?"""
    session: str = text(9)
    """Of emulated connections, with `node`: where commands are to be sent to."""
    node: str = text(10)
    time: int = integer(11)


@dataclass(slots=True)
class UnsubscribeResult:
    """Out."""


@dataclass(slots=True)
class PublishResult:
    """Said."""


@dataclass(slots=True)
class PresenceResult:
    """By connection."""

    presence: dict[str, ClientInfo] = table(1, ClientInfo)


@dataclass(slots=True)
class PresenceStatsResult:
    """So many."""

    num_clients: int = number(1, 32)
    num_users: int = number(2, 32)


@dataclass(slots=True)
class HistoryResult:
    """That, and where the channel stands now."""

    publications: list[Publication] = messages(1, Publication)
    epoch: str = text(2)
    offset: int = number(3)


@dataclass(slots=True)
class PingResult:
    """It is."""


@dataclass(slots=True)
class RpcResult:
    """Its answer."""

    data: bytes = payload(1)


@dataclass(slots=True)
class RefreshResult:
    """Taken."""

    client: str = text(1)
    version: str = text(2)
    expires: bool = flag(3)
    ttl: int = number(4, 32)


@dataclass(slots=True)
class SubRefreshResult:
    """Taken."""

    expires: bool = flag(1)
    ttl: int = number(2, 32)


@dataclass(slots=True)
class Join:
    """Somebody has come."""

    info: ClientInfo | None = message(1, ClientInfo)


@dataclass(slots=True)
class Leave:
    """Somebody has left."""

    info: ClientInfo | None = message(1, ClientInfo)


@dataclass(slots=True)
class Unsubscribe:
    """The server has taken the client out of a channel."""

    code: int = number(2, 32)
    reason: str = text(3)


@dataclass(slots=True)
class Message:
    """For this connection, of no channel."""

    data: bytes = payload(1)


@dataclass(slots=True)
class Subscribe:
    """The server has put the client into a channel."""

    recoverable: bool = flag(1)
    epoch: str = text(4)
    offset: int = number(5)
    positioned: bool = flag(6)
    data: bytes = payload(7)


@dataclass(slots=True)
class Disconnect:
    """The end, where there is no close code to tell it with."""

    code: int = number(1, 32)
    reason: str = text(2)
    reconnect: bool = flag(3)


@dataclass(slots=True)
class Refresh:
    """The server has changed when the connection expires."""

    expires: bool = flag(1)
    ttl: int = number(2, 32)


@dataclass(slots=True)
class Push:
    """What nobody asked for."""

    channel: str = text(2)
    pub: Publication | None = message(4, Publication)
    join: Join | None = message(5, Join)
    leave: Leave | None = message(6, Leave)
    unsubscribe: Unsubscribe | None = message(7, Unsubscribe)
    subscribe: Subscribe | None = message(9, Subscribe)
    disconnect: Disconnect | None = message(11, Disconnect)
    refresh: Refresh | None = message(12, Refresh)
    message: Message | None = message(8, Message)  # last: the name hides the function


@dataclass(slots=True)
class Reply:
    """To a client: an answer (with its command's id) or a push; an empty one is a ping."""

    id: int = number(1, 32)
    error: Error | None = message(2, Error)
    push: Push | None = message(4, Push)
    connect: ConnectResult | None = message(5, ConnectResult)
    subscribe: SubscribeResult | None = message(6, SubscribeResult)
    unsubscribe: UnsubscribeResult | None = message(7, UnsubscribeResult)
    publish: PublishResult | None = message(8, PublishResult)
    presence: PresenceResult | None = message(9, PresenceResult)
    presence_stats: PresenceStatsResult | None = message(10, PresenceStatsResult)
    history: HistoryResult | None = message(11, HistoryResult)
    ping: PingResult | None = message(12, PingResult)
    rpc: RpcResult | None = message(13, RpcResult)
    refresh: RefreshResult | None = message(14, RefreshResult)
    sub_refresh: SubRefreshResult | None = message(15, SubRefreshResult)
