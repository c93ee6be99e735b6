from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from mockllm import Config
from mockllm.cli import main, terminal
from mockllm.conformance import check_wire
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
        "openai[1] 'ho': streamed: APIResponseValidation",
        "openai[1] 'ho': rebuilt: APIResponseValidation",
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


def test_a_shadowed_mock_is_reported() -> None:
    found = complaints(
        openai=[chat_mock("h", chat_saying("ho"), **ANY), chat_mock("hi", chat_saying("ho"))]
    )

    assert found == ["openai[1] 'hi': not checked: openai[0] 'h' answers a request like its match"]


def test_a_mock_that_no_request_can_match_is_reported() -> None:
    one = chat_mock("", chat_saying("ho"))
    one["match"]["message"] = {"role": "user"}

    (told,) = complaints(openai=[one])

    assert told.startswith("openai[0]: a request like its match is refused: messages.0.content: ")


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
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = written(tmp_path, openai=[chat_mock("hi", chat_saying("ho") | {"created": "now"})])

    assert main.main(["check", "--wire", file]) == terminal.WARNINGS

    lines = capsys.readouterr().err.splitlines()
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
