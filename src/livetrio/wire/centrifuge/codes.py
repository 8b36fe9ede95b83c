"""Codes: what Centrifugo's clients are told when something is refused, ended or taken away.

https://centrifugal.dev/docs/server/codes. A disconnect of 3000 to 3499 or 4000 to 4499 means
"come again", one of 3500 to 3999 or 4500 to 4999 "do not".
"""

from __future__ import annotations

import enum

__all__ = ["DisconnectCode", "ErrorCode", "UnsubscribeCode", "may_reconnect"]


class ErrorCode(enum.Enum):
    """Answers to commands: number, words, and whether trying again may help."""

    INTERNAL = 100, "internal server error", True
    UNAUTHORIZED = 101, "unauthorized", False
    UNKNOWN_CHANNEL = 102, "unknown channel", False
    PERMISSION_DENIED = 103, "permission denied", False
    METHOD_NOT_FOUND = 104, "method not found", False
    ALREADY_SUBSCRIBED = 105, "already subscribed", False
    LIMIT_EXCEEDED = 106, "limit exceeded", False
    BAD_REQUEST = 107, "bad request", False
    NOT_AVAILABLE = 108, "not available", False
    TOKEN_EXPIRED = 109, "token expired", False
    EXPIRED = 110, "expired", False
    TOO_MANY_REQUESTS = 111, "too many requests", True
    UNRECOVERABLE_POSITION = 112, "unrecoverable position", False
    CONCURRENT_PAGINATION = 113, "concurrent pagination", True

    def __init__(self, code: int, message: str, temporary: bool) -> None:
        self.code = code
        self.message = message
        self.temporary = temporary


class DisconnectCode(enum.Enum):
    """Ends of connections: number (a WebSocket's close code) and words."""

    CLOSED = 3000, "connection closed"
    SHUTDOWN = 3001, "shutdown"
    SERVER_ERROR = 3004, "internal server error"
    EXPIRED = 3005, "connection expired"
    SUBSCRIPTION_EXPIRED = 3006, "subscription expired"
    SLOW = 3008, "slow"
    WRITE_ERROR = 3009, "write error"
    INSUFFICIENT_STATE = 3010, "insufficient state"
    FORCE_RECONNECT = 3011, "force reconnect"
    NO_PONG = 3012, "no pong"
    TOO_MANY_REQUESTS = 3013, "too many requests"
    STATE_INVALIDATED = 3014, "state invalidated"
    INVALID_TOKEN = 3500, "invalid token"
    BAD_REQUEST = 3501, "bad request"
    STALE = 3502, "stale"
    FORCE_DISCONNECT = 3503, "force disconnect"
    CONNECTION_LIMIT = 3504, "connection limit"
    CHANNEL_LIMIT = 3505, "channel limit"
    INAPPROPRIATE_PROTOCOL = 3506, "inappropriate protocol"
    PERMISSION_DENIED = 3507, "permission denied"
    NOT_AVAILABLE = 3508, "not available"
    TOO_MANY_ERRORS = 3509, "too many errors"

    def __init__(self, code: int, reason: str) -> None:
        self.code = code
        self.reason = reason


class UnsubscribeCode(enum.Enum):
    """Ends of subscriptions; from 2500 on the client subscribes again by itself."""

    SERVER = 2000, "server unsubscribe"
    INSUFFICIENT_STATE = 2500, "insufficient state"
    EXPIRED = 2501, "subscription expired"
    STATE_INVALIDATED = 2502, "state invalidated"

    def __init__(self, code: int, reason: str) -> None:
        self.code = code
        self.reason = reason


def may_reconnect(code: int) -> bool:
    """Does a disconnect code ask the client to come again?"""
    return not (3500 <= code < 4000 or 4500 <= code < 5000)
