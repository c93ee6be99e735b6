"""Answers that are made: by templates, by functions, and the questions before them."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from typing import Any

import pytest

from mockllm import Mock
from mockllm.engine.asked import Asked
from mockllm.engine.decision import (
    Answer,
    Called,
    CallFunction,
    Decision,
    DividedWork,
    Match,
    Outcome,
    Question,
)
from mockllm.engine.made_reply import MadeReplyError
from mockllm.engine.making import could_not_make, make_answer
from mockllm.engine.mock_sources import source_of
from mockllm.engine.sources import FixedSource, FunctionSource, ScriptedSource, needs_pieces
from mockllm.exchange import Reply, Request
from mockllm.matching.rule import Rule
from mockllm.pieces import finish
from mockllm.providers.openai.chat import CHAT
from tests.support.strategies import ask_chat

MESSAGES = [{"role": "user", "content": "Hi"}]
REQUEST = Request.of("POST", "/v1/chat/completions")


def source(reply: Any) -> Any:
    found = source_of(CHAT, Mock(reply=reply, headers={"x-a": "b"}), "char")
    assert not isinstance(found, ScriptedSource)
    return found


class Made:
    """Remembers what was made."""

    def __init__(self) -> None:
        self.made: list[Any] = []
        self.decision = Decision.by(Match(Outcome.MOCK, Reply(200, (), ())))

    def decide(self, made: Answer | MadeReplyError) -> Generator[bool, None, Decision]:
        self.made.append(made)
        yield from ()
        return self.decision

    def begin(self, reply: Any) -> Decision | Question:
        asked = Asked(ask_chat(MESSAGES), REQUEST)
        return make_answer(source(reply), asked, lambda: 0.0, self.decide)


def texts(answers: list[Any]) -> list[str]:
    return [each.response["choices"][0]["message"]["content"] for each in answers]


def test_an_answer_that_takes_no_time_is_decided_at_once() -> None:
    made = Made()

    assert made.begin({"template": "{{ user }}!"}) is made.decision
    assert texts(made.made) == ["Hi!"]
    assert (made.made[0].chunk, made.made[0].headers) == ("char", ((b"x-a", b"b"),))


def test_a_function_is_a_question_and_its_answer_is_of_one_request() -> None:
    made = Made()
    given: list[Any] = []
    question = made.begin(given.append)

    assert isinstance(question, Question)
    (operation,) = question.operations
    assert isinstance(operation, CallFunction)
    operation.function(operation.prompt)
    assert (given[0].user, given[0].api) == ("Hi", "chat")
    assert question.resume([Called("returned")]) is made.decision
    assert question.resume([Called({"template": "{{ user }}"})]) is made.decision
    assert texts(made.made) == ["returned", "Hi"]
    assert [each.number for each in made.made] == [None, None]
    assert (made.made[0].chunk, made.made[0].headers) == ("char", ((b"x-a", b"b"),))


def test_a_long_answer_of_a_function_is_rendered_in_a_turn_of_its_own() -> None:
    made = Made()
    question = made.begin(lambda prompt: "never called")
    assert isinstance(question, Question)

    later = question.resume([Called("x" * 100_000)])

    assert isinstance(later, Question)
    (work,) = later.operations
    assert isinstance(work, DividedWork)
    assert made.made == []
    assert finish(work.pieces) is made.decision


LATE = TimeoutError("the function takes more than 10 seconds")


@pytest.mark.parametrize(
    ("called", "reason", "is_shown"),
    [
        (Called(error=KeyError("a")), "the function raised KeyError: 'a'", True),
        (Called(error=LATE, is_late=True), str(LATE), False),
        (Called(5), "the function returned what is not an answer: reply: expected a text", False),
        (Called({"template": "{{ 1 / 0 }}"}), "the template failed: division by zero", False),
    ],
)
def test_a_function_that_fails_is_an_error(called: Called, reason: str, is_shown: bool) -> None:
    made = Made()
    question = made.begin(lambda prompt: "never called")
    assert isinstance(question, Question)

    question.resume([called])

    (error,) = made.made
    assert isinstance(error, MadeReplyError)
    assert error.reason.startswith(reason)
    assert error.shown is (called.error if is_shown else None)


def test_what_a_function_returns_has_the_time_and_the_faults_of_its_mock() -> None:
    pace, faults = object(), (object(),)
    function = source(lambda prompt: "never called")
    function = replace(function, fixed=function.fixed._replace(pace=pace, faults=faults))

    returned = function.returned(Called("a"))

    assert (returned.fixed.pace, returned.fixed.faults) == (pace, faults)
    assert returned.faults is faults


def test_an_error_becomes_a_500_that_is_not_retried_with_its_place() -> None:
    error = MadeReplyError("reply.text", "it failed").within("sequence[1]")

    refusal, trouble = could_not_make(Rule(0, "mocks[0] 'a'"), error)

    place = "mocks[0] 'a': sequence[1].reply.text"
    assert (refusal.status, refusal.message) == (500, f"{place}: it failed")
    assert refusal.headers == ((b"x-should-retry", b"false"),)
    assert (trouble.place, trouble.reason) == (place, "it failed")


def test_only_what_is_made_needs_pieces() -> None:
    assert needs_pieces(source({"generate": "echo"}))
    assert isinstance(source(print), FunctionSource)
    assert needs_pieces(source(print))
    assert isinstance(source("written"), FixedSource)
    assert not needs_pieces(source("written"))


def test_a_large_answer_that_was_read_is_not_read_again() -> None:
    function = source(lambda prompt: "never called")
    found = function.source_of("a")

    returned = function.returned(Called("b", reading=lambda: found))

    assert returned.fixed.response == found.fixed.response


def test_what_is_wrong_with_a_large_answer_is_the_error_of_its_function() -> None:
    function = source(lambda prompt: "never called")

    def reading() -> Any:
        return function.source_of({"text": 5})

    with pytest.raises(MadeReplyError, match="the function returned what is not an answer"):
        function.returned(Called("b", reading=reading))
