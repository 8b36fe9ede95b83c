"""IM: the hub, who its members are, and the protocols that they speak."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial

import trio

from livetrio import __version__
from livetrio.compose.node import Node
from livetrio.compose.streams import Serve
from livetrio.config import Config, ImConfig
from livetrio.control.centrifuge_api import centrifuge_operations
from livetrio.control.goim_api import goim_operations
from livetrio.control.im_rest import ImRest
from livetrio.control.table import Operation
from livetrio.im import goim_http
from livetrio.im.centrifuge_api import CentrifugeApi
from livetrio.im.centrifuge_policy import CentrifugePolicy
from livetrio.im.centrifuge_service import CentrifugeService
from livetrio.im.goim_api import GoimApi
from livetrio.im.goim_http import goim_api_routes
from livetrio.im.goim_identity import GoimIdentities
from livetrio.im.goim_nodes import GoimNode
from livetrio.im.goim_push import GoimPush
from livetrio.im.goim_service import GoimPolicy, GoimService
from livetrio.im.hub import Hub, open_hub
from livetrio.im.identity import Identities
from livetrio.im.live_rooms import LiveRooms
from livetrio.im.members import Kick
from livetrio.im.options import ChannelOptions, Kind, Namespaces
from livetrio.im.room_rpc import RoomRpc
from livetrio.net.fanout import Pacer
from livetrio.net.http import HttpServer
from livetrio.net.listen import Listener, serve_listener

__all__ = ["Messaging", "opened_messaging"]


@dataclass(frozen=True)
class Messaging:
    """What of IM others need."""

    hub: Hub
    handlers: Mapping[str, Serve]
    """What to start for each listener that there is, by name."""
    operations: Sequence[Operation]
    """Of the operator's face."""


@asynccontextmanager
async def opened_messaging(
    config: Config, node: Node, listeners: Mapping[str, Listener]
) -> AsyncIterator[Messaging]:
    """IM until the block ends."""
    im = config.im
    identities = Identities(
        node.tokens,
        allow_anonymous=im.allow_anonymous,
        connect_url=im.connect_url,
        post=node.fetcher.post,
    )
    async with (
        open_hub(
            namespaces=_namespaces(im),
            # Its own: what media wait for others' sake (merge_window) is not what chat may.
            pacer=Pacer(cap=im.tick, beat=node.beat),
            kick=Kick(older=im.kick, connections=im.connections_per_user),
        ) as hub,
        trio.open_nursery() as nursery,
    ):
        live_rooms = LiveRooms(
            hub, node.registry, lambda app, name: node.seats.find(app, name) is not None
        )
        nursery.start_soon(live_rooms.run, name="im live rooms")
        goim = GoimService(
            hub,
            GoimIdentities(identities, trust_mid=im.goim_trust_mid),
            GoimPolicy(
                shared_keys=im.goim_trust_mid,
                heartbeat=im.goim_heartbeat,
                heartbeat_max=im.goim_heartbeat_max,
                subscribers=im.goim_subscribers,
            ),
        )
        centrifuge = CentrifugeService(hub, identities, CentrifugePolicy(rpc=RoomRpc(hub)))
        push = GoimPush(hub)
        nursery.start_soon(centrifuge.run, name="centrifuge")
        nursery.start_soon(goim.run, name="goim")
        nursery.start_soon(push.run, name="goim push")
        api = GoimApi(push, _goim_node(im, listeners))
        http = partial(HttpServer, trusted=config.connection.trusted_proxies, caps=node.caps)
        sockets = http([*goim.routes(), *centrifuge.routes()])
        routes = goim_api_routes(api, names=[im.goim_domain])
        pushes = http(routes, max_query_fields=goim_http.MAX_KEYS)
        yield Messaging(
            hub,
            {
                "goim_tcp": partial(serve_listener, handler=goim.serve_tcp),
                "goim_push": partial(serve_listener, handler=pushes),
                "im": partial(serve_listener, handler=sockets),
            },
            [
                *goim_operations(api),
                *centrifuge_operations(CentrifugeApi(hub, centrifuge), im.api_key),
                *ImRest(hub).operations(),
            ],
        )
        nursery.cancel_scope.cancel()


def _namespaces(im: ImConfig) -> Namespaces:
    """Which channels are what: the configured patterns, live rooms (those of streams, and goim's
    `type://room`), and everything else."""
    plain = ChannelOptions(history_size=im.history_size, history_ttl=im.history_ttl)
    live = replace(plain, live=True, backlog=im.backlog)
    durable = replace(plain, kind=Kind.DURABLE)
    state = replace(plain, kind=Kind.STATE)
    return Namespaces(
        [
            *((pattern, durable) for pattern in im.durable),
            *((pattern, state) for pattern in im.state),
            ("room:*", live),
            ("*://*", live),
        ],
        plain,
    )


def _goim_node(im: ImConfig, listeners: Mapping[str, Listener]) -> GoimNode:
    """What goim's clients are told of this node."""
    tcp, websocket = listeners.get("goim_tcp"), listeners.get("im")
    port = websocket.address.port if websocket is not None else 0
    secure = websocket is not None and websocket.tls is not None
    return GoimNode(
        domain=im.goim_domain,
        heartbeat=im.goim_heartbeat,
        heartbeat_max=im.goim_heartbeat_max,
        tcp_port=tcp.address.port if tcp is not None else 0,
        ws_port=0 if secure else port,
        wss_port=port if secure else 0,
        version=__version__,
    )
