"""Servers of rooms, each as its clients see it: open a room, publish from a seat, receive it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, Literal, Protocol

from rig.janus import Janus, running_janus
from rig.rooms_api import RoomsApi
from rig.rtc_sdp import Far, Near, answer, far_end, offer, publish_offer
from rig.servers import LIVETRIO, free_ports, running

__all__ = ["STAGES", "Kind", "LivetrioRooms", "Stage", "staged"]

Kind = Literal["video", "voice"]

ROOMS: Final = "livetrio"
STREAMS: Final = "livetrio, single streams"
VIDEO_ROOM: Final = "janus VideoRoom"
AUDIO_BRIDGE: Final = "janus AudioBridge"
STAGES: Final = (ROOMS, STREAMS, VIDEO_ROOM, AUDIO_BRIDGE)
_VOICES: Final = 4
"""Sounds that a member of a voice room receives at most."""


class Stage(Protocol):
    """A server, and rooms in it; seats count from 1, and seat 0 is the audience."""

    pid: int
    needs_media: bool
    """Can nothing be received before somebody has spoken?"""

    def sessions(self, seat: int) -> int:
        """How many a listener on this seat needs."""

    def open(self, room: int) -> None: ...
    def publish(self, room: int, seat: int, near: Near, video: int, audio: int) -> Far: ...
    def receive(self, room: int, seat: int, nears: Sequence[Near]) -> list[Far]: ...
    def keep(self) -> None: ...


class LivetrioRooms:
    """Rooms over REST, seats by WHIP, one WHEP session for all of a room."""

    def __init__(self, pid: int, api: RoomsApi, kind: Kind, seats: int) -> None:
        self.pid = pid
        self.needs_media = False
        self.api = api
        self._kind: Kind = kind
        self._seats = seats

    def sessions(self, seat: int) -> int:  # noqa: ARG002
        return 1

    def open(self, room: int) -> None:
        self.api.open(f"room{room}", user(room, 1), self._kind, self._seats)

    def publish(self, room: int, seat: int, near: Near, video: int, audio: int) -> Far:
        name, who = f"room{room}", user(room, seat)
        if seat > 1:  # the owner has his
            self.api.seat(name, who, seat, "take")
        return far_end(self.api.whip(f"{name}/{seat}", who, publish_offer(near, video, audio)))

    def receive(self, room: int, seat: int, nears: Sequence[Near]) -> list[Far]:
        slots = (self._seats + 1,) * 2 if self._kind == "video" else (0, _VOICES)
        who = user(room, seat) if seat else ""
        return [far_end(self.api.receive(f"room{room}", who, offer(nears[0], *slots)))]

    def keep(self) -> None: ...


class LivetrioStreams:
    """The same without rooms: whoever wants to see three others has three WHEP sessions."""

    def __init__(self, pid: int, api: RoomsApi, kind: Kind, seats: int) -> None:
        self.pid = pid
        self.needs_media = True
        self._api = api
        self._kind = kind
        self._seats = seats

    def sessions(self, seat: int) -> int:
        return self._seats - (seat > 0)

    def open(self, room: int) -> None: ...

    def publish(self, room: int, seat: int, near: Near, video: int, audio: int) -> Far:
        answered = self._api.whip(f"{room}-{seat}", "", publish_offer(near, video, audio))
        return far_end(answered)

    def receive(self, room: int, seat: int, nears: Sequence[Near]) -> list[Far]:
        others = [number for number in range(1, self._seats + 1) if number != seat]
        video = int(self._kind == "video")
        return [
            far_end(self._api.whep(f"{room}-{number}", offer(near, video)))
            for number, near in zip(others, nears, strict=True)
        ]

    def keep(self) -> None: ...


class VideoRooms:
    """Janus: one publishing handle for each seat, one subscription to all the others."""

    def __init__(self, server: Janus, kind: Kind, seats: int) -> None:
        self.pid = server.pid
        self.needs_media = False
        self.keep = server.keep
        self._server = server
        self._video = kind == "video"
        self._seats = seats
        self._control = server.attach("videoroom")

    def sessions(self, seat: int) -> int:  # noqa: ARG002
        return 1

    def open(self, room: int) -> None:
        self._server.message(
            self._control,
            {
                "request": "create", "room": room + 1, "publishers": self._seats, "bitrate": 0,
                "audiocodec": "opus", "videocodec": "h264", "h264_profile": "42e01f",
            },
        )  # fmt: skip

    def publish(self, room: int, seat: int, near: Near, video: int, audio: int) -> Far:
        handle = self._server.attach("videoroom")
        join = {"request": "joinandconfigure", "ptype": "publisher", "room": room + 1, "id": seat}
        return far_end(self._server.message(handle, join, publish_offer(near, video, audio)))

    def receive(self, room: int, seat: int, nears: Sequence[Near]) -> list[Far]:
        handle = self._server.attach("videoroom")
        feeds = [{"feed": number} for number in range(1, self._seats + 1) if number != seat]
        join = {"request": "join", "ptype": "subscriber", "room": room + 1, "streams": feeds}
        offered = self._server.message(handle, join)
        self._server.message(handle, {"request": "start"}, answer(nears[0], offered), "answer")
        return [far_end(offered)]


class AudioBridges:
    """Janus: everybody is sent a mix of his own; a listener is a participant who is muted."""

    def __init__(self, server: Janus) -> None:
        self.pid = server.pid
        self.needs_media = False
        self.keep = server.keep
        self._server = server
        self._control = server.attach("audiobridge")

    def sessions(self, seat: int) -> int:
        return int(not seat)  # who speaks hears by the same session

    def open(self, room: int) -> None:
        create = {"request": "create", "room": room + 1, "sampling_rate": 48_000}
        self._server.message(self._control, create)

    def publish(self, room: int, seat: int, near: Near, video: int, audio: int) -> Far:  # noqa: ARG002
        return self._join(room, publish_offer(near, 0, audio), muted=False)

    def receive(self, room: int, seat: int, nears: Sequence[Near]) -> list[Far]:  # noqa: ARG002
        return [self._join(room, offer(near, 0), muted=True) for near in nears]

    def _join(self, room: int, sdp: str, *, muted: bool) -> Far:
        handle = self._server.attach("audiobridge")
        self._server.message(handle, {"request": "join", "room": room + 1, "muted": muted})
        configure = {"request": "configure", "muted": muted}
        return far_end(self._server.message(handle, configure, sdp))


def user(room: int, seat: int) -> str:
    """Who sits there."""
    return f"user-{room}-{seat}"


@contextlib.contextmanager
def staged(
    name: str, kind: Kind, seats: int, cores: set[int] | None, settings: Sequence[str] = ()
) -> Iterator[Stage]:
    """Run a server until the block is left.

    Args:
        name: of STAGES.
        kind: of its rooms.
        seats: of each.
        cores: the server's own.
        settings: further "key=value" lines of livetrio's configuration.

    Raises:
        ServerError: it is not installed, or did not start.
    """
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(TemporaryDirectory(prefix="rooms-")))
        if name == VIDEO_ROOM:
            server = stack.enter_context(running_janus(directory, "videoroom", cores))
            yield VideoRooms(server, kind, seats)
        elif name == AUDIO_BRIDGE:
            server = stack.enter_context(running_janus(directory, "audiobridge", cores))
            yield AudioBridges(server)
        else:
            web, webrtc = free_ports(2)
            secret = RoomsApi.new_secret()
            lines = [*_settings(web, webrtc, secret), *settings]
            ours = stack.enter_context(running(LIVETRIO, directory, cores=cores, settings=lines))
            stage = LivetrioRooms if name == ROOMS else LivetrioStreams
            yield stage(ours.pid, RoomsApi(web, secret), kind, seats)


def _settings(web: int, webrtc: int, secret: str) -> list[str]:
    """Media over UDP, and caps that are for the open network out of the way."""
    most = 20_000
    peers = f"max_peers: {most}, max_peers_per_ip: {most}"
    pending = f"max_pending: {most}, max_pending_per_ip: {most}"
    return [
        f"web_addr=127.0.0.1:{web}",
        f"webrtc_addr=127.0.0.1:{webrtc}",
        f"webrtc={{ice_tcp: false, {peers}, {pending}}}",
        f"im={{allow_anonymous: true, token: {{secret: {secret}}}}}",
        f"rooms={{max: {most}}}",
    ]
