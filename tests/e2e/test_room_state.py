"""The room page's state, run by Node: events in any order lead to what the server has."""

from __future__ import annotations

import json
import re
import subprocess
from typing import Any

import pytest
from kit.programs import find
from kit.rooms import Followed

from livetrio.control.pages import STATIC

pytestmark = pytest.mark.e2e

FOLLOW = """
import { RoomState } from "%s";
const { answers, heard } = JSON.parse(process.argv[1]);
let asked = 0;
const pending = [];
const state = new RoomState(
  () => new Promise((done) => pending.push(() => done(structuredClone(answers[asked++])))),
  () => {},
);
for (const step of heard) {
  if (step === "sync") state.sync();
  else if (step === "answer") pending.shift()();
  else state.hear(step);
  await new Promise((done) => setImmediate(done));
}
console.log(JSON.stringify({ state: state.state, asked, waiting: pending.length }));
"""


def followed(answers: list[Any], heard: list[Any]) -> dict[str, Any]:
    """Let the page's module hear these events; "sync" asks for the state, "answer" answers that.

    Returns:
        state as it is known then, how often it was asked for, how many answers are awaited.
    """
    code = FOLLOW % (STATIC / "room" / "state.js").as_uri()
    words = json.dumps({"answers": answers, "heard": heard})
    argv = [find("node"), "--input-type=module", "-e", code, words]
    return json.loads(subprocess.run(argv, capture_output=True, check=True, timeout=30).stdout)


class Told:
    """A room, and what it says of itself: a state and an event for each version."""

    def __init__(self) -> None:
        room = Followed("video", free=True)
        self.states = [self._copy(room.known)]
        for action, who, fields in (
            ("take", "bob", {}),
            ("mute", "bob", {"medium": "camera"}),
            ("lock", "anna", {"seat": 3}),
            ("leave", "bob", {}),
        ):
            room.do(action, who, **fields)
            self.states.append(self._copy(room.known))
        self.events = [event.view() for event in room.events]

    @staticmethod
    def _copy(value: Any) -> Any:
        return json.loads(json.dumps(value))


@pytest.fixture(scope="module")
def told() -> Told:
    return Told()


def test_events_after_the_state_lead_to_the_state_of_the_room(told: Told) -> None:
    seen = followed([told.states[0]], ["sync", "answer", *told.events[1:]])
    assert seen == {"state": told.states[-1], "asked": 1, "waiting": 0}


@pytest.mark.parametrize("known", range(5))
def test_what_came_while_the_state_was_fetched_is_applied_once(told: Told, known: int) -> None:
    seen = followed([told.states[known]], ["sync", *told.events, "answer"])
    assert seen == {"state": told.states[-1], "asked": 1, "waiting": 0}


def test_old_events_change_nothing(told: Told) -> None:
    seen = followed([told.states[-1]], ["sync", "answer", *told.events, *told.events])
    assert seen == {"state": told.states[-1], "asked": 1, "waiting": 0}


def test_after_a_gap_the_state_is_fetched_again(told: Told) -> None:
    heard = ["sync", "answer", told.events[1], told.events[3], told.events[4], "answer"]
    seen = followed([told.states[0], told.states[-1]], heard)
    assert seen == {"state": told.states[-1], "asked": 2, "waiting": 0}


def test_an_event_of_another_life_of_the_room_has_the_state_fetched(told: Told) -> None:
    other = {**told.events[1], "life": "second"}
    reopened = {**told.states[0], "life": "second"}
    seen = followed([told.states[2], reopened], ["sync", "answer", other, "answer"])
    assert seen == {"state": reopened, "asked": 2, "waiting": 0}


def test_events_that_overtake_the_answer_do_not_let_it_turn_back_time(told: Told) -> None:
    heard = ["sync", "answer", told.events[1], "sync", *told.events[2:], "answer"]
    seen = followed([told.states[0], told.states[1]], heard)
    assert seen == {"state": told.states[-1], "asked": 2, "waiting": 0}


