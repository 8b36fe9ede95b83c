"""Sessions: from the offer to the end of everything below, without a socket."""

from __future__ import annotations

from dataclasses import replace

import pytest
import trio
import trio.testing
from kit.control import publishing, soon, watching
from kit.fake_engine import OFFER, stage
from kit.logs import lines
from kit.packets import VIDEO, audio, config, gop, video

from livetrio.access.im_token import Claims
from livetrio.access.seats import SeatBook
from livetrio.errors import RefusalCode, Refused, RemoteProtocolError
from livetrio.media.edition import Edition
from livetrio.media.ring import Ring
from livetrio.net.scope import tree
from livetrio.packet import Codec, Kind, StreamKey, Track
from livetrio.webrtc.caps import PendingCaps
from livetrio.webrtc.editions import Editions
from livetrio.webrtc.negotiation_words import NotAcceptable
from livetrio.webrtc.selection import Selection
from livetrio.webrtc.session import Asked

PUBLISH = Asked("live", "movie", peer="192.0.2.7", protocol="whip")
PLAY = replace(PUBLISH, protocol="whep")
KEY = StreamKey("live", "movie")


async def refused(call) -> Refused:
    with pytest.raises(Refused) as caught:
        await call
    return caught.value


class TestPublishing:
    async def test_a_stream_begins_when_its_publisher_is_connected(self) -> None:
        async with stage() as on:
            session = await on.sessions.publish(PUBLISH, OFFER)
            assert session.description == "v=0 answer"
            assert KEY not in on.registry.streams
            on.link.connect()
            await on.link.running.wait()
            stream = on.registry.streams[KEY]
            assert stream.publication is on.link.publication
            (client,) = stream.clients.values()
            assert (client.protocol, client.address) == ("whip", "192.0.2.7:4242")
            assert client.numbers().bytes_in == 11

    async def test_what_is_wrong_with_the_offer_is_the_callers_to_hear(self) -> None:
        async with stage() as on:
            with pytest.raises(RemoteProtocolError, match="cannot be read"):
                await on.sessions.publish(PUBLISH, "broken")
            with pytest.raises(NotAcceptable, match="no common codec"):
                await on.sessions.publish(PUBLISH, "exotic")
            with pytest.raises(ZeroDivisionError):
                await on.sessions.publish(PUBLISH, "bug")
            assert len(on.sessions) == 0

    async def test_a_second_publisher_is_refused_before_its_answer(self) -> None:
        async with stage() as on, publishing(on.parts):
            refusal = await refused(on.sessions.publish(PUBLISH, OFFER))
            assert refusal.code is RefusalCode.CONFLICT
            assert on.engine.links == []

    async def test_who_proves_the_key_takes_over_once_connected_and_not_before(self) -> None:
        async with stage() as on:
            on.keys.rooms["room"] = "k" * 48
            asked = replace(PUBLISH, app="keyed", name="room", token="k" * 48)
            await on.sessions.publish(asked, OFFER)
            on.link.connect()
            await on.link.running.wait()
            old = on.link
            session = await on.sessions.publish(asked, OFFER)
            await trio.testing.wait_all_tasks_blocked()
            assert not old.scope.gone
            on.link.connect()
            await on.link.running.wait()
            await old.scope.wait_closed()
            stream = on.registry.streams[StreamKey("keyed", "room")]
            assert stream.publication is on.link.publication
            assert stream.publication.client is session.client

    async def test_who_has_lost_his_seat_before_he_was_connected_does_not_take_it_over(
        self,
    ) -> None:
        async def whose(token: str) -> Claims:
            return Claims(sub=token.split(".")[1])

        sitting = {2: "bob"}
        seats = SeatBook(whose)
        asked = replace(PUBLISH, name="talk/2", token="x.bob.y")
        with seats.entered(StreamKey("live", "talk"), lambda seat: sitting.get(seat, "")):
            async with stage(seats=seats) as on:
                bob = await on.sessions.publish(asked, OFFER)
                sitting[2] = "dave"
                await on.sessions.publish(replace(asked, token="x.dave.y"), OFFER)
                dave = on.engine.links[1]
                dave.connect()
                await dave.running.wait()
                on.engine.links[0].connect()
                await bob.scope.wait_closed()
                assert bob.scope.reason == "the seat or its room is somebody else's by now"
                stream = on.registry.streams[StreamKey("live", "talk/2")]
                assert stream.publication is dave.publication
                assert not dave.scope.gone

    async def test_of_two_that_connect_the_later_is_refused_and_the_log_says_so(
        self, caplog
    ) -> None:
        caplog.set_level("INFO")
        async with stage() as on:
            await on.sessions.publish(PUBLISH, OFFER)
            late = await on.sessions.publish(PUBLISH, OFFER)
            on.engine.links[0].connect()
            await on.engine.links[0].running.wait()
            on.engine.links[1].connect()
            await late.scope.wait_closed()
            await soon(lambda: len(on.sessions) == 1)
        assert any("published already" in line.fields.get("reason", "") for line in lines(caplog))

    async def test_who_never_connects_is_gone_after_ten_seconds(self, autojump_clock) -> None:
        async with stage() as on:
            session = await on.sessions.publish(PUBLISH, OFFER)
            began = trio.current_time()
            await session.scope.wait_closed()
            assert trio.current_time() - began == pytest.approx(10)
            assert "not through within 10 s" in session.scope.reason
            await soon(lambda: len(on.sessions) == 0)
            assert on.registry.streams == {}

    async def test_the_time_for_which_we_stood_still_is_not_the_peers(self, autojump_clock) -> None:
        async with stage() as on:
            await on.sessions.publish(PUBLISH, OFFER)
            late = await on.sessions.publish(replace(PUBLISH, name="other"), OFFER)
            await trio.testing.wait_all_tasks_blocked()
            autojump_clock.jump(12)
            await trio.sleep(0.5)
            on.engine.links[0].connect()
            with trio.fail_after(1):
                await on.engine.links[0].running.wait()
            await late.scope.wait_closed()
            assert "not through" in late.scope.reason
            assert trio.current_time() < 14

    async def test_the_end_of_the_peer_is_the_end_of_the_session_with_its_reason(self) -> None:
        async with stage() as on:
            session = await on.sessions.publish(PUBLISH, OFFER)
            on.link.connect()
            await on.link.running.wait()
            on.link.scope.cancel("silent for 30 s")
            await session.scope.wait_closed()
            assert session.scope.reason == "silent for 30 s"

    async def test_ending_it_answers_when_all_is_gone_and_viewers_do_not_wait_for_its_return(
        self,
    ) -> None:
        async with stage() as on:
            session = await on.sessions.publish(PUBLISH, OFFER)
            on.link.connect()
            await on.link.running.wait()
            publication = on.link.publication
            ended = await on.sessions.end(session, "the peer ended its session")
            assert ended.scopes == 2
            assert on.link.scope.gone
            assert publication.ended_cleanly
            with pytest.raises(Refused):
                on.sessions.find(session.id)

    async def test_kicking_its_client_ends_the_session(self) -> None:
        async with stage() as on:
            session = await on.sessions.publish(PUBLISH, OFFER)
            on.link.connect()
            await on.link.running.wait()
            assert await on.registry.end_client(session.client.id, "an operator") is not None
            assert on.link.scope.gone

    async def test_an_unexpected_error_ends_one_session_and_is_logged(self, caplog) -> None:
        async with stage() as on:
            session = await on.sessions.publish(PUBLISH, OFFER)

            async def fails(publication) -> None:
                raise ZeroDivisionError("a bug")

            on.link.run = fails
            on.link.connect()
            await session.scope.wait_closed()
            await on.sessions.publish(replace(PUBLISH, name="other"), OFFER)
        assert any(line.event == "bug: session ended" for line in lines(caplog))


