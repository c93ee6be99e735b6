"""Headers that meet conditions."""

from __future__ import annotations

import pytest

from mockllm.conformance.headers import find_headers
from mockllm.conformance.requirements import Requirement
from mockllm.matching.header_predicates import HeaderContains, HeaderEquals
from mockllm.providers.anthropic.messages import MESSAGES
from mockllm.providers.openai.chat import CHAT


def equals(name: str, value: str, *, holds: bool = True) -> Requirement:
    return Requirement(HeaderEquals(name.encode(), name, value.encode()), holds)


def contains(name: str, value: str, *, holds: bool = True) -> Requirement:
    return Requirement(HeaderContains(name.encode(), name, value.encode()), holds)


USUAL = {"authorization": "Bearer any", "api-key": "any"}


@pytest.mark.parametrize(
    ("requirements", "expected"),
    [
        ([], {}),
        ([equals("x-a", "1")], {"x-a": "1"}),
        ([contains("x-a", "1"), contains("x-a", "2")], {"x-a": "any 1 2"}),
        ([contains("authorization", "sk-a")], {"authorization": "Bearer any sk-a"}),
        ([equals("x-a", "abc"), contains("x-a", "b")], {"x-a": "abc"}),
        ([equals("x-a", "", holds=False)], {"x-a": "any"}),
        ([contains("authorization", "any", holds=False)], {"authorization": "Bearer other"}),
        ([equals("x-a", "1", holds=False)], {}),
    ],
)
def test_headers_meet_what_is_required(
    requirements: list[Requirement], expected: dict[str, str]
) -> None:
    assert find_headers(CHAT, tuple(requirements)) == USUAL | expected


def test_a_version_is_sent_unless_another_is_required() -> None:
    found = find_headers(MESSAGES, (equals("anthropic-version", "2023-01-01"),))

    assert found is not None
    assert found["anthropic-version"] == "2023-01-01"


def test_contradictions_have_no_headers() -> None:
    assert find_headers(CHAT, (equals("x-a", "1"), equals("x-a", "2"))) is None
