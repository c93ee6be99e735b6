from __future__ import annotations

from mockllm.matching.request_predicates import HasInputs, SystemContains
from tests.support.rules import user
from tests.support.strategies import ask_chat


def test_another_number_of_inputs_is_a_difference() -> None:
    difference = HasInputs(2).difference(ask_chat([user("hi")]), {})

    assert difference is not None
    assert difference.reason() == "its response has 2 vectors, the request has 1 input"


def test_an_instruction_that_differs_in_case_is_shown() -> None:
    prompt = ask_chat([user("You are kind", role="system"), user("hi")])

    difference = SystemContains("you are").difference(prompt, {})

    assert difference is not None
    assert difference.reason() == (
        "no instruction contains 'you are', only 'You are', which differs in case"
    )
