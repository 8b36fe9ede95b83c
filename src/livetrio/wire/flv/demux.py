"""FLV tags, which are RTMP's media messages, to packets: one Demuxer per publisher."""

from __future__ import annotations

from livetrio.errors import RemoteProtocolError
from livetrio.packet import US_PER_MS, Kind, Packet, Track
from livetrio.wire.flv.audio import AudioTags
from livetrio.wire.flv.drops import Drops
from livetrio.wire.flv.script import ScriptTags
from livetrio.wire.flv.video import VideoTags
from livetrio.wire.flv.words import AUDIO, SCRIPT, VIDEO

__all__ = ["Demuxer"]


class Demuxer:
    """Turns one publisher's tags into packets.

    A config packet comes before the first frame of a track and whenever its configuration
    differs from the one before; a record that is merely repeated yields nothing. Codecs without
    a record (MP3, G.711, AC-3, Sorenson ...) have no config packets: each of their frames says
    all there is.

    A frame that cannot be used is dropped and counted, with the reason; the stream goes on.
    What goes through is whole: NAL units, OBUs and superframes add up, and none is empty.
    """

    __slots__ = ("_audio", "_drops", "_script", "_video")

    def __init__(self) -> None:
        self._drops = Drops()
        self._audio = AudioTags(self._drops)
        self._video = VideoTags(self._drops)
        self._script = ScriptTags()

    @property
    def tracks(self) -> dict[tuple[Kind, int], Track]:
        """The current Track of each kind and id: a copy, made when asked for."""
        sources = (
            (Kind.VIDEO, self._video.tracks),
            (Kind.AUDIO, self._audio.tracks),
            (Kind.DATA, self._script.tracks),
        )
        return {(kind, id_): track for kind, tracks in sources for id_, track in tracks.items()}

    @property
    def dropped(self) -> int:
        """Frames and tags that could not be used, so far."""
        return self._drops.count

    @property
    def last_reason(self) -> str:
        """Why the last one could not; empty while there is none."""
        return self._drops.reason

    def feed(self, tag_type: int, timestamp_ms: int, body: bytes) -> list[Packet]:
        """Packets of one tag, often one, often none.

        Args:
            tag_type: AUDIO, VIDEO or SCRIPT.
            timestamp_ms: of the tag or message, unwrapped or not: it is taken as it is.
            body: of the tag or message.

        Raises:
            RemoteProtocolError: nothing usable has come for a long time (`drops.MAX_IN_A_ROW`);
                close the publisher with this reason.
        """
        dts = timestamp_ms * US_PER_MS
        try:
            if tag_type == VIDEO:
                packets = self._video.feed(dts, body)
            elif tag_type == AUDIO:
                packets = self._audio.feed(dts, body)
            elif tag_type == SCRIPT:
                return self._script.feed(dts, body)  # metadata alone is no usable stream
            else:
                raise RemoteProtocolError(f"tag type {tag_type}")
        except RemoteProtocolError as error:
            self._drops.add(str(error))
            return []
        if packets:
            self._drops.in_a_row = 0
        return packets
