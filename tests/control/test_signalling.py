"""WHIP and WHEP over HTTP: what each request is answered with (RFC 9725)."""

from __future__ import annotations

import ipaddress

import pytest
from kit.control import body_of, publishing, soon
from kit.fake_engine import OFFER, stage

from livetrio.config import TurnConfig
from livetrio.webrtc.caps import PendingCaps
from livetrio.webrtc.selection import Selection

SDP = {"Content-Type": "application/sdp"}
FRAGMENT = {"Content-Type": "application/trickle-ice-sdpfrag"}
WHIP, WHEP = "/live/movie/whip", "/live/movie/whep"
TURN = TurnConfig(
    urls=("turn:turn.example.com:3478?transport=udp", "stun:turn.example.com:3478"), secret="s"
)


async def post(on, path=WHIP, body=OFFER, **headers):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await on.app.test_client().post(path, data=body, headers=SDP | named)


async def problem(response, status: int, detail: str = "") -> dict:
    assert response.status_code == status, await response.get_data()
    assert response.content_type == "application/problem+json"
    assert response.headers["Access-Control-Allow-Origin"] == "*"
    about = await body_of(response)
    assert about["status"] == status
    assert detail in about["detail"]
    return about


class TestOffer:
    @pytest.mark.parametrize(
        ("path", "below"),
        [
            (WHIP, "/live/movie/whip/"),
            ("/live/a/b%20c/%E7%9B%B4/whip", "/live/a/b%20c/%E7%9B%B4/whip/"),
            ("/rtc/v1/whip/?app=live&stream=movie", "/rtc/v1/whip/"),
            ("/rtc/v1/whip?app=live&stream=movie", "/rtc/v1/whip/"),
        ],
    )
    async def test_is_answered_with_a_resource_below_the_path_that_was_asked(
        self, path, below
    ) -> None:
        async with stage() as on:
            answer = await post(on, path)
            assert answer.status_code == 201
            assert answer.content_type == "application/sdp"
            assert await answer.get_data() == b"v=0 answer"
            location = answer.headers["Location"]
            assert location.startswith(below)
            assert len(location.removeprefix(below)) == 22  # 128 bits
            assert answer.headers["ETag"].startswith('"')
            assert answer.headers["Accept-Patch"] == "application/trickle-ice-sdpfrag"
            exposed = answer.headers["Access-Control-Expose-Headers"]
            assert {"Location", "ETag", "Link"} <= set(exposed.split(", "))
            gone = await on.app.test_client().delete(location)
            assert gone.status_code == 200

    async def test_tells_ice_servers_with_credentials(self) -> None:
        async with stage(turn=TURN) as on:
            turn, stun = (await post(on)).headers.getlist("Link")
        assert turn.startswith('<turn:turn.example.com:3478?transport=udp>; rel="ice-server"; user')
        assert 'credential-type="password"' in turn
        assert stun == '<stun:turn.example.com:3478>; rel="ice-server"'

    async def test_names_nobodys_servers_by_default(self) -> None:
        async with stage() as on:
            assert (await post(on)).headers.getlist("Link") == []

    @pytest.mark.parametrize("media", ["application/json", "text/plain", ""])
    async def test_of_another_type_is_415(self, media) -> None:
        async with stage() as on:
            answer = await post(on, Content_Type=media)
            await problem(answer, 415)
            assert answer.headers["Accept-Post"] == "application/sdp"

    async def test_that_cannot_be_read_is_400_and_without_common_codec_406(self) -> None:
        async with stage() as on:
            await problem(await post(on, body="broken"), 400, "cannot be read")
            await problem(await post(on, body=b"\xff\xfe"), 400, "UTF-8")
            await problem(await post(on, body="exotic"), 406, "no common codec")

    async def test_longer_than_64_kib_is_413(self) -> None:
        async with stage() as on:
            await problem(await post(on, body="v" * 65_537), 413)

    async def test_for_another_apps_path_is_403_and_a_bad_name_400(self) -> None:
        async with stage() as on:
            await problem(await post(on, "/nowhere/movie/whip"), 403, "not configured")
            await problem(await post(on, "/live/%00/whip"), 400, "invisible")
            await problem(await post(on, "/rtc/v1/whip/?app=live"), 400, "missing")

    async def test_of_a_second_publisher_is_409(self) -> None:
        async with stage() as on, publishing(on.parts):
            await problem(await post(on), 409, "published already")

    async def test_beyond_the_caps_is_429_or_503_and_says_when_to_return(self) -> None:
        async with stage(caps=PendingCaps(total=5, per_peer=0)) as on:
            answer = await post(on)
            await problem(answer, 429)
            assert answer.headers["Retry-After"] == "5"
        async with stage(caps=PendingCaps(total=0)) as on:
            answer = await post(on)
            await problem(answer, 503)
            assert answer.headers["Retry-After"] == "5"

    async def test_behind_a_trusted_proxy_counts_for_its_sender(self) -> None:
        proxy = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("10.0.0.1/32"))
        async with stage(caps=PendingCaps(per_peer=1), trusted=proxy) as on:
            client = on.app.test_client()
            for number in (1, 2):
                answer = await client.post(
                    f"/live/m{number}/whip",
                    data=OFFER,
                    headers=SDP | {"X-Forwarded-For": f"198.51.100.{number}, 10.0.0.1"},
                    scope_base={"client": ("127.0.0.1", 1)},
                )
                assert answer.status_code == 201

    @pytest.mark.parametrize("method", ["GET", "HEAD", "PUT"])
    async def test_is_a_post_and_nothing_else(self, method) -> None:
        async with stage() as on:
            answer = await on.app.test_client().open(WHIP, method=method)
            assert answer.status_code == 405
            assert set(answer.headers["Allow"].split(", ")) == {"POST", "OPTIONS"}


