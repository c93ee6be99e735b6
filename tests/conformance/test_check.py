from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from mockllm import Config
from mockllm.cli import main, terminal
from mockllm.conformance import check_wire
from mockllm.errors import Severity
from tests.support.goldens import TESTDATA, cases
from tests.support.served import (
    chat_mock,
    chat_saying,
    embeddings_mock,
    messages_mock,
    messages_saying,
    responses_mock,
    responses_saying,
)

ANY = {"match_type": "contains"}
AS_WRITTEN = "the client fails on the events as they are written"


def complaints(**config: Any) -> list[str]:
    return [str(problem) for problem in check_wire(Config.from_dict(config))]


def test_responses_that_clients_accept_have_no_complaints() -> None:
    tenant = [{"name": "X-Tenant", "value": "a", "match_type": "contains"}]
    none = [{"name": "X-Tenant", "value": ""}]
    assistant = chat_mock("hi", chat_saying("ho"))
    assistant["match"] = {"message": {"role": "tool", "tool_call_id": "c", "content": "15"}}

    found = complaints(
        require_auth=True,
        openai=[
            chat_mock("hi", chat_saying("ho"), headers=tenant),
            chat_mock("hi", chat_saying("ho"), headers=none),
            assistant,
            chat_mock("cut", {"choices": [{"message": {}, "finish_reason": "length"}]}),
            chat_mock("", chat_saying("ho"), **ANY),
        ],
        openai_response=[
            responses_mock("hi", responses_saying("ho")),
            responses_mock("failed", {"status": "failed"}),
            responses_mock("", responses_saying("ho"), **ANY),
        ],
        anthropic=[
            messages_mock("hi", messages_saying("ho")),
            messages_mock("", messages_saying("ho"), **ANY),
        ],
        openai_embeddings=[
            embeddings_mock("hi", [1.0]),
            embeddings_mock("ho", [1.0], [2.0], match_type="contains"),
            {"response": {"data": [{"embedding": [float(at)]} for at in range(3)]}},
            {"response": {}},
        ],
    )

    assert found == []


def test_mocks_that_name_only_a_call_are_checked() -> None:
    def named(mock: dict[str, Any], **match: Any) -> dict[str, Any]:
        return {**mock, "match": {**ANY, **match}}

    results = [{"type": "tool_result", "tool_use_id": call_id} for call_id in ("a", "b")]
    outputs = [{"type": "function_call_output", "call_id": call_id} for call_id in ("a", "b")]
    tools = [{"role": "tool", "tool_call_id": call_id} for call_id in ("a", "b")]

    found = complaints(
        openai=[
            *(
                named(chat_mock("", chat_saying("ho")), message=tool | {"content": "15 degrees"})
                for tool in tools
            ),
            *(named(chat_mock("", chat_saying("ho")), message=tool) for tool in tools),
        ],
        openai_response=[
            *(named(responses_mock("", responses_saying("ho")), input=[out]) for out in outputs),
            named(responses_mock("", responses_saying("ho")), input=[]),
        ],
        anthropic=[
            named(
                messages_mock("", messages_saying("ho")),
                message={"role": "user", "content": [block]},
            )
            for block in results
        ],
        openai_embeddings=[
            named(embeddings_mock("", [1.0]), input=["a", "b"]),
            named(embeddings_mock("", [1.0]), input=[1, 2]),
        ],
    )

    assert found == []


REPLIES: list[Any] = [
    "Hi",
    "",
    {"reasoning": "a", "text": "b", "tool_calls": [{"name": "f"}, {"name": "g", "id": "c"}]},
    {"reasoning": "a", "refusal": "b"},
    {"text": "a", "finish": "length"},
    {"text": "a", "finish": "content_filter"},
    {"json": {"a": 1}},
]


def test_replies_are_accepted_by_the_clients_of_every_api() -> None:
    mocks = [
        {"match": {"system_contains": [f"case {at}"], "tool_names": ["f"]}, "reply": reply}
        for at, reply in enumerate(REPLIES)
    ]
    tenant = {"headers": [{"name": "X-Tenant", "value": "a"}]}

    assert complaints(mocks=[{"match": tenant, "reply": "a"}, *mocks, {"reply": "b"}]) == []


CONDITIONS: list[dict[str, Any]] = [
    {"user": {"contains": "weather"}, "system": {"contains": "kind"}, "tools": ["f"]},
    {"tool_result": {"name": "f", "text": "15"}},
    {"user": "streamed", "stream": True},
    {"user": "whole", "stream": False},
    {"schema": "person"},
    {"turn": 3, "model": {"starts_with": "gpt-"}},
    {"any_message": {"role": "assistant", "text": "b"}},
    {"body": {"$.temperature": 0.5, "$.unknown_member": 1}, "not": {"user": {"contains": "x"}}},
    {"any_of": [{"user": {"regex": "^a+b$"}}, {"last_user": "c"}]},
]


