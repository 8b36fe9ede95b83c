"""The gateway engine under its sessions: HTTP, ICE, DTLS, SRTP and media over loopback."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import trio
from kit.fake_engine import Stage, stage
from kit.gateway import CERTIFICATE as SERVER
from kit.gateway import address_of, transport
from kit.ice_client import CERTIFICATE, IceClient, ice_client
from kit.node import Traces
from kit.rtp_source import RtpSource, avc_units, h264_payloads
from kit.sdp import offer

from livetrio.control.view import client_view
from livetrio.net.beat import Beat
from livetrio.packet import Codec, StreamKey
from livetrio.webrtc.gateway_engine import GatewayEngine
from livetrio.webrtc.ice import IceCredentials
from livetrio.webrtc.player import Players
from livetrio.wire.rtp.header import parse_rtp
from livetrio.wire.rtp.rtcp import parse_rtcp
from livetrio.wire.rtp.rtcp_feedback import Pli

SDP = {"Content-Type": "application/sdp"}
FRAGMENT = {"Content-Type": "application/trickle-ice-sdpfrag"}
H264 = 102
"""Payload type of the first H.264 in Chromium's offer."""
KEY = StreamKey("live", "movie")


def ours(sdp: str) -> str:
    """A recorded description with the fingerprint of the client of these tests."""
    name, value = CERTIFICATE.fingerprint
    return re.sub(r"a=fingerprint:.*", f"a=fingerprint:{name} {value}\r", sdp).replace("\r\r", "\r")


def credentials(sdp: str) -> IceCredentials:
    found = [re.search(rf"a=ice-{word}:(\S+)", sdp) for word in ("ufrag", "pwd")]
    return IceCredentials(*(match[1] for match in found))


@asynccontextmanager
async def gateway(**changes) -> AsyncIterator[Stage]:
    async with AsyncExitStack() as stack:
        opened = await stack.enter_async_context(transport(**changes))
        beat = Beat()
        nursery = await stack.enter_async_context(trio.open_nursery())
        nursery.start_soon(beat.run)
        engine = GatewayEngine(opened, Players(), beat, start_bitrate=1_000_000)
        on = await stack.enter_async_context(stage(engine=engine, play_wait=5))
        on.address = address_of(opened)
        yield on
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def client_of(on: Stage, path: str, sdp: str | None) -> AsyncIterator[tuple[IceClient, str]]:
    """A client whose offer was answered (or that answered ours), not connected yet."""
    http = on.app.test_client()
    created = await http.post(path, data=sdp or b"", headers=SDP)
    text = (await created.get_data()).decode()
    assert created.status_code == 201, text
    async with ice_client(credentials(text), on.address) as client:
        client.created = created
        yield client, text


async def send_media(client: IceClient, media: RtpSource, frames: int = 1000) -> None:
    """A second's key frame and what follows, again and again."""
    for number in range(frames):
        units = avc_units(key=number % 30 == 0, number=number % 30)
        for packet in media.frame(h264_payloads(units)):
            client.send_rtp(packet)
        await trio.sleep(0.01)


@asynccontextmanager
async def published(on: Stage) -> AsyncIterator[IceClient]:
    async with (
        client_of(on, "/live/movie/whip", ours(offer("chromium-publish"))) as (client, text),
        trio.open_nursery() as nursery,
    ):
        assert SERVER.fingerprint[1] in text
        assert "x-google-start-bitrate=1000" in text
        await client.connect()
        nursery.start_soon(send_media, client, RtpSource(0x1234, H264))
        with trio.fail_after(10):
            while KEY not in on.registry.streams or not on.registry.streams[KEY].tracks:  # noqa: ASYNC110
                await trio.sleep(0.01)
        yield client
        nursery.cancel_scope.cancel()


async def test_what_a_browser_publishes_is_a_stream_and_what_another_watches() -> None:
    async with gateway() as on, published(on):
        stream = on.registry.streams[KEY]
        assert [track.codec for track in stream.tracks] == [Codec.H264]
        publisher = next(iter(stream.clients.values()))
        assert publisher.numbers().bytes_in > 0
        assert publisher.address.startswith("127.0.0.1:")
        play = client_of(on, "/live/movie/whep", ours(offer("chromium-play")))
        async with play as (viewer, _):
            with trio.fail_after(20):
                await viewer.connect()
                first = parse_rtp(await viewer.receive_rtp())
                again = parse_rtp(await viewer.receive_rtp())
            assert first.ssrc == again.ssrc
            client = next(c for c in stream.clients.values() if c.role == "player")
            assert client.numbers().bytes_out > 0
            gone = await on.app.test_client().delete(viewer.created.headers["Location"])
            assert gone.status_code == 200
            with trio.fail_after(5):
                await viewer.wait_goodbye()
            assert client.id not in stream.clients


async def test_operators_are_shown_what_publisher_and_viewers_report() -> None:
    async with gateway() as on, published(on):
        play = client_of(on, "/live/movie/whep", ours(offer("chromium-play")))
        async with play as (viewer, _):
            with trio.fail_after(20):
                await viewer.connect()
                await viewer.receive_rtp()
            stream = on.registry.streams[KEY]
            gauges = on.parts.context.gauges
            views = {c.role: client_view(KEY, c, gauges) for c in stream.clients.values()}
    told = json.loads(json.dumps(views))
    (track,) = told["publisher"]["statistics"]["tracks"]
    assert (track["kind"], track["codec"]) == ("video", "h264")
    assert track["packets"] > 0
    assert told["publisher"]["statistics"]["levels"] == {}
    shown = told["player"]["statistics"]
    assert (shown["layer"], shown["nacks"], shown["malformed"]) == (0, 0, 0)
    assert shown["mode"] in {"live", "catching-up"}


