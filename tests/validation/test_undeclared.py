"""What services send and the SDKs do not declare, held against recorded answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from mockllm import Config
from mockllm.engine.loading import load
from mockllm.validation.findings import Finding, Kind
from mockllm.validation.undeclared import Undeclared
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
