"""Every protocol's bytes <-> words: no socket, clock, log or task in here."""
