"""Findings in a loaded configuration: warnings, and errors by the types of the SDK."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from mockllm import Config, ConfigError, Entry, Error, OpenAIMock, ResponseEntry
from mockllm.engine.loading import load, review
from mockllm.errors import Severity
from mockllm.matching import shadowing
from mockllm.matching.costs import MAX_CANDIDATES, MAX_COMPARED
from mockllm.providers.openai.chat import sdk as chat_sdk
from mockllm.validation.findings import Finding, Kind
from tests.support.loads import ANSWER, loaded, mock


def warnings(*mocks: dict[str, Any]) -> list[str]:
    return [str(problem) for problem in loaded(*mocks).warnings]


def errors(config: dict[str, Any]) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(Config.from_dict(config))
    return [f"{problem.severity}: {problem}" for problem in caught.value.problems]


def test_a_configuration_without_fault_has_no_warnings() -> None:
    result = loaded(mock("hi"), mock("ho"))

    assert result.warnings == ()
    assert [len(table.mocks) for table in result.tables] == [2, 0, 0, 0]


def test_a_response_that_the_sdk_rejects_is_a_warning() -> None:
    response = ANSWER | {"object": "chat.completion.tool_message", "creatd": 1}

    told = warnings(mock("hi", "greet") | {"response": response})

    assert told == [
        (
            "openai[0] 'greet': response.object: expected 'chat.completion', "
            "found 'chat.completion.tool_message'"
        ),
        (
            "openai[0] 'greet': response.creatd: not a member that the SDK declares; "
            "did you mean 'created'?"
        ),
    ]


def test_a_type_of_an_item_that_is_no_string_is_an_error() -> None:
    item = {"role": "user", "content": "", "type": []}

    told = errors({"openai_response": [{"match": {"input": [item]}, "response": {}}]})

    expected = "expected a string, found a list"
    assert told[0] == f"error: openai_response[0]: match.input[0].type: {expected}"


def test_what_an_old_sdk_does_not_declare_is_a_note(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chat_sdk, "_WIDENED", frozenset())
    response = ANSWER | {"object": "chat.completion.tool_message", "creatd": 1}
    events = [{**CHUNK, "creatd": 1}, "[DONE]"]

    told = reviewed(tmp_path, {**mock("hi"), "response": response, "stream": {"events": events}})

    assert [line.split(": ")[:3] for line in told] == [
        ["note", "openai[0]", "response.object"],
        ["note", "openai[0]", "response.creatd"],
        ["note", "openai[0]", "stream.events[0].creatd"],
    ]


CHUNK = {
    "id": "c",
    "object": "chat.completion.chunk",
    "created": 1,
    "model": "m",
    "choices": [{"index": 0, "delta": {"content": "hi"}, "finish_reason": None}],
}


def test_a_contradiction_is_a_warning_that_names_both_places() -> None:
    usage = {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 99}

    assert warnings(mock("hi") | {"response": ANSWER | {"usage": usage}}) == [
        ("openai[0]: response.usage.total_tokens: 99, but prompt_tokens + completion_tokens is 12")
    ]


TERSE = mock("hi") | {"response": {"choices": [{"message": {"content": "x"}}]}}


def reviewed(tmp_path: Path, *mocks: dict[str, Any]) -> list[str]:
    file = tmp_path / "mocks.json"
    file.write_bytes(orjson.dumps({"openai": mocks}))
    problems = review(file).problems
    return [f"{each.severity}: {each}".replace(f"{file}: ", "") for each in problems]


def test_what_is_filled_in_is_a_note_of_one_line(tmp_path: Path) -> None:
    assert reviewed(tmp_path, TERSE) == [
        (
            "note: openai[0]: response: filled in: id, choices[0].finish_reason, choices[0].index, "
            "choices[0].message.role, created, model, object"
        )
    ]


def test_notes_are_not_warnings() -> None:
    assert loaded(TERSE, strict_config=True).warnings == ()


def test_missing_members_that_are_not_filled_in_are_a_warning(tmp_path: Path) -> None:
    """The SDK's type for a call without a `type` is known only once that is filled in."""
    call = {"function": {"arguments": "{}"}}
    terse = TERSE | {"response": {"choices": [{"message": {"tool_calls": [call]}}]}}

    assert reviewed(tmp_path, terse)[0] == (
        "warning: openai[0]: response: missing, and not filled in: "
        "choices[0].message.tool_calls[0].function.name"
    )


