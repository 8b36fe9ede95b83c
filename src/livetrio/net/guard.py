"""The one broad `except` of the program: what ends a connection ends only that connection."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["guarded"]


@contextmanager
def guarded(blame: Callable[[BaseException], None]) -> Iterator[None]:
    """Run the block; whatever error leaves it is told to `blame`, and goes no further.

    Groups are told one by one. `except*` and not `except`: an error that arrives together with
    a cancellation (a group of both) is told, and the cancellation goes on.
    """
    try:
        yield
    except* Exception as errors:  # noqa: BLE001 - the one broad catch of the program
        for error in _leaves(errors):
            blame(error)


def _leaves(error: BaseException) -> list[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        return [leaf for inner in error.exceptions for leaf in _leaves(inner)]
    return [error]
