"""Configured replies, compiled."""

from __future__ import annotations

from typing import Any

import pytest

from mockllm.config.reply import Reply, ToolCall, Usage
from mockllm.engine.reply import compile_reply
from mockllm.providers.reply import NeutralCall, NeutralReply, NeutralUsage


@pytest.mark.parametrize(
    ("reply", "compiled"),
    [
        (Reply(text="a"), NeutralReply(text="a")),
        (Reply(text=""), NeutralReply(text="")),
        (Reply(reasoning="a", refusal="b"), NeutralReply(reasoning="a", refusal="b")),
        (Reply(tool_calls=[ToolCall(name="f")]), NeutralReply(calls=(NeutralCall("f"),))),
        (
            Reply(tool_calls=[ToolCall(name="f", id="c", arguments={"b": 1, "a": ["é"]})]),
            NeutralReply(calls=(NeutralCall("f", '{"b":1,"a":["é"]}', "c"),)),
        ),
        (
            Reply(tool_calls=[ToolCall(name="f", arguments='{"a": 1')]),
            NeutralReply(calls=(NeutralCall("f", '{"a": 1'),)),
        ),
        (Reply(json={"b": 1.0, "a": None}), NeutralReply(json='{"b":1.0,"a":null}')),
        (
            Reply(finish="length", usage=Usage(input=3, output=2, cached=1, reasoning=0)),
            NeutralReply(finish="length", usage=NeutralUsage(3, 2, 1, 0)),
        ),
    ],
)
def test_a_reply_is_compiled(reply: Reply, compiled: NeutralReply) -> None:
    assert compile_reply(reply) == compiled


@pytest.mark.parametrize(("value", "text"), [(None, "null"), (False, "false"), ("", '""')])
def test_a_json_that_is_falsy_is_one(value: Any, text: str) -> None:
    assert compile_reply(Reply(json=value)).json == text