def test_a_response_without_a_choice_is_a_warning() -> None:
    assert warnings(mock("hi") | {"response": {"choices": []}}) == [
        (
            "openai[0]: response.choices: an empty list: clients read the first of its entries "
            "(choices[0])"
        )
    ]


def told(field: str, match: dict[str, Any], response: dict[str, Any], **more: Any) -> list[str]:
    one = {"match": match, "response": response, **more}
    return [str(each) for each in load(Config.from_dict({field: [one]})).warnings]


USER: dict[str, Any] = {"message": {"role": "user", "content": "hi"}}


@pytest.mark.parametrize(
    ("field", "match", "response"),
    [
        ("openai_response", {"input": "hi"}, {"output": []}),
        ("openai_response", {"input": "hi"}, {"output": [], "status": "completed"}),
        ("anthropic", USER, {"content": []}),
        ("openai_embeddings", {"input": "hi"}, {"data": []}),
    ],
)
def test_an_answer_without_content_is_a_warning(
    field: str, match: dict[str, Any], response: dict[str, Any]
) -> None:
    (line,) = told(field, match, response)

    assert "an empty list: clients read the first" in line


@pytest.mark.parametrize(
    ("field", "match", "response"),
    [
        ("openai_response", {"input": "hi"}, {"output": [], "status": "failed"}),
        (
            "openai_response",
            {"input": "hi"},
            {"output": [], "incomplete_details": {"reason": "max_output_tokens"}},
        ),
        ("openai_response", {"input": "hi"}, {}),
        ("anthropic", USER, {"content": [], "stop_reason": "end_turn"}),
    ],
)
def test_an_empty_answer_that_says_why_has_no_warning(
    field: str, match: dict[str, Any], response: dict[str, Any]
) -> None:
    assert told(field, match, response) == []


def test_only_some_of_many_missing_members_are_listed(tmp_path: Path) -> None:
    many = TERSE | {"response": {"choices": [{"message": {}}] * 1000}}

    (told,) = reviewed(tmp_path, many)

    assert told.endswith(" more")
    assert len(told) < 1000


def test_strict_makes_errors_of_warnings() -> None:
    with pytest.raises(ConfigError, match="the name is used twice"):
        loaded(mock("hi", "same"), mock("ho", "same"), strict_config=True)


def test_a_message_that_the_sdk_refuses_is_an_error() -> None:
    told = errors({"openai": [mock([{"type": "text"}], "greet")]})

    assert told == [
        "error: openai[0] 'greet': match.message.content[0].text: required, but missing"
    ]


def test_a_misspelt_member_of_a_match_is_a_warning() -> None:
    misspelt = mock("hi", "greet")
    misspelt["match"]["message"] |= {"nam": "Ann", "_comment": "mine", "$anchor": 1}

    assert warnings(misspelt) == [
        (
            "openai[0] 'greet': match.message.nam: not a member that the SDK declares; "
            "did you mean 'name'?"
        )
    ]


def test_a_member_of_a_match_that_an_old_sdk_does_not_declare_is_a_note(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chat_sdk, "_IS_OLDER", True)
    misspelt = mock("hi")
    misspelt["match"]["message"] |= {"nam": "Ann", "_comment": "mine"}

    (line,) = reviewed(tmp_path, misspelt)

    assert line.startswith("note: openai[0]: match.message.nam: not a member")


def test_what_is_filled_in_and_an_old_sdk_does_not_declare_is_not_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def confirm(answer: Any) -> list[Finding]:
        wanted = [Finding((name,), "missing", Kind.MISSING) for name in {"id"} - answer.keys()]
        return [*wanted, *(Finding((name,), "new", Kind.NEWER) for name in {*answer} - {"id"})]

    monkeypatch.setattr(chat_sdk, "confirm_response", confirm)

    told = reviewed(tmp_path, {**mock("hi"), "response": {"choices": ANSWER["choices"]}})

    assert told == [
        "note: openai[0]: response.choices: new",
        "note: openai[0]: response: filled in: id",
    ]


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (
            {"openai": [{"match": {"message": {"content": "hi"}}, "response": ANSWER}]},
            "openai[0]: match.message: role: expected one of",
        ),
        (
            {"openai_response": [{"match": {"input": [3]}, "response": {}}]},
            "openai_response[0]: match.input",
        ),
        (
            {"anthropic": [{"match": {"message": {"role": "tool"}}, "response": {}}]},
            "anthropic[0]: match.message",
        ),
    ],
)
def test_a_mock_that_matches_nothing_is_an_error(config: dict[str, Any], expected: str) -> None:
    assert any(expected in line for line in errors(config) if line.startswith("error"))


