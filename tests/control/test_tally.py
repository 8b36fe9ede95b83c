"""Counters that outlive what counts."""

from __future__ import annotations

from livetrio.control.tally import Tally


def test_what_has_ended_keeps_its_part_and_what_began_anew_adds_to_it() -> None:
    tally = Tally()
    tally.look({"a": {"cuts": 3}, "b": {"cuts": 1}})
    tally.look({"a": {"cuts": 5}})
    assert tally.totals == {"cuts": 6}
    tally.look({"a": {"cuts": 2}})  # its worker died, and the next one counts from 0
    assert tally.totals == {"cuts": 8}
    tally.look({"b": {"cuts": 1, "late": 4}})
    assert tally.totals == {"cuts": 9, "late": 4}
