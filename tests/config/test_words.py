"""The words of a match as functions: the same conditions as the words of a file."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mockllm import (
    Config,
    ConfigError,
    Match,
    Mock,
    OpenAIMock,
    OpenAIRequestMatch,
    TextMatch,
    all_of,
    any_of,
    contains,
    ends_with,
    exact,
    not_,
    regex,
    starts_with,
)
from mockllm.engine.building import build_engine
from mockllm.matching.specification import first_match
from tests.support.strategies import ask_chat


def written(match: Any) -> Any:
    """The condition as it is written in a file."""
    config = Config.from_dict({"mocks": [{"match": match, "reply": "a"}]})
    return config.mocks[0].match.model_dump(exclude_unset=True, by_alias=True)


@pytest.mark.parametrize(
    ("function", "word"),
    [
        (contains, "contains"),
        (starts_with, "starts_with"),
        (ends_with, "ends_with"),
        (exact, "exact"),
        (regex, "regex"),
    ],
)
def test_a_function_is_the_test_of_its_name(function: Any, word: str) -> None:
    assert function("a") == TextMatch.model_validate({word: "a", "ignore_case": False})
    assert function("a", ignore_case=True) == TextMatch.model_validate(
        {word: "a", "ignore_case": True}
    )
    assert written({"user": function("a")})["user"][word] == "a"


@pytest.mark.parametrize(
    ("match", "expected"),
    [
        (
            {"user": any_of("a", contains("b"))},
            {"user": ["a", {"contains": "b", "ignore_case": False}]},
        ),
        (
            {"user": all_of(contains("b"), ends_with("c"))},
            {"user": {"contains": "b", "ends_with": "c", "ignore_case": False}},
        ),
        (any_of({"user": "a"}, {"model": "m"}), {"any_of": [{"user": "a"}, {"model": "m"}]}),
        (all_of({"user": "a"}, {"model": "m"}), {"all_of": [{"user": "a"}, {"model": "m"}]}),
        (not_({"user": "a"}), {"not": {"user": "a"}}),
        (
            all_of({"user": "a"}, not_(any_of({"model": "m"}, {"model": "n"}))),
            {"all_of": [{"user": "a"}, {"not": {"any_of": [{"model": "m"}, {"model": "n"}]}}]},
        ),
        (
            {"body": {"$.a": contains("b")}},
            {"body": {"$.a": {"contains": "b", "ignore_case": False}}},
        ),
        (
            {"body": {"$.a": {"any": [regex("b"), 1]}}},
            {"body": {"$.a": {"any": [{"regex": "b", "ignore_case": False}, 1]}}},
        ),
    ],
)  # fmt: skip
def test_conditions_are_joined(match: Any, expected: Any) -> None:
    assert written(match) == expected


def test_matches_of_a_class_are_joined_to_one_of_that_class() -> None:
    own = OpenAIRequestMatch(user="a")

    joined = any_of(own, OpenAIRequestMatch(model="m"))

    assert OpenAIMock(match=joined, reply="a").match.any_of == [own, OpenAIRequestMatch(model="m")]
    assert not_(own) == OpenAIRequestMatch(not_=own)
    assert Mock(match=all_of(Match(user="a")), reply="a").match == Match(all_of=[Match(user="a")])


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: contains(5), TypeError, "contains: expected a text, found 5"),  # type: ignore[arg-type]  # what is tested
        (lambda: exact(None), TypeError, "exact: expected a text, found None"),  # type: ignore[arg-type]  # what is tested
        (lambda: regex(""), ValueError, "regex: expected a non-empty pattern"),
        (
            lambda: contains("a", ignore_case="yes"),  # type: ignore[arg-type]  # what is tested
            TypeError,
            "contains: ignore_case: expected True or False, found 'yes'",
        ),
        (lambda: any_of(), TypeError, "any_of: expected texts or matches, found nothing"),
        (lambda: any_of("a", {"user": "b"}), TypeError, "any_of: expected either texts or matches"),  # type: ignore[call-overload]  # what is tested
        (lambda: all_of(5), TypeError, "all_of: expected texts, or matches such as"),  # type: ignore[call-overload]  # what is tested
        (
            lambda: all_of(contains("a"), contains("b")),
            ValueError,
            "regex once, found 'contains' twice; write all_of",
        ),
        (
            lambda: all_of(contains("a"), ends_with("b", ignore_case=True)),
            ValueError,
            "found different values of ignore_case",
        ),
        (lambda: not_(contains("a")), TypeError, "not_: expected a match, such as"),  # type: ignore[call-overload]  # what is tested
    ],
)  # fmt: skip
def test_wrong_arguments_are_named(make: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error) as failed:
        make()

    assert message in str(failed.value)


@pytest.mark.parametrize(
    "match",
    [
        {"body": {"$.a": contains("b")}},
        Match(body={"$.a": {"any": [1, contains("b")]}}),
        Match(any_of=[Match(body={"$.a": regex("b")})]),
    ],
)
def test_values_of_the_body_pass_the_tests_of_functions(match: Any) -> None:
    config = Config.from_dict({"mocks": [{"match": match, "reply": "found"}]})
    table = build_engine(config).table("openai")

    found = [
        first_match(table.index.rules, ask_chat([{"role": "user", "content": "x"}], a=value), {})
        for value in ("abc", "c")
    ]

    assert [each is not None for each in found] == [True, False]


def test_a_list_of_tests_in_the_body_is_explained() -> None:
    with pytest.raises(ConfigError, match=r'\$\.a: a list is compared as JSON; write {"any": \['):
        Config.from_dict({"mocks": [{"match": {"body": {"$.a": any_of("a", contains("b"))}}}]})


def test_an_expression_that_is_wrong_is_a_mistake_of_the_configuration() -> None:
    from mockllm.engine.loading import load

    config = Config(mocks=[Mock(match=Match(user=regex("(")), reply="a")])

    with pytest.raises(ConfigError, match=r"match\.user"):
        load(config)


SUITE = """
from mockllm import (
    AsyncServer, Entry, Error, HeaderMatch, Match, Mock, Prompt, Reply, all_of, any_of, contains,
    not_, regex
)


