"""Several inputs of a request, as prompts of their own; `tests/engine/test_batches.py` has the
answers."""

from __future__ import annotations

from typing import Any

import pytest

from mockllm.providers.openai.embeddings.batch import count_answers, count_inputs, join, split
from tests.support.strategies import ask_embeddings


@pytest.mark.parametrize("value", ["a", ["a"], [1, 2], [[1, 2]]])
def test_the_only_input_is_the_request(value: Any) -> None:
    prompt = ask_embeddings(value)

    assert split(prompt) == (prompt,)


def test_each_input_is_a_request_of_its_own() -> None:
    first, second = split(ask_embeddings([[1, 2], [3]], dimensions=7))

    assert first.last_messages == ask_embeddings([1, 2]).last_messages
    assert second.body == {"model": "m", "input": [3], "dimensions": 7}


@pytest.mark.parametrize(
    ("response", "answers"),
    [({}, 0), ({"data": []}, 1), ({"data": 5}, 1), ({"data": [{}]}, 1), ({"data": [{}, {}]}, 2)],
)
def test_a_response_answers_as_many_inputs_as_it_has_vectors(response: Any, answers: int) -> None:
    assert count_answers(response) == answers


@pytest.mark.parametrize(
    ("value", "inputs"), [("a", 1), (["a", "b"], 2), ([1, 2], 1), ([[1], [2]], 2)]
)
def test_inputs_of_a_match_are_counted(value: Any, inputs: int) -> None:
    assert count_inputs(value) == inputs


def test_one_response_that_fits_is_the_answer() -> None:
    response = {"data": [{"embedding": [1.0], "index": 5}, {"embedding": [2.0]}]}

    assert join(split(ask_embeddings(["a", "b"])), [response, response]) is response


def test_no_response_is_changed() -> None:
    response = {"data": [{"embedding": [1.0], "index": 0}]}

    join(split(ask_embeddings(["a", "b"])), [response, response])

    assert response == {"data": [{"embedding": [1.0], "index": 0}]}
