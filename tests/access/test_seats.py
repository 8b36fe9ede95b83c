"""Names of co-host rooms: who may publish and play them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from livetrio.access.bearer import BearerGate
from livetrio.access.gate import FlvGate, Gate
from livetrio.access.im_token import Claims
from livetrio.access.seats import Place, SeatBook, SeatEntry, room_of
from livetrio.config import AccessConfig, AppConfig
from livetrio.errors import RefusalCode, Refused
from livetrio.packet import StreamKey
from livetrio.store.memory import MemoryKeys

ROOM = StreamKey("live", "talk")
APPS = {
    "live": AppConfig(name="live"),
    "open": AppConfig(name="open", auth="none"),
}
PEER = "192.0.2.1"


async def verify(token: str) -> Claims:
    """Tokens are "x.user.role" here."""
    first, user, role = token.split(".")
    if first != "x":
        raise Refused(RefusalCode.UNAUTHORIZED, "the token is not valid")
    return Claims(sub=user, roles=frozenset({role}))


class House:
    """A gate, and a room in which anna and bob sit."""

    def __init__(self, *, open_seats: bool = False) -> None:
        self.book = SeatBook(verify, open_seats=open_seats)
        self.keys = MemoryKeys()
        self.gate = Gate(APPS, AccessConfig(), self.keys, seats=self.book, clock=lambda: 0.0)
        self.sitting = {1: "anna", 2: "bob"}

    @contextmanager
    def room(self, key: StreamKey = ROOM) -> Iterator[SeatEntry]:
        sits = self.sitting
        with self.book.entered(key, lambda seat: sits.get(seat, ""), "olga".__eq__) as entry:
            yield entry

    async def publish(self, name: str, app: str = "live", **query: str) -> object:
        """The grant's user and whether he takes over, or why not."""
        try:
            grant = await self.gate.may_publish(app, name, query, PEER)
        except Refused as refusal:
            return refusal.code
        assert grant.key == StreamKey(app, name)
        assert grant.proven
        return grant.user, grant.takeover

    async def play(self, name: str, **query: str) -> object:
        try:
            return (await self.gate.may_play("live", name, query, PEER)).name
        except Refused as refusal:
            return refusal.code


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("talk", Place(ROOM)),
        ("talk/1", Place(ROOM, 1)),
        ("talk/64", Place(ROOM, 64)),
        ("talk~2", Place(ROOM, 2, minus=True)),
        ("talk/0", None),
        ("talk/01", None),
        ("talk/1/2", None),
        ("talk~", None),
        ("talk/x", None),
        ("talk/12345", None),
        ("other/1", None),
        ("walk", None),
    ],
)
def test_the_names_of_a_room_are_known_while_it_lives(name: str, place: Place | None) -> None:
    house = House()
    assert house.book.find("live", name) is None
    with house.room():
        assert house.book.find("live", name) == place
        assert house.book.find("open", name) is None
    assert house.book.find("live", name) is None


def test_what_could_be_a_room_s_stream_is_told_by_its_name() -> None:
    assert room_of(StreamKey("live", "talk~3")) == ROOM
    assert room_of(StreamKey("live", "talk")) == ROOM
    assert room_of(StreamKey("live", "a/b/c")) is None


def test_two_rooms_have_not_one_name() -> None:
    house = House()
    with house.room(), pytest.raises(ValueError, match="in the book"), house.room():
        pass


@pytest.mark.parametrize(
    ("name", "query", "answer"),
    [
        ("talk/1", {"token": "x.anna.y"}, ("anna", True)),
        ("talk/1", {"token": "x.bob.y"}, RefusalCode.FORBIDDEN),
        ("talk/3", {"token": "x.bob.y"}, RefusalCode.FORBIDDEN),
        ("talk/3", {"token": "x..y"}, RefusalCode.FORBIDDEN),
        ("talk/1", {"token": "z.anna.y"}, RefusalCode.UNAUTHORIZED),
        ("talk/1", {"token": "nonsense"}, RefusalCode.UNAUTHORIZED),
        ("talk/1", {"key": "é"}, RefusalCode.UNAUTHORIZED),
        ("talk/1", {}, RefusalCode.UNAUTHORIZED),
        ("talk", {"token": "x.anna.y"}, RefusalCode.FORBIDDEN),
        ("talk~1", {"token": "x.anna.y"}, RefusalCode.FORBIDDEN),
    ],
)
@pytest.mark.parametrize("app", ["live", "open"])
async def test_a_seat_is_published_by_who_sits_there_whatever_the_application_s_rules(
    name: str, query: dict[str, str], answer: object, app: str
) -> None:
    house = House()
    with house.room(StreamKey(app, "talk")):
        assert await house.publish(name, app, **query) == answer


async def test_the_key_of_a_seat_is_as_good_as_its_user_s_token_until_it_is_forgotten() -> None:
    house = House()
    with house.room() as entry:
        key = entry.key(2)
        assert key == entry.key(2) != entry.key(1)
        assert await house.publish("talk/2", key=key) == ("bob", True)
        assert await house.publish("talk/2", token=key) == ("bob", True)
        assert await house.publish("talk/1", key=key) == RefusalCode.UNAUTHORIZED
        entry.forget(2)
        assert await house.publish("talk/2", key=key) == RefusalCode.UNAUTHORIZED
        assert entry.key(2) != key


