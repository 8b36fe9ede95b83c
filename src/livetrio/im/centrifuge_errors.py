"""Errors of a Centrifugo conversation: the refusal of a command, and the end of a connection."""

from __future__ import annotations

from typing import Final

from livetrio.errors import LivetrioError, RefusalCode, Refused
from livetrio.wire.centrifuge.codes import DisconnectCode, ErrorCode
from livetrio.wire.centrifuge.replies import Error, Reply

__all__ = ["CommandError", "Farewell", "error_of", "error_reply"]

_ERRORS: Final = {
    RefusalCode.BAD_REQUEST: ErrorCode.BAD_REQUEST,
    RefusalCode.UNAUTHORIZED: ErrorCode.UNAUTHORIZED,
    RefusalCode.FORBIDDEN: ErrorCode.PERMISSION_DENIED,
    RefusalCode.NOT_FOUND: ErrorCode.UNKNOWN_CHANNEL,
    RefusalCode.CONFLICT: ErrorCode.ALREADY_SUBSCRIBED,
    RefusalCode.GONE: ErrorCode.UNRECOVERABLE_POSITION,
    RefusalCode.TOO_MANY: ErrorCode.LIMIT_EXCEEDED,
    RefusalCode.UNAVAILABLE: ErrorCode.INTERNAL,
}


class CommandError(LivetrioError):
    """One command is answered with an error; the connection goes on."""

    def __init__(self, error: ErrorCode, message: str = "") -> None:
        super().__init__(message or error.message)
        self.error = error
        self.message = message or error.message


class Farewell(LivetrioError):
    """The connection ends with a code that tells the client whether to come again."""

    def __init__(self, code: DisconnectCode, why: str = "") -> None:
        """why: for the log."""
        super().__init__(why or code.reason)
        self.code = code
        self.why = why or code.reason


def error_of(refusal: Refused) -> CommandError:
    """Centrifugo's word for a refusal. The reason is told, since people may read it."""
    return CommandError(_ERRORS[refusal.code], refusal.reason)


def error_reply(id_: int, refused: CommandError) -> Reply:
    """The answer to the command of this id."""
    error = refused.error
    return Reply(id_, error=Error(error.code, refused.message, error.temporary))
