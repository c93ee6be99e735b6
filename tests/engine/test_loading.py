from __future__ import annotations

from typing import Any

import orjson
import pytest

from mockllm import Config
from mockllm.engine.loading import load
from mockllm.engine.mocks import Table
from mockllm.engine.sources import FixedSource, render
from mockllm.exchange import Reply
from mockllm.prompt import ResponseOptions
from tests.support.goldens import delivered
from tests.support.loads import loaded, mock


def test_only_providers_with_mocks_confirm_requests() -> None:
    tables = loaded(mock("hi")).tables

    assert [table.confirm is not None for table in tables] == [True, False, False, False]


def reply_of(table: Table, *, stream: bool) -> Reply:
    source = table.sources[0]
    assert isinstance(source, FixedSource)
    return render(table.api, source.fixed, ResponseOptions(stream=stream))


def streamed(table: Table) -> bytes:
    return reply_of(table, stream=True).body


def test_events_are_sent_as_written_and_nothing_else() -> None:
    events = [{"b": 1, "a": "\u2028é"}, "[DONE]", {"id": "c"}]
    table = loaded(mock("hi") | {"stream": {"events": events, "chunk": "char"}}).tables[0]

    assert (
        streamed(table)
        == ('data: {"b":1,"a":"\\u2028é"}\n\ndata: [DONE]\n\ndata: {"id":"c"}\n\n').encode()
    )
    assert b'"content":"hi"' in reply_of(table, stream=False).body


@pytest.mark.parametrize(("field", "index"), [("openai_response", 1), ("anthropic", 2)])
def test_events_are_framed_as_their_api_does(field: str, index: int) -> None:
    match = {"message": {"role": "user", "content": "hi"}} if index == 2 else {"input": "hi"}
    one = {"match": match, "response": {}, "stream": {"events": [{"type": "ping"}]}}

    table = load(Config.from_dict({field: [one]})).tables[index]

    assert streamed(table) == b'event: ping\ndata: {"type":"ping"}\n\n'


@pytest.mark.parametrize(
    ("default", "own", "expected"),
    [
        ({}, {}, ["one", " two"]),
        ({"chunk": 4}, {}, ["one ", "two"]),
        ({"chunk": 4}, {"chunk": "word"}, ["one", " two"]),
        ({}, {"chunk": "char"}, list("one two")),
    ],
)
def test_the_chunk_of_a_mock_overrides_that_of_the_configuration(
    default: Any, own: Any, expected: list[str]
) -> None:
    response = {"choices": [{"message": {"content": "one two"}}]}
    one = mock("hi") | {"response": response, "stream": own}
    table = load(Config.from_dict({"stream": default, "openai": [one]})).tables[0]

    lines = delivered(reply_of(table, stream=True)).split(b"\n\n")

    chunks = [orjson.loads(line[6:]) for line in lines[:-2]]
    contents = [chunk["choices"][0]["delta"].get("content") for chunk in chunks]
    assert [content for content in contents if content] == expected
