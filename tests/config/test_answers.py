"""What a mock answers with: one answer, or several in order."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest
from openai.types.chat import ChatCompletion

from mockllm import (
    Config,
    ConfigError,
    EmbeddingsEntry,
    Entry,
    Error,
    Mock,
    MockStream,
    OpenAIEmbeddingsMock,
    OpenAIMock,
    Reply,
    ReplyStream,
    ResponseEntry,
)
from mockllm.config.answers import MAX_TIMES
from mockllm.config.models import MOCK_FIELDS
from tests.support.configs import mistakes
from tests.support.schemas import config_validator

ANSWER = {"choices": [{"message": {"content": "hi"}}]}


def mock_of(written: dict[str, Any], field: str = "mocks") -> Any:
    (mock,) = getattr(Config.from_dict({field: [written]}), field)
    return mock


def mistake_of(written: dict[str, Any], field: str = "mocks") -> list[str]:
    """The mistakes in a mock, from its path on."""
    found = mistakes({field: [written]})
    return [each.removeprefix(f"a.json: {field}[0]: ") for each in found]


# --- Entries -------------------------------------------------------------------------------------


def test_a_text_is_an_entry_with_a_reply() -> None:
    written = mock_of({"sequence": ["hi", {"reply": "hi"}, {"reply": {"text": "hi"}}]})

    assert [entry.said for entry in written.sequence_entries] == [Reply(text="hi")] * 3
    assert [entry.times for entry in written.sequence_entries] == [1, 1, 1]


@pytest.mark.parametrize("field", ["openai", "openai_response", "anthropic", "openai_embeddings"])
def test_an_entry_in_the_list_of_an_api_may_have_a_response(field: str) -> None:
    mock = mock_of({"first": [{"response": {"id": "a"}}], "error": "overloaded"}, field)

    assert mock.first_entries[0].answer == {"id": "a"}


def test_a_reply_and_an_error_of_python_are_entries() -> None:
    reply, error = Reply(text="a"), Error(word="overloaded")

    built = Mock(sequence=[reply, error], first=[reply, error])

    entries = [Entry(reply=reply), Entry(error=error)]
    assert [*built.sequence_entries] == [*built.first_entries] == entries
    assert OpenAIEmbeddingsMock(sequence=[Error(word="overloaded")]).sequence_entries == [
        EmbeddingsEntry(error="overloaded")
    ]


def test_files_and_python_make_the_same_entries() -> None:
    written = {
        "sequence": [
            "one",
            {"error": "overloaded", "times": 2, "retry": "same", "headers": {"x-a": "1"}},
            {"response": ANSWER, "stream": {"events": []}},
            {"reply": {"json": 1}, "stream": {"chunk": 3}, "times": "always"},
        ]
    }

    built = OpenAIMock(
        sequence=[
            "one",
            Entry(error="overloaded", times=2, retry="same", headers={"x-a": "1"}),
            ResponseEntry(response=ANSWER, stream=MockStream(events=[])),
            Entry(
                reply=Reply.model_validate({"json": 1}), stream=ReplyStream(chunk=3), times="always"
            ),
        ]
    )

    assert built.model_dump(exclude_unset=True) == mock_of(written, "openai").model_dump(
        exclude_unset=True
    )


def test_an_object_of_an_sdk_is_converted_to_json() -> None:
    choice = {
        "index": 0,
        "finish_reason": "stop",
        "message": {"role": "assistant", "content": "hi"},
        "logprobs": None,
    }
    data = {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}

    entry = ResponseEntry(response=ChatCompletion.model_validate(data))

    assert entry.response == data


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({"reply": "a"}, False),
        ({"error": "overloaded"}, True),
        ({"reply": "a", "retry": "next"}, True),
        ({"error": "overloaded", "retry": "same"}, False),
    ],
)
def test_a_marked_retry_takes_the_next_entry_after_an_error_or_where_it_says_so(
    entry: dict[str, Any], expected: bool
) -> None:
    assert Entry.model_validate(entry).advances_retry is expected


TIMES = "sequence[0].times: expected a whole number, at least 1, or 'always'"


@pytest.mark.parametrize(
    ("sequence", "expected"),
    [
        ([], ["sequence: expected a list that is not empty, found an empty one"]),
        ("hi", ["sequence: expected a list, found 'hi'; write [\"hi\"]"]),
        ([5], ['sequence[0]: expected a text or an object, found 5; write "5"']),
        ([None], ["sequence[0]: expected a text or an object, found null"]),
        ([["a"]], ["sequence[0]: expected a text or an object, found a list"]),
        (["a", {}], ["sequence[1]: expected 'reply' or 'error', found none of them"]),
        (
            ["a", {"headers": {"x-a": "1"}}],
            ["sequence[1]: expected 'reply' or 'error', found none of them"],
        ),
        (
            [{"reply": "a", "error": "overloaded"}],
            ["sequence[0]: expected one answer, found 'reply' and 'error': keep one of them"],
        ),
        ([{"reply": "a", "times": 0}], [f"{TIMES}, found 0"]),
        ([{"reply": "a", "times": True}], [f"{TIMES}, found true"]),
        ([{"reply": "a", "times": 1.5}], [f"{TIMES}, found 1.5"]),
        ([{"reply": "a", "times": "2"}], [f"{TIMES}, found '2'"]),
        ([{"reply": "a", "times": None}], [f"{TIMES}, found null"]),
        ([{"reply": "a", "times": MAX_TIMES + 1}], [f"{TIMES}, found {MAX_TIMES + 1}"]),
        (
            ["a", {"reply": "b", "times": "always"}, "c"],
            ["sequence[1].times: expected a number: entries behind 'always' would never be given"],
        ),
        (
            [{"reply": "a", "retry": "again"}],
            ["sequence[0].retry: expected 'same' or 'next', found 'again'"],
        ),
        (
            ["a", {"repyl": "b"}],
            [
                (
                    "sequence[1].repyl: unknown key, expected one of error, fault, headers, "
                    "latency, reply, retry, stream, times; did you mean 'reply'?"
                )
            ],
        ),
        (
            ["a", {"response": ANSWER}],
            [
                (
                    "sequence[1].response: expected in the list of an API, whose form it has, "
                    "found in 'mocks'; write 'reply' instead"
                )
            ],
        ),
        (
            [{"reply": "a", "stream": {"events": []}}],
            [
                (
                    "sequence[0].stream.events: expected in the list of an API, whose form it has, "
                    "found in 'mocks'"
                )
            ],
        ),
        (
            [{"sequence": ["a"]}],
            ["sequence[0].sequence: an entry has one answer: write its entries into this list"],
        ),
    ],
)
def test_a_mistake_in_a_sequence_has_its_place_and_a_remedy(
    sequence: Any, expected: list[str]
) -> None:
    assert mistake_of({"sequence": sequence}) == expected


@pytest.mark.parametrize("entry", ["a", {"reply": "a"}])
def test_an_entry_of_embeddings_has_no_reply(entry: Any) -> None:
    assert mistake_of({"sequence": [entry]}, "openai_embeddings") == [
        "sequence[0].reply: embeddings are vectors, which no reply has; write 'response' instead"
    ]


@pytest.mark.parametrize("entry", [ResponseEntry(response=ANSWER), EmbeddingsEntry(response={})])
def test_an_entry_of_another_list_is_a_mistake_in_python_too(entry: Any) -> None:
    with pytest.raises(ConfigError, match=r"sequence\[0\]\.response: expected in the list of an"):
        Config.from_dict({"mocks": [{"sequence": [entry]}]})


@pytest.mark.parametrize("key", ["sequence", "first"])
@pytest.mark.parametrize(
    ("field", "answers"),
    [
        ("openai", {"reply": "a", "error": "overloaded"}),
        ("openai", {"response": {"choices": []}, "reply": "a"}),
        ("anthropic", {"response": {"content": []}, "error": "overloaded"}),
        ("openai_embeddings", {"response": {"data": []}, "error": "overloaded"}),
    ],
)
def test_an_entry_of_any_list_has_one_answer(field: str, key: str, answers: Any) -> None:
    """Of two answers in an API's own list, one was ignored."""
    own = {} if key == "sequence" else {"error": "overloaded"}
    one, other = map(repr, answers)

    with pytest.raises(ConfigError) as caught:
        Config.from_dict({field: [{key: [answers], **own}]})

    (problem,) = caught.value.problems
    assert problem.message == f"expected one answer, found {one} and {other}: keep one of them"
    assert str(problem.place) == f"{field}[0]: {key}[0]"