class TestPlaying:
    async def test_a_viewer_is_listed_and_ends_with_the_stream(self, autojump_clock) -> None:
        async with stage() as on:
            async with publishing(on.parts) as publication:
                session = await on.sessions.play(PLAY, OFFER, Selection())
                assert session.client.id in publication.stream.clients
                on.link.connect()
                await on.link.running.wait()
                publication.finish()
            await session.scope.wait_closed()
            await soon(lambda: on.renditions.open_now == 0)

    async def test_aac_takes_the_opus_rendition_and_the_stream_opus_does_not(
        self, autojump_clock
    ) -> None:
        opus = Track(Kind.AUDIO, Codec.OPUS, config=b"OpusHead")
        async with stage() as on:
            async with publishing(on.parts):
                await on.sessions.play(PLAY, OFFER, Selection())
                assert on.renditions.opened == [(Codec.OPUS, None)]
            async with publishing(on.parts, "other", packets=False) as publication:
                publication.publish([config(VIDEO), config(opus), *_frames(opus)])
                await on.sessions.play(replace(PLAY, name="other"), OFFER, Selection())
                assert on.renditions.opened[1] == (None, None)

    async def test_b_frames_take_the_rendition_without(self, autojump_clock) -> None:
        async with stage() as on, publishing(on.parts) as publication:
            late = video(400)
            late.pts += 80_000
            publication.publish([late])
            await on.sessions.play(PLAY, OFFER, Selection())
            assert on.renditions.opened == [(Codec.OPUS, "no-b")]

    async def test_h264_may_be_asked_for(self, autojump_clock) -> None:
        vp8 = Track(Kind.VIDEO, Codec.VP8)
        asked = replace(PLAY, query={"video": "h264"})
        async with stage() as on, publishing(on.parts, packets=False) as publication:
            publication.publish([video(0, key=True, track=vp8), audio(0)])
            await on.sessions.play(asked, OFFER, Selection())
            assert on.renditions.opened == [(Codec.OPUS, "h264")]
            editions = Editions(on.renditions, on_request=False)
            with pytest.raises(Refused) as caught:
                async with editions.for_browser(publication.stream, asked.query):
                    pass
            assert caught.value.code is RefusalCode.FORBIDDEN
            assert caught.value.hint == "rendition.on_request: false"

    async def test_asking_for_h264_where_it_is_h264_makes_nothing(self, autojump_clock) -> None:
        async with stage() as on, publishing(on.parts):
            await on.sessions.play(replace(PLAY, query={"video": "h264"}), OFFER, Selection())
            assert on.renditions.opened == [(Codec.OPUS, None)]

    async def test_a_rendition_is_held_loosely_until_its_viewer_is_connected(
        self, autojump_clock
    ) -> None:
        async with stage() as on, publishing(on.parts):
            await on.sessions.play(replace(PLAY, peer="2001:db8::5"), OFFER, Selection())
            claim = on.renditions.claim
            assert (claim.peer, claim.pending()) == ("2001:db8::", True)
            on.link.connect()
            await on.link.running.wait()
            assert not claim.pending()

    async def test_a_rendition_is_waited_for_until_it_has_what_its_stream_has(
        self, autojump_clock
    ) -> None:
        async with stage() as on, publishing(on.parts) as publication:
            stream, scope = publication.stream, publication.stream.scope
            made = Edition(stream.key, scope, Ring(stream.ring.limits), stream.pacer)
            on.renditions.made = made
            made.accept([audio(0), audio(2_000)])  # sound passes while the encoder starts
            async with trio.open_nursery() as nursery:
                nursery.start_soon(on.sessions.play, PLAY, OFFER, Selection())
                await trio.sleep(9)
                assert on.engine.links == []
                made.accept([config(VIDEO), video(0, key=True)])
            assert on.link.edition is made

    async def test_a_rendition_without_pictures_is_refused_and_no_answer_without_them_given(
        self, autojump_clock
    ) -> None:
        async with stage() as on, publishing(on.parts) as publication:
            stream, scope = publication.stream, publication.stream.scope
            on.renditions.made = Edition(stream.key, scope, Ring(stream.ring.limits), stream.pacer)
            on.renditions.made.accept([audio(0), audio(2_000)])
            refusal = await refused(on.sessions.play(PLAY, OFFER, Selection()))
            assert refusal.code is RefusalCode.UNAVAILABLE
            assert "the video rendition" in refusal.reason
            assert on.engine.links == []

    async def test_a_refused_rendition_is_told_before_the_answer(self, autojump_clock) -> None:
        async with stage() as on, publishing(on.parts):
            on.renditions.failure = Refused(RefusalCode.UNAVAILABLE, "too many renditions")
            refusal = await refused(on.sessions.play(PLAY, OFFER, Selection()))
            assert refusal.reason == "too many renditions"

    async def test_an_early_viewer_waits_and_then_hears_not_found(self, autojump_clock) -> None:
        async with stage(play_wait=5) as on:
            began = trio.current_time()
            refusal = await refused(on.sessions.play(PLAY, OFFER, Selection()))
            assert refusal.code is RefusalCode.NOT_FOUND
            assert trio.current_time() - began == pytest.approx(5)

    async def test_a_stream_without_media_is_waited_for_a_bounded_time(
        self, autojump_clock
    ) -> None:
        async with stage() as on, publishing(on.parts, packets=False):
            refusal = await refused(on.sessions.play(PLAY, OFFER, Selection()))
            assert refusal.code is RefusalCode.UNAVAILABLE
            assert "no audio or video yet" in refusal.reason

    async def test_sound_alone_is_known_to_be_alone_after_a_moment(self, autojump_clock) -> None:
        async with stage() as on, publishing(on.parts, packets=False) as publication:
            publication.publish([audio(0), audio(600)])
            await on.sessions.play(PLAY, OFFER, Selection())
            assert on.link.edition is publication.stream

    async def test_a_stream_that_ends_while_it_is_waited_for_is_gone(self, autojump_clock) -> None:
        async with stage() as on, trio.open_nursery() as nursery:
            async with publishing(on.parts, packets=False) as publication:
                told: list[Refused] = []

                async def play() -> None:
                    told.append(await refused(on.sessions.play(PLAY, OFFER, Selection())))

                nursery.start_soon(play)
                await soon(lambda: len(publication.stream.clients) == 2)
                publication.finish()
            await soon(lambda: bool(told))
            assert told[0].code is RefusalCode.GONE

    async def test_our_offer_waits_for_one_answer(self, autojump_clock) -> None:
        async with stage() as on, publishing(on.parts):
            session = await on.sessions.play(PLAY, None, Selection())
            assert session.description == "v=0 our offer"
            with pytest.raises(Refused, match="answered first"):
                session.trickle("a=candidate", session.etag)
            session.accept("v=0 their answer")
            assert on.link.answers == ["v=0 their answer"]
            assert (await refused(_call(session.accept, "again"))).code is RefusalCode.CONFLICT

    async def test_layers_are_shown_and_chosen(self, autojump_clock) -> None:
        async with stage() as on, publishing(on.parts) as publication:
            small = Track(Kind.VIDEO, Codec.H264, id=1, config=b"avcC", width=320, height=180)
            publication.publish([video(300, track=small)])
            session = await on.sessions.play(PLAY, OFFER, Selection(audio=0))
            listed = session.layers()
            assert listed["selected"] == "auto"
            assert [layer["encodingId"] for layer in listed["layers"]] == ["0", "1"]
            session.select_layer("1")
            assert on.link.selections == [Selection(audio=0), Selection(video=1, audio=0)]
            assert session.layers()["selected"] == "1"
            for wrong in ("none", "-1", "x" * 1000):
                refusal = await refused(_call(session.select_layer, wrong))
                assert refusal.code is RefusalCode.BAD_REQUEST

    async def test_a_publisher_has_no_layers(self, autojump_clock) -> None:
        async with stage() as on:
            session = await on.sessions.publish(PUBLISH, OFFER)
            assert (await refused(_call(session.layers))).code is RefusalCode.CONFLICT


