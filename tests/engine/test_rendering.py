from __future__ import annotations

from dataclasses import replace

import pytest

from mockllm import Config
from mockllm.engine.engine import Engine
from mockllm.engine.loading import load
from mockllm.exchange import Reply
from tests.engine.test_engine import CHAT, answer, chat_mock, engine, post, say
from tests.support.apps import LoneApp


def test_each_form_is_prepared_once() -> None:
    mock = chat_mock("hi", "ho")
    mock["response"] |= {"model": "m", "usage": None}
    one = engine(mock)

    replies = [one.decide(post(say("hi", stream=stream))).reply for stream in (True, False) * 2]

    assert [reply.streamed for reply in replies] == [True, False, True, False]
    assert replies[0] is replies[2]
    assert replies[1] is replies[3]


def test_json_is_prepared_once_unless_a_tool_is_forced() -> None:
    usage = {"input": 1, "output": 1}
    reply = {"json": {"a": 1}, "usage": usage}
    one = engine(mocks=[{"reply": reply}])
    tool = {"type": "function", "function": {"name": "f"}}
    free, forced = say("hi", tools=[tool]), say("hi", tools=[tool], tool_choice="required")

    contents = [answer(one.decide(post(each))) for each in (free, forced, free, forced)]

    assert contents == ['{"a":1}', None, '{"a":1}', None]
    assert [key[:3] for key in one._engine.renderer._prepared] == [("openai", 0, 0)]


def test_headers_of_a_mock_are_set_on_whole_and_streamed_answers() -> None:
    headers = {"X-A": "é", "content-type": "text/plain", "Access-Control-Allow-Origin": "null"}
    one = engine(chat_mock("hi", "ho") | {"headers": headers}, chat_mock("ho", "hi"))
    asked = [say("hi"), say("hi", stream=True), {"model": "m", "prompt": "hi"}]
    paths = [CHAT, CHAT, "/v1/completions"]

    for body_, path in zip(asked, paths, strict=True):
        found = one.decide(post(body_, path)).reply.headers
        assert len(dict(found)) == len(found)
        assert dict(found).items() >= {
            (b"x-a", "é".encode()),
            (b"content-type", b"text/plain"),
            (b"access-control-allow-origin", b"null"),
        }

    assert b"x-a" not in dict(one.decide(post(say("ho"))).reply.headers)


def test_headers_of_a_mock_of_embeddings_are_set() -> None:
    mock = {"headers": {"x-a": "1"}, "response": {"data": [{"embedding": [1.0]}]}}
    one = engine(openai_embeddings=[mock])

    reply = one.decide(post({"model": "m", "input": "hi"}, "/v1/embeddings")).reply

    assert dict(reply.headers)[b"x-a"] == b"1"


def test_a_render_error_names_the_mock() -> None:
    def fail(*_: object) -> Reply:
        raise ZeroDivisionError

    loaded = load(Config.from_dict({"openai": [chat_mock("hi", "ho", "greet")]}))
    table = loaded.tables[0]
    broken = replace(table, api=replace(table.api, render=fail))
    one = LoneApp(Engine(replace(loaded, tables=(broken,))))

    with pytest.raises(ZeroDivisionError) as caught:
        one.decide(post(say("hi")))

    assert caught.value.__notes__ == ["openai[0] 'greet'"]
