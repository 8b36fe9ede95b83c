"""A room under any sequence of commands, arrivals, losses and waits stays a consistent room."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from kit.rooms import Followed, consistent, user

from livetrio.errors import Refused
from livetrio.webrtc.rooms.actions import Action
from livetrio.webrtc.rooms.arrangement import Arrangement

USERS = ["anna", "bob", "carl", "dora", "emil"]
users = st.sampled_from(USERS)
ELSEWHERE = {Action.BATTLE, Action.END_BATTLE, Action.SCORE, Action.KEY, Action.END}
COMMANDS = [action.value for action in Action if action not in ELSEWHERE]
LAYOUTS = [
    None,
    Arrangement(),
    Arrangement(layout="custom", rectangles={"1": (0.0, 0.0, 0.5, 1.0)}),
    Arrangement(layout="custom", rectangles={"2": (0.0, 0.0, 0.5, 1.0)}, background="#ffffff"),
]


class Commanded(RuleBasedStateMachine):
    """Each step keeps its follower, who knows events only, where the room is."""

    @initialize(
        kind=st.sampled_from(["video", "voice"]), seats=st.integers(1, 4), free=st.booleans()
    )
    def open(self, kind: str, seats: int, free: bool) -> None:
        self.on = Followed(kind, seats=seats, free=free, applications=3)

    @rule(
        action=st.sampled_from(COMMANDS),
        by=users,
        roles=st.sampled_from([(), (), (), ("admin",), ("moderator",)]),
        whom=st.sampled_from(["", *USERS]),
        seat=st.integers(0, 5),
        to=st.integers(0, 5),
        medium=st.sampled_from(["microphone", "camera"]),
        behind=st.sampled_from([None, 0, 1, 5, -1]),
        key=st.sampled_from(["", "", "", "a", "b"]),
        layout=st.sampled_from(LAYOUTS),
        gain=st.sampled_from([0.0, 1.0, 4.0]),
    )
    def command(self, action, by, roles, whom, seat, to, medium, behind, key, layout, gain) -> None:
        state = self.on.room.state
        before, had = state.view(), state.version
        version = None if behind is None else max(0, state.version - behind)
        try:
            events = self.on.do(
                action, user(by, *roles),
                user=whom, seat=seat, to=to, medium=medium, version=version, key=key,
                arrangement=layout, gain=gain,
            )  # fmt: skip
        except Refused:
            assert state.view() == before  # refused is nothing done
        else:
            assert len(events) <= 1
            news = [event for event in events if event.version > had]
            assert state.version == had + len(news)
            assert bool(news) == (state.view() != before)

    @rule(name=users)
    def arrive(self, name: str) -> None:
        self.on.arrive(name)

    @rule(name=users)
    def lose(self, name: str) -> None:
        self.on.lose(name)

    @rule(seconds=st.sampled_from([0.0, 1.0, 20.0, 31.0, 301.0]))
    def wait(self, seconds: float) -> None:
        self.on.wait(seconds)
        assert self.on.room.deadline > self.on.now

    @rule()
    def end(self) -> None:
        if self.on.known["version"] > 20:  # not at once
            self.on.hear(self.on.room.end("closed", self.on.now))

    @invariant()
    def holds(self) -> None:
        if hasattr(self, "on"):
            consistent(self.on.room, self.on.known)


TestCommanded = Commanded.TestCase
TestCommanded.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
