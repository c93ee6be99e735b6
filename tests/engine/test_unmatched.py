"""The 404 of a request that no mock answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mockllm import Config
from mockllm.engine.added import compile_added
from mockllm.engine.decision import Decision
from mockllm.engine.engine import Engine
from mockllm.engine.loading import load
from mockllm.engine.unmatched import MAX_REQUEST_QUOTE, _beginning
from mockllm.matching.texts import quote
from mockllm.wire import jsontext
from tests.support.apps import LoneApp
from tests.support.engines import ANTHROPIC, KEY, ask, told
from tests.support.loads import mock
from tests.support.observed import PATHS, Observed, request
from tests.support.served import chat_request, chat_saying


def nested(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.lists(inner) | st.dictionaries(st.text(max_size=3), inner)


def asked(text: str, *mocks: dict[str, Any]) -> Decision:
    """The decision on a request with this text, by these mocks of Chat Completions."""
    app = LoneApp(Engine(load(Config.from_dict({"openai": list(mocks)}))))
    return ask("POST", "/v1/chat/completions", body=chat_request(text), engine=app)


def test_a_404_names_the_nearest_mock() -> None:
    decision = asked("help", mock("hello", "greet"), mock("bye"))

    error = told(decision)["error"]
    assert (decision.reply.status, decision.match.outcome.value, error["code"]) == (
        404,
        "no match",
        "mock_not_found",
    )
    assert error["message"] == (
        "No matching mock found. The request's last message: user 'help'. Closest mock: openai[0] "
        "'greet': text differs at character 3: expected 'lo', found 'p'."
    )


def test_a_long_message_is_cut_in_the_404() -> None:
    error = told(asked("x" * 9_999, mock("a")))["error"]

    assert "x" * MAX_REQUEST_QUOTE + "'…" in error["message"]
    assert len(error["message"]) < MAX_REQUEST_QUOTE + 300


@given(
    st.recursive(st.integers(0, 9) | st.text(max_size=3), nested, max_leaves=20), st.integers(1, 9)
)
def test_the_beginning_of_an_input_without_a_text_is_that_of_the_whole(
    value: Any, most: int
) -> None:
    beginning = _beginning(value, iter(range(most)))

    assert orjson.dumps(beginning)[:most] == orjson.dumps(value)[:most]
    assert orjson.dumps(beginning).count(b",") < most


def test_an_api_without_mocks_says_so_without_its_sdk() -> None:
    error = told(asked("hi"))["error"]

    assert error["message"].endswith(
        "There are no mocks of OpenAI Chat Completions under 'openai' or 'mocks'."
    )


@pytest.mark.parametrize("api", ["messages", ["responses", "messages"]])
def test_mocks_of_other_apis_are_not_counted(api: str | list[str]) -> None:
    config = Config.from_dict({"mocks": [{"match": {"api": api}, "reply": "Hi"}]})
    app = LoneApp(Engine(load(config)))

    decision = ask("POST", "/v1/chat/completions", body=chat_request("hi"), engine=app)

    assert told(decision)["error"]["message"].endswith(
        "There are no mocks of OpenAI Chat Completions under 'openai' or 'mocks'."
    )


def test_a_text_is_nearer_to_a_mock_of_a_text_than_to_one_of_an_image() -> None:
    image = {"type": "image_url", "image_url": {"url": "u"}}
    mocks = [mock("Hi"), mock("cat")]
    mocks[0]["match"]["message"]["content"] = [image]

    error = told(asked("dog", *mocks))["error"]

    assert "Closest mock: openai[1]: text differs at character 0" in error["message"]


@pytest.mark.parametrize("size", [400, 470, 480, 490, 499, 500, 501, 10_000])
def test_of_a_long_text_in_an_input_only_the_beginning_is_written(size: int) -> None:
    image = {"type": "input_image", "image_url": "\u00e4" * size}
    value = [{"role": "user", "content": [image]}]

    beginning = _beginning(value, iter(range(MAX_REQUEST_QUOTE)))

    whole, shown = (jsontext.dumps(each).decode() for each in (value, beginning))
    assert len(shown) <= MAX_REQUEST_QUOTE + 100
    assert quote(shown, MAX_REQUEST_QUOTE) == quote(whole, MAX_REQUEST_QUOTE)


# --- Results of calls -----------------------------------------------------------------------------


def tool(text: str, call_id: str) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": call_id, "content": text}


def blocks(text: str, call_id: str) -> dict[str, Any]:
    block = {"type": "tool_result", "tool_use_id": call_id, "content": text}
    return {"role": "user", "content": [block]}


def items(text: str, call_id: str) -> list[dict[str, Any]]:
    return [{"type": "function_call_output", "call_id": call_id, "output": text}]


OF_RESULTS: dict[str, tuple[str, str, dict[str, str], Callable[[str, str], Any]]] = {
    "openai": ("/v1/chat/completions", "message", KEY, tool),
    "anthropic": ("/v1/messages", "message", ANTHROPIC, blocks),
    "openai_response": ("/v1/responses", "input", KEY, items),
}


@pytest.mark.parametrize("match_type", ["exact", "contains"])
@pytest.mark.parametrize("name", OF_RESULTS)
def test_a_mock_of_the_same_call_is_nearer_than_one_with_a_similar_text(
    name: str, match_type: str
) -> None:
    path, field, headers, result = OF_RESULTS[name]

    def of(label: str, value: Any) -> dict[str, Any]:
        match = {"match_type": match_type, field: value}
        return {"name": label, "match": match, "response": {}}

    user = "sunny in Rome" if field == "input" else {"role": "user", "content": "sunny in Rome"}
    mocks = [
        of("user", user),
        of("another call", result("sunny in Paris", "call_2")),
        of("same call", result("rain", "call_1")),
    ]
    asked = result("sunny in Oslo", "call_1")
    body = {"model": "m", "max_tokens": 16, "messages": [asked], "input": asked}
    app = LoneApp(Engine(load(Config.from_dict({name: mocks}))))

    error = told(ask("POST", path, headers, body, engine=app))["error"]

    assert f"Closest mock: {name}[2] 'same call': " in error["message"]
    assert "'rain'" in error["message"]


HELLO = {"user": {"contains": "hello"}}


@pytest.mark.parametrize(
    ("match", "closest"),
    [
        (
            HELLO | {"api": "responses"},
            "mocks[1]: the request is to 'chat', expected 'api' 'responses'",
        ),
        (
            HELLO | {"api": ["responses", "messages"], "tools": []},
            "mocks[1]: the request is to 'chat', expected 'api' 'responses' or 'messages'",
        ),
        ({"api": "responses"}, "mocks[0]: the user's last turn is 'hello', expected 'help'"),
        (
            {"user": "bye", "api": "responses"},
            "mocks[0]: the user's last turn is 'hello', expected 'help'",
        ),
        (
            HELLO | {"api": "responses", "turn": 1},  # may depend on earlier requests
            "mocks[0]: the user's last turn is 'hello', expected 'help'",
        ),
    ],
)
def test_a_mock_that_is_restricted_to_other_apis_explains_the_404(match: Any, closest: str) -> None:
    mocks = [{"match": {"user": "help"}, "reply": "a"}, {"match": match, "reply": "b"}]
    app = LoneApp(Engine(load(Config.from_dict({"mocks": mocks}))))

    decision = ask("POST", "/v1/chat/completions", body=chat_request("hello"), engine=app)

    assert told(decision)["error"]["message"].endswith(f"Closest mock: {closest}.")


def test_a_mock_of_another_api_explains_the_404_of_a_list_without_others() -> None:
    mocks = [{"match": HELLO | {"api": "responses"}, "sequence": ["b"]}]
    app = LoneApp(Engine(load(Config.from_dict({"mocks": mocks}))))

    decision = ask("POST", "/v1/chat/completions", body=chat_request("hello"), engine=app)

    assert "mocks[0]: the request is to 'chat'" in told(decision)["error"]["message"]


CONFIG: dict[str, Any] = {
    "openai": [
        mock("hello", "greet"),
        {
            "match": {
                "message": {"role": "user", "content": "bye"},
                "headers": [{"name": "x-tenant", "value": "a"}],
            },
            "response": chat_saying("ho"),
        },
    ],
    "mocks": [{"match": {"user": {"contains": "weather"}, "model": "big"}, "reply": "Sunny"}],
}
TEXTS = st.sampled_from(["help", "bye", "the weather", "", "hell"])
MESSAGES = st.one_of(
    TEXTS.map(lambda text: [{"role": "user", "content": text}]),
    TEXTS.map(lambda text: [{"role": "user", "content": text, "name": "n"}]),
    TEXTS.map(
        lambda text: [{"role": "system", "content": text}, {"role": "user", "content": text}]
    ),
    TEXTS.map(lambda text: [{"role": "user", "content": [{"type": "text", "text": text}]}]),
    TEXTS.map(lambda text: [{"role": "assistant", "content": text}]),
)
ASKED = st.tuples(
    st.sampled_from(["chat", "messages"]),
    st.fixed_dictionaries(
        {"messages": MESSAGES, "model": st.sampled_from(["big", "small"])},
        optional={"stream": st.booleans(), "temperature": st.just(0.5), "system": st.just("s")},
    ),
    st.sampled_from([{}, {"x-tenant": "b"}]),
)


@settings(max_examples=60)
@given(st.lists(ASKED, min_size=1, max_size=4))
def test_what_is_known_of_texts_without_a_mock_changes_no_answer(
    several: list[tuple[str, dict[str, Any], dict[str, str]]],
) -> None:
    knowing, anew = Observed(CONFIG), Observed(CONFIG, reuse=False)

    for number, (path, body, headers) in enumerate(several * 3):
        asked = request(PATHS[path], {"max_tokens": 1 + number, **body}, headers)
        one, other = knowing.app.decide(asked), anew.app.decide(asked)

        assert one.reply == other.reply
        assert one.match._replace(ready=None) == other.match._replace(ready=None)


def test_the_closest_mock_of_a_text_is_looked_for_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    observed = Observed({"openai": [mock("hello", "greet")]})

    def ask(number: int) -> bytes:
        said = [{"role": "user", "content": "help"}]
        asked = request(PATHS["chat"], {"model": "m", "messages": said, "user": str(number)})
        return observed.app.decide(asked).reply.body

    first = [ask(number) for number in range(2)]
    monkeypatch.setattr("mockllm.engine.selection.match_inputs", None)

    assert [ask(2), ask(3)] == first
    observed.app.add(compile_added({"user": "help", "reply": "here"}, 0), None)
    assert b"here" in ask(4)


def test_other_conditions_are_looked_at_each_time() -> None:
    observed = Observed({"openai": [{"match": {"body": {"$.user": "0"}}, "reply": "x"}]})

    def ask(number: int) -> bytes:
        said = [{"role": "user", "content": "help"}]
        asked = request(PATHS["chat"], {"model": "m", "messages": said, "user": str(number)})
        return observed.app.decide(asked).reply.body

    bodies = [ask(number) for number in range(1, 4)]

    assert [f"{number}".encode() in body for number, body in enumerate(bodies, 1)] == [True] * 3
    assert len(set(bodies)) == 3
