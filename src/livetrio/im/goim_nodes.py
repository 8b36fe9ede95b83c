"""Nodes: where goim clients are told to connect, and what goim's discovery knew of a server."""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

__all__ = ["GoimNode"]


@dataclass(frozen=True, slots=True, kw_only=True)
class GoimNode:
    """This server, as clients reach it."""

    domain: str = ""
    """`im.goim_domain`; "" takes the name under which the question was asked."""
    tcp_port: int = 0
    """0: not listening there."""
    ws_port: int = 0
    wss_port: int = 0
    heartbeat: float = 240.0
    heartbeat_max: int = 2
    hostname: str = "livetrio"
    version: str = ""

    def weighted(self, asked: str, platform: str = "web") -> Mapping[str, object]:
        """`nodes/weighted`: protobuf's JSON names, and zeros left out as Go's encoder does.

        Args:
            asked: the Host header's name, without port.
            platform: for others than "web", goim told IP addresses: where one was asked, as here
                no other is known to be reachable.
        """
        domain = self.domain or asked
        node = asked if platform != "web" and _is_address(asked) else domain
        fields: dict[str, object] = {
            "domain": domain,
            "tcp_port": self.tcp_port,
            "ws_port": self.ws_port,
            "wss_port": self.wss_port,
            "heartbeat": int(self.heartbeat),
            "nodes": [node] if node else [],
            "backoff": {"max_delay": 300, "base_delay": 3, "factor": 1.8, "jitter": 0.3},
            "heartbeat_max": self.heartbeat_max,
        }
        return {name: value for name, value in fields.items() if value}

    def instances(
        self, asked: str, total: tuple[int, int], clock: Callable[[], float] = time.time
    ) -> list[Mapping[str, object]]:
        """`nodes/instances`: the one there is.

        total: (IP addresses, connections).
        """
        host = self.domain or asked
        addrs = [f"tcp://{host}:{self.tcp_port}"] if self.tcp_port else []
        addrs += [f"ws://{host}:{self.ws_port}/sub"] if self.ws_port else []
        addrs += [f"wss://{host}:{self.wss_port}/sub"] if self.wss_port else []
        return [
            {
                "region": "local",
                "zone": "local",
                "env": "prod",
                "appid": "goim.comet",
                "hostname": self.hostname,
                "addrs": addrs,
                "version": self.version,
                "latest_timestamp": int(clock() * 1e9),
                "metadata": {
                    "weight": "10",
                    "offline": "false",
                    "addrs": host,
                    "ip_count": str(total[0]),
                    "conn_count": str(total[1]),
                },
            }
        ]


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True
