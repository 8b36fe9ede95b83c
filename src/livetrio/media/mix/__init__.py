"""The composed stream: everything in a room mixed into one sound and one picture."""
