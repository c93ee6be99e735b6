"""One conversation in the form of each API."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from mockllm.conformance.conversations import bodies
from mockllm.conformance.drafts import Conversation
from mockllm.exchange import Request
from mockllm.prompt import ConversationMessage, ToolCall, ToolResult
from mockllm.providers.api import API
from mockllm.providers.openai.embeddings import EMBEDDINGS
from mockllm.providers.routes import NO_VALUES
from tests.support.matches import APIS

MESSAGES = (
    ConversationMessage("user", ("a", "b")),
    ConversationMessage("assistant", ("c",), (ToolCall("1", "f"), ToolCall("2", "g"))),
    ToolResult(texts=("d",), call_id="1", name="f"),
    ToolResult(texts=("e", "h"), call_id="2", name="g"),
)
CONVERSATION = Conversation("m", ("x", "y"), ("f",), ("s",), MESSAGES)


@pytest.mark.parametrize("api", APIS, ids=lambda api: api.word)
def test_a_conversation_is_read_as_it_was_written(api: API) -> None:
    (body,) = bodies(api, CONVERSATION, None)
    prompt = api.decode(Request.of("POST", api.routes[0], body=orjson.dumps(body)), NO_VALUES)

    assert prompt.messages() == MESSAGES
    assert prompt.system() == ("x", "y")
    assert "f" in prompt.tools()
    assert prompt.schemas() == ("s",)
    assert prompt.model == "m"


@pytest.mark.parametrize("api", APIS, ids=lambda api: api.word)
def test_a_message_of_the_author_is_the_whole_conversation_or_its_last_turn(api: API) -> None:
    own = {"role": "user", "content": "mine"}
    field = "input" if api.match_field == "input" else "messages"
    plain = CONVERSATION._replace(system=(), messages=MESSAGES[:2])

    alone, last = (body[field] for body in bodies(api, plain, [own]))

    assert alone in ([own], "mine")
    assert last[-1] == own
    assert len(last) > 1


@pytest.mark.parametrize(
    ("own", "inputs", "expected"),
    [
        (None, 1, ["a", "b"]),
        (["c"], 1, "c"),
        (["c"], 2, ["c", "c"]),
        ([1, 2], 1, [1, 2]),
        ([1, 2], 2, [[1, 2], [1, 2]]),
    ],
)
def test_an_embeddings_request_has_inputs(own: Any, inputs: int, expected: Any) -> None:
    said = CONVERSATION._replace(messages=MESSAGES[:1])

    assert [*bodies(EMBEDDINGS, said, own, inputs)] == [{"model": "m", "input": expected}]
