"""Lanes: which input or output of the mixing worker a message is of, and what opens one.

A part has a number, and with it two lanes into the worker: an even one for its picture, an odd
one for its sound. What the worker makes comes back on lanes of its own.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

from livetrio.media.mix.scene import Scene, scene_from_json, scene_to_json
from livetrio.media.transcode.pipe import Message, Word
from livetrio.packet import Codec, Kind, Track
from livetrio.wire.aac import AacConfig
from livetrio.wire.opus import OpusHead

__all__ = [
    "AAC",
    "MOST_PARTS",
    "OPUS",
    "PICTURE",
    "SOUND_RECORDS",
    "announced",
    "announcement",
    "lane_of",
    "part_of",
    "scene_message",
    "scene_of",
]

PICTURE: Final = 0
AAC: Final = 1
OPUS: Final = 2
"""What the worker makes."""

SOUND_RECORDS: Final = {AAC: AacConfig.build(48_000, 2), OPUS: OpusHead(2).build()}
"""The configurations of what is made of sound: always the same."""

MOST_PARTS: Final = 64
"""Numbers of parts are smaller."""


def lane_of(number: int, kind: Kind) -> int:
    """The lane of a part's picture or sound."""
    return 2 * number + (kind is Kind.AUDIO)


def part_of(lane: int) -> tuple[int, Kind]:
    """The number of a part, and what comes on that lane."""
    return lane // 2, Kind.AUDIO if lane % 2 else Kind.VIDEO


def announcement(track: Track, lane: int) -> Message:
    """What comes on a lane from now on."""
    words = f"{track.codec.value} {track.sample_rate} {track.channels}"
    return Message(Word.CONFIG, data=words.encode() + b"\0" + track.config, lane=lane)


def announced(message: Message) -> Track:
    """The track of an announcement."""
    words, _, record = message.data.partition(b"\0")
    codec, rate, channels = words.decode().split()
    kind = part_of(message.lane)[1]
    return Track(kind, Codec(codec), config=record, sample_rate=int(rate), channels=int(channels))


def scene_message(scene: Scene, numbers: Mapping[str, int]) -> Message:
    """A scene, and the number of each of its parts by the part's id."""
    value = {"scene": scene_to_json(scene), "numbers": dict(numbers)}
    return Message(Word.SCENE, data=json.dumps(value).encode())


def scene_of(message: Message) -> tuple[Scene, dict[str, int]]:
    """What `scene_message` was given."""
    value = json.loads(message.data)
    return scene_from_json(value["scene"]), value["numbers"]
