"""Token counts of OpenAI's APIs: what is filled in agrees with what is written."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockllm.exchange import Reply
from mockllm.providers.openai.chat.answer import USAGE as CHAT
from mockllm.providers.openai.responses.answer import USAGE as RESPONSES
from mockllm.providers.openai.usage import Output, UsageNames, complete, find_contradictions
from mockllm.wire import jsontext, placeholders
from tests.support.removals import parts, terse

Json = dict[str, Any]

ASKED = 7


def completed(written: Json, form: UsageNames = CHAT, *, said: int = 3, thought: int = 0) -> Json:
    """A usage as a client gets it, for a request of `ASKED` tokens."""
    body = jsontext.dumps(complete(written, form, Output(said, thought)))
    reply = placeholders.fill(Reply.whole(200, (), body), model="m", input_tokens=ASKED)
    usage: Json = orjson.loads(reply.body)
    return usage


@pytest.mark.parametrize(
    ("written", "counts"),
    [
        ({}, (7, 3, 10)),
        ({"prompt_tokens": 5}, (5, 3, 8)),
        ({"completion_tokens": 5}, (7, 5, 12)),
        ({"total_tokens": 100}, (97, 3, 100)),
        ({"total_tokens": 2}, (0, 2, 2)),
        ({"total_tokens": 0}, (0, 0, 0)),
        ({"total_tokens": 100, "prompt_tokens": 60}, (60, 40, 100)),
        ({"total_tokens": 100, "completion_tokens": 60}, (40, 60, 100)),
        ({"completion_tokens_details": {"reasoning_tokens": 50}}, (7, 53, 60)),
        ({"completion_tokens_details": {"rejected_prediction_tokens": 50}}, (7, 50, 57)),
        ({"prompt_tokens_details": {"cached_tokens": 12}}, (19, 3, 22)),
        ({"prompt_tokens_details": {"cached_tokens": 12}, "total_tokens": 14}, (12, 2, 14)),
        ({"reasoning_tokens": 50}, (7, 53, 60)),
        ({"cached_tokens": 12}, (19, 3, 22)),
        ({"prompt_cache_hit_tokens": 64, "prompt_cache_miss_tokens": 6}, (70, 3, 73)),
        ({"prompt_cache_hit_tokens": 64}, (71, 3, 74)),
        ({"completion_tokens": "many", "prompt_tokens": 2}, (2, "many", 2)),
        ({"prompt_tokens": None}, (None, 3, 3)),
        ({"completion_tokens": True}, (7, True, 7)),
    ],
)
def test_counts_agree_with_what_is_written(written: Json, counts: tuple[Any, ...]) -> None:
    usage = completed(written)

    assert (usage["prompt_tokens"], usage["completion_tokens"], usage["total_tokens"]) == counts


@pytest.mark.parametrize(
    ("written", "reasoning"),
    [
        ({}, 20),
        ({"completion_tokens": 13}, 10),
        ({"completion_tokens": 2}, 0),
        ({"completion_tokens": 500}, 20),
        ({"total_tokens": 10}, 7),
        ({"reasoning_tokens": 5}, 5),
    ],
)
def test_reasoning_is_what_the_output_has_room_for(written: Json, reasoning: int) -> None:
    usage = completed(written, thought=20)

    assert usage["completion_tokens_details"]["reasoning_tokens"] == reasoning


@pytest.mark.parametrize("name", ["cached_tokens", "prompt_cache_hit_tokens"])
def test_cached_tokens_are_those_of_other_services(name: str) -> None:
    assert completed({name: 64})["prompt_tokens_details"]["cached_tokens"] == 64


@st.composite
def usages(draw: st.DrawFn, form: UsageNames) -> Json:
    """A complete usage whose counts agree."""
    prompt, output = draw(st.integers(0, 200)), draw(st.integers(0, 200))
    return {
        form.input: prompt,
        form.output: output,
        "total_tokens": prompt + output,
        f"{form.input}_details": draw(parts(prompt, list(form.input_details))),
        f"{form.output}_details": draw(parts(output, list(form.output_details))),
    }


def assert_counts_agree(usage: Json, form: UsageNames) -> None:
    """The invariants of a usage."""
    assert usage[form.input] + usage[form.output] == usage["total_tokens"]
    for name in (form.input, form.output):
        assert sum(usage[f"{name}_details"].values()) <= usage[name]
        assert min(usage[f"{name}_details"].values()) >= 0


@given(st.data(), st.sampled_from([CHAT, RESPONSES]), st.integers(0, 300), st.integers(0, 300))
def test_any_members_of_a_usage_may_be_missing(
    data: st.DataObject, form: UsageNames, said: int, thought: int
) -> None:
    written = data.draw(terse(usages(form)))

    usage = completed(written, form, said=said, thought=thought)

    assert_counts_agree(usage, form)
    assert usage == usage | {name: usage[name] for name in written}
    assert list(find_contradictions(written, form)) == []
    assert list(find_contradictions(usage, form)) == []


@pytest.mark.parametrize(
    ("usage", "found"),
    [
        (
            {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 99},
            "usage.total_tokens: 99, but prompt_tokens + completion_tokens is 12",
        ),
        ({"prompt_tokens": 5, "total_tokens": 4}, "usage.total_tokens: 4, but prompt_tokens is 5"),
        (
            {"completion_tokens": 10, "completion_tokens_details": {"reasoning_tokens": 50}},
            (
                "usage.completion_tokens_details.reasoning_tokens: "
                "50, but usage.completion_tokens is 10"
            ),
        ),
        (
            {"prompt_tokens": 5, "prompt_tokens_details": {"cached_tokens": 6}},
            "usage.prompt_tokens_details.cached_tokens: 6, but usage.prompt_tokens is 5",
        ),
        (
            {"total_tokens": 3, "completion_tokens_details": {"reasoning_tokens": 64}},
            "usage.completion_tokens_details.reasoning_tokens: 64, but usage.total_tokens is 3",
        ),
        (
            {
                "completion_tokens": 5,
                "total_tokens": 20,
                "prompt_tokens_details": {"cached_tokens": 16},
            },
            "usage.prompt_tokens_details.cached_tokens: 16, but usage.total_tokens is 20",
        ),
    ],
)
def test_a_contradiction_names_both_places(usage: Json, found: str) -> None:
    assert [str(finding) for finding in find_contradictions(usage, CHAT)] == [found]


@pytest.mark.parametrize(
    "usage",
    [
        None,
        [],
        {},
        {"total_tokens": 9},
        {"prompt_tokens": "many", "completion_tokens": 7, "total_tokens": 99},
        # xAI, and proxies of Gemini: reasoning is in the total only
        {
            "prompt_tokens": 21,
            "completion_tokens": 0,
            "total_tokens": 81,
            "completion_tokens_details": {"reasoning_tokens": 60},
        },
    ],
)
def test_usages_without_a_clear_contradiction(usage: Any) -> None:
    assert list(find_contradictions(usage, CHAT)) == []
