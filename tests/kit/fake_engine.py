"""An engine without sockets: what sessions and signalling are tried on."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import trio

from kit.control import FakeKeys, Parts, control
from livetrio.access.bearer import BearerGate
from livetrio.access.gate import Gate
from livetrio.access.seats import SeatBook
from livetrio.config import AccessConfig, AppConfig, JwtConfig, TurnConfig
from livetrio.control.public import public_app
from livetrio.control.signalling import Signalling
from livetrio.control.srs_rtc import SrsRtc
from livetrio.control.turn_route import TurnRoute
from livetrio.errors import RemoteProtocolError
from livetrio.media.client import Numbers
from livetrio.net.scope import open_scope
from livetrio.webrtc.caps import PendingCaps
from livetrio.webrtc.editions import Editions
from livetrio.webrtc.negotiation_words import NotAcceptable
from livetrio.webrtc.sessions import Sessions, open_sessions
from livetrio.webrtc.turn import Turn

__all__ = ["OFFER", "FakeEngine", "FakeLink", "FakeRenditions", "Stage", "stage"]

OFFER = "v=0 offer"


class FakeLink:
    """A peer: the test connects it, and ends it by its scope."""

    def __init__(self, scope, description: str) -> None:
        self.scope = scope
        self.description = description
        self.connected = trio.Event()
        self.address = ""
        self.fragments: list[tuple[str, bool]] = []
        self.answers: list[str] = []
        self.selections: list[object] = []
        self.publication = None
        self.edition = None
        self.running = trio.Event()
        self.user = ""
        self.wishes: list[object] = []

    def connect(self, address: str = "192.0.2.7:4242") -> None:
        self.address = address
        self.connected.set()

    def numbers(self) -> Numbers:
        return Numbers(11, 22, 0, 3, 0)

    def statistics(self) -> object | None:
        return None

    def trickle(self, fragment: str, *, restart: bool) -> str:
        if "broken" in fragment:
            raise RemoteProtocolError("fragment cannot be read")
        self.fragments.append((fragment, restart))
        return "a=ice-ufrag:new\r\n" if restart else ""

    def accept(self, answer: str) -> None:
        if "broken" in answer:
            raise RemoteProtocolError("answer cannot be read")
        self.answers.append(answer)

    def select(self, selection: object) -> None:
        self.selections.append(selection)

    def wish(self, wishes: object) -> None:
        self.wishes.append(wishes)

    async def run(self, publication=None) -> None:
        self.publication = publication
        self.running.set()
        if self.edition is not None:
            while not self.edition.ring.ended:
                await self.edition.ring.changed(self.edition.ring.head)
            return
        await trio.sleep_forever()


@dataclass
class FakeEngine:
    """Takes any offer but "broken" ones, and agrees to all but those of "exotic" codecs."""

    name: str = "fake"
    links: list[FakeLink] = field(default_factory=list)

    @asynccontextmanager
    async def receive(self, offer, *, name, ip):
        async with self._link(offer, name) as link:
            yield link

    @asynccontextmanager
    async def send(self, offer, stream, edition, selection, *, name, ip):
        async with self._link(offer, name) as link:
            link.edition = edition
            link.selections.append(selection)
            yield link

    @asynccontextmanager
    async def send_room(self, offer, feed, user, *, name, ip):
        async with self._link(offer, name) as link:
            link.user = user
            yield link

    @asynccontextmanager
    async def _link(self, offer, name):
        if offer is not None and "broken" in offer:
            raise RemoteProtocolError("offer cannot be read")
        if offer is not None and "exotic" in offer:
            raise NotAcceptable("no common codec")
        if offer is not None and "bug" in offer:
            raise ZeroDivisionError("a bug")
        async with open_scope("peer", name) as scope:
            link = FakeLink(scope, "v=0 answer" if offer else "v=0 our offer")
            self.links.append(link)
            yield link


@dataclass
class FakeRenditions:
    """Opens an edition that is the stream itself, and remembers what was asked for."""

    opened: list[tuple[object, object]] = field(default_factory=list)
    open_now: int = 0
    failure: Exception | None = None
    made: object = None
    """Another edition to open than the stream itself."""
    claim: object = None
    """Of the last who asked."""

    @asynccontextmanager
    async def open(self, stream, *, audio=None, video=None, claim=None):
        if self.failure is not None:
            raise self.failure
        self.claim = claim
        self.opened.append((audio, video))
        self.open_now += 1
        try:
            yield self.made or stream
        finally:
            self.open_now -= 1


class GateKeys(FakeKeys):
    """What the gate asks beside: the key of a room, if there is one."""

    async def key_of(self, room):
        self._check()
        return self.rooms.get(room)


@dataclass
class Stage:
    """What a test may look into."""

    parts: Parts
    engine: FakeEngine
    renditions: FakeRenditions
    keys: GateKeys
    sessions: Sessions
    app: object

    @property
    def registry(self):
        return self.parts.context.registry

    @property
    def link(self) -> FakeLink:
        """The newest peer."""
        return self.engine.links[-1]


@asynccontextmanager
async def stage(
    *,
    caps: PendingCaps | None = None,
    play_wait: float = 0.0,
    connect_timeout: float = 10.0,
    turn: TurnConfig | None = None,
    jwt: JwtConfig | None = None,
    trusted=(),
    strict: bool = False,
    seats: SeatBook | None = None,
    engine=None,
    renditions=None,
) -> AsyncIterator[Stage]:
    """Signalling over an engine, by default a fake one.

    The app "live" takes any name, "keyed" wants the keys of rooms.
    """
    async with control(apps=("live", "keyed")) as parts:
        engine, keys = engine or FakeEngine(), GateKeys()
        renditions = renditions or FakeRenditions()
        apps = {"live": AppConfig(name="live", auth="none"), "keyed": AppConfig(name="keyed")}
        gate = BearerGate(Gate(apps, AccessConfig(strict_keys=strict), keys, seats=seats), apps)
        async with open_sessions(
            engine, parts.context.registry, gate, Editions(renditions),
            caps=caps, play_wait=play_wait, connect_timeout=connect_timeout,
        ) as sessions:  # fmt: skip
            credentials = Turn(turn or TurnConfig())
            signalling = Signalling(sessions, credentials, trusted=trusted)
            operations = [
                *signalling.operations(),
                *SrsRtc(signalling).operations(),
                *TurnRoute(
                    signalling, credentials, parts.context.registry, jwt or JwtConfig()
                ).operations(),
            ]
            app = public_app(parts.context, operations)
            yield Stage(parts, engine, renditions, keys, sessions, app)
