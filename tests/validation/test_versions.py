"""Versions of distributions."""

from __future__ import annotations

import pytest

from mockllm.validation import versions
from mockllm.validation.versions import is_older, release


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("3.54.0", (3, 54)),
        ("3.54", (3, 54)),
        ("2.9.10", (2, 9, 10)),
        ("3.54.0rc1", (3, 54)),
        ("1!2.0.1.post3+local", (2, 0, 1)),
        ("v2", (2,)),
        ("unknown", ()),
    ],
)
def test_release_has_the_numbers_of_a_version(text: str, numbers: tuple[int, ...]) -> None:
    assert release(text) == numbers


@pytest.mark.parametrize(
    ("installed", "older"),
    [("2.54.1", True), ("3.9.0", True), ("3.54.0", False), ("3.54.1", False), ("10.0", False)],
)
def test_versions_are_compared_by_number(
    monkeypatch: pytest.MonkeyPatch, installed: str, older: bool
) -> None:
    monkeypatch.setattr(versions, "version", lambda distribution: installed)

    assert is_older("openai", "3.54.0") is older


def test_members_are_listed_by_the_tag_of_their_type() -> None:
    assert versions.members_by_tag({"text": "b a", "empty": ""}) == {
        "text": {"type", "a", "b"},
        "empty": {"type"},
    }
