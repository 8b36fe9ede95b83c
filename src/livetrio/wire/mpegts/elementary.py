"""Elementary streams: what was in PES packets, as the Packets everybody here speaks.

Annex B becomes length-prefixed units, and parameter sets a configuration record; ADTS becomes
raw AAC. Times come in as microseconds, already put on one clock.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

from livetrio.errors import RemoteProtocolError
from livetrio.packet import US_PER_SECOND, Codec, Packet, Track
from livetrio.wire.avc import AvcConfig, AvcNal
from livetrio.wire.hevc import HevcConfig, HevcNal, nal_type
from livetrio.wire.mpegts.frames import HEADS, MARKS, MIN_HEAD, FrameHead, track_of
from livetrio.wire.nal import annexb_units, join_units
from livetrio.wire.tracks import MAX_RECORD, track_from_record

__all__ = ["Pictures", "Sounds", "Stream", "make_stream"]

_AVC_SETS: Final = (AvcNal.SPS, AvcNal.PPS)
_HEVC_SETS: Final = (HevcNal.VPS, HevcNal.SPS, HevcNal.PPS)
_MAX_SETS: Final = 31
_AVC_LEFT_OUT: Final = frozenset({AvcNal.AUD, AvcNal.FILLER, AvcNal.END_OF_SEQUENCE})
_HEVC_LEFT_OUT: Final = frozenset({HevcNal.AUD})
_MOST_TRIES: Final = 1_000
"""Places in nonsense at which a frame is looked for, before the rest of a packet is given up."""
_TRIES_OF_A_FRAME: Final = 4
"""By so many more a frame that is found lets nonsense be looked through."""


class Stream(Protocol):
    """One elementary stream."""

    track: Track | None
    """Its configuration, once it is known."""

    def take(self, data: bytes, dts: int, pts: int, *, key: bool) -> list[Packet]:
        """The content of a PES packet; a new configuration is announced among the packets.

        Args:
            data: of it.
            dts, pts: microseconds.
            key: random_access_indicator.
        """


class Pictures:
    """H.264 or HEVC, a picture in each PES packet (as all muxers do)."""

    def __init__(self, codec: Codec, track: Track | None) -> None:
        self.track = track
        self._codec = codec
        is_avc = codec is Codec.H264
        self._kinds: Sequence[int] = _AVC_SETS if is_avc else _HEVC_SETS
        self._sps: int = AvcNal.SPS if is_avc else HevcNal.SPS
        self._left_out = _AVC_LEFT_OUT if is_avc else _HEVC_LEFT_OUT
        self._sets: dict[int, list[bytes]] = {kind: [] for kind in self._kinds}
        if track is not None:
            self._sets = self._known(track.config)

    def take(self, data: bytes, dts: int, pts: int, *, key: bool) -> list[Packet]:
        """See `Stream.take`. Before its parameter sets nothing of a stream comes out."""
        units: list[bytes] = []
        sets: dict[int, list[bytes]] = {}
        is_avc = self._codec is Codec.H264
        for unit in annexb_units(data):
            kind = unit[0] & 0x1F if is_avc else nal_type(unit)
            if kind in self._kinds:
                sets.setdefault(kind, []).append(unit)
            elif kind not in self._left_out:
                units.append(unit)
                if is_avc:
                    key = key or kind == AvcNal.IDR
                else:
                    key = key or HevcNal.BLA_W_LP <= kind <= HevcNal.LAST_IRAP
        packets = self._learn(sets, dts) if sets else []
        if self.track is not None and units:
            packets.append(Packet(self.track, dts, pts, join_units(units), key))
        return packets

    def _learn(self, sets: dict[int, list[bytes]], time: int) -> list[Packet]:
        """Parameter sets have come: mostly the same as ever."""
        merged = {kind: list(units) for kind, units in self._sets.items()}
        for kind, units in sets.items():
            if self._sps in sets:
                merged[kind] = units[:_MAX_SETS]
            else:
                merged[kind] += [unit for unit in units if unit not in merged[kind]]
        if merged == self._sets or any(len(units) > _MAX_SETS for units in merged.values()):
            return []
        record = self._record(merged)
        if record is None:
            return []
        self._sets = merged
        self.track = track_from_record(self._codec, record)
        return [Packet(self.track, time, time, record, config=True)]

    def _record(self, sets: dict[int, list[bytes]]) -> bytes | None:
        """The configuration record; None where these sets make none."""
        size = sum(len(unit) for units in sets.values() for unit in units)
        if not sets[self._sps] or size > MAX_RECORD // 2:
            return None
        try:
            if self._codec is Codec.H264:
                return AvcConfig.build(sets[AvcNal.SPS], sets[AvcNal.PPS])
            return HevcConfig.build(sets[HevcNal.VPS], sets[HevcNal.SPS], sets[HevcNal.PPS])
        except RemoteProtocolError:
            return None

    def _known(self, record: bytes) -> dict[int, list[bytes]]:
        if self._codec is Codec.H264:
            avc = AvcConfig.parse(record)
            return {AvcNal.SPS: list(avc.sps_list), AvcNal.PPS: list(avc.pps_list)}
        hevc = HevcConfig.parse(record)
        lists = (hevc.vps_list, hevc.sps_list, hevc.pps_list)
        return {kind: list(units) for kind, units in zip(_HEVC_SETS, lists, strict=True)}


class Sounds:
    """Sound in frames that say their own size; they need not end where PES packets do."""

    def __init__(self, codec: Codec, track: Track | None) -> None:
        self.track = track
        self._codec = codec
        self._read = HEADS[codec]
        self._mark = MARKS[codec]
        self._tries = _MOST_TRIES
        self._about: tuple[int, ...] = ()
        self._rest = b""
        self._base = self._samples = 0  # microseconds of a PES packet's time; samples since
        self._rate = US_PER_SECOND

    def take(self, data: bytes, dts: int, pts: int, *, key: bool) -> list[Packet]:  # noqa: ARG002
        """See `Stream.take`. Of nonsense between frames nothing comes out.

        The time of a PES packet is that of the first frame that begins in it. Nonsense made of
        marks would cost a look at every second byte: how many are looked at depends on how many
        frames have been found.
        """
        self._tries = min(self._tries + 1, _MOST_TRIES)
        packets: list[Packet] = []
        begins = len(self._rest)
        data = self._rest + data
        pos = 0
        is_timed = False  # has the frame been met that these times are of?
        in_step = True
        while len(data) - pos >= MIN_HEAD:
            head = self._read(data[pos : pos + MIN_HEAD])
            if (
                head is None
                or head.size < MIN_HEAD
                or not (in_step or self._followed(data, pos, head))
            ):
                in_step = False
                self._tries -= 1
                pos = self._next(data, pos + 1) if self._tries > 0 else len(data)
                continue
            if pos + head.size > len(data):
                break
            if pos >= begins and not is_timed:
                self._base, self._samples, is_timed = pts, 0, True
            packets += self._frame(data[pos + head.skip : pos + head.size], head)
            in_step = True
            self._tries = min(self._tries + _TRIES_OF_A_FRAME, _MOST_TRIES)
            pos += head.size
        self._rest = data[pos:]
        if pos >= begins and not is_timed:  # it has begun here, and ends in the next PES packet
            self._base, self._samples = pts, 0
        return packets

    def _next(self, data: bytes, pos: int) -> int:
        """Where a frame may begin; of the last byte that is not known yet."""
        found = self._mark.search(data, pos)
        return max(pos, len(data) - 1) if found is None else found.start()

    def _followed(self, data: bytes, pos: int, head: FrameHead) -> bool:
        """Does another frame follow? In the middle of one there may be what looks like a header."""
        behind = data[pos + head.size : pos + head.size + MIN_HEAD]
        return len(behind) < MIN_HEAD or self._read(behind) is not None

    def _frame(self, data: bytes, head: FrameHead) -> list[Packet]:
        packets: list[Packet] = []
        time = self._base + self._samples * US_PER_SECOND // self._rate
        about = head.rate, head.channels, head.object_type
        if about != self._about:
            self._about = about
            track = track_of(self._codec, head)
            if self.track is None or not _alike(self.track, track):
                self.track = track
                packets.append(Packet(track, time, time, track.config, config=True))
            self._base, self._samples, self._rate = time, 0, head.rate
        assert self.track is not None
        packets.append(Packet(self.track, time, time, data, key=True))
        self._samples += head.samples
        return packets


def make_stream(codec: Codec, track: Track | None = None) -> Stream:
    """What reads a stream; track: its configuration, where that is known."""
    return Sounds(codec, track) if codec in HEADS else Pictures(codec, track)


def _alike(one: Track, other: Track) -> bool:
    fields = [(t.codec, t.config, t.sample_rate, t.channels) for t in (one, other)]
    return fields[0] == fields[1]
