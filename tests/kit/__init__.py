"""Helpers of the tests; the one place for them."""
