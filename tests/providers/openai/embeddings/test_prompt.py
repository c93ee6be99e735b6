"""Embeddings requests and matches, without a server."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from mockllm.errors import RequestError
from mockllm.exchange import Request
from mockllm.prompt import Prompt, ResponseOptions
from mockllm.providers.api import CannotMatch
from mockllm.providers.openai.embeddings.prompt import (
    MAX_DIMENSIONS,
    MAX_INPUTS,
    MAX_NUMBERS,
    canonical,
    compile_match,
    decode,
)
from mockllm.providers.routes import NO_VALUES, Values

Json = dict[str, Any]


def asked(value: Any = "hi", *, values: Values = NO_VALUES, **members: Any) -> Prompt:
    body = {"model": "m", "input": value, **members}
    return decode(Request.of("POST", "/", body=orjson.dumps(body)), values)


def refusal(value: Any = "hi", **members: Any) -> tuple[int, str, str | None, str | None]:
    with pytest.raises(RequestError) as caught:
        asked(value, **members)
    error = caught.value
    return error.status, error.message, error.param, error.code


def matches(expected: Any, found: Any, *, contains: bool = False) -> bool:
    return compile_match(expected, contains).difference(asked(found), {}) is None


# --- decode --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "texts"),
    [
        ("grüß dich 👋", ("grüß dich 👋",)),
        ("", ("",)),
        (["a", "é"], ("a", "é")),
        ([1, 2, 3], ()),
        ([[1, 2], [3]], ()),
    ],
)
def test_a_prompt_has_one_message_with_the_texts_of_the_input(
    value: Any, texts: tuple[str, ...]
) -> None:
    prompt = asked(value)

    (last,) = prompt.last_messages
    assert (prompt.endpoint, prompt.model) == ("openai_embeddings", "m")
    assert last.texts == texts
    assert last.search_texts == (texts or ("",))
    assert (last.role, last.size) == ("", 1)
    assert prompt.body == {"model": "m", "input": value}


@pytest.mark.parametrize(
    ("value", "number"), [("a", 1), (["a"], 1), (["a", "b"], 2), ([1, 2], 1), ([[1, 2], [3]], 2)]
)
def test_tokens_of_one_text_are_one_input(value: Any, number: int) -> None:
    assert asked(value).inputs == number


def test_a_model_in_the_path_is_used_where_the_body_has_none() -> None:
    assert asked(model=None, values={"model": "deployed"}).model == "deployed"
    assert asked(values={"model": "deployed"}).model == "m"


@pytest.mark.parametrize(
    ("encoding", "base64"), [(None, False), ("float", False), ("base64", True)]
)
def test_the_form_of_the_answer_is_read(encoding: str | None, base64: bool) -> None:
    assert asked(encoding_format=encoding).options == ResponseOptions(base64=base64)


@pytest.mark.parametrize(
    ("value", "members", "path"), [("hi", {"model": None}, "model"), (None, {}, "input")]
)
def test_a_missing_member_is_named(value: Any, members: Json, path: str) -> None:
    message = f"{path}: Field required. Missing required parameter: '{path}'."

    assert refusal(value, **members) == (400, message, path, "missing_required_parameter")


@pytest.mark.parametrize(
    ("value", "members", "path", "reason"),
    [
        ("hi", {"model": ""}, "model", "expected a non-empty string, found ''"),
        (5, {}, "input", "expected a string or a list, found 5"),
        ({}, {}, "input", "expected a string or a list, found an object"),
        (["a", 5], {}, "input.1", "expected a string like the entries before it, found 5"),
        (
            [1, "a"],
            {},
            "input.1",
            "expected a token, which is an integer like the entries before it, found 'a'",
        ),
        (
            [[1], [2, 0.5]],
            {},
            "input.1.1",
            "expected a token, which is an integer like the entries before it, found 0.5",
        ),
        (
            [[1], "a"],
            {},
            "input.1",
            "expected a list of tokens like the entries before it, found 'a'",
        ),
        ([True], {}, "input.0", "expected a string, a token or a list of tokens, found true"),
        ([None], {}, "input.0", "expected a string, a token or a list of tokens, found null"),
        (
            "hi",
            {"encoding_format": "int8"},
            "encoding_format",
            "expected one of float, base64, found 'int8'",
        ),
        (
            "hi",
            {"encoding_format": ["float"]},
            "encoding_format",
            "expected one of float, base64, found a list",
        ),
        ("hi", {"dimensions": True}, "dimensions", "expected an integer, found true"),
        ("hi", {"dimensions": "9"}, "dimensions", "expected an integer, found '9'"),
        ("hi", {"dimensions": 4097}, "dimensions", "expected at most 4096, found 4097"),
    ],
)
def test_a_member_of_a_wrong_type_is_named(
    value: Any, members: Json, path: str, reason: str
) -> None:
    assert refusal(value, **members) == (400, f"{path}: {reason}", path, "invalid_type")


@pytest.mark.parametrize(("value", "path"), [([], "input"), ([[1], []], "input.1")])
def test_an_empty_list_is_refused_with_the_code_of_the_service(value: Any, path: str) -> None:
    status, message, param, code = refusal(value)

    assert (status, param, code) == (400, path, "empty_array")
    assert f"Invalid '{path}': empty array." in message


def test_a_vector_has_at_least_one_dimension() -> None:
    status, _, param, code = refusal("hi", dimensions=0)

    assert (status, param, code) == (400, "dimensions", "integer_below_min_value")


@pytest.mark.parametrize("entry", ["a", [1, 2]])
def test_no_more_inputs_are_accepted_than_by_the_service(entry: Any) -> None:
    message = f"input: expected at most {MAX_INPUTS} texts"

    assert asked([entry] * MAX_INPUTS).last_messages[0].items == ([entry] * MAX_INPUTS,)
    assert refusal([entry] * (MAX_INPUTS + 1)) == (400, message, "input", None)


def test_a_list_of_numbers_is_one_input_of_any_length() -> None:
    tokens = [1] * (MAX_INPUTS + 1)

    assert asked(tokens, dimensions=MAX_DIMENSIONS).body["input"] == tokens


def test_no_more_numbers_can_be_requested_than_fit_in_one_answer() -> None:
    most = MAX_NUMBERS // MAX_INPUTS
    reason = f"expected at most {MAX_NUMBERS:,} numbers for all inputs, found {most + 1}"

    assert asked(["a"] * MAX_INPUTS, dimensions=most).body["dimensions"] == most
    assert asked("a", dimensions=most + 1).body["dimensions"] == most + 1
    assert refusal(["a"] * MAX_INPUTS, dimensions=most + 1) == (
        400,
        f"dimensions: {reason}",
        "dimensions",
        "invalid_type",
    )


# --- compile_match -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expected", "found", "holds"),
    [
        ("hi", "hi", True),
        ("hi", ["hi"], True),
        (["hi"], "hi", True),
        ("é", "e\u0301", False),
        ("", "", True),
        (["a", "b"], ["a", "b"], True),
        (["a", "b"], ["b", "a"], False),
        (["a"], ["a", "b"], False),
        ([1, 2], [1, 2], True),
        ([1, 2], [[1, 2]], True),
        ([[1, 2]], [1, 2], True),
        ([[1, 2], [3]], [[1, 2], [3]], True),
        ([1, 2, 3], [[1, 2], [3]], False),
        ([1, 2], [[1], [2]], False),
        ([1], ["1"], False),
    ],
)
def test_a_match_compares_the_whole_input(expected: Any, found: Any, holds: bool) -> None:
    assert (canonical(expected) == canonical(found)) is holds
    assert matches(expected, found) is holds


@pytest.mark.parametrize(
    ("expected", "found", "holds"),
    [
        ("👋", "oh 👋!", True),
        (["hi"], "oh hi", True),
        ("hi", ["first", "oh hi"], True),
        ("hi", ["h", "i"], False),
        ("", "anything", True),
        ("1", [1, 2], False),
        ("", [1, 2], True),
        ("", [[1, 2], [3]], True),
    ],
)
def test_contains_looks_for_a_text_in_any_input(expected: Any, found: Any, holds: bool) -> None:
    assert matches(expected, found, contains=True) is holds


def test_an_empty_list_equals_no_input() -> None:
    with pytest.raises(CannotMatch, match="can never match"):
        compile_match([], False)