class TestTokens:
    async def test_without_a_key_a_keyed_app_asks_for_one(self) -> None:
        async with stage() as on:
            answer = await post(on, "/keyed/room/whip")
            await problem(answer, 401, "unknown stream key")
            assert answer.headers["WWW-Authenticate"] == 'Bearer realm="livetrio"'

    async def test_a_wrong_key_is_an_invalid_token(self) -> None:
        async with stage() as on:
            for token in ("wrong", "x" * 5000, "e30.e30."):
                answer = await post(on, "/keyed/room/whip", Authorization=f"Bearer {token}")
                await problem(answer, 401)
                assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]

    async def test_the_rooms_key_as_bearer_token_opens_the_room(self) -> None:
        async with stage() as on:
            on.keys.rooms["room"] = key = "k" * 48
            answer = await post(on, "/keyed/room/whip", Authorization=f"bearer {key}")
            assert answer.status_code == 201
            on.link.connect()
            await soon(lambda: any(k.name == "room" for k in on.registry.streams))

    @pytest.mark.parametrize("path", ["/keyed/{}/whip", "/keyed/room/whip?token={}"])
    async def test_the_key_may_be_the_name_or_a_parameter(self, path) -> None:
        async with stage() as on:
            on.keys.rooms["room"] = key = "k" * 48
            assert (await post(on, path.format(key))).status_code == 201
            on.link.connect()
            await soon(lambda: any(k.name == "room" for k in on.registry.streams))

    async def test_another_rooms_key_is_403(self) -> None:
        async with stage() as on:
            on.keys.rooms |= {"room": "k" * 48, "other": "o" * 48}
            answer = await post(on, "/keyed/room/whip", Authorization=f"Bearer {'o' * 48}")
            await problem(answer, 403, "another room")

    async def test_where_names_are_free_a_leftover_token_does_no_harm(self) -> None:
        async with stage() as on:
            for number, token in enumerate(("leftover", "y" * 300)):
                answer = await post(on, f"/live/m{number}/whip", Authorization=f"Bearer {token}")
                assert answer.status_code == 201

    async def test_guesses_of_one_address_are_limited(self) -> None:
        async with stage() as on:
            for number in range(10):
                await problem(await post(on, f"/keyed/guess{number}/whip"), 401)
            await problem(await post(on, "/keyed/guess/whip"), 429, "wrong stream keys")

    async def test_the_resource_asks_for_the_token_it_was_made_with(self) -> None:
        async with stage() as on:
            on.keys.rooms["room"] = key = "k" * 48
            right = {"Authorization": f"Bearer {key}"}
            location = (await post(on, "/keyed/room/whip", **right)).headers["Location"]
            client = on.app.test_client()
            await problem(await client.delete(location), 401, "another token")
            wrong = {"Authorization": "Bearer wrong"}
            await problem(await client.patch(location, headers=FRAGMENT | wrong), 401)
            assert len(on.sessions) == 1
            assert (await client.delete(location, headers=right)).status_code == 200


