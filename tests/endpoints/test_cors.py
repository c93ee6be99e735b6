"""Web pages of other origins, over sockets."""

from __future__ import annotations

import pytest
from openai import AsyncOpenAI

from mockllm import AsyncServer
from tests.support.endpoints import CONFIG
from tests.support.http_library import httpx
from tests.support.served import API_KEY

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(("cors", "origin"), [(True, "*"), (False, None)])
async def test_web_pages_may_read_answers_with_cors_only(cors: bool, origin: str | None) -> None:
    async with (
        AsyncServer(CONFIG, cors=cors) as server,
        AsyncOpenAI(base_url=server.openai_base_url, api_key=API_KEY) as client,
    ):
        raw = await client.responses.with_raw_response.create(model="m", input="hi")

    assert raw.headers.get("access-control-allow-origin") == origin


async def test_a_preflight_has_no_length(server: AsyncServer) -> None:
    """RFC 9110, section 8.6: no Content-Length in a response with status 204."""
    async with httpx.AsyncClient(base_url=server.base_url) as http:
        answer = await http.options("/v1/models")

    assert answer.status_code == 204
    assert "content-length" not in answer.headers
