"""What a publisher sent and could not be used: counted, with the last reason."""

from __future__ import annotations

from typing import Final

from livetrio.errors import RemoteProtocolError

__all__ = ["MAX_IN_A_ROW", "Drops"]

MAX_IN_A_ROW: Final = 1_000
"""Tags without a usable one between them, after which the publisher is given up: some 13
seconds of video with sound. A single broken frame costs one frame; a peer that sends nothing
else must be told so, not watched for ever."""


class Drops:
    """The count.

    Attributes:
        count: frames and tags dropped in all.
        reason: why the last one was; empty while there is none.
        in_a_row: dropped since the last usable one.
    """

    __slots__ = ("count", "in_a_row", "reason")

    def __init__(self) -> None:
        self.count = 0
        self.reason = ""
        self.in_a_row = 0

    def add(self, reason: str) -> None:
        """Count one.

        Raises:
            RemoteProtocolError: MAX_IN_A_ROW were dropped with nothing usable between.
        """
        self.count += 1
        self.reason = reason
        self.in_a_row += 1
        if self.in_a_row > MAX_IN_A_ROW:
            raise RemoteProtocolError(f"nothing usable in {MAX_IN_A_ROW} tags; the last: {reason}")
