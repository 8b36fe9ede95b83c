"""The one stream everybody is given: 1 Mbit/s, 720p30 H.264 with a 2 s GOP, and AAC.

Encoded once per benchmark into an FLV file. Each video frame begins with an SEI NAL unit that
holds a serial number, so that a player can tell when the frame it just got was sent, wherever
the server cut, merged or re-chunked the bytes. The number is ASCII: no emulation prevention.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import av
from av.audio.resampler import AudioResampler
from av.video.reformatter import VideoReformatter

from rig.flv import TagReader
from rig.rtmp import DATA, VIDEO, Message

__all__ = ["BITRATE", "SECONDS", "Clip", "Frame", "encode", "load", "serial_of"]

BITRATE = 1_000_000
AUDIO_BITRATE = 128_000
SECONDS = 20
FRAMES_PER_SECOND = 30
GOP_SECONDS = 2

MARK = b"livetrio benchmk"  # the 16 bytes of the SEI's uuid_iso_iec_11578
SERIAL_SIZE = 8
AVC_TAG_HEADER = 5
# NAL type 6, payload type 5 (user_data_unregistered), size, uuid, serial, stop bit (H.264 7.3.2.3)
_SEI = b"\x06\x05" + bytes([len(MARK) + SERIAL_SIZE]) + MARK + b"0" * SERIAL_SIZE + b"\x80"
_SEI_NAL = len(_SEI).to_bytes(4, "big") + _SEI


class Frame(NamedTuple):
    """One audio or video message; `serial_at` is where its serial goes, 0 in audio."""

    ms: int
    type_id: int
    body: bytes
    serial_at: int

    def stamped(self, serial: int) -> bytes:
        """Return the body with the serial in its place."""
        if not self.serial_at:
            return self.body
        end = self.serial_at + SERIAL_SIZE
        return self.body[: self.serial_at] + b"%08x" % serial + self.body[end:]


@dataclass(slots=True)
class Clip:
    """What a publisher sends: the announcements once, the frames in a loop."""

    headers: list[Message] = field(default_factory=list)
    frames: list[Frame] = field(default_factory=list)
    ms: int = SECONDS * 1000

    @property
    def bitrate(self) -> float:
        """Bits per second of message bodies."""
        return sum(len(frame.body) for frame in self.frames) * 8000 / self.ms


def serial_of(body: bytes) -> int | None:
    """Return the serial in a video message's body, None where there is none."""
    at = body.find(MARK, 0, 256)
    if at < 0:
        return None
    at += len(MARK)
    return int(body[at : at + SERIAL_SIZE], 16)


def load(path: Path) -> Clip:
    """Read a file made by `encode`."""
    clip = Clip()
    for message in TagReader().feed(path.read_bytes()):
        body = message.body
        if message.type_id == DATA:
            # "@setDataFrame" is how a publisher says "keep this for newcomers".
            metadata = b"\x02\x00\x0d@setDataFrame" + body
            clip.headers.append(Message(DATA, 0, 0, metadata))
        elif body[1] == 0:
            clip.headers.append(Message(message.type_id, 0, 0, body))
        elif message.timestamp < clip.ms and (message.type_id != VIDEO or body[1] == 1):
            if message.type_id == VIDEO:
                body = body[:AVC_TAG_HEADER] + _SEI_NAL + body[AVC_TAG_HEADER:]
                serial_at = AVC_TAG_HEADER + 4 + _SEI.index(MARK) + len(MARK)
            else:
                serial_at = 0
            clip.frames.append(Frame(message.timestamp, message.type_id, body, serial_at))
    clip.frames.sort(key=lambda frame: frame.ms)
    return clip


def encode(path: Path) -> None:
    """Encode the clip into an FLV file: a moving pattern under noise, so that bits are needed."""
    source = (
        f"testsrc2=size=1280x720:rate={FRAMES_PER_SECOND}:duration={SECONDS},"
        "noise=alls=12:allf=t:all_seed=7"
    )
    # x264's VBV makes every second weigh the same; filler would be dropped by nobody here, but
    # real encoders do not send it.
    video_options = {
        "preset": "ultrafast",
        "tune": "zerolatency",
        "g": str(GOP_SECONDS * FRAMES_PER_SECOND),
        "sc_threshold": "0",
        "maxrate": str(BITRATE - AUDIO_BITRATE),
        "bufsize": str(BITRATE - AUDIO_BITRATE),
    }
    with av.open(str(path), "w", format="flv") as out:
        video = out.add_stream("libx264", rate=FRAMES_PER_SECOND, options=video_options)
        video.width, video.height, video.pix_fmt = 1280, 720, "yuv420p"
        video.bit_rate = BITRATE - AUDIO_BITRATE
        audio = out.add_stream("aac", rate=48_000)
        audio.bit_rate = AUDIO_BITRATE
        audio.layout = "stereo"
        packets: list[av.Packet[Any]] = []
        reformatter = VideoReformatter()
        with av.open(source, format="lavfi") as pictures:
            for picture in pictures.decode(video=0):
                packets += video.encode(reformatter.reformat(picture, format="yuv420p"))
        packets += video.encode(None)
        resampler = AudioResampler(format="fltp", layout="stereo", rate=48_000, frame_size=1024)
        noise = f"anoisesrc=color=pink:sample_rate=48000:duration={SECONDS}:seed=7"
        with av.open(noise, format="lavfi") as sounds:
            for sound in sounds.decode(audio=0):
                for piece in resampler.resample(sound):
                    packets += audio.encode(piece)
        packets += audio.encode(None)
        packets.sort(key=lambda packet: (packet.dts or 0) * packet.time_base)
        out.mux(packets)