@pytest.mark.parametrize("field", ["openai", "anthropic"])
@pytest.mark.parametrize("message", [{"content": "hi"}, {"content": "hi", "role": None}])
def test_a_missing_role_is_told_once(field: str, message: dict[str, Any]) -> None:
    told = errors({field: [{"match": {"message": message}, "reply": "hi"}]})

    (line,) = (line for line in told if "role" in line)
    assert line.startswith(f"error: {field}[0]: match.message: role: expected one of ")


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        (mock("hi"), mock("hi")),
        (mock("hi"), mock([{"type": "text", "text": "hi"}])),
        (mock("h", match_type="contains"), mock("hi")),
        (mock("h", match_type="contains"), mock("ahb", match_type="contains")),
        (mock("", match_type="contains"), mock("hi", headers=[{"name": "a", "value": "b"}])),
    ],
)
def test_an_unreachable_mock_is_a_warning(earlier: Any, later: Any) -> None:
    assert warnings(earlier, later) == [
        "openai[1]: unreachable: openai[0] matches every request that this mock matches"
    ]


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        (mock("hi", headers=[{"name": "a", "value": "b"}]), mock("hi")),
        (mock("hi"), mock("h", match_type="contains")),
        (mock("hi"), mock("Hi")),
    ],
)
def test_a_reachable_mock_has_no_warning(earlier: Any, later: Any) -> None:
    assert warnings(earlier, later) == []


SCRIPT: dict[str, Any] = {"sequence": ["a", "b"]}
ENDLESS: dict[str, Any] = {"sequence": ["a", {"reply": "b", "times": "always"}]}
ALSO_OVER = ', also once its sequence is over: "at_end": "pass" leaves them to this mock'


@pytest.mark.parametrize(
    ("earlier", "hint"),
    [
        (SCRIPT, ALSO_OVER),
        (SCRIPT | {"at_end": "fail"}, ALSO_OVER),
        (SCRIPT | {"at_end": "repeat"}, ""),
        (SCRIPT | {"at_end": "restart"}, ""),
        ({"reply": "a", "first": ["b"]}, ""),
        (ENDLESS | {"at_end": "pass"}, ""),
        (ENDLESS, ""),
    ],
)
@pytest.mark.parametrize("field", ["openai", "mocks"])
def test_a_mock_behind_a_script_that_keeps_its_requests_is_unreachable(
    field: str, earlier: Any, hint: str
) -> None:
    loaded = load(Config.from_dict({field: [earlier, {"reply": "c"}]}))

    message = f"unreachable: {field}[0] matches every request that this mock matches{hint}"
    assert f"{field}[1]: {message}" in [str(problem) for problem in loaded.warnings]


@pytest.mark.parametrize("field", ["openai", "mocks"])
def test_a_script_that_passes_hides_no_mock(field: str) -> None:
    loaded = load(Config.from_dict({field: [SCRIPT | {"at_end": "pass"}, {"reply": "c"}]}))

    assert loaded.warnings == ()


def test_problems_of_all_answers_have_their_places() -> None:
    wrong = {"response": {"created": "now"}}
    calls = {"reply": {"tool_calls": [{"name": "f", "arguments": "{"}]}}
    mock = {
        "first": [wrong, {"error": "rate_limit", "stream": {"chunk": 1}}],
        "sequence": ["a", calls, wrong | {"stream": {"events": []}}],
    }

    places = [
        str(problem).partition(": ")[2].partition(":")[0]
        for problem in load(Config.from_dict({"openai": [mock]})).warnings
    ]

    assert places == [
        "first[0].response.created",
        "first[1].stream",
        "sequence[1].reply.tool_calls[0].arguments",
        "sequence[2].response.created",
        "sequence[2].stream.events",
    ]


