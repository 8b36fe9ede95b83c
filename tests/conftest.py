"""What every test of livetrio has: Hypothesis without a stopwatch."""

from __future__ import annotations

from hypothesis import settings

# a loaded machine must not fail a test: what is slow belongs in bench/
settings.register_profile("livetrio", deadline=None)
settings.load_profile("livetrio")
