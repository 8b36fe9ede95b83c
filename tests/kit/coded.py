"""Real coded sound and pictures, made and read with PyAV, as a stream's packets."""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from fractions import Fraction
from functools import cache
from itertools import pairwise

import av
from av.audio.frame import AudioFrame
from av.codec.context import Flags
from av.video.frame import VideoFrame

from livetrio.packet import Codec, Kind, Packet, Track
from livetrio.wire.avc import AvcConfig
from livetrio.wire.nal import annexb_units, join_units
from livetrio.wire.opus import OpusHead
from livetrio.wire.tracks import track_from_record

__all__ = [
    "announce",
    "click_time",
    "coded_sound",
    "coded_video",
    "heard",
    "pitch",
    "seen",
    "shifted",
]

_US = Fraction(1, 1_000_000)
_ENCODERS = {Codec.AAC: ("aac", "fltp"), Codec.OPUS: ("libopus", "flt")}


def announce(track: Track) -> Packet:
    """The configuration packet of a track."""
    return Packet(track, 0, 0, track.config, config=True)


@cache
def coded_sound(
    codec: Codec = Codec.AAC,
    *,
    seconds: float = 2.0,
    rate: int = 48_000,
    channels: int = 2,
    hertz: float = 440.0,
    click_at: float = -1.0,
) -> tuple[Packet, ...]:
    """A tone, stamped as an RTMP publisher would (whole milliseconds); the first is the config.

    click_at: a loud burst of 5 ms begins at this second, and there is no tone.
    """
    name, samples = _ENCODERS[codec]
    encoder = av.CodecContext.create(name, "w")
    encoder.sample_rate, encoder.format = rate, samples
    encoder.layout = "stereo" if channels == 2 else "mono"
    encoder.bit_rate = 128_000
    encoder.flags |= Flags.global_header
    encoder.open()
    size = 1024 if codec is Codec.AAC else 960
    record = bytes(encoder.extradata) if codec is Codec.AAC else OpusHead(channels).build()
    track = track_from_record(codec, record)
    packets = [announce(track)]
    for start in range(0, int(seconds * rate), size):
        values = [_sample(number / rate, hertz, click_at) for number in range(start, start + size)]
        frame = AudioFrame(format=samples, layout=encoder.layout.name, samples=size)
        if samples == "flt":
            values = [value for value in values for _ in range(channels)]
        for plane in frame.planes:
            plane.update(array("f", values).tobytes())
        frame.sample_rate, frame.pts, frame.time_base = rate, start, Fraction(1, rate)
        for packet in encoder.encode(frame):
            if packet.pts >= 0:
                us = round(packet.pts * 1000 / rate) * 1000
                packets.append(Packet(track, us, us, bytes(packet), key=True))
    return tuple(packets)


def _sample(second: float, hertz: float, click_at: float) -> float:
    if click_at < 0:
        return 0.3 * math.sin(2 * math.pi * hertz * second)
    return 0.8 * math.sin(6000 * second) if click_at <= second < click_at + 0.005 else 0.0


def shifted(packets: Sequence[Packet], us: int) -> list[Packet]:
    """The same packets, later."""
    return [
        Packet(p.track, p.dts + us, p.pts + us, p.data, key=p.key, config=p.config) for p in packets
    ]


def heard(packets: Sequence[Packet]) -> list[tuple[float, float]]:
    """What a player hears of one audio track: (second, sample of the first channel)."""
    track = packets[0].track
    decoder = av.CodecContext.create("aac" if track.codec is Codec.AAC else "libopus", "r")
    decoder.extradata, decoder.sample_rate = track.config, track.sample_rate
    found: list[tuple[float, float]] = []
    for packet in packets:
        if packet.config:
            continue
        coded = av.Packet(packet.data)
        coded.pts, coded.time_base = packet.pts, _US
        for frame in decoder.decode(coded):
            values = array("f" if "flt" in frame.format.name else "h", bytes(frame.planes[0]))
            step = 1 if frame.format.is_planar else frame.layout.nb_channels
            scale = 1.0 if "flt" in frame.format.name else 32768.0
            # Not `frame.pts`: a player has no other clock than the packet's time.
            begin = packet.pts / 1e6
            found += [
                (begin + n / frame.sample_rate, values[n * step] / scale)
                for n in range(frame.samples)
            ]
    return found


