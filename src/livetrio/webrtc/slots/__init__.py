"""Receiving a whole room over one session: a few slots, offered once, that show seats in turn."""
