"""The operator's face, on api_addr: livego's API, /v1, metrics, health, and the console."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus

from quart import Request, redirect, request, websocket
from quart_trio import QuartTrio
from quart_trio.wrappers import TrioResponse as Response
from werkzeug.exceptions import HTTPException

from livetrio.control.answers import json_answer, problem, problem_of
from livetrio.control.context import ControlContext
from livetrio.control.events import EventsApi
from livetrio.control.guard import Guard
from livetrio.control.livego import LivegoApi
from livetrio.control.metrics import MetricsApi
from livetrio.control.openapi import openapi_document
from livetrio.control.pages import add_pages, file_below
from livetrio.control.rest import Rest
from livetrio.control.table import Answer, Operation, Parameter, register
from livetrio.errors import Refused

__all__ = ["bare_app", "operator_app"]

_MAX_BODY = 64 << 10
"""Bytes of a request; the longest honest one is a relay's URL."""
_BODY_TIMEOUT = 10
"""Seconds until a body has arrived."""


def bare_app() -> QuartTrio:
    """An application without routes, with our bounds and our words for errors."""
    app = QuartTrio("livetrio.control", static_folder=None, template_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = _MAX_BODY
    app.config["BODY_TIMEOUT"] = _BODY_TIMEOUT
    app.url_map.merge_slashes = False
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(Refused, _refused)
    return app


def operator_app(context: ControlContext, others: Sequence[Operation] = ()) -> QuartTrio:
    """The application for api_addr.

    others: operations of services that the context does not know.
    """
    app = bare_app()
    node = _Node(context)
    operations = [
        *LivegoApi(context).operations(),
        *Rest(context).operations(),
        *EventsApi(context).operations(),
        *MetricsApi(context).operations(),
        *others,
        *node.operations(),
    ]
    node.document = openapi_document(operations)
    register(app, operations)
    pages = {"/console/": "console/index.html", "/docs": "docs/index.html"}
    # where snapshots come from
    media = [context.bound[name] for name in ("httpflv", "hls") if name in context.bound]
    unprotected = add_pages(app, pages, media)

    async def home() -> Response:
        answer = redirect("/console/", 302)
        assert isinstance(answer, Response)
        return answer

    app.add_url_rule("/", "page home", home, methods=["GET"])
    unprotected += ["page home", *(o.name for o in operations if not o.protected)]
    keyed = [o.name for o in operations if o.keyed]
    guard = Guard(context.config, unprotected=unprotected, keyed=keyed)

    @app.before_request
    async def _before_request() -> Response | None:
        return guard.refusal(request)

    @app.before_websocket
    async def _before_websocket() -> Response | None:
        return guard.refusal(websocket)

    @app.after_request
    async def _after_request(response: Response) -> Response:
        return guard.finish(request, response)

    return app


class _Node:
    """Handlers that concern the node itself."""

    def __init__(self, context: ControlContext) -> None:
        self._context = context
        self.document: dict[str, object] = {}

    def operations(self) -> list[Operation]:
        """For the table."""
        get = ("GET", "HEAD")
        ok = {200: Answer("yes", {"type": "object"})}
        unready = {503: Answer("not yet, or no longer", {"type": "object"})}
        path = (Parameter("path", "file", "path", required=True),)
        file = {200: Answer("the file", {}, "*/*"), 404: Answer("there is none")}
        return [
            Operation("/healthz", get, "Alive?", self.healthz, "node", ok, protected=False),
            Operation(
                "/readyz", get, "Ready for work?", self.readyz, "node", ok | unready,
                protected=False,
            ),
            Operation("/openapi.json", get, "This document", self.openapi, "node", ok),
            Operation(
                "/statics/{path}", get, "Files of the folder statics", self.file, "livego", file,
                parameters=path,
            ),
        ]  # fmt: skip

    async def healthz(self) -> Response:
        """GET /healthz: whoever can answer is alive."""
        return json_answer({"status": "ok"})

    async def readyz(self) -> Response:
        """GET /readyz"""
        if self._context.ready():
            return json_answer({"status": "ready"})
        return json_answer({"status": "not ready"}, 503)

    async def openapi(self) -> Response:
        """GET /openapi.json"""
        return json_answer(self.document)

    async def file(self, path: str) -> Response:
        """GET /statics/{path}: never a folder's listing."""
        response = await file_below(self._context.statics, path)
        # Somebody's files on the operator's origin: they may not run as its pages.
        response.headers["Content-Security-Policy"] = "sandbox"
        return response


async def _http_error(error: HTTPException) -> Response:
    status = error.code or 500
    asked: Request = request
    if asked.path.startswith("/v1/"):
        answer = problem(status, error.description or HTTPStatus(status).phrase)
    else:
        text = f"{status} {HTTPStatus(status).phrase}\n"
        answer = Response(text, status, content_type="text/plain; charset=utf-8")
    if error.response is None:
        for name, value in error.get_headers():
            if name in {"Allow", "Retry-After"}:
                answer.headers[name] = value
    return answer


async def _refused(refusal: Refused) -> Response:
    return problem_of(refusal)
