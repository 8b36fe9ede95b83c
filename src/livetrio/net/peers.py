"""Peers' addresses: whom to believe."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

from livetrio.config import Network

__all__ = ["trusts"]


def trusts(ip: str, networks: Sequence[Network]) -> bool:
    """Is this address (maybe with an IPv6 zone) in one of the trusted networks?"""
    if not networks:  # nearly always: spare the parsing
        return False
    address = ipaddress.ip_address(ip.partition("%")[0])
    return any(address in network for network in networks)