async def test_first_packets_that_overtake_the_stream_are_not_lost() -> None:
    """They come with the client's last handshake message: a key frame, the only one for long."""
    path, sdp = "/live/movie/whip", ours(offer("chromium-publish"))
    async with gateway() as on, client_of(on, path, sdp) as (client, _):
        await client.connect()
        for packet in RtpSource(0x1234, H264).frame(h264_payloads(avc_units(key=True))):
            client.send_rtp(packet)
        with trio.fail_after(10):
            while not (stream := on.registry.streams.get(KEY)) or not stream.track_statistics:  # noqa: ASYNC110
                await trio.sleep(0.01)
            while not stream.track_statistics[0].keys:  # noqa: ASYNC110
                await trio.sleep(0.01)


async def test_a_wish_for_a_key_frame_reaches_the_publisher() -> None:
    async with gateway() as on, published(on) as publisher:
        stream = on.registry.streams[KEY]
        with trio.fail_after(10):
            while True:
                stream.request_key_frame()
                compound = await publisher.receive_rtcp()
                if any(isinstance(word, Pli) for word in parse_rtcp(compound)):
                    break


async def test_an_ice_restart_answers_new_credentials_and_media_go_on() -> None:
    async with gateway() as on, published(on) as publisher:
        http = on.app.test_client()
        location = publisher.created.headers["Location"]
        fragment = "a=ice-ufrag:newu\r\na=ice-pwd:newpasswordnewpassword12\r\n"
        patch = await http.patch(location, data=fragment, headers=FRAGMENT | {"If-Match": "*"})
        text = (await patch.get_data()).decode()
        assert patch.status_code == 200, text
        assert "a=candidate:" in text
        renewed = credentials(text)
        assert renewed.ufrag != publisher.credentials.ufrag
        publisher.credentials = renewed
        publisher.move()
        with trio.fail_after(10):
            await publisher.check()
        stream = on.registry.streams[KEY]
        before = stream.packets_in
        with trio.fail_after(10):
            while stream.packets_in < before + 5:  # noqa: ASYNC110
                await trio.sleep(0.01)
        stale = {"If-Match": publisher.created.headers["ETag"]}
        assert (
            await http.patch(location, data=fragment, headers=FRAGMENT | stale)
        ).status_code == 412


async def test_our_own_offer_is_answered_and_played() -> None:
    async with gateway() as on, published(on):
        async with client_of(on, "/live/movie/whep", None) as (viewer, text):
            assert "a=setup:actpass" in text
            assert "a=sendonly" in text
            reply = answer_to(text)
            patched = await on.app.test_client().patch(
                viewer.created.headers["Location"], data=reply, headers=SDP
            )
            assert patched.status_code == 204, await patched.get_data()
            with trio.fail_after(20):
                await viewer.connect()
                parse_rtp(await viewer.receive_rtp())


def answer_to(text: str) -> str:
    """What a browser makes of an offer of one video: receives it, as the DTLS client."""
    lines = []
    for line in ours(text).split("\r\n"):
        match line.partition(":")[0]:
            case "a=setup":
                line = "a=setup:active"
            case "a=sendonly":
                line = "a=recvonly"
            case "a=ice-ufrag":
                line = "a=ice-ufrag:client"
            case "a=ice-pwd":
                line = "a=ice-pwd:clientclientclientclient"
            case "a=candidate" | "a=ice-lite" | "a=ssrc" | "a=msid" | "a=end-of-candidates":
                continue
        lines.append(line)
    return "\r\n".join(lines)


async def test_fragments_that_do_not_fit_are_refused() -> None:
    async with gateway() as on:
        path, sdp = "/live/movie/whip", ours(offer("chromium-publish"))
        async with client_of(on, path, sdp) as (client, _):
            http = on.app.test_client()
            location, etag = client.created.headers["Location"], client.created.headers["ETag"]

            async def patch(body: str, match: str) -> int:
                headers = FRAGMENT | {"If-Match": match}
                return (await http.patch(location, data=body, headers=headers)).status_code

            assert await patch("a=candidate:1 1 udp 1 192.0.2.1 9 typ host\r\n", etag) == 204
            other = "a=ice-ufrag:othr\r\na=ice-pwd:otherotherotherotherother\r\n"
            assert await patch(other, etag) == 400
            assert await patch("a=candidate:1 1 udp 1 192.0.2.1 9 typ host\r\n", "*") == 400
            assert await patch("v=0\r\n", etag) == 400


async def test_a_viewer_with_no_codec_in_common_is_told_both_lists() -> None:
    async with gateway() as on, published(on):
        text = re.sub(r" H264/90000", " VP8/90000", offer("safari-play"))
        text = re.sub(r"(H265|VP9|AV1)/90000", "VP8/90000", text)
        answer = await on.app.test_client().post("/live/movie/whep", data=text, headers=SDP)
        assert answer.status_code == 406
        assert b"h264" in (await answer.get_data()).lower()


async def test_cancelling_everything_in_mid_stream_leaves_nothing() -> None:
    await trio.to_thread.run_sync(lambda: None)
    before = Traces.now()
    async with gateway() as on, published(on):
        play = client_of(on, "/live/movie/whep", ours(offer("chromium-play")))
        async with play as (viewer, _):
            with trio.fail_after(20):
                await viewer.connect()
                await viewer.receive_rtp()
    assert Traces.now() == before