# --- What stands together ------------------------------------------------------------------------

ENDLESS = "first[1].times: expected a number: what follows 'always' would never be given"


@pytest.mark.parametrize(
    ("mock", "expected"),
    [
        (
            {"reply": "a", "sequence": ["b"]},
            ["expected one answer, found 'reply' and 'sequence': keep one of them"],
        ),
        ({"first": ["a"]}, ["expected 'reply', 'error' or 'sequence', found none of them"]),
        (
            {"reply": "a", "first": []},
            ["first: expected a list that is not empty, found an empty one"],
        ),
        ({"reply": "a", "first": ["b", {"reply": "c", "times": "always"}]}, [ENDLESS]),
        ({"sequence": ["a"], "first": ["b", {"reply": "c", "times": "always"}]}, [ENDLESS]),
        (
            {"sequence": ["a"], "first": [{"headers": {"x-a": "1"}}]},
            [
                (
                    "first[0]: expected 'reply' or 'error': beside a 'sequence' the mock has no "
                    "answer of its own"
                )
            ],
        ),
        (
            {"reply": "a", "at_end": "pass"},
            ["at_end: expected 'sequence' beside it: any other answer is given for ever"],
        ),
        (
            {"sequence": ["a"], "at_end": "stop"},
            ["at_end: expected 'fail', 'pass', 'repeat' or 'restart', found 'stop'"],
        ),
        (
            {"sequense": ["a"], "at_end": "pass"},
            [
                (
                    "sequense: unknown key, expected one of at_end, error, fault, first, headers, "
                    "latency, match, name, reply, sequence, stream; did you mean 'sequence'?"
                )
            ],
        ),
    ],
)
def test_answers_that_do_not_go_together_are_a_mistake(mock: Any, expected: list[str]) -> None:
    assert mistake_of(mock) == expected


