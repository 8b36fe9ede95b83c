"""All checks of a configuration."""

from __future__ import annotations

import trio

from livetrio.config import Config
from livetrio.doctor.certificates import check_certificates
from livetrio.doctor.finding import Finding
from livetrio.doctor.host import check_clock, check_files, check_udp_sends
from livetrio.doctor.operator import check_access, check_operator_port, check_pages
from livetrio.doctor.ports import check_listeners, check_webrtc
from livetrio.doctor.turn_server import check_turn

__all__ = ["diagnose"]


async def diagnose(config: Config) -> list[Finding]:
    """Look at everything. Takes some seconds at most, whatever does not answer."""
    found = [
        *check_operator_port(config),
        *check_access(config),
        *check_pages(config),
        *check_certificates(config),
        *check_listeners(config),
        *check_files(config),
        *check_clock(),
        *check_udp_sends(),
    ]
    await trio.lowlevel.checkpoint()
    found += [finding async for finding in check_webrtc(config)]
    found += [finding async for finding in check_turn(config)]
    return found
