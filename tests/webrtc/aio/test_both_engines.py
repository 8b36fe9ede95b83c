"""WHIP and WHEP over either engine: the same requests, the same answers, the same media."""

from __future__ import annotations

import pytest
import trio
from kit.control import publishing, soon
from kit.engines import ENGINES, SDP, engine_stage, publishing_peer, until, watching_peer
from kit.node import Traces
from kit.sdp import offer

from livetrio.net.scope import open_scope
from livetrio.packet import Codec, StreamKey
from livetrio.webrtc.aio.descriptions import CODECS, cleaned
from livetrio.webrtc.aio.peer import Seat, open_aio_peer
from livetrio.wire.rtp.header import parse_rtp
from livetrio.wire.rtp.rtcp_feedback import Pli

KEY = StreamKey("live", "movie")
FRAGMENT = {"Content-Type": "application/trickle-ice-sdpfrag"}

pytestmark = pytest.mark.parametrize("engine", ENGINES)


async def on_air(on) -> None:
    """The stream is there with picture and sound."""

    def known() -> bool:
        stream = on.registry.streams.get(KEY)
        return stream is not None and len(stream.tracks) == 2

    await until(known)


async def test_what_one_peer_publishes_is_a_stream_and_what_another_watches(engine) -> None:
    async with engine_stage(engine) as on, publishing_peer(on):
        await on_air(on)
        stream = on.registry.streams[KEY]
        assert {track.codec for track in stream.tracks} == {Codec.H264, Codec.OPUS}
        publisher = next(iter(stream.clients.values()))
        assert publisher.protocol == "whip"
        assert publisher.numbers().bytes_in > 0
        assert ":" in publisher.address
        async with watching_peer(on) as viewer:
            got = set()
            viewer.on_rtp = lambda data, arrival: got.add(parse_rtp(data).ssrc)
            await until(lambda: len(got) == 2)
            client = next(c for c in stream.clients.values() if c.role == "player")
            assert client.numbers().bytes_out > 0
            gone = await on.app.test_client().delete(viewer.created.headers["Location"])
            assert gone.status_code == 200
            await viewer.scope.wait_closed()
        await until(lambda: client.id not in stream.clients)


async def test_pictures_arrive_whole_and_keep_their_order(engine) -> None:
    async with engine_stage(engine) as on, publishing_peer(on):
        await on_air(on)
        stream = on.registry.streams[KEY]
        before = stream.repairs.backward
        await until(lambda: stream.track_statistics[0].packets > 40)
        assert stream.repairs.backward == before
        video = next(s for s in stream.track_statistics if s.track.codec is Codec.H264)
        assert video.keys >= 1
        assert (video.track.width, video.track.height) == (64, 64)


async def test_deleting_a_publisher_ends_its_stream(engine) -> None:
    async with engine_stage(engine) as on, publishing_peer(on) as peer:
        await on_air(on)
        location = peer.created.headers["Location"]
        assert (await on.app.test_client().delete(location)).status_code == 200
        await until(lambda: KEY not in on.registry.streams)
        await until(lambda: peer.scope.gone)


async def test_a_peer_that_goes_takes_its_session_with_it(engine) -> None:
    async with engine_stage(engine) as on:
        async with publishing_peer(on):
            await on_air(on)
        await until(lambda: len(on.sessions) == 0)


async def test_a_viewers_picture_loss_reaches_the_publisher(engine) -> None:
    async with engine_stage(engine) as on, publishing_peer(on):
        await on_air(on)
        asked = []
        on.registry.streams[KEY].publication.on_key_frame_request = asked.append
        async with watching_peer(on) as viewer:
            sources = {}
            viewer.on_rtp = lambda data, arrival: sources.setdefault(
                parse_rtp(data).payload_type, parse_rtp(data).ssrc
            )
            await until(lambda: len(sources) == 2)

            def told() -> bool:
                for ssrc in sources.values():
                    viewer.send_rtcp(Pli(1, ssrc).build())
                return bool(asked)

            await until(told)


async def test_our_own_offer_is_answered_and_played(engine) -> None:
    async with engine_stage(engine) as on, publishing_peer(on):
        await on_air(on)
        http = on.app.test_client()
        created = await http.post("/live/movie/whep")
        text = (await created.get_data()).decode()
        assert created.status_code == 201, text
        async with open_scope("test", "viewer"), open_aio_peer("viewer", []) as viewer:
            kinds = [media.kind for media in _kinds(text)]
            reply = await viewer.answer(cleaned(text), [Seat(k, CODECS[k]) for k in kinds])
            location = created.headers["Location"]
            patched = await http.patch(location, data=reply, headers=SDP)
            assert patched.status_code == 204, await patched.get_data()
            await until(viewer.media.is_set)


