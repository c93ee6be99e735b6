"""What is found in traffic: entries that never happen, and what was surely meant otherwise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from mockllm import Config, ConfigError
from mockllm.engine.loading import load, review
from mockllm.errors import Severity

ERROR = {"error": "overloaded"}
SLOW = {"latency": "vllm-8b"}


def warnings(*entries: Any, **config: Any) -> list[str]:
    written = {"mocks": [{"reply": "a"}], "traffic": entries} | config
    return [str(each) for each in load(Config.from_dict(written)).warnings]


def notes(tmp_path: Path, *entries: Any) -> list[str]:
    (tmp_path / "a.json").write_bytes(orjson.dumps({"traffic": entries}))
    problems = review(tmp_path / "a.json").problems
    return [str(each.message) for each in problems if each.severity is Severity.NOTE]


@pytest.mark.parametrize(
    "entry",
    [
        ERROR | SLOW | {"fault": {"end": "cut", "after": {"tokens": 3}}, "name": "x"},
        ERROR | {"from": 120, "to": "4m", "ramp": "30s", "chance": 0.3},
        ERROR | {"match": {"tools": ["a"], "api": ["chat", "embeddings"]}},
        ERROR | {"match": {"api": "embeddings"}},
        SLOW | {"match": {"headers": [{"name": "x-tenant", "value": "a"}]}},
        {"fault": {"end": "cut", "after": {"events": 3}}, "match": {"api": "chat"}},
        {"fault": {"error": "overloaded", "after": "before_finish"}},
    ],
)
def test_what_may_happen_is_no_problem(entry: Any) -> None:
    assert warnings(entry) == []


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        (
            ERROR | {"from": 3000, "to": "2h"},
            ('from: 3000 seconds: write "3000ms" if milliseconds are meant, else "3000s"'),
        ),
        (ERROR | {"chance": 0}, "chance: nothing happens with a chance of 0"),
        (
            ERROR | {"from": "10s", "to": "20s", "ramp": "8s"},
            (
                "ramp: the whole is never reached, 62% at most, because it falls before it "
                "has risen: write at most half of the time from 'from' to 'to'"
            ),
        ),
        (
            {"latency": {"ttft": 500}},
            ('latency.ttft: 500 seconds: write "500ms" if milliseconds are meant, else "500s"'),
        ),
        (
            {"fault": [{"end": "cut", "after": "head"}, {"pause": 300}]},
            ('fault[1].pause: 300 seconds: write "300ms" if milliseconds are meant, else "300s"'),
        ),
        (
            {"error": {"as": "overloaded", "retry_after": 100}},
            (
                'error.retry_after: 100 seconds: write "100ms" if milliseconds are meant, '
                'else "100s"'
            ),
        ),
        (
            SLOW | {"match": {"user": "a", "tool_result": "b", "api": ["chat", "messages"]}},
            (
                "match: can never match: 'user' holds only without a tool result; write "
                "'last_user' for words beside a 'tool_result'"
            ),
        ),
        (
            SLOW | {"match": {"user": "a", "tool_result": "b"}},
            (
                "match: can never match: in chat, responses, messages: 'user' holds only "
                "without a tool result; write 'last_user' for words beside a 'tool_result'; in "
                "embeddings: a request of OpenAI Embeddings has no tool results"
            ),
        ),
        (
            SLOW | {"match": {"api": "embeddings", "tools": ["a"]}},
            "match: can never match: a request of OpenAI Embeddings has no tools",
        ),
        (
            SLOW | {"match": {"tool_names": []}},
            "match.tool_names: an empty list has no effect",
        ),
        (
            SLOW | {"match": {"headers": [{"name": "host", "value": "a b"}]}},
            "match.headers[0]: can never match: requests with this 'host' are refused",
        ),
    ],
)
def test_what_is_doubtful_is_a_warning_with_its_place(entry: Any, expected: str) -> None:
    assert warnings(entry) == [f"traffic[0]: {expected}"]


@pytest.mark.parametrize(
    ("entry", "place"),
    [
        (ERROR | {"match": {"user": "\ud800"}}, "traffic[0]: match.user"),
        ({"error": {"status": 500, "message": "\ud800"}}, "traffic[0]: error.message"),
        ({"error": {"status": 500, "body": [float("nan")]}}, "traffic[0]: error.body[0]"),
    ],
)
def test_python_values_that_are_not_json_are_an_error(entry: Any, place: str) -> None:
    with pytest.raises(ConfigError) as caught:
        warnings(entry)

    assert [problem.place for problem in caught.value.problems] == [place]


def test_a_name_that_is_given_twice_is_a_warning() -> None:
    one, other = ERROR | {"name": "a"}, SLOW | {"name": "a"}

    assert warnings(other, one) == [
        (
            "traffic[1] 'a': the name is used twice, first by traffic[0] 'a': both are started and "
            "stopped together"
        )
    ]


HIDING: list[tuple[Any, Any]] = [
    (SLOW, SLOW),
    (SLOW, SLOW | {"chance": 0.5, "from": 5, "to": 6, "ramp": 0.5, "name": "x"}),
    (ERROR, SLOW),
    (ERROR, {"fault": {"end": "reset"}}),
    (SLOW | {"match": {"model": "a"}}, SLOW | {"match": {"model": "a", "user": "b"}}),
    (SLOW | {"match": {"api": ["chat", "messages"]}}, SLOW | {"match": {"api": "chat"}}),
    (SLOW | {"from": 5, "to": 10}, SLOW | {"from": 6, "to": 9}),
    (SLOW | {"from": 5}, SLOW | {"from": 6, "to": 9}),
]

NOT_HIDING: list[tuple[Any, Any]] = [
    (SLOW, ERROR),
    (SLOW, {"fault": {"end": "reset"}}),
    (SLOW | {"chance": 0.5}, SLOW),
    (ERROR | {"chance": 0.5}, SLOW),
    (SLOW | {"match": {"model": "a"}}, SLOW),
    (SLOW | {"match": {"api": "chat"}}, SLOW),
    (SLOW | {"match": {"api": "chat"}}, SLOW | {"match": {"api": ["chat", "messages"]}}),
    (SLOW | {"from": 5}, SLOW),
    (SLOW | {"to": 5}, SLOW | {"to": 6}),
    (SLOW | {"to": 5}, SLOW),
    (SLOW | {"ramp": 1}, SLOW | {"from": 5}),
    (SLOW | {"from": 5, "name": "x"}, SLOW | {"from": 6}),
    (SLOW | {"from": 5}, SLOW | {"from": 6, "name": "x"}),
]


@pytest.mark.parametrize(("earlier", "later"), HIDING)
def test_what_an_earlier_entry_hides_is_a_warning(earlier: Any, later: Any) -> None:
    (found,) = warnings(earlier, later)

    assert "never happens: traffic[0] holds for every request that this entry is for" in found
    answers = "answers with an error" in found
    assert answers == (earlier is ERROR)


@pytest.mark.parametrize(("earlier", "later"), NOT_HIDING)
def test_what_may_still_happen_is_not_hidden(earlier: Any, later: Any) -> None:
    assert warnings(earlier, later) == []


def test_only_the_kinds_that_are_hidden_are_reported() -> None:
    both = SLOW | {"fault": {"end": "reset"}}

    assert warnings(SLOW, both) == [
        (
            "traffic[1]: latency: never happens: traffic[0] holds for every request that this "
            "entry is for, and has the same"
        )
    ]


def test_an_entry_may_be_hidden_by_others_in_each_api() -> None:
    first = SLOW | {"match": {"api": ["chat", "responses"]}}
    second = SLOW | {"match": {"api": ["messages", "embeddings"]}}

    (found,) = warnings(first, second, SLOW)

    assert found.startswith("traffic[2]: latency: never happens")


def test_an_event_of_one_api_needs_an_api() -> None:
    cut = {"fault": {"end": "cut", "after": {"events": 3}}}

    with pytest.raises(ConfigError, match="'events' is another moment in each API"):
        warnings(cut)


def test_a_flagged_prompt_is_no_error_of_messages() -> None:
    flagged = {"fault": {"error": "flagged"}}

    (told,) = warnings(flagged)
    assert told.startswith("traffic[0]: fault.error: Anthropic Messages answers a flagged prompt")
    assert told.endswith('leaves them out: {"api":["chat","responses","embeddings"]}')
    assert warnings(flagged | {"match": {"api": ["chat", "responses"]}}) == []
    with pytest.raises(ConfigError, match=r"traffic\[0\]: fault.error: Anthropic Messages answers"):
        warnings(flagged | {"match": {"api": "messages"}})


def test_wrong_conditions_are_mistakes_of_the_entry() -> None:
    with pytest.raises(ConfigError) as caught:
        warnings(SLOW | {"match": {"user": {"regex": "("}}}, SLOW | {"match": {"body": {"x": 1}}})

    found = [str(problem) for problem in caught.value.problems]
    assert [each.partition(": match.")[0] for each in found] == ["traffic[0]", "traffic[1]"]


def test_statuses_that_are_no_errors_and_slow_conditions_are_notes(tmp_path: Path) -> None:
    slow = {"match": {"user": {"regex": "[0-9]+"}}} | SLOW

    error, condition = notes(tmp_path, {"error": {"status": 200}, "match": {"model": "a"}}, slow)

    assert error == "official clients take an answer with status 200 for no error"
    assert "has no text that every match contains" in condition


def test_a_pool_has_the_same_numbers_in_traffic() -> None:
    gpu = {"ttft": 1, "pool": "gpu", "concurrency": 4}

    with pytest.raises(ConfigError, match="the pool 'gpu' has other numbers in the file"):
        warnings({"latency": gpu | {"concurrency": 5}}, latency=gpu)


def test_traffic_counts_as_no_mock(tmp_path: Path) -> None:
    written = {"mocks": [{"reply": "a"}], "traffic": [SLOW, ERROR | {"chance": 0}]}
    (tmp_path / "a.json").write_bytes(orjson.dumps(written))
    (tmp_path / "b.json").write_bytes(orjson.dumps({"traffic": [{"error": "no"}]}))
    (tmp_path / "c.json").write_bytes(orjson.dumps({"traffic": [ERROR]}))

    found = review(tmp_path)

    assert (found.mocks, found.files) == (1, 3)
    assert str(found.config.traffic[-1].place_in(0)).endswith("c.json: traffic[0]")


def test_other_entries_of_an_invalid_file_are_reviewed_too(tmp_path: Path) -> None:
    entries = [{"error": "no"}, ERROR | {"chance": 0, "name": "x"}]
    (tmp_path / "a.json").write_bytes(orjson.dumps({"traffic": entries}))

    found = [str(problem) for problem in review(tmp_path / "a.json").problems]

    assert len(found) == 2
    assert found[1].endswith("traffic[1] 'x': chance: nothing happens with a chance of 0")
