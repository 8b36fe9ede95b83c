"""PlayFeed: one edition in one RTP layout; packetises once, sends the same packets to all viewers.

One pump task per (edition, layout), as in `media.feed`, from the first viewer to the last. What
few viewers get of a frame is sent in the very call that brings it, since to wake the pump costs
more. The tasks beside it serve newcomers and reports; all of them send by plain calls and never
wait for a viewer. How long they may hold the loop is counted in packets: a key frame is sixty.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Final

import trio

from livetrio.media.edition import Edition
from livetrio.net.guard import guarded
from livetrio.packet import US_PER_SECOND, Kind, Packet
from livetrio.webrtc.catch_up import STEP
from livetrio.webrtc.datagrams import blame
from livetrio.webrtc.fitness import gained
from livetrio.webrtc.lane import BURST, Lane
from livetrio.webrtc.plan import PACKETS_PER_HOLD, Plan, nowhere, serve, serve_many, weight
from livetrio.webrtc.rerun import rerun
from livetrio.webrtc.rtp_mux import Origin, Picture, RtpMux
from livetrio.webrtc.sender_report import goodbye, sender_report
from livetrio.webrtc.sending_source import Layout, SendingSource, TransportLog
from livetrio.webrtc.viewer import Mode, Viewer

__all__ = ["PlayFeed"]

_PACKETISED_PER_HOLD: Final = 200
_REPORTS_PER_HOLD: Final = 200
_BURST_SPACING: Final = 0.004
"""Seconds between two bursts of one frame to one viewer; a large audience takes longer anyway."""
_RIDE_FROM: Final = 32
"""Viewers from which on a sound packet waits (for the next packet of any kind, 20 ms at most) to
go out with a picture: a third of all system calls saved. A few viewers are served at once."""
_REPORT_EVERY: Final = 1.0


class PlayFeed:
    """Made by `Players`. Viewers come and go by `viewer`."""

    def __init__(
        self,
        edition: Edition,
        layout: Layout,
        origin: Origin,
        *,
        first: int,
        asks: Callable[[], bool],
    ) -> None:
        """
        Args:
            edition: what is sent.
            layout: how.
            origin: SSRCs and clocks of the edition.
            first: sequence number that all sources begin with, below 2^15.
            asks: can the publisher be asked for a key frame?
        """
        self.layout = layout
        self.viewers: dict[Viewer, None] = {}
        """A dict for its order."""
        self.ending = ""
        """Why it has ended, once it has."""
        self.stopped = trio.CancelScope()
        """Cancel it to end the tasks."""
        self.done = trio.Event()
        """It has ended; everybody was told."""
        self.packets = 0
        """Packets handed to the viewers' peers."""
        self._edition = edition
        self._asks = asks
        self._mux = RtpMux(layout, origin, first, self._rides)
        self._primed = False
        self._newcomers = trio.Event()
        self._seq, _ = edition.ring.start()
        self._kinds = (Kind.VIDEO,) * (layout.video > 0) + (Kind.AUDIO,) * (layout.audio > 0)
        self._parked = False  # does the pump wait, with all sent that there is?
        self._wake = trio.lowlevel.ParkingLot()
        self._left: Plan = []  # what was too much to be sent at once
        self._error: BaseException | None = None

    @property
    def name(self) -> str:
        """For people and for the nursery tree."""
        layout = self.layout
        video = f"{layout.codec.value}/{layout.video}" if layout.codec and layout.video else ""
        audio = f"opus/{layout.audio}" if layout.audio else ""
        return " ".join(filter(None, ("webrtc", video, audio)))

    @property
    def video_ssrc(self) -> int:
        """Of all lanes alike."""
        return self._mux.origin.video_ssrc

    @property
    def video_time(self) -> int:
        """RTP time of the stream's time 0, which may have more than 32 bits."""
        return self._mux.origin.video_timestamp

    @property
    def audio(self) -> SendingSource | None:
        """The sound, None before its first packet."""
        return self._mux.audio

    @property
    def lanes(self) -> dict[int, Lane]:
        """Video layers by track id, the best first."""
        return self._mux.lanes

    @property
    def log(self) -> TransportLog:
        """When the packet of which transport-wide number was made."""
        return self._mux.log

    @contextmanager
    def viewer(self, viewer: Viewer) -> Iterator[None]:
        """Serve this viewer until the block is left: from the newest key frame, then live."""
        self.viewers[viewer] = None
        if self._primed:
            self.choose(viewer, trio.current_time())
        try:
            yield
        finally:
            del self.viewers[viewer]
            viewer.send = nowhere
            viewer.leave_lane()

    def choose(self, viewer: Viewer, now: float) -> None:
        """Look at what the viewer wants and its network carries; move it where that differs."""
        if not self.layout.video:
            return
        lanes = list(self.lanes.values())
        wish = viewer.selection.video
        if not lanes:
            self._edition.request_key_frame(wish or 0)
            return
        if wish is not None:
            lanes = [self.lanes[min(self.lanes, key=lambda id_: (abs(id_ - wish), id_))]]
        choice = viewer.prefers([lane.rate for lane in lanes], now)
        if choice == len(lanes):
            viewer.wanted = None
            if viewer.mode is Mode.LIVE:
                viewer.skim()
                viewer.switches += 1
            return
        lane = lanes[choice]
        if viewer.lane is lane and viewer.mode is not Mode.KEYS:
            viewer.wanted = None
        elif viewer.lane is None and lane.source.history.newest_key is not None:
            self._begin(viewer, lane, now)
        else:
            viewer.wanted = lane
            self._edition.request_key_frame(self._mux.track_id(lane))

    def key_frame_for(self, viewer: Viewer) -> None:
        """A viewer cannot go on without a key frame: a new one is asked for, or waited for where
        one is near; else it is shown the pictures since the newest once more, once."""
        lane = viewer.lane
        if lane is None:
            return
        if self._asks():
            self._edition.request_key_frame(self._mux.track_id(lane))
        elif viewer.mode is Mode.LIVE:
            id_ = self._mux.track_id(lane)
            gaps = [seen.gop for seen in self._edition.track_statistics if seen.track.id == id_]
            if rerun(viewer, lane, gaps, trio.current_time()):
                self._newcomers.set()

    async def run(self) -> None:
        """Pump, reports and newcomers, until the edition ends or the task is cancelled."""
        try:
            with self.stopped:
                async with trio.open_nursery() as nursery:
                    await self._prime()
                    nursery.start_soon(self._report, name="webrtc reports")
                    nursery.start_soon(self._serve_newcomers, name="webrtc newcomers")
                    await self._pump()
                    nursery.cancel_scope.cancel()
        finally:
            self._say_goodbye()

    async def _prime(self) -> None:
        """Make history of what the ring has: the first viewer starts from it like all others."""
        now = trio.current_time()
        packets = self._edition.ring.read(self._seq)
        self._seq = self._edition.ring.head
        newest = packets[-1].dts if packets else 0
        for number, packet in enumerate(packets):
            # As if each had just come in its time: a clock may be others' too.
            for _ in self._mux.take(packet, now - max(0, newest - packet.dts) / US_PER_SECOND):
                pass
            if number % _PACKETISED_PER_HOLD == _PACKETISED_PER_HOLD - 1:
                await trio.lowlevel.checkpoint()
        self._mux.misfit = ""  # of a publisher before this one, whom nobody is shown
        self._primed = True
        for viewer in self.viewers:
            self.choose(viewer, now)

    async def _pump(self) -> None:
        ring = self._edition.ring
        with ring.listen(self._came):
            while not self.ending:
                if self._seq < ring.head:  # it came while the last was sent: others first
                    await trio.lowlevel.checkpoint()
                elif not ring.ended:
                    self._parked = True
                    await self._wake.park()
                if self._error is not None:
                    raise self._error
                if self._left:
                    plan, self._left = self._left, []
                    await self._send(plan)
                    continue
                if self._seq >= ring.head:
                    self._end("the stream has ended")
                elif self._seq < ring.tail:  # the loop stood still for longer than the ring holds
                    self._seq, _ = ring.start()
                await self._send(self._take())

    def _came(self, packets: Sequence[Packet]) -> None:
        """In the publisher's call: send what has come, or have the pump do it."""
        if not self._parked:
            return
        if packets and not any(packet.track.kind in self._kinds for packet in packets):
            self._seq += len(packets)  # all before them was taken, or it would not be parked
            return
        if len(self.viewers) < _RIDE_FROM and self._seq < self._edition.ring.head:
            with guarded(self._fail):
                plan = self._take()
                if not self.ending and (cost := weight(plan)) <= BURST:
                    for run, viewers in plan:
                        serve(run, iter(viewers), PACKETS_PER_HOLD)
                    self.packets += cost
                    return
                self._left = plan
        self._parked = False
        self._wake.unpark_all()

    def _end(self, reason: str) -> None:
        """That was all, for this reason, or one that is known already."""
        self.ending = self.ending or reason

    def _fail(self, error: BaseException) -> None:
        """A bug ends the feed, in its own task, and not the publisher."""
        self._error = error

    def _take(self) -> Plan:
        """Packetise what has arrived and note who gets it. The histories then have it all, so
        whoever joins while the plan is being sent starts behind it."""
        ring = self._edition.ring
        plan: Plan = []
        now = trio.current_time()
        for packet in ring.read(self._seq):
            for piece in self._mux.take(packet, now):
                if isinstance(piece, Picture):
                    self._show(piece, plan)
                else:
                    plan.append((piece.run, list(self.viewers)))
        self._seq = ring.head
        self.ending = self._mux.misfit or self.ending
        if ring.ended:
            plan.extend((sound.run, list(self.viewers)) for sound in self._mux.flush(now))
        return plan

    def _rides(self, lane: Lane | None) -> bool:
        """Worth holding sound back? With this lane only where nobody watches another."""
        if lane is None:
            return len(self.viewers) >= _RIDE_FROM
        return len(lane.members) >= _RIDE_FROM and all(
            other is lane or not other.members for other in self.lanes.values()
        )

    def _show(self, picture: Picture, plan: Plan) -> None:
        """Note who gets this frame, moving those who waited for a key frame of its lane."""
        lane = picture.lane
        skimming: list[Viewer] = []
        if picture.key:
            for viewer in self.viewers:
                if viewer.wanted is lane or (viewer.mode is Mode.WAITING and not viewer.wanted):
                    viewer.switches += viewer.numbering.begun
                    viewer.wanted = None
                    viewer.go_live(lane, picture.first)
                elif viewer.mode is Mode.KEYS and viewer.lane is lane:
                    viewer.skimmed(lane, picture.first, picture.count)
                    skimming.append(viewer)
        shared = [viewer for viewer in lane.members if viewer.numbering.shared]
        own = [viewer for viewer in lane.members if not viewer.numbering.shared]
        for run in picture.runs:
            plan.append((run, shared))
            plan.extend((viewer.own(run), [viewer]) for viewer in own + skimming)
        if picture.rider is not None:
            served = {*lane.members, *skimming}
            rest = [viewer for viewer in self.viewers if viewer not in served]
            plan.append((picture.rider.run, rest))

    async def _send(self, plan: Plan) -> None:
        budget = PACKETS_PER_HOLD
        for number, (run, viewers) in enumerate(plan, 1):
            cost = len(run.packets)
            burst = cost >= BURST and number < len(plan)
            begun = trio.current_time() if burst else 0.0
            budget = await serve_many(run, viewers, budget)
            self.packets += cost * len(viewers)
            if burst:
                passed = trio.current_time() - begun
                if passed < _BURST_SPACING:
                    await self._edition.pacer.rest(_BURST_SPACING - passed)
                    budget = PACKETS_PER_HOLD

    async def _serve_newcomers(self) -> None:
        """Bring those who catch up nearer to the live edge, step by step."""
        while True:
            await self._newcomers.wait()
            waiting = [viewer for viewer in self.viewers if viewer.catch_up is not None]
            if not waiting:
                self._newcomers = trio.Event()
                continue
            budget = PACKETS_PER_HOLD
            now = trio.current_time()
            for viewer in waiting:
                with guarded(partial(blame, viewer.peer)):
                    budget -= self._advance(viewer, now)
                if budget <= 0:
                    await trio.lowlevel.checkpoint()
                    budget = PACKETS_PER_HOLD
            await self._edition.pacer.rest(STEP)

    def _advance(self, viewer: Viewer, now: float) -> int:
        """One step of one newcomer; how many packets that were."""
        catch_up, lane = viewer.catch_up, viewer.lane
        if catch_up is None or lane is None:
            return 0  # it left, or went live, at a checkpoint
        if catch_up.lapped:
            viewer.leave_lane()
            viewer.wanted = lane
            self._edition.request_key_frame(self._mux.track_id(lane))
            return 0
        sent = 0
        for run in catch_up.step(now):
            viewer.send(viewer.own(run))
            sent += len(run.packets)
        if catch_up.done:
            viewer.arrived()
        self.packets += sent
        return sent

    async def _report(self) -> None:
        """Each second: sender reports to all, and a look at what each one's network carries."""
        mux = self._mux
        while True:
            await self._edition.pacer.rest(_REPORT_EVERY)
            now = trio.current_time()
            pts = mux.clock.pts(now)
            if pts is None:
                continue
            wall = time.time()
            tracks = self._edition.tracks
            reports: dict[Lane | None, bytes] = {}
            for number, viewer in enumerate(list(self.viewers), 1):
                if viewer in self.viewers:
                    lane = viewer.lane
                    if lane not in reports and (sources := mux.sources(lane)):
                        reports[lane] = sender_report(sources, mux.origin.cname, pts, wall)
                    with guarded(partial(blame, viewer.peer)):
                        if viewer.lacks and (reason := gained(tracks, viewer.lacks)):
                            viewer.peer.scope.cancel(reason)
                        if compound := reports.get(lane):
                            viewer.peer.send_rtcp(compound)
                        self.choose(viewer, now)
                if number % _REPORTS_PER_HOLD == 0:
                    await trio.lowlevel.checkpoint()

    def _say_goodbye(self) -> None:
        self._end("the stream was stopped")
        sources = self._mux.sources(next(iter(self.lanes.values()), None))
        if sources and not self._mux.origin.lasting:
            ssrcs = [source.ssrc for source in sources]
            compound = goodbye(ssrcs, self._mux.origin.cname, self.ending)
            for viewer in self.viewers:
                with guarded(partial(blame, viewer.peer)):
                    viewer.peer.send_rtcp(compound)
        self.done.set()

    def _begin(self, viewer: Viewer, lane: Lane, now: float) -> None:
        frame = lane.source.history.newest_key
        assert frame is not None
        viewer.wanted = None
        viewer.begin(lane, frame, now)
        self._newcomers.set()
