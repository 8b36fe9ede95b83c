"""Video tags to packets, legacy and enhanced.

A frame is a key frame when its tag says so. The tag is the encoder's word, players and
recorders go by it, and an encoder that marks a recovery point (open GOP, intra refresh) as one
wants viewers to start there. Nothing is made a key frame that its tag does not call one.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from livetrio.errors import RemoteProtocolError
from livetrio.packet import US_PER_MS, Codec, Kind, Packet, Track
from livetrio.wire import av1, nal, vp
from livetrio.wire.av1_sequence import Av1Sequence
from livetrio.wire.flv.drops import Drops
from livetrio.wire.flv.enhanced import Part, read_parts
from livetrio.wire.flv.words import (
    AVC_FRAME,
    AVC_SEQUENCE_HEADER,
    EX_VIDEO,
    VIDEO_CODECS,
    VIDEO_FOURCC,
    FrameType,
    VideoPacketType,
)
from livetrio.wire.tracks import track_from_record

__all__ = ["VideoTags"]

_H264: Final = Codec.H264
_HEVC: Final = Codec.HEVC
_IS_KEY: Final = {
    FrameType.KEY: True,
    FrameType.INTER: False,
    FrameType.DISPOSABLE: False,
    FrameType.GENERATED_KEY: True,
}
"""VideoFrameType to "is a key frame"; COMMAND carries no picture and is not here."""
_WITH_PACKET_TYPE: Final = frozenset({7, 12, 13})
"""VideoCodecIds whose tags have AVCPacketType and composition time: H.264, HEVC, AV1."""
_SILENT: Final = frozenset(
    {
        VideoPacketType.SEQUENCE_END,
        # colorInfo repeats what SPS and sequence header say, for a display that wants it early.
        VideoPacketType.METADATA,
        # An MPEG-TS descriptor of AV1; the configuration record follows in band.
        VideoPacketType.MPEG2TS_SEQUENCE_START,
    }
)


class VideoTags:
    """One publisher's video tags.

    Attributes:
        tracks: the current Track by id.
    """

    __slots__ = ("_drops", "tracks")

    def __init__(self, drops: Drops) -> None:
        self._drops = drops
        self.tracks: dict[int, Track] = {}

    def feed(self, dts: int, body: bytes) -> list[Packet]:
        """Packets of one tag.

        Args:
            dts: the tag's time, microseconds.
            body: of the tag.

        Raises:
            RemoteProtocolError: the tag cannot be used. Of a tag with many tracks, those that
                can be used are returned, the others counted.
        """
        if not body:
            raise RemoteProtocolError("an empty video tag")
        first = body[0]
        if first & EX_VIDEO:
            return self._feed_enhanced(dts, body)
        frame_type = first >> 4
        if frame_type == FrameType.COMMAND:
            return []
        key = _IS_KEY.get(frame_type)
        if key is None:
            raise RemoteProtocolError(f"video frame type {frame_type}")
        codec_id = first & 0x0F
        codec = VIDEO_CODECS.get(codec_id)
        if codec is None:
            raise RemoteProtocolError(f"video codec id {codec_id}")
        if codec_id not in _WITH_PACKET_TYPE:
            return [self._legacy_frame(codec, key, dts, body[1:])]
        if len(body) < 5:
            raise RemoteProtocolError(f"a {codec.value} tag of {len(body)} bytes")
        packet_type = body[1]
        if packet_type == AVC_FRAME:
            return self._frame(0, codec, key, dts, body[2:5], body[5:])
        if packet_type == AVC_SEQUENCE_HEADER:
            return self._config(0, codec, dts, body[5:])
        return []  # end of sequence, and what SRS and FFmpeg ignore too

    def _feed_enhanced(self, dts: int, body: bytes) -> list[Packet]:
        frame_type = body[0] >> 4 & 7
        if frame_type == FrameType.COMMAND:
            return []
        nanoseconds, parts = read_parts(body, VideoPacketType.MULTITRACK)
        dts += nanoseconds // 1000
        packets: list[Packet] = []
        for part in parts:
            try:
                packets += self._part(frame_type, dts, part)
            except RemoteProtocolError as error:
                self._drops.add(str(error))
        return packets

    def _part(self, frame_type: int, dts: int, part: Part) -> list[Packet]:
        packet_type = part.packet_type
        if packet_type in _SILENT:
            return []
        codec = VIDEO_FOURCC.get(part.fourcc)
        if codec is None:
            raise RemoteProtocolError(f"video FourCC {part.fourcc!r}")
        if packet_type == VideoPacketType.SEQUENCE_START:
            # FFmpeg announces AV1 before it has the record: an empty one means "soon".
            return self._config(part.track_id, codec, dts, part.data) if part.data else []
        key = _IS_KEY.get(frame_type)
        if key is None:
            raise RemoteProtocolError(f"video frame type {frame_type}")
        if packet_type == VideoPacketType.CODED_FRAMES and (codec is _H264 or codec is _HEVC):
            time, data = part.data[:3], part.data[3:]
        elif packet_type in (VideoPacketType.CODED_FRAMES, VideoPacketType.CODED_FRAMES_X):
            time, data = b"", part.data
        else:
            raise RemoteProtocolError(f"video packet type {packet_type}")
        return self._frame(part.track_id, codec, key, dts, time, data)

    def _config(self, track_id: int, codec: Codec, dts: int, record: bytes) -> list[Packet]:
        """Announce a track, unless it is known: some encoders repeat the record every frame."""
        known = self.tracks.get(track_id)
        if known is not None and known.codec is codec and known.config == record:
            return []
        track = track_from_record(codec, record, track_id)
        return [self._announce(track, dts)]

    def _announce(self, track: Track, dts: int) -> Packet:
        self.tracks[track.id] = track
        return Packet(track, dts, dts, track.config, False, True)

    def _frame(
        self, track_id: int, codec: Codec, key: bool, dts: int, time: bytes, data: bytes
    ) -> list[Packet]:
        track = self.tracks.get(track_id)
        if track is None or track.codec is not codec:
            raise RemoteProtocolError(f"{codec.value} frame before its configuration")
        if not data:
            raise RemoteProtocolError(f"an empty {codec.value} frame")
        if codec is _H264 or codec is _HEVC:
            length_size = (track.config[4 if codec is _H264 else 21] & 3) + 1
            if not nal.lengths_add_up(data, length_size):
                data = _repaired(data, length_size)
            offset = int.from_bytes(time, "big")
            if offset & 0x80_0000:
                offset -= 0x100_0000
            return [Packet(track, dts, dts + offset * US_PER_MS, data, key)]
        size = _frame_size(codec, data, key)
        packets = []
        if size and size != (track.width, track.height):
            # The record does not change with the picture's size, yet it is a new configuration.
            track = replace(track, width=size[0], height=size[1])
            packets.append(self._announce(track, dts))
        packets.append(Packet(track, dts, dts, data, key))
        return packets

    def _legacy_frame(self, codec: Codec, key: bool, dts: int, data: bytes) -> Packet:
        """A frame of a codec without configuration: its first frame is its announcement."""
        if not data:
            raise RemoteProtocolError(f"an empty {codec.value} frame")
        track = self.tracks.get(0)
        if track is None or track.codec is not codec:
            track = self.tracks[0] = Track(Kind.VIDEO, codec)
        return Packet(track, dts, dts, data, key)


def _repaired(data: bytes, length_size: int) -> bytes:
    """A frame whose units' lengths do not add up, as one where they do, if it is in Annex B.

    Cheap cameras send start codes where lengths belong; players that cope do the same.
    """
    units = list(nal.annexb_units(data)) if nal.is_annexb(data) else []
    if not units:
        raise RemoteProtocolError("NAL unit lengths do not add up to the frame")
    return nal.join_units(units, length_size)


def _frame_size(codec: Codec, data: bytes, key: bool) -> tuple[int, int] | None:
    """Width and height if a key frame of AV1, VP8 or VP9 tells them.

    Every frame's inner lengths are checked on the way, as those of NAL units are: whoever
    converts it later may rely on them.

    Raises:
        RemoteProtocolError: the frame cannot be read.
    """
    if codec is Codec.AV1:
        units = [unit for unit in av1.obus(data) if unit.type == av1.ObuType.SEQUENCE_HEADER]
        if not units or not key:
            return None
        sequence = Av1Sequence.parse(units[0].payload)
        return sequence.width, sequence.height
    frames = vp.superframe(data) if codec is Codec.VP9 else [memoryview(data)]
    if not frames or not key:
        return None
    frame = vp.vp9_key_frame(frames[0]) if codec is Codec.VP9 else vp.vp8_key_frame(frames[0])
    return (frame.width, frame.height) if frame else None
