"""The one broad `except` of the program: what ends a connection ends only that connection."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType

__all__ = ["guarded"]


class guarded:
    """Run the block; whatever error leaves it is told to `blame`, and goes no further.

    Groups are told one by one. An error that arrives together with a cancellation (a group of
    both) is told, and the cancellation goes on. A class and not a generator: every connection
    is inside of two, and a generator with its context manager takes 400 bytes.
    """

    __slots__ = ("_blame",)

    def __init__(self, blame: Callable[[BaseException], None]) -> None:
        self._blame = blame

    def __enter__(self) -> None:
        return None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        told: BaseException | None = error if isinstance(error, Exception) else None
        rest: BaseException | None = None
        if isinstance(error, BaseExceptionGroup):
            told, rest = error.split(Exception)
        if told is None:
            return False
        for leaf in _leaves(told):
            self._blame(leaf)
        if rest is not None:
            raise rest from None
        return True


def _leaves(error: BaseException) -> list[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        return [leaf for inner in error.exceptions for leaf in _leaves(inner)]
    return [error]
