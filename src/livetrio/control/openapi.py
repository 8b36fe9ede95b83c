"""The OpenAPI 3.1 document, built from the same table that the routes come from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from livetrio import __version__
from livetrio.control.table import Operation, Parameter

__all__ = ["openapi_document"]

Json = dict[str, Any]


def openapi_document(operations: Sequence[Operation]) -> Json:
    """The document for these operations.

    An operation for any method is described as GET and POST, which is how people call livego.
    """
    paths: dict[str, Json] = {}
    for operation in operations:
        item = paths.setdefault(operation.path, {})
        for method in ("get", "post", "delete"):
            if method.upper() in operation.methods:
                if method == "delete" and "GET" in operation.methods:
                    continue
                item[method] = _operation(operation, method)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "livetrio",
            "version": __version__,
            "description": "The operator's API: livego's own and /v1.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        "security": [{}, {"bearer": []}, {"query": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
                "query": {"type": "apiKey", "in": "query", "name": "jwt"},
            }
        },
    }


def _operation(operation: Operation, method: str) -> Json:
    described: Json = {
        "operationId": f"{method} {operation.path}",
        "summary": operation.summary,
        "tags": [operation.tag],
        "responses": {
            str(status): _response(answer.description, answer.schema, answer.media)
            for status, answer in sorted(operation.answers.items())
        },
    }
    if operation.description:
        described["description"] = operation.description
    if operation.parameters:
        described["parameters"] = [_parameter(parameter) for parameter in operation.parameters]
    if operation.body is not None:
        content = {"schema": operation.body}
        forms = ["application/x-www-form-urlencoded"] if operation.forms else []
        kinds = dict.fromkeys(["application/json", *forms], content)
        described["requestBody"] = {"required": True, "content": kinds}
    if not operation.protected:
        described["security"] = []
    return described


def _response(description: str, schema: object, media: str) -> Json:
    response: Json = {"description": description}
    if schema is not None:
        response["content"] = {media: {"schema": schema}}
    return response


def _parameter(parameter: Parameter) -> Json:
    return {
        "name": parameter.name,
        "in": parameter.where,
        "description": parameter.description,
        "required": parameter.required,
        "schema": parameter.schema,
    }
