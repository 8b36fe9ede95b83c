"""Table: the API's operations as data, from which both the routes and the OpenAPI document come.

One source, so that the document cannot drift from what is served.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, cast

from quart_trio import QuartTrio
from quart_trio.wrappers import TrioResponse as Response

__all__ = ["ANY_METHOD", "Answer", "Handler", "Operation", "Parameter", "register"]

Schema = Mapping[str, Any]
Handler = Callable[..., Awaitable[Response]]
Listener = Callable[[], Awaitable[None]]

ANY_METHOD = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
"""livego's handlers never look at the method."""
_PATHS = frozenset({"name", "path"})
"""Path parameters that may hold slashes."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of the path or the query."""

    name: str
    description: str
    where: Literal["path", "query"] = "query"
    schema: Schema = field(default_factory=lambda: {"type": "string"})
    required: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """One kind of answer."""

    description: str
    schema: Schema | None = None
    media: str = "application/json"


@dataclass(frozen=True, slots=True)
class Operation:
    """One path and what it does for some methods."""

    path: str
    """As OpenAPI writes it: /v1/streams/{app}/{name}."""
    methods: tuple[str, ...]
    summary: str
    handler: Handler | Listener
    tag: str
    answers: Mapping[int, Answer]
    description: str = ""
    parameters: tuple[Parameter, ...] = ()
    body: Schema | None = None
    """JSON schema of the request's body."""
    forms: bool = True
    """Does a form with the same fields do as well?"""
    websocket: bool = False
    """Is the handler a Listener, not a Handler?"""
    protected: bool = True
    """Does it ask for a token, where tokens are configured?"""
    keyed: bool = False
    """Does it ask for a key of its own instead?"""

    @property
    def rule(self) -> str:
        """The path as Quart writes it."""
        return re.sub(r"{(\w+)}", _converter, self.path)

    @property
    def name(self) -> str:
        """Unique among the operations: "get /v1/streams"."""
        return f"{self.methods[0].lower()} {self.path}"


def register(app: QuartTrio, operations: Sequence[Operation]) -> None:
    """Serve these operations."""
    for operation in operations:
        if operation.websocket:
            app.add_websocket(operation.rule, operation.name, cast("Listener", operation.handler))
        else:
            app.add_url_rule(
                operation.rule,
                operation.name,
                cast("Handler", operation.handler),
                methods=list(operation.methods),
                provide_automatic_options=False,
            )


def _converter(match: re.Match[str]) -> str:
    name = match[1]
    return f"<path:{name}>" if name in _PATHS else f"<{name}>"