def test_events_belong_to_one_answer() -> None:
    mock = {"sequence": [{"response": ANSWER}], "stream": {"events": []}}

    assert mistake_of(mock, "openai") == [
        "stream.events: expected in an entry of 'sequence': they are the stream of one answer"
    ]


def test_an_entry_of_first_may_leave_the_answer_to_the_mock() -> None:
    mock = mock_of({"reply": "a", "first": [{"headers": {"x-a": "1"}}, "b"]})

    assert [entry.has_answer for entry in mock.first_entries] == [False, True]


def test_all_answers_of_a_mock_have_their_paths() -> None:
    own = mock_of({"reply": "a", "first": ["b", {"times": 2}]})
    sequence = mock_of({"sequence": ["c"], "first": ["d"]})

    assert [path for path, _ in own.written()] == ["", "first[0]", "first[1]"]
    assert [path for path, _ in sequence.written()] == ["first[0]", "sequence[0]"]


@pytest.mark.parametrize(
    ("mock", "expected"),
    [
        ({"reply": "a"}, False),
        ({"reply": "a", "sequence": None, "first": None}, False),
        ({"sequence": ["a"]}, True),
        ({"reply": "a", "first": ["b"]}, True),
    ],
)
def test_a_mock_with_several_answers_has_state(mock: Any, expected: bool) -> None:
    assert mock_of(mock).has_state is expected


# --- The schema ----------------------------------------------------------------------------------


@pytest.mark.parametrize("field", MOCK_FIELDS)
def test_the_schema_allows_what_is_allowed(field: str) -> None:
    answer: dict[str, Any] = {"reply": "a"} if field == "mocks" else {"response": {}}
    entries: list[Any] = [{"error": "overloaded", "times": 2, "retry": "next"}, {**answer}]
    last = {**answer, "times": "always"}
    config = {
        field: [
            {"sequence": [*entries, last], "at_end": "restart"},
            {**answer, "first": [*entries, {"headers": {"x-a": "1"}}]},
        ]
    }
    Config.from_dict(config)

    config_validator().validate(config)


@pytest.mark.parametrize(
    "mock",
    [
        {"reply": "a", "sequence": ["b"]},
        {"sequence": []},
        {"sequence": [{"reply": "a", "times": 0}]},
        {"sequence": [{"reply": "a", "retry": 1}]},
        {"sequence": ["a"], "at_end": "stop"},
        {"first": ["a"]},
    ],
)
def test_the_schema_forbids_what_is_a_mistake(mock: Any) -> None:
    with pytest.raises(ConfigError):
        Config.from_dict({"mocks": [mock]})

    with pytest.raises(jsonschema.ValidationError):
        config_validator().validate({"mocks": [mock]})


def test_python_classes_are_checked_like_files() -> None:
    built = Mock(reply="a", first=[Entry(error="overloaded", times=2), "b"])
    vectors = OpenAIEmbeddingsMock(sequence=[EmbeddingsEntry(response={})], at_end="repeat")

    assert [entry.times for entry in built.first_entries] == [2, 1]
    assert vectors.sequence_entries[0].answer == {}
