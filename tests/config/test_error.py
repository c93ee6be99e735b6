"""The `error` of a mock: what can be written, and what is reported."""

from __future__ import annotations

import math
from typing import Any

import jsonschema
import pytest
from pydantic import TypeAdapter, ValidationError

from mockllm import Config, Error, OpenAIMock
from mockllm.config.error import MAX_RETRY_AFTER, WORDS, AnyError
from mockllm.config.models import MOCK_FIELDS
from tests.support.configs import mistakes


def mistake_of(error: Any) -> list[str]:
    """The mistakes in an `error`, from its path in the mock on."""
    found = mistakes({"openai": [{"error": error}]})
    return [each.removeprefix("a.json: openai[0]: ") for each in found]


@pytest.mark.parametrize("word", WORDS)
@pytest.mark.parametrize("field", MOCK_FIELDS)
def test_a_word_is_an_error_of_every_api(field: str, word: str) -> None:
    config = Config.from_dict({field: [{"error": word}]})
    (mock,) = getattr(config, field)

    assert mock.failure == Error.model_validate({"as": word})
    assert mock.answer is None


def test_a_file_and_python_objects_make_the_same_error() -> None:
    written = {"as": "rate_limit", "message": "Slow", "retry_after": "2s", "headers": {"x-a": "1"}}
    error = Error(word="rate_limit", message="Slow", retry_after="2s", headers={"x-a": "1"})

    from_file = Config.from_dict({"openai": [{"error": written}]}).openai[0].failure

    assert from_file == error == OpenAIMock(error=written).failure
    assert error.delay == 2.0


@pytest.mark.parametrize("body", [{"a": [1]}, [], "text", "", None, 5, False])
def test_a_body_is_any_json_value(body: Any) -> None:
    error = Error.model_validate({"status": 502, "body": body})

    assert (error.body, error.has_body) == (body, True)


def test_an_error_without_a_body_has_none() -> None:
    assert not Error(status=502).has_body


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (["rate_limit"], "error: expected a word or an object, found a list"),
        (True, "error: expected a word or an object, found true"),
        (429, 'error: expected a word or an object, found 429: write {"status": 429}'),
        (0, "error: expected a word or an object, found 0"),
        (10**400, f"error: expected a word or an object, found {'1' + '0' * 58}…"),
        (
            {"as": "rate_limit", "retry_after": 1e308, "force": True},
            (
                "error.retry_after: expected a number of seconds, or a text with a unit such as "
                "'350ms', '1.5s' or '2m', at most 1000000000 s, found 1e+308"
            ),
        ),
        ({}, "error: expected 'as' or 'status', found neither"),
        ({"message": "a"}, "error: expected 'as' or 'status', found neither"),
        (
            {"as": "rate_limit", "status": 429},
            (
                "error.status: expected either 'as' or 'status', found both: 'rate_limit' has its "
                "own status"
            ),
        ),
        ({"status": "429"}, "error.status: expected a whole number, found '429'"),
        ({"status": 199}, "error.status: expected at least 200, found 199"),
        ({"status": 600}, "error.status: expected at most 599, found 600"),
        (
            {"as": "overloaded", "body": {}},
            (
                "error.body: expected 'status' beside it instead of 'as', whose body is the "
                "service's"
            ),
        ),
        (
            {"status": 500, "message": "a", "body": "b"},
            (
                "error.body: expected either 'message' or 'body', found both: the body is sent as "
                "written"
            ),
        ),
        (
            {"status": 204, "body": ""},
            "error.body: expected no 'body': an answer with status 204 has no body",
        ),
        (
            {"status": 304, "message": "a"},
            "error.message: expected no 'message': an answer with status 304 has no body",
        ),
        (
            {"status": 502, "content_type": "text/html"},
            "error: expected 'body' beside 'content_type', found nothing",
        ),
        (
            {"status": 502, "body": "", "content_type": "html"},
            "error.content_type: expected a media type such as 'text/html', found 'html'",
        ),
        (
            {"as": "overloaded", "message": 5},
            'error.message: expected a string, found 5; write "5"',
        ),
        ({"as": "overloaded", "force": 1}, "error.force: expected true or false, found 1"),
        ({"word": "overloaded"}, "error: expected 'as', found 'word'"),
        (
            {"as": "overloaded", "retry_afer": 1},
            (
                "error.retry_afer: unknown key, expected one of as, body, content_type, force, "
                "headers, message, retry_after, status; did you mean 'retry_after'?"
            ),
        ),
    ],
)
def test_a_mistake_has_its_place_and_a_remedy(error: Any, expected: str) -> None:
    assert mistake_of(error) == [expected]


@pytest.mark.parametrize(
    ("error", "path"), [("ratelimit", "error"), ({"as": "ratelimit"}, "error.as")]
)
def test_a_misspelt_word_is_reported_with_the_meant_one(error: Any, path: str) -> None:
    (found,) = mistake_of(error)

    assert found.startswith(f"{path}: expected 'bad_request', 'context_length', ")
    assert found.endswith(" or 'overloaded', found 'ratelimit'; did you mean 'rate_limit'?")


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("rate_limit_error", "rate_limit"),
        ("overloaded_error", "overloaded"),
        ("RateLimit", "rate_limit"),
        ("context_length_exceeded", "context_length"),
    ],
)
def test_types_and_codes_of_vendors_are_near_the_words(written: str, meant: str) -> None:
    assert mistake_of(written)[0].endswith(f"did you mean {meant!r}?")


@pytest.mark.parametrize("value", [0, 0.001, "1ms", 120, "2m"])
def test_clients_wait_for_two_minutes_at_most(value: float | str) -> None:
    assert Error(word="rate_limit", retry_after=value).delay is not None


@pytest.mark.parametrize(
    ("value", "shown", "hint"),
    [
        (500, "500", 'write "500ms" if milliseconds are meant; '),
        ("121s", "121", ""),
        ("1h", "3600", ""),
        (math.inf, "inf", ""),
        (math.nan, "nan", ""),
    ],
)
def test_a_longer_wait_must_be_forced(value: float | str, shown: str, hint: str) -> None:
    assert mistake_of({"as": "rate_limit", "retry_after": value}) == [
        (
            f"error.retry_after: expected at most 120 seconds, found {shown}: {hint}official "
            'clients do not retry then, or hang; "force": true sends it all the same'
        )
    ]
    forced = Error(word="rate_limit", retry_after=value, force=True).delay
    assert forced is not None
    assert not forced <= MAX_RETRY_AFTER


@pytest.mark.parametrize(
    "error",
    [
        "rate_limit",
        {"as": "rate_limit", "retry_after": "2s", "headers": {"x-a": "1"}, "_comment": 1},
        {"status": 502, "body": "<html>", "content_type": "text/html; charset=utf-8"},
        {"status": 418, "retry_after": 500, "force": True},
        "ratelimit",
        {"as": "ratelimit"},
        {"status": 700},
        {"as": "overloaded", "x": 1},
        5,
    ],
)
def test_the_json_schema_accepts_what_is_loaded(error: Any) -> None:
    schema = TypeAdapter(AnyError).json_schema()
    try:
        TypeAdapter(AnyError).validate_python(error)
    except ValidationError:
        is_loaded = False
    else:
        is_loaded = True

    assert jsonschema.Draft202012Validator(schema).is_valid(error) == is_loaded
