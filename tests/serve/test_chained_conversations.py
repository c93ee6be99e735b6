"""A conversation that is continued by `previous_response_id` reads as the whole one does."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

import orjson
import pytest
from hypothesis import example, given, settings

from mockllm import Prompt, Reply, Server, ToolCall
from mockllm.prompt import ConversationMessage, ToolResult
from mockllm.prompt import ToolCall as ToolCallRead
from tests.support.conversations import Conversation, as_responses, conversations
from tests.support.matches import Match, matches

SAID = "x-said"
KEY = {"authorization": "Bearer any"}
NO = ConversationMessage("assistant", ("no",))
CALL = ToolCallRead("call_1", "search")
SEARCH = Conversation(
    [],
    [],
    [
        ConversationMessage("user", ("hi",)),
        ConversationMessage("assistant", (), (CALL,)),
        ToolResult(texts=("15",), call_id=CALL.call_id, name=CALL.name),
    ],
)


def say(prompt: Prompt) -> Reply:
    """Say what a header of the request has."""
    text, calls = orjson.loads(prompt.headers[SAID])
    made = [ToolCall(name=name, id=call_id) for call_id, name in calls]
    return Reply(text=text, tool_calls=made) if made else Reply(text=text)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server({"mocks": [{"reply": say}]}) as running:
        yield running


class Client:
    """Asks in a session of its own, with one connection."""

    def __init__(self, server: Server) -> None:
        self.session = server.session("chains")
        address = urlsplit(server.base_url)
        assert address.hostname is not None
        self.connection = HTTPConnection(address.hostname, address.port)

    def ask(
        self,
        conversation: Conversation,
        messages: Sequence[ConversationMessage],
        previous: str | None,
        said: ConversationMessage = NO,
    ) -> dict[str, Any]:
        """Return the response to these messages, which follow a `previous` response."""
        asked = as_responses(conversation._replace(messages=[*messages], stream=False))
        body = orjson.dumps({**asked.body, "previous_response_id": previous})
        header = json.dumps([said.text, said.calls])
        path = "/session/chains/v1/responses"
        self.connection.request("POST", path, body, {**KEY, SAID: header})
        response: dict[str, Any] = orjson.loads(self.connection.getresponse().read())
        assert response.get("error") is None, response
        return response

    def close(self) -> None:
        self.connection.close()
        self.session.end()


def holds(response: dict[str, Any]) -> bool:
    """Return True if the mock with the match has answered."""
    texts = [part["text"] for item in response["output"] for part in item.get("content", ())]
    return texts == ["it holds"]


def looks_at_all_messages(match: Match) -> bool:
    """Return True if a match has the word that looks at the messages of the request alone."""
    return b"any_message" in orjson.dumps(match)


@example(match={"tool_result": {"name": "search"}}, conversation=SEARCH)
@settings(max_examples=100, deadline=None)
@given(
    match=matches(1).filter(lambda match: match and not looks_at_all_messages(match)),
    conversation=conversations(),
)
def test_a_match_has_the_same_verdict_on_a_chain(
    server: Server, match: Match, conversation: Conversation
) -> None:
    messages = conversation.messages
    client = Client(server)
    previous, begin = None, 0
    for end, message in enumerate(messages[:-1]):
        if message.role == "assistant":
            answered = client.ask(conversation, messages[begin:end], previous, message)
            previous, begin = answered["id"], end + 1

    client.session.add(match=match, reply="it holds")
    whole = client.ask(conversation, messages, None)
    chained = client.ask(conversation, messages[begin:], previous)
    client.close()

    assert holds(chained) is holds(whole)
