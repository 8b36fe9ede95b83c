"""How messaging is shown in JSON: rooms, members, messages, sanctions and rules."""

from __future__ import annotations

import base64
import dataclasses
import json
import math
import time
from collections.abc import Collection, Mapping
from typing import Any

from livetrio.im.channel import Channel
from livetrio.im.member import Member
from livetrio.im.moderation import Sanction
from livetrio.im.rules import RoomRules
from livetrio.im.words import Online, Position, Publication, Sender

__all__ = [
    "member_view",
    "online_view",
    "position_view",
    "publication_view",
    "room_view",
    "rules_view",
    "sanction_view",
]

Json = dict[str, Any]


def position_view(position: Position) -> Json:
    """Where a message is."""
    return {"epoch": position.epoch, "offset": position.offset}


def online_view(online: Online) -> Json:
    """How many."""
    return {"clients": online.clients, "users": online.users}


def room_view(room: Channel) -> Json:
    """One channel. Users are not counted here: that is asked of one room, not of a list."""
    return {
        "room": room.name,
        "kind": room.options.kind.value,
        "live": room.options.live,
        "clients": len(room.members),
        "position": position_view(room.position),
        "remembered": {"messages": room.offset + 1 - room.oldest(), "bytes": room.size},
        "sampled": room.lanes.sampler.sampled if room.lanes.sampler is not None else 0,
    }


def member_view(member: Member) -> Json:
    """One connection."""
    sender = member.sender
    return {
        **_sender_view(sender),
        "client": member.id,
        "ip": sender.ip,
        "roles": sorted(sender.roles),
        "protocol": member.view.name,
        "rooms": [room.name for room in member.channels],
        "queued": member.outbox.queued,
    }


def publication_view(publication: Publication) -> Json:
    """One message: what is JSON as `data`, anything else in base64 as `b64data`."""
    told: Json = {
        "offset": publication.offset,
        "time": publication.time,
        "lane": publication.lane.name,
    }
    told |= _data(publication.data)
    if publication.op:
        told["op"] = publication.op
    if publication.id:
        told["id"] = publication.id
    if publication.tags:
        told["tags"] = dict(publication.tags)
    if publication.sender is not None:
        told["sender"] = _sender_view(publication.sender)
    return told


def sanction_view(sanction: Sanction, now: float) -> Json:
    """One ban or mute; `until` is Unix time in seconds, null for ever.

    now: Trio time.
    """
    left = sanction.until - now
    return {
        "room": sanction.room,
        sanction.subject.kind: sanction.subject.value,
        "until": None if math.isinf(left) else round(time.time() + left),
        "reason": sanction.reason,
    }


def rules_view(rules: RoomRules) -> Json:
    """All rules of a room."""
    return {field.name: _plain(getattr(rules, field.name)) for field in dataclasses.fields(rules)}


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Collection) and not isinstance(value, str):
        return sorted(value)
    return value


def _sender_view(sender: Sender) -> Json:
    told: Json = {"user": sender.user, "client": sender.client, "device": sender.device}
    if sender.info:
        told |= {"info" if key == "data" else "b64info": v for key, v in _data(sender.info).items()}
    return told


def _data(data: bytes) -> Json:
    try:
        return {"data": json.loads(data)}
    except (ValueError, RecursionError):
        return {"b64data": base64.b64encode(data).decode()}
