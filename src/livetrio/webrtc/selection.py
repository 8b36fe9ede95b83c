"""What a viewer wants to see and hear: which layer or track, or the best its network allows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from livetrio.errors import RefusalCode, Refused

__all__ = ["Selection"]

_NONE: Final = "none"
_AUTO: Final = frozenset({"auto", "", "h264"})
"""`video=h264` asks for a codec, not for a track."""


@dataclass(frozen=True, slots=True)
class Selection:
    """A viewer's wishes; the default is everything, at the quality its network carries.

    A track that does not exist is no error: tracks come and go, and a layer of simulcast pauses.
    The nearest one is sent until it is there.
    """

    video: int | None = None
    """Id of the video track (simulcast layer) to stay with; None: the bandwidth decides."""
    audio: int | None = None
    """Id of the audio track; None: the lowest."""
    with_video: bool = True
    with_audio: bool = True

    @classmethod
    def parse(cls, parameters: Mapping[str, str]) -> Selection:
        """Read a WHEP URL's query: `layer=` or `video=` and `audio=`, each an id, "auto" or "none".

        Raises:
            Refused: BAD_REQUEST, something else is asked for, or nothing at all.
        """
        video, with_video = _wish(parameters, "video" if "video" in parameters else "layer")
        audio, with_audio = _wish(parameters, "audio")
        if not (with_video or with_audio):
            raise Refused(RefusalCode.BAD_REQUEST, "neither video nor audio is asked for")
        return cls(video, audio, with_video, with_audio)


def _wish(parameters: Mapping[str, str], name: str) -> tuple[int | None, bool]:
    text = parameters.get(name, "")
    if text == _NONE:
        return None, False
    if text in _AUTO:
        return None, True
    if not (text.isascii() and text.isdigit() and len(text) <= 3 and int(text) <= 255):
        raise Refused(RefusalCode.BAD_REQUEST, f"{name}: {text[:20]!r} is not a track's number")
    return int(text), True
