"""Every error that crosses a wall, by whose fault it is."""

from __future__ import annotations

import enum

__all__ = [
    "ConfigError",
    "LivetrioError",
    "LocalProtocolError",
    "RefusalCode",
    "Refused",
    "RemoteProtocolError",
    "StartError",
    "StoreError",
    "StoreUnavailable",
]


class LivetrioError(Exception):
    """Base of all errors livetrio raises on purpose."""


class LocalProtocolError(LivetrioError):
    """We misused a protocol object: a bug of ours, never caught, crashes the test."""


class RemoteProtocolError(LivetrioError):
    """The peer broke its protocol: log the reason, close that peer, harm nobody else.

    Any other exception out of `wire/` is a bug.
    """


class ConfigError(LivetrioError):
    """The configuration cannot be used; the message names the key (and the line, if known)."""


class StartError(LivetrioError):
    """The server could not start; the message is one line that says what to do about."""


class StoreError(LivetrioError):
    """What is remembered cannot be read or written; the message says where and why."""


class StoreUnavailable(StoreError):
    """The store does not answer now (Redis is down, a lock is held): worth trying again."""


class RefusalCode(enum.Enum):
    """Why something well-formed was not done; each protocol's adapter has its own word for it."""

    BAD_REQUEST = "bad-request"
    UNAUTHORIZED = "unauthorized"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not-found"
    CONFLICT = "conflict"
    GONE = "gone"
    TOO_MANY = "too-many"
    UNAVAILABLE = "unavailable"


class Refused(LivetrioError):
    """Policy said no. The reason may be shown to the peer; the hint is for the log only."""

    def __init__(self, code: RefusalCode, reason: str, *, hint: str = "") -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason
        self.hint = hint
