"""With DNS dead or hanging everything that is WebRTC still works: no name is ever looked up."""

from __future__ import annotations

import socket
import threading

import pytest
import trio
from kit.node import node
from kit.rtc_crowd import RtcCrowd

from livetrio.config import TurnConfig


@pytest.mark.parametrize("how", ["dead", "hanging"])
async def test_peers_publish_and_watch_without_any_name_service(
    monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    asked: list[object] = []
    never = threading.Event()
    real = socket.getaddrinfo

    def lookup(host, port, family=0, type=0, proto=0, flags=0):
        if flags & socket.AI_NUMERICHOST or host in (None, "127.0.0.1", b"127.0.0.1"):
            return real(host, port, family, type, proto, flags)
        asked.append(host)
        if how == "hanging":
            never.wait(60)
        raise socket.gaierror(socket.EAI_AGAIN, "no name service")

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    turn = TurnConfig(urls=("turn:turn.example.com:3478", "stun:stun.example.com"), secret="s" * 32)
    async with node(turn=turn) as server, trio.open_nursery() as nursery:
        crowd = RtcCrowd(server.addresses["web"].port, server.addresses["webrtc"].port)
        nursery.start_soon(crowd.publish)
        nursery.start_soon(crowd.watch)
        with trio.fail_after(30):
            while crowd.received < 30:  # noqa: ASYNC110
                await trio.sleep(0.05)
        nursery.cancel_scope.cancel()
    never.set()
    assert asked == []