class TestCaps:
    async def test_a_flood_meets_a_cap_per_address_and_in_all(self) -> None:
        async with stage(caps=PendingCaps(total=3, per_peer=2)) as on:

            def publish(peer: str):
                name = f"{peer}-{len(on.engine.links)}".replace(":", "_")
                return on.sessions.publish(replace(PUBLISH, peer=peer, name=name), OFFER)

            await publish("192.0.2.1")
            await publish("192.0.2.1")
            assert (await refused(publish("192.0.2.1"))).code is RefusalCode.TOO_MANY
            await publish("192.0.2.2")
            assert (await refused(publish("192.0.2.3"))).code is RefusalCode.UNAVAILABLE
            on.engine.links[0].connect()
            await on.engine.links[0].running.wait()
            await publish("192.0.2.3")  # who is connected is no longer pending

    def test_one_ipv6_customer_is_one_address(self) -> None:
        caps = PendingCaps(per_peer=1)
        with caps.admit("2001:db8::1"):
            with pytest.raises(Refused), caps.admit("2001:db8::2"):
                pass
            with caps.admit("2001:db8:0:1::1"):
                assert caps.waiting == 2
        assert caps.waiting == 0

    async def test_places_come_back_however_sessions_end(self, autojump_clock) -> None:
        caps = PendingCaps(total=4)
        async with stage(caps=caps) as on:
            session = await on.sessions.publish(PUBLISH, OFFER)
            await on.sessions.publish(replace(PUBLISH, name="b"), OFFER)
            with pytest.raises(RemoteProtocolError):
                await on.sessions.publish(PUBLISH, "broken")
            await on.sessions.end(session, "done")
            await trio.sleep(11)
            assert caps.waiting == 0


async def test_a_caller_that_gives_up_leaves_nothing(autojump_clock) -> None:
    async with stage(play_wait=60) as on:
        with trio.move_on_after(1):
            await on.sessions.play(PLAY, OFFER, Selection())
        assert len(on.sessions) == 0
        found = {scope.name: scope.children for scope in tree(on.parts.context.root).children}
        assert found == {"streams": [], "fake": []}


async def test_leaving_ends_every_session(autojump_clock) -> None:
    links = []
    async with stage() as on, publishing(on.parts), watching(on.parts):
        await on.sessions.play(PLAY, OFFER, Selection())
        await on.sessions.publish(replace(PUBLISH, name="b"), OFFER)
        on.link.connect()
        await on.link.running.wait()
        links = on.engine.links
    assert [link.scope.gone for link in links] == [True, True]


def _frames(track: Track):
    return [replace_track(packet, track) for packet in gop(0)]


def replace_track(packet, track: Track):
    if packet.track.kind is Kind.AUDIO:
        packet.track = track
    return packet


async def _call(method, *args) -> None:
    method(*args)
