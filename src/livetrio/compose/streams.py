"""The stream plane: one table of HTTP routes for all its listeners, RTMP, and what runs beside."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial

import trio

from livetrio.access.gate import FlvGate, HlsGate
from livetrio.compose.node import Node
from livetrio.config import Config, HlsConfig
from livetrio.delivery.archive import Archive
from livetrio.delivery.flv import FlvPlayers
from livetrio.delivery.hls import HlsPlayers
from livetrio.delivery.hls_options import HlsOptions
from livetrio.delivery.hls_renditions import HlsRenditions
from livetrio.delivery.hls_sessions import HlsSessions
from livetrio.delivery.snapshot import Snapshots
from livetrio.delivery.timeshift import Timeshift
from livetrio.delivery.vod import VodPlayers
from livetrio.delivery.vod_live import LiveFirst
from livetrio.ingest.flv_push import FlvPublishers
from livetrio.ingest.rtmp import RtmpService, reading_pacer
from livetrio.media.vod.library import Library
from livetrio.net.http import HttpServer, Route
from livetrio.net.lane import Lane
from livetrio.net.listen import Listener, serve_listener
from livetrio.packet import US_PER_SECOND

__all__ = ["STREAM_PLANE", "Serve", "serve_streams"]

Serve = Callable[..., Awaitable[object]]

STREAM_PLANE = ("rtmp", "rtmps", "httpflv", "hls")
"""Its listeners, by name. Each that speaks HTTP serves every path."""


def hls_windows(
    config: Config, node: Node, listeners: Mapping[str, Listener]
) -> HlsRenditions | None:
    """What `serve_streams` runs and serves; None if HLS has no listener: then nothing is cut
    into segments."""
    if "hls" not in listeners:
        return None
    apps = {name for name, app in config.apps.items() if app.hls and app.live}
    return HlsRenditions(
        node.registry,
        node.renditions,
        hls_options(config.hls),
        apps,
        on_request=lambda key: node.seats.find(*key) is not None,
    )


def serve_streams(
    config: Config,
    node: Node,
    nursery: trio.Nursery,
    archive: Archive,
    windows: HlsRenditions | None,
) -> dict[str, Serve]:
    """Start what runs without a listener; gives what to start for each that there is, by name."""
    folders = {name: app.play for name, app in config.apps.items() if app.play is not None}
    library = Library(folders)
    rtmp = RtmpService(
        node.registry,
        node.gate,
        play_wait=config.media.play_wait,
        read_timeout=config.connection.read_timeout,
        pacer=reading_pacer(node.beat),
        renditions=node.renditions,
        library=library,
    )
    if windows is not None:
        nursery.start_soon(windows.run, name="hls")
    lane = Lane()
    nursery.start_soon(lane.run, name="lane")
    http = HttpServer(
        _routes(config, node, library, archive, windows),
        trusted=config.connection.trusted_proxies,
        caps=node.caps,
        lane=lane,
    )
    return {
        "rtmp": partial(serve_listener, handler=rtmp.serve),
        "rtmps": partial(serve_listener, handler=rtmp.serve),
        "httpflv": partial(serve_listener, handler=http),
        "hls": partial(serve_listener, handler=http),
    }


def _routes(
    config: Config,
    node: Node,
    library: Library,
    archive: Archive,
    windows: HlsRenditions | None,
) -> list[Route]:
    registry, renditions = node.registry, node.renditions
    flv_gate = FlvGate(node.gate, config.apps)
    players = FlvPlayers(
        registry, flv_gate, play_wait=config.media.play_wait, renditions=renditions
    )
    publishers = FlvPublishers(registry, flv_gate, read_timeout=config.connection.read_timeout)
    hls_gate = HlsGate(node.gate, config.apps)
    sessions = HlsSessions(registry)
    stored = VodPlayers(
        library,
        node.gate,
        registry,
        sessions,
        flv=flv_gate,
        hls=hls_gate if windows else None,
    )
    live = [
        *players.routes(),
        *publishers.routes(),
        *Snapshots(registry, node.gate).routes(),
    ]
    if windows is not None:
        live += Timeshift(archive, hls_gate, sessions).routes()
        live += HlsPlayers(registry, hls_gate, windows, sessions).routes()
    both = LiveFirst(
        {app for app in library.apps if node.gate.is_live(app)}, registry, windows, live
    )
    return [*both.routes(stored.routes()), *live, players.fallback()]


def hls_options(config: HlsConfig) -> HlsOptions:
    """The same in the units of packets."""
    return HlsOptions(
        segment_duration=round(config.segment * US_PER_SECOND),
        window=config.window,
        keep_after_end=config.keep_after_end,
        part_duration=round(config.part * US_PER_SECOND),
        low_latency_segment=round(config.ll_segment * US_PER_SECOND),
        low_latency_window=config.ll_window,
        dvr_window=round(config.dvr_window * US_PER_SECOND),
        key_every=config.key_every,
    )
