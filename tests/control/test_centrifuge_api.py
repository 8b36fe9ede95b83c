"""Centrifugo's server API over HTTP: the key, the two ways to call, and what is no call."""

from __future__ import annotations

import json

import pytest
import trio
from kit.centrifuge import centrifuge
from kit.logs import lines
from quart_trio import QuartTrio

from livetrio.control.centrifuge_api import centrifuge_operations
from livetrio.control.openapi import openapi_document
from livetrio.control.operator import bare_app
from livetrio.control.table import register
from livetrio.im.centrifuge_api import METHODS

KEY = {"X-API-Key": "key of the back ends"}


def app_of(here, key: str = KEY["X-API-Key"]) -> QuartTrio:
    app = bare_app()
    register(app, centrifuge_operations(here.api, key))
    return app


async def call(app: QuartTrio, path: str, body: bytes | str, headers=KEY) -> tuple[int, dict]:
    response = await app.test_client().post(path, data=body, headers=headers)
    return response.status_code, json.loads(await response.get_data())


async def test_a_call_is_answered_with_its_result_or_its_error():
    async with centrifuge() as here:
        app = app_of(here)
        status, answer = await call(app, "/api/publish", '{"channel":"a","data":{"x":"早"}}')
        assert (status, answer["result"]["offset"]) == (200, 1)
        status, answer = await call(app, "/api/history", '{"channel":"a","limit":1}')
        assert answer["result"]["publications"] == [{"data": {"x": "早"}, "offset": 1}]
        status, answer = await call(app, "/api/publish", "{}")
        assert (status, answer) == (200, {"error": {"code": 107, "message": "channel is required"}})
        status, answer = await call(app, "/api/info", "")
        assert len(answer["result"]["nodes"]) == 1


async def test_the_older_way_names_the_method_in_the_body():
    async with centrifuge() as here:
        app = app_of(here)
        body = json.dumps({"method": "presence_stats", "params": {"channel": "a"}})
        assert (await call(app, "/api", body))[1]["result"] == {"num_clients": 0, "num_users": 0}
        for body in ("{}", '{"method":5}', '{"method":"_batch"}'):
            assert (await call(app, "/api", body))[1]["error"]["code"] == 104


async def test_the_key_may_stand_in_either_header_and_must_be_right(caplog):
    async with centrifuge() as here:
        app = app_of(here)
        good = {"Authorization": f"apikey {KEY['X-API-Key']}"}
        assert (await call(app, "/api/info", "", good))[0] == 200
        for bad in (
            {},
            {"X-API-Key": "guess"},
            {"Authorization": "Bearer x"},
            {"X-API-Key": "ключ"},
        ):
            assert (await call(app, "/api/info", "", bad))[0] == 401
        assert "key of the back ends" not in str(lines(caplog))
        unset = app_of(here, "")
        status, answer = await call(unset, "/api/info", "", {"X-API-Key": ""})
        assert (status, answer["error"]["message"]) == (401, "im.api_key is not set")


async def test_guessing_keys_is_slow(autojump_clock):
    async with centrifuge() as here:
        app = app_of(here)
        bad = {"X-API-Key": "guess"}
        statuses = [(await call(app, "/api/info", "", bad))[0] for _ in range(12)]
        assert statuses == [401] * 10 + [429] * 2
        await trio.sleep(60)
        for _ in range(30):
            assert (await call(app, "/api/info", ""))[0] == 200


@pytest.mark.parametrize(
    "body", ["[]", "1", "{", b"\xff", '{"data":NaN}', "[" * 60_000, '{"a":' * 9_000]
)
async def test_what_is_no_json_object_is_a_bad_request(body: str | bytes):
    async with centrifuge() as here:
        status, answer = await call(app_of(here), "/api/publish", body)
        assert (status, answer["error"]["code"]) == (400, 400)


async def test_every_method_is_in_the_document_with_a_key_of_its_own():
    async with centrifuge() as here:
        operations = centrifuge_operations(here.api, "key")
        assert [o.path for o in operations] == [*(f"/api/{m}" for m in METHODS), "/api"]
        assert not any(operation.protected for operation in operations)
        assert set(openapi_document(operations)["paths"]) == {o.path for o in operations}
