"""Errors of mocks, compiled and answered."""

from __future__ import annotations

from typing import Any

import pytest

from mockllm import Config, Error
from mockllm.engine.decision import Outcome
from mockllm.engine.engine import Engine
from mockllm.engine.failures import MAX_MODEL, MAX_REPLIES, FailedReplies, compile_error
from mockllm.engine.loading import load
from mockllm.exchange import Reply
from mockllm.providers.api import API
from mockllm.providers.failures import Cases, Failure
from mockllm.providers.openai.chat import CHAT
from tests.support.apps import LoneApp
from tests.support.engines import ANTHROPIC, ask, header, told
from tests.support.served import chat_request, messages_request

CHAT_PATH, EMBEDDINGS_PATH = "/v1/chat/completions", "/v1/embeddings"


def app(**config: Any) -> LoneApp:
    return LoneApp(Engine(load(Config.from_dict(config))))


@pytest.mark.parametrize(
    ("body", "content_type", "expected"),
    [
        ({"a": 1}, None, (b'{"a":1}', b"application/json")),
        (None, None, (b"null", b"application/json")),
        ("x", None, (b"x", b"text/plain; charset=utf-8")),
        (" <html>", None, (b" <html>", b"text/html; charset=utf-8")),
        ("{", "application/json", (b"{", b"application/json")),
    ],
)
def test_a_body_is_encoded_once_and_has_a_type(
    body: Any, content_type: str | None, expected: tuple[bytes, bytes]
) -> None:
    failure = compile_error(Error(status=502, body=body, content_type=content_type))

    assert (failure.body, failure.content_type) == expected


def test_an_error_is_compiled_with_all_its_parts() -> None:
    error = Error(word="rate_limit", message="a", retry_after="2s", headers={"X-A": "é"})

    assert compile_error(error) == Failure(
        "rate_limit", message="a", retry_after=2.0, headers=((b"x-a", "é".encode()),)
    )


def test_a_reply_is_rendered_once_for_each_model_within_bounds() -> None:
    rendered: list[str] = []

    def render(api: API, failure: Failure, model: str, own: Cases) -> Reply:
        rendered.append(model)
        return Reply.whole(500, (), b"")

    replies = FailedReplies()
    for model in ("a", "a", "x" * (MAX_MODEL + 1), "x" * (MAX_MODEL + 1)):
        replies.get(CHAT, Failure(), model, render)
    assert len(rendered) == 3

    for number in range(MAX_REPLIES + 1):
        replies.get(CHAT, Failure(), f"m{number}", render)
    rendered.clear()
    replies.get(CHAT, Failure(), "a", render)
    replies.get(CHAT, Failure(), f"m{MAX_REPLIES}", render)
    assert rendered == [f"m{MAX_REPLIES}"]


@pytest.mark.parametrize("stream", [False, True])
def test_an_error_is_sent_whole_at_once_by_its_mock(stream: bool) -> None:
    one = app(openai=[{"name": "storm", "error": "rate_limit"}])

    decision = ask("POST", CHAT_PATH, body=chat_request("hi", stream=stream), engine=one)

    assert (decision.reply.status, decision.reply.streamed) == (429, False)
    assert decision.ready is not None
    assert decision.match.outcome is Outcome.MOCK
    assert decision.match.rule is not None
    assert decision.match.answer is None
    assert decision.match.reusable


def test_an_error_can_be_read_by_pages_of_other_origins() -> None:
    own = {"as": "overloaded", "headers": {"Access-Control-Allow-Origin": "https://a.b"}}
    for error, origin in (("overloaded", "*"), (own, "https://a.b")):
        decision = ask(
            "POST", CHAT_PATH, body=chat_request("hi"), engine=app(openai=[{"error": error}])
        )
        assert header(decision, "access-control-allow-origin") == origin
        names = [name for name, _ in decision.reply.headers]
        assert names.count(b"access-control-allow-origin") == 1


@pytest.mark.parametrize("word", ["overloaded", "flagged"])
def test_the_headers_of_a_mock_are_set_on_its_error_and_those_of_the_error_before_them(
    word: str,
) -> None:
    error = {"as": word, "headers": {"X-A": "error"}}
    mock = {"error": error, "headers": {"x-a": "mock", "x-b": "mock"}}

    decision = ask(
        "POST", "/v1/messages", ANTHROPIC, messages_request("hi"), engine=app(anthropic=[mock])
    )

    assert (header(decision, "x-a"), header(decision, "x-b")) == ("error", "mock")


def test_a_flagged_prompt_is_answered_in_messages_with_the_headers_of_the_error() -> None:
    one = app(anthropic=[{"error": {"as": "flagged", "message": "No", "headers": {"x-a": "1"}}}])

    decision = ask("POST", "/v1/messages", ANTHROPIC, messages_request("hi"), engine=one)

    assert (decision.reply.status, header(decision, "x-a")) == (200, "1")
    body = told(decision)
    assert (body["content"], body["stop_reason"]) == ([], "refusal")
    assert body["stop_details"]["explanation"] == "No"


def test_the_error_of_one_input_is_that_of_the_request() -> None:
    one = app(
        openai_embeddings=[
            {"match": {"input": "bad"}, "error": "context_length"},
            {"match": {"input": ["x", "y"]}, "error": "overloaded"},
            {"response": {"data": [{"embedding": [1.0]}]}},
        ]
    )
    for inputs, status in (("bad", 400), (["a", "bad"], 400), (["x", "y"], 503), (["a"], 200)):
        body = {"model": "m", "input": inputs}
        decision = ask("POST", EMBEDDINGS_PATH, body=body, engine=one)
        assert decision.reply.status == status, inputs


def test_a_mock_with_an_error_names_no_model() -> None:
    one = app(openai=[{"error": "overloaded"}, {"response": {"model": "listed"}}])

    listed = told(ask("GET", "/v1/models", engine=one))

    assert [each["id"] for each in listed["data"]] == ["listed"]


def test_the_nearest_mock_of_a_404_may_have_an_error() -> None:
    match = {"message": {"role": "user", "content": "hallo"}}
    one = app(openai=[{"name": "storm", "match": match, "error": "overloaded"}])

    decision = ask("POST", CHAT_PATH, body=chat_request("hello"), engine=one)

    assert decision.reply.status == 404
    assert "openai[0] 'storm'" in told(decision)["error"]["message"]
