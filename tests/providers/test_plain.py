"""Plain requests are read as any others, and only valid ones are called valid."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockllm.engine.mocks import Table
from mockllm.errors import RequestError
from mockllm.matching.index import RuleIndex
from mockllm.prompt import Prompt
from mockllm.providers.anthropic.messages import MESSAGES
from mockllm.providers.anthropic.messages import prompt as messages_prompt
from mockllm.providers.api import API
from mockllm.providers.openai.chat import CHAT
from mockllm.providers.openai.chat import prompt as chat_prompt
from mockllm.providers.plain import MAX_PLAIN

Json = dict[str, Any]
MODULES = {CHAT: chat_prompt, MESSAGES: messages_prompt}
HELLO = {"role": "user", "content": "hi"}
ROLES = ["user", "user", "assistant", "system", "developer", "tool", "function", "nobody", 5, None]
ENTRIES = st.fixed_dictionaries(
    {},
    optional={
        "role": st.sampled_from(ROLES),
        "content": st.sampled_from(["hi", "hi", "", None, 5, [], [{"type": "text", "text": "a"}]]),
        "name": st.just("n"),
    },
)
SAID = st.fixed_dictionaries(
    {"role": st.sampled_from(ROLES), "content": st.sampled_from(["hi", "é", ""])}
)
VALUES: dict[str, list[Any]] = {
    "model": ["m", "", None, 5, "m" * 1_001],
    "messages": [[], "x", ["x"], [[]], [HELLO, 5, HELLO], [HELLO, HELLO]],
    "max_tokens": [1, 0, -1, True, None, 2**60],
    "max_completion_tokens": [1, 0, True],
    "n": [1, 0, None, "x"],
    "stream": [True, False, None, "x", 1],
    "stream_options": [None, {"include_usage": True}, 5],
    "temperature": [0.5, 1, "x", None, True, [1]],
    "top_k": [1, -1, 0.5],
    "seed": [1, 2**60, 0.5],
    "system": ["be brief", [], 5],
    "thinking": [None, {"type": "enabled", "budget_tokens": 1}, {"type": "disabled"}],
    "tools": [[], None, 5, [5], [{"type": "function"}]],
    "user": ["u", 5],
    "undeclared": [[5]],
}
MEMBERS = [(name, value) for name in VALUES for value in VALUES[name]]
PLAIN: Json = {"model": "m", "max_tokens": 9, "messages": [HELLO]}
OTHERS = st.lists(st.sampled_from(MEMBERS), max_size=3).map(lambda some: PLAIN | dict(some))
BODIES = OTHERS | st.lists(SAID | ENTRIES, max_size=4).map(
    lambda said: PLAIN | {"messages": [*said, HELLO]}
)
APIS = pytest.mark.parametrize("api", MODULES, ids=lambda api: str(api.name))


def read(api: API, members: Json) -> Prompt | None:
    """The prompt of a request; None if it is refused."""
    try:
        return api.read(dict(members), None)
    except RequestError:
        return None


def check_reading(api: API, members: Json) -> None:
    def result() -> object:
        try:
            prompt = api.read(dict(members), None)
        except RequestError as exc:
            return str(exc), exc.param
        last = [(each.items, each.canonical, each.parts_of) for each in prompt.last_messages]
        return prompt, prompt.readers, prompt.options, last

    module: ModuleType = MODULES[api]
    short = result()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_read_plain", lambda members: None)
        assert short == result()


@APIS
@given(members=BODIES)
def test_a_plain_request_is_read_as_any_other(api: API, members: Json) -> None:
    check_reading(api, members)


@APIS
@pytest.mark.parametrize("member", MEMBERS, ids=str)
def test_one_member_is_read_as_in_any_other_request(api: API, member: tuple[str, Any]) -> None:
    check_reading(api, PLAIN | dict([member]))
    check_reading(api, {name: PLAIN[name] for name in PLAIN if name != member[0]})


def check_validity(api: API, members: Json, *, strict: bool) -> None:
    table = Table(api, (), RuleIndex(()), api.sdk().request_confirmer(strict=strict))
    prompt = read(api, members)
    if prompt is None:
        return
    try:
        table.validate(prompt)
    except RequestError:
        assert not table.accepts(prompt)
    else:
        assert table.accepts(prompt)


@APIS
@pytest.mark.parametrize("strict", [False, True])
@given(members=BODIES)
def test_a_request_is_accepted_if_it_is_valid(api: API, strict: bool, members: Json) -> None:
    check_validity(api, members, strict=strict)


@APIS
@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("member", MEMBERS, ids=str)
def test_a_request_with_one_member_is_accepted_if_it_is_valid(
    api: API, strict: bool, member: tuple[str, Any]
) -> None:
    check_validity(api, PLAIN | dict([member]), strict=strict)


@APIS
@pytest.mark.parametrize(
    ("members", "is_plain", "is_valid"),
    [
        ({}, True, True),
        ({"temperature": 1, "top_p": 0.5, "stream": True, "max_tokens": 5}, True, True),
        ({"metadata": {}}, True, False),
        ({"messages": [HELLO | {"name": "n"}, HELLO]}, False, False),
        ({"messages": [HELLO] * MAX_PLAIN}, True, True),
        ({"messages": [HELLO] * (MAX_PLAIN + 1)}, False, False),
        ({"messages": [{"role": "user", "content": []}, HELLO]}, False, False),
        ({"messages": [HELLO, {"role": "assistant", "content": "hi"}]}, False, False),
    ],
)
def test_a_plain_request_has_few_messages_of_text(
    api: API, members: Json, is_plain: bool, is_valid: bool
) -> None:
    prompt = read(api, PLAIN | members)

    assert prompt is not None
    assert (prompt.is_plain, prompt.is_valid) == (is_plain, is_valid)
