"""The OpenAPI document describes what is served, all of it and nothing else."""

from __future__ import annotations

import re

import pytest
from kit.control import body_of, control

from livetrio.control.operator import operator_app

PAGES = {"/", "/console/", "/docs", "/assets/{path}"}


async def document(parts):
    return await body_of(await operator_app(parts.context).test_client().get("/openapi.json"))


async def test_every_route_is_described_and_every_description_is_a_route() -> None:
    async with control() as parts:
        described = await document(parts)
        rules = operator_app(parts.context).url_map.iter_rules()
        routes = {re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule): rule for rule in rules}
        assert set(described["paths"]) == set(routes) - PAGES


async def test_every_described_method_is_served() -> None:
    async with control() as parts:
        client = operator_app(parts.context).test_client()
        for path, item in (await document(parts))["paths"].items():
            for method in item:
                if path == "/v1/events":
                    continue
                filled = re.sub(r"{\w+}", "x", path)
                response = await client.open(filled, method=method.upper())
                assert response.status_code != 405, (method, path)
                statuses = {*item[method]["responses"], "404", "400"}
                assert str(response.status_code) in statuses, (method, path)


async def test_the_document_is_valid_openapi_3_1_in_what_matters() -> None:
    async with control() as parts:
        described = await document(parts)
    assert described["openapi"] == "3.1.0"
    ids = [op["operationId"] for item in described["paths"].values() for op in item.values()]
    assert len(ids) == len(set(ids))
    for path, item in described["paths"].items():
        for operation in item.values():
            assert operation["responses"]
            named = {p["name"] for p in operation.get("parameters", []) if p["in"] == "path"}
            assert named == set(re.findall(r"{(\w+)}", path))
            for response in operation["responses"].values():
                assert response["description"]


@pytest.mark.parametrize("path", ["/v1/streams/{app}/{name}", "/v1/relays"])
async def test_paths_with_several_methods_have_them_all(path: str) -> None:
    async with control() as parts:
        item = (await document(parts))["paths"][path]
    assert len(item) == 2
