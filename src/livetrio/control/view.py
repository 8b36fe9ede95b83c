"""View: streams, clients, rooms, relays and scopes as the JSON of /v1."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, fields, is_dataclass
from enum import Enum
from typing import Any

from livetrio.control.gauges import Gauges
from livetrio.control.verdict import findings, playable
from livetrio.ingest.relay_life import RelayInfo
from livetrio.media.client import Client
from livetrio.media.stream import Stream, TrackStatistics
from livetrio.net.scope import ScopeInfo
from livetrio.packet import US_PER_SECOND, Kind, StreamKey
from livetrio.webrtc.rooms.live_room import LiveRoom
from livetrio.webrtc.rooms.media import RoomMedia
from livetrio.webrtc.rooms.seat import SeatState

__all__ = ["client_view", "public_view", "relay_view", "room_view", "stream_view", "tree_view"]

Json = dict[str, Any]


def stream_view(stream: Stream, gauges: Gauges) -> Json:
    """One stream as operators see it."""
    jitter = gauges.jitter(stream.key)
    video = [seen for seen in stream.track_statistics if seen.track.kind is Kind.VIDEO]
    publisher = stream.publication.client if stream.publication is not None else None
    return {
        "app": stream.key.app,
        "name": stream.key.name,
        "state": "live" if publisher is not None else "waiting",
        "since": stream.created,
        "publisher": _publisher_view(publisher) if publisher is not None else None,
        "tracks": [_track_view(stream, seen, gauges) for seen in stream.track_statistics],
        "gop": round(video[0].gop / US_PER_SECOND, 3) if video else None,
        "b_frames": any(seen.reordered for seen in video),
        "jitter": round(jitter, 3),
        "viewers": _viewers(stream),
        "packets": stream.packets_in,
        "bytes": stream.bytes_in,
        "ring": {"packets": stream.ring.head - stream.ring.tail, "bytes": stream.ring.size},
        "repairs": asdict(stream.repairs),
        "verdict": [asdict(finding) for finding in findings(stream, jitter)],
        "playable": {way: asdict(able) for way, able in playable(stream).items()},
    }


def public_view(stream: Stream) -> Json:
    """One stream as everybody may see it: no addresses."""
    return {
        "app": stream.key.app,
        "name": stream.key.name,
        "since": stream.created,
        "viewers": sum(_viewers(stream).values()),
        "codecs": [track.codec.value for track in stream.tracks if track.kind is not Kind.DATA],
        "width": max((track.width for track in stream.tracks), default=0),
        "height": max((track.height for track in stream.tracks), default=0),
        "playable": playable(stream)["mpegts.js"].ok,
    }


def client_view(key: StreamKey, client: Client, gauges: Gauges) -> Json:
    """One peer of a stream."""
    numbers, statistics = client.numbers(), client.statistics()
    return {
        "id": client.id,
        "app": key.app,
        "name": key.name,
        "role": client.role,
        "protocol": client.protocol,
        "address": client.address,
        "agent": client.agent,
        "since": client.since,
        "kbits": round(gauges.client_rate(client.id) / 1000),
        **numbers._asdict(),
        "statistics": _plain(statistics) if statistics is not None else None,
    }


def room_view(live: LiveRoom, media: RoomMedia | None) -> Json:
    """One co-host or voice room."""
    state = live.room.state
    taken = [seat for seat in state.seats.values() if seat.state is SeatState.TAKEN]
    return {
        "app": state.key.app,
        "name": state.key.name,
        "life": state.life,
        "kind": state.kind,
        "title": state.title,
        "owner": state.owner,
        "phase": state.phase.value,
        "version": state.version,
        "seats": {
            "all": len(state.seats),
            "taken": len(taken),
            "present": sum(seat.present for seat in taken),
        },
        "users": live.present,
        "applications": len(state.applications),
        "speaking": list(live.speaking.told),
        "pk": str(live.opponent) if live.opponent is not None else None,
        "viewers": len(media.feed.viewers) if media is not None else 0,
        "streams": len(media.streams()) if media is not None else 0,
        "composed": media.composed if media is not None else 0,
        "unsent": dict(media.feed.losses) if media is not None else {},
    }


def relay_view(relay: RelayInfo) -> Json:
    """One relay. Its URL has lost its secrets already."""
    return asdict(relay)


def tree_view(info: ScopeInfo) -> Json:
    """The nursery tree."""
    return asdict(info)


def _publisher_view(client: Client) -> Json:
    return {
        "id": client.id,
        "protocol": client.protocol,
        "address": client.address,
        "agent": client.agent,
        "since": client.since,
    }


def _track_view(stream: Stream, seen: TrackStatistics, gauges: Gauges) -> Json:
    track = seen.track
    rate = gauges.track_rate(stream, track.kind, track.id)
    span = (seen.last_dts - seen.first_dts) / US_PER_SECOND
    if not rate and span > 0:  # nobody has looked for a full window yet
        rate = seen.bytes * 8 / span
    return {
        "kind": track.kind.value,
        "id": track.id,
        "codec": track.codec.value,
        "profile": track.profile,
        "width": track.width,
        "height": track.height,
        "sample_rate": track.sample_rate,
        "channels": track.channels,
        "bitrate": round(rate / 1000),
        "packets": seen.packets,
    }


def _viewers(stream: Stream) -> dict[str, int]:
    players = (client for client in stream.clients.values() if client.role == "player")
    return dict(Counter(client.protocol for client in players))


def _plain(value: Any) -> Any:
    """Dataclasses, named tuples and enumerations as JSON has them."""
    match value:
        case Enum():
            return value.value
        case tuple() if hasattr(value, "_asdict"):
            return _plain(value._asdict())
        case Mapping():
            return {key: _plain(each) for key, each in value.items()}
        case list() | tuple():
            return [_plain(each) for each in value]
        case _ if is_dataclass(value):
            return {each.name: _plain(getattr(value, each.name)) for each in fields(value)}
        case _:
            return value
