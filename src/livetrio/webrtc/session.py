"""Session: one WHIP or WHEP resource: its id, its ICE generation, and what may be asked of it."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import trio

from livetrio.errors import LivetrioError, RefusalCode, Refused
from livetrio.media.client import Client, Numbers
from livetrio.media.stream import Publication, Stream
from livetrio.net.scope import Scope
from livetrio.packet import Kind, StreamKey
from livetrio.webrtc.engine import Attending, Link, Sending
from livetrio.webrtc.selection import Selection
from livetrio.webrtc.slots.thrift import SlotWish

__all__ = ["Asked", "PreconditionFailed", "PreconditionRequired", "Session", "Verb"]

Verb = Literal["publish", "play"]
_NOTHING = Numbers(0, 0, 0, 0, 0)


class PreconditionRequired(LivetrioError):
    """A fragment without If-Match (HTTP 428)."""


class PreconditionFailed(LivetrioError):
    """A fragment for another ICE generation than the present one (HTTP 412)."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Who asks for a session, and with what."""

    app: str
    name: str
    token: str = field(default="", repr=False)
    """Bearer token, "" if none was given; what follows has to show the same."""
    query: dict[str, str] = field(default_factory=dict, repr=False)
    peer: str = ""
    """IP address."""
    agent: str = ""
    url: str = ""
    """The path asked for, without its query."""
    protocol: str = "webrtc"
    """How /v1/clients names it: "whip" or "whep", whichever door it came through."""


class Session:
    """Made by `Sessions`; it is gone from their table when its scope is.

    Also the endpoint of its client: what /v1/clients shows are the numbers of its link.
    """

    def __init__(
        self,
        verb: Verb,
        asked: Asked,
        key: StreamKey,
        scope: Scope,
        selection: Selection | None = None,
    ) -> None:
        self.id = secrets.token_urlsafe(16)  # 128 bits: whoever knows it may end the session
        self.verb: Verb = verb
        self.asked = asked
        self.scope = scope
        self.etag = _new_etag()
        """Of the present ICE generation, with its quotes."""
        self.link: Link | None = None
        self.sending: Sending | None = None
        """The same link, of a viewer."""
        self.attending: Attending | None = None
        """The same link, of somebody who receives a room."""
        self.publication: Publication | None = None
        self.proven = False
        """Did its publisher show the key of its room, or did a room's viewer show who he is?"""
        self.answered = trio.Event()
        """The peer has answered our offer; set from the start where the offer was the peer's."""
        role: Literal["publisher", "player"] = "publisher" if verb == "publish" else "player"
        self.client = Client(
            role,
            asked.protocol,
            scope,
            endpoint=self,
            url=asked.url,
            agent=asked.agent,
            statistics=self.statistics,
        )
        self.key = key
        self.selection = selection or Selection()
        self.stream: Stream | None = None
        """What a viewer watches."""

    @property
    def description(self) -> str:
        """The SDP to send the peer."""
        return self.link.description if self.link is not None else ""

    @property
    def address(self) -> str:
        """As `Endpoint.address`: where media go; until then, who asked."""
        return (self.link.address if self.link is not None else "") or self.asked.peer

    def numbers(self) -> Numbers:
        """As `Endpoint.numbers`."""
        return self.link.numbers() if self.link is not None else _NOTHING

    def statistics(self) -> object | None:
        """As `Client.statistics`."""
        return self.link.statistics() if self.link is not None else None

    def check_token(self, token: str) -> None:
        """What was created with a token is changed with the same one (RFC 9725 4.2, 4.5).

        Raises:
            Refused: UNAUTHORIZED.
        """
        if self.asked.token and not hmac.compare_digest(
            token.encode("utf-8", "replace"), self.asked.token.encode("utf-8", "replace")
        ):
            raise Refused(RefusalCode.UNAUTHORIZED, "the session was made with another token")

    def trickle(self, fragment: str, if_match: str | None) -> str:
        """Candidates, or an ICE restart (RFC 9725 4.3).

        Args:
            fragment: of SDP (RFC 8840).
            if_match: the header; "*" asks for a restart.

        Returns:
            The fragment that answers a restart (`etag` is a new one then); else "".

        Raises:
            PreconditionRequired: there was no If-Match.
            PreconditionFailed: it names another ICE generation.
            RemoteProtocolError: the fragment cannot be used.
            Refused: CONFLICT, our offer has not been answered yet.
        """
        if if_match is None:
            raise PreconditionRequired("PATCH needs If-Match: the ETag, or * for an ICE restart")
        restart = if_match.strip() == "*"
        if not restart and self.etag not in {word.strip() for word in if_match.split(",")}:
            raise PreconditionFailed("If-Match is not the ETag of the present ICE session")
        if self.link is None or not self.answered.is_set():
            raise Refused(RefusalCode.CONFLICT, "the offer has to be answered first")
        answer = self.link.trickle(fragment, restart=restart)
        if restart:
            self.etag = _new_etag()
        return answer

    def accept(self, answer: str) -> None:
        """The viewer's answer to our offer.

        Raises:
            RemoteProtocolError: it cannot be read.
            NotAcceptable: nothing in it that we could send.
            Refused: CONFLICT, we have not offered, or it was answered already.
        """
        if self.answered.is_set() or self.sending is None:
            raise Refused(RefusalCode.CONFLICT, "no offer waits for an answer")
        self.sending.accept(answer)
        self.answered.set()

    def layers(self) -> dict[str, object]:
        """The layers a viewer may choose among, and the one it chose.

        Raises:
            Refused: CONFLICT, it watches nothing.
        """
        stream, wished = self._watched(), self.selection.video
        found = [
            {
                "encodingId": str(track.id),
                "codec": track.codec.value,
                "width": track.width,
                "height": track.height,
            }
            for track in stream.tracks
            if track.kind is Kind.VIDEO
        ]
        return {"selected": "auto" if wished is None else str(wished), "layers": found}

    def select_layer(self, encoding: str) -> None:
        """The viewer wants this layer: a track's number, or "auto".

        Raises:
            Refused: BAD_REQUEST; CONFLICT, it watches nothing.
        """
        self._watched()
        wish = Selection.parse({"layer": encoding})
        if not wish.with_video:
            raise Refused(RefusalCode.BAD_REQUEST, "a layer has to be a number or auto")
        self.selection = replace(self.selection, video=wish.video)
        if self.sending is not None:
            self.sending.select(self.selection)

    def _watched(self) -> Stream:
        if self.stream is None:
            raise Refused(RefusalCode.CONFLICT, "this session has no layers to choose")
        return self.stream

    def wish(self, wishes: Mapping[int, SlotWish]) -> None:
        """How large the viewer of a room shows which slots.

        Raises:
            Refused: BAD_REQUEST, there is no such slot; CONFLICT, it receives no room, or none
                yet.
        """
        if self.attending is None:
            raise Refused(RefusalCode.CONFLICT, "this session receives no room")
        self.attending.wish(wishes)

    def finish(self) -> None:
        """The peer says goodbye: viewers need not wait for its return."""
        if self.publication is not None:
            self.publication.finish()


def _new_etag() -> str:
    return f'"{secrets.token_urlsafe(9)}"'
