"""The guard: errors are told and go no further; cancellations go on."""

from __future__ import annotations

import pytest
import trio

from livetrio.net.guard import guarded


def test_an_error_is_told_and_goes_no_further():
    told: list[BaseException] = []
    error = ValueError("broken")
    with guarded(told.append):
        raise error
    assert told == [error]


def test_a_group_is_told_error_by_error():
    told: list[BaseException] = []
    with guarded(told.append):
        raise ExceptionGroup("", [OSError(1), ExceptionGroup("", [ValueError(2), OSError(3)])])
    assert [type(error) for error in told] == [OSError, ValueError, OSError]


def test_what_is_no_error_goes_on():
    told: list[BaseException] = []
    with pytest.raises(KeyboardInterrupt), guarded(told.append):
        raise KeyboardInterrupt
    assert told == []


async def test_an_error_that_comes_with_a_cancellation_is_told_and_the_cancellation_goes_on():
    told: list[BaseException] = []

    async def stubborn() -> None:
        try:
            await trio.sleep_forever()
        finally:
            raise ValueError("on the way out")

    with trio.CancelScope() as scope:
        with guarded(told.append):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(stubborn)
                nursery.start_soon(trio.sleep_forever)
                await trio.lowlevel.checkpoint()
                scope.cancel()
                await trio.sleep_forever()
        pytest.fail("the cancellation was swallowed")
    assert [str(error) for error in told] == ["on the way out"]
    assert scope.cancelled_caught
