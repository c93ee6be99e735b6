"""Chat completions, served as configured, with missing members filled in."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai import AsyncOpenAI, OpenAI
from openai.types.chat import ChatCompletion

from mockllm.prompt import ResponseOptions
from mockllm.providers.openai.chat.answer import complete, text_response
from mockllm.providers.openai.chat.render import render
from mockllm.wire import sse
from tests.support import goldens
from tests.support.http_library import httpx

Json = Any

HEADERS = {"content-type": "application/json"}
CASES = goldens.cases("openai/chat")

# No valid completions: what the user wrote has another type than `ChatCompletion` says.
INVALID = {
    "choices_not_objects",
    "content_parts",
    "explicit_nulls",
    "readme_tool_message",
    "tool_calls_not_objects",
    "tool_calls_odd_members",
}

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8)
)
NAMES = st.text(max_size=4) | st.sampled_from(
    [
        *("id", "object", "created", "model", "service_tier", "choices", "usage", "moderation"),
        *("index", "message", "logprobs", "finish_reason", "error", "obfuscation"),
        *("role", "content", "refusal", "annotations", "audio", "function_call", "tool_calls"),
        *("type", "function", "custom", "name", "arguments", "input", "data", "transcript"),
        *("expires_at", "token", "bytes", "prompt_tokens", "completion_tokens", "total_tokens"),
    ]
)
VALUES: st.SearchStrategy[Json] = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)
OBJECTS: st.SearchStrategy[dict[str, Json]] = st.dictionaries(NAMES, VALUES, max_size=6)
EXAMPLES = st.sampled_from([case.response for case in CASES])
FORMS = st.builds(
    ResponseOptions,
    stream=st.booleans(),
    include_usage=st.booleans(),
    include_obfuscation=st.booleans(),
)


@st.composite
def damaged(draw: st.DrawFn) -> dict[str, Json]:
    """A response that a user might write, with a few members replaced by any JSON."""
    response: dict[str, Json] = orjson.loads(orjson.dumps(draw(EXAMPLES)))
    for _ in range(draw(st.integers(1, 3))):
        places = list(_places(response))
        if places:
            holder, key = draw(st.sampled_from(places))
            holder[key] = draw(VALUES)
    return response


def _places(value: Json) -> Any:
    """Each member and entry in a JSON value, as (holder, key)."""
    members: Any = ()
    if isinstance(value, dict):
        members = value.items()
    elif isinstance(value, list):
        members = enumerate(value)
    for key, member in members:
        yield value, key
        yield from _places(member)


def whole(response: dict[str, Json]) -> dict[str, Json]:
    """The whole answer as a client decodes it."""
    answer = orjson.loads(goldens.delivered(render(response, ResponseOptions(), "word")))
    assert isinstance(answer, dict)
    return answer


def keeps(written: Json, served: Json) -> bool:
    """True if `served` has everything of `written`: values, types, and the order of keys."""
    if isinstance(written, dict):
        return (
            isinstance(served, dict)
            and [name for name in served if name in written] == list(written)
            and all(keeps(written[name], served[name]) for name in written)
        )
    if isinstance(written, list):
        same_length = isinstance(served, list) and len(written) == len(served)
        return same_length and all(map(keeps, written, served))
    return type(written) is type(served) and written == served


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.folder.name)
def test_whole_answer_is_the_golden_one(case: goldens.Case) -> None:
    assert case.render(stream=False) == (case.folder / "whole.json").read_bytes()


def test_everything_absent_is_filled_in() -> None:
    assert whole({}) == {
        "id": "chatcmpl-0123456789abcdef01230e0267eb0",
        "object": "chat.completion",
        "created": 1700000000,
        "model": "mock-model",
        "choices": [
            {
                "index": 0,
                "message": {
                    "role": "assistant",
                    "content": None,
                    "refusal": None,
                    "annotations": [],
                },
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {
            "prompt_tokens": 7,
            "completion_tokens": 0,
            "total_tokens": 7,
            "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
            "completion_tokens_details": {
                "reasoning_tokens": 0,
                "audio_tokens": 0,
                "accepted_prediction_tokens": 0,
                "rejected_prediction_tokens": 0,
            },
        },
        "service_tier": "default",
        "system_fingerprint": None,
    }


def test_completed_members_are_in_the_order_of_the_service() -> None:
    message = {"tool_calls": [{"function": {"name": "f"}}]}

    answer = whole({"choices": [{"finish_reason": "stop", "message": message}], "model": "m"})

    assert list(answer) == [
        *("id", "object", "created", "choices", "model", "usage"),
        *("service_tier", "system_fingerprint"),
    ]
    assert list(answer["choices"][0]) == ["index", "finish_reason", "message", "logprobs"]
    assert list(answer["choices"][0]["message"]) == [
        *("role", "content", "tool_calls", "refusal", "annotations"),
    ]
    call = answer["choices"][0]["message"]["tool_calls"][0]
    assert list(call) == ["id", "type", "function"]
    assert call["function"] == {"name": "f", "arguments": "{}"}


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ({"content": "text"}, "stop"),
        ({"tool_calls": []}, "stop"),
        ({"tool_calls": [{}]}, "tool_calls"),
        ({"function_call": {"name": "f"}}, "function_call"),
    ],
)
def test_finish_reason_follows_from_the_message(message: Json, expected: str) -> None:
    assert complete({"choices": [{"message": message}]})["choices"][0]["finish_reason"] == expected


@pytest.mark.parametrize(
    ("written", "counts"),
    [
        ({}, (7, 3, 10)),
        ({"prompt_tokens": 5}, (5, 3, 8)),
        ({"completion_tokens": 5}, (7, 5, 12)),
        ({"prompt_tokens": 1, "completion_tokens": 2}, (1, 2, 3)),
        ({"total_tokens": 9}, (6, 3, 9)),
        ({"completion_tokens": -4}, (7, -4, 7)),
        ({"completion_tokens": "many", "prompt_tokens": 2}, (2, "many", 2)),
    ],
)
def test_usage_is_completed_from_what_is_written(written: Json, counts: tuple[Json, ...]) -> None:
    choices = [{"message": {"content": "Twelve bytes"}}]

    usage = whole({"choices": choices, "usage": written})["usage"]

    assert (usage["prompt_tokens"], usage["completion_tokens"], usage["total_tokens"]) == counts


def test_output_tokens_count_texts_and_arguments_of_all_choices() -> None:
    call = {"name": "four", "arguments": '{"a": 1}'}
    message = {
        "content": "four",
        "refusal": "four",
        "audio": {"data": "never counted", "transcript": "four"},
        "function_call": call,
        "tool_calls": [{"function": call}, {"custom": {"name": "four", "input": "four"}}, None],
    }

    answer = whole({"choices": [{"message": message}, {"message": {"content": "eight..."}}]})

    assert answer["usage"]["completion_tokens"] == 3 + 3 + 3 + 2 + 2


def test_null_usage_stays_null() -> None:
    assert whole({"usage": None})["usage"] is None


def test_choices_get_the_indices_that_are_free() -> None:
    choices: Json = [{}, {"index": 0}, {"index": 2}, {}]

    assert [choice["index"] for choice in whole({"choices": choices})["choices"]] == [1, 0, 2, 3]


def test_a_text_that_is_left_out_is_what_the_logprobs_spell() -> None:
    tokens = [{"token": "Hi"}, {"token": "\\x", "bytes": [32, 195]}, {"token": "", "bytes": [169]}]
    call = {"function": {"name": "f"}}
    choices: Json = [
        {"logprobs": {"content": tokens}},
        {"logprobs": {"refusal": tokens}},
        {"logprobs": {"content": tokens}, "message": {"content": None}},
        {"logprobs": {"content": tokens}, "message": {"tool_calls": [call]}},
        {"logprobs": {"content": []}},
    ]

    said = [choice["message"] for choice in whole({"choices": choices})["choices"]]

    assert [message["content"] for message in said] == ["Hi é", None, None, None, None]
    assert [message["refusal"] for message in said] == [None, "Hi é", None, None, None]


def test_reasoning_counts_once_as_output() -> None:
    message = {"content": "four", "reasoning_content": "eight...", "reasoning": "eight..."}

    usage = whole({"choices": [{"message": message}]})["usage"]

    assert usage["completion_tokens"] == 3
    assert usage["completion_tokens_details"]["reasoning_tokens"] == 2


def test_calls_get_their_own_ids() -> None:
    choice: Json = {"message": {"tool_calls": [{"function": {}}, {"function": {}}]}}

    answer = whole({"choices": [choice, choice]})

    calls = [call for c in answer["choices"] for call in c["message"]["tool_calls"]]
    assert len({call["id"] for call in calls}) == 4
    assert all(len(call["id"]) == len("call_") + 24 for call in calls)


def test_text_response_is_the_smallest_response() -> None:
    assert text_response("Hello") == {"choices": [{"message": {"content": "Hello"}}]}
    assert whole(text_response("Hello"))["choices"][0]["message"]["content"] == "Hello"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.folder.name)
def test_strict_client_reads_the_whole_answer(case: goldens.Case) -> None:
    body = case.render(stream=False)
    transport = httpx.MockTransport(lambda _: httpx.Response(200, content=body, headers=HEADERS))
    client = OpenAI(
        api_key="k",
        http_client=httpx.Client(transport=transport),
        _strict_response_validation=case.folder.name not in INVALID,
    )

    completion = client.chat.completions.create(model="m", messages=[])

    assert isinstance(completion, ChatCompletion)
    assert completion.to_dict(mode="json", warnings=False) == orjson.loads(body)


def test_async_strict_client_reads_the_whole_answer() -> None:
    body = goldens.delivered(render(text_response("Hello"), ResponseOptions(), "word"))
    transport = httpx.MockTransport(lambda _: httpx.Response(200, content=body, headers=HEADERS))

    async def ask() -> ChatCompletion:
        http_client = httpx.AsyncClient(transport=transport)
        async with AsyncOpenAI(
            api_key="k", http_client=http_client, _strict_response_validation=True
        ) as client:
            return await client.chat.completions.create(model="m", messages=[])

    assert asyncio.run(ask()).to_dict(mode="json") == orjson.loads(body)


@pytest.mark.parametrize("name", sorted(INVALID))
def test_listed_cases_are_invalid(name: str) -> None:
    case = next(case for case in CASES if case.folder.name == name)

    with pytest.raises(ValueError, match="validation error"):
        ChatCompletion.model_validate_json(case.render(stream=False))


@settings(deadline=None, max_examples=150)
@given(OBJECTS | damaged())
def test_configured_members_do_not_change(response: dict[str, Json]) -> None:
    assert keeps(response, whole(response))


@settings(deadline=None, max_examples=100)
@given(OBJECTS | damaged())
def test_completing_twice_is_completing_once(response: dict[str, Json]) -> None:
    once = complete(response)

    assert complete(once) == once


@settings(deadline=None, max_examples=150)
@given(OBJECTS | damaged(), FORMS, st.sampled_from(["word", "char", "token", 1, 3]))
def test_any_object_can_be_rendered(
    response: dict[str, Json], form: ResponseOptions, chunk: Json
) -> None:
    reply = render(response, form, chunk)

    assert reply.status == 200
    if not form.stream:
        assert isinstance(orjson.loads(goldens.delivered(reply)), dict)
        return
    *frames, done = goldens.delivered(reply).removesuffix(b"\n\n").split(b"\n\n")
    assert done + b"\n\n" == sse.DONE
    assert frames
    for frame in frames:
        assert b"\n" not in frame
        assert orjson.loads(frame.removeprefix(b"data: "))["object"] == "chat.completion.chunk"
