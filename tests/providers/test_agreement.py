"""What is filled in agrees with what is written: any members of a sound answer may be missing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mockllm.prompt import NOT_STREAMED
from mockllm.providers.anthropic.messages import MESSAGES
from mockllm.providers.api import API
from mockllm.providers.openai.chat import CHAT
from mockllm.providers.openai.embeddings import EMBEDDINGS
from mockllm.providers.openai.responses import RESPONSES
from tests.support import goldens
from tests.support.removals import parts, terse

Json = dict[str, Any]
Invariant = Callable[[Json, Json], bool]
"""`invariant(written, served)`: True if they agree."""

TEXTS = st.text("ab ", max_size=30)
COUNTS = st.integers(0, 100)


def served(api: API, response: Json) -> Json:
    """The whole answer as a client decodes it."""
    answer: Json = orjson.loads(goldens.delivered(api.render(response, NOT_STREAMED, "word")))
    return answer


# --- sound answers -------------------------------------------------------------------------------


@st.composite
def usages(draw: st.DrawFn, prompt: str, output: str, *details: list[str]) -> Json:
    """A usage with these names of its counts and their details."""
    asked, said = draw(COUNTS), draw(COUNTS)
    return {
        prompt: asked,
        output: said,
        "total_tokens": asked + said,
        f"{prompt}_details": draw(parts(asked, details[0])),
        f"{output}_details": draw(parts(said, details[1])),
    }


@st.composite
def chat_answers(draw: st.DrawFn) -> Json:
    indices = draw(st.permutations(range(draw(st.integers(1, 3)))))
    choices = []
    for index in indices:
        text = draw(TEXTS)
        call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": text}}
        said: list[tuple[Json, str]] = [
            ({"content": text}, "stop"),
            ({"content": text, "reasoning_content": text}, "stop"),
            ({"refusal": text}, "stop"),
            ({"tool_calls": [call, call | {"id": "d"}]}, "tool_calls"),
            ({"content": text, "tool_calls": [call]}, "tool_calls"),
            ({"function_call": {"name": "f", "arguments": "{}"}}, "function_call"),
        ]
        message, reason = draw(st.sampled_from(said))
        token = {"token": text, "logprob": 0.0, "bytes": list(text.encode()), "top_logprobs": []}
        logprobs = {"content": [token], "refusal": None} if message.get("content") else None
        choices.append(
            {"index": index, "message": message, "logprobs": logprobs, "finish_reason": reason}
        )
    usage = draw(
        usages(
            *("prompt_tokens", "completion_tokens"),
            *(["cached_tokens", "audio_tokens"], ["reasoning_tokens", "audio_tokens"]),
        )
    )
    return {"choices": choices, "usage": usage}


@st.composite
def response_answers(draw: st.DrawFn) -> Json:
    text = draw(TEXTS)
    message = {"type": "message", "content": [{"type": "output_text", "text": text}]}
    reasoning = {"type": "reasoning", "summary": [{"type": "summary_text", "text": text}]}
    search = {"type": "web_search_call", "status": "completed"}
    usage = draw(
        usages(
            *("input_tokens", "output_tokens"),
            *(["cached_tokens", "cache_write_tokens"], ["reasoning_tokens"]),
        )
    )
    status, item_status, error, details = draw(
        st.sampled_from(
            [
                ("completed", "completed", None, None),
                ("incomplete", "incomplete", None, {"reason": "content_filter"}),
                ("failed", "incomplete", {"code": "server_error", "message": "no"}, None),
                ("in_progress", "in_progress", None, None),
            ]
        )
    )
    return {
        "created_at": 5,
        "completed_at": 5 if status == "completed" else None,
        "status": status,
        "error": error,
        "incomplete_details": details,
        "output": [reasoning, search, search, message | {"status": item_status}],
        "output_text": text,
        "tool_usage": {"web_search": {"num_requests": 2}},
        "usage": usage,
    }


@st.composite
def message_answers(draw: st.DrawFn) -> Json:
    text = draw(TEXTS)
    call = {"type": "tool_use", "id": "t", "name": "f", "input": {"a": text}}
    block = {"type": "text", "text": text}
    endings: list[tuple[list[Json], str, str | None, Json | None]] = [
        ([block], "end_turn", None, None),
        ([block, call], "tool_use", None, None),
        ([block], "stop_sequence", "END", None),
        ([block], "refusal", None, {"type": "refusal", "category": None}),
    ]
    content, reason, sequence, details = draw(st.sampled_from(endings))
    said, caches = draw(COUNTS), draw(st.tuples(COUNTS, COUNTS))
    thinking = {"type": "thinking", "thinking": text, "signature": "s"}
    return {
        "content": [thinking, *content],
        "stop_reason": reason,
        "stop_sequence": sequence,
        "stop_details": details,
        "usage": {
            "input_tokens": draw(COUNTS),
            "cache_creation_input_tokens": sum(caches),
            "cache_creation": dict(
                zip(("ephemeral_5m_input_tokens", "ephemeral_1h_input_tokens"), caches, strict=True)
            ),
            "output_tokens": said,
            "output_tokens_details": {"thinking_tokens": draw(st.integers(0, said))},
        },
    }


@st.composite
def embedding_answers(draw: st.DrawFn) -> Json:
    indices = draw(st.permutations(range(draw(st.integers(1, 4)))))
    prompt = draw(COUNTS)
    return {
        "data": [{"index": index, "embedding": [0.5]} for index in indices],
        "usage": {"prompt_tokens": prompt, "total_tokens": prompt},
    }


# --- invariants ----------------------------------------------------------------------------------


def counts_add_up(written: Json, answer: Json) -> bool:
    usage = answer["usage"]
    if usage is None or "total_tokens" not in usage:
        return True
    summands = ("prompt_tokens", "completion_tokens", "input_tokens", "output_tokens")
    total: bool = usage["total_tokens"] == sum(usage.get(name, 0) for name in summands)
    return total


def parts_fit_their_counts(written: Json, answer: Json) -> bool:
    usage = answer["usage"] or {}
    names = (name.removesuffix("_details") for name in usage if name.endswith("_details"))
    return all(sum(usage[f"{name}_details"].values()) <= usage[name] for name in names)


def caches_add_up(written: Json, answer: Json) -> bool:
    usage = answer["usage"]
    caches: Json = usage["cache_creation"]
    adds_up: bool = sum(caches.values()) == usage["cache_creation_input_tokens"]
    return adds_up


def indices_are_unique(written: Json, answer: Json) -> bool:
    entries = answer.get("choices", answer.get("data"))
    assert isinstance(entries, list)
    return len({entry["index"] for entry in entries}) == len(entries)


def finish_reason_fits_the_message(written: Json, answer: Json) -> bool:
    for before, choice in zip(written.get("choices", [{}]), answer["choices"], strict=True):
        message = choice["message"]
        calls = [name for name in ("tool_calls", "function_call") if message.get(name)]
        if "finish_reason" not in before and choice["finish_reason"] not in (calls or ["stop"]):
            return False
    return True


def text_is_what_the_logprobs_spell(written: Json, answer: Json) -> bool:
    for before, choice in zip(written.get("choices", [{}]), answer["choices"], strict=True):
        tokens = (choice["logprobs"] or {}).get("content")
        message = before.get("message", {})
        if "content" not in message and not message and tokens:
            spelled = bytes(byte for token in tokens for byte in token.get("bytes", ()))
            if spelled and choice["message"]["content"] != spelled.decode():
                return False
    return True


def status_fits_its_explanation(written: Json, answer: Json) -> bool:
    if "status" in written:
        return True
    expected = ["completed", "in_progress"]
    if answer["error"]:
        expected = ["failed"]
    elif answer["incomplete_details"]:
        expected = ["incomplete"]
    elif "incomplete" in {item.get("status") for item in answer["output"]}:
        expected.append("incomplete")
    return answer["status"] in expected


def explanation_fits_the_status(written: Json, answer: Json) -> bool:
    status = answer["status"]
    if "error" not in written and (answer["error"] is not None) is not (status == "failed"):
        return False
    details = answer["incomplete_details"] is not None
    if "incomplete_details" not in written and details is not (status == "incomplete"):
        return False
    finished = answer["completed_at"] is not None
    return "completed_at" in written or finished is (status == "completed")


def status_fits_the_items(written: Json, answer: Json) -> bool:
    if "status" in written or answer["status"] == "failed":
        return True
    statuses = {item.get("status") for item in answer["output"]}
    return answer["status"] != "completed" or statuses <= {"completed", None}


def completion_follows_creation(written: Json, answer: Json) -> bool:
    completed_at = answer["completed_at"]
    return completed_at is None or completed_at >= answer["created_at"]


def output_text_is_that_of_the_output(written: Json, answer: Json) -> bool:
    if "output_text" not in written or "output" in written:
        return True
    ((part,),) = (item["content"] for item in answer["output"])
    agrees: bool = part["text"] == written["output_text"]
    return agrees


def searches_are_counted(written: Json, answer: Json) -> bool:
    found = sum(item.get("type") == "web_search_call" for item in answer["output"])
    if "tool_usage" in written:
        return True
    counted: bool = answer["tool_usage"]["web_search"]["num_requests"] == found
    return counted


def stop_reason_fits_the_message(written: Json, answer: Json) -> bool:
    if "stop_reason" in written:
        return True
    if answer["stop_sequence"] is not None:
        expected = "stop_sequence"
    elif (answer["stop_details"] or {}).get("type") == "refusal":
        expected = "refusal"
    else:
        calls = [block for block in answer["content"] if block.get("type") == "tool_use"]
        expected = "tool_use" if calls else "end_turn"
    fits: bool = answer["stop_reason"] == expected
    return fits


SOUND: dict[str, tuple[API, st.SearchStrategy[Json], tuple[Invariant, ...]]] = {
    "chat": (
        CHAT,
        chat_answers(),
        (
            counts_add_up,
            parts_fit_their_counts,
            indices_are_unique,
            finish_reason_fits_the_message,
            text_is_what_the_logprobs_spell,
        ),
    ),
    "responses": (
        RESPONSES,
        response_answers(),
        (
            counts_add_up,
            parts_fit_their_counts,
            status_fits_its_explanation,
            explanation_fits_the_status,
            status_fits_the_items,
            completion_follows_creation,
            output_text_is_that_of_the_output,
            searches_are_counted,
        ),
    ),
    "messages": (
        MESSAGES,
        message_answers(),
        (parts_fit_their_counts, caches_add_up, stop_reason_fits_the_message),
    ),
    "embeddings": (EMBEDDINGS, embedding_answers(), (counts_add_up, indices_are_unique)),
}


@pytest.mark.parametrize("name", SOUND)
@settings(deadline=None, max_examples=200)
@given(st.data())
def test_any_members_of_a_sound_answer_may_be_missing(name: str, data: st.DataObject) -> None:
    api, answers, invariants = SOUND[name]
    written = data.draw(terse(answers))

    answer = served(api, written)

    assert [each.__name__ for each in invariants if not each(written, answer)] == []


@pytest.mark.parametrize("name", SOUND)
@settings(deadline=None, max_examples=50)
@given(st.data())
def test_a_sound_answer_has_no_contradictions(name: str, data: st.DataObject) -> None:
    api, answers, _ = SOUND[name]

    assert list(api.find_contradictions(data.draw(answers))) == []