def test_mocks_with_conditions_are_checked_in_every_api() -> None:
    mocks = [{"match": match, "reply": "a"} for match in CONDITIONS]

    assert complaints(mocks=mocks) == []


def test_a_mock_is_not_missed_in_an_api_that_cannot_ask_for_it() -> None:
    failed = {"match": {"tool_result": {"error": True}}, "reply": "a"}

    assert complaints(mocks=[failed]) == []


def test_a_stream_that_only_a_stream_matches_is_checked_streamed() -> None:
    broken = chat_saying("a") | {"created": "now"}
    found = complaints(openai=[{"match": {"stream": True}, "response": broken}])

    assert [line.split(": ")[1] for line in found] == ["streamed", "rebuilt"]


def test_sequences_are_played_in_order_in_every_api() -> None:
    calls = {"reply": {"tool_calls": [{"name": "f", "arguments": {"a": 1}}]}}
    script = [{"error": "overloaded", "times": 100}, "a", calls, {"error": {"status": 202}}]
    hangs = {"fault": {"end": "hang", "after": "first_token"}}

    found = complaints(
        mocks=[
            {"name": "passes", "sequence": script, "at_end": "pass"},
            {"name": "first", "reply": "a", "first": [{"error": "rate_limit"}, hangs]},
        ],
        openai_embeddings=[
            {"sequence": [{"error": "conflict"}, {"response": {"data": [{"embedding": [1.0]}]}}]}
        ],
    )

    assert found == [
        "mocks[1] 'first': checked without its faults, which are meant to break the client"
    ]


def test_an_entry_that_clients_reject_is_named() -> None:
    wrong = {"response": chat_saying("ho") | {"created": "now"}}
    events = {"response": chat_saying("ho"), "stream": {"events": [{"choices": 3}, "[DONE]"]}}
    mock = {"sequence": ["a", wrong, {"error": "conflict"}, events], "first": [wrong]}

    found = [each.partition(": ") for each in complaints(openai=[mock])]

    assert sorted({" ".join(rest.split(": ")[:2]) for _, _, rest in found}) == [
        "first[0] rebuilt",
        "first[0] streamed",
        "first[0] whole",
        "sequence[1] rebuilt",
        "sequence[1] streamed",
        "sequence[1] whole",
        "sequence[3] rebuilt",
        "sequence[3] streamed",
    ]
    assert [AS_WRITTEN in rest for _, _, rest in found if "sequence[3]" in rest] == [True, True]


def test_a_mock_of_every_api_is_named_with_the_api_in_which_it_is_hidden() -> None:
    own = [messages_mock("hi", messages_saying("own"))]
    shared = {"name": "greet", "match": {"user": "hi"}, "reply": "Hi"}

    found = complaints(anthropic=own, mocks=[shared])

    assert found == [
        (
            "mocks[0] 'greet': in Anthropic Messages: not checked: anthropic[0] 'hi' "
            "answers a request like its match"
        )
    ]


def test_responses_that_clients_reject_are_reported_with_their_mock() -> None:
    call = {"type": "function_call", "call_id": "c", "name": "f"}
    chunk = {"id": "c", "object": "chat.completion.chunk", "created": "now", "model": "m"}

    found = complaints(
        openai=[
            chat_mock("hi", chat_saying("ho") | {"created": "now"}),
            chat_mock("ho", chat_saying("ho"))
            | {"stream": {"events": [chunk | {"choices": []}, "[DONE]"]}},
        ],
        openai_response=[responses_mock("twice", {"output": [call, call]})],
        anthropic=[messages_mock("hi", messages_saying("ho") | {"usage": 3})],
        openai_embeddings=[embeddings_mock("hi") | {"response": {"data": [{"embedding": 3}]}}],
    )

    assert [line.split("Error: ")[0] for line in found] == [
        "openai[0] 'hi': whole: APIResponseValidation",
        "openai[0] 'hi': streamed: APIResponseValidation",
        "openai[0] 'hi': rebuilt: APIResponseValidation",
        f"openai[1] 'ho': streamed: {AS_WRITTEN}: APIResponseValidation",
        f"openai[1] 'ho': rebuilt: {AS_WRITTEN}: APIResponseValidation",
        "openai_response[0] 'twice': rebuilt: Runtime",
        "anthropic[0] 'hi': whole: APIResponseValidation",
        "anthropic[0] 'hi': streamed: APIResponseValidation",
        "anthropic[0] 'hi': rebuilt: APIResponseValidation",
        "openai_embeddings[0] 'hi': whole: APIResponseValidation",
    ]
    assert found[0].endswith(
        "created: Input should be a valid integer, unable to parse string as an integer"
    )


