"""The table of one API by itself: validation, decoding, and the sources of answers."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import orjson
import pytest

from mockllm import Config
from mockllm.config.answers import MockStream, ReplyStream
from mockllm.config.models import AnyMock, Mock, OpenAIMock
from mockllm.config.reply import Reply, ToolCall
from mockllm.engine.decision import Answer
from mockllm.engine.mocks import Table, source_of, stream_of
from mockllm.engine.sources import FixedSource, MockSource, ReplySource, ScriptedSource
from mockllm.errors import RequestError
from mockllm.matching.index import RuleIndex
from mockllm.pieces import finish
from mockllm.prompt import Prompt
from mockllm.providers import APIS
from mockllm.providers.api import API
from mockllm.validation.findings import Confirm, Finding, Kind
from mockllm.wire.chunking import Chunk
from tests.support.served import chat_mock, chat_saying, embeddings_mock
from tests.support.strategies import ask_chat

CHAT = APIS[0]
HELLO = [{"role": "user", "content": "hi"}]
PATH = ("messages", 0, "content")


def table(confirm: Confirm | None) -> Table:
    """A table of Chat Completions without mocks."""
    return Table(CHAT, (), RuleIndex(()), confirm)


class Finds(Confirm):
    """Has the same finding in any value, and remembers the values."""

    def __init__(self, finding: Finding | None) -> None:
        self.finding = finding
        self.seen: list[Any] = []

    def __call__(self, value: Any) -> Finding | None:
        self.seen.append(value)
        return self.finding

    def in_pieces(self, value: Any) -> Generator[bool, None, Finding | None]:
        yield False
        return self(value)


def refusal(finding: Finding) -> RequestError:
    """The error of a request in which there is this finding, in pieces or not."""
    with pytest.raises(RequestError) as caught:
        table(Finds(finding)).validate(ask_chat(HELLO))
    with pytest.raises(RequestError) as in_pieces:
        finish(table(Finds(finding)).validate_in_pieces(ask_chat(HELLO)))
    assert in_pieces.value.message == caught.value.message
    return caught.value


def chat(**stream: Any) -> AnyMock:
    """A chat mock with these settings of its stream."""
    mock = chat_mock("hi", chat_saying("ho")) | ({"stream": stream} if stream else {})
    return Config.from_dict({"openai": [mock]}).openai[0]


def embeddings() -> AnyMock:
    """A mock of an API that does not stream."""
    return Config.from_dict(
        {"openai_embeddings": [embeddings_mock("hi", [0.5])]}
    ).openai_embeddings[0]


# -- Validation --


def test_the_whole_body_is_validated() -> None:
    confirm = Finds(None)
    prompt = ask_chat(HELLO, seed=1)
    table(confirm).validate(prompt)
    finish(table(confirm).validate_in_pieces(prompt))
    body = confirm.seen.pop()
    assert confirm.seen == [body]
    assert body == {"model": "m", "messages": HELLO, "seed": 1}


def test_a_missing_member_is_named_as_the_service_does() -> None:
    error = refusal(Finding(PATH, "required, but missing", Kind.MISSING))
    assert (error.status, error.param) == (400, "messages.0.content")
    assert error.code == "missing_required_parameter"
    assert "messages.0.content" in error.message


@pytest.mark.parametrize("kind", [Kind.WRONG, Kind.UNKNOWN])
def test_any_other_finding_is_an_invalid_type(kind: Kind) -> None:
    error = refusal(Finding(PATH, "expected a string, found 5", kind))
    assert (error.status, error.param) == (400, "messages.0.content")
    assert error.code == "invalid_type"
    assert error.message == "messages.0.content: expected a string, found 5"


# -- Decoding --


@pytest.mark.parametrize("api", APIS, ids=lambda api: str(api.name))
def test_a_body_is_decoded_by_its_api(api: Any) -> None:
    body = {"model": "m", "max_tokens": 9, "messages": HELLO, "input": "hi"}
    prompt = Table(api, (), RuleIndex(()), None).decode(orjson.dumps(body))
    assert isinstance(prompt, Prompt)
    assert (prompt.endpoint, prompt.model, prompt.text) == (api.name, "m", "hi")


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"model": "m"}', b'{"messages": []}'])
def test_a_body_that_is_no_request_is_an_error(body: bytes) -> None:
    with pytest.raises(RequestError) as caught:
        table(None).decode(body)
    assert caught.value.status == 400


# -- Sources --


def source(api: API, mock: AnyMock, chunk: Chunk) -> MockSource:
    """The source of the only answer of a mock."""
    found = source_of(api, mock, chunk)
    assert not isinstance(found, ScriptedSource)
    return found


@pytest.mark.parametrize(
    ("mock", "default", "chunk"),
    [
        (chat(), "word", "word"),
        (chat(), 3, 3),
        (chat(chunk="char"), 3, "char"),
        (chat(chunk=1), "token", 1),
        (embeddings(), "token", "token"),
    ],
)
def test_a_mock_is_cut_by_its_own_chunk_or_else_by_the_default(
    mock: AnyMock, default: Chunk, chunk: Chunk
) -> None:
    assert source(CHAT, mock, default).fixed.chunk == chunk


def test_the_answer_of_a_mock_is_its_response_and_its_events() -> None:
    fixed = source(CHAT, chat(events=[{"a": 1}, "[DONE]"]), "word").fixed
    assert fixed.response == chat_saying("ho")
    assert fixed.events == [{"a": 1}, "[DONE]"]


def test_an_empty_list_of_events_is_not_the_same_as_none() -> None:
    assert source(CHAT, chat(), "word").fixed.events is None
    assert source(CHAT, chat(events=[]), "word").fixed.events == []


def test_a_mock_of_an_api_that_does_not_stream_has_the_default_settings() -> None:
    assert stream_of(embeddings()) == MockStream()
    assert stream_of(chat(chunk=2)) == MockStream(chunk=2)
    assert stream_of(Mock(reply="a", stream=ReplyStream(chunk=2))) == MockStream(chunk=2)


@pytest.mark.parametrize("api", APIS[:3], ids=lambda api: str(api.name))
def test_a_reply_is_answered_in_the_form_of_each_api(api: Any) -> None:
    one = source(api, Mock(reply="hi", stream=ReplyStream(chunk=2)), "word")

    assert one.fixed == Answer(api.text_response("hi"), 2, number=0, is_neutral=True)


def test_only_json_and_calls_depend_on_the_request() -> None:
    calls = Reply(tool_calls=[ToolCall(name="f")])
    assert isinstance(source(CHAT, Mock(reply=calls), "word"), ReplySource)
    assert isinstance(source(CHAT, Mock(reply=Reply(json=1)), "word"), ReplySource)
    assert isinstance(source(CHAT, Mock(reply=Reply(text="1")), "word"), FixedSource)


def test_the_events_of_a_mock_replace_the_stream_of_its_reply() -> None:
    mock = OpenAIMock(reply="hi", stream=MockStream(events=["[DONE]"]))

    assert source(CHAT, mock, "word").fixed == Answer(
        CHAT.text_response("hi"), "word", ["[DONE]"], number=0, is_neutral=True
    )


def test_plain_messages_are_not_validated() -> None:
    finds = Finds(None)
    named = [{"role": "user", "content": "hi", "name": "n"}, *HELLO]

    known = ask_chat(HELLO, user="u", stream=True, n=1, temperature=0)
    asked = [ask_chat(HELLO), known, ask_chat(HELLO, store=True), ask_chat(named)]
    assert all(map(table(finds).accepts, asked))

    assert finds.seen == [
        {"model": "m", "messages": [], "store": True},
        {"model": "m", "messages": named},
    ]