def test_problems_of_a_mock_of_every_api_are_told_once() -> None:
    calls = {"reply": {"tool_calls": [{"name": "f", "arguments": "{"}]}}
    late = {"error": {"as": "rate_limit", "retry_after": 100}}

    warnings = load(Config.from_dict({"mocks": [{"sequence": ["a", calls, late]}]})).warnings

    places = [str(problem).partition(": ")[2].partition(":")[0] for problem in warnings]
    assert sorted(places) == [
        "sequence[1].reply.tool_calls[0].arguments",
        "sequence[2].error.retry_after",
    ]


def test_values_of_entries_that_json_cannot_represent_are_errors() -> None:
    config = Config(
        openai=[
            OpenAIMock(
                sequence=[ResponseEntry(response={"id": 2**64}), "\ud800"],
                first=[Entry(error=Error(status=500, body={"a": object()}))],
            )
        ]
    )

    with pytest.raises(ConfigError) as caught:
        load(config)

    assert [problem.place for problem in caught.value.problems] == [
        "openai[0]: first[0].error.body.a",
        "openai[0]: sequence[0].response.id",
        "openai[0]: sequence[1].reply.text",
    ]


def test_a_stream_beside_an_error_is_for_the_entries_before_it() -> None:
    mock = {"error": "rate_limit", "first": ["a"], "stream": {"chunk": 1}}

    assert load(Config.from_dict({"mocks": [mock]})).warnings == ()


def test_a_name_used_twice_is_a_warning() -> None:
    assert warnings(mock("hi", "a"), mock("ho", "a"), mock("hu"), mock("he")) == [
        "openai[1] 'a': the name is used twice, first by openai[0] 'a'"
    ]


# --- Values that JSON cannot represent ------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (2**64, "expected a JSON value, found int 18446744073709551616 "),
        (float("nan"), "expected a finite number, found nan"),
        (object, "expected a JSON value, found type <class 'object'> "),
        ("\ud800", "expected a JSON value, found str \\ud800 "),
        ({1: 2}, "expected string keys, found 1"),
    ],
)
def test_an_unserializable_value_is_an_error(value: Any, expected: str) -> None:
    broken = mock("hi", "greet") | {"response": {"choices": [{"n": value}]}}

    (told,) = errors({"openai": [broken]})

    assert told.startswith(f"error: openai[0] 'greet': response.choices[0].n: {expected}")


def test_unserializable_values_are_found_in_matches_and_events() -> None:
    broken = mock("hi", name_=2**64) | {"stream": {"events": [{"id": 2**64}]}}
    broken["match"]["message"]["name"] = broken["match"].pop("name_")

    told = errors({"openai": [broken]})

    assert [line.split(": expected")[0] for line in told] == [
        "error: openai[0]: match.message.name",
        "error: openai[0]: stream.events[0].id",
    ]


# --- Literal streams ------------------------------------------------------------------------------


CHUNK = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": []}


def test_events_are_confirmed_as_responses_are() -> None:
    events = [CHUNK, CHUNK | {"created": "now"}, CHUNK | {"creatd": 1}, "[DONE]"]

    told = warnings(mock("hi", "greet") | {"stream": {"events": events}})

    assert told == [
        ("openai[0] 'greet': stream.events[1].created: expected an integer, found 'now'"),
        (
            "openai[0] 'greet': stream.events[2].creatd: not a member that the SDK declares; "
            "did you mean 'created'?"
        ),
    ]


@pytest.mark.parametrize("events", [[], [CHUNK], ["[DONE]", CHUNK]])
def test_a_chat_stream_without_done_is_a_warning(events: list[Any]) -> None:
    assert warnings(mock("hi") | {"stream": {"events": events}}) == [
        ("openai[0]: stream.events: expected '[DONE]' as the last event, as the service sends it")
    ]


STOP = {"type": "message_stop"}
PING = {"type": "ping"}
ERROR = {"type": "error", "error": {"type": "overloaded_error", "message": "no"}}


