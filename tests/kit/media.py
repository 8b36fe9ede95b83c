"""Small but real media: H.264 and AAC any decoder plays, built bit by bit, at any picture size.

The picture is uniform grey: every macroblock of a key frame is coded as "predict from the mean,
no residual", which is one byte, and every macroblock of the frames between is skipped. The sound
is silence.
"""

from __future__ import annotations

from collections.abc import Iterator

from livetrio.packet import Codec, Kind, Packet, Track
from livetrio.wire import amf0
from livetrio.wire.aac import AacConfig
from livetrio.wire.amf import EcmaArray
from livetrio.wire.avc import AvcConfig
from livetrio.wire.bits import BitWriter
from livetrio.wire.nal import join_units
from livetrio.wire.tracks import track_from_record

__all__ = [
    "aac_config",
    "aac_frame",
    "aac_track",
    "avc_config",
    "avc_frame",
    "avc_sps",
    "avc_track",
    "escape",
    "metadata",
    "sample_packets",
]

_PPS = bytes.fromhex("68ce3880")
"""CAVLC, one slice group, one reference, no deblocking control."""
_SILENCE = {1: "00c80080238000", 2: "21004990021900238000"}
"""A raw AAC LC frame of silence, by channels."""
_GREY_MACROBLOCK = 0x27
"""I_16x16 with DC prediction, no coefficients: ue(3), ue(0), se(0), "1"."""


def escape(payload: bytes) -> bytes:
    """Put in the emulation prevention bytes (H.264 section 7.4.1)."""
    out = bytearray()
    zeros = 0
    for byte in payload:
        if zeros >= 2 and byte <= 3:
            out.append(3)
            zeros = 0
        out.append(byte)
        zeros = zeros + 1 if byte == 0 else 0
    return bytes(out)


def avc_sps(width: int = 64, height: int = 64) -> bytes:
    """A Constrained Baseline SPS; sizes are even."""
    columns, rows = _macroblocks(width), _macroblocks(height)
    bits = BitWriter()
    bits.write(66 << 16 | 0xC0 << 8 | 31, 24)
    bits.ue(0)  # seq_parameter_set_id
    bits.ue(4)  # log2_max_frame_num_minus4
    bits.ue(2)  # pic_order_cnt_type
    bits.ue(1)  # max_num_ref_frames
    bits.write(0, 1)
    bits.ue(columns - 1)
    bits.ue(rows - 1)
    bits.write(0b11, 2)  # frame_mbs_only_flag, direct_8x8_inference_flag
    right, bottom = (columns * 16 - width) // 2, (rows * 16 - height) // 2
    bits.write(1 if right or bottom else 0, 1)
    if right or bottom:
        for edge in (0, right, 0, bottom):
            bits.ue(edge)
    bits.write(0, 1)  # vui_parameters_present_flag
    bits.trailing()
    return b"\x67" + escape(bits.getvalue())


def avc_config(width: int = 64, height: int = 64) -> bytes:
    """The configuration record of a picture of that size."""
    return AvcConfig.build([avc_sps(width, height)], [_PPS])


def avc_track(width: int = 64, height: int = 64, track_id: int = 0) -> Track:
    return track_from_record(Codec.H264, avc_config(width, height), track_id)


def avc_frame(*, key: bool, number: int = 0, width: int = 64, height: int = 64) -> bytes:
    """A length-prefixed access unit of one slice.

    Args:
        key: an IDR picture, or one that repeats the picture before.
        number: of pictures since the last IDR.
        width: as given to `avc_config`.
        height: likewise.
    """
    count = _macroblocks(width) * _macroblocks(height)
    bits = BitWriter()
    bits.ue(0)  # first_mb_in_slice
    bits.ue(7 if key else 5)  # slice_type: I, P
    bits.ue(0)  # pic_parameter_set_id
    bits.write(0 if key else number % 256, 8)  # frame_num
    if key:
        bits.ue(number % 2)  # idr_pic_id: two IDRs in a row differ
        bits.write(0, 2)  # no_output_of_prior_pics_flag, long_term_reference_flag
    else:
        bits.write(0, 3)  # no override of references, no reordering, no marking
    bits.se(0)  # slice_qp_delta
    if key:
        for _ in range(count):
            bits.write(_GREY_MACROBLOCK, 8)
    else:
        bits.ue(count)  # mb_skip_run
    bits.trailing()
    return join_units([(b"\x65" if key else b"\x41") + escape(bits.getvalue())])


def aac_config(sample_rate: int = 48_000, channels: int = 2) -> bytes:
    """The AudioSpecificConfig of AAC LC."""
    return AacConfig.build(sample_rate, channels)


def aac_track(sample_rate: int = 48_000, channels: int = 2, track_id: int = 0) -> Track:
    return track_from_record(Codec.AAC, aac_config(sample_rate, channels), track_id)


def aac_frame(channels: int = 2) -> bytes:
    """1024 samples of silence, mono or stereo."""
    return bytes.fromhex(_SILENCE[channels])


def metadata(width: int = 64, height: int = 64) -> bytes:
    """What OBS or FFmpeg would say of such a stream: a script tag's body."""
    members = {"width": width, "height": height, "videocodecid": 7, "audiocodecid": 10}
    return amf0.encode("onMetaData", EcmaArray(members))


def sample_packets(
    seconds: float = 2.0, *, fps: int = 25, gop: int = 25, width: int = 64, height: int = 64
) -> Iterator[Packet]:
    """A stream as a publisher sends it: metadata, configurations, then both media interleaved.

    Times start at 0; sound has 1024 samples of 48 kHz per packet.
    """
    script = Track(Kind.DATA, Codec.SCRIPT, config=metadata(width, height))
    video, audio = avc_track(width, height), aac_track()
    for track in (script, video, audio):
        yield Packet(track, 0, 0, track.config, config=True)
    end = round(seconds * 1_000_000)
    frames = [index * 1_000_000 // fps for index in range(round(seconds * fps))]
    sounds = range(0, end * 48_000 // 1_000_000, 1024)
    timed = [(dts, 0, index) for index, dts in enumerate(frames)]
    timed += [(sample * 1_000_000 // 48_000, 1, 0) for sample in sounds]
    for dts, kind, index in sorted(timed):
        if kind:
            yield Packet(audio, dts, dts, aac_frame(), key=True)
            continue
        key = index % gop == 0
        number = index // gop if key else index % gop
        data = avc_frame(key=key, number=number, width=width, height=height)
        yield Packet(video, dts, dts, data, key=key)


def _macroblocks(pixels: int) -> int:
    return (pixels + 15) // 16