def test_a_request_satisfies_every_rule_of_its_mock() -> None:
    def rules(*wanted: tuple[str, str, str]) -> list[dict[str, str]]:
        return [{"name": n, "value": v, "match_type": kind} for n, v, kind in wanted]

    tool = chat_mock("", chat_saying("ho"), **ANY)
    tool["match"]["message"] = {"role": "tool", "content": "15"}
    headers = [
        rules(("Authorization", "Bearer sk-a", "exact")),
        rules(("authorization", "sk-b", "contains")),
        rules(
            ("User-Agent", "my-agent", "exact"), ("X-A", "a", "contains"), ("x-a", "b", "contains")
        ),
        rules(("X-B", "b", "contains"), ("X-B", "abc", "exact")),
    ]
    found = complaints(
        openai=[tool, *(chat_mock("hi", chat_saying("ho"), headers=each) for each in headers)],
        anthropic=[
            messages_mock("hi", messages_saying("ho"), headers=each)
            for each in (*headers, rules(("anthropic-version", "2023-06-01", "exact")))
        ],
    )

    assert found == []


def test_a_mock_that_only_seems_to_be_hidden_is_checked() -> None:
    """The message of the second mock is answered by the first; others are not."""
    found = complaints(
        openai=[
            chat_mock("hi", chat_saying("ho")),
            chat_mock("hi", chat_saying("ho") | {"created": "now"}, **ANY),
        ]
    )

    assert [line.split(": ")[:2] for line in found] == [
        ["openai[1] 'hi'", how] for how in ("whole", "streamed", "rebuilt")
    ]


def test_a_shadowed_mock_is_reported() -> None:
    found = complaints(
        openai=[chat_mock("h", chat_saying("ho"), **ANY), chat_mock("hi", chat_saying("ho"))]
    )

    assert found == ["openai[1] 'hi': not checked: openai[0] 'h' answers a request like its match"]


def test_a_mock_that_no_request_can_match_is_reported() -> None:
    one = chat_mock("", chat_saying("ho"))
    one["match"]["message"] = {"role": "user"}

    assert complaints(openai=[one]) == ["openai[0]: not checked: no request is known that matches"]


def test_a_header_that_clients_set_themselves_is_not_held_against_the_mock() -> None:
    def sized(name: str, value: str) -> dict[str, Any]:
        headers = [{"name": name, "value": value, "match_type": "contains"}]
        return chat_mock("hi", chat_saying("ho"), headers=headers)

    assert complaints(openai=[sized("content-length", "1"), sized("x-a", "é")]) == [
        "openai[0] 'hi': not checked: the official clients cannot send the header content-length",
        "openai[1] 'hi': not checked: the official clients cannot send the header x-a",
    ]


@pytest.mark.parametrize(
    ("path", "value", "lacking"),
    [
        ("$.messages[0].content", "x", ["OpenAI Responses"]),
        ("$.max_tokens", 5, ["OpenAI Responses"]),
        ("$.input", "x", ["OpenAI Chat Completions", "Anthropic Messages"]),
        ("$.unknown_member", "x", []),
    ],
)
def test_a_mock_is_not_played_in_an_api_whose_requests_lack_a_member_of_it(
    path: str, value: Any, lacking: list[str]
) -> None:
    name = path.removeprefix("$.").split("[")[0]

    assert complaints(mocks=[{"match": {"body": {path: value}}, "reply": "x"}]) == [
        f"mocks[0]: in {title}: not checked: requests of {title} have no {name!r}"
        for title in lacking
    ]


def test_a_mock_of_one_api_that_names_a_member_of_another_is_not_played() -> None:
    match = {"match": {"body": {"$.max_tokens": 5}}}

    found = complaints(
        openai_response=[match | {"reply": "x"}], openai_embeddings=[match | {"response": {}}]
    )

    assert found == [
        "openai_response[0]: not checked: requests of OpenAI Responses have no 'max_tokens'",
        "openai_embeddings[0]: not checked: requests of OpenAI Embeddings have no 'max_tokens'",
    ]


def test_a_mock_is_played_with_the_alternative_whose_members_an_api_has() -> None:
    either = [{"body": {"$.messages[0].content": "x"}}, {"body": {"$.input": "x"}}]

    assert complaints(mocks=[{"match": {"any_of": either}, "reply": "x"}]) == []
    assert complaints(mocks=[{"match": {"any_of": either[::-1]}, "reply": "x"}]) == []


