"""Exceptions: whose fault each is, and what it carries."""

from __future__ import annotations

import pytest

import mockllm
from mockllm.errors import (
    ClientError,
    ConfigError,
    ForeignProtocolError,
    HTTPError,
    ListenError,
    MockLLMError,
    Place,
    Problem,
    RequestError,
    Severity,
    closest,
    did_you_mean,
)

ALLOW = ((b"allow", b"GET"),)


@pytest.mark.parametrize(
    ("error", "is_client", "is_http"),
    [
        (ConfigError(()), False, False),
        (ListenError(), False, False),
        (RequestError(400, "bad"), True, False),
        (HTTPError(400, "bad"), True, True),
        (ForeignProtocolError(), True, True),
    ],
)
def test_an_error_is_of_the_family_of_whose_fault_it_is(
    error: Exception, is_client: bool, is_http: bool
) -> None:
    found = [isinstance(error, kind) for kind in (MockLLMError, ClientError, HTTPError)]
    assert found == [True, is_client, is_http]


@pytest.mark.parametrize("name", ["MockLLMError", "ConfigError", "ListenError"])
def test_the_errors_that_users_catch_are_exported(name: str) -> None:
    assert issubclass(getattr(mockllm, name), MockLLMError)


@pytest.mark.parametrize(
    ("place", "text"),
    [("a.json: openai[0]: match", "a.json: openai[0]: match: is wrong"), ("", "is wrong")],
)
def test_a_problem_reads_as_place_and_message(place: str, text: str) -> None:
    assert str(Problem(place, "is wrong")) == text


def test_a_problem_prevents_the_start_unless_it_is_a_warning() -> None:
    assert Problem("", "").severity is Severity.ERROR
    assert Problem("", "", Severity.WARNING) != Problem("", "")


def test_a_config_error_has_a_line_for_each_problem_in_order() -> None:
    problems = (Problem("b.json", "second"), Problem("", "first"))
    error = ConfigError(problems)
    assert error.problems == problems
    assert str(error) == "b.json: second\nfirst"


@pytest.mark.parametrize("kind", [ClientError, RequestError, HTTPError])
def test_a_client_error_has_a_status_a_message_and_headers(kind: type[ClientError]) -> None:
    error = kind(405, "not here", headers=ALLOW)
    assert (error.status, error.message, str(error)) == (405, "not here", "not here")
    assert error.headers == ALLOW
    assert kind(405, "not here").headers == ()


def test_a_request_error_names_the_member_at_fault() -> None:
    error = RequestError(400, "bad", param="messages.0.content", code="invalid_type")
    assert (error.param, error.code) == ("messages.0.content", "invalid_type")


def test_a_request_error_may_name_no_member() -> None:
    error = RequestError(404, "none", headers=ALLOW)
    assert (error.param, error.code, error.headers) == (None, None, ALLOW)


def test_a_foreign_protocol_is_a_bad_request() -> None:
    assert ForeignProtocolError().status == 400


@pytest.mark.parametrize(
    ("word", "likeness", "meant"),
    [("mesage", 0.6, "message"), ("mesage", 0.99, None), ("xyz", 0.6, None), ("", 0.6, None)],
)
def test_the_word_that_was_meant_is_the_closest_if_it_is_close(
    word: str, likeness: float, meant: str | None
) -> None:
    assert closest(word, ["match", "message"], likeness=likeness) == meant


def test_a_hint_names_the_meant_word_if_there_is_one() -> None:
    assert did_you_mean("message") == "; did you mean 'message'?"
    assert did_you_mean(None) == ""


def test_a_place_within_a_place_joins_the_paths() -> None:
    mock = Place(file="a.json", field="openai", position=1, name="greet")
    entry = mock.at("sequence[1]")

    assert entry.at("response.id") == "a.json: openai[1] 'greet': sequence[1].response.id"
    assert entry.at("[0]") == "a.json: openai[1] 'greet': sequence[1][0]"
    assert entry.at("") == entry
    assert entry.at("response").mock == mock