def answer(prompt: Prompt) -> str | Error:
    return prompt.user if prompt.attempt > 1 else Error(word="overloaded")


async def later(prompt: Prompt) -> Reply:
    return Reply(text=f"{prompt.model}, {prompt.messages[-1].text}, {prompt.turn + 1}")


mocks = [
    Mock(match=Match(user=contains("weather"), system=any_of("a", regex("b+"))), reply="Sunny."),
    Mock(match=any_of(Match(model="m"), Match(turn=2)), reply={"text": {"generate": "echo"}}),
    Mock(reply=answer, first=[later, Entry(reply=later), {"reply": answer, "times": 2}]),
    Mock(match=not_(Match(user=all_of(contains("a"), regex("b")))), reply="No."),
    Mock(match=Match(turn={"at_least": 3}, step=1, tools={"any": ["a"]}, api="chat"), reply="3"),
    Mock(match=Match(user={"contains": "a"}, model=["a", {"starts_with": "b"}]), reply="a"),
    Mock(match=Match(tool_result={"name": "a", "error": True}, api=["chat"]), reply="Failed."),
    Mock(match=Match(any_message={"role": "user"}, tool_result={"regex": "1"}), reply="One."),
    Mock(match=Match(headers=[HeaderMatch(name="x-a", value="b")], body={"$.a": 1}), reply="b"),
    Mock(match=Match(schema="a", body={"$.a": contains("b")}), reply="c"),
]
server = AsyncServer({"mocks": [*mocks, {"match": {"user": contains("a")}, "reply": "b"}]})
wrong = Mock(match=Match(user=contains(5)))
"""


def test_words_and_functions_are_typed_in_a_strict_suite(tmp_path: Path) -> None:
    file = tmp_path / "suite.py"
    file.write_text(SUITE)

    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path), str(file)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2])

    mistakes = [line for line in done.stdout.splitlines() if "suite.py" in line]
    assert len(mistakes) == 1, done.stdout
    assert 'Argument 1 to "contains" has incompatible type "int"' in mistakes[0]