def test_the_fetched_state_is_believed_whatever_version_was_believed_before(told: Told) -> None:
    nonsense = {**told.events[1], "changes": {"version": 9e15, "seats": {"1": None}}}
    heard = ["sync", "answer", nonsense, "sync", told.events[3], "answer", told.events[4]]
    seen = followed([told.states[0], told.states[2]], heard)
    assert seen == {"state": told.states[-1], "asked": 2, "waiting": 0}


@pytest.mark.parametrize("user", ["__proto__", "constructor", "toString", "hasOwnProperty"])
def test_users_may_have_the_names_of_what_every_object_has(told: Told, user: str) -> None:
    code = """
    import { RoomState, nameIn, rights } from "%s";
    const { state, event, user } = JSON.parse(process.argv[1]);
    const room = new RoomState(async () => structuredClone(state), () => {});
    await room.sync();
    const look = () => [
      Object.entries(room.state.applications), Boolean(room.state.applications[user]),
      rights(room.state, user, []).staff, nameIn(room.state, user),
    ];
    const before = look();
    room.hear(event);
    const during = look();
    room.hear({ ...event, version: event.version + 1, changes:
      JSON.parse(`{"version": ${event.version + 1}, "applications": {"${user}": null}}`) });
    console.log(JSON.stringify([before, during, look()]));
    """
    state = {**told.states[0], "applications": {}, "managers": {}}
    version = state["version"] + 1
    applicant = {"name": "Eve", "ticket": 1}
    changes = {"version": version, "applications": {user: applicant}}
    event = {"life": state["life"], "version": version, "changes": changes}
    words = json.dumps({"state": state, "event": event, "user": user})
    module = (STATIC / "room" / "state.js").as_uri()
    argv = [find("node"), "--input-type=module", "-e", code % module, words]
    done = subprocess.run(argv, capture_output=True, check=True, timeout=30)
    before, during, after = json.loads(done.stdout)
    assert before == after == [[], False, False, user]
    assert during == [[[user, applicant]], True, False, "Eve"]


def test_what_is_not_numbered_replaces_what_it_is_about(told: Told) -> None:
    words = {"life": "first", "version": 1}
    speaking = {**words, "type": "room.speaking", "seats": [1]}
    slots = {**words, "type": "room.slots", "slots": {"audio": [2, None]}}
    strange = [None, 5, "x", [], {}, {"type": "chat", "text": "hi"}, {"changes": 5}]
    seen = followed([told.states[0]], ["sync", "answer", *strange, speaking, slots])
    assert seen["state"] == {**told.states[0], "speaking": [1], "slots": {"audio": [2, None]}}
    assert seen["asked"] == 1


HEAR = """
const t = String, keptToken = String, becomeGuest = String, describe = String, forgetToken = String;
class Silent {
  constructor() {
    return new Proxy(this, { get: (_, name) => (name === "root" ? {} : () => {}) });
  }
}
const ChatPanel = Silent, Danmaku = Silent;
const subscription = { on(name, hear) { this[name] = hear; }, subscribe() {} };
globalThis.Centrifuge = class {
  on() {}
  connect() {}
  newSubscription() { return subscription; }
};
globalThis.location = { protocol: "http:", hostname: "localhost" };
%s
const heard = [];
const chat = new Chat({}, {}, { onevent: (data) => heard.push(data) });
chat.enter({ app: "live", name: "talk" }, { port: 1, tls: false });
for (const publication of JSON.parse(process.argv[1])) subscription.publication(publication);
console.log(JSON.stringify(heard));
"""


def test_what_has_an_author_is_no_event_of_the_room(told: Told) -> None:
    said, event = told.events[1:3]
    publications = [
        {"data": said, "info": {"client": "x", "user": "mallory"}},
        {"data": said, "info": {"client": "x", "user": ""}},
        {"data": event, "offset": 1},
    ]
    chat = (STATIC / "player" / "chat.js").read_text()
    alone = re.sub(r"^(import .*;|export )", "", chat, flags=re.MULTILINE)
    argv = [find("node"), "--input-type=module", "-e", HEAR % alone, json.dumps(publications)]
    done = subprocess.run(argv, capture_output=True, check=True, timeout=30)
    assert json.loads(done.stdout) == [event]
