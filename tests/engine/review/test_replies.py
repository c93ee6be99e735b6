"""Findings in replies, and in mocks that answer several APIs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings

from mockllm import Config, ConfigError, ToolCall
from mockllm.config.reply import Reply
from mockllm.config.texts import GeneratedText
from mockllm.engine.loading import load, review
from mockllm.engine.review.mocks import sent_of
from mockllm.engine.review.replies import confirm_reply, form_of
from mockllm.errors import Place, Problem, Severity
from mockllm.providers.api import API
from mockllm.providers.openai.chat import CHAT
from mockllm.providers.reply import NeutralReply
from mockllm.validation.findings import Finding, Kind
from tests.support.neutral import APIS, replies, respond
from tests.support.served import chat_saying, messages_saying

BROKEN = {"tool_calls": [{"name": "f", "arguments": '{"a": '}]}
NO_OBJECT = "the arguments of a call are not a JSON object: '{\"a\": '; "
IN_MESSAGES = 'Messages sends them as {"INVALID_JSON": "..."}'


def reviewed(tmp_path: Path, config: dict[str, Any]) -> list[str]:
    file = tmp_path / "a.json"
    file.write_bytes(orjson.dumps(config))
    return [f"{each.severity}: {each}".replace(f"{file}: ", "") for each in review(file).problems]


@pytest.mark.parametrize(
    "reply",
    [
        "hi",
        "",
        {"reasoning": "a", "text": "b", "tool_calls": [{"name": "f", "arguments": ""}]},
        {"refusal": "no"},
        {"json": [1]},
        {"finish": "length"},
    ],
)
@pytest.mark.parametrize("field", ["openai", "openai_response", "anthropic", "mocks"])
def test_nothing_is_said_about_a_good_reply(tmp_path: Path, field: str, reply: Any) -> None:
    assert reviewed(tmp_path, {field: [{"reply": reply}]}) == []


@pytest.mark.parametrize(
    ("field", "match", "effect"),
    [
        ("openai", {}, "sent as written"),
        ("openai_response", {}, "sent as written"),
        ("anthropic", {}, IN_MESSAGES),
        ("mocks", {}, IN_MESSAGES),
        ("mocks", {"api": ["chat", "responses"]}, "sent as written"),
    ],
)
def test_arguments_that_are_no_object_are_one_warning(
    tmp_path: Path, field: str, match: Any, effect: str
) -> None:
    assert reviewed(tmp_path, {field: [{"match": match, "reply": BROKEN}]}) == [
        f"warning: {field}[0]: reply.tool_calls[0].arguments: {NO_OBJECT}{effect}"
    ]


@pytest.mark.parametrize("arguments", ["[1]", "5", "null"])
def test_json_arguments_must_be_an_object(tmp_path: Path, arguments: str) -> None:
    reply = {"tool_calls": [{"name": "f", "arguments": arguments}]}

    assert len(reviewed(tmp_path, {"mocks": [{"reply": reply}]})) == 1


def test_what_the_sdk_says_of_a_reply_names_the_api() -> None:
    class Complaining:
        def confirm_response(self, response: Any) -> list[Finding]:
            return [Finding(("choices", 0, "index"), "expected 1", Kind.WRONG)]

    sdk: Any = Complaining()

    assert [*confirm_reply(CHAT, sdk, Reply(text="a"), Place())] == [
        Problem(
            "reply",
            "the answer of OpenAI Chat Completions: choices[0].index: expected 1",
            Severity.WARNING,
        )
    ]


def test_replies_of_one_form_are_validated_once() -> None:
    sent: list[Any] = []

    class Counting:
        def confirm_response(self, response: Any) -> list[Finding]:
            sent.append(response)
            return [Finding(("id",), "expected another", Kind.WRONG)]

    sdk: Any = Counting()
    calls = [
        [ToolCall(name=name, id=call_id, arguments={"city": name}) for call_id in ids]
        for name, *ids in (("f", "a", "b"), ("g", "c", "d"), ("f", None, "b"))
    ]
    forms: list[list[Reply]] = [
        [Reply(text="a"), Reply(text="b" * 1000), Reply(text=GeneratedText(generate="echo"))],
        [Reply(text="")],
        [Reply(refusal="a"), Reply(refusal="b")],
        [Reply(reasoning="a", text="b"), Reply(reasoning="c", text="d")],
        [Reply(json={"a": [1]}), Reply(json={})],
        [Reply(text="a", finish="length")],
        [Reply(tool_calls=calls[0]), Reply(tool_calls=calls[1])],
        [Reply(tool_calls=calls[2])],
    ]

    for alike in forms:
        for reply in alike:
            (problem,) = confirm_reply(CHAT, sdk, reply, Place())
            assert problem.message.endswith("id: expected another")

    assert len(sent) == len(forms)


@pytest.mark.parametrize("api", APIS, ids=lambda api: api.word)
@settings(max_examples=30, deadline=None)
@given(reply=replies())
def test_replies_of_one_form_have_the_same_findings(api: API, reply: NeutralReply) -> None:
    def findings(reply: NeutralReply) -> list[tuple[Any, Kind]]:
        found = api.sdk().confirm_response(sent_of(api, respond(api, reply)))
        return [(each.path, each.kind) for each in found]

    assert findings(form_of(reply)) == findings(reply)


def test_a_name_used_twice_is_one_warning(tmp_path: Path) -> None:
    match = {"system_contains": ["x"]}
    mocks = [{"name": "a", "match": match, "reply": "b"}, {"name": "a", "reply": "c"}]

    (told,) = reviewed(tmp_path, {"mocks": mocks})

    assert told.startswith("warning: mocks[1] 'a': the name is used twice")


def test_python_values_that_are_not_json_are_one_error() -> None:
    config = {"mocks": [{"reply": {"json": {"a": [float("nan")]}}}, {"reply": "\ud800"}]}

    with pytest.raises(ConfigError) as caught:
        load(Config.from_dict(config))

    places = [problem.place for problem in caught.value.problems]
    assert places == ["mocks[0]: reply.json.a[0]", "mocks[1]: reply.text"]


def test_half_a_surrogate_pair_in_a_condition_is_an_error() -> None:
    """No client can send it, and the control API could not show it."""
    match = {"any_of": [{"user": "\ud800"}], "tools": ["\udc00"]}

    with pytest.raises(ConfigError) as caught:
        load(Config.from_dict({"mocks": [{"match": match, "reply": "a"}]}))

    places = [problem.place for problem in caught.value.problems]
    assert sorted(places) == ["mocks[0]: match.any_of[0].user", "mocks[0]: match.tools[0]"]


# --- Hidden mocks ---


def test_a_mock_behind_a_default_is_unreachable(tmp_path: Path) -> None:
    assert reviewed(tmp_path, {"mocks": [{"reply": "a"}, {"reply": "b"}]}) == [
        "warning: mocks[1]: unreachable: mocks[0] matches every request that this mock matches"
    ]


def test_a_mock_that_one_api_overrides_is_a_note(tmp_path: Path) -> None:
    config = {"openai": [{"response": chat_saying("a")}], "mocks": [{"reply": "b"}]}

    assert reviewed(tmp_path, config)[1:] == [
        (
            "note: mocks[0]: unreachable in OpenAI Chat Completions: openai[0] matches every "
            "request that it matches"
        )
    ]


def test_a_default_of_an_api_that_hides_other_mocks_is_a_warning(tmp_path: Path) -> None:
    config = {
        "openai_response": [{"reply": "a"}],
        "mocks": [{"match": {"tool_names": ["f"]}, "reply": "b"}, {"reply": "c"}],
    }

    hidden = "unreachable in OpenAI Responses: openai_response[0] matches every request that it "
    assert reviewed(tmp_path, config) == [
        (
            f"warning: mocks[0]: {hidden}matches; an API's own list comes first, so a default "
            "there hides all of 'mocks'"
        ),
        f"note: mocks[1]: {hidden}matches",
    ]


@pytest.mark.parametrize("name", ["openai", "openai_response", "anthropic", "mocks"])
def test_a_default_before_other_mocks_of_its_list_is_a_warning(tmp_path: Path, name: str) -> None:
    config = {name: [{"reply": "a"}, {"match": {"tool_names": ["f"]}, "reply": "b"}]}

    assert reviewed(tmp_path, config) == [
        f"warning: {name}[1]: unreachable: {name}[0] matches every request that this mock matches"
    ]


def test_a_mock_that_every_api_overrides_is_unreachable(tmp_path: Path) -> None:
    config = {
        "openai": [{"reply": "a"}],
        "openai_response": [{"reply": "a"}],
        "anthropic": [{"response": messages_saying("a")}],
        "mocks": [{"reply": "b"}],
    }

    assert reviewed(tmp_path, config)[1:] == [
        (
            "warning: mocks[0]: unreachable: every request that this mock matches is matched by "
            "openai[0] in OpenAI Chat Completions, openai_response[0] in OpenAI Responses, "
            "anthropic[0] in Anthropic Messages"
        )
    ]
