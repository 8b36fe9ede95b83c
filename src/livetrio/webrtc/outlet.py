"""Outlet: one source's frames to the packets of the stream's track that it is at this moment."""

from __future__ import annotations

from dataclasses import replace

from livetrio.packet import Codec, Kind, Packet, Track
from livetrio.webrtc.layers import Layer, Layers
from livetrio.wire.rtp.depacketize import Frame
from livetrio.wire.tracks import track_from_record

__all__ = ["Outlet"]


class Outlet:
    """Of one m-line, or of one simulcast layer; outlives changes of SSRC."""

    __slots__ = ("_layers", "_shape", "_track", "kind", "layer")

    def __init__(self, kind: Kind, layers: Layers, layer: Layer) -> None:
        self.kind = kind
        self.layer = layer
        self._layers = layers
        self._shape: tuple[Codec, bytes, int, int] | None = None
        self._track: Track | None = None

    @property
    def track_id(self) -> int | None:
        """The id of the track it is now; None while it is none."""
        return None if self.layer.rank is None else self._layers.base + self.layer.rank

    def packets(self, codec: Codec, frame: Frame, time: int, now: float) -> list[Packet]:
        """A frame's packets: its configuration where that is new here, and itself.

        Empty: it is not its turn; a key frame is needed first.

        Args:
            codec: of the frame.
            frame: it.
            time: microseconds.
            now: seconds, for telling which layers are alive.

        Raises:
            RemoteProtocolError: the configuration cannot be used.
        """
        announce = self.layer.wants_key
        if frame.record:
            shape = (codec, frame.record, frame.width, frame.height)
            if shape != self._shape:
                track = track_from_record(codec, frame.record)
                if frame.width:
                    track = replace(track, width=frame.width, height=frame.height)
                self._shape, self._track = shape, track
                announce = True
        track_ = self._track
        if track_ is None:
            return []
        pixels = track_.width * track_.height
        if not self._layers.admit(self.layer, pixels, now, key=frame.key):
            return []
        if announce:
            track_ = self._track = replace(track_, id=self.track_id or 0)
            config = Packet(track_, time, time, track_.config, False, True)
            return [config, Packet(track_, time, time, frame.data, frame.key)]
        return [Packet(track_, time, time, frame.data, frame.key)]
