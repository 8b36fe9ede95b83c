"""ControlContext: all that the operator's and the public face know of the rest of the program."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from livetrio.config import AccessConfig, AppConfig, ControlConfig
from livetrio.control.gauges import Gauges
from livetrio.delivery.hls_renditions import HlsRenditions
from livetrio.delivery.record import RecorderCounts
from livetrio.errors import RefusalCode, Refused
from livetrio.ingest.relay import Relays
from livetrio.media.registry import Registry
from livetrio.net.scope import Scope
from livetrio.store.keys import RoomKeys
from livetrio.webrtc.rooms.room_service import Rooms

__all__ = ["Bound", "ControlContext"]


@dataclass(frozen=True, slots=True)
class Bound:
    """Where a listener of this node can be reached, as pages must print it."""

    port: int
    tls: bool = False


@dataclass(frozen=True)
class ControlContext:
    """Made once by the composition root; nothing in it is replaced afterwards."""

    root: Scope
    """Where the nursery tree that operators see begins."""
    registry: Registry
    keys: RoomKeys
    relays: Relays
    gauges: Gauges
    """Somebody has to run them: `nursery.start_soon(context.gauges.run)`."""
    recorded: RecorderCounts = field(default_factory=RecorderCounts)
    """What became of recordings, for the metrics."""
    hls: HlsRenditions | None = None
    """The windows of HLS, likewise; None where it is off."""
    rooms: Rooms | None = None
    """Co-host and voice rooms, for lists and metrics."""
    config: ControlConfig = field(default_factory=ControlConfig)
    access: AccessConfig = field(default_factory=AccessConfig)
    apps: Mapping[str, AppConfig] = field(default_factory=dict)
    """The applications that can be published to, by name."""
    bound: Mapping[str, Bound] = field(default_factory=dict)
    """Listeners by their configuration key without "_addr": rtmp, rtmps, httpflv, web, api."""
    ready: Callable[[], bool] = lambda: True
    """Is every service up, and the node not on its way down?"""
    statics: Path = field(default_factory=lambda: Path("statics").absolute())
    """livego's folder of that name, served as /statics/."""

    def check_app(self, app: str) -> None:
        """Is this application ours, and may the API change something in it?

        Raises:
            Refused: NOT_FOUND or FORBIDDEN.
        """
        if app not in self.apps:
            reason = f"application name={app} is not configured"  # livego's words
            raise Refused(RefusalCode.NOT_FOUND, reason)
        if not self.apps[app].api:
            raise Refused(RefusalCode.FORBIDDEN, f"application {app} has api: false")
