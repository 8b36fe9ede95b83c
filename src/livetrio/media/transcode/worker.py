"""The video worker: `python -m livetrio.media.transcode.worker BITRATE`, frames in, frames out.

A process of its own: an encoder needs a core, and a decoder that a hostile stream breaks must not
take the server along. It ends when its input does, so it outlives its server by no more than
one frame.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterable
from typing import BinaryIO

from livetrio.errors import RemoteProtocolError
from livetrio.media.transcode.pipe import HEAD, UNDECODABLE, Message, pack, unpack_head
from livetrio.media.transcode.video import VideoTranscoder

__all__ = ["main", "work"]

_NICENESS = 5
"""Below the server itself: a late picture harms one audience, a late server all."""


def work(source: BinaryIO, sink: BinaryIO, bitrate: int) -> int:
    """Serve until the input ends; the exit status."""
    transcoder = VideoTranscoder(bitrate)

    def send(messages: Iterable[Message]) -> None:
        for message in messages:
            sink.write(pack(message))
        sink.flush()

    try:
        while len(head := source.read(HEAD)) == HEAD:
            message, size = unpack_head(head)
            message.data = source.read(size)
            if len(message.data) < size:
                break
            send(transcoder.feed(message))
        send(transcoder.flush())
    except RemoteProtocolError as error:
        print(error, file=sys.stderr)
        return UNDECODABLE
    except BrokenPipeError:
        pass  # the server is gone, or wants no more
    return 0


def main() -> None:
    """Run as a program."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the server's, which ends us
    os.nice(_NICENESS)
    status = work(sys.stdin.buffer, sys.stdout.buffer, int(sys.argv[1]))
    os._exit(status)  # nothing to tidy up, and Python would complain of a broken pipe


if __name__ == "__main__":
    main()
