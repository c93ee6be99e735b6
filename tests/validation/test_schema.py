"""Members of types, by their tags."""

from __future__ import annotations

from typing import Literal

from typing_extensions import TypedDict

from mockllm.validation.core_schema import tagged_members
from tests.support.small_types import Image, Text


def test_tagged_members_joins_types_that_share_a_tag() -> None:
    class Other(TypedDict):
        type: Literal["text"]
        citations: list[str]

    assert tagged_members([Text | Image, Other]) == {
        "text": {"type", "text", "citations"},
        "image": {"type", "source", "detail"},
    }