def _kinds(text: str):
    from livetrio.webrtc.aio.descriptions import received

    return received(text, text).media


async def test_candidates_may_trickle_and_strange_fragments_are_refused(engine) -> None:
    async with engine_stage(engine) as on:
        created = await post(on, "/live/movie/whip", offer("chromium-publish"))
        location, etag = created.headers["Location"], created.headers["ETag"]

        async def patch(body: str) -> int:
            headers = FRAGMENT | {"If-Match": etag}
            http = on.app.test_client()
            return (await http.patch(location, data=body, headers=headers)).status_code

        assert await patch("a=candidate:1 1 udp 1 192.0.2.1 9 typ host\r\n") == 204
        assert await patch("a=candidate:1 1 udp 1 somebody.local 9 typ host\r\n") == 204
        assert await patch("v=0\r\n") == 400
        assert len(on.sessions) == 1


@pytest.mark.parametrize(
    "name", ["chromium-publish", "chromium-simulcast", "firefox-publish", "aiortc-publish"]
)
async def test_browsers_offers_to_publish_are_answered(engine, name) -> None:
    async with engine_stage(engine) as on:
        created = await post(on, "/live/movie/whip", offer(name))
        text = (await created.get_data()).decode()
        assert created.status_code == 201, text
        assert "a=recvonly" in text
        assert "a=fingerprint:sha-256" in text


@pytest.mark.parametrize("name", ["chromium-play", "safari-play", "pion-play", "aiortc-play"])
async def test_browsers_offers_to_watch_are_answered(engine, name) -> None:
    async with engine_stage(engine) as on, publishing_peer(on):
        await on_air(on)
        created = await post(on, "/live/movie/whep", offer(name))
        text = (await created.get_data()).decode()
        assert created.status_code == 201, text
        assert "a=sendonly" in text


BROKEN = {
    "empty": "v=0\r\n",
    "words": "hello",
    "no-credentials": offer("aiortc-publish").replace("a=ice-ufrag", "a=x"),
    "no-fingerprint": offer("aiortc-publish").replace("a=fingerprint", "a=x"),
    "a-mid-twice": offer("aiortc-publish").replace("a=mid:1", "a=mid:0"),
    "a-codec-of-letters": offer("aiortc-publish").replace("a=rtpmap:96", "a=rtpmap:xx"),
    "a-huge-ssrc": offer("aiortc-publish") + "a=ssrc:99999999999999999999 cname:x\r\n",
}


@pytest.mark.parametrize("name", list(BROKEN))
async def test_offers_that_make_no_sense_are_400_and_harm_nobody(engine, name) -> None:
    async with engine_stage(engine) as on, publishing(on.parts, "other"):
        created = await post(on, "/live/movie/whip", BROKEN[name])
        assert created.status_code == 400, await created.get_data()
        assert len(on.sessions) == 0
        assert StreamKey("live", "other") in on.registry.streams


async def test_an_offer_without_a_common_codec_is_406(engine) -> None:
    text = offer("aiortc-play").replace(" VP8/90000", " X/90000").replace(" H264/90000", " X/90000")
    async with engine_stage(engine) as on, publishing_peer(on):
        await on_air(on)
        created = await post(on, "/live/movie/whep", text)
        assert created.status_code == 406, await created.get_data()


async def test_who_never_connects_is_gone_after_its_time(engine) -> None:
    async with engine_stage(engine, connect_timeout=0.2) as on:
        created = await post(on, "/live/movie/whip", offer("chromium-publish"))
        assert created.status_code == 201
        await soon(lambda: len(on.sessions) == 0)


async def test_cancelling_everything_in_mid_stream_leaves_nothing(engine) -> None:
    await trio.to_thread.run_sync(lambda: None)
    async with engine_stage(engine):  # what is made once
        pass
    before = Traces.now()
    for _ in range(2):
        async with engine_stage(engine) as on, publishing_peer(on):
            await on_air(on)
            async with watching_peer(on) as viewer:
                await until(viewer.media.is_set)
    assert Traces.now() == before


async def post(on, path: str, text: str):
    return await on.app.test_client().post(path, data=text, headers=SDP)
