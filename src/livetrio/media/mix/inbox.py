"""Inbox: messages on their way from the worker's pipe to its picture thread, bounded."""

from __future__ import annotations

import threading
from collections import deque
from typing import Final

from livetrio.media.transcode.pipe import Message, Word

__all__ = ["Inbox"]

_MOST_BYTES: Final = 16 << 20
_MOST_FRAMES: Final = 900
"""A newcomer's group of pictures may be ten seconds long."""
_MEDIA: Final = frozenset({Word.FRAME, Word.KEY})


class Inbox:
    """Putting never waits: pictures that are too many are thrown away, all of them, since those
    that would be left could not be decoded; what else there is stays."""

    def __init__(self) -> None:
        self.overflows = 0
        """Times that happened."""
        self._messages: deque[Message] = deque()
        self._size = 0
        self._lost = False
        self._ready = threading.Condition()

    def put(self, message: Message) -> None:
        """From the thread that reads."""
        with self._ready:
            self._messages.append(message)
            self._size += len(message.data)
            if self._size > _MOST_BYTES or len(self._messages) > _MOST_FRAMES:
                self._shed()
            self._ready.notify()

    def take(self, timeout: float) -> tuple[Message | None, bool]:
        """The next message, or None when none came in so many seconds; and: were any lost
        since the last one?"""
        with self._ready:
            if not self._messages and timeout > 0:
                self._ready.wait(timeout)
            lost, self._lost = self._lost, False
            if not self._messages:
                return None, lost
            message = self._messages.popleft()
            self._size -= len(message.data)
            return message, lost

    def _shed(self) -> None:
        kept = [message for message in self._messages if message.word not in _MEDIA]
        self._messages = deque(kept)
        self._size = sum(len(message.data) for message in kept)
        self._lost = True
        self.overflows += 1
