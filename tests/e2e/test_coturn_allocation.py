"""A server behind a NAT: the aiortc engine asks Coturn for an address, and media go through it."""

from __future__ import annotations

import pytest
from kit.coturn import SECRET, turnserver
from kit.engines import engine_stage, publishing_peer, until

from livetrio.config import TurnConfig
from livetrio.packet import StreamKey
from livetrio.webrtc.turn import Turn

pytestmark = pytest.mark.e2e

KEY = StreamKey("live", "movie")


def only_relayed(text: str) -> str:
    """What a browser would be left with if it could reach the TURN server alone."""
    lines = text.split("\r\n")
    kept = [line for line in lines if not line.startswith("a=candidate:") or "typ relay" in line]
    return "\r\n".join(kept)


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_a_publisher_reaches_it_through_the_allocation(tmp_path, transport) -> None:
    # On loopback every peer is one that production must not relay to.
    async with turnserver(tmp_path, denied_peer_ip="", allow_loopback_peers="1") as (port, _):
        url = f"turn:127.0.0.1:{port}?transport={transport}"
        turn = Turn(TurnConfig(urls=(url,), secret=SECRET))
        async with engine_stage("aiortc", turn=turn) as on:
            async with publishing_peer(on, edit=only_relayed) as peer:
                await until(lambda: KEY in on.registry.streams)
                await until(lambda: bool(on.registry.streams[KEY].tracks))
                assert "typ relay" in peer.text
                location = peer.created.headers["Location"]
                assert (await on.app.test_client().delete(location)).status_code == 200
