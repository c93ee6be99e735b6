"""Requests built for mocks: each satisfies the rule of its mock, and hardly any mock has none."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from mockllm import Config
from mockllm.config.models import Mock
from mockllm.conformance.probes import Probe, build
from mockllm.engine.asking import answer_alone
from mockllm.engine.building import build_engine
from mockllm.engine.loading import load
from mockllm.engine.mocks import Table
from mockllm.errors import Place
from mockllm.matching.index import RuleIndex
from mockllm.matching.rule import Rule
from mockllm.matching.specification import first_match
from mockllm.providers.api import API
from mockllm.state.store import LocalStore
from mockllm.validation.findings import Confirm
from tests.support import strategies
from tests.support.conversations import (
    Conversation,
    as_chat,
    as_messages,
    as_responses,
    conversations,
)
from tests.support.loads import ANSWER
from tests.support.matches import APIS, bodies, compile_rule, matches

Json = dict[str, Any]

RESPONSES: Json = {
    "openai": ANSWER,
    "openai_response": {"output": [{"type": "message", "role": "assistant", "content": []}]},
    "anthropic": {"content": [{"type": "text", "text": "a"}]},
    "openai_embeddings": {"data": [{"embedding": [0.5]}]},
}


def probes(field: str, match: Json) -> list[Probe]:
    """The requests for a mock with `match`, each answered by it."""
    engine = build_engine({field: [{"match": match, "response": RESPONSES[field]}]})
    table = engine.table(field)
    (rule,) = table.index.rules
    found = list(build(table, rule))
    for probe in found:
        decision = answer_alone(engine.decide(table, probe.request(table.api)), LocalStore())
        assert decision.match.rule is rule
    return found


HEADERS = st.lists(
    st.fixed_dictionaries(
        {
            "name": st.sampled_from(
                ["X-A", "x-b", "Authorization", "api-key", "x-api-key", "anthropic-version", "Host"]
            ),
            "value": st.sampled_from(["", "a", "b", "a b", "Bearer a", "Basic a", "é"]),
            "match_type": st.sampled_from(["exact", "contains"]),
        }
    ),
    max_size=2,
)
CONVERSATION = {
    "headers": HEADERS,
    "match_type": st.sampled_from(["exact", "contains"]),
    "system_contains": st.lists(strategies.texts, max_size=2),
    "tool_names": st.lists(st.sampled_from(["f", "g h"]), max_size=2),
}


def _parts(kind: str) -> st.SearchStrategy[Any]:
    return st.lists(
        st.builds(lambda text: {"type": kind, "text": text}, strategies.texts), max_size=1
    )


def _messages(roles: list[str], *parts: st.SearchStrategy[Any]) -> st.SearchStrategy[Json]:
    return st.fixed_dictionaries(
        {"role": st.sampled_from(roles)},
        optional={"content": st.one_of(strategies.texts, *parts)},
    )


CHAT = st.fixed_dictionaries(
    CONVERSATION,
    optional={
        "message": _messages(["user", "system", "developer", "tool", "assistant"], _parts("text"))
    },
)
MESSAGES = st.fixed_dictionaries(
    CONVERSATION,
    optional={
        "message": _messages(["user", "assistant", "system"], _parts("text")),
    },
)
INPUT = st.one_of(
    strategies.texts,
    st.lists(
        st.one_of(
            _messages(["user", "system", "developer"], _parts("input_text")),
            st.just({"type": "function_call_output", "call_id": "c", "output": "1"}),
            st.just({"type": "function_call", "call_id": "c", "name": "f", "arguments": "{"}),
            st.just({"type": "item_reference", "id": "m"}),
        ),
        max_size=2,
    ),
)
RESPONSES_API = st.fixed_dictionaries(CONVERSATION, optional={"input": INPUT})
EMBEDDINGS = st.fixed_dictionaries(
    {"headers": HEADERS},
    optional={"input": st.sampled_from(["a", ["a"], [[1, 2]], [], ["a", "b"]])},
)
MATCHES = st.one_of(
    st.tuples(st.just("openai"), st.lists(CHAT, min_size=1, max_size=9)),
    st.tuples(st.just("anthropic"), st.lists(MESSAGES, min_size=1, max_size=9)),
    st.tuples(st.just("openai_response"), st.lists(RESPONSES_API, min_size=1, max_size=9)),
    st.tuples(st.just("openai_embeddings"), st.lists(EMBEDDINGS, min_size=1, max_size=9)),
)
NOT_SHRUNK = [Phase.explicit, Phase.reuse, Phase.generate]


@settings(max_examples=40, phases=NOT_SHRUNK)  # each compiles an SDK's types
@given(MATCHES)
def test_requests_match_and_only_a_mock_that_can_never_match_has_none(
    matches: tuple[str, list[Json]],
) -> None:
    field, of_field = matches
    mocks = [{"match": match, "response": RESPONSES[field]} for match in of_field]
    config = {field: mocks}
    loaded = load(Config.from_dict(config))
    never = {
        problem.place.mock
        for problem in loaded.warnings
        if isinstance(problem.place, Place) and "can never match" in problem.message
    }

    for table in loaded.tables:
        for rule in table.index.rules:
            requests = [probe.request(table.api) for probe in build(table, rule)]
            for request in requests:
                table.api.vendor.authenticate(request, True)
                prompt = table.decode(request.body)
                table.validate(prompt)
                assert first_match([rule], prompt, request.first_values) is rule
            assert bool(requests) is (rule.label not in never), of_field[rule.index]


def test_a_message_of_one_tool_gets_the_id_that_requests_need() -> None:
    match = {"message": {"role": "tool", "content": "15"}, "match_type": "contains"}

    first = probes("openai", match)[0]

    assert first.body["messages"] == [{"role": "tool", "content": "15", "tool_call_id": "call_1"}]


def test_the_message_of_the_mock_comes_first() -> None:
    message = {"role": "user", "content": [{"type": "text", "text": "hi"}]}

    for match_type in ("exact", "contains"):
        match = {"message": message, "match_type": match_type}
        assert probes("openai", match)[0].body["messages"] == [message]


def test_requests_differ_where_any_text_will_do() -> None:
    found = probes("openai_response", {})

    assert len({probe.body["input"] for probe in found}) == len(found) > 1


TEXT_CONDITIONS: list[Json] = [
    {"user": "hello"},
    {"user": {"contains": "weather"}},
    {"user": [{"starts_with": "a"}, "b"]},
    {"last_user": {"contains": "b", "starts_with": "a", "ends_with": "c", "ignore_case": True}},
    {"user": "hello", "system": {"contains": "kind"}, "model": {"starts_with": "m-"}},
    {"user": {"contains": "a"}, "tools": {"any": ["f", "g"]}},
    {"user": {"contains": "a"}, "last_user": {"contains": "b"}},
]


CONDITIONS: list[Json] = [
    {"tool_result": {"name": "f", "text": {"contains": "15"}, "call_id": {"starts_with": "c"}}},
    {"tool_result": "a", "last_user": {"contains": "b"}, "tools": ["f"]},
    {"any_message": {"role": "assistant", "text": {"contains": "b"}}, "user": "a"},
    {"any_message": {"role": "tool", "text": "b"}, "user": "a"},
    {"schema": "person", "tools": []},
    {"schema": {"contains": "person"}, "tools": {"any": ["f"]}},
    {"turn": 3, "user": "a"},
    {"turn": {"at_least": 4}, "step": 3},
    {"stream": True},
    {"stream": False},
    {"user": {"regex": "^(what|how) is .{3,}[?]$"}},
    {
        "body": {
            "$.temperature": 0,
            "$.metadata.tenant": {"starts_with": "a"},
            "$.seed": {"any": [1]},
        }
    },
    {"body": {"$.temperature": {"exists": True}, "$.seed": {"exists": False}}},
    {"body": {"$..tenant": {"contains": "a"}}},
    {"any_of": [{"user": "a", "tool_result": "b"}, {"model": "m"}], "not": {"turn": 1}},
    {"not": {"any_of": [{"tools": []}, {"user": {"contains": "any"}}]}},
    {
        "headers": [{"name": "x-a", "value": "b"}],
        "not": {"headers": [{"name": "x-b", "value": ""}]},
    },
]


@pytest.mark.parametrize("field", ["openai", "openai_response", "anthropic"])
@pytest.mark.parametrize("match", [*TEXT_CONDITIONS, *CONDITIONS])
def test_conditions_are_satisfied(field: str, match: Json) -> None:
    assert probes(field, match)


@pytest.mark.parametrize(
    "match",
    [
        {"user": {"contains": "weather"}},
        {"user": "a", "last_user": "b"},
        {"any_message": {"role": "user", "text": "a"}, "model": {"contains": "m"}},
        {"body": {"$.dimensions": 3}, "turn": 1, "tools": []},
    ],
)
def test_conditions_on_embeddings_are_satisfied(match: Json) -> None:
    assert probes("openai_embeddings", match)


@pytest.mark.parametrize("field", ["openai", "openai_response", "anthropic"])
def test_the_seed_s_words_are_satisfied_beside_conditions(field: str) -> None:
    message = {"role": "user", "content": "hi"}
    own = {"input": "hi"} if field == "openai_response" else {"message": message}

    for match in (own, own | {"match_type": "contains"}):
        assert probes(field, match | {"system": "a", "tools": ["f"], "last_user": "hi"})
    assert probes(field, own | {"match_type": "contains", "turn": 2})


def test_a_result_of_the_seed_s_form_gets_its_call() -> None:
    message = {"role": "tool", "content": "15", "tool_call_id": "c"}

    assert probes("openai", {"message": message, "tool_result": {"name": "f"}, "step": 2})


def test_a_request_is_asked_for_in_the_form_that_matches() -> None:
    assert {probe.stream for probe in probes("openai", {"stream": True})} == {True}
    assert {probe.stream for probe in probes("openai", {"stream": False})} == {False}
    assert {probe.stream for probe in probes("openai", {})} == {None}
    assert {probe.stream for probe in probes("openai_embeddings", {})} == {None}


@pytest.mark.parametrize(
    "match", [{"user": {"regex": "a$b"}}, {"body": {"$[?@.a]": 1}}, {"turn": 1000}]
)
def test_where_no_request_is_known_there_is_none(match: Json) -> None:
    assert probes("openai", match) == []


WRITE = {"chat": as_chat, "responses": as_responses, "messages": as_messages}


@cache
def confirm(field: str) -> Confirm:
    (api,) = (each for each in APIS if each.name == field)
    return api.sdk().request_confirmer(strict=False)


def table_of(api: API, rule: Rule) -> Table:
    return Table(api, (Mock(reply="a"),), RuleIndex([rule]), confirm(api.name))


@settings(max_examples=60, phases=NOT_SHRUNK)
@given(st.sampled_from(APIS), matches(2, body=bodies()))
def test_requests_for_generated_matches_satisfy_the_specification(api: API, match: Json) -> None:
    rule = compile_rule(api, match)
    table = table_of(api, rule)

    for probe in build(table, rule):
        for request in probe.requests(api).values():
            api.vendor.authenticate(request, True)
            prompt = table.decode(request.body)
            table.validate(prompt)
            assert first_match([rule], prompt, request.first_values) is rule


def test_a_match_that_some_conversation_meets_has_a_request() -> None:
    met = 0

    @settings(max_examples=150, phases=NOT_SHRUNK, database=None, derandomize=True)
    @given(st.sampled_from(APIS), matches(1), conversations())
    def check(api: API, match: Json, conversation: Conversation) -> None:
        nonlocal met
        rule = compile_rule(api, match)
        if rule.difference(WRITE[api.word](conversation), {}) is None:
            met += 1
            assert next(build(table_of(api, rule), rule), None) is not None

    check()

    assert met > 30


def test_a_header_that_must_be_empty_is_sent_empty() -> None:
    headers = [{"name": "Authorization", "value": ""}, {"name": "X-A", "value": ""}]

    (first, *_) = probes("openai", {"headers": headers})

    assert (first.headers["authorization"], first.headers["x-a"]) == ("", "")


def test_the_parts_of_a_header_are_joined() -> None:
    headers = [
        {"name": "X-A", "value": "c", "match_type": "contains"},
        {"name": "x-a", "value": "b", "match_type": "contains"},
    ]

    assert probes("openai", {"headers": headers})[0].headers["x-a"] == "any c b"


@pytest.mark.parametrize("field", ["openai", "anthropic", "openai_response"])
def test_instructions_and_tools_are_in_the_request(field: str) -> None:
    match = {"system_contains": ["be brief", "be kind"], "tool_names": ["f", "g"]}

    assert probes(field, match)
