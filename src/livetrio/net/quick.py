"""Quick: how a handler's answers go on without it, for requests like one that it has answered."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

from livetrio.net.connection import Connection

__all__ = ["GET", "Asker", "Quick", "is_target"]

GET: Final = b"GET "
_VISIBLE: Final = bytes(range(0x21, 0x7F))
"""What a target consists of (RFC 3986)."""


class Asker(Protocol):
    """Who has sent such a request: a guest of the lane, or a connection's own task."""

    connection: Connection
    since: float
    """Trio time at which the request came."""

    def wait(self, resume: Callable[[], bool], stop: Callable[[Asker], None]) -> None:
        """The answer comes later, by `come`.

        Args:
            resume: answers; False as in `Quick.answer`.
            stop: told when the asker waits no more, whatever the reason.
        """

    def come(self) -> None:
        """What the asker waits for is there."""


class Quick(Protocol):
    """What a handler leaves behind for requests that differ from its own in the target alone."""

    patience: float
    """Seconds that a request may be left waiting."""

    def answer(self, target: bytes, asker: Asker) -> bool:
        """Answer a GET of this target through the asker's outbox, or have the asker `wait`.

        False (and nothing sent): that is for the handler to answer.
        """

    def overdue(self) -> bytes:
        """What to send an asker that has waited too long; its connection is closed after it."""


def is_target(text: bytes) -> bool:
    """One word of visible ASCII: a second request in the same bytes would have spaces in it."""
    return bool(text) and not text.translate(None, _VISIBLE)