def test_headers_that_must_be_absent_are_sent_empty() -> None:
    def without(*names: str) -> list[dict[str, str]]:
        return [{"name": name, "value": ""} for name in names]

    found = complaints(
        openai=[chat_mock("hi", chat_saying("ho"), headers=without("Authorization", "User-Agent"))],
        anthropic=[messages_mock("hi", messages_saying("ho"), headers=without("X-Api-Key"))],
    )

    assert found == []


def test_events_that_clients_fail_on_are_not_a_mistake_of_the_mock() -> None:
    """They may be written to see the client fail."""
    chunk = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    error = {"error": {"message": "out of order", "type": "server_error"}}
    events = [chunk | {"choices": []}, error, "[DONE]"]
    broken = chat_mock("hi", chat_saying("ho")) | {"stream": {"events": events}}

    problems = check_wire(Config.from_dict({"openai": [broken]}))

    assert [problem.severity for problem in problems] == [Severity.NOTE, Severity.NOTE]
    assert problems[0].message == f"{AS_WRITTEN}: APIError: out of order"


@pytest.mark.parametrize(
    ("provider", "field", "match"),
    [
        ("openai/chat", "openai", "message"),
        ("openai/responses", "openai_response", "input"),
        ("anthropic/messages", "anthropic", "message"),
    ],
)
def test_golden_answers_have_no_complaints(provider: str, field: str, match: str) -> None:
    """Many of them are odd on purpose; what is plain passes."""
    is_input = match == "input"
    mocks = [
        {
            "match": {match: name if is_input else {"role": "user", "content": name}},
            "response": case.response,
        }
        for case in cases(provider)
        if (name := case.folder.name).startswith(("text", "tool"))
        and not any(word in name for word in ("not_objects", "odd", "wrong"))
    ]
    assert mocks

    assert complaints(**{field: mocks}) == []


def written(folder: Path, **config: Any) -> str:
    file = folder / "mocks.json"
    file.write_bytes(orjson.dumps(config))
    return str(file)


def test_the_command_reports_complaints_as_warnings(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    file = written(tmp_path, openai=[chat_mock("hi", chat_saying("ho") | {"created": "now"})])

    assert main.main(["check", "--wire", file]) == terminal.WARNINGS

    lines = capsys.readouterr().err.splitlines()
    assert caplog.messages == []  # the report has the warnings of the configuration
    assert [line for line in lines if ": whole: " in line] == [
        (
            f"warning: {file}: openai[0] 'hi': whole: APIResponseValidationError: created: Input "
            "should be a valid integer, unable to parse string as an integer"
        )
    ]


def test_the_command_accepts_complete_responses(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = TESTDATA / "openai/chat/text_as_the_service_answers"
    response = orjson.loads((folder / "response.json").read_bytes())
    file = written(tmp_path, openai=[chat_mock("hi", response)])

    assert main.main(["check", "--wire", file]) == terminal.OK

    assert capsys.readouterr().out == "0 errors, 0 warnings, 0 notes in 1 mock of 1 file\n"


def test_the_totals_have_the_mocks_that_are_not_checked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    unknown = {"match": {"user": {"regex": "a$b"}}, "reply": "a"}
    file = written(tmp_path, mocks=[unknown, {"reply": "b"}])

    assert main.main(["check", "--wire", file]) == terminal.OK
    assert capsys.readouterr().out == (
        "0 errors, 0 warnings, 4 notes in 2 mocks of 1 file; 1 mock not checked by the clients; "
        "--verbose shows the notes\n"
    )

    main.main(["check", "--wire", "--format", "json", file])
    assert orjson.loads(capsys.readouterr().out)["unchecked"] == 1


def test_clients_are_expected_to_raise_for_an_error() -> None:
    every = [
        {"match": {"headers": [{"name": "x-word", "value": word}]}, "error": word}
        for word in ("bad_request", "rate_limit", "overloaded", "flagged")
    ]
    page = {"error": {"status": 502, "body": "<html>"}}

    found = complaints(
        openai=[*every, page],
        openai_response=every,
        anthropic=[*every, page],
        openai_embeddings=[*every, {"error": {"status": 200, "body": "<html>"}}],
    )

    assert found == []


def test_a_client_that_raises_another_exception_than_for_the_status_is_a_complaint() -> None:
    """It follows the redirection to another endpoint of the server."""
    mock = {"error": {"status": 303, "headers": {"location": "/v1/models"}}}

    (found,) = complaints(openai_embeddings=[mock])

    assert found.startswith("openai_embeddings[0]: whole: APIResponseValidationError: ")


def test_answers_that_take_an_hour_are_checked_at_once() -> None:
    slow = {"ttft": "1h", "itl": "1m"}
    mocks = [{"reply": "Hello there", "latency": slow}]

    assert complaints(mocks=mocks, latency=slow) == []
