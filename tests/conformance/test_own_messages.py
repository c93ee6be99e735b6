"""Messages that conditions on the last one need."""

from __future__ import annotations

from typing import Any

import pytest

from mockllm.config.models import Mock, OpenAIMock
from mockllm.conformance.own_messages import OwnMessages, own_messages
from mockllm.conformance.requirements import Requirement
from mockllm.providers.anthropic.messages import MESSAGES
from mockllm.providers.api import API
from mockllm.providers.openai.chat import CHAT
from mockllm.providers.openai.responses import RESPONSES

NO_MOCK = Mock(reply="a")
USER = {"role": "user", "content": "hi"}


def test_without_a_condition_any_message_will_do() -> None:
    assert [*own_messages(CHAT, NO_MOCK, ())] == [OwnMessages()]


def test_the_message_of_the_mock_is_first() -> None:
    mock = OpenAIMock(match={"message": USER}, response={})  # type: ignore[arg-type]  # as a file has it

    assert next(own_messages(CHAT, mock, ())) == OwnMessages((USER,))


@pytest.mark.parametrize(
    ("api", "value", "contains", "call_ids"),
    [
        (CHAT, USER, False, ()),
        (CHAT, {"role": "tool", "content": "1", "tool_call_id": "c"}, False, ("c",)),
        (CHAT, USER | {"content": [{"type": "text", "text": "a"}]}, True, ()),
        (
            MESSAGES,
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c"}]},
            True,
            ("c",),
        ),
        (RESPONSES, [{"type": "function_call_output", "call_id": "c"}], True, ("c",)),
        (RESPONSES, [{"role": "user", "content": "a"}], True, ()),
        (RESPONSES, "a", True, ()),
    ],
)
def test_a_condition_alone_has_a_message_that_meets_it(
    api: API, value: Any, contains: bool, call_ids: tuple[str, ...]
) -> None:
    requirement = Requirement(api.compile_match(value, contains), True)

    found = [*own_messages(api, NO_MOCK, (requirement,))]

    assert found
    assert found[0].call_ids == call_ids