async def test_what_a_seat_hears_is_for_who_sits_there() -> None:
    house = House()
    with house.room() as entry:
        assert await house.play("talk~2", token="x.bob.y") == "talk~2"
        assert await house.play("talk~2", key=entry.key(2)) == "talk~2"
        assert await house.play("talk~2", token="x.anna.y") == RefusalCode.FORBIDDEN
        assert await house.play("talk~2", token="x.olga.admin") == RefusalCode.FORBIDDEN
        assert await house.play("talk~2") == RefusalCode.UNAUTHORIZED
    assert await house.play("talk~2") == "talk~2"


async def test_what_a_seat_sends_is_for_its_user_and_for_who_keeps_order() -> None:
    house = House()
    with house.room() as entry:
        assert await house.play("talk") == "talk"
        assert await house.play("talk/2") == RefusalCode.UNAUTHORIZED
        assert await house.play("talk/2", key=entry.key(1)) == RefusalCode.UNAUTHORIZED
        for stranger in ("x.anna.y", "x.carl.host", "x..y"):
            assert await house.play("talk/2", token=stranger) == RefusalCode.FORBIDDEN
        assert await house.play("talk/2", key=entry.key(2)) == "talk/2"
        for friend in ("x.bob.y", "x.olga.y", "x.carl.moderator", "x..admin"):
            assert await house.play("talk/2", token=friend) == "talk/2"
            if "bob" not in friend:
                assert await house.publish("talk/2", token=friend) == RefusalCode.FORBIDDEN
    assert await house.play("talk/2") == "talk/2"


async def test_open_seats_are_played_by_everybody_and_published_and_heard_by_nobody_else() -> None:
    house = House(open_seats=True)
    with house.room():
        assert await house.play("talk/2") == "talk/2"
        assert await house.play("talk~2") == RefusalCode.UNAUTHORIZED
        assert await house.publish("talk/2", token="x.anna.y") == RefusalCode.FORBIDDEN


async def test_keys_of_seats_cannot_be_guessed_for_long() -> None:
    house = House()
    with house.room():
        answers = [await house.publish("talk/1", key=f"guess {n}") for n in range(100)]
        assert answers.count(RefusalCode.UNAUTHORIZED) == 10
        assert answers[-1] == RefusalCode.TOO_MANY
        assert await house.publish("talk/1", token="z.anna.y") == RefusalCode.TOO_MANY


async def test_others_of_his_address_lock_nobody_out_of_his_seat() -> None:
    house = House()
    with house.room() as entry:
        key = entry.key(1)
        for _ in range(30):  # nothing shown, and nothing wrong: no guesses
            assert await house.play("talk~1") == RefusalCode.UNAUTHORIZED
            assert await house.publish("talk/1", token="x.bob.y") == RefusalCode.FORBIDDEN
        assert await house.publish("talk/1", token="x.anna.y") == ("anna", True)
        for n in range(30):
            await house.publish("talk/1", key=f"guess {n}")
        assert await house.publish("talk/1", key=key) == ("anna", True)


async def test_a_yes_holds_while_its_user_sits_there() -> None:
    house = House()
    with house.room() as entry:
        for query in ({"token": "x.bob.y"}, {"key": entry.key(2)}):
            house.sitting[2] = "bob"
            grant = await house.gate.may_publish("live", "talk/2", query, PEER)
            grant.confirm()
            house.sitting[2] = "dave"
            with pytest.raises(Refused) as refusal:
                grant.confirm()
            assert refusal.value.code is RefusalCode.FORBIDDEN
        house.sitting[2] = "bob"
        grant = await house.gate.may_publish("live", "talk/2", {"token": "x.bob.y"}, PEER)
    with pytest.raises(Refused):
        grant.confirm()


async def test_a_yes_to_a_stream_holds_until_a_room_has_its_name() -> None:
    house = House()
    key = await house.keys.get("talk")
    for app, name in (("live", key), ("open", "talk")):
        grant = await house.gate.may_publish(app, name, {}, PEER)
        grant.confirm()
        with house.room(StreamKey(app, "talk")), pytest.raises(Refused):
            grant.confirm()
        grant.confirm()


async def test_a_livego_key_does_not_lead_into_a_room_that_has_its_name() -> None:
    house = House()
    key = await house.keys.get("talk")
    for app in ("live", "open"):
        with house.room(StreamKey(app, "talk")), pytest.raises(Refused) as refusal:
            await house.gate.may_publish(app, key, {}, PEER)
        assert refusal.value.code is RefusalCode.FORBIDDEN
    assert (await house.gate.may_publish("live", key, {}, PEER)).key == ROOM


async def test_flv_and_whip_ask_the_same_book() -> None:
    house = House()
    with house.room() as entry:
        bearer = BearerGate(house.gate, APPS)
        for token in ("x.anna.y", entry.key(1)):
            grant = await bearer.may_publish("live", "talk/1", token, {}, PEER)
            assert (grant.key.name, grant.user) == ("talk/1", "anna")
        with pytest.raises(Refused) as refusal:
            await bearer.may_publish("live", "talk/1", "", {}, PEER)
        assert refusal.value.code is RefusalCode.UNAUTHORIZED
        flv = await FlvGate(house.gate, APPS).may_publish(
            "live", "talk/2", {"token": "x.bob.y"}, PEER
        )
        assert flv.user == "bob"


async def test_a_room_that_ends_while_a_token_is_checked_lets_nobody_in() -> None:
    room = ExitStack()

    async def slow(token: str) -> Claims:
        room.close()
        return await verify(token)

    book = SeatBook(slow)
    room.enter_context(book.entered(ROOM, {1: "anna"}.__getitem__))
    with pytest.raises(Refused) as refusal:
        await book.holder(Place(ROOM, 1), {"token": "x.anna.y"})
    assert refusal.value.code is RefusalCode.FORBIDDEN
    assert book.find("live", "talk") is None