@pytest.mark.parametrize(
    ("field", "match", "events", "expected"),
    [
        ("anthropic", USER, [], ["'message_stop' or 'error'"]),
        ("anthropic", USER, [PING], ["'message_stop' or 'error'"]),
        ("anthropic", USER, [STOP, PING], ["'message_stop' or 'error'"]),
        ("anthropic", USER, [PING, STOP], []),
        ("anthropic", USER, [PING, ERROR], []),
        ("openai", USER, [CHUNK, {"error": {"message": "no"}}], []),
        ("openai_response", {"input": "hi"}, [], ["'response.completed' or "]),
        ("openai_response", {"input": "hi"}, [{"type": "error", "error": {"message": "no"}}], []),
    ],
)
def test_a_stream_without_its_end_is_a_warning(
    field: str, match: dict[str, Any], events: list[Any], expected: list[str]
) -> None:
    found = told(field, match, {}, stream={"events": events})

    assert len(found) == len(expected)
    assert all(
        f"stream.events: expected {each}" in line
        for each, line in zip(expected, found, strict=True)
    )


def test_a_chunk_beside_events_is_a_warning() -> None:
    stream = {"events": [CHUNK, "[DONE]"], "chunk": "char"}

    assert warnings(mock("hi") | {"stream": stream}) == [
        "openai[0]: stream.chunk: has no effect: events are sent as they are"
    ]


# --- Items that the SDK cannot tell apart ---------------------------------------------------------


def response_warnings(*items: dict[str, Any]) -> list[str]:
    one = {"match": {"input": "hi"}, "response": {"output": list(items)}}
    told = load(Config.from_dict({"openai_response": [one]})).warnings
    return [str(problem) for problem in told]


CALL = {"type": "function_call", "call_id": "call_1", "name": "f", "arguments": "{}"}


def test_two_calls_with_one_id_are_a_warning() -> None:
    assert response_warnings(CALL, CALL | {"id": "fc_2"}, CALL | {"call_id": "call_2"}) == [
        (
            "openai_response[0]: response.output[1].call_id: the same as that of output[0], also a "
            "function_call; the SDK's stream helper raises on two items that it cannot tell apart"
        )
    ]


def test_members_that_become_events_are_not_unknown() -> None:
    image = {"type": "image_generation_call", "status": "completed", "result": "aGk="}
    custom = {"type": "custom_tool_call", "call_id": "c", "name": "f", "input": ""}

    told = response_warnings(
        image | {"partial_images": ["aGk="]}, custom | {"status": "completed", "stats": 1}
    )

    assert [line.split(": not a member")[0] for line in told] == [
        "openai_response[0]: response.output[1].stats"
    ]


@pytest.mark.parametrize(
    ("field", "match", "error"),
    [
        ("openai", {"message": {"role": "user", "content": "hi"}}, {"error": {"message": "no"}}),
        ("openai", {"message": {"role": "user", "content": "hi"}}, {"error": "no"}),
        ("openai_response", {"input": "hi"}, {"error": {"code": "server_error", "message": "no"}}),
        ("openai_response", {"input": "hi"}, {"type": "error", "message": "no", "output": []}),
        (
            "anthropic",
            {"message": {"role": "user", "content": "hi"}},
            {"type": "error", "error": {"type": "overloaded_error", "message": "no"}},
        ),
        ("openai_embeddings", {"input": "hi"}, {"error": {"message": "no", "type": "x"}}),
    ],
)
def test_the_body_of_an_error_is_no_answer(
    field: str, match: dict[str, Any], error: dict[str, Any]
) -> None:
    with pytest.raises(ConfigError) as caught:
        load(Config.from_dict({field: [{"match": match, "response": error}]}))

    (problem,) = caught.value.problems
    assert problem.place == f"{field}[0]: response"
    assert "found the body of an error" in problem.message


@pytest.mark.parametrize(
    "response",
    [
        {"error": None},
        {"error": {}},
        {"status": "failed", "error": {"code": "server_error", "message": "no"}},
        {"output": [], "error": {"code": "server_error", "message": "no"}},
    ],
)
def test_an_error_of_a_response_is_an_answer(response: dict[str, Any]) -> None:
    load(Config.from_dict({"openai_response": [{"match": {"input": "a"}, "response": response}]}))


def test_what_is_doubtful_about_an_error_is_a_warning() -> None:
    error = {"as": "rate_limit", "retry_after": 100}
    found = warnings({"error": error, "stream": {"chunk": "char"}})

    assert found == [
        "openai[0]: stream: no effect: an error is sent whole, before a stream begins",
        (
            'openai[0]: error.retry_after: 100 seconds: write "100ms" if milliseconds are meant, '
            'else "100s"'
        ),
    ]
    assert warnings({"error": error | {"retry_after": "100s"}}) == []


