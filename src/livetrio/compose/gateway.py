"""WebRTC: transport, engine, sessions, and the operations that web_addr has for them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial

import trio

from livetrio.access.bearer import BearerGate
from livetrio.compose.node import Node
from livetrio.compose.rooms import RoomsPart
from livetrio.config import Config
from livetrio.control.room_whep import RoomWhep
from livetrio.control.signalling import Signalling
from livetrio.control.srs_rtc import SrsRtc
from livetrio.control.table import Operation
from livetrio.control.turn_route import TurnRoute
from livetrio.webrtc.candidates import Sockets
from livetrio.webrtc.caps import PendingCaps
from livetrio.webrtc.certificate import load_certificate
from livetrio.webrtc.editions import Editions
from livetrio.webrtc.engine import Engine
from livetrio.webrtc.gateway_engine import GatewayEngine
from livetrio.webrtc.player import Players
from livetrio.webrtc.sessions import open_sessions
from livetrio.webrtc.transport import open_transport
from livetrio.webrtc.turn import Turn

__all__ = ["opened_gateway"]


@asynccontextmanager
async def opened_gateway(
    config: Config, node: Node, sockets: Sockets | None, rooms: RoomsPart
) -> AsyncIterator[Sequence[Operation]]:
    """Serve WebRTC until the block ends; gives the operations of its signalling.

    Args:
        config: what to run.
        node: what to run it on.
        sockets: None where WebRTC is off, or has another engine than the gateway.
        rooms: what may be received beside streams.

    Raises:
        StartError: the certificate can neither be read nor written.
    """
    if config.webrtc.address is None:
        yield ()
        return
    async with (
        _engine(config, node, sockets, rooms.players) as engine,
        open_sessions(
            engine,
            node.registry,
            BearerGate(node.gate, config.apps),
            Editions(node.renditions, on_request=config.rendition.on_request),
            caps=PendingCaps(config.webrtc.max_pending, config.webrtc.max_pending_per_ip),
            play_wait=config.media.play_wait,
        ) as sessions,
    ):
        turn = Turn(config.turn)
        signalling = Signalling(sessions, turn, trusted=config.connection.trusted_proxies)
        yield (
            *signalling.operations(),
            *SrsRtc(signalling).operations(),
            *RoomWhep(signalling, rooms.studio, node.tokens).operations(),
            *TurnRoute(signalling, turn, node.registry, config.control.jwt).operations(),
        )


@asynccontextmanager
async def _engine(
    config: Config, node: Node, sockets: Sockets | None, players: Players
) -> AsyncIterator[Engine]:
    """The one that the configuration names. aiortc's has no port of its own: a socket for each
    peer, and Coturn's where it asks for one."""
    webrtc = config.webrtc
    if sockets is None:
        # aiortc costs 0.3 s of CPU and 40 MB to import: only for those who use it.
        from livetrio.webrtc.aio.engine import AiortcEngine

        interval = webrtc.key_frame_interval
        yield AiortcEngine(node.beat, Turn(config.turn), key_frame_interval=interval)
        return
    certificate = await trio.to_thread.run_sync(partial(load_certificate, config.store.data_dir))
    trusted = config.connection.trusted_proxies
    async with open_transport(
        webrtc, sockets, certificate, caps=node.caps, trusted=trusted
    ) as transport:
        yield GatewayEngine(
            transport,
            players,
            node.beat,
            start_bitrate=webrtc.start_bitrate,
            key_frame_interval=webrtc.key_frame_interval,
        )