class TestPreflight:
    @pytest.mark.parametrize("path", [WHIP, WHEP, "/rtc/v1/whip/", "/rtc/v1/whep"])
    async def test_lets_pages_of_other_sites_post_offers(self, path) -> None:
        async with stage() as on:
            answer = await on.app.test_client().options(path)
            assert answer.status_code == 204
            headers = answer.headers
            assert headers["Access-Control-Allow-Origin"] == "*"
            assert "POST" in headers["Access-Control-Allow-Methods"]
            assert "Authorization" in headers["Access-Control-Allow-Headers"]
            assert headers["Accept-Post"] == "application/sdp"

    async def test_of_a_resource_is_the_same_for_every_guess(self) -> None:
        async with stage() as on:
            location = (await post(on)).headers["Location"]
            client = on.app.test_client()
            real = await client.options(location)
            guess = await client.options("/live/movie/whip/guess")
            assert real.status_code == guess.status_code == 204
            assert dict(real.headers) == dict(guess.headers)
            assert "PATCH" in real.headers["Access-Control-Allow-Methods"]

    async def test_gives_ice_servers_to_who_may_publish_and_nobody_else(self) -> None:
        async with stage(turn=TURN) as on:
            on.keys.rooms["room"] = key = "k" * 48
            client = on.app.test_client()
            path = "/keyed/room/whip"
            assert (await client.options(path)).headers.getlist("Link") == []
            shown = await client.options(path, headers={"Authorization": f"Bearer {key}"})
            assert len(shown.headers.getlist("Link")) == 2
            await problem(await client.options(path, headers={"Authorization": "Bearer no"}), 401)


class TestResource:
    async def test_guesses_are_404_and_harm_nobody(self) -> None:
        async with stage() as on:
            location = (await post(on)).headers["Location"]
            client = on.app.test_client()
            for guess in (f"{location}x", location[:-1], "/live/movie/whip/x", "/rtc/v1/whep/x"):
                await problem(await client.delete(guess), 404, "no such session")
                patch = await client.patch(guess, headers=FRAGMENT | {"If-Match": "*"})
                await problem(patch, 404)
            assert len(on.sessions) == 1

    async def test_is_deleted_once(self) -> None:
        async with stage() as on:
            location = (await post(on)).headers["Location"]
            client = on.app.test_client()
            assert (await client.delete(location)).status_code == 200
            assert on.link.scope.gone
            await problem(await client.delete(location), 404)
            await problem(await client.patch(location, headers=FRAGMENT), 404)

    async def test_takes_candidates_of_the_present_ice_generation_only(self) -> None:
        async with stage() as on:
            created = await post(on)
            location, etag = created.headers["Location"], created.headers["ETag"]
            client = on.app.test_client()

            async def patch(match: str | None, body: str = "a=candidate:1"):
                headers = FRAGMENT | ({} if match is None else {"If-Match": match})
                return await client.patch(location, data=body, headers=headers)

            assert (await patch(etag)).status_code == 204
            assert (await patch(f'"other", {etag}')).status_code == 204
            assert on.link.fragments == [("a=candidate:1", False)] * 2
            await problem(await patch(None), 428)
            await problem(await patch('"other"'), 412)
            await problem(await patch(etag.strip('"')), 412)
            await problem(await patch(etag, "broken"), 400)
            restarted = await patch("*")
            assert restarted.status_code == 200
            assert restarted.content_type == "application/trickle-ice-sdpfrag"
            assert await restarted.get_data() == b"a=ice-ufrag:new\r\n"
            assert restarted.headers["ETag"] != etag
            await problem(await patch(etag), 412)
            assert (await patch(restarted.headers["ETag"])).status_code == 204

    async def test_takes_no_other_type_and_no_answer_to_an_answer(self) -> None:
        async with stage() as on:
            location = (await post(on)).headers["Location"]
            client = on.app.test_client()
            answer = await client.patch(location, data="{}")
            await problem(answer, 415)
            assert "application/trickle-ice-sdpfrag" in answer.headers["Accept-Patch"]
            await problem(await client.patch(location, data="v=0", headers=SDP), 409)

    @pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT"])
    async def test_has_no_other_methods(self, method) -> None:
        async with stage() as on:
            location = (await post(on)).headers["Location"]
            answer = await on.app.test_client().open(location, method=method)
            assert answer.status_code == 405
            assert "DELETE" in answer.headers["Allow"]