def test_the_refusal_of_a_flagged_prompt_is_streamed() -> None:
    config = Config.from_dict({"anthropic": [{"error": "flagged", "stream": {"chunk": 1}}]})

    assert load(config).warnings == ()


def test_a_status_that_clients_take_for_no_error_is_a_note(tmp_path: Path) -> None:
    found = reviewed(tmp_path, {"error": {"status": 299}})

    assert found == [
        (
            "note: openai[0]: error.status: official clients take an answer with status 299 for no "
            "error"
        )
    ]
    assert reviewed(tmp_path, {"error": {"status": 300}}) == []


@pytest.mark.parametrize("member", ["message", "body"])
def test_a_text_that_json_cannot_represent_is_an_error(member: str) -> None:
    (found,) = errors({"openai": [{"error": {"status": 500, member: "\ud800"}}]})

    assert found.startswith(f"error: openai[0]: error.{member}: expected a JSON value, found str")


def test_the_body_of_an_error_as_a_response_is_an_error_with_the_remedy() -> None:
    (found,) = errors({"openai": [{"response": {"error": {"message": "no"}}}]})

    assert 'write "error" instead of "response"' in found


def test_an_expression_that_every_request_is_searched_for_is_a_note(tmp_path: Path) -> None:
    answer = {"reply": "ok"}
    slow = {"match": {"user": {"regex": "[0-9]+"}}, **answer}
    fast = {"match": {"user": {"regex": "[0-9]+"}, "model": "m"}, **answer}

    (found,) = reviewed(tmp_path, fast, slow)

    assert found.startswith("note: openai[1]: match: the expression '[0-9]+' has no text")
    assert "0.06 ms for 35 kB" in found


def test_many_mocks_that_every_request_is_compared_with_are_a_warning() -> None:
    mocks = [
        {"match": {"not": {"model": f"m{number}"}, "turn": {"at_least": number}}, "reply": "ok"}
        for number in range(MAX_COMPARED + 1, 0, -1)
    ]

    (found,) = warnings(*mocks)

    assert found.startswith("openai[0]: match: this mock and 64 others are compared with every")
    assert warnings(*mocks[1:]) == []


@pytest.mark.parametrize("field", ["openai", "mocks"])
def test_mocks_that_were_not_compared_with_all_before_are_a_note(
    field: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shadowing, "MAX_COMPARED", 2)
    monkeypatch.setattr(shadowing, "MAX_COMPARISONS", 0)
    match = {"user": {"regex": "word"}}
    mocks = [{"match": {**match, "turn": at}, "reply": "ok"} for at in range(5, 0, -1)]
    file = tmp_path / "mocks.json"
    file.write_bytes(orjson.dumps({field: mocks}))

    (found,) = review(file).problems

    assert found.severity is Severity.NOTE
    assert f"{field}[3]: match: this mock and 1 others were not compared" in str(found)
    assert "another condition before those, such as 'model'" in str(found)


@pytest.mark.parametrize("field", ["openai", "mocks"])
@pytest.mark.parametrize(("earlier", "told"), [(MAX_CANDIDATES - 1, 0), (MAX_CANDIDATES, 1)])
def test_many_mocks_with_state_for_the_same_requests_are_a_warning(
    field: str, earlier: int, told: int
) -> None:
    script = {"sequence": ["a"], "at_end": "pass"}
    words = [f"word {at:02}" for at in range(50)]
    mocks = [{"match": {"user": {"contains": word}}, **script} for word in words]
    whole = {"match": {"user": ", ".join(words)}, **script}
    mocks += [whole] * (earlier - len(mocks) + 1)
    mocks += [{"match": {"model": f"m{at}"}, **script} for at in range(100)]

    found = [str(problem) for problem in load(Config.from_dict({field: mocks})).warnings]

    assert len(found) == told
    for each in found:
        assert each == (
            f"{field}[64]: every request that this mock matches is also matched by 64 earlier "
            "mocks with a 'sequence' or 'first', and has to choose among all of them: write them "
            "as one 'sequence', or tell them apart by their matches"
        )