def pitch(sound: Sequence[tuple[float, float]]) -> float:
    """Hertz, by counting how often it crosses zero upwards."""
    ups = [b[0] for a, b in pairwise(sound) if a[1] < 0 <= b[1]]
    return (len(ups) - 1) / (ups[-1] - ups[0])


def click_time(sound: Sequence[tuple[float, float]]) -> float:
    """The second at which it gets loud."""
    loudest = max(abs(value) for _, value in sound)
    return next(second for second, value in sound if abs(value) > loudest / 2)


@cache
def coded_video(
    codec: Codec = Codec.H264,
    *,
    frames: int = 50,
    size: tuple[int, int] = (320, 180),
    b_frames: int = 2,
    gop: int = 25,
) -> tuple[Packet, ...]:
    """A grey picture that grows brighter, 25 a second, stamped as OBS does; first the config."""
    encoder = av.CodecContext.create("libx264" if codec is Codec.H264 else "libvpx", "w")
    encoder.width, encoder.height, encoder.pix_fmt = *size, "yuv420p"
    encoder.time_base, encoder.framerate = Fraction(1, 25), Fraction(25)
    encoder.gop_size = gop
    if codec is Codec.H264:
        encoder.max_b_frames = b_frames
        encoder.flags |= Flags.global_header
        encoder.options = {"preset": "ultrafast", "b_strategy": "0", "bf": str(b_frames)}
    else:
        encoder.options = {"deadline": "realtime", "lag-in-frames": "0"}
    encoder.open()
    coded = [packet for number in range(frames) for packet in encoder.encode(_grey(number, size))]
    coded += encoder.encode(None)
    if codec is Codec.H264:
        units = list(annexb_units(bytes(encoder.extradata)))
        sps = [unit for unit in units if unit[0] & 0x1F == 7]
        pps = [unit for unit in units if unit[0] & 0x1F == 8]
        track = track_from_record(codec, AvcConfig.build(sps, pps))
    else:
        track = Track(Kind.VIDEO, codec)
    first = coded[0].dts
    packets = [announce(track)]
    for packet in coded:
        data = bytes(packet)
        if codec is Codec.H264:
            data = join_units(annexb_units(data))
        dts, pts = (packet.dts - first) * 40_000, (packet.pts - first) * 40_000
        packets.append(Packet(track, dts, pts, data, key=packet.is_keyframe))
    return tuple(packets)


def _grey(number: int, size: tuple[int, int]) -> VideoFrame:
    frame = VideoFrame(*size, "yuv420p")
    for index, plane in enumerate(frame.planes):
        level = 40 + number % 200 if index == 0 else 128
        plane.update(bytes([level]) * plane.buffer_size)
    frame.pts, frame.time_base = number, Fraction(1, 25)
    return frame


def seen(packets: Sequence[Packet]) -> list[tuple[int, int, int, int]]:
    """What a player sees of H.264, in display order: (pts us, width, height, grey level)."""
    decoder = None
    found = []

    def show(frames: Sequence[VideoFrame]) -> None:
        for frame in frames:
            grey = bytes(frame.planes[0])[frame.planes[0].line_size * (frame.height // 2) + 8]
            found.append((frame.pts, frame.width, frame.height, grey))

    for packet in packets:
        if packet.config:
            if decoder is not None:
                show(decoder.decode(None))
            decoder = av.CodecContext.create("h264", "r")
            decoder.extradata = packet.data
            continue
        coded = av.Packet(packet.data)
        coded.pts, coded.dts, coded.time_base = packet.pts, packet.dts, _US
        show(decoder.decode(coded))
    show(decoder.decode(None))
    return found
