"""Several inputs in one request: each is a prompt of its own, and has a vector in the answer.

Knows which vectors of a configured response belong to which input. It does not know which mock
answers an input.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mockllm.prompt import Prompt
from mockllm.providers.openai.embeddings.prompt import READERS, inputs_of, message_of
from mockllm.providers.openai.embeddings.vectors import DIMENSIONS, GeneratedVector


def split(prompt: Prompt) -> Sequence[Prompt]:
    """The inputs of a request, each as a prompt of its own."""
    if prompt.inputs == 1:
        return (prompt,)
    name, model, options, number = prompt.endpoint, prompt.model, prompt.options, prompt.inputs
    return [
        Prompt(name, model, (message_of(value),), options, body, READERS, inputs=number)
        for value in inputs_of(prompt.body["input"])
        for body in ({**prompt.body, "input": value},)
    ]


def join(inputs: Sequence[Prompt], responses: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The answer to all `inputs`, of which each has its own response.

    Where all have the same one, and it has a vector for each input, it is the answer. Else the
    answer has one vector for each input: that at the same position if the response has as many,
    else the first. A response without `data` gets generated vectors. Members beside `data` are
    those of the first response; several mocks have no common usage.
    """
    first = responses[0]
    same = all(response is first for response in responses)
    if same and "data" in first and _count(first["data"]) in (0, len(inputs)):
        return first
    data = [
        entry
        for at, (prompt, response) in enumerate(zip(inputs, responses, strict=True))
        for entry in _entries(prompt, response, at, len(inputs))
    ]
    joined = {**first, "data": data}
    if not same:
        joined.pop("usage", None)
    return joined


def generate(prompt: Prompt) -> dict[str, Any]:
    """A response with a vector for each input, with the `dimensions` of the request."""
    dimensions = prompt.body.get("dimensions") or DIMENSIONS
    values = inputs_of(prompt.body["input"])
    return {"data": [{"embedding": GeneratedVector(value, dimensions)} for value in values]}


def count_answers(response: dict[str, Any]) -> int:
    """The number of inputs that a response answers: 1 if any number, 0 if vectors are generated."""
    return max(1, _count(response["data"])) if "data" in response else 0


def count_inputs(value: Any) -> int:
    """The number of inputs in the `input` of a match."""
    return len(inputs_of(value))


def _count(data: Any) -> int:
    return len(data) if isinstance(data, list) else 0


def _entries(prompt: Prompt, response: dict[str, Any], at: int, inputs: int) -> list[Any]:
    """The entry for the input at a position; none if the response has no vectors."""
    if "data" not in response:
        return list(generate(prompt)["data"])
    data = response["data"]
    if not isinstance(data, list):
        return []
    start = at if len(data) == inputs else 0
    return [_without_index(entry) for entry in data[start : start + 1]]


def _without_index(entry: Any) -> Any:
    if not isinstance(entry, dict):
        return entry
    return {name: value for name, value in entry.items() if name != "index"}
