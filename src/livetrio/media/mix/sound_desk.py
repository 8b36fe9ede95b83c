"""SoundDesk: all parts' coded sound in, AAC and Opus of the mix out; the worker's first half."""

from __future__ import annotations

from collections.abc import Mapping

from livetrio.media.mix.lanes import announced, part_of
from livetrio.media.mix.mixer import Mixer, Wear
from livetrio.media.mix.scene import Scene
from livetrio.media.mix.sound_input import SoundInput
from livetrio.media.mix.sound_output import SoundOutput
from livetrio.media.transcode.pipe import Message, Word

__all__ = ["SoundDesk"]


class SoundDesk:
    """Without clock or pipe: whoever runs it says when a block is due."""

    def __init__(self, bitrate: int) -> None:
        """bitrate: bits per second, of each of the two."""
        self._mixer = Mixer()
        self._inputs: dict[int, SoundInput] = {}
        self._output = SoundOutput(bitrate)

    @property
    def faults(self) -> dict[int, int]:
        """What could not be decoded, by the number of its part."""
        return {number: each.faults for number, each in self._inputs.items() if each.faults}

    @property
    def wear(self) -> Wear:
        """What jitter and clocks did to all parts' sound."""
        return self._mixer.wear

    def configurations(self) -> list[Message]:
        """What announces the two tracks."""
        return self._output.configurations()

    def show(self, scene: Scene, numbers: Mapping[str, int]) -> None:
        """Who is heard from now on."""
        self._mixer.set({numbers[part.id]: part.gain for part in scene.parts if part.sound})
        present = set(numbers.values())
        self._inputs = {n: each for n, each in self._inputs.items() if n in present}

    def feed(self, message: Message) -> None:
        """A message of some part's sound."""
        number = part_of(message.lane)[0]
        each = self._inputs.setdefault(number, SoundInput())
        match message.word:
            case Word.CONFIG:
                each.begin(announced(message))
            case Word.END:
                each.begin(None)
            case Word.KEY | Word.FRAME if (seat := self._mixer.seat(number)) is not None:
                each.feed(message.pts, message.data, seat)

    def mix(self, number: int) -> list[Message]:
        """The next 20 ms. number: of its first sample, counted from media time 0."""
        return list(self._output.feed(number, self._mixer.mix()))

    def times(self) -> dict[int, int | None]:
        """What each part's clock says of the sound that was mixed last, microseconds."""
        found: dict[int, int | None] = {}
        for number in self._inputs:
            seat = self._mixer.seat(number)
            found[number] = seat.time if seat is not None else None
        return found
