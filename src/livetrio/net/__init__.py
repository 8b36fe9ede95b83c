"""Sockets: listeners, the one connection guard, outboxes and the fan-out."""
