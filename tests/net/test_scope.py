"""Scopes: named places in the nursery tree."""

from __future__ import annotations

import trio
import trio.testing

from livetrio.net.scope import current_scope, end_scopes, open_scope, tree


async def test_leaving_a_scope_cancels_what_still_runs_in_it():
    ended = trio.Event()

    async def worker() -> None:
        try:
            await trio.sleep_forever()
        finally:
            ended.set()

    async with open_scope("server", "root") as scope:
        scope.nursery.start_soon(worker)
        await trio.testing.wait_all_tasks_blocked()
    assert ended.is_set()


async def test_an_error_in_a_scope_comes_out_of_it_and_the_tree_forgets_it():
    async with open_scope("server", "root") as root:
        try:
            async with open_scope("stream", "live/movie"):
                raise ValueError("broken")
        except* ValueError:
            pass
        assert root.children == set()


async def test_the_tree_shows_scopes_with_their_tasks_and_sockets():
    async def connection(task_status: trio.TaskStatus[None]) -> None:
        async with open_scope("connection", "rtmp 192.0.2.1:4242") as scope:
            scope.sockets = 1
            scope.nursery.start_soon(trio.sleep_forever)
            task_status.started()
            await trio.sleep_forever()

    async with open_scope("server", "root") as root:
        await root.nursery.start(connection)
        info = tree(root)
        assert (info.kind, info.name, info.tasks) == ("server", "root", 1)
        (child,) = info.children
        assert (child.name, child.tasks, child.sockets) == ("rtmp 192.0.2.1:4242", 2, 1)


async def test_a_task_started_into_another_scope_is_counted_where_it_runs():
    async with open_scope("server", "root") as root:
        async with open_scope("stream", "a") as first, open_scope("stream", "b"):
            first.nursery.start_soon(trio.sleep_forever)  # started by code inside of b
            names = {scope.name: scope.tasks for scope in _flat(tree(root))}
    assert names == {"root": 0, "a": 1, "b": 1}  # b holds the running test itself


async def test_a_scope_set_aside_holds_what_is_started_into_it_and_not_who_opened_it():
    async with open_scope("server", "root") as root:
        async with open_scope("registry", "streams", aside=True) as streams:
            streams.nursery.start_soon(trio.sleep_forever)
            async with open_scope("listener", "rtmp"):
                info = tree(root)
    assert [(child.name, child.tasks) for child in info.children] == [("streams", 1), ("rtmp", 1)]
    assert info.tasks == 0


async def test_ending_scopes_answers_when_all_below_is_gone_with_the_counts():
    gone = []

    async def child(name: str, task_status: trio.TaskStatus[object]) -> None:
        async with open_scope("connection", name) as scope:
            scope.sockets = 1
            try:
                task_status.started(scope)
                await trio.sleep_forever()
            finally:
                with trio.CancelScope(shield=True):
                    await trio.lowlevel.checkpoint()
                    gone.append(name)

    async with open_scope("server", "root") as root:
        scopes = [await root.nursery.start(child, name) for name in "ab"]
        ended = await end_scopes(scopes, "operator")
        assert sorted(gone) == ["a", "b"]
        assert (ended.scopes, ended.tasks, ended.sockets) == (2, 2, 2)
        assert scopes[0].reason == "operator"
        # Again: nothing is left to be ended, and nobody waits for ever.
        with trio.fail_after(5):
            again = await end_scopes(scopes, "operator")
        assert (again.tasks, again.milliseconds) == (0, again.milliseconds)


async def test_the_first_reason_given_for_a_cancellation_is_kept():
    async with open_scope("server", "root") as scope:
        scope.cancel("kicked")
        scope.cancel("shutdown")
        assert scope.reason == "kicked"
        assert current_scope() is scope


def test_outside_of_any_scope_there_is_no_current_one():
    import pytest

    with pytest.raises(RuntimeError):
        current_scope()


def _flat(info):
    yield info
    for child in info.children:
        yield from _flat(child)
