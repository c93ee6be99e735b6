"""Large messages, which are compared in pieces with those of mocks that are as large."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mockllm.exchange import Request
from mockllm.matching import message_predicates
from mockllm.matching.effort import Effort
from mockllm.matching.index import RuleIndex
from mockllm.matching.rule import Rule
from mockllm.pieces import finish
from mockllm.prompt import Prompt
from mockllm.providers import normalise
from mockllm.providers.anthropic.messages import MESSAGES
from mockllm.providers.api import API
from mockllm.providers.openai.chat import CHAT
from mockllm.providers.openai.responses import RESPONSES
from mockllm.wire import json_encoding
from tests.support.rules import user

TEXT = "wörd " * 60_000
PARTS = [{"type": "text", "text": f"part {number}"} for number in range(6_000)]
RESULT = {"type": "tool_result", "tool_use_id": "c", "content": PARTS}
SHELL = {"type": "shell_call", "call_id": "c", "action": {"commands": [TEXT, "part 5999"]}}
CALLS = [{"id": f"part {number}", "function": {"name": "f"}} for number in range(6_000)]

LARGE: list[tuple[API, Any]] = [
    (CHAT, user(f"{TEXT}part 5999")),
    (CHAT, user(PARTS)),
    (CHAT, user([*PARTS, {"type": "text", "text": TEXT}])),
    (CHAT, {"role": "assistant", "tool_calls": CALLS}),
    (MESSAGES, user(PARTS)),
    (MESSAGES, user([RESULT])),
    (RESPONSES, [user(f"part {number}") for number in range(6_000)]),
    (RESPONSES, [user("x"), SHELL]),
]
in_every_form = pytest.mark.parametrize(("api", "wanted"), LARGE, ids=range(len(LARGE)))


def ask(api: API, found: Any) -> Prompt:
    """The prompt of a request that is read in pieces."""
    name = "input" if api is RESPONSES else "messages"
    body = {"model": "m", "max_tokens": 5, name: found if isinstance(found, list) else [found]}
    request = Request.of("POST", "/", body=orjson.dumps(body))
    prompt: Prompt = finish(api.decode_in_pieces(request, {}, []))
    return prompt


def index_of(api: API, *wanted: Any, contains: bool = False) -> RuleIndex:
    matches = [api.compile_match(each, contains) for each in wanted]
    return RuleIndex([Rule(at, f"mock {at}", (each,)) for at, each in enumerate(matches)])


def changed(value: Any, before: str, after: str) -> Any:
    return json.loads(json.dumps(value).replace(before, after))


@pytest.mark.parametrize(
    ("api", "wanted", "contains"),
    [(*each, False) for each in LARGE]
    + [(api, wanted, True) for api, wanted in LARGE if api is RESPONSES],
    ids=range(len(LARGE) + 2),
)
def test_a_large_message_equals_one_as_large_in_pieces_as_at_once(
    api: API, wanted: Any, *, contains: bool
) -> None:
    others = [changed(wanted, "part 0", "part 7"), changed(wanted, "5999", "5998"), wanted]
    index = index_of(api, *others, contains=contains)

    for found in [*others, changed(wanted, "5999", "59990"), changed(wanted, "5999", "")]:
        rules = finish(index.search(ask(api, found), {}, Effort()))
        assert rules == index.candidates(ask(api, found), {})
        assert bool(rules) or found not in others


@in_every_form
def test_the_canonical_form_of_a_large_message_is_made_in_pieces(
    api: API, wanted: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """10 MB held the loop for 2 to 8 seconds, if a mock has as many."""
    monkeypatch.setattr(message_predicates, "MAX_EXPLAINED", 10_000)

    def canonical(item: Any) -> bytes:
        raise AssertionError

    index = index_of(api, changed(wanted, "5999", "5998"))
    prompt = ask(api, wanted)
    for message in prompt.last_messages:
        message.canonical = canonical

    assert list(index.search(prompt, {}, Effort())).count(False) > 5
    nearest = finish(index.search_nearest_miss(prompt, {}, Effort()))

    assert nearest is not None
    assert "its canonical form differs at byte" in nearest.reason
    assert "expected '8" in nearest.reason
    assert "found '9" in nearest.reason


def test_no_more_is_made_than_is_compared() -> None:
    prompt = ask(RESPONSES, [user("other"), *([user("text")] * 10_000)])
    index = index_of(RESPONSES, [user("text")] * 10_001)

    assert len(list(index.search(prompt, {}, Effort()))) < 5


NAMES = ["type", "role", "id", "tool_use_id", "content", "output", "tool_calls", "text", "zz"]
KINDS = ["text", "input_text", "tool_result", "image", "function_call_output", "message", "zz"]
LEAVES = st.sampled_from([None, "", "text", 1, 1.0, *KINDS])


def _objects(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    members = st.dictionaries(st.sampled_from(NAMES), values | st.lists(values, max_size=5))
    return st.builds(lambda kind, others: {**others, "type": kind}, st.sampled_from(KINDS), members)


PART = st.recursive(LEAVES, _objects, max_leaves=12)


@settings(max_examples=60)
@given(
    st.sampled_from([CHAT, MESSAGES, RESPONSES]),
    st.fixed_dictionaries(
        {"role": st.just("user"), "content": st.lists(_objects(PART), min_size=1, max_size=6)},
        optional={"tool_calls": st.lists(PART), "name": st.just("n"), "type": st.just("message")},
    )
    | _objects(PART),
)
def test_the_pieces_of_a_canonical_form_are_the_form(api: API, item: dict[str, Any]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_encoding, "_MAX_WEIGHT", 100)
        patch.setattr(normalise, "ENTRIES_AT_ONCE", 2)
        if api is not RESPONSES:
            item |= {"role": "user"}
        message = ask(api, user([{"type": "text", "text": "x" * 200}] * 2)).last_messages[0]

        assert message.sizes is not None
        assert b"".join(message.sizes.in_pieces(item)) == message.canonical(item)
