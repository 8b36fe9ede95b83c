"""The parts of the composition root, one for each service; app.py puts them together."""
