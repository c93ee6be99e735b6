"""One reply in three APIs says the same."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mockllm.providers import APIS as ALL
from mockllm.providers.anthropic.messages import MESSAGES
from mockllm.providers.anthropic.messages import sdk as messages_sdk
from mockllm.providers.api import API
from mockllm.providers.openai.chat import CHAT
from mockllm.providers.openai.chat import sdk as chat_sdk
from mockllm.providers.openai.responses import RESPONSES
from mockllm.providers.openai.responses import sdk as responses_sdk
from mockllm.providers.reply import NeutralCall, NeutralReply, NeutralUsage, resolve_json
from mockllm.validation.findings import Kind
from mockllm.wire import tokens
from mockllm.wire.chunking import Chunk
from tests.support.goldens import INPUT_TOKENS
from tests.support.neutral import (
    APIS,
    SOME_WORDS,
    read,
    rebuilt,
    replies,
    respond,
    said,
    usages,
    whole,
)

SDKS: dict[str, Any] = {
    CHAT.name: chat_sdk,
    RESPONSES.name: responses_sdk,
    MESSAGES.name: messages_sdk,
}
CHUNKS = st.sampled_from(["word", "char", "token", 3])

apis = pytest.mark.parametrize("api", APIS, ids=lambda api: api.name)


def test_every_api_with_a_conversation_answers_with_a_reply() -> None:
    assert [api for api in ALL if api.respond is not None] == list(APIS)


# --- The same words -------------------------------------------------------------------------------


@apis
@given(reply=replies())
def test_a_whole_answer_says_the_reply(api: API, reply: NeutralReply) -> None:
    assert read(api, whole(api, reply)) == said(reply)


@apis
@settings(max_examples=40)
@given(reply=replies(), chunk=CHUNKS)
def test_the_sdk_reads_the_reply_from_the_stream(
    api: API, reply: NeutralReply, chunk: Chunk
) -> None:
    assert read(api, rebuilt(api, reply, chunk)) == said(reply)


@apis
@given(reply=replies())
def test_the_sdk_declares_all_that_is_sent(api: API, reply: NeutralReply) -> None:
    findings = SDKS[api.name].confirm_response(whole(api, reply))
    assert [finding for finding in findings if finding.kind is not Kind.NEWER] == []


@apis
def test_a_call_without_an_id_gets_one_of_its_own(api: API) -> None:
    reply = NeutralReply(calls=(NeutralCall("f"), NeutralCall("g")))

    ids = read(api, whole(api, reply)).ids

    assert len(set(ids)) == 2
    assert all(each.startswith("toolu_" if api is MESSAGES else "call_") for each in ids)


@apis
@given(reply=replies().filter(lambda reply: not reply.calls))
def test_the_request_matters_to_calls_and_json_only(api: API, reply: NeutralReply) -> None:
    assert respond(api, reply, FORCING[api.name]) == respond(api, reply)


# --- JSON -----------------------------------------------------------------------------------------

TOOL = {"type": "function", "name": "f"}
FORCING: dict[str, Any] = {
    CHAT.name: {
        "tools": [{"type": "function", "function": {"name": "f"}}],
        "tool_choice": {"type": "function", "function": {"name": "f"}},
    },
    RESPONSES.name: {"tools": [TOOL], "tool_choice": TOOL},
    MESSAGES.name: {"tools": [{"name": "f"}], "tool_choice": {"type": "tool", "name": "f"}},
}
"""Requests that force the tool `f`."""


@apis
@pytest.mark.parametrize("json", ['{"a":1}', "[1]", "null", '"b"', "1.5"])
def test_json_is_the_text(api: API, json: str) -> None:
    assert read(api, whole(api, NeutralReply(json=json))) == said(NeutralReply(text=json))


@apis
def test_json_is_the_arguments_of_a_forced_tool(api: API) -> None:
    answer = read(api, whole(api, NeutralReply(json='{"a":1}'), FORCING[api.name]))

    assert (answer.text, answer.calls) == ("", [("f", {"a": 1})])


@apis
@pytest.mark.parametrize("json", ["[1]", "null", '"b"'])
def test_json_that_is_no_object_is_the_text_even_if_a_tool_is_forced(api: API, json: str) -> None:
    answer = read(api, whole(api, NeutralReply(json=json), FORCING[api.name]))

    assert (answer.text, answer.calls) == (json, [])


def test_a_resolved_reply_keeps_everything_else() -> None:
    reply = NeutralReply(reasoning="r", json="{}", finish="length", usage=NeutralUsage(1))

    assert resolve_json(reply, "") == replace(reply, json=None, text="{}")
    assert resolve_json(reply, "f") == replace(reply, json=None, calls=(NeutralCall("f"),))
    assert resolve_json(replace(reply, json=None), "f") == replace(reply, json=None)


# --- Usage ----------------------------------------------------------------------------------------


def counts(api: API, reply: NeutralReply) -> tuple[int, ...]:
    """The tokens of input, output, cache and reasoning that an answer states."""
    usage = whole(api, reply)["usage"]
    if api is CHAT:
        cached = usage["prompt_tokens_details"]["cached_tokens"]
        reasoning = usage["completion_tokens_details"]["reasoning_tokens"]
        return usage["prompt_tokens"], usage["completion_tokens"], cached, reasoning
    if api is RESPONSES:
        cached = usage["input_tokens_details"]["cached_tokens"]
        reasoning = usage["output_tokens_details"]["reasoning_tokens"]
        return usage["input_tokens"], usage["output_tokens"], cached, reasoning
    cached = usage["cache_read_input_tokens"]
    reasoning = usage["output_tokens_details"]["thinking_tokens"]
    return usage["input_tokens"] + cached, usage["output_tokens"], cached, reasoning


@apis
def test_usage_is_stated_as_written(api: API) -> None:
    usage = NeutralUsage(input=120, output=40, cached=100, reasoning=16)

    assert counts(api, NeutralReply(text="a", reasoning="b", usage=usage)) == (120, 40, 100, 16)


@apis
def test_usage_that_is_not_written_is_estimated_alike(api: API) -> None:
    reply = NeutralReply(text="some text", reasoning="some thoughts")
    thoughts = tokens.estimate("some thoughts")

    told = counts(api, reply)

    assert told == (INPUT_TOKENS, tokens.estimate("some text") + thoughts, 0, thoughts)


@apis
@given(reply=replies())
def test_usage_agrees_with_what_is_written_of_it(api: API, reply: NeutralReply) -> None:
    told = counts(api, reply)

    assert all(written in (None, count) for written, count in zip(reply.usage, told, strict=True))
    read, produced, cached, reasoning = told
    assert cached <= read
    assert reasoning <= produced
    if api is not MESSAGES:
        assert whole(api, reply)["usage"]["total_tokens"] == read + produced


@given(text=SOME_WORDS, reasoning=st.none() | SOME_WORDS, usage=usages())
def test_usage_is_the_same_in_every_api(
    text: str, reasoning: str | None, usage: NeutralUsage
) -> None:
    reply = NeutralReply(text, reasoning, usage=usage)

    assert len({counts(api, reply) for api in APIS}) == 1


@apis
def test_a_part_without_its_whole_adds_to_the_estimate(api: API) -> None:
    usage = NeutralUsage(cached=100, reasoning=50)

    told = counts(api, NeutralReply(text="some text", usage=usage))

    assert told == (INPUT_TOKENS + 100, tokens.estimate("some text") + 50, 100, 50)
