"""Commands to the connection that the server answers by itself, without asking anybody."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from livetrio.wire.rtmp.commands import Command, text_of
from livetrio.wire.rtmp.netstreams import NetStreams
from livetrio.wire.rtmp.replies import Replies

__all__ = ["CALLS"]


def _create_stream(replies: Replies, streams: NetStreams, command: Command) -> None:
    stream_id = streams.create()
    if stream_id is None:
        replies.error(command.transaction, "NetConnection.Call.Failed", "Too many streams.")
    else:
        replies.result(command.transaction, stream_id)


def _delete_stream(_: Replies, streams: NetStreams, command: Command) -> None:
    streams.delete(command.argument(0))


def _fc_publish(replies: Replies, _: NetStreams, command: Command) -> None:
    # Flash Media Live Encoder waits for onFCPublish before it publishes.
    replies.result(command.transaction)
    replies.notice("onFCPublish", "NetStream.Publish.Start", text_of(command.argument(0)))


def _fc_unpublish(replies: Replies, streams: NetStreams, command: Command) -> None:
    streams.unpublish(command.argument(0))
    replies.result(command.transaction)
    replies.notice("onFCUnpublish", "NetStream.Unpublish.Success", text_of(command.argument(0)))


def _fc_subscribe(replies: Replies, _: NetStreams, command: Command) -> None:
    replies.result(command.transaction)
    replies.notice("onFCSubscribe", "NetStream.Play.Start", text_of(command.argument(0)))


def _get_stream_length(replies: Replies, _: NetStreams, command: Command) -> None:
    replies.result(command.transaction, 0)  # seconds; live has none


def _acknowledge(replies: Replies, _: NetStreams, command: Command) -> None:
    replies.result(command.transaction)


def _ignore(_: Replies, __: NetStreams, ___: Command) -> None:
    """Answers to what was never asked, and calls that expect no answer."""


CALLS: Final[Mapping[str, Callable[[Replies, NetStreams, Command], None]]] = {
    "createStream": _create_stream,
    "initStream": _acknowledge,  # Flash's, before createStream
    "deleteStream": _delete_stream,
    "releaseStream": _acknowledge,
    "FCPublish": _fc_publish,
    "FCUnpublish": _fc_unpublish,
    "FCSubscribe": _fc_subscribe,
    "FCUnsubscribe": _acknowledge,
    "getStreamLength": _get_stream_length,
    "_checkbw": _acknowledge,
    "checkBandwidth": _acknowledge,
    "_result": _ignore,
    "_error": _ignore,
    "onStatus": _ignore,
}
"""By name; anything else goes to a stream or is unknown."""
