"""The sources of the answers of one mock."""

from __future__ import annotations

from typing import Any

import pytest

from mockllm import Config
from mockllm.config.answers import MockStream, ReplyStream
from mockllm.config.models import AnyMock, Mock, OpenAIMock
from mockllm.config.reply import Reply, ToolCall
from mockllm.engine.decision import Answer
from mockllm.engine.mock_sources import source_of, stream_of
from mockllm.engine.sources import FixedSource, MockSource, ReplySource, ScriptedSource
from mockllm.providers import APIS
from mockllm.providers.api import API
from mockllm.wire.chunking import Chunk
from tests.support.served import chat_mock, chat_saying, embeddings_mock

CHAT = APIS[0]


def chat(**stream: Any) -> AnyMock:
    """A chat mock with these settings of its stream."""
    mock = chat_mock("hi", chat_saying("ho")) | ({"stream": stream} if stream else {})
    return Config.from_dict({"openai": [mock]}).openai[0]


def embeddings() -> AnyMock:
    """A mock of an API that does not stream."""
    return Config.from_dict(
        {"openai_embeddings": [embeddings_mock("hi", [0.5])]}
    ).openai_embeddings[0]


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
