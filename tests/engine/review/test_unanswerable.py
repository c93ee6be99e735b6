"""Mocks that no request can meet, by the words of their match."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockllm import Config, OpenAIRequestMatch
from mockllm.engine.building import build_engine
from mockllm.engine.conditions import compile_match
from mockllm.engine.loading import load
from mockllm.engine.review.unanswerable import find_reason
from mockllm.errors import Place
from mockllm.exchange import Request
from mockllm.providers import APIS
from mockllm.providers.routes import NO_VALUES
from tests.support.apps import LoneApp
from tests.support.engines import ask
from tests.support.served import chat_request

Json = dict[str, Any]
CHAT = APIS[0]


def warned(field: str, match: Json) -> list[str]:
    """The warnings about a mock with `match` in the list `field`."""
    answer: Json = {"reply": "hi"} if field != "openai_embeddings" else {"response": {}}
    config = Config.from_dict({field: [{"match": match, **answer}]})
    return [str(problem) for problem in load(config).warnings]


CONTRADICTIONS = [
    (
        {"user": "a", "tool_result": "b"},
        (
            "'user' holds only without a tool result; write 'last_user' for words beside a "
            "'tool_result'"
        ),
    ),
    (
        {"user": "a", "step": 2},
        "'user' holds only in the first step; write 'last_user' for the words before it",
    ),
    ({"tools": [], "tool_names": ["f"]}, "no tools and some tools cannot both be offered"),
    ({"turn": 2, "step": {"at_least": 3}}, "'step' is at most 'turn', and so at most 2 here"),
    ({"turn": 2, "all_of": [{"turn": {"at_least": 3}}]}, "no 'turn' is in both ranges"),
    ({"model": "a", "all_of": [{"model": "b"}]}, "of the model, 'a' is not 'b'"),
    (
        {"model": "a", "all_of": [{"model": {"contains": "b"}}]},
        "of the model, 'a' is not a text that contains 'b'",
    ),
    ({"model": ""}, "a request without a model is refused"),
    (
        {"model": "a", "any_of": [{"model": "b"}, {"turn": 2, "all_of": [{"model": "c"}]}]},
        "no match in 'any_of' can hold beside the rest: of the model, 'a' is not 'b'",
    ),
    (
        {"user": "a", "any_of": [{"any_of": [{"tool_result": "b"}, {"step": 3}]}]},
        (
            "no match in 'any_of' can hold beside the rest: 'user' holds only without a tool "
            "result; write 'last_user' for words beside a 'tool_result'"
        ),
    ),
    ({"stream": True, "all_of": [{"stream": False}]}, "'stream' cannot be both true and false"),
    ({"user": {"exact": "hi", "contains": "x"}}, "'hi' is not a text that contains 'x'"),
    (
        {"tool_result": {"name": [{"exact": "f", "starts_with": "g"}]}},
        "'f' is not a text that starts with 'g'",
    ),
    (
        {"body": {"$.temperature": 0, "$['temperature']": 1.5}},
        "$.temperature cannot be both 0 and 1.5",
    ),
    (
        {"body": {"$.a": "x"}, "all_of": [{"body": {"$.a": {"contains": "y"}}}]},
        "$.a cannot be both \"x\" and a text that contains 'y'",
    ),
    (
        {"body": {"$.a": {"exact": "x"}, "$['a']": {"any": [1, "y"]}}},
        "$.a cannot be both 'x' and one of: 1; \"y\"",
    ),
    (
        {"body": {"$.a": {"any": [{"exact": "x"}, [1]]}, "$['a']": {"starts_with": "y"}}},
        "$.a cannot be both one of: 'x'; [1] and a text that starts with 'y'",
    ),
    (
        {"body": {"$.a": {"exists": False}, "$['a']": {"exists": True}}},
        "$.a cannot be both missing and any value",
    ),
    ({"body": {"$.a": {"equals": 1, "any": [2, 3]}}}, "$.a cannot be both 1 and one of: 2; 3"),
    ({"body": {"$.a": {"exact": "x", "contains": "y"}}}, "'x' is not a text that contains 'y'"),
    (
        {"body": {"$..a": {"equals": 1, "contains": "y"}}},
        "$..a cannot be both 1 and a text that contains 'y'",
    ),
    ({"not": {}}, "an empty 'not' holds for no request; leave it out"),
    (
        {"turn": 1, "not": {"turn": 1}},
        "what 'not' excludes is demanded beside it: {\"turn\":1}",
    ),
    (
        {"model": "ab", "stream": True, "not": {"model": {"contains": "a"}, "stream": True}},
        ('what \'not\' excludes is demanded beside it: {"model":{"contains":"a"},"stream":true}'),
    ),
    (
        {"user": "a", "all_of": [{"not": {"any_of": [{"user": ["a", "b"]}, {"turn": 2}]}}]},
        ('what \'not\' excludes is demanded beside it: {"any_of":[{"user":["a","b"]},{"turn":2}]}'),
    ),
]


@pytest.mark.parametrize("field", ["openai", "openai_response", "anthropic", "mocks"])
@pytest.mark.parametrize(("match", "reason"), CONTRADICTIONS)
def test_words_that_contradict_each_other_are_a_warning(
    field: str, match: Json, reason: str
) -> None:
    assert warned(field, match) == [f"{field}[0]: match: can never match: {reason}"]


@pytest.mark.parametrize(
    "match",
    [
        {"last_user": "a", "tool_result": "b"},
        {"model": "a", "any_of": [{"model": "b"}, {"turn": 2}]},
        {"any_of": [{"model": "a"}, {"model": "b"}], "all_of": [{"any_of": [{"turn": 1}]}]},
        {"model": ["", "a"]},
        {"tools": ["f"], "tool_names": ["g"]},
        {"turn": {"at_least": 2}, "step": 3},
        {"turn": 3, "step": 1},
        {"any_of": [{"user": "a"}, {"tool_result": "b"}]},
        {"any_of": [{"api": "messages"}, {"user": "b"}]},
        {"not": {"user": "a", "tool_result": "b"}},
        {"model": "ab", "not": {"model": {"contains": "a"}, "stream": True}},
        {"model": {"contains": "a"}, "not": {"model": "ab"}},
        {"tool_result": {"error": False}},
        {"user": {"exact": "HI", "contains": "hi", "ignore_case": True}},
        {"user": [{"exact": "hi", "contains": "x"}, "b"]},
        {"api": ["chat", "responses", "messages"]},
        {"body": {"$.a": 1, "$['a']": 1.0, "$.b": 2}},
        {"body": {"$.a": 2**53 + 1, "$['a']": {"any": [1e300, 2**53 + 1]}}},
        {"body": {"$.a": {"any": [1, {"contains": "x"}]}, "$['a']": "xy"}},
        {"body": {"$.a": {"any": [1, {"contains": "x"}]}, "$['a']": {"starts_with": "y"}}},
        {"body": {"$.a": {"equals": {"b": 1}}, "$['a']": {"exists": True}}},
        {"body": {"$.a": {"exists": False}, "$.a.b": {"exists": False}}},
        {"body": {"$.a": {"exact": "X", "ignore_case": True}, "$['a']": "x"}},
        {"body": {"$..a": 1, "$..['a']": 2}},
        {"body": {"$.a": 1}, "any_of": [{"body": {"$.a": 2}}, {"turn": 1}]},
    ],
)
@pytest.mark.parametrize("field", ["openai", "mocks"])
def test_nothing_is_said_of_words_that_some_request_meets(field: str, match: Json) -> None:
    assert warned(field, match) == []


_VALUES = [None, True, 1, 1.5, 2**63, "", "x", "xy", [1], {"b": 1}]
_TESTS = st.recursive(
    st.sampled_from([{"equals": value} for value in _VALUES])
    | st.sampled_from([{"exists": True}, {"exact": "x"}, {"contains": "y"}, {"starts_with": "x"}]),
    lambda inner: st.lists(inner, min_size=1, max_size=3).map(lambda tests: {"any": tests}),
)


@given(st.lists(st.just({"exists": False}) | _TESTS, min_size=2, max_size=3))
def test_a_body_that_some_request_has_is_no_contradiction(tests: list[Json]) -> None:
    match = {"body": dict(zip(["$.a", "$['a']", '$["a"]'], tests, strict=False))}
    predicates, _ = compile_match(CHAT, OpenAIRequestMatch.model_validate(match), Place())
    bodies = [{}, *({"a": value} for value in _VALUES)]
    sent = [orjson.dumps(chat_request("hi", **body)) for body in bodies]
    requests = [Request.of("POST", CHAT.routes[0], body=each) for each in sent]
    prompts = [CHAT.decode(each, NO_VALUES) for each in requests]

    if any(all(each.difference(prompt, {}) is None for each in predicates) for prompt in prompts):
        assert find_reason(CHAT, predicates) is None


@pytest.mark.parametrize(
    ("match", "reason"),
    [
        ({"tool_result": "a"}, "a request of OpenAI Embeddings has no tool results"),
        ({"any_message": {"role": "tool"}}, "a request of OpenAI Embeddings has no tool results"),
        (
            {"any_message": {"role": "assistant"}},
            "a request of OpenAI Embeddings has no answers of the model",
        ),
        ({"system": "a"}, "a request of OpenAI Embeddings has no instructions"),
        ({"schema": "a"}, "a request of OpenAI Embeddings has no schema"),
        ({"tools": ["f"]}, "a request of OpenAI Embeddings has no tools"),
        ({"tools": {"any": ["f"]}}, "a request of OpenAI Embeddings has no tools"),
        ({"turn": 2}, "a request of OpenAI Embeddings has no earlier answers"),
        ({"stream": True}, "OpenAI Embeddings does not stream"),
        ({"all_of": [{"stream": True}]}, "OpenAI Embeddings does not stream"),
    ],
)
def test_words_of_a_conversation_are_a_warning_in_embeddings(match: Json, reason: str) -> None:
    assert warned("openai_embeddings", match) == [
        f"openai_embeddings[0]: match: can never match: {reason}"
    ]


def test_words_that_embeddings_have_are_none() -> None:
    match = {"user": "a", "any_message": {"role": "user"}, "turn": 1, "tools": [], "stream": False}

    assert warned("openai_embeddings", match) == []


def test_a_negated_list_of_every_api_is_not_called_empty() -> None:
    every = {"api": ["chat", "responses", "messages"]}

    assert warned("mocks", {"not": every}) == [
        (
            "mocks[0]: match: can never match: what 'not' excludes always holds: "
            '{"api":["chat","responses","messages"]}'
        )
    ]
    assert warned("mocks", {"not": {"api": ["chat", "messages"]}}) == []


def test_a_mock_of_every_api_that_names_embeddings_only_is_told_where_to_go() -> None:
    assert warned("mocks", {"api": "embeddings"}) == [
        (
            "mocks[0]: match.api: can never match: no mock of 'mocks' answers embeddings; write "
            "the mock into 'openai_embeddings', with a 'response'"
        )
    ]


def test_embeddings_beside_another_api_have_no_effect() -> None:
    assert warned("mocks", {"api": ["chat", "embeddings"]}) == [
        (
            "mocks[0]: match.api: 'embeddings' has no effect: no mock of 'mocks' answers "
            "embeddings; write the mock into 'openai_embeddings', with a 'response'"
        )
    ]


def test_a_word_that_one_api_lacks_is_told_where_the_others_are_left_out() -> None:
    match = {"api": "chat", "tool_result": {"error": True}}

    assert warned("mocks", match) == [
        (
            "mocks[0]: match: can never match: a request of OpenAI Chat Completions does not tell "
            "that a tool failed"
        )
    ]
    assert warned("mocks", {"tool_result": {"error": True}}) == []
    assert len(warned("openai", {"tool_result": {"error": True}})) == 1


def test_words_that_each_api_refuses_for_another_reason_are_told_for_each() -> None:
    match = {"any_of": [{"api": ["messages", "responses"], "stream": True}], "turn": 1}

    assert warned("mocks", match | {"api": ["chat", "messages"]}) == []
    either = {"any_of": [{"api": "messages"}], "tool_result": {"error": True}}
    assert warned("mocks", either | {"api": ["chat", "responses"]}) == [
        (
            "mocks[0]: match: can never match: in chat: a request of OpenAI Chat Completions does "
            "not tell that a tool failed; in responses: match.api does not name this API, "
            "'responses'"
        )
    ]


def test_alternatives_of_which_none_can_hold_are_a_warning() -> None:
    match = {"any_of": [{"api": "messages"}, {"user": "a", "tool_result": "b"}]}

    assert warned("openai", match) == [
        "openai[0]: match: can never match: match.api does not name this API, 'chat'"
    ]


def test_headers_that_every_api_refuses_are_a_warning() -> None:
    twice = [{"name": "x-a", "value": "1"}, {"name": "X-A", "value": "2"}]

    assert warned("mocks", {"headers": twice}) == [
        (
            "mocks[0]: match.headers[1]: can never match: contradicts match.headers[0], on the "
            "same header"
        )
    ]


def test_credentials_that_one_api_refuses_are_none() -> None:
    empty = [{"name": name, "value": ""} for name in ("authorization", "api-key")]

    assert warned("mocks", {"headers": empty}) == []
    assert len(warned("openai", {"headers": empty})) == 1


def test_a_mock_that_answers_one_api_only_is_unreachable_if_it_is_hidden_there() -> None:
    mocks = [
        {"name": "all", "reply": "a"},
        {"name": "chat", "match": {"api": "chat"}, "reply": "b"},
    ]

    loaded = load(Config.from_dict({"mocks": mocks}))

    assert [str(problem) for problem in loaded.warnings] == [
        "mocks[1] 'chat': unreachable: mocks[0] 'all' matches every request that this mock matches"
    ]


def test_what_can_never_match_does_not_answer() -> None:
    match = {"tool_result": "b", "user": "Hi"}
    app = LoneApp(build_engine({"mocks": [{"match": match, "reply": "a"}]}))

    assert (
        ask("POST", "/v1/chat/completions", body=chat_request("Hi"), engine=app).reply.status == 404
    )
