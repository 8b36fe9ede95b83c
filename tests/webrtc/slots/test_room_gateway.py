"""A room over a real transport: negotiation, encryption and two seats, on loopback."""

from __future__ import annotations

import itertools
import json
import re
from contextlib import AsyncExitStack
from dataclasses import asdict

import trio
from kit.gateway import address_of, transport
from kit.ice_client import CERTIFICATE, ice_client
from kit.slots import hall, seat

from livetrio.net.beat import Beat
from livetrio.webrtc.gateway_engine import GatewayEngine
from livetrio.webrtc.ice import IceCredentials
from livetrio.wire.rtp.header import parse_rtp
from livetrio.wire.sdp.session import parse_sdp


def answer_to(text: str) -> str:
    """What a browser makes of our offer: receives it all, as the DTLS client."""
    name, value = CERTIFICATE.fingerprint
    for old, new in (
        (r"a=setup:.*", "a=setup:active\r"),
        ("a=sendonly", "a=recvonly"),
        (r"a=ice-ufrag:.*", "a=ice-ufrag:client\r"),
        (r"a=ice-pwd:.*", "a=ice-pwd:clientclientclientclient\r"),
        (r"a=fingerprint:.*", f"a=fingerprint:{name} {value}\r"),
        (r"a=(?:candidate|ssrc|msid|ice-lite|end-of-candidates).*\r\n", ""),
    ):
        text = re.sub(old, new, text)
    return text


async def test_a_viewer_decrypts_every_slot_over_one_transport_across_changes() -> None:
    async with AsyncExitStack() as stack:
        room = await stack.enter_async_context(hall(video=2, audio=2))
        opened = await stack.enter_async_context(transport())
        engine = GatewayEngine(opened, room.players, Beat())
        seats = await stack.enter_async_context(room.publishers(1, 2, 3))
        room.feed.arrange([seat(1), seat(2)], [seat(1), seat(2)])
        link = await stack.enter_async_context(
            engine.send_room(None, room.feed, "", name="viewer", ip="127.0.0.1")
        )
        said = parse_sdp(link.description).media
        ssrcs = {int(line.value("ssrc").split()[0]): line.media for line in said}
        assert list(ssrcs.values()) == ["video", "video", "audio", "audio"]
        link.accept(answer_to(link.description))
        words = [re.search(rf"a=ice-{word}:(\S+)", link.description) for word in ("ufrag", "pwd")]
        credentials = IceCredentials(*(word[1] for word in words))
        client = await stack.enter_async_context(ice_client(credentials, address_of(opened)))
        with trio.fail_after(20):
            await client.connect()
            await link.connected.wait()
            link.scope.nursery.start_soon(link.run)

            async def publish() -> None:
                while True:
                    for publisher in seats:
                        publisher.publish(1)
                    await trio.sleep(0.02)

            room.scope.nursery.start_soon(publish)
            heard: dict[int, list[int]] = {ssrc: [] for ssrc in ssrcs}
            while min(map(len, heard.values())) < 20:
                packet = parse_rtp(await client.receive_rtp())
                heard[packet.ssrc].append(packet.sequence)
            room.feed.arrange([seat(3), seat(1)], [seat(3), seat(1)])
            while min(map(len, heard.values())) < 80:
                packet = parse_rtp(await client.receive_rtp())
                heard[packet.ssrc].append(packet.sequence)
        for ssrc, sequences in heard.items():
            steps = {(b - a) & 0xFFFF for a, b in itertools.pairwise(sequences)}
            assert steps == {1}, ssrc
        statistics = link.statistics()
        assert [slot.seat for slot in statistics.slots] == [3, 1]
        assert statistics.level == 0
        assert json.loads(json.dumps(asdict(statistics)))["slots"][0]["seat"] == 3
        assert link.numbers().bytes_out > 0
        room.scope.cancel("enough")
