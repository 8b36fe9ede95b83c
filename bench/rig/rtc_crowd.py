"""A process of viewers by WebRTC on one epoll, told by the benchmark where to go."""

from __future__ import annotations

import resource
import select
import time

from livetrio.webrtc.certificate import make_certificate
from rig.rtc_peer import client_context
from rig.rtc_sdp import Far
from rig.rtc_viewer import RtcViewer
from rig.worker import Answer, listen

__all__ = ["RtcCrowd", "main"]

_TICK = 0.1
_CHECK_EVERY = 5.0
"""Seconds between two consent checks of a viewer, as browsers do."""


class RtcCrowd:
    """The viewers."""

    def __init__(self) -> None:
        self._certificate = make_certificate()
        self._context = client_context(self._certificate)
        self._viewers: list[RtcViewer] = []
        self._by_file: dict[int, RtcViewer] = {}
        self._epoll = select.epoll()
        self._epoll.register(0, select.EPOLLIN)
        self._ticked = time.monotonic()
        self._turn = 0
        self._cpu = 0.0

    def run(self) -> None:
        """Watch, and answer requests, until the asker goes away."""
        while True:
            for file, _ in self._epoll.poll(_TICK):
                if file:
                    self._by_file[file].read()
                elif not listen(self._handle):
                    return
            if time.monotonic() - self._ticked >= _TICK:
                self._tick()

    def _tick(self) -> None:
        """A tenth of the viewers report, and so on: nothing in step."""
        self._ticked = time.monotonic()
        self._turn += 1
        checks = round(_CHECK_EVERY / _TICK)
        for number, viewer in enumerate(self._viewers):
            if not viewer.connected:
                viewer.retry()
            else:
                if number % 10 == self._turn % 10:
                    viewer.report()
                if number % checks == self._turn % checks:
                    viewer.check()

    def _handle(self, do: str, request: Answer) -> Answer:
        match do:
            case "create":
                return {"viewers": [self._create() for _ in range(request["count"])]}
            case "connect":
                for number, far in request["pairs"]:
                    self._viewers[number].connect(Far(*far))
                return {}
            case "begin":
                for viewer in self._viewers:
                    viewer.packets = viewer.bytes = viewer.failed = viewer.pictures = 0
                    viewer.lost, viewer.last, viewer.longest = 0, 0.0, 0.0
                self._cpu = _cpu()
                return {}
            case _:
                return self._totals()

    def _create(self) -> list[str]:
        viewer = RtcViewer(self._context, self._certificate.fingerprint[1])
        self._by_file[viewer.socket.fileno()] = viewer
        self._epoll.register(viewer.socket, select.EPOLLIN)
        self._viewers.append(viewer)
        return list(viewer.near)

    def _totals(self) -> Answer:
        viewers = self._viewers
        return {
            "connected": sum(viewer.connected for viewer in viewers),
            "packets": sum(viewer.packets for viewer in viewers),
            "bytes": sum(viewer.bytes for viewer in viewers),
            "failed": sum(viewer.failed for viewer in viewers),
            "lost": sum(viewer.lost for viewer in viewers),
            "pictures": [viewer.pictures for viewer in viewers],
            "longest": max((viewer.longest for viewer in viewers), default=0.0),
            "profiles": sorted({viewer.profile for viewer in viewers if viewer.profile}),
            "cpu": _cpu() - self._cpu,
        }


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    """Entry point of the process."""
    RtcCrowd().run()


if __name__ == "__main__":
    main()
