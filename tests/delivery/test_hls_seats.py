"""HLS of what one seat of a room hears: all of it for whoever shows the seat's key, and for
nobody else any of it."""

from __future__ import annotations

from contextlib import asynccontextmanager

import trio
import trio.testing
from kit.hls import Playlist, hls_port
from kit.media import sample_packets

from livetrio.access.gate import Gate
from livetrio.access.seats import SeatBook
from livetrio.config import AccessConfig, AppConfig
from livetrio.delivery.hls_options import HlsOptions
from livetrio.errors import RefusalCode, Refused
from livetrio.packet import StreamKey

SECOND = 1_000_000
PACKETS = list(sample_packets(6.0))
ROOM = StreamKey("live", "talk")
MINUS = StreamKey("live", "talk~2")


class NoKeys:
    async def key_of(self, room: str) -> str | None: ...

    async def room_of(self, key: str) -> str | None: ...


async def nobody(proof: str):
    raise Refused(RefusalCode.UNAUTHORIZED, "no such token")


@asynccontextmanager
async def room():
    """A port with the composed stream of a room without seat 2, and the keys of seats 2 and 3."""
    seats = SeatBook(nobody)
    gate = Gate({"live": AppConfig(name="live")}, AccessConfig(), NoKeys(), seats=seats)
    async with hls_port(HlsOptions(segment_duration=SECOND)) as port:
        port.gate.may_play = gate.may_play
        with seats.entered(ROOM, lambda seat: f"user{seat}") as entry:
            early = [p for p in PACKETS if p.config or p.dts < SECOND // 2]
            async with port.published(early, MINUS) as publication:
                later = [p for p in PACKETS if not p.config and p.dts >= SECOND // 2]
                key = entry.key(2)
                async with trio.open_nursery() as nursery:  # the variant is made when asked for
                    nursery.start_soon(port.playlist, f"?variant=ll&key={key}", MINUS.name)
                    await trio.testing.wait_all_tasks_blocked(0.01)
                    publication.publish(later)
                yield port, key, entry


def files(playlist: Playlist) -> list[str]:
    parts = [part["URI"].strip('"') for part in playlist.parts]
    return [uri for uri, _ in playlist.segments] + playlist.maps + parts


async def test_who_shows_the_key_of_the_seat_gets_every_file_of_its_playlist():
    async with room() as (port, key, _):
        for query in (f"?variant=ll&key={key}", f"?key={key}", f"?token={key}&variant=ll"):
            playlist = await port.playlist(query, MINUS.name)
            assert files(playlist)
            for uri in files(playlist):
                assert key in uri
                assert (await port.get(f"/live/{uri}")).status == 200


async def test_on_one_connection_too_and_its_next_requests_need_the_key_as_well():
    async with room() as (port, key, _):
        playlist = await port.playlist(f"?variant=ll&key={key}", MINUS.name)
        async with port.client() as client:
            for uri in files(playlist):
                await client.ask(f"/live/{uri}")
                assert (await client.response()).status == 200
            for uri in files(playlist):
                await client.ask(f"/live/{uri.partition('?')[0]}")
                assert (await client.response()).status in (401, 429)  # so often is guessing


async def test_nobody_else_gets_the_playlist_or_any_of_its_files():
    async with room() as (port, key, entry):
        playlist = await port.playlist(f"?variant=ll&key={key}", MINUS.name)
        for proof in ("", f"?key={entry.key(3)}", "?key=guess", "?session=x", "?token=a.b.c"):
            assert (await port.get(f"/live/{MINUS.name}.m3u8{proof}")).status in (401, 429)
            for uri in files(playlist)[:2]:
                answer = await port.get(f"/live/{uri.partition('?')[0]}{proof}")
                assert answer.status in (401, 429)
        # nor under the name of a stream that is open to all
        bare = files(playlist)[0].partition("?")[0].rpartition("/")[2]
        assert (await port.get(f"/live/movie/{bare}")).status == 403


async def test_a_key_that_is_worth_nothing_any_more_opens_no_file():
    async with room() as (port, key, entry):
        playlist = await port.playlist(f"?variant=ll&key={key}", MINUS.name)
        entry.forget(2)
        for uri in files(playlist)[:3]:
            assert (await port.get(f"/live/{uri}")).status == 401
