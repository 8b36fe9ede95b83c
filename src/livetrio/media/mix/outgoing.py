"""Outgoing: messages on their way to the mixing worker, bounded; pictures give way to sound."""

from __future__ import annotations

from collections import deque
from typing import Final

import trio

from livetrio.media.mix.lanes import part_of
from livetrio.media.transcode.pipe import Message, Word
from livetrio.packet import Kind

__all__ = ["Outgoing"]

_MOST_PICTURES: Final = 16 << 20
"""Bytes: a newcomer's group of pictures may be large. More is only ever there if the worker
stands still, which reads all that comes at once."""
_MOST_SOUND: Final = 1 << 20
"""Bytes: half a minute of sixteen voices."""
_MEDIA: Final = frozenset({Word.FRAME, Word.KEY})


class Outgoing:
    """Putting is a plain call; one task takes."""

    def __init__(self) -> None:
        self.dropped = 0
        """Media messages that were thrown away."""
        self._messages: deque[Message] = deque()
        self._sizes = {Kind.VIDEO: 0, Kind.AUDIO: 0}
        self._cut: set[int] = set()  # lanes of pictures that go on with a key frame
        self._ready = trio.Event()

    def put(self, message: Message) -> None:
        """To be sent; a picture that no decoder could use for want of another is not."""
        if message.word in _MEDIA and not self._admit(message):
            self.dropped += 1
            return
        self._messages.append(message)
        self._ready.set()

    async def take(self) -> list[Message]:
        """All there is, at least one message."""
        while not self._messages:
            self._ready = trio.Event()
            await self._ready.wait()
        taken = list(self._messages)
        self._messages.clear()
        self._sizes = dict.fromkeys(self._sizes, 0)
        return taken

    def _admit(self, message: Message) -> bool:
        kind = part_of(message.lane)[1]
        size = len(message.data)
        if kind is Kind.AUDIO:
            if self._sizes[kind] + size > _MOST_SOUND:
                return False
        elif self._sizes[kind] + size > _MOST_PICTURES:
            self._drop_pictures()
            self._cut.add(message.lane)
            return False
        elif message.lane in self._cut:
            if message.word is not Word.KEY:
                return False
            self._cut.discard(message.lane)
        self._sizes[kind] += size
        return True

    def _drop_pictures(self) -> None:
        kept: deque[Message] = deque()
        for message in self._messages:
            if message.word in _MEDIA and part_of(message.lane)[1] is Kind.VIDEO:
                self._cut.add(message.lane)
                self.dropped += 1
            else:
                kept.append(message)
        self._messages = kept
        self._sizes[Kind.VIDEO] = 0
