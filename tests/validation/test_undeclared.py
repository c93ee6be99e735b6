"""What services send and the SDKs do not declare, held against recorded answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from mockllm import Config
from mockllm.engine.loading import load
from mockllm.validation.findings import Finding, Kind
from mockllm.validation.undeclared import Undeclared, unless_declared
from tests.support.goldens import TESTDATA

RECORDED = sorted((TESTDATA / "recorded").glob("*.json"))
MATCHES: dict[str, Any] = {
    "openai": {"message": {"role": "user", "content": "hi"}},
    "openai_response": {"input": "hi"},
    "anthropic": {"message": {"role": "user", "content": "hi"}},
    "openai_embeddings": {"input": "hi"},
}
KNOWN = Undeclared(
    {"choices[].message.reasoning": "a service"},
    open_enums=["service_tier"],
    left_out=["usage.details.cached"],
)


@pytest.mark.parametrize("file", RECORDED, ids=lambda file: file.stem)
def test_an_answer_copied_from_a_service_has_no_warnings(file: Path) -> None:
    recorded = orjson.loads(file.read_bytes())
    mock = {"match": MATCHES[recorded["field"]], "response": recorded.get("response", {})}
    if "events" in recorded:
        mock["stream"] = {"events": recorded["events"]}
        recorded.setdefault("response", {})

    config = Config.from_dict({recorded["field"]: [mock]})

    told = [str(problem) for problem in load(config).warnings]
    ends_in_done = "[DONE]" in recorded.get("events", ["[DONE]"])
    assert [line for line in told if ends_in_done or "expected '[DONE]'" not in line] == []


def sent_back(field: str, response: dict[str, Any]) -> dict[str, Any]:
    """The match for a request that ends with what was answered."""
    if field == "openai":
        return {"message": response["choices"][0]["message"]}
    if field == "openai_response":
        return {"input": response["output"]}
    return {"message": {"role": response["role"], "content": response["content"]}}


@pytest.mark.parametrize("file", RECORDED, ids=lambda file: file.stem)
def test_an_answer_copied_into_a_match_has_no_warnings(file: Path) -> None:
    recorded = orjson.loads(file.read_bytes())
    if "response" not in recorded or recorded["field"] == "openai_embeddings":
        pytest.skip("nothing that clients send back")
    match = sent_back(recorded["field"], recorded["response"])

    config = Config.from_dict(
        {recorded["field"]: [{"match": match, "response": recorded["response"]}]}
    )

    assert [str(problem) for problem in load(config).warnings] == []


@pytest.mark.parametrize(
    ("finding", "explained"),
    [
        (Finding(("choices", 3, "message", "reasoning"), "", Kind.UNKNOWN), True),
        (Finding(("choices", 3, "message", "reasonning"), "", Kind.UNKNOWN), False),
        (Finding(("choices", 3, "message", "reasoning"), "", Kind.WRONG), False),
        (Finding(("message", "reasoning"), "", Kind.UNKNOWN), False),
        (Finding(("service_tier",), "", Kind.WRONG), True),
        (Finding(("usage", "details", "cached"), "", Kind.MISSING), True),
    ],
)
def test_only_what_services_send_is_explained(finding: Finding, explained: bool) -> None:
    assert KNOWN.explains(finding) is explained


def test_renamed_paths_are_those_of_events() -> None:
    chunk = KNOWN.renamed("choices[].message", "choices[].delta")

    path = ("choices", 0, "delta", "reasoning")
    assert chunk.explains(Finding(path, "", Kind.UNKNOWN))
    assert not chunk.explains(Finding(("choices", 0, "message", "reasoning"), "", Kind.UNKNOWN))


def test_paths_inside_a_place_begin_there() -> None:
    message = KNOWN.inside("choices[].message")

    assert message.members == {"reasoning": "a service"}
    assert message.open_enums == message.left_out == []


def test_a_path_may_begin_with_an_entry_of_a_list() -> None:
    listed = Undeclared({"[].extra": "a service"})

    assert listed.explains(Finding((3, "extra"), "", Kind.UNKNOWN))


UNKNOWN = Finding(("content", 0, "extra"), "", Kind.UNKNOWN)


@pytest.mark.parametrize(
    ("faulty", "declared"),
    [
        ([], True),
        ([("content", 1, "extra")], True),
        ([("content", 0, "text")], True),
        ([("content", 0, "extra")], False),
        ([("content", 0)], False),
        ([("content",)], False),
        ([()], False),
        ([("content", 0, "type")], False),
        ([("role",)], False),
    ],
)
def test_another_type_declares_only_what_it_finds_no_fault_with(
    faulty: list[tuple[str | int, ...]], declared: bool
) -> None:
    others = [Finding(path, "", Kind.WRONG) for path in faulty]

    assert unless_declared([UNKNOWN], others) == ([] if declared else [UNKNOWN])


def test_only_undeclared_members_may_be_declared_elsewhere() -> None:
    wrong = Finding(("content",), "", Kind.WRONG)

    assert unless_declared([wrong, UNKNOWN], []) == [wrong]
