"""livego's HTTP API, byte for byte where a client can see it, odd statuses included.

Deliberately different: all viewers are counted, not only RTMP's; reset revokes the old key; a
room or stream name that could not be used is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from quart_trio.wrappers import TrioResponse as Response

from livetrio.control.answers import go_answer
from livetrio.control.context import ControlContext
from livetrio.control.fields import livego_fields
from livetrio.control.table import ANY_METHOD, Answer, Handler, Operation, Parameter
from livetrio.errors import LivetrioError
from livetrio.ingest.relay_attempt import Direction
from livetrio.media.client import Client
from livetrio.media.stream import Stream
from livetrio.packet import Kind, StreamKey
from livetrio.wire.names import check_name

__all__ = ["LivegoApi"]

_PARAMETER_ERROR = "control push parameter error, please check them."
_ENVELOPE = {
    "type": "object",
    "required": ["status", "data"],
    "properties": {"status": {"type": "integer"}, "data": {}},
}


class LivegoApi:
    """The handlers of /control and /stat."""

    def __init__(self, context: ControlContext) -> None:
        self._context = context

    def operations(self) -> list[Operation]:
        """For the table."""
        relay = (
            Parameter("oper", '"stop" stops; anything else starts'),
            Parameter("app", "application", required=True),
            Parameter("name", "stream, or a room's key for pull", required=True),
            Parameter("url", "the other end", required=True),
        )
        room = (Parameter("room", "the room's name", required=True),)
        stream = (Parameter("room", "only this stream, as app/name"),)
        return [
            _operation("/control/get", "A room's key, made if needed", self.get, room),
            _operation("/control/reset", "A new key for a room", self.reset, room),
            _operation("/control/delete", "Forget a room and its key", self.delete, room, 404),
            _operation("/control/pull", "Start or stop a pull relay", self.pull, relay),
            _operation("/control/push", "Start or stop a push relay", self.push, relay, 200),
            _operation("/stat/livestat", "Who publishes and plays", self.livestat, stream, 404),
        ]

    async def get(self) -> Response:
        """/control/get?room="""
        room = (await livego_fields()).get("room", "")
        if not room:
            return go_answer("url: /control/get?room=<ROOM_NAME>", 400)
        try:
            return go_answer(await self._context.keys.get(check_name(room)))
        except LivetrioError as error:
            return go_answer(str(error), 400)

    async def reset(self) -> Response:
        """/control/reset?room="""
        room = (await livego_fields()).get("room", "")
        if not room:
            return go_answer("url: /control/reset?room=<ROOM_NAME>", 400)
        try:
            return go_answer(await self._context.keys.reset(check_name(room)))
        except LivetrioError as error:
            return go_answer(str(error), 400)

    async def delete(self) -> Response:
        """/control/delete?room="""
        room = (await livego_fields()).get("room", "")
        if not room:
            return go_answer("url: /control/delete?room=<ROOM_NAME>", 400)
        try:
            found = await self._context.keys.delete(room)
        except LivetrioError as error:
            return go_answer(str(error), 400)
        return go_answer("Ok") if found else go_answer("room not found", 404)

    async def pull(self) -> Response:
        """/control/pull?oper=&app=&name=&url="""
        fields = await livego_fields()
        app, name, url = (fields.get(field, "") for field in ("app", "name", "url"))
        if not (app and name and url):
            return go_answer(_PARAMETER_ERROR, 400)
        try:
            # livego publishes what it pulls to itself, where a key stands for its room.
            room = await self._context.keys.room_of(name)
            key = StreamKey(app, room or name)
            if fields.get("oper") != "stop":
                self._start("pull", key, url)
                return go_answer(f"<h1>pull url start {url} ok</h1></br>")
        except LivetrioError as error:
            return go_answer(f"push error={error}", 400)
        if not await self._stop("pull", key):
            missing = f"session key[pull:{app}/{name}] not exist, please check it again."
            return go_answer(missing, 400)
        return go_answer(f"<h1>push url stop {url} ok</h1></br>", 400)

    async def push(self) -> Response:
        """/control/push?oper=&app=&name=&url=; 200, whatever happens."""
        fields = await livego_fields()
        app, name, url = (fields.get(field, "") for field in ("app", "name", "url"))
        if not (app and name and url):
            return go_answer(_PARAMETER_ERROR)
        key = StreamKey(app, name)
        if fields.get("oper") == "stop":
            if not await self._stop("push", key):
                missing = f"session key[push:{key}] not exist, please check it again."
                return go_answer(f"<h1>{missing}</h1>")
            return go_answer(f"<h1>push url stop {url} ok</h1></br>")
        try:
            self._start("push", key, url)
        except LivetrioError as error:
            return go_answer(f"push error={error}")
        return go_answer(f"<h1>push url start {url} ok</h1></br>")

    async def livestat(self) -> Response:
        """/stat/livestat[?room=app/name]"""
        room = (await livego_fields()).get("room", "")
        streams = self._context.registry.streams
        chosen = [stream for key, stream in streams.items() if room in ("", str(key))]
        publishers = [entry for stream in chosen for entry in self._entries(stream, "publisher")]
        players = [entry for stream in chosen for entry in self._entries(stream, "player")]
        if room and not (publishers or players):
            return go_answer("room not found or inactive", 404)
        return go_answer({"publishers": publishers or None, "players": players or None})

    def _start(self, kind: Direction, key: StreamKey, url: str) -> None:
        check_name(key.app)
        check_name(key.name)
        self._context.check_app(key.app)
        self._context.relays.start(kind, key, url)

    async def _stop(self, kind: Direction, key: StreamKey) -> bool:
        relay = self._context.relays.find(kind, key)
        return relay is not None and await self._context.relays.stop(relay.id) is not None

    def _entries(self, stream: Stream, role: str) -> Iterator[Mapping[str, object]]:
        for client in stream.clients.values():
            if client.role == role:
                yield self._entry(stream, client)

    def _entry(self, stream: Stream, client: Client) -> Mapping[str, object]:
        """A player is sent the stream's bytes and some framing; they are told apart as video and
        audio in the proportion that the stream has them. livego counts each of its writes."""
        totals = {Kind.VIDEO: 0, Kind.AUDIO: 0}
        rates = {Kind.VIDEO: 0.0, Kind.AUDIO: 0.0}
        for seen in stream.track_statistics:
            kind = seen.track.kind
            if kind in totals:
                totals[kind] += seen.bytes
                rates[kind] += self._context.gauges.track_rate(stream, kind, seen.track.id)
        if client.role == "player":
            sent = client.numbers().bytes_out - client.before.bytes_out
            rate = self._context.gauges.client_rate(client.id)
            both = sum(totals.values()) or 1
            rates = {kind: rate * total / both for kind, total in totals.items()}
            totals = {kind: sent * total // both for kind, total in totals.items()}
        return {
            "key": str(stream.key),
            "url": client.url,
            "stream_id": 1,
            "video_total_bytes": totals[Kind.VIDEO],
            "video_speed": int(rates[Kind.VIDEO] / 1000),
            "audio_total_bytes": totals[Kind.AUDIO],
            "audio_speed": int(rates[Kind.AUDIO] / 1000),
        }


def _operation(
    path: str, summary: str, handler: Handler, parameters: tuple[Parameter, ...], failure: int = 400
) -> Operation:
    answers = {failure: Answer("not done; data says why", _ENVELOPE)}
    answers |= {200: Answer("done", _ENVELOPE)}
    description = "livego's: any method does, and parameters may come as a form as well."
    return Operation(path, ANY_METHOD, summary, handler, "livego", answers, description, parameters)
