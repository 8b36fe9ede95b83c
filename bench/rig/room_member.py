"""People of a room: one who publishes as a browser does, and one who receives all the others."""

from __future__ import annotations

import struct
import time
from array import array
from collections import deque
from collections.abc import Sequence
from typing import Final

from OpenSSL import SSL

from rig.room_media import level, picture, sound, stamp, stamp_of
from rig.rtc_peer import RtcPeer
from rig.rtc_sdp import AUDIO_TYPE, LEVEL_ID, TRANSPORT_ID, VIDEO_TYPE

__all__ = ["Listener", "Speaker"]

_KEPT: Final = 256
"""Packets of video that can be sent again."""
_NTP: Final = 2_208_988_800


class Speaker(RtcPeer):
    """Publishes pictures and sound; gives key frames and lost packets when it is asked for them."""

    def __init__(
        self,
        context: SSL.Context,
        fingerprint: str,
        number: int,
        sounds: Sequence[bytes],
        *,
        video: bool,
    ) -> None:
        """
        Args:
            number: in its frames' stamps.
            sounds: of `encode_sounds`.
            video: shows itself too.
        """
        super().__init__(context, fingerprint)
        self._opus = sounds
        self.number = number
        self.audio_ssrc = 0x10000 + number
        self.video_ssrc = 0x20000 + number if video else 0
        self.packets = 0
        self.resent = 0
        self._key_wanted = True
        self._transport = 0
        self._sounds = 0
        self._pictures = 0
        self._sequence = 0
        self._sent: deque[tuple[int, bytes]] = deque(maxlen=_KEPT)

    def say(self) -> None:
        """20 ms of sound."""
        now = time.monotonic_ns()
        loud = level(self.number, now / 1e9)
        extension = struct.pack(
            ">BBBHxxx", LEVEL_ID << 4, loud | 0x80 * (loud < 60), TRANSPORT_ID << 4 | 1,
            self._transport & 0xFFFF,
        )  # fmt: skip
        header = struct.pack(
            ">BBHIIHH", 0x90, AUDIO_TYPE, self._sounds & 0xFFFF, self._sounds * 960 & 0xFFFFFFFF,
            self.audio_ssrc, 0xBEDE, 2,
        )  # fmt: skip
        self.send_rtp(header + extension + sound(self._opus, self._sounds, stamp(self.number, now)))
        self._sounds += 1
        self._transport += 1
        self.packets += 1

    def show(self) -> None:
        """A picture."""
        key, self._key_wanted = self._key_wanted, False
        mark = stamp(self.number, time.monotonic_ns())
        payloads = list(picture(self._pictures, mark, key=key))
        time_stamp = self._pictures * 3_000 & 0xFFFFFFFF
        for left, payload in zip(reversed(range(len(payloads))), payloads, strict=True):
            header = struct.pack(
                ">BBHIIHHBHx", 0x90, VIDEO_TYPE | 0x80 * (left == 0), self._sequence & 0xFFFF,
                time_stamp, self.video_ssrc, 0xBEDE, 1, TRANSPORT_ID << 4 | 1,
                self._transport & 0xFFFF,
            )  # fmt: skip
            self._sent.append((self._sequence & 0xFFFF, self.send_rtp(header + payload)))
            self._sequence += 1
            self._transport += 1
        self._pictures += 1
        self.packets += len(payloads)

    def report(self) -> None:
        """Sender reports, as a browser sends each second."""
        ntp = int((time.time() + _NTP) * (1 << 32)) & 0xFFFFFFFFFFFFFFFF
        self._sender_report(self.audio_ssrc, ntp, self._sounds * 960)
        if self.video_ssrc:
            self._sender_report(self.video_ssrc, ntp, self._pictures * 3_000)

    def on_rtcp(self, compound: bytes) -> None:
        """Key frames and lost packets that are asked for."""
        at = 0
        while at + 4 <= len(compound):
            size = 4 * (1 + int.from_bytes(compound[at + 2 : at + 4]))
            match compound[at + 1], compound[at] & 0x1F:
                case (206, 1):
                    self._key_wanted = True
                case (205, 1):
                    self._resend(compound[at + 12 : at + size])
            at += size

    def _sender_report(self, ssrc: int, ntp: int, time_stamp: int) -> None:
        words = ssrc, ntp, time_stamp & 0xFFFFFFFF, self.packets & 0xFFFFFFFF, 0
        self.send_rtcp(struct.pack(">BBHIQIII", 0x80, 200, 6, *words))

    def _resend(self, missing: bytes) -> None:
        wanted = set()
        for first, mask in struct.iter_unpack(">HH", missing):
            wanted |= {first} | {first + 1 + n & 0xFFFF for n in range(16) if mask >> n & 1}
        for sequence, datagram in self._sent:
            if sequence in wanted:
                self.send(datagram)  # the same bytes: the server has not seen them
                self.resent += 1


class Listener(RtcPeer):
    """Receives a room, or one stream."""

    def __init__(self, context: SSL.Context, fingerprint: str, own: int, *, deep: bool) -> None:
        """
        Args:
            own: the number of the speaker that it is itself, whom it must not receive; -1: none.
            deep: decrypts packets and reads stamps; else it reads the headers, which are clear.
        """
        super().__init__(context, fingerprint)
        self.own = own
        self.heard_itself = 0
        """Packets."""
        self.firsts: dict[int, float] = {}
        """When the first key frame of a speaker came (monotonic seconds), since it was cleared."""
        self.lasts: dict[int, float] = {}
        """When the last picture of a speaker came."""
        self._deep = deep
        self._newest: dict[bytes, int] = {}  # sequence, by SSRC
        self.reset()

    def reset(self) -> None:
        """Count from now on."""
        self.packets = self.bytes = self.lost = self.pictures = 0
        self.audio = array("q")
        """Delays of sounds, nanoseconds."""
        self.video = array("q")
        """Likewise of pictures, from the sending of the first packet to the last one's arrival."""

    def on_media(self, data: bytes) -> None:
        """Count it by its header."""
        if 192 <= data[1] <= 223:
            super().on_media(data)
            return
        self.packets += 1
        self.bytes += len(data)
        source, sequence = data[8:12], data[2] << 8 | data[3]
        newest = self._newest.get(source)
        if newest is not None:
            gap = (sequence - newest & 0xFFFF) - 1
            self.lost += gap if gap < 0x8000 else -1
        self._newest[source] = sequence
        if self._deep:
            super().on_media(data)

    def on_rtp(self, packet: bytes, size: int) -> None:  # noqa: ARG002
        """Read its stamp."""
        mark = stamp_of(packet)
        if mark is None:
            return
        now = time.monotonic_ns()
        if mark.sender == self.own:
            self.heard_itself += 1
        if packet[1] & 0x7F == AUDIO_TYPE:
            self.audio.append(now - mark.at)
            return
        self.pictures += 1
        self.video.append(now - mark.at)
        self.lasts[mark.sender] = now / 1e9
        if mark.key:
            self.firsts.setdefault(mark.sender, now / 1e9)

    def report(self) -> None:
        """A receiver report on all sources, as a browser sends each second."""
        blocks = [
            source + struct.pack(">IIIII", 0, sequence, 0, 0, 0)
            for source, sequence in list(self._newest.items())[-31:]
        ]
        head = struct.pack(">BBHI", 0x80 | len(blocks), 201, 1 + 6 * len(blocks), 1)
        self.send_rtcp(head + b"".join(blocks))
