"""A process that sends Janus the stream as plain RTP, in the packets livetrio itself would make."""

from __future__ import annotations

import select
import socket
import sys
import time

from livetrio.packet import Codec
from livetrio.webrtc.rtp_mux import Origin, Picture, RtpMux
from livetrio.webrtc.sending_source import Layout
from rig import rtc_source
from rig.worker import Answer, listen

__all__ = ["main"]


def main() -> None:
    """Entry point of the process; arguments: the ports of sound and picture."""
    audio, video = (int(port) for port in sys.argv[1:3])
    mux = RtpMux(
        Layout(codec=Codec.H264, video=102, audio=111),
        Origin.random(lambda bits: (1 << bits - 1) + 7, "bench"),
        1,
        lambda _: False,
    )
    playing = False

    def handle(do: str, request: Answer) -> Answer:  # noqa: ARG001
        nonlocal playing
        playing = playing or do == "play"
        return {}

    with socket.socket(type=socket.SOCK_DGRAM) as out:
        while not playing:
            if not listen(handle):
                return
        begun = time.monotonic()
        for packet in rtc_source.packets():
            wait = begun + packet.dts / 1e6 - time.monotonic()
            if select.select([0], [], [], max(0.0, wait))[0] and not listen(handle):
                return
            for piece in mux.take(packet, packet.dts / 1e6):
                port = video if isinstance(piece, Picture) else audio
                for run in piece.runs if isinstance(piece, Picture) else [piece.run]:
                    for data in run.packets:
                        out.sendto(data, ("127.0.0.1", port))


if __name__ == "__main__":
    main()