class TestWatching:
    async def test_a_stream_that_is_not_there_is_404(self) -> None:
        async with stage() as on:
            await problem(await post(on, WHEP), 404, "not being published")

    @pytest.mark.parametrize("path", [WHEP, "/rtc/v1/whep/?app=live&stream=movie"])
    async def test_an_offer_is_answered_and_links_to_the_layers(self, path, autojump_clock) -> None:
        async with stage() as on, publishing(on.parts):
            answer = await post(on, path)
            assert answer.status_code == 201
            (link,) = answer.headers.getlist("Link")
            location = answer.headers["Location"]
            assert link == f'<{location}/layer>; rel="urn:ietf:params:whep:ext:core:layer"'

    async def test_the_query_chooses_tracks_and_codec(self, autojump_clock) -> None:
        async with stage() as on, publishing(on.parts):
            await post(on, f"{WHEP}?layer=1&audio=none")
            assert on.link.selections == [Selection(video=1, with_audio=False)]
            await post(on, f"{WHEP}?video=h264")
            assert on.link.selections == [Selection()]
            await problem(await post(on, f"{WHEP}?video=x264"), 400)
            await problem(await post(on, f"{WHEP}?video=none&audio=none"), 400)

    async def test_without_an_offer_we_offer_and_the_answer_is_patched_in(
        self, autojump_clock
    ) -> None:
        async with stage() as on, publishing(on.parts):
            client = on.app.test_client()
            created = await client.post(WHEP)
            assert created.status_code == 201
            assert await created.get_data() == b"v=0 our offer"
            assert "application/sdp" in created.headers["Accept-Patch"]
            location = created.headers["Location"]
            await problem(await client.patch(location, data="broken", headers=SDP), 400)
            done = await client.patch(location, data="v=0 theirs", headers=SDP)
            assert done.status_code == 204
            assert on.link.answers == ["v=0 theirs"]
            await problem(await client.patch(location, data="v=0", headers=SDP), 409)

    async def test_layers_are_listed_and_chosen(self, autojump_clock) -> None:
        async with stage() as on, publishing(on.parts):
            layer = f"{(await post(on, WHEP)).headers['Location']}/layer"
            client = on.app.test_client()
            listed = await body_of(await client.get(layer))
            assert [found["encodingId"] for found in listed["layers"]] == ["0"]
            assert (await client.post(layer, data='{"encodingId": "0"}')).status_code == 200
            assert on.link.selections[-1] == Selection(video=0)
            assert (await client.post(layer, data='{"mediaId": "0"}')).status_code == 200
            assert on.link.selections[-1] == Selection()
            for wrong in ("", "[]", '{"encodingId": 7}', '{"encodingId": "none"}', "[" * 50_000):
                await problem(await client.post(layer, data=wrong), 400)
            await problem(await client.get("/live/movie/whep/guess/layer"), 404)


class TestSrsJson:
    async def ask(self, on, path="/rtc/v1/publish/", **fields):
        body = {"api": "x", "clientip": None, "sdp": OFFER, "streamurl": "webrtc://h/live/movie"}
        answer = await on.app.test_client().post(path, json=body | fields)
        assert answer.status_code == 200
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        return await body_of(answer)

    @pytest.mark.parametrize("path", ["/rtc/v1/publish/", "/rtc/v1/publish"])
    async def test_publishing_is_code_0_and_the_answer(self, path) -> None:
        async with stage() as on:
            told = await self.ask(on, path, streamurl="webrtc://h:1985/live/movie?vhost=v")
            assert told["code"] == 0
            assert told["sdp"] == "v=0 answer"
            assert told["server"].startswith("vid-")
            assert isinstance(told["pid"], str)
            assert on.sessions.find(told["sessionid"]).client.protocol == "whip"

    async def test_playing_too(self, autojump_clock) -> None:
        async with stage() as on, publishing(on.parts):
            told = await self.ask(on, "/rtc/v1/play/")
            assert told["code"] == 0
            assert on.sessions.find(told["sessionid"]).client.protocol == "whep"

    async def test_the_key_is_the_name_or_a_parameter_of_the_url(self) -> None:
        async with stage() as on:
            on.keys.rooms["room"] = key = "k" * 48
            for url in (f"webrtc://h/keyed/{key}", f"webrtc://h/keyed/room?token={key}"):
                assert (await self.ask(on, streamurl=url))["code"] == 0
            assert (await self.ask(on, streamurl="webrtc://h/keyed/nobody"))["code"] == 401

    async def test_errors_are_codes_with_http_200_as_in_srs(self) -> None:
        async with stage() as on:
            assert (await self.ask(on, sdp="broken"))["code"] == 400
            assert (await self.ask(on, sdp=7))["code"] == 400
            assert (await self.ask(on, streamurl="webrtc://h/live"))["code"] == 400
            assert (await self.ask(on, streamurl="webrtc://[/live/a"))["code"] == 400
            assert (await self.ask(on, streamurl="webrtc://h/live/%ff"))["code"] == 400
            assert (await self.ask(on, "/rtc/v1/play/"))["code"] == 404
            async with publishing(on.parts):
                told = await self.ask(on)
                assert told["code"] == 1028
                assert "published already" in told["data"]
            for body in (b"", b"[]", b"\xff", b"[" * 60_000):
                answer = await on.app.test_client().post("/rtc/v1/play/", data=body)
                assert (answer.status_code, (await body_of(answer))["code"]) == (200, 400)
            answer = await on.app.test_client().post("/rtc/v1/play/", data=b"x" * 70_000)
            assert (await body_of(answer))["code"] == 413

    async def test_pages_of_other_sites_may_ask(self) -> None:
        async with stage() as on:
            answer = await on.app.test_client().options("/rtc/v1/play/")
            assert answer.status_code == 204
            assert "Content-Type" in answer.headers["Access-Control-Allow-Headers"]
