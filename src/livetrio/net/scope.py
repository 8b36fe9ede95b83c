"""Scope: a named place in the nursery tree that can be listed, counted and cancelled.

A scope is a nursery with a name. Tasks are not registered anywhere: they are read from Trio's
own task tree when somebody asks. So listing costs nothing while nobody looks, and a task that
was forgotten would still be seen.
"""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Collection, Iterable
from contextvars import ContextVar
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final

import trio

__all__ = ["Ended", "Scope", "ScopeInfo", "current_scope", "end_scopes", "open_scope", "tree"]

_NOBODY: Final[frozenset[Scope]] = frozenset()
_current: ContextVar[Scope | None] = ContextVar("livetrio_scope", default=None)


class Scope:
    """One named nursery. Made by `open_scope` only."""

    __slots__ = (
        "_children",
        "_gone",
        "_id",
        "aside",
        "files",
        "gone",
        "kind",
        "name",
        "nursery",
        "parent",
        "reason",
        "sockets",
        "started",
    )

    def __init__(
        self, kind: str, name: str, parent: Scope | None, nursery: trio.Nursery, started: float
    ) -> None:
        self._id = ""
        self.kind = kind
        self.name = name
        self.parent = parent
        self.nursery = nursery
        self.started = started
        self._children: set[Scope] | None = None  # most are leaves, and a set takes 216 bytes
        self.sockets = 0
        self.files = 0
        self.reason = ""
        self.aside = False
        """Holds tasks that are started into it; the code that opened it is not one of them."""
        self.gone = False
        self._gone: trio.Event | None = None

    @property
    def id(self) -> str:
        """Unguessable, made when first asked for: most scopes end without being looked at."""
        if not self._id:
            self._id = secrets.token_urlsafe(9)
        return self._id

    @property
    def children(self) -> Collection[Scope]:
        """Scopes opened directly below this one and not yet left."""
        return self._children if self._children is not None else _NOBODY

    def cancel(self, reason: str) -> None:
        """End everything in here; the first reason given is the one that is kept."""
        if not self.reason:
            self.reason = reason
        self.nursery.cancel_scope.cancel()

    async def wait_closed(self) -> None:
        """Return when everything in here is gone."""
        if not self.gone:
            if self._gone is None:
                self._gone = trio.Event()
            await self._gone.wait()

    def entered(self) -> None:
        """Called once, by `open_scope`."""
        if self.parent is not None:
            if self.parent._children is None:
                self.parent._children = set()
            self.parent._children.add(self)

    def left(self) -> None:
        """Called once, by `open_scope`, when the nursery is empty."""
        self.gone = True
        if self.parent is not None and self.parent._children is not None:
            self.parent._children.discard(self)
        if self._gone is not None:
            self._gone.set()

    def walk(self) -> Iterable[Scope]:
        """This scope and all below it."""
        yield self
        for child in self.children:
            yield from child.walk()


class open_scope:
    """`async with open_scope(kind, name) as scope:` opens a scope below the current one; leaving
    the block cancels what still runs in it.

    A task inherits its current scope from whoever started it; one that was started into
    another scope's nursery names its parent.

    aside: the block itself goes on in the scope it was in; only what is started into this
    scope's nursery belongs to it.

    A class and not an asynchronous generator: every connection is inside of one, and this takes
    900 bytes less.
    """

    __slots__ = ("_aside", "_kind", "_manager", "_name", "_parent", "_scope", "_token")

    def __init__(
        self, kind: str, name: str, *, parent: Scope | None = None, aside: bool = False
    ) -> None:
        self._kind = kind
        self._name = name
        self._parent = parent
        self._aside = aside

    async def __aenter__(self) -> Scope:
        parent = self._parent or _current.get()
        self._manager = trio.open_nursery()
        nursery = await self._manager.__aenter__()
        self._scope = scope = Scope(self._kind, self._name, parent, nursery, trio.current_time())
        scope.aside = self._aside
        scope.entered()
        self._token = _current.set(parent if self._aside else scope)
        return scope

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        _current.reset(self._token)
        self._scope.nursery.cancel_scope.cancel()
        try:
            return await self._manager.__aexit__(kind, error, traceback)
        finally:
            self._scope.left()


def current_scope() -> Scope:
    """The scope the running task belongs to. RuntimeError outside of any."""
    scope = _current.get()
    if scope is None:
        raise RuntimeError("not inside open_scope()")
    return scope


@dataclass(frozen=True, slots=True)
class Ended:
    """What was closed when scopes were ended from outside."""

    scopes: int
    tasks: int
    sockets: int
    files: int
    milliseconds: float


async def end_scopes(scopes: Iterable[Scope], reason: str) -> Ended:
    """Cancel scopes and return when everything below them is gone."""
    begun = trio.current_time()
    tops = list(scopes)
    every = {scope for top in tops for scope in top.walk()}
    tasks = _tasks_by_scope(every)
    sockets = sum(scope.sockets for scope in every)
    files = sum(scope.files for scope in every)
    count = sum(tasks[scope] for scope in every)
    for scope in tops:
        scope.cancel(reason)
    for scope in tops:
        await scope.wait_closed()
    milliseconds = (trio.current_time() - begun) * 1000
    return Ended(len(every), count, sockets, files, round(milliseconds, 3))


@dataclass(frozen=True, slots=True)
class ScopeInfo:
    """One node of the living tree, as shown to operators."""

    id: str
    kind: str
    name: str
    age: float
    """Seconds since the scope was opened."""
    tasks: int
    """Tasks of this scope itself, without those of its children."""
    sockets: int
    files: int
    children: list[ScopeInfo] = field(default_factory=list)


def tree(root: Scope) -> ScopeInfo:
    """The scope tree below root as it is at this moment."""
    tasks = _tasks_by_scope(root.walk())
    now = trio.current_time()

    def info(scope: Scope) -> ScopeInfo:
        children = sorted(scope.children, key=lambda child: child.started)
        return ScopeInfo(
            id=scope.id,
            kind=scope.kind,
            name=scope.name,
            age=round(now - scope.started, 3),
            tasks=tasks[scope],
            sockets=scope.sockets,
            files=scope.files,
            children=[info(child) for child in children],
        )

    return info(root)


def _tasks_by_scope(every: Iterable[Scope]) -> Counter[Scope]:
    """Count Trio's tasks by the innermost scope that each has open or was started in."""
    owners = {scope.nursery: scope for scope in every}
    counts: Counter[Scope] = Counter()
    root = trio.lowlevel.current_root_task()
    pending: list[tuple[trio.lowlevel.Task, Scope | None]] = [(root, None)] if root else []
    while pending:
        task, scope = pending.pop()
        for nursery in task.child_nurseries:  # outermost first
            owner = owners.get(nursery, scope)
            pending.extend((child, owner) for child in nursery.child_tasks)
            if owner is None or not owner.aside:
                scope = owner
        if scope is not None:
            counts[scope] += 1
    return counts
