"""Requests of Embeddings, validated by the SDK's types."""

from __future__ import annotations

from typing import Any

import pytest

from mockllm.validation.findings import Finding
from tests.support.confirming import EMBEDDINGS, LENIENT, STRICT, WRONG, body


@pytest.mark.parametrize(
    ("value", "finding"),
    [
        (5, Finding(("input",), "expected a string or a list, found 5", WRONG)),
        (["a", 5], Finding(("input", 1), "expected a string, found 5", WRONG)),
        (
            [[1], ["a"]],
            Finding(("input", 1, 0), "expected an integer, found 'a'", WRONG),
        ),
    ],
)
def test_embeddings_input_is_strings_or_tokens(value: Any, finding: Finding) -> None:
    assert LENIENT[EMBEDDINGS](body(EMBEDDINGS, input=value)) == finding
    for accepted in ("a", ["a", "b"], [1, 2], [[1], [2]]):
        assert STRICT[EMBEDDINGS](body(EMBEDDINGS, input=accepted)) is None
