"""Compaction, through the official client and as Codex asks for it."""

from __future__ import annotations

import openai as openai_sdk
import pytest
from openai import AsyncOpenAI

from mockllm import AsyncServer

pytestmark = pytest.mark.anyio


async def test_a_conversation_is_compacted_to_its_user_messages(server: AsyncServer) -> None:
    async with AsyncOpenAI(base_url=server.openai_base_url, api_key="k") as client:
        raw = await client.responses.with_raw_response.compact(
            model="m",
            instructions="Be brief",
            input=[
                {"role": "user", "content": "hi"},
                {"type": "message", "role": "assistant", "content": "hello"},
                {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
                {"type": "function_call_output", "call_id": "c", "output": "1"},
            ],
        )
        compacted = raw.parse()
    assert compacted.object == "response.compaction"
    assert compacted.id.startswith("resp_")
    message, item = raw.http_response.json()["output"]  # the SDK declares no user message here
    assert message["content"] == [{"type": "input_text", "text": "hi"}]
    assert (message["type"], message["role"]) == ("message", "user")
    assert item["type"] == "compaction"
    assert item["encrypted_content"]
    usage = compacted.usage
    assert usage.total_tokens == usage.input_tokens + usage.output_tokens > 10


async def test_a_long_conversation_is_compacted_in_pieces(server: AsyncServer) -> None:
    """300,000 messages held the loop for 940 ms."""
    said = [f"{number}" for number in range(1_300)]
    messages = [
        message
        for each in said
        for message in ({"role": "user", "content": each}, {"role": "assistant", "content": "x"})
    ]
    async with AsyncOpenAI(base_url=server.openai_base_url, api_key="k") as client:
        raw = await client.responses.with_raw_response.compact(model="m", input=messages)  # type: ignore[arg-type]  # plain dicts

    *kept, compaction = raw.http_response.json()["output"]
    assert [message["content"][0]["text"] for message in kept] == said
    assert len({message["id"] for message in kept}) == len(said)
    assert compaction["type"] == "compaction"


async def test_a_compaction_of_nothing_fits_the_strict_types(openai: AsyncOpenAI) -> None:
    compacted = await openai.responses.compact(model="m")
    assert [item.type for item in compacted.output] == ["compaction"]
    assert (await openai.responses.compact(model="m", input=[])).usage.input_tokens > 0


async def test_an_invalid_compaction_is_refused(openai: AsyncOpenAI) -> None:
    with pytest.raises(openai_sdk.BadRequestError, match="input"):
        await openai.responses.compact(model="m", input=3)  # type: ignore[arg-type]  # the mistake
    with pytest.raises(openai_sdk.BadRequestError, match="model"):
        await openai.post("/responses/compact", cast_to=object, body={"input": "hi"})


@pytest.mark.parametrize("path", ["/v1/responses", "/openai/v1/responses", "/openai/responses"])
@pytest.mark.parametrize("name", ["compact", "input_tokens"])
async def test_a_fixed_path_is_not_the_id_of_a_response(
    openai: AsyncOpenAI, server: AsyncServer, path: str, name: str
) -> None:
    root = server.openai_base_url.removesuffix("/v1")
    with pytest.raises(openai_sdk.APIStatusError) as caught:
        await openai.get(f"{root}{path}/{name}", cast_to=object)
    assert caught.value.status_code == 405
    assert caught.value.response.headers["allow"] == "POST"
