"""A process of a room's people on one epoll: who speak at their pace, and who listen."""

from __future__ import annotations

import heapq
import resource
import select
import sys
import time
from array import array
from collections.abc import Iterable
from typing import Final

from livetrio.webrtc.certificate import make_certificate
from rig.room_media import encode_sounds
from rig.room_member import Listener, Speaker
from rig.rtc_peer import RtcPeer, client_context
from rig.rtc_sdp import Far
from rig.worker import Answer, listen

__all__ = ["RoomLoad", "main"]

_TICK: Final = 0.1
_CHECK_EVERY: Final = 5.0
"""Seconds between two consent checks of a client, as browsers do."""
_SOUND: Final = 0.02
_PICTURE: Final = 1 / 30
_RETRY: Final = 0.001
"""Seconds between two looks whether somebody who wants to speak is connected."""
_LONGEST_WAIT: Final = 0.05
_STEP: Final = 0.00037
"""Seconds between the first frames of two speakers: nobody in step."""


class RoomLoad:
    """Everybody, by number."""

    def __init__(self, spacing: float) -> None:
        """spacing: seconds between two looks at the sockets; 0: everything is read at once."""
        self._spacing = spacing
        self._look_at = 0.0
        self._certificate = make_certificate()
        self._context = client_context(self._certificate)
        self._opus = encode_sounds()
        self._speakers: list[Speaker] = []
        self._listeners: list[Listener] = []
        self._by_file: dict[int, RtcPeer] = {}
        self._epoll = select.epoll()
        self._epoll.register(0, select.EPOLLIN)
        self._due: list[tuple[float, int, bool]] = []  # when, speaker, is it a picture?
        self._playing: set[int] = set()
        self._ticked = time.monotonic()
        self._turn = 0
        self._cpu = self._begun = 0.0
        self._late = 0.0
        self._packets = 0

    def run(self) -> None:
        """Speak, listen, and answer requests, until the asker goes away."""
        while True:
            wait = self._due[0][0] - time.monotonic() if self._due else _LONGEST_WAIT
            wait = min(max(wait, 0.0), _LONGEST_WAIT)
            for file, _ in self._rested(wait) if self._spacing else self._epoll.poll(wait):
                if file:
                    self._by_file[file].read()
                elif not listen(self._handle):
                    return
            self._speak()
            if time.monotonic() - self._ticked >= _TICK:
                self._tick()

    def _rested(self, wait: float) -> list[tuple[int, int]]:
        """What is readable, where it is time to look; no datagram wakes this process."""
        now = time.monotonic()
        time.sleep(max(0.0, min(wait, self._look_at - now)))
        now = time.monotonic()
        if now < self._look_at:
            return []
        self._look_at = now + self._spacing
        return self._epoll.poll(0)

    def _speak(self) -> None:
        now = time.monotonic()
        while self._due and self._due[0][0] <= now:
            due, number, picture = heapq.heappop(self._due)
            if number not in self._playing:
                continue
            speaker = self._speakers[number]
            if not speaker.connected:
                heapq.heappush(self._due, (now + _RETRY, number, picture))
                continue
            self._late = max(self._late, now - due)
            if picture:
                speaker.show()
            else:
                speaker.say()
            heapq.heappush(self._due, (due + (_PICTURE if picture else _SOUND), number, picture))

    def _tick(self) -> None:
        """A tenth of the clients report, and so on: nothing in step."""
        self._ticked = time.monotonic()
        self._turn += 1
        checks = round(_CHECK_EVERY / _TICK)
        for number, peer in enumerate((*self._speakers, *self._listeners)):
            if not peer.connected:
                peer.retry()
                continue
            if number % 10 == self._turn % 10:
                peer.report()
            if number % checks == self._turn % checks:
                peer.check()

    def _handle(self, do: str, request: Answer) -> Answer:
        match do:
            case "speakers":
                return {"made": [self._speaker(video=request["video"])
                                 for _ in range(request["count"])]}  # fmt: skip
            case "listeners":
                return {"made": [self._listener(own, deep=request["deep"])
                                 for own in request["own"]]}  # fmt: skip
            case "connect":
                peers = self._speakers if request["who"] == "speakers" else self._listeners
                for number, far in request["pairs"]:
                    peers[number].connect(Far(*far))
                return {}
            case "connected":
                return {"speakers": _connected(self._speakers),
                        "listeners": _connected(self._listeners)}  # fmt: skip
            case "play":
                for number in request["numbers"]:
                    self._play(number)
                return {}
            case "stop":
                self._playing -= set(request["numbers"])
                return {}
            case "forget":
                for listener in self._listeners:
                    listener.firsts.clear()
                return {"now": time.monotonic()}
            case "firsts":
                firsts = [one.firsts.get(request["speaker"]) for one in self._listeners]
                lasts = [one.lasts.get(request["speaker"]) for one in self._listeners]
                return {"firsts": firsts, "lasts": lasts}
            case "begin":
                return self._begin()
            case _:
                return self._totals()

    def _speaker(self, *, video: bool) -> Answer:
        context, fingerprint = self._context, self._certificate.fingerprint[1]
        number = len(self._speakers)
        speaker = Speaker(context, fingerprint, number, self._opus, video=video)
        self._speakers.append(speaker)
        self._know(speaker)
        return {"near": speaker.near, "video": speaker.video_ssrc, "audio": speaker.audio_ssrc}

    def _listener(self, own: int, *, deep: bool) -> Answer:
        listener = Listener(self._context, self._certificate.fingerprint[1], own, deep=deep)
        self._listeners.append(listener)
        self._know(listener)
        return {"near": listener.near}

    def _know(self, peer: RtcPeer) -> None:
        self._by_file[peer.socket.fileno()] = peer
        self._epoll.register(peer.socket, select.EPOLLIN)

    def _play(self, number: int) -> None:
        if number in self._playing:
            return
        self._playing.add(number)
        begun = time.monotonic() + number * _STEP % _SOUND
        heapq.heappush(self._due, (begun, number, False))
        if self._speakers[number].video_ssrc:
            heapq.heappush(self._due, (begun + _SOUND / 3, number, True))

    def _begin(self) -> Answer:
        for listener in self._listeners:
            listener.reset()
        self._packets = sum(speaker.packets for speaker in self._speakers)
        self._late, self._cpu, self._begun = 0.0, _cpu(), time.monotonic()
        return {}

    def _totals(self) -> Answer:
        listeners = self._listeners
        return {
            "seconds": time.monotonic() - self._begun,
            "sent": sum(speaker.packets for speaker in self._speakers) - self._packets,
            "resent": sum(speaker.resent for speaker in self._speakers),
            "packets": sum(listener.packets for listener in listeners),
            "bytes": sum(listener.bytes for listener in listeners),
            "lost": sum(listener.lost for listener in listeners),
            "failed": sum(listener.failed for listener in listeners),
            "pictures": sum(listener.pictures for listener in listeners),
            "sounds": sum(len(listener.audio) for listener in listeners),
            "heard_themselves": sum(listener.heard_itself for listener in listeners),
            "fewest": min((listener.packets for listener in listeners), default=0),
            "audio": _percentiles(listener.audio for listener in listeners),
            "video": _percentiles(listener.video for listener in listeners),
            "late": self._late,
            "profiles": sorted({peer.profile for peer in listeners if peer.profile}),
            "cpu": _cpu() - self._cpu,
        }


def _connected(peers: Iterable[RtcPeer]) -> int:
    return sum(peer.connected for peer in peers)


def _percentiles(delays: Iterable[array[int]]) -> list[float]:
    """p50, p95 and p99 in seconds, of nanoseconds."""
    together = sorted(delay for each in delays for delay in each)
    if not together:
        return [0.0, 0.0, 0.0]
    return [together[int(len(together) * share)] / 1e9 for share in (0.5, 0.95, 0.99)]


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    """Entry point of the process."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    RoomLoad(float(sys.argv[1]) / 1e3 if len(sys.argv) > 1 else 0.0).run()


if __name__ == "__main__":
    main()
