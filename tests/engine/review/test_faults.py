"""What is reported of faults when they are loaded."""

from __future__ import annotations

from typing import Any

import pytest

from mockllm import Config, ConfigError
from mockllm.engine.loading import load
from tests.support.configs import MOCK

ANY: dict[str, Any] = {"response": {}}


def problems(fault: Any, field: str = "mocks", **mock: Any) -> list[str]:
    """The problems of a mock with `fault`, each without its place in the list."""
    answer = {"reply": "Hello world"} if field != "openai_embeddings" else ANY
    if "error" in mock:
        answer = {}
    config = Config.from_dict({field: [answer | {"fault": fault} | mock]})
    try:
        found = [str(each) for each in load(config).warnings]
    except ConfigError as exc:
        found = [str(each) for each in exc.problems]
    return [each.removeprefix(f"{field}[0]: ") for each in found]


@pytest.mark.parametrize(
    ("after", "name"),
    [({"bytes": 5}, "bytes"), ({"events": 5}, "events"), ({"event": "ping"}, "event")],
)
def test_a_place_of_one_api_needs_one_api(after: Any, name: str) -> None:
    fault = {"end": "cut", "after": after}

    (found,) = problems(fault)

    assert found == (
        f"fault.after: {name!r} is another moment in each API: write 'tokens' or a word such as "
        '"first_token", or add "api" to \'match\''
    )
    assert problems(fault, match={"api": ["chat", "messages"]}) == [found]
    assert problems(fault, match={"api": "messages"}) == []
    assert problems(fault, "anthropic") == []


def test_the_events_of_chat_completions_have_no_type() -> None:
    fault = {"end": "cut", "after": {"event": "chunk"}}
    expected = [
        'fault.after: the events of OpenAI Chat Completions have no type: write {"events": ...}'
    ]

    assert problems(fault, "openai") == problems(fault, match={"api": "chat"}) == expected


@pytest.mark.parametrize(
    ("after", "reason"),
    [
        ({"tokens": 4}, "the answer has 3 tokens"),
        ("tool_arguments", "the answer has no tool call with arguments"),
    ],
)
def test_a_place_that_no_answer_has_is_a_mistake(after: Any, reason: str) -> None:
    faults = [{"pause": 1}, {"end": "cut", "after": after, "chance": 0.5}]

    assert problems(faults) == [f"fault[1].after: {reason}"]


def test_the_faults_of_entries_are_reported_in_their_places() -> None:
    fault = {"end": "cut", "after": {"tokens": 4}}
    entries = [{"fault": fault}, {"reply": "one two three four", "fault": fault}, "one"]
    written = {"reply": "Hello world", "first": entries, "fault": [fault | {"chance": 0.5}]}

    with pytest.raises(ConfigError) as caught:
        load(Config.from_dict({"mocks": [written]}))

    assert [str(each) for each in caught.value.problems] == [
        "mocks[0]: first[0].fault.after: the answer has 3 tokens",
        "mocks[0]: fault[0].after: the answer has 1 token",
        "mocks[0]: fault[0].after: the answer has 3 tokens",
    ]


def test_an_event_that_the_stream_has_not_is_a_mistake() -> None:
    fault = {"end": "cut", "after": {"event": "content_block_start", "nth": 2}}

    assert problems(fault, "anthropic") == [
        "fault.after: of the events 'content_block_start' the answer has only 1"
    ]


@pytest.mark.parametrize("after", ["head", "before_end", {"time": 1}, {"bytes": 9}])
@pytest.mark.parametrize("field", ["openai", "anthropic", "openai_embeddings"])
def test_every_answer_has_these_places(field: str, after: Any) -> None:
    assert [
        each for each in problems({"end": "hang", "after": after}, field) if "fault" in each
    ] == []


@pytest.mark.parametrize("after", [{}, {"after": "first_token"}, {"after": {"time": 1}}])
def test_a_flagged_prompt_is_no_error_of_messages(after: Any) -> None:
    fault = {"error": "flagged"} | after
    expected = [
        (
            "fault.error: Anthropic Messages answers a flagged prompt with a refusal, which is no "
            'error: write "error": "flagged" beside \'match\', not in a fault'
        )
    ]

    assert problems(fault, "anthropic") == problems(fault) == expected
    assert problems(fault, "openai") == problems(fault, match={"api": "responses"}) == []


def test_embeddings_and_errors_have_no_words() -> None:
    fault = {"end": "cut", "after": "first_token"}

    (of_embeddings,) = [
        each for each in problems(fault, "openai_embeddings") if each.startswith("fault")
    ]

    assert of_embeddings == "fault.after: the answer has 0 tokens"
    assert problems(fault, error="overloaded") == ["fault.after: the answer has 0 tokens"]


def test_a_place_that_depends_on_the_tools_of_a_request_is_no_mistake() -> None:
    fault = {"end": "cut", "after": "tool_arguments"}

    assert problems(fault, reply={"json": {"a": 1}}) == []


def test_a_bare_number_that_was_meant_as_milliseconds_is_a_warning() -> None:
    (found,) = problems([{"pause": 500, "after": "head"}])

    assert found == (
        'fault[0].pause: 500 seconds: write "500ms" if milliseconds are meant, else "500s"'
    )


def test_a_mock_without_a_fault_has_no_problem() -> None:
    assert load(Config.from_dict({"openai": [MOCK]})).warnings == ()
